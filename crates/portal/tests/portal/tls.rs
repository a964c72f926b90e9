//! TLS to the target (spec: messaging 7.7).

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ockam_portal::{Inlet, Outlet, OutletOptions, TargetAddress, Tls};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::{Authority, Validity, echo, end};
use crate::world::{Host, exchange, manual_target, noise, ping_pong, soon, target};

#[tokio::test]
async fn content_is_carried_over_both_versions_of_tls() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new();
        let server = authority.serve("localhost", Validity::Now, version, echo);
        let portal = Portal::open("localhost", server, &authority).await;
        let bytes = noise(3_000_000);
        let (mut read, mut write) = portal.client().await.into_split();
        let sending = async {
            write.write_all(&bytes).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut answer = Vec::new();
        let (_, read) = soon(async { tokio::join!(sending, read.read_to_end(&mut answer)) }).await;
        read.unwrap();
        assert!(answer == bytes, "{version:?}");
    }
}

#[tokio::test]
async fn an_address_can_be_what_the_certificate_names() {
    let authority = Authority::new();
    let server = authority.serve("127.0.0.1", Validity::Now, &TLS13, echo);
    let portal = Portal::open("127.0.0.1", server, &authority).await;
    assert_eq!(exchange(portal.at(), b"hello").await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_client_that_has_ended_still_gets_its_answer() {
    let authority = Authority::new();
    let server = authority.serve("localhost", Validity::Now, &TLS13, |mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request)?;
        stream.write_all(&request.repeat(100_000))?;
        end(stream)
    });
    let portal = Portal::open("localhost", server, &authority).await;
    let answer = soon(exchange(portal.at(), b"again ")).await.unwrap();
    assert_eq!(answer, b"again ".repeat(100_000));
}

#[tokio::test]
async fn nothing_is_sent_to_a_target_that_is_not_who_it_should_be() {
    let authority = Authority::new();
    let stranger = Authority::new();
    for (case, signer, name, validity) in [
        ("unknown root", &stranger, "localhost", Validity::Now),
        ("another name", &authority, "example.org", Validity::Now),
        ("run out", &authority, "localhost", Validity::Over),
    ] {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        let server = signer.serve(name, validity, &TLS13, move |mut stream| {
            let read = stream.read(&mut [0; 1])?;
            counter.fetch_add(read, Ordering::Relaxed);
            Ok(())
        });
        let portal = Portal::open("localhost", server, &authority).await;
        soon(exchange(portal.at(), b"secret")).await.unwrap_err();
        let activity = portal.outlet.activity();
        assert_eq!((activity.opened, activity.refused), (0, 1), "{case}");
        assert_eq!((activity.sent, activity.received), (0, 0), "{case}");
        assert_eq!(seen.load(Ordering::Relaxed), 0, "{case}");
    }
}

#[tokio::test]
async fn a_target_without_tls_is_refused() {
    let authority = Authority::new();
    let plain = target(|mut socket| async move {
        drop(socket.write_all(b"220 welcome\r\n").await);
        drop(socket.read_to_end(&mut Vec::new()).await);
    })
    .await;
    let portal = Portal::open("localhost", plain, &authority).await;
    soon(exchange(portal.at(), b"secret")).await.unwrap_err();
    assert_eq!(portal.outlet.activity().refused, 1);
}

#[tokio::test]
async fn a_target_that_stays_silent_is_given_up_in_time() {
    let authority = Authority::new();
    let (silent, mut sockets) = manual_target().await;
    let portal = Portal::open_with("localhost", silent, &authority, |options| {
        options.connect_timeout = Duration::from_millis(300);
    })
    .await;
    soon(exchange(portal.at(), b"secret")).await.unwrap_err();
    assert_eq!(portal.outlet.activity().refused, 1);
    let mut socket = sockets.recv().await.unwrap();
    let mut seen = Vec::new();
    soon(socket.read_to_end(&mut seen)).await.unwrap();
    assert!(!seen.windows(6).any(|window| window == b"secret"));
}

/// Anybody on the way can end a TCP connection: that is not the end of what the target had to say.
#[tokio::test]
async fn an_end_that_the_target_did_not_announce_is_no_end() {
    let authority = Authority::new();
    let server = authority.serve("localhost", Validity::Now, &TLS13, |mut stream| {
        stream.write_all(b"the first half")?;
        stream.flush()?;
        stream.sock.shutdown(std::net::Shutdown::Write)?;
        stream.read(&mut [0; 1]).map(drop)
    });
    let portal = Portal::open("localhost", server, &authority).await;
    let mut client = portal.client().await;
    let mut answer = [0; 14];
    soon(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"the first half");
    soon(client.read(&mut answer)).await.unwrap_err();
}

/// What the system does not take waits, in the order it came in.
#[tokio::test]
async fn a_target_that_reads_late_gets_everything() {
    let authority = Authority::new();
    let (open, opened) = std::sync::mpsc::channel();
    let opened = std::sync::Mutex::new(opened);
    let server = authority.serve("localhost", Validity::Now, &TLS13, move |mut stream| {
        // The handshake is made by the first read, and the content behind it waits.
        stream.conn.complete_io(&mut stream.sock)?;
        opened.lock().unwrap().recv().unwrap();
        let mut content = Vec::new();
        stream.read_to_end(&mut content)?;
        content.reverse();
        stream.write_all(&content)?;
        end(stream)
    });
    let portal = Portal::open("localhost", server, &authority).await;
    let mut bytes = noise(40_000_000);
    let (mut read, mut write) = portal.client().await.into_split();
    let content = bytes.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&content).await.unwrap();
        write.shutdown().await.unwrap();
    });
    // All that fits anywhere on the way has been taken when a while nothing more is.
    let mut before = None;
    while before != Some(portal.outlet.activity().received) {
        before = Some(portal.outlet.activity().received);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        !sending.is_finished(),
        "it must be too long to fit anywhere"
    );
    open.send(()).unwrap();
    let mut answer = Vec::new();
    soon(read.read_to_end(&mut answer)).await.unwrap();
    bytes.reverse();
    assert!(answer == bytes);
    sending.await.unwrap();
}

/// Keys are renewed while the client says nothing: the answer to that must leave all the same.
#[tokio::test]
async fn keys_that_the_target_renews_are_taken() {
    let authority = Authority::new();
    let server = authority.serve("localhost", Validity::Now, &TLS13, |mut stream| {
        let mut content = [0; 5];
        loop {
            stream.read_exact(&mut content)?;
            stream.conn.refresh_traffic_keys().unwrap();
            stream.write_all(&content)?;
        }
    });
    let portal = Portal::open("localhost", server, &authority).await;
    let mut client = portal.client().await;
    for _ in 0..20 {
        soon(ping_pong(&mut client, b"hello")).await.unwrap();
    }
}

#[tokio::test]
async fn without_roots_there_is_nothing_to_believe() {
    assert!(Tls::with_roots([]).check().await.is_err());
    assert!(
        Tls::with_roots([b"no certificate".to_vec()])
            .check()
            .await
            .is_err()
    );
    assert!(
        Tls::with_roots([Authority::new().root.der().to_vec()])
            .check()
            .await
            .is_ok()
    );
}

/// An inlet and an outlet to a TLS server under a name.
struct Portal {
    inlet: Inlet,
    outlet: Outlet,
    _hosts: [Host; 2],
}

impl Portal {
    async fn open(host: &str, server: SocketAddr, authority: &Authority) -> Self {
        Self::open_with(host, server, authority, |_| {}).await
    }

    async fn open_with(
        host: &str,
        server: SocketAddr,
        authority: &Authority,
        change: impl FnOnce(&mut OutletOptions),
    ) -> Self {
        let [near, far] = [Host::start().await, Host::start().await];
        let target: TargetAddress = format!("{host}:{}", server.port()).parse().unwrap();
        let outlet = far.outlet_with(server, |options| {
            options.target = target;
            options.tls = Some(Tls::with_roots([authority.root.der().to_vec()]));
            change(options);
        });
        let to = format!("{}/secure/api/service/outlet", far.tcp());
        let inlet = near.inlet(&to).await;
        soon(inlet.connected()).await;
        let _hosts = [near, far];
        Self {
            inlet,
            outlet,
            _hosts,
        }
    }

    fn at(&self) -> SocketAddr {
        self.inlet.bound()
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.at()).await.unwrap()
    }
}
