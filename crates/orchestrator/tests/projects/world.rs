//! An Orchestrator's projects behind a TCP listener, and people on nodes of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{AuthorityClient, Issued};
use ockam_authority::message::{CreateToken, MemberAttributes};
use ockam_authority::{Issuer, Statement};
use ockam_channel::LocalIdentity;
use ockam_control::State;
use ockam_control::hosted::{KeyLifetime, StoredIssuer};
use ockam_control::identities::{self, IdentitySpec};
use ockam_identity::{
    Attributes, CredentialBundle, Identifier, MEMBER_SCHEMA, UnixTime, VerifiedHistory,
};
use ockam_node::{
    Access, ConnectOptions, Connection, FixedIdentity, Node, NodeOptions, OwnIdentity, TcpListener,
};
use ockam_orchestrator::projects::{HostedProject, NewProject, Projects, ProjectsOptions};
use ockam_portal::{Relay, RelayOptions};
use ockam_store::AuditNote;
use ockam_wire::{Address, Buffer, MultiAddr, Protocol, Route};
use tempfile::TempDir;

/// One process of an Orchestrator.
pub(crate) struct Process {
    pub(crate) projects: Arc<Projects>,
    pub(crate) outer: Node,
    pub(crate) state: State,
    pub(crate) controller: VerifiedHistory,
    pub(crate) listener: TcpListener,
}

/// A home with the first process on it.
pub(crate) async fn orchestrator() -> (TempDir, Process) {
    let home = tempfile::tempdir().unwrap();
    let process = Process::start(home.path(), Duration::from_secs(600)).await;
    (home, process)
}

impl Process {
    /// One more process on the same store.
    pub(crate) async fn start(home: &Path, idle: Duration) -> Self {
        let state = State::open(&home.join("home"), None).await.unwrap();
        let spec = IdentitySpec {
            name: Some("controller".parse().unwrap()),
            ..IdentitySpec::default()
        };
        let controller = identities::create(&state, spec)
            .await
            .unwrap()
            .into_record();
        let controller = controller
            .history
            .verify(ockam_vault::fast(), Some(&controller.identifier))
            .unwrap();
        let outer = Node::new(NodeOptions::default());
        let listener = outer.tcp_listen("127.0.0.1:0").await.unwrap();
        let public = format!("/ip4/127.0.0.1/tcp/{}", listener.address().port());
        let options = ProjectsOptions {
            idle,
            ..ProjectsOptions::new(public.parse().unwrap(), controller.clone())
        };
        let projects = Projects::open(&outer, &state, options).await.unwrap();
        projects.open_to(listener.flow());
        Self {
            projects,
            outer,
            state,
            controller,
            listener,
        }
    }

    /// What the audit log has of members and tickets.
    pub(crate) async fn noted(&self) -> Vec<AuditNote> {
        let entries = self.state.store().audit_behind(0, 100).await.unwrap();
        entries.into_iter().map(|entry| entry.note).collect()
    }

    pub(crate) async fn create(&self) -> HostedProject {
        self.projects.create(NewProject { id: None }).await.unwrap()
    }

    /// The project as this process tells of it.
    pub(crate) async fn project(&self, project: &HostedProject) -> HostedProject {
        self.projects.describe(project.id.as_str()).await.unwrap()
    }

    /// The project as it is reached from another address of this machine.
    pub(crate) async fn seen_from(&self, from: &str, project: &HostedProject) -> HostedProject {
        let listener = self.listener.address();
        let door = crate::doorway::doorway(from, listener).await;
        let through = |route: &MultiAddr| {
            let route = route.to_string();
            let here = format!("/tcp/{}/", listener.port());
            let there = format!("/tcp/{}/", door.port());
            route.replace(&here, &there).parse().unwrap()
        };
        HostedProject {
            access_route: through(&project.access_route),
            authority_route: through(&project.authority_route),
            ..project.clone()
        }
    }

    /// Somebody whom the controller makes an administrator of the project.
    pub(crate) async fn admin(&self, project: &HostedProject) -> Person {
        let person = Person::new();
        let bundle = self.admin_credential(project, &person, 0).await;
        person.presenting(&bundle)
    }

    /// What the controller says of an administrator, so many seconds later.
    pub(crate) async fn admin_credential(
        &self,
        project: &HostedProject,
        person: &Person,
        later: u64,
    ) -> CredentialBundle {
        let issuer = StoredIssuer::new(
            &self.state,
            *self.controller.identifier(),
            KeyLifetime::USUAL,
        );
        let mut attributes = Attributes::new(MEMBER_SCHEMA);
        attributes
            .insert(b"project", project.id.as_str().as_bytes())
            .unwrap();
        // The key is made when it is first used.
        let now = now().plus(1 + later);
        let statement = Statement {
            subject: &person.identity.history,
            attributes,
            created_at: now,
            expires_at: now.plus(3600),
        };
        issuer.issue(statement).await.unwrap()
    }

    /// A member with these attributes, that has its credential.
    pub(crate) async fn member(
        &self,
        project: &HostedProject,
        attributes: &[(&str, &str)],
    ) -> Person {
        let person = Person::new();
        self.enroll(project, &person, attributes).await
    }

    /// Makes somebody a member by a code of an administrator.
    pub(crate) async fn enroll(
        &self,
        project: &HostedProject,
        person: &Person,
        attributes: &[(&str, &str)],
    ) -> Person {
        let admin = self.admin(project).await;
        let code = admin.at(project).create_token(&code(attributes)).await;
        person.at(project).redeem(&code.unwrap()).await.unwrap();
        let issued = person.at(project).credential().await.unwrap();
        person.presenting(&issued.bundle)
    }
}

pub(crate) fn code(attributes: &[(&str, &str)]) -> CreateToken {
    CreateToken {
        attributes: MemberAttributes::from_pairs(attributes.iter().copied()).unwrap(),
        ttl_secs: None,
        ttl_count: None,
    }
}

/// Somebody with a node.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) node: Node,
    pub(crate) identity: Arc<LocalIdentity>,
}

impl Person {
    pub(crate) fn new() -> Self {
        let node = Node::new(NodeOptions::default());
        let identity = Arc::new(node.ephemeral_identity().unwrap());
        Self { node, identity }
    }

    pub(crate) fn identifier(&self) -> Identifier {
        *self.identity.history.identifier()
    }

    /// The same, presenting this.
    pub(crate) fn presenting(&self, bundle: &CredentialBundle) -> Self {
        let identity = LocalIdentity {
            credentials: vec![bundle.clone()],
            ..self.identity.as_ref().clone()
        };
        Self {
            node: Node::new(NodeOptions::default()),
            identity: Arc::new(identity),
        }
    }

    pub(crate) fn own(&self) -> Arc<dyn OwnIdentity> {
        Arc::new(FixedIdentity(self.identity.clone()))
    }

    /// As it asks the authority of a project.
    pub(crate) fn at(&self, project: &HostedProject) -> AuthorityClient {
        AuthorityClient {
            node: self.node.clone(),
            identity: self.own(),
            authority: project.authority_identity,
            route: project.authority_route.clone(),
            timeout: Duration::from_secs(10),
        }
    }

    fn options(&self, peer: Identifier) -> ConnectOptions {
        ConnectOptions {
            identity: self.own(),
            authorized: vec![peer],
            timeout: Duration::from_secs(10),
        }
    }

    /// A channel with the node of a project.
    pub(crate) async fn connect(&self, project: &HostedProject) -> Connection {
        let options = self.options(project.identity);
        let route = secure(&project.access_route);
        self.node.connect(&route, options).await.unwrap()
    }

    /// A relay at the node of a project, behind which the echo of this node is.
    pub(crate) fn relay(&self, project: &HostedProject, name: &str) -> Relay {
        let at = secure(&project.access_route);
        let options = RelayOptions::new(at, name.parse().unwrap(), self.options(project.identity));
        let node = self.node.clone();
        Relay::start(&self.node, options, move |connection| {
            if let Some(flow) = connection.flow() {
                node.router().add_consumer(&SAYS_WHO, flow);
            }
        })
    }

    /// Answers everything that comes to `says-who` with this.
    pub(crate) fn says(&self, text: &'static [u8]) {
        let mailbox = self
            .node
            .router()
            .start_mailbox(&[SAYS_WHO], Access::ALLOW_ALL);
        let (mut mailbox, router) = (mailbox.unwrap(), self.node.router().clone());
        tokio::spawn(async move {
            loop {
                let message = mailbox.recv().await;
                let back = Route::from_hops([SAYS_WHO]).unwrap();
                let body = Buffer::from_slice(text);
                drop(
                    router
                        .send(&SAYS_WHO, message.return_route, back, body)
                        .await,
                );
            }
        });
    }
}

/// Sends to workers behind a connection, and waits so long for what they answer.
pub(crate) async fn ask(
    node: &Node,
    connection: &Connection,
    hops: &[&str],
    patience: Duration,
) -> Option<Vec<u8>> {
    let own = node.random_address();
    let router = node.router();
    let mut mailbox = router
        .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
        .unwrap();
    router.add_consumer(&own, connection.flow()?);
    let mut onward = connection.route().clone();
    for hop in hops {
        onward.push_back(&Address::local(*hop).unwrap()).unwrap();
    }
    let back = Route::from_hops([own.clone()]).unwrap();
    let sent = router.send(&own, onward, back, Buffer::from_slice(b"hello"));
    // A channel that was closed refuses; that is an answer too.
    drop(tokio::time::timeout(patience, sent).await);
    let answer = tokio::time::timeout(patience, mailbox.recv()).await.ok()?;
    Some(answer.payload.as_slice().to_vec())
}

/// What the echo at the far end answers.
pub(crate) async fn echoes(person: &Person, project: &HostedProject) -> bool {
    let connection = person.connect(project).await;
    let answer = ask(&person.node, &connection, &["echo"], PATIENCE).await;
    connection.close().await;
    answer.as_deref() == Some(b"hello")
}

/// What is behind a relay.
pub(crate) async fn behind_relay(
    person: &Person,
    project: &HostedProject,
    relay: &str,
) -> Option<Vec<u8>> {
    let connection = person.connect(project).await;
    let answer = ask(&person.node, &connection, &[relay, "says-who"], PATIENCE).await;
    connection.close().await;
    answer
}

/// Whether a relay is registered before long.
pub(crate) async fn registers(relay: &Relay) -> bool {
    tokio::time::timeout(Duration::from_secs(5), relay.connected())
        .await
        .is_ok()
}

pub(crate) async fn wait_for<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking)
        .await
        .expect("it comes")
}

/// The listener of a route as the channel with it.
pub(crate) fn secure(route: &MultiAddr) -> MultiAddr {
    let (last, before) = route.protocols().split_last().unwrap();
    let Protocol::Service(listener) = last else {
        panic!("{route} ends otherwise");
    };
    let listener = Protocol::Secure(listener.clone());
    MultiAddr::new(before.iter().cloned().chain([listener])).unwrap()
}

pub(crate) fn attributes(issued: &Issued) -> BTreeMap<String, String> {
    issued
        .credential
        .attributes()
        .text_entries()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.unwrap().as_secs())
}

const SAYS_WHO: Address = Address::from_static("says-who");
/// How long nothing comes where nothing is to come.
const PATIENCE: Duration = Duration::from_millis(1500);
