//! A tap: the way between a party and the relay, in the hands of the attacker.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::frames::{Direction, Seen, Tracker};
use crate::party::PATIENCE;

/// What the attacker does with a frame.
pub enum Deed {
    /// Passes it on.
    Pass,
    /// Passes these bytes on instead.
    Instead(Vec<Vec<u8>>),
    /// Passes these bytes on instead and cuts the connection.
    Cut(Vec<u8>),
}

type Attack = Box<dyn FnMut(&Seen) -> Deed + Send>;

/// Listens where a party takes the relay to be, and connects to the relay.
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Tap {
    pub fn start(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            relay: Mutex::new(relay),
            state: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accepting.accept(&listener));
        Self { address, shared }
    }

    /// The address of the relay, as parties are given it.
    pub fn route(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.address.port())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on does this with every frame.
    pub fn attack(&self, attack: impl FnMut(&Seen) -> Deed + Send + 'static) {
        self.shared.state().attack = Some(Box::new(attack));
    }

    /// Stops attacking, goes on recording.
    pub fn calm(&self) {
        self.shared.state().attack = None;
    }

    /// Everything that came past.
    pub fn recorded(&self) -> Vec<Seen> {
        self.shared.state().recorded.clone()
    }

    /// Forgets what came past.
    pub fn forget(&self) {
        self.shared.state().recorded.clear();
    }

    /// How many channels were begun over it.
    pub fn channels(&self) -> usize {
        self.shared.state().tracker.channels()
    }

    /// Waits until what came past satisfies a condition.
    pub fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            if let Some(found) = find(&state.recorded) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {PATIENCE:?}: {what}");
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Connects to somebody else from now on, and cuts every connection.
    pub fn reroute(&self, relay: SocketAddr) {
        *self.shared.relay.lock().unwrap() = relay;
        self.shared.state().cut();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.state().cut();
        drop(TcpStream::connect(self.address));
    }
}

struct Shared {
    relay: Mutex<SocketAddr>,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    recorded: Vec<Seen>,
    attack: Option<Attack>,
    tracker: Tracker,
    connections: Vec<[TcpStream; 2]>,
}

impl State {
    fn cut(&self) {
        for stream in self.connections.iter().flatten() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for party in listener.incoming() {
            if self.stopped.load(Ordering::Acquire) {
                return;
            }
            let relay = *self.relay.lock().unwrap();
            if let (Ok(party), Ok(relay)) = (party, TcpStream::connect(relay)) {
                self.clone().carry(party, relay).unwrap();
            }
        }
    }

    fn carry(self: Arc<Self>, party: TcpStream, relay: TcpStream) -> io::Result<()> {
        party.set_nodelay(true)?;
        relay.set_nodelay(true)?;
        self.state()
            .connections
            .push([party.try_clone()?, relay.try_clone()?]);
        let ways = [
            (Direction::ToRelay, party.try_clone()?, relay.try_clone()?),
            (Direction::FromRelay, relay, party),
        ];
        for (direction, from, to) in ways {
            let shared = self.clone();
            std::thread::spawn(move || {
                // Ends with the first error: one of the two has closed.
                drop(shared.pump(direction, &from, &to));
                drop(from.shutdown(Shutdown::Both));
                drop(to.shutdown(Shutdown::Both));
            });
        }
        Ok(())
    }

    fn pump(
        &self,
        direction: Direction,
        mut from: &TcpStream,
        mut to: &TcpStream,
    ) -> io::Result<()> {
        let mut preamble = [0];
        from.read_exact(&mut preamble)?;
        assert_eq!(preamble, [1]);
        to.write_all(&preamble)?;
        loop {
            let bytes = read_frame(from)?;
            let deed = {
                let mut state = self.state();
                let kind = state.tracker.classify(&bytes);
                let seen = Seen {
                    direction,
                    kind,
                    bytes,
                };
                let deed = state
                    .attack
                    .as_mut()
                    .map_or(Deed::Pass, |attack| attack(&seen));
                let deed = match deed {
                    Deed::Pass => Deed::Instead(vec![seen.bytes.clone()]),
                    other => other,
                };
                state.recorded.push(seen);
                self.changed.notify_all();
                deed
            };
            match deed {
                Deed::Pass => {}
                Deed::Instead(frames) => to.write_all(&frames.concat())?,
                Deed::Cut(bytes) => return to.write_all(&bytes),
            }
        }
    }
}

/// Reads one frame, with its length in front.
pub fn read_frame(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    from.read_exact(&mut bytes)?;
    let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    bytes.resize(4 + length, 0);
    from.read_exact(&mut bytes[4..])?;
    Ok(bytes)
}
