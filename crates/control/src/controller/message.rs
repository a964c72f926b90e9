//! The bodies of requests to a controller and of its answers.
//!
//! All are maps with numbers as keys, or lists of such; an absent field is left out. Each kind of body is a struct that names
//! its keys, [`Item`] reads and writes it, and bytes of peers are read without trust: nothing follows the body, no key comes
//! twice, lists and texts are bounded, and texts hold nothing that steers a terminal. Fields of later versions are skipped.
//!
//! ```text
//! enrollment    AuthenticateOidcToken (of the authority), credential bundles          trust 9.2
//! spaces        Space, CreateSpace, AdminInfo, Subscription                           trust 9.3
//! projects      Project, CreateProject, Operation, Addon, OktaConfig ..               trust 9.4
//! version       VersionInfo                                                           trust 9.5
//! invitations   CreateInvitation, SentInvitation ..                                   trust 9.6
//! subscriptions ActivateSubscription, SubscriptionLegacy, and texts (BARE)            trust 9.7
//! orchestrator  what administrators of an Orchestrator see                            extensions 4.8
//! ```
//!
//! Specification: trust 9.2 to 9.7, extensions 4.8.

mod item;
mod orchestrator;
mod projects;
mod spaces;
mod subscriptions;
mod users;

pub use item::{Item, MAX_ITEMS, MAX_TEXT, Secret};
pub use ockam_authority::message::{AuthenticateOidcToken, MAX_TOKEN_LEN, OidcTokenKind};
pub use orchestrator::{
    AccountInfo, AuditEntry, InvitationCode, InvitationInfo, Me, NewInvitation, Page, PageRequest,
    ProjectPageRequest, RelayItem, SignInInfo, TicketItem, TicketUse,
};
pub use projects::{
    Addon, ConfigureConfluent, CreateProject, DisableAddon, InfluxConfig, KafkaConfig, OktaConfig,
    Operation, OperationStarted, OperationStatus, Project, ProjectUserRole, Role, Scope,
    VersionInfo,
};
pub use spaces::{AdminInfo, CreateSpace, Space, Subscription};
pub use subscriptions::{ActivateSubscription, SubscriptionLegacy, decode_text, encode_text};
pub use users::{
    AccessDetails, CreateInvitation, CreateServiceInvitation, InvitationKind, InvitationList,
    InvitationWithAccess, ListInvitations, ReceivedInvitation, RedeemInvitation,
    RedeemedInvitation, SentInvitation,
};

#[cfg(test)]
mod tests;
