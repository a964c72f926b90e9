//! Whom an outlet is for: identifiers that no authority can make anybody else be.

use std::net::SocketAddr;

use crate::impostor::sent_into;
use crate::tap::Deed;
use crate::world::World;

#[test]
fn a_pinned_outlet_is_for_its_identifiers_alone_over_a_relay_too_and_after_a_restart() {
    let world = World::start();
    let client = World::identifier(&world.client);
    world.server.ok(&format!(
        "tcp-outlet create pinned --at server --to {} --authorized {client}",
        world.target.address()
    ));
    // The relay is somebody else, whoever asks through it; it may use the other outlet, and asks directly and through itself.
    let direct = format!("/ip4/127.0.0.1/tcp/{}", world.server.listener().port());
    let relayed = world.server_route();
    let others = [&direct, &relayed].map(|way| {
        let may = world.relay.ok(&format!(
            "tcp-inlet create --at relay --from 127.0.0.1:0 --to {way}/secure/api/service/outlet"
        ));
        drop(world.open(may.trim().parse().unwrap()));
        let made = world.relay.ok(&format!(
            "tcp-inlet create --at relay --from 127.0.0.1:0 --to {way}/secure/api/service/pinned"
        ));
        made.trim().parse::<SocketAddr>().unwrap()
    });
    let plain = world.relay.ok(&format!(
        "tcp-inlet create --at relay --from 127.0.0.1:0 --to {direct}/service/pinned"
    ));
    let plain: SocketAddr = plain.trim().parse().unwrap();
    let inlet = world.inlet_to("pinned", "");
    let attempt = |when: &str| {
        world
            .exchange(when, inlet, |_| Deed::Pass)
            .assert_complete(when);
        let before = world.target.connections();
        for other in others {
            assert_eq!(sent_into(other), b"", "{when}");
        }
        // Without a channel nobody is told anything, so the client hears nothing; it is enough that nothing comes of it.
        let waiting = std::net::TcpStream::connect(plain).unwrap();
        let denied = |rule: &str| {
            let denials = world.server.json("policy denials --at server");
            let denials = denials.as_array().unwrap().iter();
            let rules: Vec<_> = denials
                .filter(|denial| denial["resource"] == "pinned")
                .map(|denial| denial["rule"].as_str().unwrap().to_owned())
                .collect();
            rules.iter().any(|known| known == rule)
        };
        assert!(denied("not an authorized identifier"), "{when}");
        crate::party::eventually("the plain request is denied", || {
            denied("no secure channel").then_some(())
        });
        drop(waiting);
        assert_eq!(world.target.connections(), before, "{when}");
    };
    attempt("at first");
    world.server.ok("node stop server");
    world.server.ok("node start server");
    // The ways are restored by themselves.
    crate::party::eventually("the relay is registered again", || {
        let shown = world.server.json("relay show server --at server");
        (shown["connection_status"] == "Up").then_some(())
    });
    attempt("after a restart");
}
