//! Secrets: zeroised on drop, redacted in `Debug`, without `Clone`, compared in constant time.

use alloc::boxed::Box;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::key::SigningKeyType;
use crate::provider::{KeyError, Random};
use crate::strict;

/// `N` secret bytes.
///
/// They live on the heap so that moving the value leaves no copy behind, and are copied only where it is spelled out:
///
/// ```compile_fail
/// fn copies<T: Clone>() {}
/// copies::<ockam_vault::SecretBytes<32>>();
/// ```
pub struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Takes these bytes; the caller's array is the caller's to wipe, or use [`Self::take`].
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Box::new(bytes))
    }

    /// Takes these bytes and wipes the source.
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let secret = Self::copy_of(bytes);
        bytes.zeroize();
        secret
    }

    /// Copies these bytes straight to the heap; the source stays the caller's to wipe.
    pub fn copy_of(bytes: &[u8; N]) -> Self {
        let mut copy = Box::new([0; N]);
        copy.copy_from_slice(bytes);
        Self(copy)
    }

    /// Draws the bytes from `random`.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = Box::new([0; N]);
        random.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The bytes in clear. Copies made of them are not wiped.
    pub fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes in clear, to be written.
    pub fn as_bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> TryFrom<&[u8]> for SecretBytes<N> {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes
            .try_into()
            .map(Self::copy_of)
            .map_err(|_| KeyError::InvalidSecret)
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for SecretBytes<N> {}

impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The secret half of a key agreement key, static or ephemeral.
#[derive(Debug, PartialEq, Eq)]
pub struct X25519Secret(SecretBytes<32>);

impl X25519Secret {
    /// A secret with these bytes; any 32 bytes are one.
    pub fn new(bytes: SecretBytes<32>) -> Self {
        Self(bytes)
    }

    /// A fresh secret.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self(SecretBytes::generate(random))
    }

    /// The bytes in clear.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// The result of a key agreement; never all zero.
#[derive(Debug, PartialEq, Eq)]
pub struct SharedSecret(SecretBytes<32>);

impl SharedSecret {
    /// Every provider's agreement ends here, so that none can forget the check.
    ///
    /// `spec: trust 11.2 (3)`
    pub(crate) fn contributory(bytes: SecretBytes<32>) -> Result<Self, crate::AgreementError> {
        if bytes.as_bytes().as_slice().ct_eq([0; 32].as_slice()).into() {
            return Err(crate::AgreementError::NotContributory);
        }
        Ok(Self(bytes))
    }

    /// The bytes in clear.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// The secret half of a signing key.
#[derive(Debug, PartialEq, Eq)]
pub struct SigningSecret {
    kind: SigningKeyType,
    bytes: SecretBytes<32>,
}

impl SigningSecret {
    /// A secret of that kind with these bytes.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if the bytes are no P-256 scalar between 1 and the group order.
    pub fn new(kind: SigningKeyType, bytes: SecretBytes<32>) -> Result<Self, KeyError> {
        if kind == SigningKeyType::P256 && !strict::is_p256_scalar(bytes.as_bytes()) {
            return Err(KeyError::InvalidSecret);
        }
        Ok(Self { kind, bytes })
    }

    /// A fresh secret of that kind.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if `random` yields no usable scalar in a few draws, which a working source never does.
    pub fn generate(kind: SigningKeyType, random: &mut dyn Random) -> Result<Self, KeyError> {
        // A draw is no P-256 scalar once in 2^32.
        for _ in 0..DRAWS {
            if let Ok(secret) = Self::new(kind, SecretBytes::generate(random)) {
                return Ok(secret);
            }
        }
        Err(KeyError::InvalidSecret)
    }

    /// The scheme of this key.
    pub const fn key_type(&self) -> SigningKeyType {
        self.kind
    }

    /// The bytes in clear.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.bytes.as_bytes()
    }

    pub(crate) const fn bytes(&self) -> &SecretBytes<32> {
        &self.bytes
    }
}

const DRAWS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn debug_of_a_secret_shows_nothing_of_it() {
        let secret = SecretBytes::new([0x5a; 32]);
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(
            format!("{:?}", X25519Secret::new(secret)),
            "X25519Secret([redacted])"
        );
        let signing =
            SigningSecret::new(SigningKeyType::Ed25519, SecretBytes::new([0x5a; 32])).unwrap();
        let shown = format!("{signing:?}");
        assert!(
            shown.contains("redacted") && !shown.contains("5a") && !shown.contains("90"),
            "{shown}"
        );
    }

    #[test]
    fn taking_bytes_wipes_their_source() {
        let mut source = [7; 32];
        let secret = SecretBytes::take(&mut source);
        assert_eq!(source, [0; 32]);
        assert_eq!(secret.as_bytes(), &[7; 32]);
    }

    #[test]
    fn secrets_of_another_length_are_refused() {
        for len in [0, 31, 33] {
            let bytes = alloc::vec![1; len];
            assert_eq!(
                SecretBytes::<32>::try_from(bytes.as_slice()),
                Err(KeyError::InvalidSecret)
            );
        }
        assert_eq!(
            SecretBytes::try_from([1; 32].as_slice()),
            Ok(SecretBytes::new([1; 32]))
        );
    }

    #[test]
    fn secrets_compare_by_content() {
        assert_eq!(SecretBytes::new([1; 32]), SecretBytes::new([1; 32]));
        assert_ne!(SecretBytes::new([1; 32]), SecretBytes::new([2; 32]));
    }

    #[test]
    fn p256_scalars_out_of_range_are_refused() {
        for bytes in [[0; 32], [0xff; 32], strict::P256_ORDER] {
            let result = SigningSecret::new(SigningKeyType::P256, SecretBytes::new(bytes));
            assert_eq!(result, Err(KeyError::InvalidSecret));
        }
        let mut below = strict::P256_ORDER;
        below[31] -= 1;
        assert!(SigningSecret::new(SigningKeyType::P256, SecretBytes::new(below)).is_ok());
    }

    #[test]
    fn generation_draws_again_when_the_scalar_is_out_of_range() {
        let mut draw = 0_u8;
        let mut random = |bytes: &mut [u8]| {
            bytes.fill(if draw == 0 { 0xff } else { 0x22 });
            draw += 1;
        };
        let secret = SigningSecret::generate(SigningKeyType::P256, &mut random).unwrap();
        assert_eq!(secret.as_bytes(), &[0x22; 32]);

        let mut broken = |bytes: &mut [u8]| bytes.fill(0);
        assert_eq!(
            SigningSecret::generate(SigningKeyType::P256, &mut broken),
            Err(KeyError::InvalidSecret)
        );
    }
}
