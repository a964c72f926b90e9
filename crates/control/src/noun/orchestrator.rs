//! The Orchestrator of this home: a node that keeps accounts, spaces and projects, and carries their relays.

use serde::{Deserialize, Serialize};

use ockam_identity::Identifier;

use crate::controller::message::{AccountInfo, AuditEntry, RelayItem, TicketItem};
use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "orchestrator",
    kind: "orchestrator",
    many: "orchestrators",
    about: "The Orchestrator: projects, their members and their relays, on machines of your own",
    aliases: &[],
    verbs: &[
        Verb {
            name: "start",
            about: "Start the Orchestrator of this machine",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "status",
            about: "Show the Orchestrator of this machine",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "stop",
            about: "Stop the Orchestrator of this machine",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "backup",
            about: "Copy all of the Orchestrator into a file, while it runs",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "restore",
            about: "Bring the Orchestrator back from a backup",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "install",
            about: "Have systemd keep the Orchestrator running",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "invite",
            about: "Invite somebody by a one-time code",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "accounts",
            about: "List who is enrolled",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "relays",
            about: "List the relays that are connected",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "tickets",
            about: "List tickets, and who used them",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "audit list",
            about: "List what was done and refused",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "audit verify",
            about: "Check that the audit log of this machine was not changed",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// The name of its node.
pub(crate) const NODE: &str = "orchestrator";

/// What an Orchestrator has to do with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorCounts {
    /// Who is enrolled.
    pub accounts: u64,
    /// Projects.
    pub projects: u64,
    /// Relays that are connected to this process.
    pub relays: u64,
    /// Connections to this process.
    pub connections: u64,
    /// Whether anybody administers it.
    pub has_administrator: bool,
}

/// What a running Orchestrator says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorView {
    /// The controller's identity.
    pub identifier: Identifier,
    /// Where the controller is reached.
    pub route: String,
    /// What there is.
    #[serde(flatten)]
    pub counts: OrchestratorCounts,
}

/// `orchestrator status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorStatus {
    /// Its node.
    pub node: String,
    /// Whether it runs.
    pub running: bool,
    /// The process.
    pub pid: Option<u32>,
    /// Where it listens.
    pub listener: Option<String>,
    /// Where it answers health checks and tells measurements.
    pub status_endpoint: Option<String>,
    /// Which kind of database: `sqlite` or `postgres`.
    pub database: String,
    /// How others find it: the route to the controller and its identifier; there while it runs.
    pub join: Option<String>,
    /// The file with the code of the first administrator, until it is used.
    pub first_administrator: Option<String>,
    /// What there is; there while it runs.
    #[serde(flatten)]
    pub running_view: Option<OrchestratorView>,
}

/// Somebody who is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountItem {
    /// The id.
    pub id: String,
    /// The address.
    pub email: String,
    /// Whether they administer the Orchestrator.
    pub administrator: bool,
    /// Since when, in seconds since 1970.
    pub created_at: u64,
    /// How the provider calls them, once they signed in.
    pub subject: Option<String>,
    /// The provider.
    pub issuer: Option<String>,
    /// The identities that act for them.
    pub identifiers: Vec<Identifier>,
}

impl From<AccountInfo> for AccountItem {
    fn from(info: AccountInfo) -> Self {
        Self {
            id: info.id,
            email: info.email,
            administrator: info.administrator,
            created_at: info.created_at,
            subject: info.subject,
            issuer: info.issuer,
            identifiers: info.identifiers,
        }
    }
}

/// A relay that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayLine {
    /// The id of its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Option<Identifier>,
    /// From where it is connected.
    pub from: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl From<RelayItem> for RelayLine {
    fn from(item: RelayItem) -> Self {
        Self {
            project: item.project_id,
            name: item.name,
            owner: item.owner,
            from: item.from,
            since: item.since,
        }
    }
}

/// A ticket, without its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketLine {
    /// The id of its project.
    pub project: String,
    /// How logs name it.
    pub reference: String,
    /// Who issued it.
    pub issued_by: Identifier,
    /// When, in seconds since 1970.
    pub issued_at: u64,
    /// Until when it can be used.
    pub expires_at: u64,
    /// How often it can still be used.
    pub uses_left: u64,
    /// Who used it.
    pub used: Vec<TicketUseLine>,
}

/// Somebody used a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketUseLine {
    /// Who.
    pub by: Identifier,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl From<TicketItem> for TicketLine {
    fn from(item: TicketItem) -> Self {
        let used = item.used.into_iter();
        Self {
            project: item.project_id,
            reference: item.reference,
            issued_by: item.issued_by,
            issued_at: item.issued_at,
            expires_at: item.expires_at,
            uses_left: item.uses_left,
            used: used
                .map(|used| TicketUseLine {
                    by: used.by,
                    at: used.at,
                })
                .collect(),
        }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditItem {
    /// Its place, from 1.
    pub sequence: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// How it ended.
    pub outcome: String,
    /// The hash over this entry and all before, in hex.
    pub hash: String,
}

impl From<AuditEntry> for AuditItem {
    fn from(entry: AuditEntry) -> Self {
        Self {
            sequence: entry.sequence,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            object: entry.object,
            outcome: entry.outcome,
            hash: hex::encode(entry.hash),
        }
    }
}
