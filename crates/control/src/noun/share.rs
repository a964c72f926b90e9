//! Invitations to spaces, projects and services.

use serde::Serialize;

use crate::controller::message::{
    AccessDetails, InvitationWithAccess, ReceivedInvitation, SentInvitation,
};
use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "share",
    kind: "invitation",
    many: "shares",
    about: "Invitations to spaces, projects and services",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Invite somebody to a space or a project",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "service",
            about: "Invite somebody to one service",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List invitations, those that were sent and those that came",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "show",
            about: "Show an invitation",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "accept",
            about: "Take an invitation",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "revoke",
            about: "Say how what an invitation gave is taken back",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
    ],
};

/// An invitation as it is shown to whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentItem {
    /// Its id.
    pub id: String,
    /// Until when, as ISO 8601.
    pub expires_at: String,
    /// What the guest becomes.
    pub grant_role: &'static str,
    /// The number of whoever sent it.
    pub owner_id: u64,
    /// Who is invited.
    pub recipient_email: String,
    /// How often it can still be taken.
    pub remaining_uses: u64,
    /// What the target is.
    pub scope: &'static str,
    /// The id of the space or project.
    pub target_id: String,
    /// The number of the guest.
    pub recipient_id: u64,
    /// The service, if it is to one.
    pub access_details: Option<AccessItem>,
}

impl From<SentInvitation> for SentItem {
    fn from(told: SentInvitation) -> Self {
        Self {
            id: told.id,
            expires_at: told.expires_at,
            grant_role: told.grant_role.name(),
            owner_id: told.owner_id,
            recipient_email: told.recipient_email,
            remaining_uses: told.remaining_uses,
            scope: told.scope.name(),
            target_id: told.target_id,
            recipient_id: told.recipient_id,
            access_details: told.access_details.map(AccessItem::from),
        }
    }
}

/// An invitation as it is shown to the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceivedItem {
    /// Its id.
    pub id: String,
    /// Until when, as ISO 8601.
    pub expires_at: String,
    /// What the guest becomes.
    pub grant_role: &'static str,
    /// Who sent it.
    pub owner_email: String,
    /// What the target is.
    pub scope: &'static str,
    /// The id of the space or project.
    pub target_id: String,
    /// Whether the guest does not want it.
    pub ignored: bool,
}

impl From<ReceivedInvitation> for ReceivedItem {
    fn from(told: ReceivedInvitation) -> Self {
        Self {
            id: told.id,
            expires_at: told.expires_at,
            grant_role: told.grant_role.name(),
            owner_email: told.owner_email,
            scope: told.scope.name(),
            target_id: told.target_id,
            ignored: told.ignored,
        }
    }
}

/// An invitation with what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedItem {
    /// The invitation.
    pub invitation: ReceivedItem,
    /// The service, if it is to one.
    pub access_details: Option<AccessItem>,
}

impl From<InvitationWithAccess> for AcceptedItem {
    fn from(told: InvitationWithAccess) -> Self {
        Self {
            invitation: told.invitation.into(),
            access_details: told.access_details.map(AccessItem::from),
        }
    }
}

/// How a guest reaches a service. The ticket is what makes the guest a member, so it is a part of this.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AccessItem {
    project_identity: String,
    project_route: String,
    project_authority_identity: String,
    project_authority_route: String,
    shared_node_identity: String,
    shared_node_route: String,
    enrollment_ticket: String,
}

impl std::fmt::Debug for AccessItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessItem")
            .field("shared_node_route", &self.shared_node_route)
            .finish_non_exhaustive()
    }
}

impl From<AccessDetails> for AccessItem {
    fn from(told: AccessDetails) -> Self {
        Self {
            project_identity: told.project_identity.to_string(),
            project_route: told.project_route,
            project_authority_identity: told.project_authority_identity.to_string(),
            project_authority_route: told.project_authority_route,
            shared_node_identity: told.shared_node_identity.to_string(),
            shared_node_route: told.shared_node_route,
            enrollment_ticket: told.enrollment_ticket.to_string(),
        }
    }
}
