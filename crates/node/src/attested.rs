//! What an authority says of peers, as far as it is proven and still counts (spec: trust 4.5, 4.8).
//!
//! Attributes are kept by subject and issuer, never by channel. They stop counting when their credential ends, when it is
//! withdrawn, and while the authority has not been heard of for too long. Every change that may alter a decision ticks
//! [`Attested::generation`]; a timer sees to those that only time brings about.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use ockam_identity::{
    Attributes, Comparison, Identifier, UnixTime, VerifiedChange, VerifiedCredential,
    VerifiedHistory,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::node::unix_time;

pub(crate) use self::early::Early;

mod early;

/// Whose credentials count (spec: trust 4.8). Cloning gives another handle to the same authority.
#[derive(Clone)]
pub struct Authority {
    identifier: Identifier,
    // Held for one copy of the pointer, or its replacement.
    history: Arc<RwLock<Arc<VerifiedHistory>>>,
    /// Counts the newer histories.
    changes: watch::Sender<u64>,
    /// Counts the credentials that may be signed under a change that is not known here.
    outpaced: watch::Sender<u64>,
}

impl Authority {
    /// The identity with this history.
    pub fn new(history: VerifiedHistory) -> Self {
        Self {
            identifier: *history.identifier(),
            history: Arc::new(RwLock::new(Arc::new(history))),
            changes: watch::Sender::new(0),
            outpaced: watch::Sender::new(0),
        }
    }

    /// Its identifier.
    pub const fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// Its newest known history: credentials are signed under the latest change of that.
    pub fn history(&self) -> Arc<VerifiedHistory> {
        self.history
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ticks after a newer history has become known: what was signed under the changes of before is not taken any more.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ticks when somebody presented what may be signed under a change that is not known here yet. Whoever can ask the
    /// authority does so, now and then: anybody can provoke this.
    pub fn outpaced(&self) -> watch::Receiver<u64> {
        self.outpaced.subscribe()
    }

    pub(crate) fn suspect_newer(&self) {
        self.outpaced.send_modify(|count| *count += 1);
    }

    /// Takes over a newer history; says which changes are new, none when it is not newer.
    pub(crate) fn learn(&self, history: &VerifiedHistory) -> Learned {
        let mut known = self.history.write().unwrap_or_else(PoisonError::into_inner);
        if history.identifier() != &self.identifier || history.compare(&known) != Comparison::Newer
        {
            return Learned::Nothing;
        }
        let revokes = history
            .changes()
            .iter()
            .skip(known.changes().len())
            .any(VerifiedChange::revokes_purpose_keys);
        *known = Arc::new(history.clone());
        drop(known);
        self.changes.send_modify(|count| *count += 1);
        if revokes {
            Learned::Revocation
        } else {
            Learned::Rotation
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.identifier).finish()
    }
}

/// What a history of the authority brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    Nothing,
    Rotation,
    /// What was signed with its older keys is void.
    Revocation,
}

/// Attributes of one subject by one issuer, and how long they count.
#[derive(Debug, PartialEq, Eq)]
pub struct AttestedAttributes {
    credential: VerifiedCredential,
}

impl AttestedAttributes {
    /// Of whom they speak.
    pub const fn subject(&self) -> &Identifier {
        self.credential.subject()
    }

    /// Who says so.
    pub const fn issuer(&self) -> &Identifier {
        self.credential.issuer()
    }

    /// The attributes. Those with reserved names are among them, and are passed over in decisions.
    pub const fn attributes(&self) -> &Attributes {
        self.credential.attributes()
    }

    /// When the credential was issued.
    pub const fn created_at(&self) -> UnixTime {
        self.credential.created_at()
    }

    /// From this second on they do not count.
    pub const fn expires_at(&self) -> UnixTime {
        self.credential.expires_at()
    }
}

/// A verified credential that does not count all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCounted {
    /// It was withdrawn.
    #[error("the credential was withdrawn")]
    Withdrawn,
    /// It has ended meanwhile.
    #[error("the credential expired at {0}")]
    Expired(UnixTime),
    /// One that was issued later is known.
    #[error("a credential that was issued later is known")]
    Superseded,
}

/// The registry. Cloning gives another handle.
#[derive(Clone)]
pub struct Attested {
    inner: Arc<Inner>,
}

struct Inner {
    /// The issuer whose attributes decide.
    authority: Option<Identifier>,
    most: usize,
    // Held for one look-up or change.
    known: Mutex<Known>,
    generation: Generation,
    /// Tells the timer that something ends sooner than it knows, or that the registry is gone.
    sooner: Arc<Notify>,
}

impl Attested {
    /// An empty registry; `most` is how many subjects it holds. Must be called within a tokio runtime: it starts the timer.
    pub(crate) fn new(authority: Option<Identifier>, most: usize) -> Self {
        let inner = Arc::new(Inner {
            authority,
            most,
            known: Mutex::new(Known::new()),
            generation: Generation::default(),
            sooner: Arc::default(),
        });
        let timer = run_timer(Arc::downgrade(&inner), inner.sooner.clone());
        // Without an authority nothing ever ends here.
        if authority.is_some() {
            Handle::current().spawn(timer);
        }
        Self { inner }
    }

    /// Takes over what a credential says; it was verified for the peer that presented it, or comes from the issuer.
    ///
    /// # Errors
    /// [`NotCounted`]: it is void, or one that was issued later is known.
    pub fn accept(&self, credential: VerifiedCredential) -> Result<(), NotCounted> {
        let changed = self
            .known()
            .accept(credential, unix_time(), self.inner.most)?;
        if changed {
            self.inner.generation.tick();
            self.inner.sooner.notify_one();
        }
        Ok(())
    }

    /// What the authority of this node says of `subject`, if it counts now.
    pub fn get(&self, subject: &Identifier) -> Option<Arc<AttestedAttributes>> {
        self.known()
            .get(subject, self.inner.authority.as_ref()?, unix_time())
    }

    /// Everything that counts now, for lists.
    pub fn all(&self) -> Vec<Arc<AttestedAttributes>> {
        let now = unix_time();
        let known = self.known();
        let mut all: Vec<_> = known
            .by_subject
            .values()
            .flatten()
            .filter(|entry| entry.expires_at() > now)
            .cloned()
            .collect();
        drop(known);
        all.sort_by_key(|entry| (*entry.subject(), *entry.issuer()));
        all
    }

    /// Makes void what was issued to `subject` before that moment, now and whenever it is presented.
    pub fn withdraw(&self, subject: &Identifier, before: UnixTime) {
        if self.known().withdraw(subject, before) {
            self.inner.generation.tick();
        }
    }

    /// Makes void what `issuer` said so far: its keys were revoked.
    pub(crate) fn forget_issuer(&self, issuer: &Identifier) {
        if self.known().forget_issuer(issuer) {
            self.inner.generation.tick();
        }
    }

    /// The authority was heard of just now: what it has withdrawn until now is known.
    pub fn heard(&self) {
        let mut known = self.known();
        known.heard = Moment::now();
        let revived = std::mem::replace(&mut known.was_stale, false);
        drop(known);
        if revived {
            self.inner.generation.tick();
            self.inner.sooner.notify_one();
        }
    }

    /// How long the authority may not be heard of until nothing it said counts any more; `None`: for as long as its
    /// credentials last. Counts from the last time it was heard of, or from the start of the node.
    pub fn set_max_stale(&self, max_stale: Option<Duration>) {
        let mut known = self.known();
        known.max_stale = max_stale;
        let stale = known.is_stale();
        let turned = std::mem::replace(&mut known.was_stale, stale) != stale;
        drop(known);
        if turned {
            self.inner.generation.tick();
        }
        self.inner.sooner.notify_one();
    }

    /// Whether the authority has not been heard of for too long.
    pub fn is_stale(&self) -> bool {
        self.known().is_stale()
    }

    /// Ticks after any change that may alter a decision.
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.ticks.subscribe()
    }

    /// The present tick, as cheap as can be.
    pub(crate) fn tick(&self) -> u64 {
        self.inner.generation.count.load(Ordering::Acquire)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known()
    }
}

impl fmt::Debug for Attested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attested")
            .field("authority", &self.inner.authority)
            .field("generation", &self.tick())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what has ended; says how long it is until something ends next.
    fn sweep(&self) -> Option<Duration> {
        let mut known = self.known();
        let now = SystemTime::now();
        let ended = known.drop_ended(unix_time());
        let stale = known.is_stale();
        let turned = std::mem::replace(&mut known.was_stale, stale) != stale;
        let next = known.next_end(now);
        drop(known);
        if ended || turned {
            self.generation.tick();
        }
        next
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A permit is kept for a timer that is not waiting yet.
        self.sooner.notify_one();
    }
}

/// Counts changes. The count is read for each message, the ticks wake those who wait.
#[derive(Debug, Default)]
struct Generation {
    count: AtomicU64,
    ticks: watch::Sender<u64>,
}

impl Generation {
    /// Called after the change, so that whoever sees the new count sees the change.
    fn tick(&self) {
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        // Two at the same time may come here in the other order.
        self.ticks.send_modify(|last| *last = (*last).max(count));
    }
}

struct Known {
    by_subject: HashMap<Identifier, Vec<Arc<AttestedAttributes>>>,
    /// The same by their end: the first ends next, and makes room when there is none.
    by_end: BTreeSet<(UnixTime, Identifier, Identifier)>,
    withdrawn: HashMap<Identifier, UnixTime>,
    /// What anybody was issued before is void: stands for withdrawals that there was no room for.
    withdrawn_from_all: UnixTime,
    max_stale: Option<Duration>,
    heard: Moment,
    /// What the last tick told.
    was_stale: bool,
}

impl Known {
    fn new() -> Self {
        Self {
            by_subject: HashMap::new(),
            by_end: BTreeSet::new(),
            withdrawn: HashMap::new(),
            withdrawn_from_all: UnixTime(0),
            max_stale: None,
            heard: Moment::now(),
            was_stale: false,
        }
    }

    fn accept(
        &mut self,
        credential: VerifiedCredential,
        now: UnixTime,
        most: usize,
    ) -> Result<bool, NotCounted> {
        let (subject, issuer) = (*credential.subject(), *credential.issuer());
        if credential.expires_at() <= now {
            return Err(NotCounted::Expired(credential.expires_at()));
        }
        let before = self.withdrawn.get(&subject).copied().unwrap_or_default();
        if credential.created_at() < before.max(self.withdrawn_from_all) {
            return Err(NotCounted::Withdrawn);
        }
        let known = self.find(&subject, &issuer);
        if let Some(known) = known.filter(|known| known.expires_at() > now) {
            if known.credential == credential {
                return Ok(false);
            }
            // Whoever was given less must not get back to what it had with what it kept.
            if credential.created_at() < known.created_at() {
                return Err(NotCounted::Superseded);
            }
        }
        self.remove(&subject, &issuer);
        if self.by_end.len() >= most
            && let Some((_, subject, issuer)) = self.by_end.first().copied()
        {
            tracing::warn!(%subject, "attributes forgotten: there is no room for those of another peer");
            self.remove(&subject, &issuer);
        }
        self.by_end
            .insert((credential.expires_at(), subject, issuer));
        let entry = Arc::new(AttestedAttributes { credential });
        self.by_subject.entry(subject).or_default().push(entry);
        Ok(true)
    }

    fn find(&self, subject: &Identifier, issuer: &Identifier) -> Option<&Arc<AttestedAttributes>> {
        self.by_subject
            .get(subject)?
            .iter()
            .find(|entry| entry.issuer() == issuer)
    }

    fn get(
        &self,
        subject: &Identifier,
        issuer: &Identifier,
        now: UnixTime,
    ) -> Option<Arc<AttestedAttributes>> {
        if self.is_stale() {
            return None;
        }
        self.find(subject, issuer)
            .filter(|entry| entry.expires_at() > now)
            .cloned()
    }

    fn remove(&mut self, subject: &Identifier, issuer: &Identifier) {
        let Some(entries) = self.by_subject.get_mut(subject) else {
            return;
        };
        let by_end = &mut self.by_end;
        entries.retain(|entry| {
            let stays = entry.issuer() != issuer;
            if !stays {
                by_end.remove(&(entry.expires_at(), *subject, *issuer));
            }
            stays
        });
        if entries.is_empty() {
            self.by_subject.remove(subject);
        }
    }

    fn withdraw(&mut self, subject: &Identifier, before: UnixTime) -> bool {
        if self.withdrawn.len() >= MOST_WITHDRAWN && !self.withdrawn.contains_key(subject) {
            return self.withdraw_from_all(before);
        }
        let known = self.withdrawn.entry(*subject).or_default();
        *known = before.max(*known);
        let before = *known;
        let void = |entry: &Arc<AttestedAttributes>| entry.created_at() < before;
        let issuers: Vec<_> = self
            .by_subject
            .get(subject)
            .into_iter()
            .flatten()
            .filter(|entry| void(entry))
            .map(|entry| *entry.issuer())
            .collect();
        for issuer in &issuers {
            self.remove(subject, issuer);
        }
        !issuers.is_empty()
    }

    /// Denies rather too many than one too few.
    fn withdraw_from_all(&mut self, before: UnixTime) -> bool {
        tracing::warn!(
            "too many withdrawals to remember another: everything that was issued before {before} is void"
        );
        self.withdrawn_from_all = before.max(self.withdrawn_from_all);
        self.withdrawn.retain(|_, until| *until > before);
        self.drop_where(|entry| entry.created_at() < before)
    }

    fn forget_issuer(&mut self, issuer: &Identifier) -> bool {
        self.drop_where(|entry| entry.issuer() == issuer)
    }

    fn drop_where(&mut self, void: impl Fn(&AttestedAttributes) -> bool) -> bool {
        let dropped: Vec<_> = self
            .by_subject
            .values()
            .flatten()
            .filter(|entry| void(entry))
            .map(|entry| (*entry.subject(), *entry.issuer()))
            .collect();
        for (subject, issuer) in &dropped {
            self.remove(subject, issuer);
        }
        !dropped.is_empty()
    }

    fn drop_ended(&mut self, now: UnixTime) -> bool {
        let mut dropped = false;
        while let Some((end, subject, issuer)) = self.by_end.first().copied()
            && end <= now
        {
            self.remove(&subject, &issuer);
            dropped = true;
        }
        dropped
    }

    fn is_stale(&self) -> bool {
        self.max_stale
            .is_some_and(|longest| self.heard.elapsed() > longest)
    }

    fn next_end(&self, now: SystemTime) -> Option<Duration> {
        let end = self.by_end.first().map(|(end, ..)| {
            let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(end.0));
            end.and_then(|end| end.duration_since(now).ok())
                .unwrap_or_default()
        });
        let stale = self
            .max_stale
            .filter(|_| !self.was_stale)
            .map(|longest| longest.saturating_sub(self.heard.elapsed()));
        let next = end.into_iter().chain(stale).min()?;
        // The clock may be set meanwhile. Never twice at the same moment: what ends has ended a moment later.
        Some(next.min(LONGEST_SLEEP) + Duration::from_millis(1))
    }
}

/// A moment on both clocks: one stands still while the machine sleeps, the other can be set.
#[derive(Debug, Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The longer of both.
    fn elapsed(&self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_default();
        self.steady.elapsed().max(wall)
    }
}

/// Ticks when something ends. Waits for nothing while nothing can.
async fn run_timer(registry: Weak<Inner>, sooner: Arc<Notify>) {
    loop {
        let Some(next) = registry.upgrade().map(|inner| inner.sweep()) else {
            return;
        };
        let ends = async {
            match next {
                Some(next) => tokio::time::sleep(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ends => {}
            () = sooner.notified() => {}
        }
    }
}

/// Withdrawals that are remembered one by one.
const MOST_WITHDRAWN: usize = 131_072;
/// After this the clock is looked at again while something is to end.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
