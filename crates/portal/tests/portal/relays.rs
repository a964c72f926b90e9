//! Relay names have owners, relays have the life of their connection.

use std::time::{Duration, Instant};

use ockam_node::services;

use crate::world::{Allowed, Host, Wire, soon};

#[tokio::test]
async fn guard_11_2_23_name_of_a_living_owner_cannot_be_taken() {
    let host = Host::start().await;
    let service = host.relay_service();
    let mut owner = Wire::dial(&host).await;
    register(&mut owner, "n1").await;
    let mut hijacker = Wire::dial(&host).await;
    hijacker
        .send("static_forwarding_service", "evil", b"\x02n1")
        .await;
    // The owner is asked whether it is still there, and answers.
    let probe = Probe::answer(&mut owner).await;
    assert_eq!(probe, "echo");
    hijacker.send("forward_to_n1 => app", "x", b"hello").await;
    let seen = soon(owner.next()).await;
    assert_eq!(
        (seen.onward.to_string().as_str(), seen.payload.as_slice()),
        ("0#app", &b"hello"[..])
    );
    // Nothing was answered: what comes next is the answer to something else.
    hijacker.send("echo", "mark", b"mark").await;
    assert_eq!(soon(hijacker.next_body()).await.map(|_| ()), Some(()));
    assert_eq!(service.relays().len(), 1);
    // The owner itself registers again at any time.
    register(&mut owner, "n1").await;
}

#[tokio::test]
async fn name_of_a_silent_owner_is_free_after_a_probe() {
    let host = Host::start().await;
    let _service = host.relay_service();
    let mut silent = Wire::dial(&host).await;
    register(&mut silent, "n1").await;
    let mut next = Wire::dial(&host).await;
    let begun = Instant::now();
    register(&mut next, "n1").await;
    assert!(begun.elapsed() >= Duration::from_millis(1900));
    let mut sender = Wire::dial(&host).await;
    sender.send("forward_to_n1 => app", "x", b"hello").await;
    assert_eq!(soon(next.next()).await.payload, b"hello");
}

#[tokio::test]
async fn guard_w10_name_belongs_to_the_identity_not_to_its_connection() {
    let relay_node = Host::start().await;
    let service = relay_node.relay_service();
    let at = format!("{}/secure/api", relay_node.tcp());
    let owner = Host::start().await;
    let first = owner.relay(&at, "n1");
    soon(first.connected()).await;
    let identifier = owner.identifier;
    assert_eq!(service.relays()[0].owner, Some(identifier));
    // Over a second connection, while the first is alive: replaced at once.
    let begun = Instant::now();
    let second = owner.relay(&at, "n1");
    soon(second.connected()).await;
    assert!(begun.elapsed() < Duration::from_millis(1500));

    let other = Host::start().await;
    let hijack = other.relay(&at, "n1");
    let refused = tokio::time::timeout(Duration::from_secs(4), hijack.connected());
    assert!(refused.await.is_err());
    assert_eq!(service.relays()[0].owner, Some(identifier));
}

#[tokio::test]
async fn relay_is_gone_with_its_connection() {
    let host = Host::start().await;
    let service = host.relay_service();
    let mut owner = Wire::dial(&host).await;
    register(&mut owner, "n1").await;
    let address = service.relays()[0].address.clone();
    let gone = host.node.router().gone(&address);
    drop(owner);
    soon(gone).await;
    let mut next = Wire::dial(&host).await;
    register(&mut next, "n1").await;
}

#[tokio::test]
async fn guard_w05_bad_names_and_loops_are_refused() {
    let host = Host::start().await;
    let service = host.relay_service();
    let mut client = Wire::dial(&host).await;
    for body in [&b"\x031#a"[..], b"\x00", b"\x03a b", b"\x05abc", b""] {
        client
            .send("static_forwarding_service", "relayw", body)
            .await;
    }
    // A registration that would make this node forward to itself.
    let own: ockam_wire::Address = "own".parse().unwrap();
    let onward = "static_forwarding_service".parse().unwrap();
    let back = "forward_to_x => own".parse().unwrap();
    let body = ockam_wire::Buffer::from_slice(b"\x01x");
    host.node
        .router()
        .send(&own, onward, back, body)
        .await
        .unwrap();
    register(&mut client, "good").await;
    assert_eq!(service.relays().len(), 1);
}

#[tokio::test]
async fn dynamic_relay_gets_a_random_name() {
    let host = Host::start().await;
    let _service = host.relay_service();
    let mut client = Wire::dial(&host).await;
    client
        .send("forwarding_service", "relayw", b"\x08register")
        .await;
    let name = soon(client.next()).await.sender();
    let random = name.strip_prefix("0#forward_to_").unwrap();
    assert_eq!(random.len(), 32);
    let mut sender = Wire::dial(&host).await;
    sender
        .send(&format!("{name} => 0#app"), "x", b"hello")
        .await;
    let seen = soon(client.next()).await;
    assert_eq!(seen.onward.to_string(), "0#app");
    // spec: messaging 11.6, V35 (an answer reaches the sender)
    assert_eq!(seen.return_route.len(), 2);
    client
        .send(&seen.return_route.to_string(), "app", b"answer")
        .await;
    let seen = soon(sender.next()).await;
    assert_eq!(
        (seen.onward.to_string().as_str(), seen.payload.as_slice()),
        ("0#x", &b"answer"[..])
    );
}

#[tokio::test]
async fn relay_ends_within_a_second_when_its_owner_may_not_have_it_and_comes_back_when_it_may() {
    let relay_node = Host::start().await;
    let (owner, neighbour) = (Host::start().await, Host::start().await);
    let both = [owner.identifier, neighbour.identifier];
    let allowed = Allowed::new(&both);
    let service = relay_node.relay_service_with(|options| options.authority = allowed.clone());
    let at = format!("{}/secure/api", relay_node.tcp());
    let relay = owner.relay(&at, "n1");
    let other = neighbour.relay(&at, "n2");
    soon(relay.connected()).await;
    soon(other.connected()).await;
    let address = service.relays()[0].address.clone();
    let gone = relay_node.node.router().gone(&address);
    allowed.set(&[neighbour.identifier]);
    let begun = Instant::now();
    soon(gone).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    // One of our own owners is told, and asks again from time to time.
    let told = eventually(|| {
        let status = relay.status();
        status
            .session
            .last_failure
            .filter(|why| why.contains("the relay node refuses `n1`"))
    });
    soon(told).await;
    assert_eq!(relay.status().registered, None);
    allowed.set(&both);
    soon(relay.connected()).await;
    assert_eq!(service.relays().len(), 2);
    assert_eq!(
        other.status().session.connects,
        1,
        "the neighbour's stays as it was"
    );
}

#[tokio::test]
async fn registration_that_is_not_permitted_is_answered_to_our_own_nodes_only() {
    let relay_node = Host::start().await;
    let allowed = Allowed::new(&[]);
    let service = relay_node.relay_service_with(|options| options.authority = allowed.clone());
    let mut stranger = Wire::dial(&relay_node).await;
    stranger
        .send("static_forwarding_service", "relayw", b"\x02n1")
        .await;
    stranger.send("echo", "mark", b"mark").await;
    let answer = soon(stranger.next()).await;
    assert_eq!(
        answer.onward.to_string(),
        "0#mark",
        "nothing else was answered"
    );
    let owner = Host::start().await;
    let begun = Instant::now();
    let relay = owner.relay(&format!("{}/secure/api", relay_node.tcp()), "n1");
    soon(eventually(|| relay.status().session.last_failure)).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(service.relays().is_empty());
}

async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn register(client: &mut Wire, name: &str) {
    let body = [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    client
        .send("static_forwarding_service", "relayw", &body)
        .await;
    loop {
        let body = soon(client.next_body()).await.unwrap();
        let seen = crate::world::Seen::read(&body);
        if seen.onward.to_string() == "0#relayw" {
            assert_eq!(seen.sender(), format!("0#forward_to_{name}"));
            return;
        }
    }
}

/// The question of a relay node to the owner of a name.
struct Probe;

impl Probe {
    async fn answer(owner: &mut Wire) -> String {
        let body = soon(owner.next_body()).await.unwrap();
        let seen = crate::world::Seen::read(&body);
        assert_eq!(seen.onward.last().unwrap(), services::ECHO);
        owner
            .send(&seen.return_route.to_string(), "echo", &seen.payload)
            .await;
        "echo".to_owned()
    }
}
