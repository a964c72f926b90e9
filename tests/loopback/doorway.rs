//! Connections that come from an address of this machine that the test chooses: all of 127.0.0.0/8 is there.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Passes on to `to`, as connections from `from`, what comes to the address that is returned.
pub(crate) async fn doorway(from: &str, to: SocketAddr) -> SocketAddr {
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(from).unwrap();
                let mut inside = socket.connect(to).await.unwrap();
                // However it ends, both ends are closed.
                drop(tokio::io::copy_bidirectional(&mut outside, &mut inside).await);
            });
        }
    });
    address
}
