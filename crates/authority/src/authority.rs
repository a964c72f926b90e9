//! The rules of an authority: who may do what to whom.
//!
//! Invariants: whoever is not allowed changes nothing; the row that a rule looks at is the row that is changed, in one
//! transaction; every credential that was given out bears an earlier moment than the withdrawal that follows it.
//!
//! Specification: trust 7.2 to 7.5.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_identity::{CredentialBundle, Identifier, OneTimeCode, UnixTime, VerifiedHistory};
use ockam_node::Source;
use ockam_vault::Provider;
use ockam_wire::Address;
use tokio::sync::{RwLock, Semaphore};

use crate::issuing::{self, Clock, IssueError, Issuer, Statement, TrustContext};
use crate::limits::{Cost, Entries, RequestLimits, Visitors};
use crate::members::{
    Change, Code, CodeHash, Known, Member, Members, MembersError, Redemption, Standing, Withdrawal,
};
use crate::message::{
    AddMember, CreateToken, MAX_WITHDRAWALS, MemberAttributes, Notices, Question,
};
use crate::okta::Okta;
use crate::sharing::{Act, Deed, Listener, Reference, Sharing};
use crate::subscribers::{Further, Subscribers};

/// Who is an admin beside those whom the account authority names. `spec: trust 7.2, 11.2 (17)`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admins {
    /// Enrollers that were named at the start of the authority.
    #[default]
    PreTrustedEnrollers,
    /// All enrollers, as in the published program.
    AllEnrollers,
    /// Nobody; only with an account authority.
    Nobody,
}

/// How an authority works.
pub struct AuthorityOptions {
    /// The id of the project.
    pub project: String,
    /// For how many seconds credentials are good.
    pub lifetime: u64,
    /// Whether credentials name the project.
    pub trust_context: TrustContext,
    /// Who is an admin.
    pub admins: Admins,
    /// Whose credentials name the admins of the project, if anybody's do. `spec: trust 7.2`
    pub account_authority: Option<Identifier>,
    /// How often one identity may ask.
    pub limits: RequestLimits,
    /// The sign-in service, if there is one.
    pub okta: Option<Okta>,
    /// Whether other processes work as the same authority.
    pub sharing: Sharing,
    /// Who is told of withdrawals at once.
    pub listener: Option<Arc<dyn Listener>>,
    /// What hashes one-time codes and draws them.
    pub provider: &'static dyn Provider,
    /// The time; that of the system unless a test says otherwise.
    pub clock: Arc<dyn Fn() -> UnixTime + Send + Sync>,
}

impl AuthorityOptions {
    /// The usual ways of an authority of this project.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            lifetime: DEFAULT_LIFETIME,
            trust_context: TrustContext::default(),
            admins: Admins::default(),
            account_authority: None,
            limits: RequestLimits::default(),
            okta: None,
            sharing: Sharing::default(),
            listener: None,
            provider: ockam_vault::fast(),
            clock: Arc::new(issuing::system_time),
        }
    }
}

impl fmt::Debug for AuthorityOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityOptions")
            .field("project", &self.project)
            .field("lifetime", &self.lifetime)
            .field("admins", &self.admins)
            .field("okta", &self.okta)
            .field("sharing", &self.sharing)
            .finish_non_exhaustive()
    }
}

/// How long credentials are good unless said otherwise: 30 days. `spec: trust 7.5`
pub const DEFAULT_LIFETIME: u64 = 30 * 24 * 60 * 60;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The peer of the channel, with the history it presented.
    pub history: Arc<VerifiedHistory>,
    /// The channel.
    pub channel: Address,
    /// From where the channel comes, if that is known.
    pub source: Option<Source>,
    /// Whether it proved by a credential of the account authority that it administers the project. `spec: trust 7.2`
    pub administers_project: bool,
}

impl Caller {
    /// Its identifier.
    pub fn identifier(&self) -> &Identifier {
        self.history.identifier()
    }
}

/// What somebody may do.
#[derive(Clone, Debug, Default)]
struct Role {
    member: Option<Known>,
    enroller: bool,
    admin: bool,
    project_admin: bool,
}

impl Role {
    fn is_member(&self) -> bool {
        self.member.is_some() || self.project_admin
    }
}

/// The members of a project and the rules around them.
#[derive(Debug)]
pub struct Authority<M> {
    identifier: Identifier,
    members: M,
    issuer: Arc<dyn Issuer>,
    options: AuthorityOptions,
    clock: Clock,
    visitors: Visitors,
    entries: Entries,
    subscribers: Subscribers,
    /// Read while it is found out whether somebody gets a credential and of which moment, written while one is
    /// withdrawn. Held across the store's await on purpose, by short transactions only.
    order: RwLock<()>,
    /// Held while withdrawals are told that are read from what is remembered, so that they are told in their order.
    catching_up: tokio::sync::Mutex<()>,
    /// Whole lists are made one at a time.
    pub(crate) whole_lists: Semaphore,
}

impl<M: Members> Authority<M> {
    /// Starts an authority: its pre-trusted members are made anew, and what those lost that are not named any more is
    /// withdrawn. `spec: trust 7.6`
    ///
    /// # Errors
    /// [`MembersError`].
    pub async fn start(
        identifier: Identifier,
        members: M,
        issuer: Arc<dyn Issuer>,
        pre_trusted: BTreeMap<Identifier, MemberAttributes>,
        options: AuthorityOptions,
    ) -> Result<Self, MembersError> {
        let clock = Clock::new(options.clock.clone());
        let now = clock.now();
        members.note_lifetime(options.lifetime).await?;
        let mut named: BTreeSet<Identifier> = members.pre_trusted().await?.into_iter().collect();
        named.extend(pre_trusted.keys());
        let named: Vec<Identifier> = named.into_iter().collect();
        if !named.is_empty() {
            members
                .change(&named, None, |who, member| match pre_trusted.get(who) {
                    Some(attributes) => {
                        pre_trust(identifier, attributes, member, now, options.sharing)
                    }
                    None => Change::Remove(options.sharing.void_before(now)),
                })
                .await?;
        }
        let latest = members.latest_withdrawal().await?;
        let authority = Self {
            identifier,
            members,
            issuer,
            visitors: Visitors::new(options.limits),
            entries: Entries::new(options.limits),
            subscribers: Subscribers::new(random(), latest),
            options,
            clock,
            order: RwLock::new(()),
            catching_up: tokio::sync::Mutex::default(),
            whole_lists: Semaphore::new(1),
        };
        authority.tidy().await?;
        Ok(authority)
    }

    /// The identity that issues.
    pub fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// How it works.
    pub fn options(&self) -> &AuthorityOptions {
        &self.options
    }

    /// What it remembers.
    pub fn members(&self) -> &M {
        &self.members
    }

    /// How many members are told of withdrawals as they happen.
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// Forgets what ended; called now and then.
    ///
    /// # Errors
    /// [`MembersError`].
    pub async fn tidy(&self) -> Result<(), MembersError> {
        self.subscribers.sweep(Instant::now());
        let longest = self.members.note_lifetime(self.options.lifetime).await?;
        let now = self.clock.now();
        // spec: extensions 4.5.1
        let withdrawn_before = UnixTime(now.0.saturating_sub(longest));
        self.members.tidy(now, withdrawn_before).await
    }

    /// Counts a request; refuses it if there were too many.
    pub(crate) fn admit(&self, caller: &Caller) -> Result<(), Refused> {
        self.charge(caller, Cost::Request)
    }

    /// Counts that somebody tries to become a member; refuses it if too many from there did.
    fn admit_entry(&self, caller: &Caller) -> Result<(), Refused> {
        if self.entries.admit(caller.source, Instant::now()) {
            Ok(())
        } else {
            Err(Refused::TooMany)
        }
    }

    /// Counts that a code or token was none.
    fn charge_wrong(&self, caller: &Caller) -> Result<(), Refused> {
        self.entries.wrong(caller.source, Instant::now());
        self.charge(caller, Cost::WrongCode)
    }

    fn charge(&self, caller: &Caller, cost: Cost) -> Result<(), Refused> {
        if self
            .visitors
            .admit(caller.identifier(), cost, Instant::now())
        {
            Ok(())
        } else {
            Err(Refused::TooMany)
        }
    }

    /// spec: trust 7.2
    async fn role(&self, caller: &Caller) -> Result<Role, Refused> {
        let member = self.members.member(caller.identifier()).await?;
        let row = member.as_ref().map(|known| &known.member);
        let enroller = row.is_some_and(|row| row.attributes.is_enroller());
        self.visitors.note_enroller(caller.identifier(), enroller);
        let admin = match self.options.admins {
            Admins::AllEnrollers => enroller,
            Admins::PreTrustedEnrollers => {
                enroller && row.is_some_and(|row| row.standing == Standing::PreTrusted)
            }
            Admins::Nobody => false,
        };
        let project_admin = caller.administers_project;
        Ok(Role {
            member,
            enroller: enroller || project_admin,
            admin: admin || project_admin,
            project_admin,
        })
    }

    pub(crate) async fn enroller(
        &self,
        caller: &Caller,
        refusal: &'static str,
    ) -> Result<MayEnroll, Refused> {
        let role = self.role(caller).await?;
        if role.enroller {
            Ok(MayEnroll { admin: role.admin })
        } else {
            Err(Refused::Forbidden(refusal.to_owned()))
        }
    }

    pub(crate) async fn add_member(&self, caller: &Caller, add: AddMember) -> Result<(), Refused> {
        const NOT_ENROLLER: &str = "Non-enroller is trying to add a member";
        self.enroller(caller, NOT_ENROLLER).await?;
        check_attributes(&add.attributes)?;
        let order = self.order.write().await;
        let MayEnroll { admin } = self.enroller(caller, NOT_ENROLLER).await?;
        if add.attributes.is_enroller() && !admin {
            return Err(Refused::Forbidden(
                "Non-admin is trying to add an enroller".to_owned(),
            ));
        }
        let now = self.clock.now();
        let added_by = *caller.identifier();
        let deed = self.deed(caller, now, Act::AddMember(&add.member));
        self.change_one(&add.member, &deed, |member| {
            if !admin && member.is_some_and(is_protected) {
                // spec: trust 11.2 (26)
                return Err("Non-admin is trying to change an enroller or a pre-trusted member");
            }
            Ok(Change::Put(
                Member {
                    attributes: add.attributes.clone(),
                    added_by,
                    added_at: now,
                    standing: member.map_or(Standing::Added, |member| member.standing),
                },
                withdrawn_by(member, &add.attributes, now, self.options.sharing),
            ))
        })
        .await?;
        drop(order);
        Ok(())
    }

    pub(crate) async fn remove_member(
        &self,
        caller: &Caller,
        who: &Identifier,
    ) -> Result<(), Refused> {
        const NOT_ENROLLER: &str = "Non-enroller is trying to delete a member";
        self.enroller(caller, NOT_ENROLLER).await?;
        let order = self.order.write().await;
        let MayEnroll { admin } = self.enroller(caller, NOT_ENROLLER).await?;
        let now = self.clock.now();
        let before = self.options.sharing.void_before(now);
        let deed = self.deed(caller, now, Act::RemoveMember(who));
        self.change_one(who, &deed, |member| match member {
            None => Ok(Change::Keep),
            Some(member) => removable(member, admin).map(|()| Change::Remove(before)),
        })
        .await?;
        drop(order);
        Ok(())
    }

    /// Removes all members that the caller may remove, but not itself.
    pub(crate) async fn remove_members(&self, caller: &Caller) -> Result<(), Refused> {
        const NOT_ENROLLER: &str = "Non-enroller is trying to delete members";
        let mut after = None;
        loop {
            let batch = {
                let _order = self.order.write().await;
                let MayEnroll { admin } = self.enroller(caller, NOT_ENROLLER).await?;
                let batch = self.members.identifiers(after.as_ref(), BATCH).await?;
                let now = self.clock.now();
                let moment = self.options.sharing.void_before(now);
                let deed = self.deed(caller, now, Act::RemoveMembers);
                let mut gone = Vec::new();
                let withdrawals = self
                    .members
                    .change(&batch, Some(&deed), |who, member| match member {
                        Some(member)
                            if who != caller.identifier() && removable(&member, admin).is_ok() =>
                        {
                            gone.push(*who);
                            Change::Remove(moment)
                        }
                        _ => Change::Keep,
                    })
                    .await?;
                self.tell(&withdrawals, &gone).await;
                batch
            };
            after = batch.last().copied();
            if batch.len() < BATCH {
                return Ok(());
            }
        }
    }

    pub(crate) async fn member(
        &self,
        caller: &Caller,
        who: &Identifier,
    ) -> Result<Member, Refused> {
        self.enroller(caller, "Non-enroller is trying to show a member")
            .await?;
        let known = self.members.member(who).await?;
        known
            .map(|known| known.member)
            .ok_or_else(|| Refused::Forbidden(format!("Member {who} not found")))
    }

    pub(crate) async fn create_code(
        &self,
        caller: &Caller,
        create: CreateToken,
    ) -> Result<OneTimeCode, Refused> {
        let MayEnroll { admin } = self
            .enroller(
                caller,
                "Non-enroller is trying to issue an enrollment token",
            )
            .await?;
        check_attributes(&create.attributes)?;
        if create.attributes.is_enroller() && !admin {
            return Err(Refused::Forbidden(
                "Non-admin is trying to issue an enroller token".to_owned(),
            ));
        }
        let uses = create.ttl_count.unwrap_or(1);
        if uses == 0 {
            return Err(Refused::Malformed(
                "a token is used at least once".to_owned(),
            ));
        }
        let now = self.clock.now();
        let code = OneTimeCode::generate(&mut fill_random);
        let record = Code {
            attributes: create.attributes,
            issued_by: *caller.identifier(),
            created_at: now,
            expires_at: now.plus(create.ttl_secs.unwrap_or(DEFAULT_CODE_LIFETIME)),
            uses,
        };
        let hash = CodeHash::of(&code, self.options.provider);
        let deed = self.deed(caller, now, Act::IssueCode(Reference::of(&hash), uses));
        self.members.put_code(&hash, &record, &deed).await?;
        tracing::info!(by = %caller.identifier(), uses, expires_at = record.expires_at.0, "a one-time code was issued");
        Ok(code)
    }

    pub(crate) async fn redeem(&self, caller: &Caller, code: &OneTimeCode) -> Result<(), Refused> {
        self.admit_entry(caller)?;
        let hash = CodeHash::of(code, self.options.provider);
        let now = self.clock.now();
        let deed = self.deed(caller, now, Act::RedeemCode(Reference::of(&hash)));
        match self
            .members
            .redeem(&hash, caller.identifier(), &deed)
            .await?
        {
            Redemption::Enrolled => {
                tracing::info!(member = %caller.identifier(), "a one-time code was redeemed");
                Ok(())
            }
            Redemption::AlreadyMember => Err(Refused::Forbidden("Already a member".to_owned())),
            Redemption::Unknown => {
                self.charge_wrong(caller)?;
                Err(Refused::Forbidden("Unknown enrollment token".to_owned()))
            }
        }
    }

    pub(crate) async fn issue(&self, caller: &Caller) -> Result<CredentialBundle, Refused> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.issue_now(caller).await? {
                // A key is renewed while a credential is asked for: from the next second on it signs.
                Err(IssueError::KeyIsNewer) if attempts < 3 => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                issued => return Ok(issued?),
            }
        }
    }

    async fn issue_now(
        &self,
        caller: &Caller,
    ) -> Result<Result<CredentialBundle, IssueError>, Refused> {
        let (role, now) = {
            let _order = self.order.read().await;
            // The moment first: a withdrawal that this does not see yet bears a later one.
            let now = self.clock.now();
            (self.role(caller).await?, now)
        };
        if !role.is_member() {
            return Err(Refused::Forbidden("unauthorized member".to_owned()));
        }
        let valid_from = role
            .member
            .as_ref()
            .map_or(UnixTime(0), |known| known.valid_from);
        let created_at = now.max(valid_from);
        let attributes = issuing::attributes(
            &self.options.project,
            self.options.trust_context,
            role.project_admin,
            role.member.as_ref().map(|known| &known.member.attributes),
        )
        .map_err(|error| Refused::Failed(Box::new(error)))?;
        let statement = Statement {
            subject: &caller.history,
            attributes,
            created_at,
            expires_at: created_at.plus(self.options.lifetime),
        };
        Ok(self.issuer.issue(statement).await)
    }

    pub(crate) async fn enroll_by_sign_in(
        &self,
        caller: &Caller,
        token: &str,
    ) -> Result<(), Refused> {
        let Some(okta) = &self.options.okta else {
            return Err(Refused::UnknownPath);
        };
        self.admit_entry(caller)?;
        let attributes = match okta.attributes(token).await {
            Ok(attributes) => attributes,
            Err(error) => {
                tracing::info!(caller = %caller.identifier(), "{error}");
                self.charge_wrong(caller)?;
                return Err(Refused::Forbidden("the token is not accepted".to_owned()));
            }
        };
        let order = self.order.write().await;
        let now = self.clock.now();
        let who = *caller.identifier();
        let deed = self.deed(caller, now, Act::SignIn);
        self.change_one(&who, &deed, |member| {
            // spec: trust 11.2 (18). Whoever signed in before may do so again; nobody else's row is touched.
            if member.is_some_and(|member| member.added_by != who || is_protected(member)) {
                return Err("Already a member");
            }
            let withdrawn = withdrawn_by(member, &attributes, now, self.options.sharing);
            Ok(Change::Put(
                Member {
                    attributes: attributes.clone(),
                    added_by: who,
                    added_at: now,
                    standing: Standing::Added,
                },
                withdrawn,
            ))
        })
        .await?;
        drop(order);
        Ok(())
    }

    /// What was withdrawn since, and, if that is all, what will be. `spec: extensions 4.5`
    pub(crate) async fn withdrawals(
        &self,
        caller: &Caller,
        question: &Question,
    ) -> Result<(Notices, Option<Further>), Refused> {
        let _order = self.order.read().await;
        if !self.role(caller).await?.is_member() {
            return Err(Refused::Forbidden("unauthorized member".to_owned()));
        }
        let (run, latest) = (self.subscribers.run(), self.subscribers.latest());
        let after = match question.run {
            Some(known) if known == run && question.position <= latest => question.position,
            _ => 0,
        };
        // Most questions are asked by those that know everything.
        let mut found = if after == latest {
            Vec::new()
        } else {
            self.members.withdrawals(after, MAX_WITHDRAWALS + 1).await?
        };
        let more = found.len() > MAX_WITHDRAWALS;
        found.truncate(MAX_WITHDRAWALS);
        let upto = match found.last() {
            Some(last) if more => last.sequence,
            _ => latest,
        };
        let notices = Notices {
            run,
            after,
            upto,
            withdrawn: found
                .iter()
                .map(|withdrawal| (withdrawal.subject, withdrawal.before))
                .collect(),
            more,
        };
        let further = if more {
            None
        } else {
            self.subscribers
                .subscribe(*caller.identifier(), &caller.channel, Instant::now())
        };
        Ok((notices, further))
    }

    /// Changes one row and tells the subscribers. The caller holds the order.
    async fn change_one(
        &self,
        who: &Identifier,
        deed: &Deed<'_>,
        mut decide: impl FnMut(Option<&Member>) -> Result<Change, &'static str> + Send,
    ) -> Result<(), Refused> {
        let mut refused = None;
        let mut removed = false;
        let withdrawals = self
            .members
            .change(
                std::slice::from_ref(who),
                Some(deed),
                |_, member| match decide(member.as_ref()) {
                    Ok(change) => {
                        removed = matches!(change, Change::Remove(_));
                        change
                    }
                    Err(refusal) => {
                        refused = Some(refusal);
                        Change::Keep
                    }
                },
            )
            .await?;
        let gone = if removed {
            std::slice::from_ref(who)
        } else {
            &[]
        };
        self.tell(&withdrawals, gone).await;
        match refused {
            Some(refusal) => Err(Refused::Forbidden(refusal.to_owned())),
            None => Ok(()),
        }
    }

    /// Tells of what was withdrawn, here or elsewhere, and was not told yet. Nothing of it is lost if this fails: the next
    /// time tells it too.
    ///
    /// # Errors
    /// [`MembersError`].
    pub async fn catch_up(&self) -> Result<(), MembersError> {
        let _one = self.catching_up.lock().await;
        loop {
            let told = self.subscribers.latest();
            let withdrawals = self.members.withdrawals(told, MAX_WITHDRAWALS).await?;
            let mut gone = Vec::new();
            for withdrawal in &withdrawals {
                if self.members.member(&withdrawal.subject).await?.is_none() {
                    gone.push(withdrawal.subject);
                }
            }
            self.tell_these(&withdrawals, &gone);
            if withdrawals.len() < MAX_WITHDRAWALS {
                return Ok(());
            }
        }
    }

    async fn tell(&self, withdrawals: &[Withdrawal], gone: &[Identifier]) {
        if withdrawals.is_empty() {
            return;
        }
        if self.options.sharing == Sharing::Alone {
            self.tell_these(withdrawals, gone);
            return;
        }
        // Those of others may stand between these and what was told last.
        if let Err(error) = self.catch_up().await {
            let cause = std::error::Error::source(&error);
            tracing::warn!("withdrawals are told later: {error}: {cause:?}");
        }
    }

    fn tell_these(&self, withdrawals: &[Withdrawal], gone: &[Identifier]) {
        for withdrawal in withdrawals {
            tracing::info!(member = %withdrawal.subject, before = withdrawal.before.0, "credentials were withdrawn");
        }
        if let Some(listener) = &self.options.listener {
            listener.withdrawn(withdrawals, gone);
        }
        self.subscribers.tell(withdrawals, gone);
    }

    /// What is noted of what a caller does.
    fn deed<'a>(&'a self, caller: &'a Caller, at: UnixTime, act: Act<'a>) -> Deed<'a> {
        Deed {
            project: &self.options.project,
            by: caller.identifier(),
            at,
            act,
        }
    }
}

/// An enroller, and whether it may do everything.
pub(crate) struct MayEnroll {
    pub(crate) admin: bool,
}

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// A rule forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// There is nothing like that.
    #[error("unknown path")]
    UnknownPath,
    /// It came from nobody in particular.
    #[error("secure channel required")]
    NoChannel,
    /// There were too many.
    #[error("too many requests, try again later")]
    TooMany,
    /// The answer does not fit.
    #[error("the list is too long for one message, ask for it in pages")]
    TooLong,
    /// The authority itself failed.
    #[error("the authority cannot do this now: try again later")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<MembersError> for Refused {
    fn from(error: MembersError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        Self::Failed(Box::new(error))
    }
}

fn pre_trust(
    authority: Identifier,
    attributes: &MemberAttributes,
    member: Option<Member>,
    now: UnixTime,
    sharing: Sharing,
) -> Change {
    let withdrawn = withdrawn_by(member.as_ref(), attributes, now, sharing);
    let added_at = member.as_ref().map_or(now, |member| member.added_at);
    let made = Member {
        attributes: attributes.clone(),
        added_by: authority,
        added_at,
        standing: Standing::PreTrusted,
    };
    if member.as_ref() == Some(&made) {
        Change::Keep
    } else {
        Change::Put(made, withdrawn)
    }
}

/// Rows that only an admin changes. `spec: trust 11.2 (26)`
fn is_protected(member: &Member) -> bool {
    member.standing == Standing::PreTrusted || member.attributes.is_enroller()
}

fn removable(member: &Member, admin: bool) -> Result<(), &'static str> {
    if member.standing == Standing::PreTrusted {
        Err("A pre-trusted member cannot be deleted")
    } else if member.attributes.is_enroller() && !admin {
        Err("Non-admin is trying to delete an enroller")
    } else {
        Ok(())
    }
}

/// The moment before which credentials are void because they say what is not so any more. `spec: extensions 4.5.1`
pub(crate) fn withdrawn_by(
    member: Option<&Member>,
    attributes: &MemberAttributes,
    now: UnixTime,
    sharing: Sharing,
) -> Option<UnixTime> {
    let lost = member?
        .attributes
        .iter()
        .any(|(name, value)| attributes.get(name) != Some(value));
    lost.then(|| sharing.void_before(now))
}

/// spec: trust 11.2 (1)
fn check_attributes(attributes: &MemberAttributes) -> Result<(), Refused> {
    match attributes.reserved() {
        Some(name) => Err(Refused::Forbidden(format!(
            "The attribute {name} is reserved"
        ))),
        None => Ok(()),
    }
}

/// Random bytes of the operating system.
///
/// # Panics
/// When the operating system has none: nothing secure can be done then.
fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// Seconds that a one-time code lives unless said otherwise. `spec: trust 7.4`
const DEFAULT_CODE_LIFETIME: u64 = 600;
/// Members that are removed in one transaction.
const BATCH: usize = 256;

#[cfg(test)]
mod tests;
