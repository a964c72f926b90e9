//! Socket addresses as users write them: a number and a colon are enough.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `[scheme://]host:port`, where a lone port means the IPv4 loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    scheme: Scheme,
    host: Host,
    port: u16,
}

/// What is spoken at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP, the default.
    Tcp,
    /// TCP for clients, a UDP puncture between nodes.
    Udp,
    /// TLS over TCP.
    Tls,
}

/// The text is no socket address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPortError {
    /// The scheme is not one of `tcp`, `udp`, `tls`.
    #[error("unknown scheme `{0}`: use tcp, udp or tls")]
    Scheme(String),
    /// There is no port.
    #[error("`{0}` has no port: write `host:port`, or a port alone for this machine")]
    NoPort(String),
    /// The port does not fit 16 bits.
    #[error("`{0}` is not a port: ports are the numbers from 0 to 65535")]
    Port(String),
    /// The host is neither an address nor a valid name.
    #[error("`{0}` is neither an IP address nor a host name")]
    Host(String),
    /// An IPv6 address without its brackets.
    #[error("an IPv6 address is written in brackets: `[{address}]:{port}`")]
    Brackets {
        /// What stands before the last colon.
        address: String,
        /// What stands behind it.
        port: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl HostPort {
    /// The address with a port and the IPv4 loopback address.
    pub fn loopback(port: u16) -> Self {
        Self {
            scheme: Scheme::Tcp,
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port,
        }
    }

    /// What is spoken there.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The same address, with TLS spoken there.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self {
            scheme: Scheme::Tls,
            ..self
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The IP address, unless the host is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }

    /// The address under which this machine reaches a listener here: unspecified becomes loopback.
    #[must_use]
    pub fn reachable(&self) -> Self {
        let host = match &self.host {
            Host::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => Host::Ip(Ipv4Addr::LOCALHOST.into()),
            Host::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => Host::Ip(Ipv6Addr::LOCALHOST.into()),
            host => host.clone(),
        };
        Self {
            scheme: self.scheme,
            host,
            port: self.port,
        }
    }

    /// As the transport part of a multi-address: `/ip4/127.0.0.1/tcp/4000`.
    pub fn multiaddr(&self) -> String {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => format!("/ip4/{ip}/tcp/{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => format!("/ip6/{ip}/tcp/{}", self.port),
            Host::Name(name) => format!("/dnsaddr/{name}/tcp/{}", self.port),
        }
    }

    /// With its scheme, as plain texts show it: `tcp://127.0.0.1:5000`.
    pub fn with_scheme(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Tcp => "tcp",
            Scheme::Udp => "udp",
            Scheme::Tls => "tls",
        };
        format!("{scheme}://{self}")
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("tcp", rest)) => (Scheme::Tcp, rest),
            Some(("udp", rest)) => (Scheme::Udp, rest),
            Some(("tls", rest)) => (Scheme::Tls, rest),
            Some((scheme, _)) => return Err(HostPortError::Scheme(scheme.to_owned())),
            None => (Scheme::Tcp, text),
        };
        let (host, port) = match rest.rsplit_once(':') {
            Some((_, "")) => return Err(HostPortError::NoPort(text.to_owned())),
            Some(parts) => parts,
            None if rest.bytes().any(|byte| byte.is_ascii_digit()) && is_port_like(rest) => {
                ("", rest)
            }
            None => return Err(HostPortError::NoPort(text.to_owned())),
        };
        if host.parse::<Ipv6Addr>().is_ok() {
            return Err(HostPortError::Brackets {
                address: host.to_owned(),
                port: port.to_owned(),
            });
        }
        // `+80` is a number to the standard library, not to a user.
        let port = Some(port)
            .filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|port| port.parse().ok())
            .ok_or_else(|| HostPortError::Port(port.to_owned()))?;
        let host = match host {
            "" => Host::Ip(Ipv4Addr::LOCALHOST.into()),
            host => match host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
            {
                Some(v6) => Host::Ip(
                    v6.parse::<Ipv6Addr>()
                        .map_err(|_| HostPortError::Host(host.to_owned()))?
                        .into(),
                ),
                None => match host.parse::<Ipv4Addr>() {
                    Ok(ip) => Host::Ip(ip.into()),
                    Err(_) if is_host_name(host) => Host::Name(host.to_owned()),
                    Err(_) => return Err(HostPortError::Host(host.to_owned())),
                },
            },
        };
        Ok(Self { scheme, host, port })
    }
}

/// Whether a word without a colon was meant to be a port.
fn is_port_like(word: &str) -> bool {
    word.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-'))
}

fn is_host_name(host: &str) -> bool {
    // Four numbers are an IPv4 address or a slip, never a name.
    let numbers = host
        .split('.')
        .filter(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if host.split('.').count() == 4 && numbers.count() == 4 {
        return false;
    }
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= 253
        && !host.starts_with(['-', '.'])
        && !host.ends_with(['-', '.'])
        && host.split('.').all(label_is_valid)
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl TryFrom<String> for HostPort {
    type Error = HostPortError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(value: HostPort) -> Self {
        match value.scheme {
            Scheme::Tcp => value.to_string(),
            Scheme::Udp | Scheme::Tls => value.with_scheme(),
        }
    }
}

impl From<std::net::SocketAddr> for HostPort {
    fn from(address: std::net::SocketAddr) -> Self {
        Self {
            scheme: Scheme::Tcp,
            host: Host::Ip(address.ip()),
            port: address.port(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_loopback() {
        for text in ["5000", ":5000", "tcp://5000", "127.0.0.1:5000"] {
            assert_eq!(
                text.parse::<HostPort>().expect(text).to_string(),
                "127.0.0.1:5000"
            );
        }
    }

    #[test]
    fn addresses_and_names_are_understood() {
        for (text, shown, multiaddr) in [
            ("[::1]:80", "[::1]:80", "/ip6/::1/tcp/80"),
            (
                "db_1.local-net:5432",
                "db_1.local-net:5432",
                "/dnsaddr/db_1.local-net/tcp/5432",
            ),
            ("0.0.0.0:1", "0.0.0.0:1", "/ip4/0.0.0.0/tcp/1"),
        ] {
            let parsed: HostPort = text.parse().expect(text);
            assert_eq!(
                (parsed.to_string(), parsed.multiaddr()),
                (shown.to_owned(), multiaddr.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "x",
            "h:",
            "h:65536",
            "h:+80",
            "-h:1",
            "h.:1",
            "a..b:1",
            "::1:80",
            "ftp://h:1",
            "h h:1",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_says_what_would_be_right() {
        for (text, told) in [
            ("example", "`example` has no port: write `host:port`"),
            ("host:", "`host:` has no port"),
            (
                "99999",
                "`99999` is not a port: ports are the numbers from 0 to 65535",
            ),
            ("::1:80", "in brackets: `[::1]:80`"),
            (
                "300.1.1.1:80",
                "`300.1.1.1` is neither an IP address nor a host name",
            ),
        ] {
            let error = text.parse::<HostPort>().expect_err(text).to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn unspecified_addresses_are_reached_over_loopback() {
        let reached = |text: &str| {
            text.parse::<HostPort>()
                .expect(text)
                .reachable()
                .to_string()
        };
        assert_eq!(reached("0.0.0.0:4000"), "127.0.0.1:4000");
        assert_eq!(reached("[::]:4000"), "[::1]:4000");
        assert_eq!(reached("host:4000"), "host:4000");
    }

    #[test]
    fn a_scheme_survives_the_socket() {
        let address: HostPort = "tls://h:443".parse().expect("a valid address");
        let text = serde_json::to_string(&address).expect("plain data");
        assert_eq!(text, "\"tls://h:443\"");
        assert_eq!(
            serde_json::from_str::<HostPort>(&text).expect("it reads back"),
            address
        );
    }
}
