//! One member: keys, a node, a credential.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_authority::client::{AuthorityClient, Issued, Redeemed};
use ockam_channel::LocalIdentity;
use ockam_identity::{EnrollmentTicket, Identifier, OneTimeCode};
use ockam_node::{Authority, FixedIdentity, Node, NodeOptions};
use ockam_wire::MultiAddr;

use crate::Failure;

/// Somebody who is about to become a member.
pub(crate) struct Newcomer {
    pub(crate) client: AuthorityClient,
    own: LocalIdentity,
}

/// Somebody who is one.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) client: AuthorityClient,
    pub(crate) identifier: Identifier,
    pub(crate) issued: Issued,
    /// What it presents: itself and its credential.
    pub(crate) presented: Arc<FixedIdentity>,
}

impl Newcomer {
    /// Makes the keys and the node, which trusts the authority of the ticket.
    pub(crate) fn new(ticket: &EnrollmentTicket) -> Result<Self, Failure> {
        let route = ticket.project().authority_route();
        let route: MultiAddr = route.ok_or("the ticket has no route")?.parse()?;
        let node = Node::new(NodeOptions {
            authority: Some(Authority::new(ticket.authority().clone())),
            ..NodeOptions::default()
        });
        let own = node.ephemeral_identity()?;
        let client = AuthorityClient {
            node,
            identity: Arc::new(FixedIdentity::from(own.clone())),
            authority: *ticket.authority().identifier(),
            route,
            timeout: PATIENCE,
        };
        Ok(Self { client, own })
    }

    /// Redeems the code and fetches the credential, each over a connection and a channel of its own; also says how many seconds
    /// that took.
    pub(crate) async fn enroll(self, code: &OneTimeCode) -> Result<(Member, f64), Failure> {
        let began = Instant::now();
        match self.client.redeem(code).await? {
            Redeemed::New => {}
            Redeemed::AlreadyMember => return Err("a newcomer was a member already".into()),
        }
        let issued = self.client.credential().await?;
        let took = began.elapsed().as_secs_f64();
        let mut own = self.own;
        let identifier = *own.history.identifier();
        own.credentials.push(issued.bundle.clone());
        let member = Member {
            client: self.client,
            identifier,
            issued,
            presented: Arc::new(own.into()),
        };
        Ok((member, took))
    }
}

impl Member {
    pub(crate) fn node(&self) -> &Node {
        &self.client.node
    }
}

/// How long one request may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
