//! Enrolling: by a one-time code, or as a provider vouches. `spec: trust 9.2, extensions 4.8.1`

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ockam_authority::message::ROLE;
use ockam_control::controller::client::CODE;
use ockam_control::controller::message::{AuthenticateOidcToken, Me, Role};
use ockam_identity::{OneTimeCode, RESERVED_ATTRIBUTES, UnixTime};
use ockam_store::{CodeRecord, CodeRedemption, Dues, Enrollment, SignInRecord, StoreError};
use zeroize::Zeroizing;

use super::requests::{Asked, Done, Refused};
use super::source::new_id;
use super::{Controller, SignIn};
use crate::metrics::EnrolledBy;
use crate::sign_in::SignInError;

impl Controller {
    pub(super) async fn enroll(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        if !self.limits.attempt(asked.caller.identifier()) {
            return Err(Refused::TooMany);
        }
        let token = AuthenticateOidcToken::decode(asked.body)
            .map_err(|error| Refused::Unusable(format!("malformed body: {error}")))?;
        let enrolled = match (token.access_token.strip_prefix(CODE), &self.options.sign_in) {
            (Some(code), _) => self.enroll_by_code(asked, code).await,
            (None, Some(sign_in)) => {
                self.enroll_signed_in(asked, &**sign_in, &token.access_token)
                    .await
            }
            (None, None) => Err(Refused::Forbidden(NOBODY_SIGNS_IN)),
        };
        match enrolled {
            Ok(due) => {
                self.enrollments.fetch_add(1, Ordering::Relaxed);
                let by = if token.access_token.starts_with(CODE) {
                    EnrolledBy::Code
                } else {
                    EnrolledBy::SignIn
                };
                self.options.metrics.note_enrollment(by);
                self.settle(due).await?;
                Ok(Done::nothing().noted())
            }
            Err(refused) => {
                if matches!(refused, Refused::Forbidden(_)) {
                    self.limits
                        .wrong(asked.caller.identifier(), asked.caller.source);
                }
                Err(refused)
            }
        }
    }

    async fn enroll_by_code(&self, asked: &Asked<'_>, code: &str) -> Result<Dues, Refused> {
        let code: OneTimeCode = code.parse().map_err(|_| Refused::Forbidden(UNKNOWN_CODE))?;
        let new_id = new_id(&*self.options.source);
        let made_up = format!("machine-{}@{MADE_UP}", new_id.get(..8).unwrap_or_default());
        let redeemed = self
            .store
            .redeem_invitation_code(
                &hash_of(&code),
                asked.caller.identifier(),
                (&new_id, &made_up),
                &asked.entry(self, ""),
            )
            .await?;
        match redeemed {
            CodeRedemption::Redeemed { due, .. } => Ok(due),
            CodeRedemption::Unknown => Err(Refused::Forbidden(UNKNOWN_CODE)),
        }
    }

    async fn enroll_signed_in(
        &self,
        asked: &Asked<'_>,
        sign_in: &dyn SignIn,
        token: &str,
    ) -> Result<Dues, Refused> {
        let verified = sign_in.verify(token).await;
        self.options.metrics.note_sign_in(match &verified {
            Ok(_) => "accepted",
            Err(SignInError::Refused(_)) => "refused",
            Err(SignInError::Unavailable(_)) => "unavailable",
        });
        let somebody = verified.map_err(|error| match error {
            SignInError::Refused(why) => {
                tracing::info!("an access token is refused: {why}");
                Refused::Forbidden("the access token is not accepted")
            }
            SignInError::Unavailable(why) => {
                tracing::warn!("the sign-in provider cannot be asked: {why}");
                Refused::Unavailable("the sign-in provider cannot be asked now, try again")
            }
        })?;
        let attributes = serde_json::to_vec(&allowed(somebody.attributes))
            .map_err(|error| Refused::Failed(Box::new(error)))?;
        let record = SignInRecord {
            issuer: somebody.issuer,
            subject: somebody.subject,
            email: somebody.email,
            attributes,
            new_id: new_id(&*self.options.source),
            admitted: somebody.admitted,
        };
        match self
            .store
            .enroll_signed_in(asked.caller.identifier(), &record, &asked.entry(self, ""))
            .await?
        {
            Enrollment::Enrolled { due, .. } => Ok(due),
            Enrollment::ActsForAnother => Err(Refused::Forbidden(
                "this identity is enrolled as somebody else",
            )),
            Enrollment::NotInvited => Err(Refused::Forbidden("nobody invited this account")),
        }
    }

    pub(super) fn me(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let account = asked.granted.account()?;
        Ok(Done::with(&Me {
            id: account.id.clone(),
            number: account.number,
            email: account.email.clone(),
            administrator: account.administrator,
        }))
    }

    /// A new one-time code that makes whoever redeems it an administrator, in place of an earlier one of the same process.
    /// Other processes have codes of their own; with the first that is redeemed all of them end.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn first_administrator_code(
        &self,
        lifetime: Duration,
        instead_of: Option<&OneTimeCode>,
    ) -> Result<Zeroizing<String>, StoreError> {
        let id = new_id(&*self.options.source);
        let mut email = format!("{FIRST}@localhost");
        if self.store.account_with_email(&email).await?.is_some() {
            email = format!("{FIRST}-{}@localhost", id.get(..8).unwrap_or_default());
        }
        let now = self.options.source.now();
        let code = CodeRecord {
            id: id.clone(),
            email: Some(email),
            administrator: true,
            expires_at: UnixTime(now.0.saturating_add(lifetime.as_secs())),
            uses: 1,
            issued_by: ITSELF.to_owned(),
            account: None,
            space: None,
            project: None,
            role: Role::Guest.number(),
        };
        let (hash, text) = self.new_code();
        let object = format!("first administrator {id}");
        let entry = self.audit.entry(ITSELF, "code.create", &object, "done");
        let earlier = instead_of.map(hash_of);
        self.store
            .put_invitation_code(&hash, &code, earlier.as_ref(), &entry)
            .await?;
        Ok(text)
    }

    /// A code that nobody knows: what is stored of it, and what is told.
    pub(super) fn new_code(&self) -> ([u8; 32], Zeroizing<String>) {
        let mut bytes = Zeroizing::new([0; 32]);
        self.options.source.fill(&mut *bytes);
        let text = Zeroizing::new(hex::encode(bytes.as_slice()));
        (hash_of(&OneTimeCode::take(&mut bytes)), text)
    }
}

/// What is stored of a code: it has all its randomness, so nothing is gained by a slow hash.
fn hash_of(code: &OneTimeCode) -> [u8; 32] {
    ockam_vault::fast().sha256(&[code.as_bytes()])
}

/// Claims make nobody an enroller and stand for nothing that is found out otherwise. `spec: trust 11.2`
fn allowed(mut attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.retain(|name, _| name != ROLE && !RESERVED_ATTRIBUTES.contains(&name.as_str()));
    attributes
}

/// What the Orchestrator does by itself is noted as its own.
pub(super) const ITSELF: &str = "orchestrator";
pub(super) const PAGE: usize = 500;
const UNKNOWN_CODE: &str = "unknown one-time code";
const NOBODY_SIGNS_IN: &str = "nobody signs in here: enroll with a one-time code";
/// A domain that nobody has.
const MADE_UP: &str = "orchestrator.invalid";
const FIRST: &str = "administrator";
