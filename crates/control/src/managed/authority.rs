//! A node that is an authority: its services, kept in the store of its home, and the keys that sign (spec: trust 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use ockam_authority::message::MemberAttributes;
use ockam_authority::{
    Admins, Authority, AuthorityOptions, AuthorityServices, Change, Code, CodeHash, IssueError,
    IssueFuture, Issuer, Known, Member, Members, MembersError, Okta, Redemption, Service, Standing,
    Statement, TrustContext, Withdrawal,
};
use ockam_identity::{
    ChangeHistory, CredentialBundle, CredentialDraft, Identifier, Purpose, UnixTime,
    VerifiedHistory,
};
use ockam_node::{FlowId, services};
use ockam_store::{
    EnrollmentTokenRecord, MemberChange, MemberRecord, Store, TokenRedemption, WithdrawalRecord,
};
use ockam_vault::SoftwareVault;

use crate::home::purpose_keys::{self, KeyLifetime};
use crate::managed::Managed;
use crate::managed::sign_in::TenantUserInfo;
use crate::noun::authority::{AdminSettings, AuthoritySettings};
use crate::outcome::Failure;
use crate::state::State;

/// A running authority; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningAuthority {
    _services: AuthorityServices,
    _echo: services::Service,
}

impl Managed {
    /// Starts the services of an authority and opens them to the channels of `api`, and to nothing else.
    pub(crate) async fn start_authority(
        &self,
        settings: &AuthoritySettings,
        identifier: Identifier,
        channels: FlowId,
    ) -> Result<RunningAuthority, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::internal("the authority could not start", error)
        };
        let issuer = StoredIssuer {
            state: self.state.clone(),
            identifier,
            lifetime: self.key_lifetime,
        };
        let members = StoredMembers {
            store: self.state.store().clone(),
            authority: identifier,
        };
        let authority = Authority::start(
            identifier,
            members,
            Arc::new(issuer),
            trusted(settings)?,
            options(settings)?,
        )
        .await
        .map_err(|error| failed(&error))?;
        let services = AuthorityServices::start(&self.node, &Arc::new(authority), &of(settings))
            .map_err(|error| failed(&error))?;
        let echo =
            services::start_echo(&self.node, services::ECHO).map_err(|error| failed(&error))?;
        for address in services.addresses().iter().chain([echo.address()]) {
            self.node.router().add_consumer(address, channels);
        }
        Ok(RunningAuthority {
            _services: services,
            _echo: echo,
        })
    }
}

/// Whose credentials make admins (spec: trust 7.2).
pub(crate) fn account_authority(
    settings: &AuthoritySettings,
) -> Result<Option<VerifiedHistory>, Failure> {
    let Some(text) = &settings.account_authority else {
        return Ok(None);
    };
    let wrong = || Failure::new("the history of the account authority cannot be used");
    let history = ChangeHistory::from_hex(text).map_err(|error| wrong().caused_by(&error))?;
    history
        .verify(ockam_vault::fast(), None)
        .map(Some)
        .map_err(|error| wrong().caused_by(&error))
}

/// Whether an authority could be started with these settings.
#[cfg(feature = "cli")]
pub(crate) fn check(settings: &AuthoritySettings) -> Result<(), Failure> {
    account_authority(settings)?;
    options(settings)?;
    trusted(settings).map(drop)
}

/// Whom it trusts from the start (spec: trust 7.6).
fn trusted(
    settings: &AuthoritySettings,
) -> Result<BTreeMap<Identifier, MemberAttributes>, Failure> {
    let attributes_of = |who: &Identifier, pairs: &BTreeMap<String, String>| {
        let refused = |why: String| {
            Failure::new(format!(
                "the attributes of the trusted identity {who} cannot be used"
            ))
            .cause(why)
        };
        let attributes =
            MemberAttributes::from_pairs(pairs).map_err(|error| refused(error.to_string()))?;
        match attributes.reserved() {
            // spec: trust 11.2 (1)
            Some(name) => Err(refused(format!("{name} is a reserved name"))),
            None => Ok((*who, attributes)),
        }
    };
    settings
        .trusted_identities
        .iter()
        .map(|(who, pairs)| attributes_of(who, pairs))
        .collect()
}

fn options(settings: &AuthoritySettings) -> Result<AuthorityOptions, Failure> {
    let mut options = AuthorityOptions::new(settings.project.clone());
    if let Some(ttl) = settings.ttl {
        options.lifetime = ttl.0.as_secs();
    }
    if !settings.trust_context_id {
        options.trust_context = TrustContext::LeftOut;
    }
    options.admins = match settings.admins {
        AdminSettings::TrustedEnrollers => Admins::PreTrustedEnrollers,
        AdminSettings::AllEnrollers => Admins::AllEnrollers,
        AdminSettings::AccountOnly => Admins::Nobody,
    };
    options.account_authority = account_authority(settings)?.map(|known| *known.identifier());
    options.okta = settings
        .okta
        .as_ref()
        .map(|okta| {
            let tenant = TenantUserInfo::new(okta)?;
            Okta::new(Box::new(tenant), okta.attributes.clone())
                .map_err(|error| Failure::new(error.to_string()))
        })
        .transpose()?;
    Ok(options)
}

/// The services that are asked for (spec: trust 7.1).
fn of(settings: &AuthoritySettings) -> Vec<Service> {
    Service::ALL
        .into_iter()
        .filter(|service| match service {
            Service::DirectAuthenticator => settings.direct_authentication,
            Service::TokenIssuer | Service::TokenAcceptor => settings.token_enrollment,
            Service::CredentialIssuer | Service::WithdrawalNotices => true,
            Service::Okta => settings.okta.is_some(),
        })
        .collect()
}

/// Signs with the credential key of an identity of the home, which is renewed in time.
#[derive(Debug)]
struct StoredIssuer {
    state: State,
    identifier: Identifier,
    lifetime: KeyLifetime,
}

impl Issuer for StoredIssuer {
    fn issue<'a>(&'a self, statement: Statement<'a>) -> IssueFuture<'a> {
        Box::pin(self.sign(statement))
    }
}

impl StoredIssuer {
    async fn sign(&self, statement: Statement<'_>) -> Result<CredentialBundle, IssueError> {
        let key = purpose_keys::current(
            &self.state,
            &self.identifier,
            Purpose::Credentials,
            self.lifetime,
            Some(statement.expires_at),
        )
        .await
        .map_err(|failure| IssueError::Failed(failure.to_string().into()))?;
        if statement.created_at < key.verified.created_at() {
            return Err(IssueError::KeyIsNewer);
        }
        let provider = ockam_vault::fast();
        let draft = CredentialDraft::new(
            provider,
            statement.subject,
            statement.attributes,
            statement.created_at,
            statement.expires_at.min(key.verified.expires_at()),
        )
        .map_err(|error| IssueError::Failed(Box::new(error)))?;
        let handle = key.secret.handle.clone();
        let keys = SoftwareVault::from_records(provider, vec![key.secret])
            .map_err(|error| IssueError::Failed(Box::new(error)))?;
        draft
            .sign_with(provider, &key.history, &key.attestation, (&keys, &handle))
            .map_err(|error| IssueError::Failed(Box::new(error)))
    }
}

/// The members of one authority in the store of its home.
#[derive(Debug)]
struct StoredMembers {
    store: Store,
    authority: Identifier,
}

impl Members for StoredMembers {
    async fn member(&self, who: &Identifier) -> Result<Option<Known>, MembersError> {
        let found = self.store.member(&self.authority, who).await;
        found
            .map_err(failed)?
            .map(|(record, withdrawn)| {
                Ok(Known {
                    member: member(record)?,
                    valid_from: withdrawn.unwrap_or_default(),
                })
            })
            .transpose()
    }

    async fn change(
        &self,
        who: &[Identifier],
        mut decide: impl FnMut(&Identifier, Option<Member>) -> Change + Send,
    ) -> Result<Vec<Withdrawal>, MembersError> {
        let mut unreadable = None;
        let withdrawals = self
            .store
            .change_members(&self.authority, who, |who, known| {
                let known = match known.map(member).transpose() {
                    Ok(known) => known,
                    Err(error) => {
                        unreadable = Some(error);
                        return MemberChange::Keep;
                    }
                };
                match decide(who, known) {
                    Change::Keep => MemberChange::Keep,
                    Change::Put(member, before) => MemberChange::Put(record(&member), before),
                    Change::Remove(before) => MemberChange::Remove(before),
                }
            })
            .await
            .map_err(failed)?;
        match unreadable {
            Some(error) => Err(error),
            None => Ok(withdrawals.into_iter().map(withdrawal).collect()),
        }
    }

    async fn page(
        &self,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<(Identifier, Member)>, MembersError> {
        let page = self.store.members_behind(&self.authority, after, limit);
        page.await
            .map_err(failed)?
            .into_iter()
            .map(|(who, record)| Ok((who, member(record)?)))
            .collect()
    }

    async fn identifiers(
        &self,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<Identifier>, MembersError> {
        self.store
            .member_identifiers_behind(&self.authority, after, limit)
            .await
            .map_err(failed)
    }

    async fn pre_trusted(&self) -> Result<Vec<Identifier>, MembersError> {
        let found = self.store.pre_trusted_members(&self.authority).await;
        found.map_err(failed)
    }

    async fn put_code(&self, hash: &CodeHash, code: &Code) -> Result<(), MembersError> {
        let token = EnrollmentTokenRecord {
            attributes: code.attributes.encode(),
            issued_by: code.issued_by,
            created_at: code.created_at,
            expires_at: code.expires_at,
            uses: code.uses,
        };
        self.store
            .put_enrollment_token(&self.authority, hash.as_bytes(), &token)
            .await
            .map_err(failed)
    }

    async fn redeem(
        &self,
        hash: &CodeHash,
        who: &Identifier,
        now: UnixTime,
    ) -> Result<Redemption, MembersError> {
        let outcome = self
            .store
            .redeem_enrollment_token(&self.authority, hash.as_bytes(), who, now)
            .await
            .map_err(failed)?;
        Ok(match outcome {
            TokenRedemption::Enrolled => Redemption::Enrolled,
            TokenRedemption::AlreadyMember => Redemption::AlreadyMember,
            TokenRedemption::Unknown => Redemption::Unknown,
        })
    }

    async fn withdrawals(&self, after: u64, limit: usize) -> Result<Vec<Withdrawal>, MembersError> {
        let found = self
            .store
            .withdrawals_behind(&self.authority, after, limit)
            .await;
        Ok(found.map_err(failed)?.into_iter().map(withdrawal).collect())
    }

    async fn latest_withdrawal(&self) -> Result<u64, MembersError> {
        let latest = self.store.latest_withdrawal(&self.authority).await;
        latest.map_err(failed)
    }

    async fn note_lifetime(&self, seconds: u64) -> Result<u64, MembersError> {
        self.store
            .note_credential_lifetime(&self.authority, seconds)
            .await
            .map_err(failed)
    }

    async fn tidy(&self, now: UnixTime, withdrawn_before: UnixTime) -> Result<(), MembersError> {
        self.store
            .forget_ended_enrollment_tokens(now)
            .await
            .map_err(failed)?;
        self.store
            .forget_withdrawals(&self.authority, withdrawn_before)
            .await
            .map_err(failed)
    }
}

fn member(record: MemberRecord) -> Result<Member, MembersError> {
    Ok(Member {
        attributes: MemberAttributes::decode(&record.attributes).map_err(failed)?,
        added_by: record.added_by,
        added_at: record.added_at,
        standing: if record.is_pre_trusted {
            Standing::PreTrusted
        } else {
            Standing::Added
        },
    })
}

fn record(member: &Member) -> MemberRecord {
    MemberRecord {
        attributes: member.attributes.encode(),
        added_by: member.added_by,
        added_at: member.added_at,
        is_pre_trusted: member.standing == Standing::PreTrusted,
    }
}

fn withdrawal(record: WithdrawalRecord) -> Withdrawal {
    Withdrawal {
        sequence: record.sequence,
        subject: record.subject,
        before: record.before,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> MembersError {
    MembersError(Box::new(error))
}
