//! Tokens of a sign-in provider.

use std::fmt;

use zeroize::Zeroizing;

/// An access token: wiped when it is dropped, and shown by nothing.
#[derive(Clone)]
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// Takes a token over. A header takes printable characters only; what else is no token.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Option<Self> {
        let usable =
            (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then_some(Self(text))
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

/// No token of a provider is longer; it is also the bound of the request that carries it.
const MAX_LEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_by_nothing_and_has_no_room_for_another_header() {
        let token = |text: &str| AccessToken::new(Zeroizing::new(text.to_owned()));
        let taken = token("secret.token").expect("a token");
        assert_eq!(taken.expose(), "secret.token");
        assert!(!format!("{taken:?}").contains("secret"));
        let long = "x".repeat(MAX_LEN + 1);
        for text in ["", "a b", "a\r\nHost: b", "ä", &long] {
            assert!(token(text).is_none(), "{text:?}");
        }
    }
}
