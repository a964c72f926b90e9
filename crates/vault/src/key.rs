//! Public data about keys: their kinds, public halves, signatures and handles.

use alloc::vec::Vec;
use core::fmt;

/// The signature schemes an identity may use.
///
/// `spec: trust 1.1`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SigningKeyType {
    /// Ed25519 (RFC 8032), the default.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the kind key management services offer.
    P256,
}

impl SigningKeyType {
    /// The name the published program stores and prints for this kind.
    ///
    /// `spec: trust 1.4`
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSACurve25519",
            Self::P256 => "ECDSASHA256CurveP256",
        }
    }

    /// The kind with that stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Ed25519, Self::P256]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl fmt::Display for SigningKeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The public half of a signing key, as received; whether it is a good key is found by [`crate::Provider::check_public_key`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PublicKey {
    /// A compressed Edwards point.
    Ed25519([u8; 32]),
    /// An uncompressed SEC1 point, first byte `04`.
    P256([u8; 65]),
}

impl PublicKey {
    /// The scheme this key belongs to.
    pub const fn key_type(&self) -> SigningKeyType {
        match self {
            Self::Ed25519(_) => SigningKeyType::Ed25519,
            Self::P256(_) => SigningKeyType::P256,
        }
    }

    /// The key's bytes without any tag.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => bytes,
            Self::P256(bytes) => bytes,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.key_type(), hex::encode(self.as_bytes()))
    }
}

/// A signature.
///
/// Never a key of a map or cache and never compared to tell two statements apart: ECDSA signatures have a second valid form.
/// `spec: trust 11.1 (6)`
///
/// ```compile_fail
/// fn compares<T: PartialEq>() {}
/// compares::<ockam_vault::Signature>();
/// ```
#[derive(Clone)]
pub enum Signature {
    /// `R ‖ S` as in RFC 8032.
    Ed25519([u8; 64]),
    /// `r ‖ s`, big endian, not DER.
    P256([u8; 64]),
}

impl Signature {
    /// The scheme that made this signature.
    pub const fn key_type(&self) -> SigningKeyType {
        match self {
            Self::Ed25519(_) => SigningKeyType::Ed25519,
            Self::P256(_) => SigningKeyType::P256,
        }
    }

    /// The signature's bytes without any tag.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        match self {
            Self::Ed25519(bytes) | Self::P256(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.key_type(), hex::encode(self.as_bytes()))
    }
}

/// The public half of a key agreement key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct X25519Public(pub [u8; 32]);

impl X25519Public {
    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for X25519Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X25519({})", hex::encode(self.0))
    }
}

/// An opaque name of a secret inside a vault.
///
/// Software keys are named by the SHA-256 of their public half, keys of a management service by its own key id.
/// `spec: trust 1.3`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(Vec<u8>);

impl Handle {
    /// A handle with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The handle's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn key_type_names_are_those_of_the_published_database() {
        for kind in [SigningKeyType::Ed25519, SigningKeyType::P256] {
            assert_eq!(SigningKeyType::from_name(kind.name()), Some(kind));
        }
        assert_eq!(SigningKeyType::Ed25519.name(), "EdDSACurve25519");
        assert_eq!(SigningKeyType::P256.name(), "ECDSASHA256CurveP256");
        assert_eq!(SigningKeyType::from_name("RSA"), None);
    }

    #[test]
    fn handle_prints_as_hex() {
        assert_eq!(format!("{}", Handle::new([0xab, 0x01])), "ab01");
    }
}
