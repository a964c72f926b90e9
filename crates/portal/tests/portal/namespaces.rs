//! Relays in nodes that share the listener of another: what goes through them is as through relays of a node alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_node::services::{self, Service};
use ockam_node::{ChannelListener, FixedIdentity, ListenerOptions, Namespace, Node, NodeOptions};
use ockam_portal::{Inlet, Relay, RelayService, RelayServiceOptions};
use ockam_wire::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{API, Host, echo_target, exchange, manual_target, noise, ping_pong, soon};

#[tokio::test]
async fn portal_through_a_relay_in_a_namespace() {
    let outer = Host::start().await;
    let project = Project::start(&outer, "p1");
    let (relayed, user) = (Host::start().await, Host::start().await);
    let _outlet = relayed.outlet(echo_target().await);
    let relay = project.relay(&relayed, "n1").await;
    assert_eq!(
        relay
            .status()
            .registered
            .unwrap()
            .remote_address
            .to_string(),
        "0#forward_to_n1"
    );
    assert_eq!(project.relays.relays()[0].owner, Some(relayed.identifier));
    let inlet = project.inlet(&user, "n1").await;
    let bytes = noise(3_000_000);
    let before = ockam_wire::headroom_misses();
    let answer = soon(exchange(inlet.bound(), &bytes)).await.unwrap();
    assert!(
        answer == bytes,
        "all comes back after the client's half-close"
    );
    assert_eq!(ockam_wire::headroom_misses(), before, "no copy is made");
    // Nobody but the inner node has channels or relays.
    assert!(outer.node.channels().is_empty());
    assert_eq!(project.node.channels().len(), 2);
}

#[tokio::test]
async fn two_namespaces_have_relays_of_the_same_name() {
    let outer = Host::start().await;
    let projects = [Project::start(&outer, "p1"), Project::start(&outer, "p2")];
    let user = Host::start().await;
    let mut running = Vec::new();
    for (at, project) in projects.iter().enumerate() {
        let relayed = Host::start().await;
        let (target, accepted) = manual_target().await;
        let outlet = relayed.outlet(target);
        let relay = project.relay(&relayed, "same").await;
        let inlet = project.inlet(&user, "same").await;
        running.push((at, relayed, accepted, outlet, relay, inlet));
    }
    for (at, _, accepted, _, _, inlet) in &mut running {
        let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
        let mut target = soon(accepted.recv()).await.unwrap();
        client.write_u8(u8::try_from(*at).unwrap()).await.unwrap();
        assert_eq!(
            soon(target.read_u8()).await.unwrap(),
            u8::try_from(*at).unwrap()
        );
    }
    // Each was reached once, by its own.
    assert!(
        running
            .iter_mut()
            .all(|(_, _, accepted, ..)| accepted.try_recv().is_err())
    );
    assert!(
        projects
            .iter()
            .all(|project| project.relays.relays().len() == 1)
    );
}

#[tokio::test]
async fn relay_in_a_namespace_ends_with_the_connection_of_its_owner_and_comes_back() {
    let outer = Host::start().await;
    let project = Project::start(&outer, "p1");
    let (relayed, user) = (Host::start().await, Host::start().await);
    let _outlet = relayed.outlet(echo_target().await);
    let relay = project.relay(&relayed, "n1").await;
    let inlet = project.inlet(&user, "n1").await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    soon(ping_pong(&mut client, b"before")).await.unwrap();
    let gone = project
        .node
        .router()
        .gone(&project.relays.relays()[0].address);
    for connection in outer.node.connections() {
        connection.close();
    }
    let begun = Instant::now();
    soon(gone).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    soon(async {
        while relay.status().session.connects < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let again = async {
        loop {
            if let Ok(mut client) = TcpStream::connect(inlet.bound()).await
                && ping_pong(&mut client, b"after").await.is_ok()
            {
                return;
            }
        }
    };
    soon(again).await;
    assert_eq!(project.relays.relays().len(), 1);
}

#[tokio::test]
async fn stalled_target_behind_a_namespace_does_not_hold_its_neighbour_up() {
    let outer = Host::start().await;
    let project = Project::start(&outer, "p1");
    let (relayed, user) = (Host::start().await, Host::start().await);
    let (target, mut accepted) = manual_target().await;
    let _outlet = relayed.outlet(target);
    let _relay = project.relay(&relayed, "n1").await;
    let inlet = project.inlet(&user, "n1").await;
    let mut stalled = TcpStream::connect(inlet.bound()).await.unwrap();
    let mut stalled_target = soon(accepted.recv()).await.unwrap();
    let bytes = noise(16_000_000);
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        stalled.write_all(&sent).await.unwrap();
        stalled
    });
    let mut neighbour = TcpStream::connect(inlet.bound()).await.unwrap();
    let mut neighbour_target = soon(accepted.recv()).await.unwrap();
    for round in 0..50_u32 {
        neighbour.write_all(&round.to_be_bytes()).await.unwrap();
        assert_eq!(soon(neighbour_target.read_u32()).await.unwrap(), round);
        neighbour_target.write_u32(round).await.unwrap();
        assert_eq!(soon(neighbour.read_u32()).await.unwrap(), round);
    }
    let mut received = vec![0; bytes.len()];
    soon(stalled_target.read_exact(&mut received))
        .await
        .unwrap();
    assert!(received == bytes);
    drop(sending.await.unwrap());
}

/// Prints what a relay in a namespace costs beside one at a node alone (`--nocapture`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "figures for whoever asks for them")]
async fn bulk_through_a_relay_in_a_namespace_is_whole() {
    let outer = Host::start().await;
    let project = Project::start(&outer, "p1");
    let alone = Host::start().await;
    let _service = alone.relay_service();
    let (relayed, user) = (Host::start().await, Host::start().await);
    let _outlet = relayed.outlet(echo_target().await);
    let _inside = project.relay(&relayed, "n1").await;
    let at_alone = format!("{}/secure/api", alone.tcp());
    let beside = relayed.relay(&at_alone, "n1");
    soon(beside.connected()).await;
    let to = format!("{at_alone}/service/forward_to_n1/secure/api/service/outlet");
    let inlets = [project.inlet(&user, "n1").await, user.inlet(&to).await];
    let bytes = noise(8_000_000);
    let mut best = [Duration::MAX; 2];
    for _ in 0..3 {
        for (inlet, best) in inlets.iter().zip(&mut best) {
            let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
            let (mut read, mut write) = client.split();
            let mut answer = vec![0; bytes.len()];
            let begun = Instant::now();
            let (sent, received) =
                tokio::join!(write.write_all(&bytes), soon(read.read_exact(&mut answer)));
            sent.unwrap();
            received.unwrap();
            *best = begun.elapsed().min(*best);
            assert!(answer == bytes);
        }
    }
    let [inside, alone] = best.map(|time| 2.0 * bytes.len() as f64 / time.as_secs_f64() / 1e6);
    eprintln!("relay in a namespace: {inside:.0} MB/s, relay at a node alone: {alone:.0} MB/s");
}

/// A node with a relay service inside another, behind the gate `name`.
struct Project {
    at: String,
    node: Node,
    relays: RelayService,
    _namespace: Namespace,
    _channels: ChannelListener,
    _echo: Service,
}

impl Project {
    fn start(outer: &Host, name: &str) -> Self {
        let node = Node::new(NodeOptions::default());
        let namespace = outer
            .node
            .enter(Address::local(name).unwrap(), &node)
            .unwrap();
        namespace.open_to(outer.listener.flow());
        let options = ListenerOptions {
            identity: Arc::new(FixedIdentity::from(node.ephemeral_identity().unwrap())),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let channels = node.start_channel_listener(&API, options).unwrap();
        node.router().add_consumer(&API, namespace.flow());
        let echo = services::start_echo(&node, services::ECHO).unwrap();
        node.router().add_consumer(&services::ECHO, channels.flow());
        let options = RelayServiceOptions {
            service_consumers: vec![channels.flow()],
            relay_consumers: vec![channels.flow()],
            ..RelayServiceOptions::default()
        };
        Self {
            at: format!("{}/service/{name}/secure/api", outer.tcp()),
            relays: RelayService::start(&node, options).unwrap(),
            node,
            _namespace: namespace,
            _channels: channels,
            _echo: echo,
        }
    }

    async fn relay(&self, host: &Host, name: &str) -> Relay {
        let relay = host.relay(&self.at, name);
        soon(relay.connected()).await;
        relay
    }

    async fn inlet(&self, host: &Host, relay: &str) -> Inlet {
        let to = format!(
            "{}/service/forward_to_{relay}/secure/api/service/outlet",
            self.at
        );
        host.inlet(&to).await
    }
}
