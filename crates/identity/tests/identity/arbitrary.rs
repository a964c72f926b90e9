//! What has to hold of any bytes at all. The property tests beside this call it with what they make up, and the fuzz targets in
//! `fuzz/` with what a fuzzer makes up.

use std::sync::OnceLock;

use ockam_identity::{
    ChangeHistory, Comparison, CredentialBundle, EnrollmentTicket, ProjectDetails, Purpose,
    PurposeKeyAttestation, UnixTime, VerifiedHistory,
};
use ockam_vault::portable;

/// A history: what decodes keeps its bytes, and what verifies does so again.
pub(crate) fn history(bytes: &[u8]) {
    let Ok(history) = ChangeHistory::decode(bytes) else {
        return;
    };
    assert_eq!(history.as_bytes(), bytes);
    if let Ok(verified) = history.verify(portable(), None) {
        let again = VerifiedHistory::decode(portable(), bytes, Some(verified.identifier()))
            .expect("it verified before");
        assert_eq!(again.compare(&verified), Comparison::Equal);
        let hex = ChangeHistory::from_hex(&verified.to_hex()).expect("it decoded before");
        assert_eq!(hex.as_bytes(), bytes);
    }
}

/// A credential bundle or an attestation: nothing is believed but what the known issuer signed.
pub(crate) fn credential(bytes: &[u8]) {
    let (provider, issuer) = (portable(), issuer());
    if let Ok(attestation) = PurposeKeyAttestation::decode(bytes) {
        let _ = attestation.verify(provider, issuer, NOW, Purpose::Credentials);
    }
    let Ok(bundle) = CredentialBundle::decode(bytes) else {
        return;
    };
    assert_eq!(bundle.as_bytes(), bytes);
    assert_eq!(
        CredentialBundle::from_hex(&bundle.to_hex()).as_ref(),
        Ok(&bundle)
    );
    let claims = bundle.peek();
    if let Ok(verified) = bundle.verify(provider, issuer, None, NOW) {
        let claims = claims.expect("what verifies can be looked at");
        assert_eq!(verified.attributes(), &claims.attributes);
        // One statement of this issuer is known, and nobody can make another.
        let published = published().peek().expect("it is a credential");
        assert_eq!(claims, published);
    }
}

/// A ticket: what is read is written again, and reads the same in each form.
pub(crate) fn ticket(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    let _ = ProjectDetails::from_json(text).map(|project| project.verify(portable()));
    let ticket = match EnrollmentTicket::read(portable(), text) {
        Ok(ticket) => ticket,
        Err(error) => {
            // Whatever was given, the message is one of ours.
            assert!(error.to_string().len() < 400);
            return;
        }
    };
    let plain = ticket.to_plain();
    for form in [
        plain.clone(),
        ticket.to_hex(),
        ticket.to_json(),
        ticket.to_legacy(),
    ] {
        let again = EnrollmentTicket::read(portable(), &form).expect("what was written is read");
        assert_eq!(*again.to_plain(), *plain);
    }
}

pub(crate) fn issuer() -> &'static VerifiedHistory {
    static ISSUER: OnceLock<VerifiedHistory> = OnceLock::new();
    ISSUER.get_or_init(|| {
        ChangeHistory::from_hex(vector("issuer_history"))
            .expect("the vector is good")
            .verify(portable(), None)
            .expect("the vector is good")
    })
}

/// The one credential of that issuer.
pub(crate) fn published() -> CredentialBundle {
    CredentialBundle::from_hex(vector("credential_and_purpose_key_hex"))
        .expect("the vector is good")
}

/// A field of the published vector; a fuzz target has no reader of JSON.
fn vector(field: &str) -> &'static str {
    let json = include_str!("../../../../vectors/credential.json");
    json.split_once(&format!("\"{field}\": \""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(value, _)| value)
        .expect("the field is there")
}

/// Within the time of the published credential.
pub(crate) const NOW: UnixTime = UnixTime(1_700_001_000);
