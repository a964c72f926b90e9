//! Credentials that no honest issuer writes.

use ockam_identity::{CredentialBundle, VerifiedHistory};
use ockam_vault::{Signature, Signer};

use crate::issuer::Issuer;

impl Issuer {
    /// As an issuer that does not refuse reserved names would write it: `placeholder` in the attributes is replaced by
    /// `name`, which is as long, and all is signed.
    pub(crate) fn issue_reserved(
        &self,
        subject: &VerifiedHistory,
        (placeholder, name): (&str, &str),
        value: &str,
    ) -> CredentialBundle {
        assert_eq!(placeholder.len(), name.len());
        let honest = self.issue(subject, &[(placeholder, value)]);
        let mut bytes = honest.as_bytes().to_vec();
        let at = find(&bytes, placeholder.as_bytes());
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        // [ [ data, [ 0, [ signature ] ] ], attestation ]
        let data = byte_string(&bytes, 2);
        let signature = data.end + 3;
        assert_eq!(byte_string(&bytes, signature).len(), 64);
        let hash = self.provider.sha256(&[&bytes[data]]);
        let signed = self.vault.sign(&self.purpose, &hash).unwrap();
        let raw = match &signed {
            Signature::Ed25519(raw) => raw.to_vec(),
            other => panic!("{other:?}"),
        };
        let at = byte_string(&bytes, signature).start;
        bytes[at..at + 64].copy_from_slice(&raw);
        CredentialBundle::decode(&bytes).unwrap()
    }
}

/// The byte string with its head at `at`.
fn byte_string(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let (start, len) = match bytes[at] {
        0x58 => (at + 2, usize::from(bytes[at + 1])),
        0x59 => (
            at + 3,
            usize::from(u16::from_be_bytes([bytes[at + 1], bytes[at + 2]])),
        ),
        other => panic!("{other:x}"),
    };
    start..start + len
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .expect("it is there")
}
