//! What administrators of the Orchestrator see of a project. Nothing of it is a secret of the project.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use ockam_authority::message::MemberAttributes;
use ockam_authority::{CodeHash, Reference};
use ockam_identity::{Identifier, UnixTime};
use ockam_node::{Node, SecureChannel};
use ockam_wire::Route;

use super::{Projects, ProjectsError, now};

/// A relay that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayInfo {
    /// Its name.
    pub name: String,
    /// Who registered it.
    pub owner: Option<Identifier>,
    /// Where the connection comes from.
    pub from: Option<SocketAddr>,
    /// Since when.
    pub since: UnixTime,
}

/// A channel with the node of a project in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Who is at the other end.
    pub identifier: Identifier,
    /// Where the connection comes from.
    pub from: Option<SocketAddr>,
    /// Whether a credential of the project is known of it.
    pub is_member: bool,
}

/// A one-time code, which is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketInfo {
    /// What it is called.
    pub reference: String,
    /// Who asked for it.
    pub issued_by: Identifier,
    /// When.
    pub issued_at: UnixTime,
    /// From when on it is worth nothing.
    pub expires_at: UnixTime,
    /// How often it could be redeemed.
    pub uses: u64,
    /// How often it can still be.
    pub uses_left: u64,
    /// Who redeemed it.
    pub used: Vec<TicketUse>,
}

/// Somebody redeemed a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketUse {
    /// Who.
    pub by: Identifier,
    /// When.
    pub at: UnixTime,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Who.
    pub identifier: Identifier,
    /// What is said of it.
    pub attributes: MemberAttributes,
    /// Who added it.
    pub added_by: Identifier,
    /// When.
    pub added_at: UnixTime,
}

impl Projects {
    /// The relays of a project, by name: those at all processes, if there may be several; otherwise none if it does not run
    /// here.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Store`].
    pub async fn relays(&self, project: &str) -> Result<Vec<RelayInfo>, ProjectsError> {
        self.find(project).await?;
        if let Some(cluster) = &self.options.cluster {
            let relays = cluster.relays(project, None, MOST_RELAYS).await?;
            return Ok(relays
                .into_iter()
                .map(|relay| RelayInfo {
                    from: relay.from.and_then(|from| from.parse().ok()),
                    name: relay.name,
                    owner: relay.owner,
                    since: relay.since,
                })
                .collect());
        }
        let Some(started) = self.if_running_as(project) else {
            return Ok(Vec::new());
        };
        let channels = started.node.channels();
        let relays = started.relays();
        Ok(relays
            .into_iter()
            .map(|relay| RelayInfo {
                from: came_from(&self.outer, &channels, &relay.forward_route),
                name: relay.name.to_string(),
                owner: relay.owner,
                since: moment(relay.since),
            })
            .collect())
    }

    /// Who has a channel with the node of a project; nobody if it does not run here.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Store`].
    pub async fn connected(&self, project: &str) -> Result<Vec<Connected>, ProjectsError> {
        self.find(project).await?;
        let Some(started) = self.if_running_as(project) else {
            return Ok(Vec::new());
        };
        let channels = started.node.channels();
        Ok(channels
            .iter()
            .map(|channel| {
                let identifier = channel.peer().identifier;
                Connected {
                    identifier,
                    from: came_from(&self.outer, &channels, channel.route()),
                    is_member: started.node.attested().get(&identifier).is_some(),
                }
            })
            .collect())
    }

    /// The one-time codes of a project, the latest first.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Store`].
    pub async fn tickets(
        &self,
        project: &str,
        limit: usize,
    ) -> Result<Vec<TicketInfo>, ProjectsError> {
        let authority = self.find(project).await?.authority;
        let (now, store) = (now(), self.store());
        let tickets = store.tickets(&authority, now, limit).await?;
        Ok(tickets
            .into_iter()
            .map(|ticket| TicketInfo {
                reference: reference(&ticket.hash),
                issued_by: ticket.issued_by,
                // It is stored as late as the latest clock of all processes may say it is.
                issued_at: ticket.issued_at.min(now),
                expires_at: ticket.expires_at,
                uses: ticket.uses,
                uses_left: ticket.uses_left,
                used: ticket
                    .used
                    .into_iter()
                    .map(|(by, at)| TicketUse { by, at })
                    .collect(),
            })
            .collect())
    }

    /// The members of a project in the order of their identifiers, beginning behind `after`.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Store`].
    pub async fn members(
        &self,
        project: &str,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<MemberInfo>, ProjectsError> {
        let authority = self.find(project).await?.authority;
        let members = self
            .store()
            .members_behind(&authority, after, limit)
            .await?;
        members
            .into_iter()
            .map(|(identifier, record)| {
                let attributes = MemberAttributes::decode(&record.attributes)
                    .map_err(|error| ProjectsError::Failed(error.to_string()))?;
                Ok(MemberInfo {
                    identifier,
                    attributes,
                    added_by: record.added_by,
                    added_at: record.added_at,
                })
            })
            .collect()
    }
}

/// The other end of the connection that a way out of the node of a project leads through.
fn came_from(outer: &Node, channels: &[SecureChannel], way: &Route) -> Option<SocketAddr> {
    let mut first = way.first()?.to_address();
    // A channel may be inside another one.
    for _ in 0..MOST_CHANNELS {
        match channels
            .iter()
            .find(|channel| *channel.encryptor() == first)
        {
            Some(channel) => first = channel.route().first()?.to_address(),
            None => break,
        }
    }
    let connections = outer.connections();
    let connection = connections
        .iter()
        .find(|connection| *connection.sender() == first)?;
    connection.info().peer.parse().ok()
}

fn reference(hash: &[u8]) -> String {
    <[u8; 32]>::try_from(hash)
        .map(|hash| Reference::of(&CodeHash::new(hash)).to_string())
        .unwrap_or_default()
}

fn moment(time: SystemTime) -> UnixTime {
    UnixTime(
        time.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    )
}

const MOST_CHANNELS: usize = 4;
/// Relays of a project that are told of.
const MOST_RELAYS: usize = 100_000;
