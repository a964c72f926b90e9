//! What goes through a portal: targets, clients and streams that are checked byte by byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// A server behind an outlet, on a port that the system chose.
#[derive(Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Target {
    /// Serves each connection in a thread of its own. What the handler returns as an error ends only its connection.
    pub(crate) fn start(
        handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let handler = Arc::new(handler);
        let stop = stopped.clone();
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let handler = handler.clone();
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    let _ = handler(stream);
                });
            }
        });
        Self {
            address,
            stopped,
            acceptor: Some(acceptor),
        }
    }

    /// Returns every byte.
    pub(crate) fn echo() -> Self {
        Self::start(echo)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Returns every byte until the other side has ended.
pub(crate) fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(&buffer[..count])?;
    }
}

/// An address where nothing listens, and nothing will: the port stays bound.
#[derive(Debug)]
pub(crate) struct ClosedPort {
    _held: std::os::fd::OwnedFd,
    address: SocketAddr,
}

impl ClosedPort {
    pub(crate) fn new() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        bind(&socket, &any).unwrap();
        let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        Self {
            _held: socket,
            address,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A port that is free now, for foreign programs that cannot let the system choose.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Connects, sends the bytes and reads as many back, all within the time.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8], within: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + within;
    let mut stream = connect(address, within)?;
    stream.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    let mut filled = 0;
    while filled < answer.len() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut answer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(answer)
}

/// A new connection works: what is sent comes back.
#[track_caller]
pub(crate) fn assert_echo(address: SocketAddr) {
    let marker = format!("echo this, {:?}", Instant::now()).into_bytes();
    let answer = exchange(address, &marker, PATIENCE);
    assert_eq!(answer.unwrap(), marker);
}

/// Connects with limits on every later read and write.
pub(crate) fn connect(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Writes a stream of so many bytes that no other seed gives, and returns its SHA-256.
pub(crate) fn send_stream(mut stream: impl Write, seed: u64, bytes: u64) -> io::Result<[u8; 32]> {
    let mut block = noise(seed, BLOCK);
    let mut hash = Sha256::new();
    let mut left = bytes;
    let mut number = 0_u64;
    while left > 0 {
        // Each page of each block is marked, so that blocks cannot change places.
        for page in block.chunks_mut(4096) {
            page[..8].copy_from_slice(&number.to_le_bytes());
            number += 1;
        }
        let count = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        hash.update(&block[..count]);
        stream.write_all(&block[..count])?;
        left -= count as u64;
    }
    Ok(hash.finalize().into())
}

/// Reads a stream of so many bytes and returns its SHA-256.
pub(crate) fn receive_stream(mut stream: impl Read, bytes: u64) -> io::Result<[u8; 32]> {
    let mut block = vec![0; BLOCK];
    let mut hash = Sha256::new();
    let mut left = bytes;
    while left > 0 {
        let limit = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        let count = stream.read(&mut block[..limit])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{left} of {bytes} bytes are missing"),
            ));
        }
        hash.update(&block[..count]);
        left -= count as u64;
    }
    Ok(hash.finalize().into())
}

/// Bytes that do not compress and that every seed gives others of.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// How long a connection may take in all where a test measures no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const BLOCK: usize = 1 << 20;
