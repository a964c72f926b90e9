//! The secret that makes whoever knows it a member of a project.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use ockam_vault::{Random, SecretBytes};

/// 32 random bytes that admit their holder to a project. Written as 64 hex digits.
///
/// Only [`OneTimeCode::reveal`] shows them; they are wiped when dropped and compared in constant time.
///
/// `spec: trust 7.4`
#[derive(PartialEq, Eq)]
pub struct OneTimeCode(SecretBytes<32>);

impl OneTimeCode {
    /// Draws a code from `random`.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self(SecretBytes::generate(random))
    }

    /// Takes these bytes and wipes the source.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        Self(SecretBytes::take(bytes))
    }

    /// The code with these bytes.
    ///
    /// # Errors
    /// [`OneTimeCodeError`] if they are not 32.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, OneTimeCodeError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| OneTimeCodeError)?;
        Ok(Self(SecretBytes::copy_of(bytes)))
    }

    /// The bytes in clear.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The code as text, for the one who is to have it.
    pub fn reveal(&self) -> String {
        hex::encode(self.as_bytes())
    }
}

impl FromStr for OneTimeCode {
    type Err = OneTimeCodeError;

    /// Hex digits may be of either case.
    fn from_str(text: &str) -> Result<Self, OneTimeCodeError> {
        let mut code = SecretBytes::new([0; 32]);
        hex::decode_to_slice(text, code.as_bytes_mut()).map_err(|_| OneTimeCodeError)?;
        Ok(Self(code))
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(..)")
    }
}

/// Something is no one-time code. It says nothing of what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a one-time code has 32 bytes, written as 64 hex digits")]
pub struct OneTimeCodeError;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn text_form_survives_a_round_trip() {
        let code = OneTimeCode::take(&mut [0xab; 32]);
        assert_eq!(code.reveal(), "ab".repeat(32));
        assert_eq!(code.reveal().to_uppercase().parse(), Ok(code));
    }

    #[test]
    fn debug_shows_nothing() {
        let code = OneTimeCode::take(&mut [0xab; 32]);
        assert_eq!(format!("{code:?}"), "OneTimeCode(..)");
    }

    #[test]
    fn anything_but_32_bytes_is_refused() {
        for digits in [0, 2, 62, 63, 65, 66] {
            assert_eq!(
                "a".repeat(digits).parse::<OneTimeCode>(),
                Err(OneTimeCodeError)
            );
        }
        assert_eq!(
            format!("{}zz", "a".repeat(62)).parse::<OneTimeCode>(),
            Err(OneTimeCodeError)
        );
        assert_eq!(OneTimeCode::from_slice(&[1; 31]), Err(OneTimeCodeError));
        assert!(OneTimeCode::from_slice(&[1; 32]).is_ok());
    }
}
