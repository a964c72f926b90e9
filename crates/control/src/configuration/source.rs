//! Where a configuration comes from.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::Session;
use crate::configuration::Origin;
use crate::configuration::fetch::{fetch, without_user};
use crate::outcome::Failure;

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// An address of the web.
    Url(String),
    /// The text itself.
    Inline(String),
    /// Standard input.
    Input,
}

impl Source {
    /// The configuration that a positional argument is, unless it is a name (spec: command 3.9.1): an existing file, an
    /// URL, also without its scheme, or a map.
    pub(crate) fn of_argument(text: &str) -> Option<Self> {
        if text == "-" {
            Some(Self::Input)
        } else if Path::new(text).is_file() {
            Some(Self::File(text.into()))
        } else if text.contains('\n')
            || text.trim_start().starts_with('{')
            || text.contains(": ")
            || text.trim_end().ends_with(':')
        {
            Some(Self::Inline(text.to_owned()))
        } else {
            Self::url(text)
        }
    }

    /// The configuration that the value of an option is: text, or where it is.
    pub(crate) fn of_option(text: &str) -> Self {
        Self::of_argument(text).unwrap_or_else(|| Self::Inline(text.to_owned()))
    }

    /// The file of this name, or the text itself.
    pub(crate) fn of_text(text: &str) -> Self {
        if Path::new(text).is_file() {
            Self::File(text.into())
        } else {
            Self::Inline(text.to_owned())
        }
    }

    fn url(text: &str) -> Option<Self> {
        if text.contains("://") {
            return Some(Self::Url(text.to_owned()));
        }
        let (authority, path) = text.split_once('/')?;
        let (host, port) = authority.rsplit_once(':')?;
        let is_address = !host.is_empty() && port.parse::<u16>().is_ok() && !path.is_empty();
        is_address.then(|| Self::Url(format!("http://{text}")))
    }

    /// As a message names it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => without_user(url),
            Self::Inline(_) => "the configuration".to_owned(),
            Self::Input => "standard input".to_owned(),
        }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// It cannot be read, is not text, or is larger than a configuration may be.
    pub(crate) async fn load(&self, session: &Session<'_>) -> Result<Origin, Failure> {
        match self {
            Self::Url(url) => self.origin(fetch(session, url, LARGEST).await?),
            _ => self.load_here(),
        }
    }

    /// Reads a text that is on this machine.
    ///
    /// # Errors
    /// As [`Self::load`]; it is elsewhere.
    pub(crate) fn load_here(&self) -> Result<Origin, Failure> {
        let name = self.name();
        let bytes = match self {
            Self::Inline(text) => bounded(text.as_bytes(), &name)?,
            Self::File(path) => {
                let failed = |error: std::io::Error| {
                    Failure::internal(format!("{name} cannot be read"), &error)
                };
                bounded(std::fs::File::open(path).map_err(failed)?, &name)?
            }
            Self::Input => bounded(std::io::stdin().lock(), &name)?,
            Self::Url(_) => {
                return Err(Failure::new(format!("{name} is not on this machine")));
            }
        };
        self.origin(bytes)
    }

    fn origin(&self, bytes: Vec<u8>) -> Result<Origin, Failure> {
        let name = self.name();
        let text = String::from_utf8(bytes).map_err(|error| {
            Failure::new(format!("{name} is not text in UTF-8")).caused_by(&error)
        })?;
        // Some editors mark the beginning of a file.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        Ok(Origin { name, text })
    }

    /// The same as it is kept, if that can be said without reading it.
    pub(crate) fn kept_elsewhere(&self) -> Option<Self> {
        match self {
            Self::File(path) => std::path::absolute(path).ok().map(Self::File),
            Self::Url(url) => Some(Self::Url(url.clone())),
            Self::Inline(_) | Self::Input => None,
        }
    }

    /// The same, found again from another directory; the text itself when it is nowhere to be found again.
    pub(crate) fn kept(&self, origin: &Origin) -> Self {
        self.kept_elsewhere()
            .unwrap_or_else(|| Self::Inline(origin.text.clone()))
    }
}

fn bounded(from: impl std::io::Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::internal(format!("{name} cannot be read"), &error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large(name));
    }
    Ok(bytes)
}

fn too_large(name: &str) -> Failure {
    Failure::new(format!("{name} is larger than the 1 MiB that is read"))
}

/// The largest text that is read.
const LARGEST: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_told_from_names() {
        for text in [
            "{name: n1}",
            "https://host/file",
            "host:8080/path",
            "name: n1",
            "tcp-outlet:",
            "a\nb",
            "-",
        ] {
            assert!(Source::of_argument(text).is_some(), "{text}");
        }
        for text in [
            "n1",
            "a:b",
            "./nowhere.yaml",
            "/node/n1",
            "host:port/path",
            "a:99999/b",
        ] {
            assert_eq!(Source::of_argument(text), None, "{text}");
        }
    }
}
