//! Keeping the credential that a node presents.
//!
//! ```text
//!  issued                                    due                      ends
//!    ├───────────── two thirds ───────────────┼────────────────────────┤
//!                                             └ renewed; after a failure again and again, until it is
//! ```
//!
//! The credential is taken from the cache if it still serves, else fetched at once; what has begun before it is there
//! waits for it. A new one is presented from then on, and channels that are open tell their peers.
//!
//! An identity that the authority does not know as a member presents itself without a credential; when the authority cannot be
//! asked, it does not present itself at all.
//!
//! A controller is an authority too: what it says of the administrator of a project is presented to the project's authority.
//!
//! Invariants: what is presented has not ended; at most one request is under way; the authority is not asked again sooner
//! than it takes for [`Schedule::pause`] to pass, whatever happens.
//!
//! Specification: trust 4.7, 5.8.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ockam_channel::LocalIdentity;
use ockam_identity::{CredentialBundle, UnixTime, VerifiedCredential, VerifiedHistory};
use ockam_node::{IdentityUnavailable, OwnIdentity, OwnIdentityFuture};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{AuthorityClient, CredentialKind, Issued, RequestError};

/// Where a credential is kept that outlives the process.
pub trait CredentialCache: Send + Sync + fmt::Debug {
    /// The one that is kept, as it was given.
    fn load(&self) -> CacheFuture<'_, Option<CredentialBundle>>;
    /// Keeps this one in its place.
    fn store<'a>(&'a self, issued: &'a Issued) -> CacheFuture<'a, ()>;
}

/// What a cache gives.
pub type CacheFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, CredentialUnkept>> + Send + 'a>>;

/// A credential or withdrawal could not be kept, or what was kept could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what the authority said could not be kept: {0}")]
pub struct CredentialUnkept(pub String);

/// What a credential is kept with.
#[derive(Debug)]
pub struct RenewalOptions {
    /// Who asks, and whom. What this identity presents is presented to the authority and to nobody else.
    pub client: AuthorityClient,
    /// The identity that the credential is about: what it presents by itself is presented with the credential.
    pub subject: Arc<dyn OwnIdentity>,
    /// What is asked for.
    pub kind: CredentialKind,
    /// The authority's history as it is known here.
    pub authority: VerifiedHistory,
    /// Where the credential is kept.
    pub cache: Arc<dyn CredentialCache>,
    /// What a message calls that whose credential it is: `project default`.
    pub name: String,
    /// The moment before which what was issued to this identity is void, if that is heard.
    pub withdrawn: Option<watch::Receiver<UnixTime>>,
}

/// An identity that presents the credential an authority issues, and renews it in time. It ends when it is dropped.
#[derive(Debug)]
pub struct Renewal {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Renewal {
    /// Begins to keep the credential. Must be called within a tokio runtime.
    pub fn start(options: RenewalOptions) -> Self {
        let shared = Arc::new(Shared {
            base: options.subject.clone(),
            name: options.name.clone(),
            held: watch::Sender::new(Held::Unasked),
            changes: watch::Sender::new(0),
            presented: Mutex::default(),
            now: options.client.node.clone(),
        });
        let task = tokio::spawn(keep(shared.clone(), options));
        Self { shared, task }
    }

    /// What is presented now, if there is something that has not ended.
    pub fn credential(&self) -> Option<VerifiedCredential> {
        match &*self.shared.held.borrow() {
            Held::Credential(issued) if !self.shared.is_over(issued) => {
                Some(issued.credential.clone())
            }
            _ => None,
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl OwnIdentity for Renewal {
    fn current(&self) -> OwnIdentityFuture<'_> {
        Box::pin(self.shared.current())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

struct Shared {
    base: Arc<dyn OwnIdentity>,
    name: String,
    held: watch::Sender<Held>,
    changes: watch::Sender<u64>,
    // What was presented last, so that it is put together once. Held for a comparison or a copy.
    presented: Mutex<Option<Arc<LocalIdentity>>>,
    now: ockam_node::Node,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Held {
    /// The authority has not answered yet.
    Unasked,
    /// The last attempt failed, and there is none.
    Failed(String),
    /// The authority does not know this identity: there is nothing to present, and nothing that should be.
    NoMember,
    /// This one, perhaps one that has ended since.
    Credential(Issued),
}

impl Shared {
    async fn current(&self) -> Result<Arc<LocalIdentity>, IdentityUnavailable> {
        let base = self.base.current().await?;
        let mut held = self.held.subscribe();
        let waited = held.wait_for(|held| !matches!(held, Held::Unasked));
        let unavailable = |why: &str| {
            IdentityUnavailable(format!("there is no credential of {}: {why}", self.name))
        };
        let held = tokio::time::timeout(FIRST_WAIT, waited)
            .await
            .map_err(|_| unavailable("the authority has not answered yet"))?
            .map_err(|_| unavailable("nobody asks for it"))?;
        match &*held {
            Held::Credential(issued) if !self.is_over(issued) => {
                Ok(self.with_credential(&base, &issued.bundle))
            }
            Held::Credential(_) => Err(unavailable("it has ended and was not renewed")),
            Held::Failed(why) => Err(unavailable(why)),
            Held::NoMember => Ok(base),
            Held::Unasked => Err(unavailable("the authority has not answered yet")),
        }
    }

    fn is_over(&self, issued: &Issued) -> bool {
        issued.credential.expires_at() < self.now.unix_time()
    }

    fn with_credential(
        &self,
        base: &Arc<LocalIdentity>,
        bundle: &CredentialBundle,
    ) -> Arc<LocalIdentity> {
        let mut presented = self
            .presented
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = presented.as_ref().filter(|known| {
            known.credentials.first() == Some(bundle)
                && known.history.as_bytes() == base.history.as_bytes()
                && known.attestation.as_bytes() == base.attestation.as_bytes()
        }) {
            return known.clone();
        }
        let mut credentials = base.credentials.clone();
        credentials.insert(0, bundle.clone());
        let now = Arc::new(LocalIdentity {
            credentials,
            ..base.as_ref().clone()
        });
        *presented = Some(now.clone());
        now
    }

    fn tick(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Fetches and renews until it is dropped.
async fn keep(shared: Arc<Shared>, options: RenewalOptions) {
    let node = &options.client.node;
    let mut base_changes = shared.base.changes();
    base_changes.borrow_and_update();
    let authority = node
        .authority()
        .filter(|authority| authority.identifier() == options.authority.identifier());
    let mut outpaced = Outpaced::of(authority);
    let mut newer = authority.map_or_else(never, ockam_node::Authority::changes);
    newer.borrow_and_update();
    let mut withdrawn = options.withdrawn.clone();
    let mut failures = 0;
    if let Some(issued) = cached(&options).await {
        shared.held.send_replace(Held::Credential(issued));
        shared.tick();
    }
    loop {
        let wait = match &*shared.held.borrow() {
            Held::Credential(issued) => {
                let schedule = Schedule::of(&issued.credential);
                schedule.wait(node.unix_time(), failures, jitter())
            }
            _ => Schedule::NONE.wait(node.unix_time(), failures, jitter()),
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = changed(&mut base_changes) => {
                shared.tick();
                // What was issued for the keys of before says so; the authority knows the new ones after one request.
                if !is_for_older_keys(&shared).await || failures > 0 {
                    continue;
                }
            }
            // What it signed under its older keys is not taken any more by whoever knows the newer ones.
            () = changed(&mut newer) => {
                if failures > 0 || counts(&shared, &options) {
                    continue;
                }
                // All members hear of it in the same moment.
                tokio::time::sleep(MEMBERS_SPREAD.mul_f64(jitter())).await;
            }
            // spec: extensions 4.5.3
            () = changed_if(&mut withdrawn) => {
                if failures > 0 || !is_withdrawn(&shared, withdrawn.as_ref()) {
                    continue;
                }
            }
            // Asking it shows its newest history.
            () = outpaced.wait() => {
                if failures > 0 {
                    continue;
                }
            }
        }
        match options.client.credential_as(&options.kind).await {
            Ok(issued) => {
                failures = 0;
                tracing::debug!(
                    "credential of {} renewed, it ends at {}",
                    options.name,
                    issued.credential.expires_at()
                );
                if let Err(error) = options.cache.store(&issued).await {
                    tracing::warn!("{error}");
                }
                shared.held.send_replace(Held::Credential(issued));
                shared.tick();
            }
            Err(error) => {
                let why = reason(&error);
                if failures == 0 {
                    tracing::warn!("the credential of {} was not renewed: {why}", options.name);
                }
                failures = failures.saturating_add(1);
                let removed = options.kind.is_denied_by(&error);
                let next = if removed {
                    Held::NoMember
                } else {
                    Held::Failed(why)
                };
                shared.held.send_modify(|held| match held {
                    // Whoever was removed has nothing to show any more.
                    Held::Credential(issued) if !removed && !shared.is_over(issued) => {}
                    _ => *held = next,
                });
            }
        }
    }
}

async fn changed_if<T>(changes: &mut Option<watch::Receiver<T>>) {
    if let Some(receiver) = changes
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Whether the credential that is held was withdrawn.
fn is_withdrawn(shared: &Shared, withdrawn: Option<&watch::Receiver<UnixTime>>) -> bool {
    let before = withdrawn.map(|withdrawn| *withdrawn.borrow());
    match &*shared.held.borrow() {
        Held::Credential(issued) => {
            before.is_some_and(|before| issued.credential.created_at() < before)
        }
        _ => false,
    }
}

/// The kept credential, if it still serves.
async fn cached(options: &RenewalOptions) -> Option<Issued> {
    let bundle = match options.cache.load().await {
        Ok(bundle) => bundle?,
        Err(error) => {
            tracing::warn!("{error}");
            return None;
        }
    };
    let node = &options.client.node;
    let own = options.subject.current().await.ok()?;
    let credential = bundle
        .verify(
            node.provider(),
            &newest(options),
            Some(own.history.identifier()),
            node.unix_time(),
        )
        .ok()?;
    Some(Issued { bundle, credential })
}

/// The authority's history: what the node knows of it, or else what it was told.
fn newest(options: &RenewalOptions) -> Arc<VerifiedHistory> {
    match options.client.node.authority() {
        Some(authority) if authority.identifier() == options.authority.identifier() => {
            authority.history()
        }
        _ => Arc::new(options.authority.clone()),
    }
}

/// Whether the credential that is held verifies under the newest key of the authority.
fn counts(shared: &Shared, options: &RenewalOptions) -> bool {
    let node = &options.client.node;
    match &*shared.held.borrow() {
        Held::Credential(issued) => {
            let subject = Some(issued.credential.subject());
            let verified =
                issued
                    .bundle
                    .verify(node.provider(), &newest(options), subject, node.unix_time());
            verified.is_ok()
        }
        _ => true,
    }
}

/// Peers that present what may be signed under a newer key of the authority than is known here: told at most every ten
/// seconds, as anybody can provoke it.
struct Outpaced {
    ticks: watch::Receiver<u64>,
    told: bool,
    not_before: tokio::time::Instant,
}

impl Outpaced {
    fn of(authority: Option<&ockam_node::Authority>) -> Self {
        let mut ticks = authority.map_or_else(never, ockam_node::Authority::outpaced);
        ticks.borrow_and_update();
        Self {
            ticks,
            told: false,
            not_before: tokio::time::Instant::now(),
        }
    }

    async fn wait(&mut self) {
        if !self.told {
            changed(&mut self.ticks).await;
        }
        // Who gives up waiting is told the next time.
        self.told = true;
        tokio::time::sleep_until(self.not_before).await;
        self.told = false;
        self.not_before = tokio::time::Instant::now() + OUTPACED_PAUSE;
    }
}

/// Something that does not change.
fn never() -> watch::Receiver<u64> {
    watch::channel(0).1
}

/// Whether the credential names a change of this identity that is not its latest.
async fn is_for_older_keys(shared: &Shared) -> bool {
    let Ok(base) = shared.base.current().await else {
        return false;
    };
    match &*shared.held.borrow() {
        Held::Credential(issued) => issued
            .credential
            .subject_latest_change()
            .is_some_and(|change| change != base.history.latest().hash()),
        _ => false,
    }
}

/// What tells of a change; never, when there will be none.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The failure with what is behind it, on one line.
fn reason(error: &RequestError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// When a credential is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schedule {
    from: UnixTime,
    until: UnixTime,
}

impl Schedule {
    /// Of no credential at all: at once.
    const NONE: Self = Self {
        from: UnixTime(0),
        until: UnixTime(0),
    };

    fn of(credential: &VerifiedCredential) -> Self {
        Self {
            from: credential.created_at(),
            until: credential.expires_at(),
        }
    }

    fn life(self) -> u64 {
        self.until.0.saturating_sub(self.from.0)
    }

    /// When it is renewed: at two thirds of its life, and no later than the published program would where the life is
    /// long enough that this is not all the time.
    fn due(self) -> UnixTime {
        let thirds = self
            .from
            .plus(self.life() / 3 * 2 + self.life() % 3 * 2 / 3);
        if self.life() < SHORT_LIFE {
            return thirds;
        }
        thirds.min(UnixTime(self.until.0.saturating_sub(PUBLISHED_LEAD)))
    }

    /// The pause after so many failures in a row: ten seconds at first, less for a life of which that is much, then longer,
    /// but such that there is time for several more before the end.
    fn pause(self, now: UnixTime, failures: u32) -> Duration {
        let first = match self.life() {
            0 => FIRST_PAUSE,
            life => Duration::from_secs(life / 12).clamp(SHORTEST_PAUSE, FIRST_PAUSE),
        };
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(6));
        let left = Duration::from_secs(self.until.0.saturating_sub(now.0)) / 4;
        let most = if left.is_zero() { LONGEST_PAUSE } else { left };
        doubled.min(most.min(LONGEST_PAUSE).max(first))
    }

    /// How long to wait now. `jitter` is from 0 to 1; it spreads those that failed together.
    fn wait(self, now: UnixTime, failures: u32, jitter: f64) -> Duration {
        if failures > 0 {
            let pause = self.pause(now, failures);
            return pause + pause.mul_f64(jitter / 2.0);
        }
        if self == Self::NONE {
            return Duration::ZERO;
        }
        let wait = Duration::from_secs(self.due().0.saturating_sub(now.0));
        // A clock that was set, or an authority that issues what has nearly ended, must not make this a loop.
        wait.max(SHORTEST_PAUSE)
    }
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

/// How long a handshake waits for the first credential.
const FIRST_WAIT: Duration = Duration::from_secs(20);
/// How far apart members renew what a rotation of the authority made void.
const MEMBERS_SPREAD: Duration = Duration::from_secs(2);
/// How often the authority is asked because somebody may know a newer key of it.
const OUTPACED_PAUSE: Duration = Duration::from_secs(10);
/// The pause after the first failure. `spec: trust 4.7`
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long before the end the published program renews. `spec: trust 4.7`
const PUBLISHED_LEAD: u64 = 120;
/// Below this the published rule would renew in the first third of a life.
const SHORT_LIFE: u64 = 180;

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(life: u64) -> Schedule {
        Schedule {
            from: UnixTime(1000),
            until: UnixTime(1000 + life),
        }
    }

    #[test]
    fn a_credential_is_renewed_at_two_thirds_of_its_life_and_no_later_than_published() {
        let due = |life| schedule(life).due().0 - 1000;
        assert_eq!(due(60), 40);
        assert_eq!(due(140), 93);
        assert_eq!(due(240), 120);
        assert_eq!(due(300), 180);
        assert_eq!(due(3600), 2400);
        assert_eq!(due(2_592_000), 1_728_000);
    }

    #[test]
    fn a_credential_of_a_minute_is_renewed_more_than_nine_times_in_ten_minutes() {
        let mut now = UnixTime(1000);
        let mut renewals = 0;
        while now.0 <= 1600 {
            let schedule = Schedule {
                from: now,
                until: now.plus(60),
            };
            now = now.plus(schedule.wait(now, 0, 0.5).as_secs());
            renewals += 1;
        }
        assert!(renewals >= 9, "{renewals}");
    }

    #[test]
    fn failures_are_spread_and_leave_time_before_the_end() {
        let long = schedule(3600);
        let now = UnixTime(3400);
        assert_eq!(long.wait(now, 1, 0.0), Duration::from_secs(10));
        assert_eq!(long.wait(now, 1, 1.0), Duration::from_secs(15));
        assert_eq!(long.pause(now, 3), Duration::from_secs(40));
        assert!(long.pause(UnixTime(4560), 9) <= Duration::from_secs(10));
        let short = schedule(60);
        assert_eq!(short.pause(UnixTime(1040), 1), Duration::from_secs(5));
        for failures in 0..40 {
            let pause = Schedule::NONE.wait(now, failures, 0.5);
            assert!(pause <= LONGEST_PAUSE * 3 / 2);
            assert!(failures == 0 || pause >= FIRST_PAUSE);
        }
    }

    #[test]
    fn a_wrong_clock_makes_no_loop() {
        let ended = schedule(60);
        assert!(ended.wait(UnixTime(9000), 0, 0.0) >= SHORTEST_PAUSE);
        let longer = Schedule {
            from: UnixTime(u64::MAX),
            until: UnixTime(u64::MAX),
        };
        assert!(longer.wait(UnixTime(0), 3, 1.0) <= LONGEST_PAUSE * 2);
    }
}
