//! Everything that can be asked of a controller, and who may: one table, from which requests are found, allowed and tested.

use ockam_control::controller::client;
use ockam_wire::envelope::Method;
use ockam_wire::envelope::Method::{Delete, Get, Post, Put};

/// The services of a controller. `spec: trust 9`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Enrollment.
    Enroll,
    /// Credentials of administrators.
    Accounts,
    /// Spaces.
    Spaces,
    /// Projects.
    Projects,
    /// The version.
    Version,
    /// Invitations.
    Users,
    /// Subscriptions.
    Subscriptions,
    /// What the published controller does not have.
    Orchestrator,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Enroll,
        Self::Accounts,
        Self::Spaces,
        Self::Projects,
        Self::Version,
        Self::Users,
        Self::Subscriptions,
        Self::Orchestrator,
    ];

    /// Where it is.
    #[must_use]
    pub const fn address(self) -> &'static str {
        match self {
            Self::Enroll => client::ENROLL,
            Self::Accounts => client::ACCOUNTS,
            Self::Spaces => client::SPACES,
            Self::Projects => client::PROJECTS,
            Self::Version => client::VERSION,
            Self::Users => client::USERS,
            Self::Subscriptions => client::SUBSCRIPTIONS,
            Self::Orchestrator => client::ORCHESTRATOR,
        }
    }
}

/// Who may ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever has a channel.
    Anybody,
    /// Whoever is enrolled.
    Enrolled,
    /// Whoever is enrolled and may make spaces.
    SpaceMaker,
    /// Administrators of the Orchestrator.
    Administrator,
    /// Administrators of the space in the path.
    SpaceAdmin,
    /// Administrators of the space in the path, and those of the Orchestrator.
    SpaceKeeper,
    /// Whoever is anything in the project in the path.
    ProjectUser,
    /// Administrators of the project in the path, or of its space.
    ProjectAdmin,
}

/// What is done. Each has one row in [`OPERATIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Enrolls the caller.
    Enroll,
    /// The credential of the account.
    AccountCredential,
    /// The credential of an administrator of a project.
    ProjectCredential,
    /// The caller's spaces.
    ListSpaces,
    /// Makes a space.
    CreateSpace,
    /// One space.
    ShowSpace,
    /// Deletes a space and its projects.
    DeleteSpace,
    /// Who administers a space.
    ListSpaceAdmins,
    /// One more administrator.
    AddSpaceAdmin,
    /// One less.
    DeleteSpaceAdmin,
    /// The caller's projects.
    ListProjects,
    /// Makes a project.
    CreateProject,
    /// How far an operation is.
    ShowOperation,
    /// One project.
    ShowProject,
    /// Deletes a project.
    DeleteProject,
    /// Who administers a project.
    ListProjectAdmins,
    /// One more administrator.
    AddProjectAdmin,
    /// One less.
    DeleteProjectAdmin,
    /// What a project can have.
    ListAddons,
    /// Sign-in with Okta.
    ConfigureOkta,
    /// An addon that is not offered.
    ConfigureOther,
    /// Takes an addon.
    DisableAddon,
    /// The version.
    ShowVersion,
    /// Invites to a space or project.
    Invite,
    /// Invites to a service.
    InviteToService,
    /// Invitations.
    ListInvitations,
    /// One invitation.
    ShowInvitation,
    /// Turns an invitation down.
    IgnoreInvitation,
    /// Takes an invitation.
    RedeemInvitation,
    /// Nothing is sold here.
    ActivateSubscription,
    /// What the caller's spaces have.
    ListSubscriptions,
    /// What one space has.
    ShowSubscription,
    /// What a space has does not change.
    ChangeSubscription,
    /// How somebody signs in.
    ShowSignIn,
    /// Who the caller is.
    ShowMe,
    /// Invites by code.
    CreateCode,
    /// A page of invitations by code.
    PageCodes,
    /// Makes a code worthless.
    DeleteCode,
    /// A page of accounts.
    PageAccounts,
    /// Deletes an account.
    DeleteAccount,
    /// Takes an identity from an account.
    DeleteIdentifier,
    /// One more administrator of the Orchestrator.
    AddAdministrator,
    /// One less.
    DeleteAdministrator,
    /// A page of relays.
    PageRelays,
    /// A page of tickets.
    PageTickets,
    /// A page of the audit log.
    PageAudit,
}

/// Something that can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Where.
    pub service: Service,
    /// How.
    pub method: Method,
    /// Words and, in braces, names of what stands there. Slashes at the ends make no difference.
    pub path: &'static str,
    /// Who may.
    pub who: Who,
    /// What is done.
    pub act: Act,
    /// How the audit log calls it; nothing when nothing changes.
    pub noted: Option<&'static str>,
}

const fn reads(
    service: Service,
    method: Method,
    path: &'static str,
    who: Who,
    act: Act,
) -> Operation {
    Operation {
        service,
        method,
        path,
        who,
        act,
        noted: None,
    }
}

const fn changes(
    service: Service,
    method: Method,
    path: &'static str,
    who: Who,
    act: Act,
    noted: &'static str,
) -> Operation {
    Operation {
        service,
        method,
        path,
        who,
        act,
        noted: Some(noted),
    }
}

/// Everything. Of rows that fit, the first counts.
pub const OPERATIONS: &[Operation] = &[
    changes(
        Service::Enroll,
        Post,
        "v0/enroll",
        Who::Anybody,
        Act::Enroll,
        "enroll",
    ),
    reads(
        Service::Accounts,
        Get,
        "v0/account",
        Who::Enrolled,
        Act::AccountCredential,
    ),
    changes(
        Service::Accounts,
        Get,
        "v0/project/{project}",
        Who::ProjectAdmin,
        Act::ProjectCredential,
        "project.credential",
    ),
    reads(Service::Spaces, Get, "v0", Who::Enrolled, Act::ListSpaces),
    changes(
        Service::Spaces,
        Post,
        "v0",
        Who::SpaceMaker,
        Act::CreateSpace,
        "space.create",
    ),
    reads(
        Service::Spaces,
        Get,
        "v0/{space}",
        Who::SpaceKeeper,
        Act::ShowSpace,
    ),
    changes(
        Service::Spaces,
        Delete,
        "v0/{space}",
        Who::SpaceAdmin,
        Act::DeleteSpace,
        "space.delete",
    ),
    reads(
        Service::Spaces,
        Get,
        "v0/{space}/admins",
        Who::SpaceKeeper,
        Act::ListSpaceAdmins,
    ),
    changes(
        Service::Spaces,
        Put,
        "v0/{space}/admins/{email}",
        Who::SpaceKeeper,
        Act::AddSpaceAdmin,
        "space.admin.add",
    ),
    changes(
        Service::Spaces,
        Delete,
        "v0/{space}/admins/{email}",
        Who::SpaceAdmin,
        Act::DeleteSpaceAdmin,
        "space.admin.delete",
    ),
    reads(
        Service::Projects,
        Get,
        "v0",
        Who::Enrolled,
        Act::ListProjects,
    ),
    changes(
        Service::Projects,
        Post,
        "v1/spaces/{space}/projects",
        Who::SpaceAdmin,
        Act::CreateProject,
        "project.create",
    ),
    reads(
        Service::Projects,
        Get,
        "v1/operations/{operation}",
        Who::ProjectUser,
        Act::ShowOperation,
    ),
    reads(
        Service::Projects,
        Get,
        "v0/{project}",
        Who::ProjectUser,
        Act::ShowProject,
    ),
    reads(
        Service::Projects,
        Get,
        "v0/{project}/admins",
        Who::ProjectUser,
        Act::ListProjectAdmins,
    ),
    changes(
        Service::Projects,
        Put,
        "v0/{project}/admins/{email}",
        Who::ProjectAdmin,
        Act::AddProjectAdmin,
        "project.admin.add",
    ),
    changes(
        Service::Projects,
        Delete,
        "v0/{project}/admins/{email}",
        Who::ProjectAdmin,
        Act::DeleteProjectAdmin,
        "project.admin.delete",
    ),
    changes(
        Service::Projects,
        Delete,
        "v0/{space}/{project}",
        Who::SpaceAdmin,
        Act::DeleteProject,
        "project.delete",
    ),
    reads(
        Service::Projects,
        Get,
        "v0/{project}/addons",
        Who::ProjectUser,
        Act::ListAddons,
    ),
    changes(
        Service::Projects,
        Post,
        "v1/projects/{project}/configure_addon/okta",
        Who::ProjectAdmin,
        Act::ConfigureOkta,
        "project.addon.configure",
    ),
    reads(
        Service::Projects,
        Post,
        "v1/projects/{project}/configure_addon/{addon}",
        Who::ProjectAdmin,
        Act::ConfigureOther,
    ),
    changes(
        Service::Projects,
        Post,
        "v1/projects/{project}/disable_addon",
        Who::ProjectAdmin,
        Act::DisableAddon,
        "project.addon.disable",
    ),
    reads(Service::Version, Get, "", Who::Anybody, Act::ShowVersion),
    changes(
        Service::Users,
        Post,
        "v0/invites",
        Who::Enrolled,
        Act::Invite,
        "invitation.create",
    ),
    changes(
        Service::Users,
        Post,
        "v0/invites/service",
        Who::Enrolled,
        Act::InviteToService,
        "invitation.create",
    ),
    reads(
        Service::Users,
        Get,
        "v0/invites",
        Who::Enrolled,
        Act::ListInvitations,
    ),
    reads(
        Service::Users,
        Get,
        "v0/invites/{invitation}",
        Who::Enrolled,
        Act::ShowInvitation,
    ),
    changes(
        Service::Users,
        Post,
        "v0/invites/{invitation}/ignore",
        Who::Enrolled,
        Act::IgnoreInvitation,
        "invitation.ignore",
    ),
    changes(
        Service::Users,
        Post,
        "v0/redeem_invite",
        Who::Enrolled,
        Act::RedeemInvitation,
        "invitation.redeem",
    ),
    reads(
        Service::Subscriptions,
        Post,
        "v0/activate",
        Who::Enrolled,
        Act::ActivateSubscription,
    ),
    reads(
        Service::Subscriptions,
        Get,
        "v0",
        Who::Enrolled,
        Act::ListSubscriptions,
    ),
    reads(
        Service::Subscriptions,
        Get,
        "v0/{space}",
        Who::SpaceAdmin,
        Act::ShowSubscription,
    ),
    reads(
        Service::Subscriptions,
        Put,
        "v0/{space}/unsubscribe",
        Who::SpaceAdmin,
        Act::ChangeSubscription,
    ),
    reads(
        Service::Subscriptions,
        Put,
        "v0/{space}/contact_info",
        Who::SpaceAdmin,
        Act::ChangeSubscription,
    ),
    reads(
        Service::Subscriptions,
        Put,
        "v0/{space}/space_id",
        Who::SpaceAdmin,
        Act::ChangeSubscription,
    ),
    reads(
        Service::Orchestrator,
        Get,
        "v0/sign_in",
        Who::Anybody,
        Act::ShowSignIn,
    ),
    reads(
        Service::Orchestrator,
        Get,
        "v0/me",
        Who::Enrolled,
        Act::ShowMe,
    ),
    changes(
        Service::Orchestrator,
        Post,
        "v0/invitations",
        Who::Administrator,
        Act::CreateCode,
        "code.create",
    ),
    reads(
        Service::Orchestrator,
        Post,
        "v0/invitations/page",
        Who::Administrator,
        Act::PageCodes,
    ),
    changes(
        Service::Orchestrator,
        Delete,
        "v0/invitations/{code}",
        Who::Administrator,
        Act::DeleteCode,
        "code.delete",
    ),
    reads(
        Service::Orchestrator,
        Post,
        "v0/accounts/page",
        Who::Administrator,
        Act::PageAccounts,
    ),
    changes(
        Service::Orchestrator,
        Delete,
        "v0/accounts/{account}",
        Who::Administrator,
        Act::DeleteAccount,
        "account.delete",
    ),
    changes(
        Service::Orchestrator,
        Delete,
        "v0/accounts/{account}/identifiers/{identifier}",
        Who::Administrator,
        Act::DeleteIdentifier,
        "account.identifier.delete",
    ),
    changes(
        Service::Orchestrator,
        Put,
        "v0/accounts/{account}/administrator",
        Who::Administrator,
        Act::AddAdministrator,
        "administrator.add",
    ),
    changes(
        Service::Orchestrator,
        Delete,
        "v0/accounts/{account}/administrator",
        Who::Administrator,
        Act::DeleteAdministrator,
        "administrator.delete",
    ),
    reads(
        Service::Orchestrator,
        Post,
        "v0/relays/page",
        Who::Administrator,
        Act::PageRelays,
    ),
    reads(
        Service::Orchestrator,
        Post,
        "v0/tickets/page",
        Who::Administrator,
        Act::PageTickets,
    ),
    reads(
        Service::Orchestrator,
        Post,
        "v0/audit/page",
        Who::Administrator,
        Act::PageAudit,
    ),
];

/// What stands in the path where the row has braces.
#[derive(Debug, Clone, Default)]
pub(super) struct Named<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Named<'a> {
    /// What stands for this name; nothing fits a name that the row does not have.
    pub(super) fn get(&self, name: &str) -> &'a str {
        self.find(name).unwrap_or_default()
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

/// The operation that is asked for.
pub(super) fn find<'a>(
    service: Service,
    method: Method,
    path: &'a str,
) -> Option<(&'static Operation, Named<'a>)> {
    OPERATIONS
        .iter()
        .filter(|row| row.service == service && row.method == method)
        .find_map(|row| fits(row.path, path).map(|named| (row, named)))
}

fn fits<'a>(pattern: &'static str, path: &'a str) -> Option<Named<'a>> {
    let mut named = Named::default();
    let mut parts = path.trim_matches('/').split('/');
    for word in pattern.split('/') {
        let part = parts.next()?;
        match word
            .strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'))
        {
            Some(_) if part.is_empty() => return None,
            Some(name) => named.0.push((name, part)),
            None if word == part => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(named)
}
