//! Nodes that are members of a project, each with a relay there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_authority::client::{AuthorityClient, Redeemed};
use ockam_identity::EnrollmentTicket;
use ockam_node::{Access, ConnectOptions, FixedIdentity, Node, NodeOptions, services};
use ockam_portal::{Relay, RelayOptions};
use ockam_wire::{Address, Buffer, MultiAddr, Protocol, Route};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Failure, number, spread, text};

/// Nodes that are connected.
pub(crate) struct Nodes {
    members: Vec<Member>,
}

struct Member {
    node: Node,
    relay: Relay,
    /// The relay's address at the project.
    at: Address,
    options: ConnectOptions,
    _echo: services::Service,
}

impl Nodes {
    /// Has so many become members and register a relay each.
    pub(crate) async fn connect(order: &Value) -> Result<(Self, Value), Failure> {
        let ticket = Arc::new(EnrollmentTicket::read(
            ockam_vault::fast(),
            text(order, "ticket")?,
        )?);
        let (count, at_once) = (number(order, "nodes")?, number(order, "at_once")?);
        let room = Arc::new(Semaphore::new(at_once));
        let began = Instant::now();
        let mut coming = JoinSet::new();
        for number in 0..count {
            let (permit, ticket) = (room.clone().acquire_owned().await?, ticket.clone());
            coming.spawn(async move {
                let began = Instant::now();
                let member = Member::come(&ticket, number).await;
                drop(permit);
                member.map(|member| (member, began.elapsed().as_secs_f64()))
            });
        }
        let (mut members, mut took) = (Vec::new(), Vec::new());
        while let Some(come) = coming.join_next().await {
            let (member, seconds) = come??;
            members.push(member);
            took.push(seconds);
        }
        let seconds = began.elapsed().as_secs_f64();
        let answer = json!({ "connected": members.len(), "seconds": seconds, "one": spread(took) });
        Ok((Self { members }, answer))
    }

    /// Has some of them send through the relay of the next one; says how many got it back.
    pub(crate) async fn speak(&self, order: &Value) -> Result<Value, Failure> {
        let count = number(order, "count")?;
        let began = Instant::now();
        let mut answered = 0_usize;
        let others = self.members.iter().cycle().skip(1);
        for (member, other) in self.members.iter().zip(others).take(count) {
            answered += usize::from(member.reaches(other).await?);
        }
        Ok(json!({ "answered": answered, "seconds": began.elapsed().as_secs_f64() }))
    }

    /// Has all of them leave; says how many there were.
    pub(crate) async fn leave(self) -> usize {
        let mut leaving = JoinSet::new();
        let count = self.members.len();
        for member in self.members {
            leaving.spawn(async move {
                member.relay.stop().await;
                member.node.shutdown().await;
            });
        }
        while leaving.join_next().await.is_some() {}
        count
    }
}

impl Member {
    async fn come(ticket: &EnrollmentTicket, number: usize) -> Result<Self, Failure> {
        let project = ticket.project();
        let details = project.details();
        let route = |text: &str| -> Result<MultiAddr, Failure> { Ok(text.parse()?) };
        let node = Node::new(NodeOptions::default());
        let mut own = node.ephemeral_identity()?;
        let authority = AuthorityClient {
            node: node.clone(),
            identity: Arc::new(FixedIdentity::from(own.clone())),
            authority: *ticket.authority().identifier(),
            route: route(project.authority_route().ok_or("the ticket has no route")?)?,
            timeout: PATIENCE,
        };
        match authority.redeem(ticket.one_time_code()).await? {
            Redeemed::New => {}
            Redeemed::AlreadyMember => return Err("a newcomer was a member already".into()),
        }
        let issued = authority.credential().await?;
        own.credentials.push(issued.bundle);
        let options = ConnectOptions {
            identity: Arc::new(FixedIdentity::from(own)),
            authorized: vec![*project.identity().ok_or("the project has no node")?],
            timeout: PATIENCE,
        };
        let at = secured(&route(&details.access_route)?)?;
        let relay = RelayOptions::new(at, format!("r{number}").parse()?, options.clone());
        let echo = services::start_echo(&node, services::ECHO)?;
        let for_flow = node.clone();
        let relay = Relay::start(&node, relay, move |connection| {
            if let Some(flow) = connection.flow() {
                for_flow.router().add_consumer(&services::ECHO, flow);
            }
        });
        let registered = tokio::time::timeout(PATIENCE, relay.connected()).await?;
        Ok(Self {
            node,
            relay,
            at: registered.remote_address,
            options,
            _echo: echo,
        })
    }

    /// Whether what it sends to the echo behind the relay of another one comes back.
    async fn reaches(&self, other: &Self) -> Result<bool, Failure> {
        let connection = self.node.connect(self.relay.at(), self.options.clone());
        let connection = connection.await?;
        let own = self.node.random_address();
        let router = self.node.router();
        let mut mailbox = router.start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)?;
        if let Some(flow) = connection.flow() {
            router.add_consumer(&own, flow);
        }
        let mut onward = connection.route().clone();
        onward.push_back(&other.at)?;
        onward.push_back(&services::ECHO)?;
        let back = Route::from_hops([own.clone()])?;
        let sent = router.send(&own, onward, back, Buffer::from_slice(SAID));
        sent.await?;
        let answer = tokio::time::timeout(PATIENCE, mailbox.recv()).await?;
        connection.close().await;
        Ok(answer.payload.as_slice() == SAID)
    }
}

/// The listener of a route as the channel with it.
fn secured(route: &MultiAddr) -> Result<MultiAddr, Failure> {
    let Some((Protocol::Service(listener), before)) = route.protocols().split_last() else {
        return Err(format!("{route} does not end at a listener").into());
    };
    let listener = Protocol::Secure(listener.clone());
    Ok(MultiAddr::new(before.iter().cloned().chain([listener]))?)
}

/// What goes through relays.
const SAID: &[u8] = &[7; 1000];
/// How long one request may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
