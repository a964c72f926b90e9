//! How somebody finds an Orchestrator, in one word.

use std::fmt;
use std::str::FromStr;

use ockam_identity::{Identifier, OneTimeCode};
use ockam_wire::MultiAddr;

/// `<route to the controller>,<its identifier>[,<one-time code>]`.
///
/// With a code it is a secret: [`JoinString::reveal`] shows it, `Display` and `Debug` leave it out.
#[derive(Debug, PartialEq, Eq)]
pub struct JoinString {
    /// The route to the listener of channels of the controller.
    pub route: MultiAddr,
    /// Who is there.
    pub identifier: Identifier,
    /// What makes whoever has it a user, once.
    pub code: Option<OneTimeCode>,
}

/// The text is no join string. It says nothing of the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinStringError {
    /// There are not two or three parts.
    #[error("a join string has a route, an identifier and perhaps a code, separated by commas")]
    Parts,
    /// The first part is no route.
    #[error(
        "the first part of a join string is a route, for example /dnsaddr/host/tcp/6252/service/api"
    )]
    Route,
    /// The second part is no identifier.
    #[error(
        "the second part of a join string is the identifier of the controller: I and 64 hex digits"
    )]
    Identifier,
    /// The third part is no code.
    #[error("the third part of a join string is a one-time code: 64 hex digits")]
    Code,
}

impl JoinString {
    /// All of it, for whoever is to have the code.
    pub fn reveal(&self) -> zeroize::Zeroizing<String> {
        let place = self.to_string();
        zeroize::Zeroizing::new(match &self.code {
            Some(code) => format!(
                "{place},{}",
                zeroize::Zeroizing::new(code.reveal()).as_str()
            ),
            None => place,
        })
    }
}

impl fmt::Display for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.route, self.identifier)
    }
}

impl FromStr for JoinString {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Self, JoinStringError> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(JoinStringError::Parts);
        }
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let (route, identifier, code) = match parts.as_slice() {
            [route, identifier] => (route, identifier, None),
            [route, identifier, code] => (route, identifier, Some(code)),
            _ => return Err(JoinStringError::Parts),
        };
        let route: MultiAddr = route.parse().map_err(|_| JoinStringError::Route)?;
        if route.protocols().is_empty() {
            return Err(JoinStringError::Route);
        }
        Ok(Self {
            route,
            identifier: identifier
                .parse()
                .map_err(|_| JoinStringError::Identifier)?,
            code: code
                .map(|code| code.parse())
                .transpose()
                .map_err(|_| JoinStringError::Code)?,
        })
    }
}

/// Longer than any route that leads anywhere.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "/ip4/127.0.0.1/tcp/6252/service/api,\
        I84502ce0d9a0a91bae29026b84e19be69fb4203a6bdd1424c85a43c812772a00";

    #[test]
    fn a_join_string_survives_a_round_trip_with_and_without_a_code() {
        let bare: JoinString = PLACE.parse().expect("it is one");
        assert!(bare.code.is_none());
        assert_eq!(bare.to_string(), PLACE);
        let text = format!("{PLACE},{}", "ab".repeat(32));
        let whole: JoinString = format!(" {text}\n").parse().expect("it is one");
        assert_eq!(whole.reveal().as_str(), text);
        assert_eq!(whole.to_string(), PLACE);
        assert!(!format!("{whole:?}").contains("abab"));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_code() {
        let code = "cd".repeat(31);
        for (text, expected) in [
            (String::new(), JoinStringError::Parts),
            (PLACE.replace(',', " "), JoinStringError::Parts),
            (format!("{PLACE},a,b"), JoinStringError::Parts),
            (PLACE.replace("/ip4/", "ip4 "), JoinStringError::Route),
            (PLACE.replace(",I8", ",X8"), JoinStringError::Identifier),
            (format!("{PLACE},{code}"), JoinStringError::Code),
            ("a,".repeat(5000), JoinStringError::Parts),
        ] {
            let error = text.parse::<JoinString>().expect_err(&text);
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains(&code));
        }
    }
}
