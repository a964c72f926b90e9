//! Ten thousand connections that are open at once.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::portal::Portal;
use crate::process::{Memory, allow_many_descriptors, descriptors, wait_until};
use crate::traffic::assert_echo;
use crate::trial::Trial;

#[test]
fn ten_thousand_connections_through_one_channel_answer_all_at_once() {
    let most = allow_many_descriptors();
    assert!(
        most >= 12_000,
        "this test holds ten thousand connections; the limit here is {most}"
    );
    let trial = Trial::alone();
    let target = Elsewhere::start();
    let portal = Portal::open(&trial, target.address);
    assert_echo(portal.inlet);
    let nodes = [portal.client_node().pid, portal.server_node().pid];
    let memory = nodes.map(Memory::watch);
    let idle = nodes.map(descriptors);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut connections = Vec::with_capacity(CROWD);
    runtime.block_on(async {
        while connections.len() < CROWD {
            let mut opening = JoinSet::new();
            for number in connections.len()..CROWD.min(connections.len() + AT_ONCE) {
                opening.spawn(async move {
                    let mut connection = TcpStream::connect(portal.inlet).await.unwrap();
                    ask(&mut connection, number).await;
                    connection
                });
            }
            connections.extend(opening.join_all().await);
        }
        // All of them again, now that nobody is missing, and all at the same time.
        for round in 1..=2 {
            let mut asking = JoinSet::new();
            for (number, mut connection) in connections.drain(..).enumerate() {
                asking.spawn(async move {
                    ask(&mut connection, number + round).await;
                    connection
                });
            }
            connections.extend(asking.join_all().await);
        }
    });
    for (memory, which) in memory.iter().zip(["inlet", "outlet"]) {
        let each = memory.grown() * 1024 / CROWD as u64;
        eprintln!("{which}: {each} bytes for each connection");
        assert!(each <= MOST, "{which}: {each} bytes for each connection");
    }
    drop(connections);
    for (node, idle) in nodes.into_iter().zip(idle) {
        wait_until("all are closed", Duration::from_secs(60), || {
            descriptors(node) <= idle + 2
        });
    }
    assert_echo(portal.inlet);
}

async fn ask(connection: &mut TcpStream, number: usize) {
    let question = number.to_be_bytes();
    let exchange = async {
        connection.write_all(&question).await?;
        let mut answer = [0; 8];
        connection.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), exchange).await;
    assert_eq!(answer.unwrap().unwrap(), question, "connection {number}");
}

/// A target in a process of its own: the descriptors of this one are for the clients.
struct Elsewhere {
    address: SocketAddr,
    process: Child,
}

impl Elsewhere {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["crowd::target", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let address = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .find_map(|line| line.unwrap().rsplit(ADDRESS).next()?.parse().ok())
            .unwrap();
        Self { address, process }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "run by ten_thousand_connections_through_one_channel_answer_all_at_once"]
#[expect(clippy::print_stdout, reason = "that is where its address is read")]
fn target() {
    allow_many_descriptors();
    // Its parent may be gone before it says so.
    std::thread::spawn(|| {
        let _ = std::io::stdin().lines().count();
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{ADDRESS}{}", listener.local_addr().unwrap());
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = read.read(&mut bytes).await {
                    let _ = write.write_all(&bytes[..count]).await;
                }
                let _ = write.shutdown().await;
            });
        }
    });
}

const CROWD: usize = 10_000;
/// Connections that are being opened at the same time.
const AT_ONCE: usize = 100;
/// Bytes of memory that one of them may take at each end.
const MOST: u64 = 8 * 1024;
const ADDRESS: &str = "the target is at ";
