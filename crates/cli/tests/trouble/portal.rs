//! The scene most tests play in: a relay, a server and a client, each with a home of its own.

use std::net::SocketAddr;

use crate::home::{Home, Node};
use crate::trial::Trial;

/// inlet (client) -> relay -> outlet (server), with a secure channel from the client to the server.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) relay: Home,
    pub(crate) server: Home,
    pub(crate) client: Home,
    /// Where clients connect.
    pub(crate) inlet: SocketAddr,
}

impl Portal {
    /// Starts the three nodes and waits until the portal to the target is open.
    pub(crate) fn open(trial: &Trial, target: SocketAddr) -> Self {
        let relay = trial.home("relay");
        let server = trial.home("server");
        let client = trial.home("client");
        relay.ok("node create relay");
        server.ok("node create server");
        client.ok("node create client");
        let relay_route = relay.node("relay").route();
        assert_eq!(
            server.ok(&format!("tcp-outlet create --at server --to {target}")),
            "/service/outlet"
        );
        assert_eq!(
            server.ok(&format!(
                "relay create server --at {relay_route} --to server"
            )),
            "/service/forward_to_server"
        );
        let mut portal = Self {
            relay,
            server,
            client,
            inlet: target,
        };
        portal.inlet = portal.add_inlet("outlet");
        portal
    }

    /// One more outlet and an inlet to it.
    pub(crate) fn add(&self, name: &str, target: SocketAddr) -> SocketAddr {
        self.server.ok(&format!(
            "tcp-outlet create {name} --at server --to {target}"
        ));
        self.add_inlet(name)
    }

    fn add_inlet(&self, outlet: &str) -> SocketAddr {
        let route = self.outlet_route(outlet);
        let bound = self
            .client
            .ok(&format!("tcp-inlet create --at client --to {route}"));
        bound
            .parse()
            .unwrap_or_else(|_| panic!("not an address: {bound}"))
    }

    /// From anywhere over the relay, in a channel to the server, to an outlet.
    pub(crate) fn outlet_route(&self, outlet: &str) -> String {
        format!(
            "{}/service/forward_to_server/secure/api/service/{outlet}",
            self.relay_node().route()
        )
    }

    pub(crate) fn relay_node(&self) -> Node {
        self.relay.node("relay")
    }

    pub(crate) fn server_node(&self) -> Node {
        self.server.node("server")
    }

    pub(crate) fn client_node(&self) -> Node {
        self.client.node("client")
    }
}
