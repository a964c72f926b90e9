//! Nodes that keep what they were asked for, commanded over their control sockets.

use std::path::Path;
use std::time::Duration;

use ockam_control::{
    ChannelSpec, Client, Code, Connection, DurationText, IfRunning, InletSpec, InletStatus,
    ListenerSpec, ManagedNode, MessageReply, MessageSpec, NodeResources, NodeSettings, OutletSpec,
    Policies, PolicySpec, Posture, Relay, RelaySpec, SecureChannel, SecureChannelListener, Service,
    ServiceKind, ServiceSpec, Start, State, StatusEndpoint, TcpConnection, TcpConnectionSpec,
    TcpInlet, TcpListener, TcpListenerSpec, TcpOutlet, TransportMode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

#[tokio::test]
async fn a_portal_carries_bytes_and_is_restored_with_its_node() {
    let home = Home::new();
    let target = echo_server().await;
    let a = home.start("a").await;
    let b = home.start("b").await;
    let outlet = home
        .client("a")
        .await
        .create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    assert_eq!(outlet.name(), "outlet");
    let inlet = inlet("/node/a/secure/api/service/outlet");
    let created = home
        .client("b")
        .await
        .create::<TcpInlet>(&inlet)
        .await
        .expect("it is made");
    assert_eq!(created.status, Connection::Up);
    assert!(
        created.outlet_addr.starts_with("/ip4/127.0.0.1/tcp/"),
        "{}",
        created.outlet_addr
    );
    carries(&created).await;

    b.stop().await.expect("it stops");
    drop(b);
    let _b = home.start("b").await;
    let restored = home
        .client("b")
        .await
        .list::<TcpInlet>()
        .await
        .expect("it answers");
    assert_eq!(restored.len(), 1);
    assert_eq!(
        (&restored[0].alias, &restored[0].bind_addr),
        (&created.alias, &created.bind_addr)
    );
    carries(&restored[0]).await;

    // The other end goes away and comes back at the same address: the inlet dials again by itself.
    a.stop().await.expect("it stops");
    drop(a);
    let _a = home.start("a").await;
    carries(&restored[0]).await;
}

#[tokio::test]
async fn guard_11_2_12_policies_of_types_and_resources_outlive_a_restart() {
    // spec: trust 11.2 (12)
    let home = Home::new();
    let node = home.start("a").await;
    let client = home.client("a").await;
    for (resource, expression) in [("tcp-outlet", "component=web"), ("db", "admin")] {
        let spec = PolicySpec {
            resource: resource.parse().expect("a resource"),
            expression: expression.parse().expect("a policy"),
        };
        client.create::<Policies>(&spec).await.expect("it is made");
    }
    let given = client.list::<Policies>().await.expect("it answers");
    node.stop().await.expect("it stops");
    drop(node);
    let _node = home.start("a").await;
    let client = home.client("a").await;
    let again = client.list::<Policies>().await.expect("it answers");
    assert_eq!(given, again);
    let kept = again.iter().filter(|policy| !policy.is_default);
    let kept: Vec<_> = kept.map(|policy| policy.expression.as_str()).collect();
    assert_eq!(
        kept,
        [
            "(= subject.admin \"true\")",
            "(= subject.component \"web\")"
        ]
    );
}

#[tokio::test]
async fn a_node_whose_stored_policy_names_nothing_it_understands_does_not_start() {
    let home = Home::new();
    let node = home.start("a").await;
    node.stop().await.expect("it stops");
    drop(node);
    let state = home.state().await;
    let name = "a".parse().expect("a name");
    let spec = r#"{"resource":"db","expression":"admin"}"#;
    let stored = state.store().put_request(&name, "policy", "a\u{1}b", spec);
    stored.await.expect("it is stored");
    let refused = ManagedNode::start(state, settings("a")).await;
    let refused = refused.expect_err("what the policy protects would be open");
    assert!(refused.message.contains("a\\u{1}b"), "{}", refused.message);
}

#[tokio::test]
async fn a_channel_keeps_its_name_over_a_restart_of_its_node() {
    let home = Home::new();
    let target = echo_server().await;
    let _a = home.start("a").await;
    let b = home.start("b").await;
    home.client("a")
        .await
        .create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    let client = home.client("b").await;
    let spec = ChannelSpec {
        to: "/node/a/service/api".parse().expect("a route"),
        ..channel()
    };
    let channel = client
        .create::<SecureChannel>(&spec)
        .await
        .expect("it is made");
    let route = format!("{}/service/outlet", channel.address);
    let created = client
        .create::<TcpInlet>(&inlet(&route))
        .await
        .expect("it is made");
    carries(&created).await;
    assert_eq!(
        send(
            &client,
            &format!("{}/service/uppercase", channel.address),
            "hi"
        )
        .await,
        "HI"
    );

    b.stop().await.expect("it stops");
    drop(b);
    let _b = home.start("b").await;
    let client = home.client("b").await;
    let channels = client.list::<SecureChannel>().await.expect("it answers");
    assert_eq!(channels[0].address, channel.address);
    carries(&created).await;
    let name = channel.address.parse().expect("a worker");
    client
        .delete::<SecureChannel>(&name)
        .await
        .expect("it is there");
    let failure = client
        .show::<SecureChannel>(&name)
        .await
        .expect_err("it is gone");
    assert_eq!(
        failure.message,
        format!("Secure channel with address, 0#{name}, not found")
    );
}

#[tokio::test]
async fn a_node_behind_a_relay_is_reached_end_to_end() {
    let home = Home::new();
    let target = echo_server().await;
    let _relay = home.start("relay").await;
    let _blue = home.start("blue").await;
    let _green = home.start("green").await;
    let blue = home.client("blue").await;
    blue.create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    let spec = relay("blue", "/node/relay");
    let relay = blue.create::<Relay>(&spec).await.expect("it is made");
    assert_eq!(relay.remote_address.as_deref(), Some("forward_to_blue"));
    assert_eq!(relay.connection_status, Connection::Up);
    assert_eq!(
        blue.create::<Relay>(&spec)
            .await
            .expect_err("it is there")
            .code,
        Some(Code::AlreadyExists)
    );
    let green = home.client("green").await;
    let to = "/node/relay/service/forward_to_blue/secure/api/service/outlet";
    carries(
        &green
            .create::<TcpInlet>(&inlet(to))
            .await
            .expect("it is made"),
    )
    .await;
    assert_eq!(
        send(
            &green,
            "/node/relay/service/forward_to_blue/service/uppercase",
            "hi"
        )
        .await,
        "HI"
    );
}

#[tokio::test]
async fn a_node_behind_a_relay_says_whom_it_accepts() {
    let home = Home::new();
    let elsewhere = Home::new();
    let _relay = home.start("relay").await;
    let _blue = home.start("blue").await;
    let _stranger = elsewhere.start("stranger").await;
    let blue = home.client("blue").await;
    let api = "/node/relay/service/forward_to_blue/secure/api";
    blue.create::<Relay>(&relay("blue", "/node/relay"))
        .await
        .expect("it is made");
    // All nodes of a home have one identity here; the peer of a channel to `api` tells which.
    let known = home
        .client("relay")
        .await
        .create::<SecureChannel>(&ChannelSpec {
            to: api.parse().expect("a route"),
            ..channel()
        })
        .await
        .expect("it is made")
        .their_identifier;
    // The first is there before a further relay, the second after the first one.
    for (listener, name) in [("pinned", "again"), ("later", "blue")] {
        blue.create::<SecureChannelListener>(&ListenerSpec {
            address: listener.parse().expect("a worker"),
            authorized: vec![known.parse().expect("an identifier")],
            identity: None,
            no_credential: false,
        })
        .await
        .expect("it is made");
        if name != "blue" {
            blue.create::<Relay>(&relay(name, "/node/relay"))
                .await
                .expect("it is made");
        }
        let to = format!("/service/forward_to_{name}/secure/{listener}/service/uppercase");
        let friend = home.client("relay").await;
        assert_eq!(send(&friend, &format!("/node/relay{to}"), "hi").await, "HI");
        let resources = home.resources("relay").await;
        let listens = resources
            .transports
            .iter()
            .find(|transport| transport.mode == TransportMode::Listen);
        let port = port_of(&listens.expect("a listener").socket_addr);
        let stranger = elsewhere.client("stranger").await;
        let refused = MessageSpec {
            to: format!("/ip4/127.0.0.1/tcp/{port}{to}")
                .parse()
                .expect("a route"),
            body: "026869".to_owned(),
            timeout: DurationText(Duration::from_millis(700)),
            identity: None,
        };
        let sent: Result<MessageReply, _> = stranger
            .ask(
                "POST".parse().expect("a method"),
                "/messages",
                Some(&refused),
            )
            .await;
        assert!(sent.is_err(), "a stranger was answered");
    }
}

#[tokio::test]
async fn a_channel_over_a_relay_keeps_its_address_and_its_inlet_when_the_relay_is_back() {
    let home = Home::new();
    let target = echo_server().await;
    let relay_node = home.start("relay").await;
    let _blue = home.start("blue").await;
    let _green = home.start("green").await;
    let blue = home.client("blue").await;
    blue.create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    blue.create::<Relay>(&relay("blue", "/node/relay"))
        .await
        .expect("it is made");
    let green = home.client("green").await;
    let spec = ChannelSpec {
        to: "/node/relay/service/forward_to_blue/service/api"
            .parse()
            .expect("a route"),
        ..channel()
    };
    let channel = green
        .create::<SecureChannel>(&spec)
        .await
        .expect("it is made");
    let to = format!("{}/service/outlet", channel.address);
    let inlet = green
        .create::<TcpInlet>(&inlet(&to))
        .await
        .expect("it is made");
    carries(&inlet).await;

    relay_node.stop().await.expect("it stops");
    drop(relay_node);
    let is = async |wanted: Connection| {
        let ended = async {
            while green
                .show::<TcpInlet>(&inlet.alias.parse().expect("a name"))
                .await
                .expect("it is there")
                .status
                != wanted
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await
    };
    is(Connection::Down).await.expect("it is noticed");
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Accepted by the inlet that was there all the time, and asked to wait.
    let waiting = tokio::spawn({
        let address = inlet.bind_addr.clone();
        async move { try_carry(&address).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;

    let _relay_node = home.start("relay").await;
    let back = std::time::Instant::now();
    while try_carry(&inlet.bind_addr).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waited = back.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    waiting
        .await
        .expect("it ends")
        .expect("a client that came before is served too");
    is(Connection::Up).await.expect("it is told");
    let channels = green.list::<SecureChannel>().await.expect("it answers");
    let addresses: Vec<_> = channels.iter().map(|channel| &channel.address).collect();
    assert_eq!(addresses, [&channel.address]);
    let now = green
        .show::<TcpInlet>(&inlet.alias.parse().expect("a name"))
        .await
        .expect("it is there");
    assert_eq!(now.outlet_route, inlet.outlet_route);
}

#[tokio::test]
async fn names_are_held_once_and_free_again_after_deletion() {
    let home = Home::new();
    let target = echo_server().await;
    let _a = home.start("a").await;
    let client = home.client("a").await;
    let first = client
        .create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    let second = client
        .create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    assert_ne!(first.name(), second.name());
    let failure = client
        .create::<TcpOutlet>(&outlet(Some("outlet"), &target))
        .await
        .expect_err("it is taken");
    assert_eq!(
        failure.message,
        "A TCP outlet with address 'outlet' already exists"
    );
    client
        .delete::<TcpOutlet>(&"outlet".parse().expect("a worker"))
        .await
        .expect("it is there");
    client
        .create::<TcpOutlet>(&outlet(Some("outlet"), &target))
        .await
        .expect("it is free");

    let taken = InletSpec {
        from: target.parse().expect("an address"),
        ..inlet("/node/a/service/outlet")
    };
    let failure = client
        .create::<TcpInlet>(&taken)
        .await
        .expect_err("the port is taken");
    let port = target.rsplit(':').next().expect("a port");
    assert_eq!(
        failure.message,
        format!("Another process is already listening on port {port}!")
    );
    let unknown = inlet("/node/nobody/service/outlet");
    let failure = client
        .create::<TcpInlet>(&unknown)
        .await
        .expect_err("there is no such node");
    assert_eq!(
        failure.message,
        "Could not convert /node/nobody/service/outlet into route"
    );
    assert_eq!(failure.causes, ["There is no node with name nobody"]);
    assert!(
        client
            .list::<TcpInlet>()
            .await
            .expect("it answers")
            .is_empty()
    );
}

#[tokio::test]
async fn what_was_restored_may_be_asked_for_again() {
    let home = Home::new();
    let target = echo_server().await;
    let a = home.start("a").await;
    let inlet = InletSpec {
        alias: Some("web".parse().expect("a name")),
        ..inlet("/node/a/service/outlet")
    };
    let client = home.client("a").await;
    client
        .create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is made");
    let created = client.create::<TcpInlet>(&inlet).await.expect("it is made");
    a.stop().await.expect("it stops");
    drop(a);
    let _a = home.start("a").await;
    let client = home.client("a").await;
    let again = client
        .create::<TcpOutlet>(&outlet(None, &target))
        .await
        .expect("it is adopted");
    assert_eq!(again.name(), "outlet");
    let adopted = client
        .create::<TcpInlet>(&inlet)
        .await
        .expect("it is adopted");
    assert_eq!(adopted.bind_addr, created.bind_addr);
    client
        .create::<TcpInlet>(&inlet)
        .await
        .expect_err("now it is there");
    carries(&adopted).await;
}

#[tokio::test]
async fn transports_listeners_and_services_are_commanded_and_restored() {
    let home = Home::new();
    let a = home.start("a").await;
    let _b = home.start("b").await;
    let client = home.client("a").await;
    let listener = TcpListenerSpec {
        address: "127.0.0.1:0".parse().expect("an address"),
    };
    let listener = client
        .create::<TcpListener>(&listener)
        .await
        .expect("it is made");
    assert_eq!(listener.mode, TransportMode::Listen);
    let own = ListenerSpec {
        address: "own".parse().expect("a worker"),
        authorized: Vec::new(),
        identity: None,
        no_credential: false,
    };
    client
        .create::<SecureChannelListener>(&own)
        .await
        .expect("it is made");
    let hop = ServiceSpec {
        address: "hop".parse().expect("a worker"),
        kind: ServiceKind::Hop,
    };
    let hop: Service = client
        .ask("POST".parse().expect("a method"), "/services", Some(&hop))
        .await
        .expect("it is made");
    assert_eq!((hop.addr.as_str(), hop.kind.as_str()), ("hop", "hop"));
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/secure/own/service/echo",
        port_of(&listener.socket_addr)
    );
    assert_eq!(send(&home.client("b").await, &to, "x").await, "x");

    let to = home.resources("b").await.transports[0]
        .socket_addr
        .parse()
        .expect("an address");
    let connection = client
        .create::<TcpConnection>(&TcpConnectionSpec { to })
        .await
        .expect("it is made");
    let worker = connection
        .worker_addr
        .strip_prefix("0#")
        .expect("a local address")
        .to_owned();
    assert_eq!(
        send(
            &client,
            &format!("/worker/{worker}/service/uppercase"),
            "hi"
        )
        .await,
        "HI"
    );

    a.stop().await.expect("it stops");
    drop(a);
    let _a = home.start("a").await;
    let client = home.client("a").await;
    let resources = home.resources("a").await;
    assert!(
        resources
            .transports
            .iter()
            .any(|transport| transport.socket_addr == listener.socket_addr)
    );
    let listeners: Vec<_> = resources
        .secure_channel_listeners
        .iter()
        .map(|listener| listener.address.name())
        .collect();
    assert_eq!(listeners, ["api", "own"]);
    assert!(resources.services.contains(&hop));
    assert_eq!(
        send(
            &client,
            &format!("/worker/{worker}/service/uppercase"),
            "hi"
        )
        .await,
        "HI"
    );
    client
        .delete::<TcpListener>(&listener.socket_addr.parse().expect("a name"))
        .await
        .expect("it is there");
    assert!(TcpStream::connect(&listener.socket_addr).await.is_err());
}

#[tokio::test]
async fn a_message_without_a_reply_ends_in_time() {
    let home = Home::new();
    let _a = home.start("a").await;
    let client = home.client("a").await;
    let spec = MessageSpec {
        to: "/node/a/service/nobody".parse().expect("a route"),
        body: String::new(),
        timeout: DurationText(Duration::from_millis(300)),
        identity: None,
    };
    let sent: Result<MessageReply, _> = client
        .ask("POST".parse().expect("a method"), "/messages", Some(&spec))
        .await;
    assert_eq!(sent.expect_err("nobody answers").message, "timeout: 300ms");
}

#[tokio::test]
async fn the_status_endpoint_tells_what_the_node_runs() {
    let home = Home::new();
    let _a = home.start("a").await;
    let address = home
        .resources("a")
        .await
        .status_endpoint_address
        .expect("it is on");
    let ask = async |request: &str| {
        let mut stream = TcpStream::connect(&address).await.expect("it listens");
        stream
            .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await
            .expect("it reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("it answers");
        answer
    };
    let health = ask("HEAD /").await;
    assert!(
        health.starts_with("HTTP/1.1 200 ") && !health.contains("content-length"),
        "{health}"
    );
    let show = ask("GET /show").await;
    assert!(show.contains(r#"{"name":"a","identity_name":""#), "{show}");
    assert!(!show.contains("content-type"), "{show}");
    for request in ["GET /", "HEAD /show", "POST /show"] {
        assert!(ask(request).await.starts_with("HTTP/1.1 404 "), "{request}");
    }
}

#[tokio::test]
async fn a_node_that_runs_is_not_started_again_and_a_stopped_one_is_marked() {
    let home = Home::new();
    let a = home.start("a").await;
    let state = home.state().await;
    let record = state
        .node(&"a".parse().expect("a name"))
        .await
        .expect("it is stored");
    assert!(record.is_default && record.process.is_some_and(|process| process.is_running()));
    let second = ManagedNode::start(state.clone(), settings("a")).await;
    // The process is the same one here; the control socket tells the two nodes apart.
    assert_eq!(
        second.expect_err("it runs").message,
        "Node a is already running"
    );
    a.stop().await.expect("it stops");
    let record = state
        .node(&"a".parse().expect("a name"))
        .await
        .expect("it is stored");
    assert!(record.process.is_none());
}

#[tokio::test]
async fn nonsense_on_the_control_socket_is_refused_and_harms_nothing() {
    let home = Home::new();
    let _a = home.start("a").await;
    let state = home.state().await;
    let socket = state
        .socket(&"a".parse().expect("a name"))
        .expect("there is room");
    for request in [
        "POST /tcp-outlets HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        "POST /tcp-outlets HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nconnection: close\r\n\r\n[",
        "GET /tcp-outlets/%2e%2e%2f HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /unknown HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "\0\0\0\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(&socket).await.expect("it listens");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = Vec::new();
        // A connection may be cut instead of answered.
        drop(stream.read_to_end(&mut answer).await);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{request}: {answer}"
        );
    }
    assert!(
        home.client("a")
            .await
            .list::<TcpOutlet>()
            .await
            .expect("it answers")
            .is_empty()
    );
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn state(&self) -> State {
        State::open(&self.path().join("home"), Some(self.path().to_owned()))
            .await
            .expect("it opens")
    }

    async fn start(&self, name: &str) -> ManagedNode {
        ManagedNode::start(self.state().await, settings(name))
            .await
            .expect("it starts")
    }

    async fn client(&self, name: &str) -> Client {
        let state = self.state().await;
        let socket = state
            .socket(&name.parse().expect("a name"))
            .expect("there is room for it");
        Client::new(socket, name, "its socket", Duration::from_secs(30))
    }

    async fn resources(&self, name: &str) -> NodeResources {
        let client = self.client(name).await;
        client
            .ask("GET".parse().expect("a method"), "/node", None::<&()>)
            .await
            .expect("it answers")
    }
}

fn settings(name: &str) -> NodeSettings {
    NodeSettings {
        name: name.parse().expect("a name"),
        listener: None,
        identity: None,
        services: None,
        status_endpoint: StatusEndpoint::Preferred,
        if_running: IfRunning::Refuse,
        start: Start::Create,
        portal_chunk: None,
        purpose_key_lifetime: None,
        trust: None,
        max_stale: None,
        authority: None,
        orchestrator: None,
        orchestrates: None,
        database: ockam_control::DatabaseAccess::default(),
        posture: Posture::Published,
    }
}

fn outlet(name: Option<&str>, target: &str) -> OutletSpec {
    OutletSpec {
        address: name.map(|name| name.parse().expect("a worker")),
        to: target.parse().expect("an address"),
        skip_handshake: false,
        allow: None,
        authorized: Vec::new(),
    }
}

fn inlet(to: &str) -> InletSpec {
    InletSpec {
        alias: None,
        from: "127.0.0.1:0".parse().expect("an address"),
        to: to.parse().expect("a route"),
        or: None,
        identity: None,
        authorized: None,
        connection_wait: Some(DurationText(Duration::from_secs(10))),
        enable_nagle: false,
        skip_handshake: false,
        allow: None,
        http_headers: Vec::new(),
    }
}

fn relay(name: &str, at: &str) -> RelaySpec {
    RelaySpec {
        name: name.parse().expect("a name"),
        at: at.parse().expect("a route"),
        relay_address: None,
        authorized: None,
        identity: None,
        allow: None,
        connection_wait: Some(DurationText(Duration::from_secs(10))),
    }
}

fn channel() -> ChannelSpec {
    ChannelSpec {
        to: "/service/api".parse().expect("a route"),
        authorized: Vec::new(),
        identity: None,
        timeout: Some(DurationText(Duration::from_secs(10))),
        credential: None,
    }
}

fn port_of(address: &str) -> &str {
    address.rsplit(':').next().expect("a port")
}

async fn send(client: &Client, to: &str, text: &str) -> String {
    let mut body = vec![u8::try_from(text.len()).expect("a short text")];
    body.extend_from_slice(text.as_bytes());
    let spec = MessageSpec {
        to: to.parse().expect("a route"),
        body: hex::encode(body),
        timeout: DurationText(Duration::from_secs(10)),
        identity: None,
    };
    for _ in 0..50 {
        let sent: Result<MessageReply, _> = client
            .ask("POST".parse().expect("a method"), "/messages", Some(&spec))
            .await;
        if let Ok(reply) = sent {
            let body = hex::decode(reply.body).expect("hexadecimal");
            return String::from_utf8_lossy(&body[1..]).into_owned();
        }
        // A link may still be on its way up after a restart.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no reply from {to}");
}

/// Sends through an inlet and expects the same back.
async fn carries(inlet: &InletStatus) {
    for _ in 0..100 {
        if try_carry(&inlet.bind_addr).await.is_ok() {
            return;
        }
        // The way may still be on its way up after a restart.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing comes back through {inlet:?}");
}

async fn try_carry(address: &str) -> std::io::Result<()> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"through the portal").await?;
        let mut back = [0; 18];
        stream.read_exact(&mut back).await?;
        if &back == b"through the portal" {
            Ok(())
        } else {
            Err(std::io::Error::other("changed"))
        }
    };
    tokio::time::timeout(Duration::from_secs(5), exchange).await?
}

async fn echo_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("it binds");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
            });
        }
    });
    address
}
