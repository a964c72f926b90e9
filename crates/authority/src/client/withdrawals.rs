//! Hearing from the authority what it withdrew, and noticing when it is not heard.
//!
//! ```text
//! connect ─ ask ─ apply what is answered ─┬─ apply what comes unasked
//!    ▲                                    └─ ask again, every interval; no answer within one: ─┐
//!    └──────────────────────────── a pause ◀───────────────────────────────────────────────────┘
//! ```
//!
//! Invariants: what is withdrawn is void before the next message is decided on; the authority counts as heard only after an
//! answer to a question of this side that came in time and said everything.
//!
//! Specification: extensions 4.5.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ockam_identity::{Identifier, UnixTime};
use ockam_node::{Access, ConnectError, ConnectOptions, Connection, LocalMessage, Mailbox};
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response};
use ockam_wire::{Address, Buffer, Route};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{AuthorityClient, CacheFuture, RequestError, number, to_listener, told};
use crate::message::{Notices, Question, Run};

/// How withdrawals are followed.
#[derive(Debug)]
pub struct WithdrawalOptions {
    /// Who asks, and whom. The timeout bounds the way there.
    pub client: AuthorityClient,
    /// How stale what is known may get; nothing depends on it when there is no bound.
    pub max_stale: Option<Duration>,
    /// Where what was heard is kept, if it is.
    pub kept: Option<Arc<dyn KeptWithdrawals>>,
}

/// Where withdrawals are kept that were heard: a node that starts again knows them before its authority is reached.
pub trait KeptWithdrawals: Send + Sync + fmt::Debug {
    /// Keeps these subjects, and the moments before which their credentials are void.
    fn keep<'a>(&'a self, withdrawn: &'a [(Identifier, UnixTime)]) -> CacheFuture<'a, ()>;
}

/// A node that is told of withdrawals. It ends when this is dropped.
#[derive(Debug)]
pub struct Withdrawals {
    own: watch::Receiver<UnixTime>,
    task: JoinHandle<()>,
}

impl Withdrawals {
    /// Begins to follow what the authority withdraws. Must be called within a tokio runtime.
    pub fn start(options: WithdrawalOptions) -> Self {
        options
            .client
            .node
            .attested()
            .set_max_stale(options.max_stale);
        let (tell_own, own) = watch::channel(UnixTime(0));
        let follower = Follower {
            interval: interval(options.max_stale),
            options,
            own: tell_own,
            known: Known::default(),
            heard: false,
        };
        Self {
            own,
            task: tokio::spawn(follower.run()),
        }
    }

    /// The moment before which the credentials of this side itself are void.
    pub fn of_this_side(&self) -> watch::Receiver<UnixTime> {
        self.own.clone()
    }
}

impl Drop for Withdrawals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How often the authority is asked. `spec: extensions 4.5.3`
fn interval(max_stale: Option<Duration>) -> Duration {
    max_stale.map_or(LONGEST_INTERVAL, |stale| {
        (stale / 3).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
    })
}

/// How long to wait after so many failures in a row. All members lose an authority in the same moment and must not come back
/// in the same moment, again and again; still, none waits longer than it may go without an answer.
fn pause(interval: Duration, failures: u32, random: u32) -> Duration {
    let first = (interval / 8).max(SHORTEST_INTERVAL);
    let longest = first.saturating_mul(1 << failures.min(5)).min(interval);
    let shortest = SHORTEST_INTERVAL / 2;
    let spread = f64::from(random) / f64::from(u32::MAX);
    shortest + longest.saturating_sub(shortest).mul_f64(spread)
}

struct Follower {
    options: WithdrawalOptions,
    interval: Duration,
    own: watch::Sender<UnixTime>,
    known: Known,
    /// Whether the authority was heard since the last attempt began.
    heard: bool,
}

/// Up to where everything is known.
#[derive(Debug, Default)]
struct Known {
    run: Option<Run>,
    position: u64,
}

/// What notices mean to whoever knows that much.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Everything up to the present is known.
    Complete,
    /// There are more.
    More,
    /// Some were lost on the way.
    Gap,
}

impl Known {
    fn step(&mut self, notices: &Notices) -> Result<Step, Ended> {
        if self.run != Some(notices.run) {
            if notices.after != 0 {
                return Ok(Step::Gap);
            }
            *self = Self {
                run: Some(notices.run),
                position: 0,
            };
        }
        if notices.after > self.position {
            return Ok(Step::Gap);
        }
        if notices.more && notices.upto <= self.position {
            return Err(Ended::Senseless);
        }
        self.position = self.position.max(notices.upto);
        Ok(if notices.more {
            Step::More
        } else {
            Step::Complete
        })
    }
}

/// Why the authority is not heard any more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It answers in a way that leads nowhere.
    #[error("the authority's notices make no sense")]
    Senseless,
}

impl From<ConnectError> for Ended {
    fn from(error: ConnectError) -> Self {
        Self::Request(error.into())
    }
}

impl Follower {
    async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            self.heard = false;
            let ended = self.follow().await;
            if ended.is_ok() || self.heard {
                failures = 0;
            }
            match ended {
                Ok(()) => {}
                Err(error) if failures > 0 => {
                    tracing::debug!("withdrawals are not heard: {error}");
                }
                Err(error) => tracing::warn!("withdrawals are not heard: {error}"),
            }
            tokio::time::sleep(pause(self.interval, failures, number())).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Hears the authority over one channel. Comes back without a failure only if that has nothing to say.
    async fn follow(&mut self) -> Result<(), Ended> {
        let client = &self.options.client;
        let way = to_listener(&client.route)?;
        let options = ConnectOptions {
            identity: client.identity.clone(),
            authorized: vec![client.authority],
            // A handshake that the authority dropped under load ends only so.
            timeout: client.timeout.min(LONGEST_ATTEMPT),
        };
        let connection = client.node.connect(&way, options).await?;
        let offered = connection
            .peer()
            .is_some_and(|peer| peer.extensions.withdrawals.is_some());
        let ended = if offered {
            self.hear(&connection).await
        } else {
            // It withdraws nothing; that it was there is all there is to hear.
            self.options.client.node.attested().heard();
            Ok(())
        };
        connection.close().await;
        if ended.is_ok() {
            tokio::time::sleep(self.interval).await;
        }
        ended
    }

    async fn hear(&mut self, connection: &Connection) -> Result<(), Ended> {
        let node = self.options.client.node.clone();
        let channel = connection.channels().last().ok_or(RequestError::Closed)?;
        let own_identifier = *channel.own_identifier();
        let own = node.random_address();
        let mut mailbox = node
            .router()
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
            .map_err(|_| RequestError::Closed)?;
        if let Some(flow) = connection.flow() {
            node.router().add_consumer(&own, flow);
        }
        loop {
            let asked = Instant::now();
            let question = self.ask(connection, &mailbox).await?;
            let mut answered = false;
            loop {
                let again = asked + self.interval;
                let message = tokio::select! {
                    message = mailbox.recv() => message,
                    () = connection.closed() => return Err(RequestError::Closed.into()),
                    () = tokio::time::sleep_until(again) => {
                        if answered {
                            break;
                        }
                        return Err(RequestError::Timeout(self.interval).into());
                    }
                };
                // spec: trust 11.2 (15)
                if message.origin.peer.as_ref() != Some(channel.peer()) {
                    continue;
                }
                let Some(notices) = read(&message, question)? else {
                    continue;
                };
                let step = self.known.step(&notices)?;
                if step == Step::Gap {
                    break;
                }
                self.apply(&notices, &own_identifier).await;
                if step == Step::More {
                    break;
                }
                if !answered {
                    node.attested().heard();
                    self.heard = true;
                    answered = true;
                }
            }
        }
    }

    async fn ask(
        &self,
        connection: &Connection,
        mailbox: &Mailbox,
    ) -> Result<MessageId, RequestError> {
        let question = Question {
            run: self.known.run,
            position: self.known.position,
        };
        let request = Request::new(MessageId(number()), Method::Post, "/");
        let mut to = connection.route().clone();
        to.push_back(&Address::from_static(WITHDRAWALS))
            .map_err(ConnectError::from)?;
        let back = Route::from_hops([mailbox.address().clone()]).map_err(ConnectError::from)?;
        let message = Buffer::from_slice(&request.encode(Some(&question.encode())));
        let router = self.options.client.node.router();
        let sent = router.send(mailbox.address(), to, back, message);
        tokio::time::timeout(self.interval, sent)
            .await
            .map_err(|_| RequestError::Timeout(self.interval))??;
        Ok(request.id)
    }

    async fn apply(&self, notices: &Notices, own: &Identifier) {
        let attested = self.options.client.node.attested();
        for (subject, before) in &notices.withdrawn {
            attested.withdraw(subject, *before);
            if subject == own {
                self.own.send_modify(|known| *known = (*before).max(*known));
            }
        }
        if let Some(kept) = &self.options.kept
            && !notices.withdrawn.is_empty()
            && let Err(error) = kept.keep(&notices.withdrawn).await
        {
            tracing::warn!("withdrawals are forgotten when this node ends: {error}");
        }
    }
}

/// Notices that answer this question; anything else is passed over.
fn read(message: &LocalMessage, question: MessageId) -> Result<Option<Notices>, RequestError> {
    let Ok((response, body)) = Response::decode(message.payload.as_slice()) else {
        return Ok(None);
    };
    if response.re != question {
        return Ok(None);
    }
    let body = body.unwrap_or_default();
    if !response.is_ok() {
        return Err(RequestError::Refused {
            status: response.status,
            message: told(ErrorBody::decode(body).message.unwrap_or_default()),
        });
    }
    Ok(Some(Notices::decode(body)?))
}

const WITHDRAWALS: &str = "withdrawal_notices";
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(20);
/// How long the way to the authority, with its handshake, may take at most.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_on_the_way_is_noticed() {
        let mut known = Known::default();
        assert_eq!(known.step(&notices(1, 0, 5, true)).unwrap(), Step::More);
        assert_eq!(
            known.step(&notices(1, 5, 9, false)).unwrap(),
            Step::Complete
        );
        assert_eq!(known.step(&notices(1, 10, 11, false)).unwrap(), Step::Gap);
        assert_eq!(known.position, 9);
        assert_eq!(
            known.step(&notices(1, 8, 9, false)).unwrap(),
            Step::Complete
        );
        assert_eq!(
            known.step(&notices(1, 9, 11, false)).unwrap(),
            Step::Complete
        );
        assert_eq!(known.position, 11);
    }

    #[test]
    fn another_run_begins_from_the_start() {
        let mut known = Known::default();
        assert_eq!(
            known.step(&notices(1, 0, 9, false)).unwrap(),
            Step::Complete
        );
        assert_eq!(known.step(&notices(2, 3, 4, false)).unwrap(), Step::Gap);
        assert_eq!(
            known.step(&notices(2, 0, 4, false)).unwrap(),
            Step::Complete
        );
        assert_eq!(known.position, 4);
    }

    #[test]
    fn answers_that_lead_nowhere_end_it() {
        let mut known = Known::default();
        assert_eq!(
            known.step(&notices(1, 0, 9, false)).unwrap(),
            Step::Complete
        );
        assert!(known.step(&notices(1, 0, 9, true)).is_err());
    }

    #[test]
    fn the_interval_is_a_third_of_how_stale_it_may_get() {
        let of = |seconds| interval(Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!((of(1), of(9), of(600)), (1, 3, 20));
        assert_eq!(interval(None), LONGEST_INTERVAL);
    }

    #[test]
    fn members_that_lost_their_authority_come_back_spread_and_later_each_time() {
        let bounds = |seconds, failures| {
            let interval = Duration::from_secs(seconds);
            [0, u32::MAX].map(|random| pause(interval, failures, random).as_millis())
        };
        assert_eq!(bounds(20, 0), [500, 2500]);
        assert_eq!(bounds(20, 1), [500, 5000]);
        assert_eq!(bounds(20, 99), [500, 20_000]);
        assert_eq!(bounds(1, 99), [500, 1000]);
    }

    fn notices(run: u8, after: u64, upto: u64, more: bool) -> Notices {
        Notices {
            run: [run; 16],
            after,
            upto,
            withdrawn: Vec::new(),
            more,
        }
    }
}
