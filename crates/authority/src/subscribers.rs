//! Members that are told of each withdrawal as it happens.
//!
//! Each has a short queue. Nobody waits for anybody: whoever does not keep up is dropped, and finds out by asking.
//!
//! Specification: extensions 4.5.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ockam_identity::Identifier;
use ockam_wire::Address;
use tokio::sync::mpsc;

use crate::members::Withdrawal;
use crate::message::{MAX_WITHDRAWALS, Notices, Run};

/// The encoded bodies of further answers to a question; ends with the subscription.
pub(crate) type Further = mpsc::Receiver<Arc<[u8]>>;

/// All subscriptions to the withdrawals of one authority.
#[derive(Debug)]
pub(crate) struct Subscribers {
    run: Run,
    // Held for one change, or to hand notices to all queues; never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The place up to which everything was handed out.
    told: u64,
    /// By the channel they asked over.
    by_channel: HashMap<Address, Subscriber>,
    /// Channels of each identity, the oldest first.
    by_identity: HashMap<Identifier, Vec<Address>>,
}

#[derive(Debug)]
struct Subscriber {
    identity: Identifier,
    queue: mpsc::Sender<Arc<[u8]>>,
    asked: Instant,
}

impl Subscribers {
    /// None yet; withdrawals up to `latest` are to be asked for.
    pub(crate) fn new(run: Run, latest: u64) -> Self {
        Self {
            run,
            state: Mutex::new(State {
                told: latest,
                by_channel: HashMap::new(),
                by_identity: HashMap::new(),
            }),
        }
    }

    pub(crate) fn run(&self) -> Run {
        self.run
    }

    /// The place of the latest withdrawal.
    pub(crate) fn latest(&self) -> u64 {
        self.state().told
    }

    /// Tells whoever asked over this channel of everything from now on. Of an earlier question of that channel this takes
    /// the place.
    pub(crate) fn subscribe(
        &self,
        identity: Identifier,
        channel: &Address,
        now: Instant,
    ) -> Option<Further> {
        let mut state = self.state();
        state.remove(channel);
        if state.by_channel.len() >= MOST_SUBSCRIBERS {
            return None;
        }
        let of_identity = state.by_identity.entry(identity).or_default();
        if of_identity.len() >= MOST_OF_ONE_IDENTITY
            && let Some(oldest) = of_identity.first().cloned()
        {
            state.remove(&oldest);
        }
        let (queue, further) = mpsc::channel(QUEUE);
        let subscriber = Subscriber {
            identity,
            queue,
            asked: now,
        };
        state
            .by_identity
            .entry(identity)
            .or_default()
            .push(channel.clone());
        state.by_channel.insert(channel.clone(), subscriber);
        Some(further)
    }

    /// Tells everybody of these withdrawals, which follow the last ones, and ends the subscriptions of those that are no
    /// members any more.
    pub(crate) fn tell(&self, withdrawals: &[Withdrawal], gone: &[Identifier]) {
        let mut state = self.state();
        for withdrawals in withdrawals.chunks(MAX_WITHDRAWALS) {
            let Some(last) = withdrawals.last() else {
                continue;
            };
            let notices = Notices {
                run: self.run,
                after: state.told,
                upto: last.sequence,
                withdrawn: withdrawals
                    .iter()
                    .map(|withdrawal| (withdrawal.subject, withdrawal.before))
                    .collect(),
                more: false,
            };
            state.told = last.sequence;
            let body: Arc<[u8]> = notices.encode().into();
            let slow: Vec<Address> = state
                .by_channel
                .iter()
                .filter(|(_, subscriber)| subscriber.queue.try_send(body.clone()).is_err())
                .map(|(channel, _)| channel.clone())
                .collect();
            for channel in slow {
                tracing::debug!(%channel, "subscription to withdrawals ended: notices are not taken");
                state.remove(&channel);
            }
        }
        for identity in gone {
            for channel in state.by_identity.remove(identity).unwrap_or_default() {
                state.by_channel.remove(&channel);
            }
        }
    }

    /// Ends the subscriptions of those that have not asked for long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut state = self.state();
        let silent: Vec<Address> = state
            .by_channel
            .iter()
            .filter(|(_, subscriber)| {
                subscriber.queue.is_closed()
                    || now.saturating_duration_since(subscriber.asked) > LONGEST_SILENCE
            })
            .map(|(channel, _)| channel.clone())
            .collect();
        for channel in silent {
            state.remove(&channel);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.state().by_channel.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, channel: &Address) {
        let Some(subscriber) = self.by_channel.remove(channel) else {
            return;
        };
        if let Some(channels) = self.by_identity.get_mut(&subscriber.identity) {
            channels.retain(|known| known != channel);
            if channels.is_empty() {
                self.by_identity.remove(&subscriber.identity);
            }
        }
    }
}

const MOST_SUBSCRIBERS: usize = 16_384;
const MOST_OF_ONE_IDENTITY: usize = 8;
/// Notices that wait for one subscriber.
const QUEUE: usize = 16;
const LONGEST_SILENCE: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use ockam_identity::UnixTime;

    use super::*;

    #[test]
    fn everybody_is_told_in_order_and_whoever_is_gone_is_told_last() {
        let subscribers = Subscribers::new([7; 16], 5);
        let now = Instant::now();
        let mut stays = subscribers.subscribe(who(1), &channel(1), now).unwrap();
        let mut goes = subscribers.subscribe(who(2), &channel(2), now).unwrap();
        subscribers.tell(&[withdrawal(6, 2), withdrawal(8, 3)], &[who(2), who(3)]);
        let notices = Notices::decode(&stays.try_recv().unwrap()).unwrap();
        assert_eq!((notices.after, notices.upto), (5, 8));
        assert_eq!(
            notices.withdrawn,
            [(who(2), UnixTime(100)), (who(3), UnixTime(100))]
        );
        assert_eq!(Notices::decode(&goes.try_recv().unwrap()), Ok(notices));
        assert_eq!(
            goes.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        );
        assert_eq!(stays.try_recv(), Err(mpsc::error::TryRecvError::Empty));
        assert_eq!((subscribers.latest(), subscribers.len()), (8, 1));
    }

    #[test]
    fn whoever_does_not_keep_up_is_dropped_and_nobody_else() {
        let subscribers = Subscribers::new([7; 16], 0);
        let now = Instant::now();
        let mut quick = subscribers.subscribe(who(1), &channel(1), now).unwrap();
        let _slow = subscribers.subscribe(who(2), &channel(2), now).unwrap();
        for sequence in 1..=(QUEUE as u64 + 5) {
            subscribers.tell(&[withdrawal(sequence, 9)], &[]);
            assert!(quick.try_recv().is_ok());
        }
        assert_eq!(subscribers.len(), 1);
    }

    #[test]
    fn an_identity_has_a_bounded_number_of_subscriptions_and_the_latest_stay() {
        let subscribers = Subscribers::new([7; 16], 0);
        let now = Instant::now();
        let mut all: Vec<Further> = (0..=MOST_OF_ONE_IDENTITY as u8)
            .map(|number| {
                subscribers
                    .subscribe(who(1), &channel(number), now)
                    .unwrap()
            })
            .collect();
        assert_eq!(subscribers.len(), MOST_OF_ONE_IDENTITY);
        subscribers.tell(&[withdrawal(1, 9)], &[]);
        assert!(all.remove(0).try_recv().is_err());
        assert!(all.iter_mut().all(|further| further.try_recv().is_ok()));
    }

    #[test]
    fn a_further_question_takes_the_place_of_the_earlier_one() {
        let subscribers = Subscribers::new([7; 16], 0);
        let start = Instant::now();
        let mut first = subscribers.subscribe(who(1), &channel(1), start).unwrap();
        let later = start + Duration::from_secs(60);
        let _second = subscribers.subscribe(who(1), &channel(1), later).unwrap();
        assert_eq!(
            first.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        );
        subscribers.sweep(start + Duration::from_secs(100));
        assert_eq!(subscribers.len(), 1);
        subscribers.sweep(later + Duration::from_secs(91));
        assert_eq!(subscribers.len(), 0);
    }

    fn who(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    fn channel(number: u8) -> Address {
        Address::local(format!("channel{number}")).unwrap()
    }

    fn withdrawal(sequence: u64, subject: u8) -> Withdrawal {
        Withdrawal {
            sequence,
            subject: who(subject),
            before: UnixTime(100),
        }
    }
}
