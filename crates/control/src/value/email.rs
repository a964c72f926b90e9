//! Addresses of people at the controller.

use std::fmt;
use std::str::FromStr;

/// An address of electronic mail; which letters are capital makes no difference.
///
/// It is a part of request paths and is shown on terminals. So only letters and digits of any script and the signs that
/// mean nothing in either are taken.
#[derive(Debug, Clone)]
pub struct Email(String);

/// The text is no address of electronic mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an email address is like alice@example.com, of at most {MAX_LEN} bytes")]
pub struct EmailError;

impl Email {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for all ways of writing it with capital letters.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for Email {}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mailbox, domain) = text.rsplit_once('@').ok_or(EmailError)?;
        let parts_are = |text: &str, valid: fn(&str) -> bool| text.split('.').all(valid);
        let valid =
            text.len() <= MAX_LEN && parts_are(mailbox, is_word) && parts_are(domain, is_label);
        valid.then(|| Self(text.to_owned())).ok_or(EmailError)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || SIGNS.contains(c))
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

/// Signs of mailboxes. Those that mean something in a path are left out: `/`, `?`, `#`, `%`.
const SIGNS: &str = "!$&'*+-=^_`{|}~";
const MAX_LEN: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_an_address_is_taken_as_it_is_written() {
        for text in [
            "a@b",
            "Alice.B+x@sub.example.com",
            "ünï@exämple.org",
            "o'c@e-x.io",
        ] {
            let email: Email = text.parse().expect(text);
            assert_eq!(email.to_string(), text);
        }
    }

    #[test]
    fn what_would_lead_elsewhere_or_steer_a_terminal_is_refused() {
        let long = format!("{}@example.com", "a".repeat(MAX_LEN));
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            " a@b",
            "a@b ",
            "a/../x@b",
            "a?x@b",
            "a#x@b",
            "a%2f@b",
            "a@b/c",
            "a@b..c",
            ".a@b",
            "a@-b",
            "a@b-",
            "a\u{1b}[2J@b",
            "a\u{202e}@b",
            "a\n@b",
            "a@b_c",
            &long,
        ] {
            assert_eq!(text.parse::<Email>(), Err(EmailError), "{text:?}");
        }
    }

    #[test]
    fn capital_letters_make_no_difference() {
        let email = |text: &str| text.parse::<Email>().expect(text);
        assert_eq!(email("Alice@Example.com"), email("alice@example.COM"));
        assert_ne!(email("alice@example.com"), email("alice@example.org"));
    }
}
