//! Somebody who issues credentials.

use ockam_identity::{
    Attributes, CredentialBundle, CredentialDraft, IdentityDraft, OlderPurposeKeys,
    PURPOSE_KEY_SECONDS, PurposeKeyAttestation, PurposeKeyDraft, PurposePublicKey, RotationDraft,
    UnixTime, Validity, VerifiedHistory,
};
use ockam_vault::{Handle, Provider, Signer, SigningKeyType, SoftwareVault};

pub(crate) struct Issuer {
    pub(crate) provider: &'static dyn Provider,
    pub(crate) vault: SoftwareVault,
    primary: Handle,
    pub(crate) purpose: Handle,
    pub(crate) history: VerifiedHistory,
    attestation: PurposeKeyAttestation,
}

impl Issuer {
    /// Its keys are good from an hour ago.
    pub(crate) fn new() -> Self {
        let provider = ockam_vault::fast();
        let from = earlier(now(), HOUR);
        let mut vault = SoftwareVault::new(provider);
        let primary = new_key(&mut vault);
        let key = vault.public_key(&primary).unwrap();
        let history = IdentityDraft::new(provider, key, Validity::of_primary_key(from))
            .unwrap()
            .sign_with(provider, &vault, &primary)
            .unwrap();
        let purpose = new_key(&mut vault);
        let attestation = attest(provider, &vault, &history, &primary, &purpose);
        Self {
            provider,
            vault,
            primary,
            purpose,
            history,
            attestation,
        }
    }

    /// Takes a new primary key, under which the purpose key is attested anew.
    pub(crate) fn rotate(&mut self, older: OlderPurposeKeys) {
        let new = new_key(&mut self.vault);
        let key = self.vault.public_key(&new).unwrap();
        let validity = Validity::of_primary_key(earlier(now(), HOUR));
        self.history = RotationDraft::new(self.provider, &self.history, key, validity, older)
            .unwrap()
            .sign_with(self.provider, &self.vault, &new, &self.primary)
            .unwrap();
        self.primary = new;
        self.attestation = attest(
            self.provider,
            &self.vault,
            &self.history,
            &self.primary,
            &self.purpose,
        );
    }

    /// A credential that was issued just now and lasts an hour.
    pub(crate) fn issue(
        &self,
        subject: &VerifiedHistory,
        attributes: &[(&str, &str)],
    ) -> CredentialBundle {
        self.issue_for(subject, attributes, now(), now().plus(HOUR))
    }

    pub(crate) fn issue_for(
        &self,
        subject: &VerifiedHistory,
        attributes: &[(&str, &str)],
        created_at: UnixTime,
        expires_at: UnixTime,
    ) -> CredentialBundle {
        let attributes = Attributes::member(attributes.iter().copied()).unwrap();
        CredentialDraft::new(self.provider, subject, attributes, created_at, expires_at)
            .unwrap()
            .sign_with(
                self.provider,
                &self.history,
                &self.attestation,
                (&self.vault, &self.purpose),
            )
            .unwrap()
    }
}

fn new_key(vault: &mut SoftwareVault) -> Handle {
    vault
        .generate_signing_key(SigningKeyType::Ed25519, &mut |bytes: &mut [u8]| {
            getrandom::fill(bytes).unwrap()
        })
        .unwrap()
}

fn attest(
    provider: &'static dyn Provider,
    vault: &SoftwareVault,
    history: &VerifiedHistory,
    primary: &Handle,
    purpose: &Handle,
) -> PurposeKeyAttestation {
    let key = PurposePublicKey::CredentialSigning(vault.public_key(purpose).unwrap());
    let from = earlier(now(), HOUR);
    PurposeKeyDraft::new(provider, history, key, from, PURPOSE_KEY_SECONDS)
        .unwrap()
        .sign_with(provider, vault, primary)
        .unwrap()
}

pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    UnixTime(since.as_secs())
}

pub(crate) fn earlier(time: UnixTime, seconds: u64) -> UnixTime {
    UnixTime(time.0 - seconds)
}

pub(crate) const HOUR: u64 = 3600;
