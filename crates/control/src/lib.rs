//! Controls nodes: the table of resources, the control API over a Unix socket, and the managed node.
//!
//! It does not do: the terminal, processes and the environment (they are the command line's, behind [`Host`]), and whatever a
//! node does with messages (that is `ockam-node` and `ockam-portal`).
//!
//! ```text
//! command line ─ Run (front half) ─┬─ home scope: State (the store)
//!                                  └─ node scope: Client ═ Unix socket, HTTP + JSON ═ ManagedNode ─ Node
//! ```
//!
//! Entry types: [`RESOURCES`] (the table), [`ManagedNode`], [`Client`], [`State`]; with the feature `cli` also
//! [`clap_commands`], [`Command`] and [`Host`].
//!
//! Invariants: a request that changes a node is stored before it is acknowledged, and carried out again when the node
//! starts; only the node's owner and root reach the control socket; an option that is understood but not offered is
//! refused, never ignored.
//!
//! Specification: command 3.3, 3.4, 3.6 to 3.13, 3.14, 3.16, 3.17.

mod client;
pub mod controller;
mod ephemeral;
mod hint;
mod home;
pub mod hosted;
mod keyring;
mod managed;
mod membership;
mod noun;
mod orchestrator;
mod outcome;
mod record;
mod resource;
mod server;
pub mod sign_in;
mod socket;
mod state;
mod table;
mod value;

#[cfg(feature = "cli")]
mod command;
#[cfg(feature = "cli")]
mod configuration;

pub use client::Client;
pub use ephemeral::Ephemeral;
pub use home::{authorities, identities, import, nodes, projects, reset, trust, vaults};
pub use managed::{ManagedNode, NodeSettings, Posture, Start, StatusEndpoint};
pub use ockam_store::{Glance, IfRunning, Passphrase};
pub use orchestrator::{
    DatabaseAccess, Eventual, Orchestrates, Orchestrating, OrchestratorSettings, OrchestratorStart,
};
pub use outcome::{Code, Failure, Outcome};
pub use record::{Connection, FlowControlId, RawAddress};
pub use resource::{Resource, Serve};
pub use state::State;
pub use table::{Forms, Noun, RESOURCES, Scope, Verb, Who, resource};
pub use value::{
    Alias, AliasError, AttributeText, AttributeTextError, DurationText, DurationTextError, Email,
    EmailError, Expression, HostPort, HostPortError, JoinString, JoinStringError, NodeArgument,
    NodeArgumentError, PolicyTarget, ResourceName, ResourceNameError, Scheme, WorkerName,
    WorkerNameError, iso_8601,
};

#[cfg(feature = "cli")]
pub use configuration::is_configuration;

#[cfg(feature = "cli")]
pub use command::{
    COMMANDS, ChildOutput, Command, Example, Host, Live, LocalFuture, Note, Repeat, Run, Session,
    Stdin, clap_commands, clap_commands_among, command, command_of_words, examples_help, live,
};

pub use noun::authority::{AdminSettings, AuthorityItem, AuthoritySettings, OktaSettings};
pub use noun::credential::{CredentialView, StoredCredential};
pub use noun::enroll::{Enrolled, OrchestratorItem, ProjectRole};
pub use noun::flow_control::ConsumerSpec;
pub use noun::identity::{IdentityChange, IdentityHistory, IdentityItem};
pub use noun::import::{ImportResult, Imported, ImportedItem};
pub use noun::message::{MessageReply, MessageSpec};
pub use noun::node::{NodeItem, NodeResources, NodeRoute, NodeStatus};
pub use noun::node_services::{ListenerService, NodeServices};
pub use noun::orchestrator::{
    AccountItem, AuditItem, OrchestratorCounts, OrchestratorStatus, OrchestratorView, RelayLine,
    TicketLine, TicketUseLine,
};
pub use noun::policy::{
    DenialItem, Policies, PolicyAnswer, PolicyAttribute, PolicyExplanation, PolicyItem, PolicyPart,
    PolicyQuestion, PolicySpec, RuleKind, Subject,
};
pub use noun::project_admin::ProjectAdmin;
pub use noun::project_member::{Member, MemberEntry};
pub use noun::relay::{Relay, RelayInfo, RelaySpec};
pub use noun::secure_channel::{ChannelItem, ChannelSpec, SecureChannel};
pub use noun::secure_channel_listener::{Listener, ListenerSpec, SecureChannelListener};
pub use noun::service::{Service, ServiceKind, ServiceSpec};
pub use noun::share::{AcceptedItem, AccessItem, ReceivedItem, SentItem};
pub use noun::space::{SpaceItem, SubscriptionItem};
pub use noun::status::{Enrollment, IdentityStatus, OrchestratorVersion, ProgramVersion, Status};
pub use noun::subscription::SubscriptionDetails;
pub use noun::tcp_connection::{TcpConnection, TcpConnectionSpec};
pub use noun::tcp_inlet::{InletSpec, InletStatus, TcpInlet};
pub use noun::tcp_listener::{
    NO_WORKER, TcpListener, TcpListenerSpec, Transport, TransportKind, TransportMode, TransportName,
};
pub use noun::tcp_outlet::{OutletSpec, OutletStatus, TcpOutlet};
pub use noun::vault::{UseAwsKms, VaultItem, VaultType, VaultView};
pub use noun::way::{Hop, HopKind, HopStatus, Ways};
pub use noun::worker::Worker;
