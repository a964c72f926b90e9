//! Who may what: a walk over the table of operations.

use ockam_control::controller::message::{
    AuthenticateOidcToken, CreateProject, CreateServiceInvitation, CreateSpace, DisableAddon,
    InvitationKind, Item, ListInvitations, NewInvitation, OidcTokenKind, OktaConfig, PageRequest,
    RedeemInvitation, Secret,
};
use ockam_identity::Identifier;
use ockam_orchestrator::controller::{Act, OPERATIONS};

use crate::world::{World, invitation};

/// What each gets: a stranger, a member of the project without account, an account without role, the administrator of
/// another project, the administrators of the space and of the project, an administrator of the Orchestrator.
const fn expected(act: Act) -> [u16; 7] {
    const OK: u16 = 200;
    const WRONG: u16 = 400;
    const NO: u16 = 403;
    const NONE: u16 = 404;
    const NEVER: u16 = 501;
    match act {
        // With a code that nobody knows.
        Act::Enroll => [NO; 7],
        Act::ShowVersion | Act::ShowSignIn => [OK; 7],
        Act::AccountCredential
        | Act::ListSpaces
        | Act::CreateSpace
        | Act::ListProjects
        | Act::ListInvitations
        | Act::ListSubscriptions
        | Act::ShowMe => [NO, NO, OK, OK, OK, OK, OK],
        Act::ShowSpace | Act::ListSpaceAdmins | Act::AddSpaceAdmin => {
            [NO, NO, NONE, NONE, OK, NONE, OK]
        }
        Act::DeleteSpace
        | Act::DeleteSpaceAdmin
        | Act::ShowSubscription
        | Act::CreateProject
        | Act::DeleteProject => [NO, NO, NONE, NONE, OK, NONE, NONE],
        Act::ProjectCredential
        | Act::ShowOperation
        | Act::ShowProject
        | Act::ListProjectAdmins
        | Act::AddProjectAdmin
        | Act::DeleteProjectAdmin
        | Act::ListAddons
        | Act::DisableAddon
        | Act::Invite
        | Act::InviteToService => [NO, NO, NONE, NONE, OK, OK, NONE],
        Act::ConfigureOther => [NO, NO, NONE, NONE, NEVER, NEVER, NONE],
        // With a certificate that is none.
        Act::ConfigureOkta => [NO, NO, NONE, NONE, WRONG, WRONG, NONE],
        Act::ShowInvitation => [NO, NO, OK, NONE, NONE, OK, NONE],
        Act::IgnoreInvitation | Act::RedeemInvitation => [NO, NO, OK, NONE, NONE, NONE, NONE],
        Act::ActivateSubscription => [NO, NO, NEVER, NEVER, NEVER, NEVER, NEVER],
        Act::ChangeSubscription => [NO, NO, NONE, NONE, NEVER, NONE, NONE],
        Act::CreateCode
        | Act::PageCodes
        | Act::DeleteCode
        | Act::PageAccounts
        | Act::DeleteAccount
        | Act::DeleteIdentifier
        | Act::AddAdministrator
        | Act::DeleteAdministrator
        | Act::PageRelays
        | Act::PageTickets
        | Act::PageAudit => [NO, NO, NO, NO, NO, NO, OK],
    }
}

fn body(act: Act, world: &World) -> Option<Vec<u8>> {
    let page = PageRequest {
        after: None,
        limit: None,
    };
    let encoded = match act {
        Act::Enroll => AuthenticateOidcToken {
            kind: OidcTokenKind::Bearer,
            access_token: format!("code:{}", "00".repeat(32)).into(),
        }
        .encode(),
        Act::CreateSpace => CreateSpace {
            name: "another".to_owned(),
            users: Vec::new(),
        }
        .encode(),
        Act::CreateProject => CreateProject {
            name: "another".to_owned(),
            users: Vec::new(),
        }
        .encode(),
        Act::ConfigureOkta => OktaConfig {
            tenant_base_url: "https://tenant.example".to_owned(),
            certificate: "x".to_owned(),
            client_id: "c".to_owned(),
            attributes: Vec::new(),
        }
        .encode(),
        Act::DisableAddon => DisableAddon {
            addon_id: "okta".to_owned(),
        }
        .encode(),
        Act::Invite => invitation(&world.project, &world.nobody).encode(),
        Act::InviteToService => CreateServiceInvitation {
            expires_at: None,
            project_id: world.project.id.clone(),
            recipient_email: world.nobody.email.parse().unwrap(),
            project_identity: Identifier::new([1; 32]),
            project_route: "/service/a".to_owned(),
            project_authority_identity: Identifier::new([2; 32]),
            project_authority_route: "/service/b".to_owned(),
            shared_node_identity: Identifier::new([3; 32]),
            shared_node_route: "/service/c".to_owned(),
            enrollment_ticket: Secret::new("ticket".to_owned()),
        }
        .encode(),
        Act::ListInvitations => ListInvitations {
            kind: InvitationKind::All,
        }
        .encode(),
        Act::RedeemInvitation => RedeemInvitation {
            id: world.invitation.clone(),
        }
        .encode(),
        Act::CreateCode => NewInvitation {
            email: None,
            administrator: None,
            ttl_secs: None,
            uses: None,
            space_id: None,
            project_id: None,
            project_admin: None,
        }
        .encode(),
        Act::PageCodes
        | Act::PageAccounts
        | Act::PageRelays
        | Act::PageTickets
        | Act::PageAudit => page.encode(),
        _ => return None,
    };
    Some(encoded.to_vec())
}

fn path(pattern: &str, world: &World) -> String {
    let operation = world.project.operation_id.as_deref().unwrap();
    let identifier = world.nobody.caller.identifier().to_string();
    [
        ("{space}", world.space.id.as_str()),
        ("{project}", &world.project.id),
        ("{operation}", operation),
        ("{email}", &world.project_admin.email),
        ("{addon}", "confluent"),
        ("{invitation}", &world.invitation),
        ("{code}", &world.code),
        ("{account}", &world.account),
        ("{identifier}", &identifier),
    ]
    .into_iter()
    .fold(pattern.to_owned(), |path, (name, value)| {
        path.replace(name, value)
    })
}

#[tokio::test]
async fn guard_o05_each_operation_is_for_whom_the_table_of_expectations_says() {
    let mut world = World::new().await;
    for operation in OPERATIONS {
        for (who, expected) in expected(operation.act).into_iter().enumerate() {
            let asker = [
                &world.stranger,
                &world.member,
                &world.nobody,
                &world.outsider,
                &world.space_admin,
                &world.project_admin,
                &world.administrator,
            ][who];
            let path = path(operation.path, &world);
            assert!(!path.contains('{'), "{path}");
            let body = body(operation.act, &world);
            let (status, answer) = world
                .empty
                .ask(
                    asker,
                    operation.service,
                    operation.method,
                    &path,
                    body.as_deref(),
                )
                .await;
            let said = String::from_utf8_lossy(&answer);
            assert_eq!(
                status.code(),
                expected,
                "{:?} by {}: {said:?}",
                operation.act,
                asker.email
            );
            if status.code() == 200 && operation.noted.is_some() {
                world = World::new().await;
            }
        }
    }
}

#[tokio::test]
async fn guard_o05_what_is_not_there_and_what_is_not_theirs_look_alike() {
    let world = World::new().await;
    for operation in OPERATIONS
        .iter()
        .filter(|operation| operation.path.contains("{project}"))
    {
        let there = path(operation.path, &world);
        let elsewhere = there.replace(&world.project.id, "11111111-1111-4111-8111-111111111111");
        let mut answers = Vec::new();
        for path in [&there, &elsewhere] {
            let (status, answer) = world
                .empty
                .ask(
                    &world.outsider,
                    operation.service,
                    operation.method,
                    path,
                    None,
                )
                .await;
            let message = ockam_wire::envelope::ErrorBody::decode(&answer).message;
            answers.push((status, message));
        }
        assert_eq!(answers[0], answers[1], "{there}");
        assert_eq!(answers[0].0.code(), 404, "{there}");
    }
}
