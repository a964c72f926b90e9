//! An Orchestrator whose operator has turned: with the keys of the project's authority it makes a member of itself, and
//! answers in place of the member behind a relay. Pins are what stands against it (threat model, "Authority and Orchestrator").
//!
//! The members are the real program, enrolled while the Orchestrator was honest. Then it is stopped, and the test takes its
//! place: at its address, over its database, as its identities.
//!
//! ```text
//! client ── inlet ═ member ═ relay service ═╪═ attacker's node ═ outlet ── what the attacker hears
//!                                           └─ (member ═ outlet ── server), whom the attacker comes to as a member
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ockam_authority::{Issuer, Statement};
use ockam_channel::LocalIdentity;
use ockam_control::State;
use ockam_control::hosted::{KeyLifetime, StoredIssuer};
use ockam_identity::{Attributes, Identifier, MEMBER_SCHEMA, UnixTime};
use ockam_node::{
    ChannelListener, ConnectOptions, FixedIdentity, ListenerOptions, Node, NodeOptions,
    OwnIdentity, TcpListener, services,
};
use ockam_orchestrator::projects::{HostedProject, Projects, ProjectsOptions};
use ockam_portal::{Inlet, InletOptions, Outlet, OutletOptions, Relay, RelayOptions};
use ockam_wire::{Address, MultiAddr};
use tokio::runtime::Runtime;

use crate::home::Home;
use crate::process::wait_until;
use crate::traffic::{Target, connect};
use crate::trial::Trial;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn guard_o01_an_orchestrator_that_makes_members_of_itself_and_diverts_relays_meets_the_pins() {
    let trial = Trial::beside_others();
    let operator = trial.home("operator");
    let (member, client) = (trial.home("member"), trial.home("client"));
    operator.ok("enroll");
    for home in [&member, &client] {
        let ticket = operator.ok("project ticket --relay *");
        home.run(&["project", "enroll", &ticket]).success();
    }
    let (server, pinned_server) = (Ear::start(), Ear::start());
    let who = |home: &Home| home.ok("identity show");
    member.ok("node create m");
    member.ok(&format!(
        "tcp-outlet create --at m --to {}",
        server.address()
    ));
    member.ok(&format!(
        "tcp-outlet create pinned --at m --to {} --authorized {}",
        pinned_server.address(),
        who(&client)
    ));
    member.ok("relay create --to m");
    member.ok("relay create own --to m");
    client.ok("node create c");
    let inlet = |options: &str| -> SocketAddr {
        let made = client.ok(&format!(
            "tcp-inlet create --at c --from 127.0.0.1:0 {options}"
        ));
        made.parse().unwrap()
    };
    let open = inlet("");
    let pinned = inlet(&format!("pinned --authorized {}", who(&member)));
    let both = inlet(&format!(
        "both --via own --to pinned --authorized {}",
        who(&member)
    ));
    // While it is honest, all of them lead to the member.
    assert_eq!(say(open, b"1 open").as_deref(), Some(GREETING));
    assert_eq!(say(pinned, b"1 pinned").as_deref(), Some(GREETING));
    assert_eq!(say(both, b"1 both").as_deref(), Some(GREETING));
    assert_eq!(server.heard(), ["1 open", "1 pinned"]);
    assert_eq!(pinned_server.heard(), ["1 both"]);

    let stopped = Stopped::of(&operator);
    let runtime = Runtime::new().unwrap();
    let attacker = runtime.block_on(Attacker::take_over(&operator, &stopped));

    // The attack is real: whoever is not pinned talks to the attacker, whose credential is as good as any.
    wait_until("the client talks to the attacker", LONG, || {
        say(open, b"2 open").as_deref() == Some(GREETING)
    });
    assert!(attacker.ear.heard().iter().any(|text| text == "2 open"));
    assert!(!server.heard().iter().any(|text| text == "2 open"));

    // A pinned inlet sends nothing.
    let identifier = attacker.identifier.to_string();
    wait_until("the pinned inlet has met the attacker", LONG, || {
        let shown = client.json("tcp-inlet show pinned --at c");
        let failure = shown["last_failure"].as_str().unwrap_or_default();
        failure.contains(&identifier) && failure.contains("not an authorized identifier")
    });
    let before = attacker.ear.connections();
    assert_eq!(say(pinned, b"2 pinned"), None);
    assert_eq!(attacker.ear.connections(), before);
    assert!(!attacker.ear.heard().concat().contains("2 pinned"));

    // To the member it comes as one of the project: what is not pinned it may use.
    let (to_open, to_pinned) = runtime.block_on(async {
        (
            attacker.inlet("outlet").await,
            attacker.inlet("pinned").await,
        )
    });
    wait_until("the attacker reads from the server", LONG, || {
        say(to_open.bound(), b"3 attacker").as_deref() == Some(GREETING)
    });
    assert!(server.heard().iter().any(|text| text == "3 attacker"));
    let connected = pinned_server.connections();
    assert_eq!(say(to_pinned.bound(), b"4 attacker"), None);
    let denials = member.json("policy denials --at m");
    let denied = denials.as_array().unwrap().iter().any(|denial| {
        denial["resource"] == "pinned"
            && denial["rule"] == "not an authorized identifier"
            && denial["who"] == identifier
    });
    assert!(denied, "{denials}");
    assert_eq!(pinned_server.connections(), connected);

    // Two that have pinned each other go on through it, and it hears nothing.
    wait_until("the pinned portal works", LONG, || {
        say(both, b"5 both").as_deref() == Some(GREETING)
    });
    assert!(pinned_server.heard().iter().any(|text| text == "5 both"));
    assert!(!attacker.ear.heard().concat().contains("both"));
    runtime.block_on(attacker.end());
}

/// An Orchestrator that has stopped.
struct Stopped {
    controller: Identifier,
    listener: SocketAddr,
    project: String,
}

impl Stopped {
    fn of(operator: &Home) -> Self {
        let status = operator.json("orchestrator status");
        let text = |name: &str| status[name].as_str().unwrap().to_owned();
        let project = operator.json("project show");
        operator.ok("orchestrator stop");
        Self {
            controller: text("identifier").parse().unwrap(),
            listener: text("listener").parse().unwrap(),
            project: project["id"].as_str().unwrap().to_owned(),
        }
    }
}

/// The operator's own node behind an Orchestrator that serves it before all others.
struct Attacker {
    node: Node,
    identifier: Identifier,
    identity: Arc<dyn OwnIdentity>,
    project: HostedProject,
    /// Where a client's bytes end up.
    ear: Ear,
    projects: Arc<Projects>,
    outer: Node,
    /// That of the operator alone, and the one that members know.
    doors: [TcpListener; 2],
    listener: ChannelListener,
    echo: services::Service,
    relay: Option<Relay>,
    _outlet: Outlet,
}

impl Attacker {
    /// Runs the projects of a stopped Orchestrator at its address, with the relay `default` in the hands of the attacker.
    async fn take_over(operator: &Home, stopped: &Stopped) -> Self {
        let state = operators_state(operator.path()).await;
        let controller = state.store().identity_of(&stopped.controller).await;
        let controller = controller.unwrap().unwrap().history;
        let controller = controller
            .verify(ockam_vault::fast(), Some(&stopped.controller))
            .unwrap();
        let outer = Node::new(NodeOptions::default());
        let backdoor = outer.tcp_listen("127.0.0.1:0").await.unwrap();
        let public = format!("/ip4/127.0.0.1/tcp/{}", backdoor.address().port());
        let options = ProjectsOptions::new(public.parse().unwrap(), controller);
        let projects = Projects::open(&outer, &state, options).await.unwrap();
        let door = outer.tcp_bind(&stopped.listener.to_string()).await.unwrap();
        for listener in [&backdoor, &door] {
            projects.open_to(listener.flow());
        }
        let project = projects.describe(&stopped.project).await.unwrap();

        let node = Node::new(NodeOptions::default());
        let identity = member_of(&state, &project, node.ephemeral_identity().unwrap()).await;
        let identifier = *identity.history.identifier();
        let identity: Arc<dyn OwnIdentity> = Arc::new(FixedIdentity::from(identity));
        let options = ListenerOptions {
            identity: identity.clone(),
            authorized: Vec::new(),
            timeout: LONG,
        };
        let listener = node
            .start_channel_listener(&Address::from_static("api"), options)
            .unwrap();
        let ear = Ear::start();
        let target = ear.address().to_string().parse().unwrap();
        let mut options = OutletOptions::new(Address::from_static("outlet"), target);
        options.consumers = vec![listener.flow()];
        let outlet = Outlet::start(&node, options).unwrap();
        // First come, first served: the relay that the member has is taken before the member can come.
        let mut attacker = Self {
            node: node.clone(),
            identifier,
            identity,
            project,
            ear,
            projects,
            outer,
            doors: [backdoor, door],
            listener,
            echo: services::start_echo(&node, services::ECHO).unwrap(),
            relay: None,
            _outlet: outlet,
        };
        let (at, options) = (attacker.route(""), attacker.connect());
        let options = RelayOptions::new(at, "default".parse().unwrap(), options);
        let flows = node.clone();
        // A relay whose owner does not answer is another's before long.
        let open = [attacker.listener.address(), attacker.echo.address()].map(Clone::clone);
        let relay = Relay::start(&node, options, move |connection| {
            if let Some(flow) = connection.flow() {
                for address in &open {
                    flows.router().add_consumer(address, flow);
                }
            }
        });
        tokio::time::timeout(LONG, relay.connected()).await.unwrap();
        attacker.relay = Some(relay);
        attacker.doors[1].open();
        attacker
    }

    /// Into a channel with the project's node, and on.
    fn route(&self, on: &str) -> MultiAddr {
        let access = self.project.access_route.to_string();
        let secure = access.strip_suffix("/service/api").unwrap();
        format!("{secure}/secure/api{on}").parse().unwrap()
    }

    fn connect(&self) -> ConnectOptions {
        ConnectOptions {
            identity: self.identity.clone(),
            authorized: Vec::new(),
            timeout: LONG,
        }
    }

    /// A portal of the attacker's to an outlet of the member, as any member has one.
    async fn inlet(&self, outlet: &str) -> Inlet {
        let to = self.route(&format!(
            "/service/forward_to_own/secure/api/service/{outlet}"
        ));
        let options = InletOptions::new("127.0.0.1:0", to, self.connect());
        let inlet = Inlet::start(&self.node, options).await.unwrap();
        tokio::time::timeout(LONG, inlet.connected()).await.unwrap();
        inlet
    }

    async fn end(self) {
        self.node.shutdown().await;
        self.projects.stop().await;
        self.outer.shutdown().await;
    }
}

/// A copy of all that the operator of an Orchestrator has of it.
async fn operators_state(home: &Path) -> State {
    let own = home.with_extension("taken");
    std::fs::DirBuilder::new().mode(0o700).create(&own).unwrap();
    for end in ["", "-wal"] {
        let kept = home.join(format!("orchestrator.sqlite3{end}"));
        if kept.exists() {
            std::fs::copy(kept, own.join(format!("ockam.sqlite3{end}"))).unwrap();
        }
    }
    State::open(&own, None).await.unwrap()
}

/// Says with the key of the project's authority that somebody is a member, who may have any relay.
async fn member_of(state: &State, project: &HostedProject, who: LocalIdentity) -> LocalIdentity {
    let mut attributes = Attributes::new(MEMBER_SCHEMA);
    let id = project.id.as_str().as_bytes();
    attributes.insert(b"trust_context_id", id).unwrap();
    attributes.insert(b"ockam-relay", b"*").unwrap();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = UnixTime(since.unwrap().as_secs());
    let issuer = StoredIssuer::new(state, project.authority_identity, KeyLifetime::USUAL);
    let statement = Statement {
        subject: &who.history,
        attributes,
        created_at: now,
        expires_at: now.plus(3600),
    };
    let bundle = issuer.issue(statement).await.unwrap();
    LocalIdentity {
        credentials: vec![bundle],
        ..who
    }
}

/// A server that says something at once and keeps what it is told.
struct Ear {
    target: Target,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    connections: usize,
    texts: Vec<String>,
}

impl Ear {
    fn start() -> Self {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let hearing = heard.clone();
        let target = Target::start(move |mut stream| {
            hearing.lock().unwrap().connections += 1;
            let mut text = String::new();
            let read = stream.read_to_string(&mut text);
            // What came before a connection broke was heard too.
            if !text.is_empty() {
                hearing.lock().unwrap().texts.push(text);
            }
            read?;
            stream.write_all(GREETING)?;
            stream.shutdown(Shutdown::Write)
        });
        Self { target, heard }
    }

    fn address(&self) -> SocketAddr {
        self.target.address()
    }

    /// What was said to it, a text for each connection.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().texts.clone()
    }

    fn connections(&self) -> usize {
        self.heard.lock().unwrap().connections
    }
}

/// What comes back through a portal for what is said, if anything does.
fn say(inlet: SocketAddr, text: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(inlet, LONG).ok()?;
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(text).ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    (!answer.is_empty()).then_some(answer)
}

const GREETING: &[u8] = b"from the server";
