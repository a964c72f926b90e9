//! A portal between two members that is in use all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ockam_node::{ChannelListener, ConnectOptions, ListenerOptions, TcpListener};
use ockam_policy::ResourceType;
use ockam_portal::{Inlet, InletOptions, Outlet, OutletOptions};
use ockam_wire::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::member::Member;
use crate::{Failure, moment};

/// An outlet for members at the node of one, an inlet at the node of another, and a client that talks through them.
pub(crate) struct Portal {
    _tcp: TcpListener,
    _api: ChannelListener,
    _outlet: Outlet,
    inlet: Inlet,
    client: JoinHandle<f64>,
}

impl Portal {
    pub(crate) async fn start(server: &Member, client: &Member) -> Result<Self, Failure> {
        let node = server.node();
        let tcp = node.tcp_listen("127.0.0.1:0").await?;
        let options = ListenerOptions {
            identity: server.presented.clone(),
            authorized: Vec::new(),
            timeout: PATIENCE,
        };
        let api = node.start_channel_listener(&API, options)?;
        node.router().add_consumer(&API, tcp.flow());
        let mut options = OutletOptions::new(OUTLET, echo().await?.to_string().parse()?);
        options.consumers = vec![api.flow()];
        let guard = node.guard("outlet", ResourceType::TcpOutlet, node.policies().clone());
        options.access = guard.access();
        options.guard = Some(Arc::new(guard));
        let outlet = Outlet::start(node, options)?;
        let way = format!(
            "/ip4/127.0.0.1/tcp/{}/secure/api/service/outlet",
            tcp.address().port()
        );
        let connect = ConnectOptions {
            identity: client.presented.clone(),
            authorized: vec![server.identifier],
            timeout: PATIENCE,
        };
        let options = InletOptions::new("127.0.0.1:0", way.parse()?, connect);
        let inlet = Inlet::start(client.node(), options).await?;
        tokio::time::timeout(PATIENCE, inlet.connected()).await?;
        let client = talk(inlet.bound()).await?;
        Ok(Self {
            _tcp: tcp,
            _api: api,
            _outlet: outlet,
            inlet,
            client,
        })
    }

    /// The moment its connection was cut; waits for it.
    pub(crate) async fn cut(&mut self) -> Result<f64, Failure> {
        Ok((&mut self.client).await?)
    }

    /// Connects anew; says when that worked.
    pub(crate) async fn again(&mut self) -> f64 {
        loop {
            if let Ok(client) = talk(self.inlet.bound()).await {
                self.client = client;
                return moment();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether somebody who connects now gets nothing.
    pub(crate) async fn is_shut(&self) -> bool {
        talk(self.inlet.bound()).await.is_err()
    }
}

/// Connects and has one word come back, then goes on with that until it does not any more; gives that moment.
async fn talk(inlet: SocketAddr) -> Result<JoinHandle<f64>, Failure> {
    let mut connection = TcpStream::connect(inlet).await?;
    say(&mut connection).await?;
    Ok(tokio::spawn(async move {
        while say(&mut connection).await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
        moment()
    }))
}

async fn say(connection: &mut TcpStream) -> Result<(), Failure> {
    let mut heard = [0; WORD.len()];
    connection.write_all(WORD).await?;
    connection.read_exact(&mut heard).await?;
    (heard == *WORD)
        .then_some(())
        .ok_or_else(|| "something else came back".into())
}

/// A service that gives back what it is sent.
async fn echo() -> Result<SocketAddr, Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = connection.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    Ok(address)
}

const API: Address = Address::from_static("api");
const OUTLET: Address = Address::from_static("outlet");
const WORD: &[u8; 5] = b"hello";
/// Between two words.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
