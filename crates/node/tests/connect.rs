//! Addresses as users write them become routes: transports dialled, every `/secure` opened.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::sync::Arc;
use std::time::Duration;

use ockam_channel::LocalIdentity;
use ockam_identity::Identifier;
use ockam_node::{
    Access, ChannelError, ConnectError, ConnectOptions, Connection, FixedIdentity, ListenerOptions,
    Node, NodeOptions, TcpListener, services,
};
use ockam_wire::{Address, Buffer, Route};

#[tokio::test]
async fn plain_route_reaches_a_service() {
    let server = Server::start().await;
    let client = Client::start();
    let connection = client
        .connect(&format!("{}/service/echo", server.tcp()))
        .await
        .unwrap();
    assert_eq!(client.ask(&connection, b"a").await, b"a");
    assert!(connection.peer().is_none());
    assert_eq!(connection.transport_route().len(), 1);
}

#[tokio::test]
async fn guard_w38_every_secure_part_is_opened_whatever_stands_between() {
    let server = Server::start().await;
    let client = Client::start();
    for (parts, channels) in [
        ("/secure/api/service/echo", 1),
        ("/secure/api/secure/api/service/echo", 2),
        ("/service/hop/secure/api/service/echo", 1),
        ("/worker/hop/secure/api/worker/echo", 1),
        (
            "/service/hop/service/hop/secure/api/secure/api/secure/api/service/echo",
            3,
        ),
    ] {
        let connection = client
            .connect(&format!("{}{parts}", server.tcp()))
            .await
            .unwrap();
        assert_eq!(connection.channels().len(), channels, "{parts}");
        assert_eq!(client.ask(&connection, b"b").await, b"b", "{parts}");
        assert_eq!(
            connection.peer().unwrap().identifier,
            *server.identity.history.identifier()
        );
    }
}

#[tokio::test]
async fn ipv6_and_names_are_dialled() {
    let server = Server::start().await;
    let client = Client::start();
    let port = server.listener.address().port();
    let connection = client
        .connect(&format!("/dnsaddr/localhost/tcp/{port}/service/echo"))
        .await;
    assert_eq!(client.ask(&connection.unwrap(), b"c").await, b"c");
    if let Ok(listener) = server.node.tcp_listen("[::1]:0").await {
        server
            .node
            .router()
            .add_consumer(&services::ECHO, listener.flow());
        let port = listener.address().port();
        let connection = client
            .connect(&format!("/ip6/::1/tcp/{port}/service/echo"))
            .await;
        assert_eq!(client.ask(&connection.unwrap(), b"d").await, b"d");
    }
}

#[tokio::test]
async fn pinned_identifier_is_that_of_the_last_channel() {
    let server = Server::start().await;
    let client = Client::start();
    let to = format!("{}/secure/api/secure/api/service/echo", server.tcp());
    let pinned = *server.identity.history.identifier();
    let accepted = client.connect_pinned(&to, vec![pinned]).await.unwrap();
    accepted.close().await;
    let wrong = *client.identity.history.identifier();
    assert!(matches!(
        client.connect_pinned(&to, vec![wrong]).await,
        Err(ConnectError::Channel(ChannelError::NotAuthorized(_)))
    ));
    assert!(
        client.node.connections().is_empty(),
        "what was opened is closed again"
    );
}

#[tokio::test]
async fn pinned_identifier_counts_where_no_channel_is_opened_too() {
    let server = Server::start().await;
    let client = Client::start();
    let pinned = *server.identity.history.identifier();
    let wrong = *client.identity.history.identifier();
    let plain = format!("{}/service/echo", server.tcp());
    assert!(matches!(
        client.connect_pinned(&plain, vec![pinned]).await,
        Err(ConnectError::NobodyProves)
    ));
    assert!(client.node.connections().is_empty());
    let earlier = client
        .connect(&format!("{}/secure/api", server.tcp()))
        .await
        .unwrap();
    let through = format!("{}/service/echo", earlier.route().first().unwrap());
    let through = through.replace("0#", "/service/");
    client.connect_pinned(&through, vec![pinned]).await.unwrap();
    assert!(matches!(
        client.connect_pinned(&through, vec![wrong]).await,
        Err(ConnectError::Channel(ChannelError::NotAuthorized(there))) if there == pinned
    ));
}

#[tokio::test]
async fn address_that_cannot_be_connected_says_why() {
    let client = Client::start();
    for (to, expected) in [
        (
            "/ip4/127.0.0.1/service/a",
            "the transport part of `/ip4/127.0.0.1/service/a` is not complete",
        ),
        (
            "/service/a/ip4/127.0.0.1/tcp/1",
            "a route can have only one transport part, `127.0.0.1:1` is one too many",
        ),
        (
            "/node/n1/service/a",
            "no way to `n1`: nodes are not known by name here",
        ),
        (
            "/project/p/service/a",
            "no way to `p`: projects are not known by name here",
        ),
        ("/tcp/4000", "`/tcp/4000` cannot be used in a route here"),
    ] {
        let error = client.connect(to).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = client
        .connect(&format!("/ip4/127.0.0.1/tcp/{}/service/a", free.port()))
        .await;
    assert!(matches!(error, Err(ConnectError::Transport { .. })));
}

#[tokio::test]
async fn route_through_a_channel_that_is_there_already_has_its_peer_and_ends_with_it() {
    let server = Server::start().await;
    let client = Client::start();
    let earlier = client
        .connect(&format!("{}/secure/api", server.tcp()))
        .await
        .unwrap();
    let [channel] = earlier.channels() else {
        panic!("one channel")
    };
    let through = format!(
        "/service/{}/service/echo",
        String::from_utf8_lossy(channel.encryptor().name())
    );
    let connection = client.connect(&through).await.unwrap();
    assert_eq!(client.ask(&connection, b"f").await, b"f");
    assert_eq!(connection.peer(), Some(channel.peer()));
    assert!(!connection.is_closed());
    earlier.close().await;
    connection.closed().await;
    assert!(connection.is_closed());
    assert!(matches!(
        client.connect(&through).await,
        Err(ConnectError::NotRunning(_))
    ));
}

#[tokio::test]
async fn hop_bridges_to_a_connection_of_its_node_and_the_answers_come_back() {
    let far = Server::start().await;
    let near = Server::start().await;
    let bridge = near
        .node
        .tcp_connect(&far.listener.address().to_string())
        .await
        .unwrap();
    let bridge = String::from_utf8_lossy(bridge.sender().name()).into_owned();
    let client = Client::start();
    for parts in ["/service/echo", "/secure/api/service/echo"] {
        let to = format!("{}/service/hop/worker/{bridge}{parts}", near.tcp());
        let connection = client.connect(&to).await.unwrap();
        assert_eq!(client.ask(&connection, b"h").await, b"h", "{parts}");
    }
    // Only what went through the hop opened it: the bridge leads to nothing else of its node.
    let consumed = near.node.router().consumed_by(&services::ECHO);
    assert_eq!(consumed.len(), 2, "listener and channels");
}

#[tokio::test]
async fn connecting_that_is_given_up_leaves_nothing_open() {
    let server = Server::start().await;
    let client = Client::start();
    let to = format!("{}/secure/api/secure/nobody", server.tcp());
    let given_up = tokio::time::timeout(Duration::from_millis(300), client.connect(&to)).await;
    assert!(given_up.is_err());
    assert!(client.node.connections().is_empty());
    assert!(client.node.channels().is_empty());
}

#[tokio::test]
async fn route_goes_on_over_a_connection_that_takes_the_place_of_an_earlier_one() {
    let server = Server::start().await;
    let client = Client::start();
    for parts in ["/secure/api", ""] {
        let to = format!("{}{parts}", server.tcp()).parse().unwrap();
        let first = client
            .node
            .connect(&to, client.options(Vec::new()))
            .await
            .unwrap();
        let entrance = first.route().first().unwrap().to_address();
        let name = String::from_utf8_lossy(entrance.name()).into_owned();
        let taken = client
            .node
            .connect_at(&to, client.options(Vec::new()), Some(entrance.clone()));
        assert!(taken.await.is_err(), "one worker at a time");
        first.close().await;
        client.node.router().gone(&entrance).await;
        let second = client
            .node
            .connect_at(&to, client.options(Vec::new()), Some(entrance))
            .await
            .unwrap();
        assert_eq!(second.route(), first.route());
        let through = client
            .connect(&format!("/service/{name}/service/echo"))
            .await
            .unwrap();
        assert_eq!(client.ask(&through, b"g").await, b"g");
        second.close().await;
    }
}

#[tokio::test]
async fn connection_ends_with_the_node_it_leads_to() {
    let server = Server::start().await;
    let client = Client::start();
    let connection = client
        .connect(&format!("{}/secure/api/service/echo", server.tcp()))
        .await
        .unwrap();
    client.ask(&connection, b"e").await;
    server.node.shutdown().await;
    connection.closed().await;
    assert!(connection.is_closed());
}

struct Server {
    node: Node,
    identity: Arc<LocalIdentity>,
    listener: TcpListener,
    _services: [services::Service; 2],
}

impl Server {
    async fn start() -> Self {
        let node = Node::new(NodeOptions::default());
        let identity = Arc::new(node.ephemeral_identity().unwrap());
        let listener = node.tcp_listen("127.0.0.1:0").await.unwrap();
        let options = ListenerOptions {
            identity: Arc::new(FixedIdentity(identity.clone())),
            authorized: Vec::new(),
            timeout: Duration::from_secs(5),
        };
        let channels = node.start_channel_listener(&API, options).unwrap();
        let services = [
            services::start_echo(&node, services::ECHO).unwrap(),
            services::start_hop(&node, services::HOP).unwrap(),
        ];
        for address in [API, services::ECHO, services::HOP] {
            node.router().add_consumer(&address, listener.flow());
            node.router().add_consumer(&address, channels.flow());
        }
        Self {
            node,
            identity,
            listener,
            _services: services,
        }
    }

    fn tcp(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.listener.address().port())
    }
}

struct Client {
    node: Node,
    identity: Arc<LocalIdentity>,
}

impl Client {
    fn start() -> Self {
        let node = Node::new(NodeOptions::default());
        let identity = Arc::new(node.ephemeral_identity().unwrap());
        Self { node, identity }
    }

    async fn connect(&self, to: &str) -> Result<Connection, ConnectError> {
        self.connect_pinned(to, Vec::new()).await
    }

    fn options(&self, authorized: Vec<Identifier>) -> ConnectOptions {
        ConnectOptions {
            identity: Arc::new(FixedIdentity(self.identity.clone())),
            authorized,
            timeout: Duration::from_secs(5),
        }
    }

    async fn connect_pinned(
        &self,
        to: &str,
        authorized: Vec<Identifier>,
    ) -> Result<Connection, ConnectError> {
        let options = self.options(authorized);
        self.node.connect(&to.parse().unwrap(), options).await
    }

    async fn ask(&self, connection: &Connection, body: &[u8]) -> Vec<u8> {
        let own = self.node.random_address();
        let router = self.node.router();
        let mut mailbox = router
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
            .unwrap();
        router.add_consumer(&own, connection.flow().unwrap());
        let back = Route::from_hops([own.clone()]).unwrap();
        let body = Buffer::from_slice(body);
        router
            .send(&own, connection.route().clone(), back, body)
            .await
            .unwrap();
        mailbox.recv().await.payload.as_slice().to_vec()
    }
}

const API: Address = Address::from_static("api");
