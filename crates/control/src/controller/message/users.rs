//! Invitations. `spec: trust 9.6`

use ockam_identity::Identifier;

use super::item::{body, numbered};
use super::{Role, Scope, Secret};
use crate::value::Email;

body! {
    /// Invites somebody to a space or a project.
    CreateInvitation {
        /// Until when, as ISO 8601.
        1 expires_at: Option<String>,
        /// What they become.
        2 grant_role: Role,
        /// Who.
        3 recipient_email: Email,
        /// How often it can be taken.
        4 remaining_uses: Option<u64>,
        /// What the target is.
        5 scope: Scope,
        /// The id of the space or project.
        6 target_id: String,
    }
}

body! {
    /// Invites somebody to one service of a node.
    CreateServiceInvitation {
        /// Until when, as ISO 8601.
        1 expires_at: Option<String>,
        /// The project the service is reached through.
        2 project_id: String,
        /// Who.
        3 recipient_email: Email,
        /// Who the project's node is.
        4 project_identity: Identifier,
        /// Where it is.
        5 project_route: String,
        /// Who the project's authority is.
        6 project_authority_identity: Identifier,
        /// Where it is.
        7 project_authority_route: String,
        /// Who has the service.
        8 shared_node_identity: Identifier,
        /// Where the service is.
        9 shared_node_route: String,
        /// Makes the guest a member.
        10 enrollment_ticket: Secret,
    }
}

body! {
    /// Asks for invitations.
    ListInvitations {
        /// Which.
        1 kind: InvitationKind,
    }
}

numbered! {
    /// Which invitations.
    InvitationKind("a kind of invitations") {
        /// All.
        0 All "all",
        /// Of the caller to others.
        1 Sent "sent",
        /// Of others to the caller, not taken yet.
        2 Received "received",
        /// Taken by the caller.
        3 Accepted "accepted",
    }
}

body! {
    /// Invitations.
    InvitationList {
        /// Of the caller to others.
        1 sent: Option<Vec<SentInvitation>>,
        /// Of others to the caller.
        2 received: Option<Vec<ReceivedInvitation>>,
        /// Taken by the caller.
        3 accepted: Option<Vec<InvitationWithAccess>>,
    }
}

body! {
    /// An invitation, as whoever sent it sees it.
    SentInvitation {
        /// Its id.
        1 id: String,
        /// Until when, as ISO 8601.
        2 expires_at: String,
        /// What the guest becomes.
        3 grant_role: Role,
        /// The number of whoever sent it.
        4 owner_id: u64,
        /// Who is invited.
        5 recipient_email: String,
        /// How often it can still be taken.
        6 remaining_uses: u64,
        /// What the target is.
        7 scope: Scope,
        /// The id of the space or project.
        8 target_id: String,
        /// The number of the guest; 0 when they are not known yet.
        9 recipient_id: u64,
        /// The service, if it is to one.
        10 access_details: Option<AccessDetails>,
    }
}

body! {
    /// An invitation, as the guest sees it.
    ReceivedInvitation {
        /// Its id.
        1 id: String,
        /// Until when, as ISO 8601.
        2 expires_at: String,
        /// What the guest becomes.
        3 grant_role: Role,
        /// Who sent it.
        4 owner_email: String,
        /// What the target is.
        5 scope: Scope,
        /// The id of the space or project.
        6 target_id: String,
        /// Whether the guest does not want it.
        7 ignored: bool,
    }
}

body! {
    /// An invitation with what it leads to.
    InvitationWithAccess {
        /// The invitation.
        1 invitation: ReceivedInvitation,
        /// The service, if it is to one.
        2 access_details: Option<AccessDetails>,
    }
}

body! {
    /// How a guest reaches a service.
    AccessDetails {
        /// Who the project's node is.
        1 project_identity: Identifier,
        /// Where it is.
        2 project_route: String,
        /// Who the project's authority is.
        3 project_authority_identity: Identifier,
        /// Where it is.
        4 project_authority_route: String,
        /// Who has the service.
        5 shared_node_identity: Identifier,
        /// Where the service is.
        6 shared_node_route: String,
        /// Makes the guest a member.
        7 enrollment_ticket: Secret,
    }
}

body! {
    /// Takes an invitation.
    RedeemInvitation {
        /// Its id.
        1 id: String,
    }
}

body! {
    /// An invitation that was taken.
    RedeemedInvitation {
        /// Its id.
        1 id: String,
        /// What the guest is now.
        2 role: Role,
        /// The id of the space or project.
        3 target_id: String,
    }
}
