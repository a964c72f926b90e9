//! The two ends of a portal, outside of the nodes: the client's socket and the target's.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::party::PATIENCE;

/// The first bytes of every connection; they tell which one it is.
pub type Greeting = [u8; 16];

/// What the outlet connects to.
pub struct Target {
    address: SocketAddr,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    connections: Mutex<(usize, HashMap<Greeting, TcpStream>)>,
    changed: Condvar,
}

impl Target {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = Arc::new(Waiting::default());
        let accepting = Arc::downgrade(&waiting);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(waiting) = accepting.upgrade() else {
                    return;
                };
                waiting.connections.lock().unwrap().0 += 1;
                std::thread::spawn(move || {
                    let mut greeting = Greeting::default();
                    if (&stream).read_exact(&mut greeting).is_ok() {
                        waiting
                            .connections
                            .lock()
                            .unwrap()
                            .1
                            .insert(greeting, stream);
                        waiting.changed.notify_all();
                    }
                });
            }
        });
        Self { address, waiting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were ever made to it.
    pub fn connections(&self) -> usize {
        self.waiting.connections.lock().unwrap().0
    }

    /// The connection with this greeting, if it comes within a moment.
    pub fn with_greeting(&self, greeting: &Greeting, moment: Duration) -> Option<TcpStream> {
        let connections = self.waiting.connections.lock().unwrap();
        let waited =
            self.waiting
                .changed
                .wait_timeout_while(connections, moment, |(_, waiting)| {
                    !waiting.contains_key(greeting)
                });
        waited.unwrap().0.1.remove(greeting)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.waiting = Arc::default();
        drop(TcpStream::connect(self.address));
    }
}

/// What is sent in one direction: every eight bytes differ from all others, so a piece at a wrong place is noticed.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut position = seed << 32;
    while bytes.len() < length {
        // The finaliser of splitmix64: a bijection.
        let mut word = position;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((word ^ (word >> 31)).to_be_bytes());
        position += 1;
    }
    bytes.truncate(length);
    bytes
}

/// How the bytes from one socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: the sender said that this was all.
    Finished,
    /// The connection failed.
    Broken,
}

/// What came out of a socket.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub bytes: Vec<u8>,
    pub end: Option<End>,
}

impl Received {
    /// Asserts that nothing wrong was delivered: the beginning of `sent`, and all of it if it ended in order.
    pub fn assert_honest(&self, sent: &[u8], what: &str) {
        let same = self
            .bytes
            .iter()
            .zip(sent)
            .take_while(|(a, b)| a == b)
            .count();
        assert!(
            same == self.bytes.len(),
            "{what}: of {} bytes delivered, the one at {same} is not the one sent",
            self.bytes.len()
        );
        assert!(
            self.end != Some(End::Finished) || self.bytes.len() == sent.len(),
            "{what}: ended in order after {} of {} bytes",
            self.bytes.len(),
            sent.len()
        );
    }

    pub fn is_complete(&self, sent: &[u8]) -> bool {
        self.end == Some(End::Finished) && self.bytes == sent
    }
}

/// Reads a socket to its end, in the background.
pub struct Reading {
    shared: Arc<(Mutex<Received>, Condvar)>,
}

impl Reading {
    /// Reads `stream`. `writing` is what goes on in its other direction.
    pub fn start(stream: &TcpStream, writing: Option<Writing>) -> Self {
        let mut stream = stream.try_clone().unwrap();
        let shared: Arc<(Mutex<Received>, Condvar)> = Arc::default();
        let telling = shared.clone();
        std::thread::spawn(move || {
            let mut block = vec![0; 64 * 1024];
            let end = loop {
                match stream.read(&mut block) {
                    Ok(0) => break End::Finished,
                    Ok(count) => {
                        let mut received = telling.0.lock().unwrap();
                        received.bytes.extend(&block[..count]);
                        telling.1.notify_all();
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break End::Broken,
                }
            };
            // A socket tells of a reset once: to the writer, if that asks first. The reader sees an end then.
            let end = match writing.map(|writing| writing.join().unwrap()) {
                Some(Err(_)) => End::Broken,
                Some(Ok(())) | None => end,
            };
            telling.0.lock().unwrap().end = Some(end);
            telling.1.notify_all();
        });
        Self { shared }
    }

    /// What has come so far.
    pub fn so_far(&self) -> Received {
        self.shared.0.lock().unwrap().clone()
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.shared.0.lock().unwrap().end
    }

    /// Waits for a condition on what has come.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Received) -> bool) -> Received {
        let end = Instant::now() + PATIENCE;
        let mut received = self.shared.0.lock().unwrap();
        while !condition(&received) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not within {PATIENCE:?}: {what}; {} bytes came, end {:?}",
                received.bytes.len(),
                received.end
            );
            received = self.shared.1.wait_timeout(received, left).unwrap().0;
        }
        received.clone()
    }
}

/// Goes on in the background; ends with the error of the socket, if there was one.
pub type Writing = std::thread::JoinHandle<std::io::Result<()>>;

/// Writes everything into a socket and ends its direction, in the background.
pub fn write_all(stream: &TcpStream, bytes: Vec<u8>) -> Writing {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        stream.write_all(&bytes)?;
        stream.shutdown(Shutdown::Write)
    })
}
