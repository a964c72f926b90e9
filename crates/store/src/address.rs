//! Where a database is: a file, or a database of a PostgreSQL server.
//!
//! **Invariants**: nothing here shows a password, in no text and in no error; a server that is not on this machine is
//! spoken to in TLS, and must prove its name, unless the address says otherwise.
//!
//! Specification: command 3.9.8.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use thiserror::Error;

/// Where a database is.
///
/// As text: `postgres://user:password@host:port/database?sslmode=verify-full`, or the path of a file. A password that is not in
/// the address is looked for in the file `.pgpass`, as other programs do.
#[derive(Clone)]
pub struct DatabaseAddress(Place);

/// What an address says.
#[derive(Clone)]
pub(crate) enum Place {
    /// A file.
    File(PathBuf),
    /// A server.
    Server(Box<PgConnectOptions>),
}

/// A text that is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DatabaseAddressError {
    /// It is empty.
    #[error("the address of the database is empty")]
    Empty,
    /// It names another kind of database.
    #[error(
        "the address of the database begins with {0}://: use postgres://user@host/database, or the path of a file"
    )]
    Scheme(String),
    /// It cannot be read. The text itself is not shown, because of the password in it.
    #[error(
        "the address of the database cannot be read ({0}): write postgres://user:password@host:port/database, with other characters than letters and digits of user and password as %XX"
    )]
    Unreadable(String),
    /// It has a parameter that is not known.
    #[error(
        "the address of the database has the parameter {0}: known are sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, port, user, password, dbname, application_name, options and statement-cache-capacity"
    )]
    Parameter(String),
    /// It names no database, or no host.
    #[error("the address of the database names no {0}: write postgres://user@host:port/database")]
    Incomplete(&'static str),
}

impl DatabaseAddress {
    /// The file at this path.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// Whether it is a database of a server.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(self.0, Place::Server(_))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0
    }

    /// How errors name it.
    pub(crate) fn label(&self) -> PathBuf {
        match &self.0 {
            Place::File(path) => path.clone(),
            Place::Server(_) => PathBuf::from(self.to_string()),
        }
    }

    fn server(url: &str) -> Result<Self, DatabaseAddressError> {
        let (rest, query) = url.split_once('?').unwrap_or((url, ""));
        let mut asks_for_mode = false;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            asks_for_mode |= matches!(name, "sslmode" | "ssl-mode");
            if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
                let name = name.chars().take(40).collect();
                return Err(DatabaseAddressError::Parameter(name));
            }
        }
        let authority = rest
            .split_once("://")
            .map_or("", |(_, authority)| authority);
        let names = |parameter: &str| query.split('&').any(|part| part.starts_with(parameter));
        let (server, path) = authority.rsplit_once('/').unwrap_or((authority, ""));
        if server.rsplit('@').next().is_none_or(str::is_empty)
            && !names("host=")
            && !names("hostaddr=")
        {
            return Err(DatabaseAddressError::Incomplete("host"));
        }
        if path.is_empty() && !names("dbname=") {
            return Err(DatabaseAddressError::Incomplete("database"));
        }
        // What the library says of an address does not contain it.
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            let why = match error {
                sqlx::Error::Configuration(why) => why.to_string(),
                _ => "it is no URL".to_owned(),
            };
            DatabaseAddressError::Unreadable(why)
        })?;
        let options = if asks_for_mode || is_here(&options) {
            options
        } else {
            options.ssl_mode(PgSslMode::VerifyFull)
        };
        let options = options
            .application_name("ockam")
            .disable_statement_logging();
        Ok(Self(Place::Server(Box::new(options))))
    }
}

/// Whether nobody else can listen to what is said on the way.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl FromStr for DatabaseAddress {
    type Err = DatabaseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(DatabaseAddressError::Empty);
        }
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Self::server(text),
            Some(("sqlite" | "file", path)) => Ok(Self::file(path)),
            // A path may hold these characters, but not behind a single word.
            Some((scheme, _))
                if scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '+') =>
            {
                Err(DatabaseAddressError::Scheme(scheme.to_owned()))
            }
            _ => Ok(Self::file(text)),
        }
    }
}

/// Without user's password and without parameters.
impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::File(path) => path.display().fmt(f),
            Place::Server(options) => {
                write!(f, "postgres://{}@", options.get_username())?;
                match options.get_socket() {
                    Some(socket) => write!(f, "{}", socket.display())?,
                    None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
                }
                write!(f, "/{}", options.get_database().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseAddress({self})")
    }
}

impl From<&Path> for DatabaseAddress {
    fn from(path: &Path) -> Self {
        Self::file(path)
    }
}

const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(address: &str) -> String {
        match address.parse::<DatabaseAddress>().unwrap().0 {
            Place::Server(options) => format!("{:?}", options.get_ssl_mode()),
            Place::File(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "postgres://me:hush@db.example/ockam",
            "postgresql://me:hush@db.example:5432/ockam?sslmode=require",
            "postgres://db.example/ockam?user=me&password=hush",
            "postgres://me:p%40hush@db.example/ockam",
        ] {
            let address: DatabaseAddress = text.parse().unwrap();
            assert!(address.is_server());
            let shown = format!("{address} {address:?} {}", address.label().display());
            assert!(!shown.contains("hush"), "{shown}");
            assert!(
                shown.contains("postgres://me@db.example:5432/ockam"),
                "{shown}"
            );
        }
        for text in [
            "postgres://me:hu/sh@db/ockam",
            "postgres://me:hush@db:port/ockam",
            "postgres://me:hush@db",
            "postgres://me:hush@/ockam",
            "postgres://me:hush@db/x?sslmode=hush",
            "postgres://me:hush@db/x?colour=hush",
            "mysql://me:hush@db/x",
        ] {
            let error = text.parse::<DatabaseAddress>().unwrap_err();
            let shown = format!("{error} {error:?}");
            let told = text.contains("sslmode=hush");
            assert!(told || !shown.contains("hush"), "{shown}");
        }
    }

    #[test]
    fn a_server_elsewhere_must_prove_its_name_unless_the_address_says_otherwise() {
        assert_eq!(mode("postgres://me@db.example/x"), "VerifyFull");
        assert_eq!(mode("postgres://me@10.0.0.1/x"), "VerifyFull");
        for here in ["127.0.0.1", "localhost", "[::1]"] {
            assert_eq!(mode(&format!("postgres://me@{here}/x")), "Prefer");
        }
        let socket = "postgres:///x?host=/run/postgresql&user=me";
        assert_eq!(mode(socket), "Prefer");
        let said = "postgres://me@db.example/x?sslmode=disable";
        assert_eq!(mode(said), "Disable");
    }

    #[test]
    fn what_is_no_url_is_a_path() {
        for path in [
            "/var/lib/ockam.sqlite3",
            "orchestrator.sqlite3",
            "sqlite:///a/b",
        ] {
            let address: DatabaseAddress = path.parse().unwrap();
            assert!(!address.is_server(), "{path}");
        }
        let address: DatabaseAddress = "sqlite:///a/b".parse().unwrap();
        assert_eq!(address.to_string(), "/a/b");
        assert_eq!(
            "".parse::<DatabaseAddress>().unwrap_err(),
            DatabaseAddressError::Empty
        );
    }
}
