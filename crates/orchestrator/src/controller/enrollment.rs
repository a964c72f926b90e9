//! Enrolling: by a one-time code, or as a provider vouches. `spec: trust 9.2, extensions 4.8.1`

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ockam_authority::message::ROLE;
use ockam_control::controller::client::CODE;
use ockam_control::controller::message::{AuthenticateOidcToken, Me, Role};
use ockam_identity::{OneTimeCode, RESERVED_ATTRIBUTES, UnixTime};
use ockam_store::{
    AccountRecord, CodeRecord, CodeRedemption, Enrollment, SignInRecord, StoreError,
};
use zeroize::Zeroizing;

use super::requests::{Asked, Done, Refused};
use super::rights::same;
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
            Ok(account) => {
                self.enrollments.fetch_add(1, Ordering::Relaxed);
                let by = if token.access_token.starts_with(CODE) {
                    EnrolledBy::Code
                } else {
                    EnrolledBy::SignIn
                };
                self.options.metrics.note_enrollment(by);
                self.admit_guest(&account).await?;
                Ok(Done::default().on(format!("account {} {}", account.id, account.email)))
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

    async fn enroll_by_code(
        &self,
        asked: &Asked<'_>,
        code: &str,
    ) -> Result<AccountRecord, Refused> {
        let code: OneTimeCode = code.parse().map_err(|_| Refused::Forbidden(UNKNOWN_CODE))?;
        let new_id = new_id(&*self.options.source);
        let made_up = format!("machine-{}@{MADE_UP}", new_id.get(..8).unwrap_or_default());
        let redeemed = self
            .store
            .redeem_invitation_code(
                &hash(&code),
                asked.caller.identifier(),
                (&new_id, &made_up),
                self.options.source.now(),
            )
            .await?;
        match redeemed {
            CodeRedemption::Redeemed { account, .. } => Ok(*account),
            CodeRedemption::Unknown => Err(Refused::Forbidden(UNKNOWN_CODE)),
        }
    }

    async fn enroll_signed_in(
        &self,
        asked: &Asked<'_>,
        sign_in: &dyn SignIn,
        token: &str,
    ) -> Result<AccountRecord, Refused> {
        let somebody = sign_in.verify(token).await.map_err(|error| match error {
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
        let now = self.options.source.now();
        match self
            .store
            .enroll_signed_in(asked.caller.identifier(), &record, now)
            .await?
        {
            Enrollment::Enrolled { account, .. } => Ok(account),
            Enrollment::ActsForAnother => Err(Refused::Forbidden(
                "this identity is enrolled as somebody else",
            )),
            Enrollment::NotInvited => Err(Refused::Forbidden("nobody invited this account")),
        }
    }

    /// Makes the identities of an account members where it is a guest, with the attributes it has now.
    pub(super) async fn admit_guest(&self, account: &AccountRecord) -> Result<(), Refused> {
        let attributes: BTreeMap<String, String> =
            serde_json::from_slice(&account.attributes).unwrap_or_default();
        let identifiers = self.store.account_identifiers(&account.id).await?;
        let mut after = String::new();
        loop {
            let page = self
                .store
                .hosted_projects_of(&account.email, &after, PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.id);
            for project in &page {
                let is_guest = project.roles.iter().any(|role| {
                    role.role == Role::Guest.number() && same(&role.email, &account.email)
                });
                if !is_guest {
                    continue;
                }
                for identifier in &identifiers {
                    self.options
                        .hosting
                        .admit(&project.id, identifier, attributes.clone())
                        .await?;
                }
            }
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

    /// A new one-time code that makes whoever redeems it an administrator; earlier such codes are worth nothing any more.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn first_administrator_code(
        &self,
        lifetime: Duration,
    ) -> Result<Zeroizing<String>, StoreError> {
        self.store.delete_invitation_codes_by(ITSELF).await?;
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
        self.store.put_invitation_code(&hash, &code).await?;
        self.audit
            .note(
                ITSELF,
                "code.create",
                &format!("first administrator {id}"),
                "done",
            )
            .await?;
        Ok(text)
    }

    /// A code that nobody knows: what is stored of it, and what is told.
    pub(super) fn new_code(&self) -> ([u8; 32], Zeroizing<String>) {
        let mut bytes = Zeroizing::new([0; 32]);
        self.options.source.fill(&mut *bytes);
        let text = Zeroizing::new(hex::encode(bytes.as_slice()));
        (hash(&OneTimeCode::take(&mut bytes)), text)
    }
}

/// What is stored of a code: it has all its randomness, so nothing is gained by a slow hash.
fn hash(code: &OneTimeCode) -> [u8; 32] {
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
