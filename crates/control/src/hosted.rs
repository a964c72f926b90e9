//! What an authority and a node need that keep everything in a store: for whoever runs them outside of a managed node.

use ockam_authority::message::MemberAttributes;
use ockam_authority::{
    Act, Change, Code, CodeHash, Deed, IssueError, IssueFuture, Issuer, Known, Member, Members,
    MembersError, Redemption, Standing, Statement, Withdrawal,
};
use ockam_identity::{CredentialBundle, CredentialDraft, Identifier, Purpose, UnixTime};
use ockam_store::{
    AuditNote, EnrollmentTokenRecord, MemberChange, MemberRecord, NewAudit, Store, TokenRedemption,
    WithdrawalRecord,
};
use ockam_vault::SoftwareVault;

use crate::home::purpose_keys;
use crate::state::State;

pub use crate::home::purpose_keys::KeyLifetime;
pub use crate::managed::{StoredHistories, StoredIdentity, TenantUserInfo};

/// Signs with the credential key of an identity of the home, which is renewed in time.
#[derive(Debug)]
pub struct StoredIssuer {
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
    /// Signs as the identity with this identifier.
    pub fn new(state: &State, identifier: Identifier, lifetime: KeyLifetime) -> Self {
        Self {
            state: state.clone(),
            identifier,
            lifetime,
        }
    }

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
pub struct StoredMembers {
    store: Store,
    authority: Identifier,
    /// Whether what is done is in the audit log.
    is_audited: bool,
}

impl StoredMembers {
    /// Those of the authority with this identifier.
    pub fn new(store: &Store, authority: Identifier) -> Self {
        Self {
            store: store.clone(),
            authority,
            is_audited: false,
        }
    }

    /// The same, with an entry in the audit log for whatever is done to them.
    #[must_use]
    pub fn audited(self) -> Self {
        Self {
            is_audited: true,
            ..self
        }
    }

    /// The entry for something that is done to so many.
    fn entry(&self, deed: &Deed<'_>, number: usize) -> Option<NewAudit> {
        let (action, object) = match deed.act {
            Act::AddMember(who) => ("add member", who.to_string()),
            Act::RemoveMember(who) => ("remove member", who.to_string()),
            Act::RemoveMembers => ("remove members", number.to_string()),
            Act::IssueCode(code, uses) => ("issue ticket", format!("{code} for {uses}")),
            Act::RedeemCode(code) => ("redeem ticket", code.to_string()),
            Act::SignIn => ("sign in", String::new()),
            _ => ("change", String::new()),
        };
        let note = AuditNote {
            actor: deed.by.to_string(),
            action: action.to_owned(),
            object: format!("{} {object}", deed.project).trim_end().to_owned(),
            outcome: "done".to_owned(),
        };
        self.is_audited.then_some(NewAudit { at: deed.at, note })
    }
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
        deed: Option<&Deed<'_>>,
        mut decide: impl FnMut(&Identifier, Option<Member>) -> Change + Send,
    ) -> Result<Vec<Withdrawal>, MembersError> {
        let mut unreadable = None;
        let entry = deed.map(|deed| |number| self.entry(deed, number));
        let entry = entry
            .as_ref()
            .map(|entry| entry as &(dyn Fn(usize) -> Option<NewAudit> + Send + Sync));
        let withdrawals = self
            .store
            .change_members(&self.authority, who, entry, |who, known| {
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

    async fn put_code(
        &self,
        hash: &CodeHash,
        code: &Code,
        deed: &Deed<'_>,
    ) -> Result<(), MembersError> {
        let entry = self.entry(deed, 1);
        let token = EnrollmentTokenRecord {
            attributes: code.attributes.encode(),
            issued_by: code.issued_by,
            created_at: code.created_at,
            expires_at: code.expires_at,
            uses: code.uses,
        };
        self.store
            .put_enrollment_token(&self.authority, hash.as_bytes(), &token, entry.as_ref())
            .await
            .map_err(failed)
    }

    async fn redeem(
        &self,
        hash: &CodeHash,
        who: &Identifier,
        deed: &Deed<'_>,
    ) -> Result<Redemption, MembersError> {
        let entry = self.entry(deed, 1);
        let outcome = self
            .store
            .redeem_enrollment_token(
                &self.authority,
                hash.as_bytes(),
                who,
                deed.at,
                entry.as_ref(),
            )
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
