//! Names of identities and of their changes.

use core::fmt;
use core::str::FromStr;

/// The name of an identity: the hash of its first change. Written `I` and 64 lower-case hex digits.
///
/// Always 32 bytes; shortened forms are neither read nor printed. `spec: trust 2.2, 11.1 (3)`
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier([u8; 32]);

impl Identifier {
    /// The identifier with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The identifier's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Identifier {
    type Error = IdentifierError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdentifierError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| IdentifierError::Length)
    }
}

impl FromStr for Identifier {
    type Err = IdentifierError;

    /// Surrounding white space is trimmed and hex digits may be of either case; the prefix is a capital `I`.
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let digits = text
            .trim()
            .strip_prefix('I')
            .ok_or(IdentifierError::Prefix)?;
        if digits.len() != 64 {
            return Err(IdentifierError::Length);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| IdentifierError::Digit)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("I")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why something is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifierError {
    /// The text does not begin with a capital `I`.
    #[error("an identifier begins with a capital `I`")]
    Prefix,
    /// There are more or fewer than 32 bytes.
    #[error("an identifier has 32 bytes, written as 64 hex digits")]
    Length,
    /// There is a character that is no hex digit.
    #[error("an identifier has only hex digits after the `I`")]
    Digit,
}

/// The name of one change: SHA-256 of its data as received.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeHash([u8; 32]);

impl ChangeHash {
    /// The hash with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    const TEXT: &str = "If6b39138c9f4fb18b975ae8b95d74ce9ceea29810865dddbe62df8f7ae7b9da0";

    #[test]
    fn text_form_survives_a_round_trip() {
        let identifier: Identifier = TEXT.parse().unwrap();
        assert_eq!(identifier.to_string(), TEXT);
        assert_eq!(
            Identifier::try_from(identifier.as_bytes().as_slice()),
            Ok(identifier)
        );
    }

    #[test]
    fn white_space_and_upper_case_digits_are_read() {
        let shouted = format!(" \tI{}\n", TEXT[1..].to_uppercase());
        assert_eq!(shouted.parse::<Identifier>(), TEXT.parse());
    }

    #[test]
    fn guard_11_1_3_identifiers_of_any_other_length_are_refused() {
        // spec: trust 11.1 (3): the 20-byte form of earlier generations in particular.
        for digits in [0, 1, 40, 63, 65, 66, 128] {
            assert_eq!(
                format!("I{}", "a".repeat(digits)).parse::<Identifier>(),
                Err(IdentifierError::Length)
            );
        }
        assert_eq!(
            Identifier::try_from([0; 20].as_slice()),
            Err(IdentifierError::Length)
        );
    }

    #[test]
    fn foreign_prefixes_and_digits_are_refused() {
        assert_eq!(
            TEXT[1..].parse::<Identifier>(),
            Err(IdentifierError::Prefix)
        );
        assert_eq!(
            TEXT.to_lowercase().parse::<Identifier>(),
            Err(IdentifierError::Prefix)
        );
        assert_eq!("".parse::<Identifier>(), Err(IdentifierError::Prefix));
        assert_eq!(
            format!("I{}", "é".repeat(32)).parse::<Identifier>(),
            Err(IdentifierError::Digit)
        );
        assert_eq!(
            format!("I{}g", &TEXT[1..64]).parse::<Identifier>(),
            Err(IdentifierError::Digit)
        );
    }
}
