//! Typed requests to a controller.

use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{AuthorityClient, Issued, RequestError};
use ockam_identity::{Identifier, OneTimeCode};
use ockam_node::{Node, OwnIdentity};
use ockam_wire::envelope::{Method, Status};

use super::ControllerPlace;
use super::message::{
    AccountInfo, ActivateSubscription, Addon, AdminInfo, AuditEntry, AuthenticateOidcToken,
    ConfigureConfluent, CreateInvitation, CreateProject, CreateServiceInvitation, CreateSpace,
    DisableAddon, InfluxConfig, InvitationCode, InvitationInfo, InvitationKind, InvitationList,
    InvitationWithAccess, Item, ListInvitations, Me, NewInvitation, OidcTokenKind, OktaConfig,
    Operation, OperationStarted, Page, PageRequest, Project, ProjectPageRequest, RedeemInvitation,
    RedeemedInvitation, RelayItem, SentInvitation, SignInInfo, Space, SubscriptionLegacy,
    TicketItem, VersionInfo, encode_text,
};
use crate::value::Email;

/// Asks one controller as one identity. Each request has a connection and a channel of its own.
///
/// All methods fail with [`RequestError`]: the controller is not there, refuses, or answers something else.
#[derive(Debug, Clone)]
pub struct ControllerClient {
    client: AuthorityClient,
    /// What to do when it is not reached, if it is of this machine and does not run.
    pub(super) stopped: Option<String>,
}

/// A result of asking.
pub type Asked<T> = Result<T, RequestError>;

impl ControllerClient {
    /// Prepares to ask the controller at this place, as this identity.
    #[must_use]
    pub fn new(
        node: Node,
        identity: Arc<dyn OwnIdentity>,
        place: ControllerPlace,
        timeout: Duration,
    ) -> Self {
        let client = AuthorityClient {
            node,
            identity,
            authority: place.identifier,
            route: place.route,
            timeout,
        };
        Self {
            client,
            stopped: None,
        }
    }

    /// What asks.
    #[must_use]
    pub const fn client(&self) -> &AuthorityClient {
        &self.client
    }

    /// Enrolls the caller by a one-time code. `spec: extensions 4.8.1`
    pub async fn enroll_with_code(&self, code: &OneTimeCode) -> Asked<()> {
        let mut text = zeroize::Zeroizing::new([0; 64]);
        // Both lengths are fixed.
        hex::encode_to_slice(code.as_bytes(), &mut *text).map_err(|_| RequestError::Body)?;
        let text = std::str::from_utf8(&*text).map_err(|_| RequestError::Body)?;
        let mut token = zeroize::Zeroizing::new(String::with_capacity(CODE.len() + text.len()));
        token.push_str(CODE);
        token.push_str(text);
        self.enroll(token).await
    }

    /// Enrolls the caller by an access token of the provider.
    pub async fn enroll(&self, access_token: zeroize::Zeroizing<String>) -> Asked<()> {
        let token = AuthenticateOidcToken {
            kind: OidcTokenKind::Bearer,
            access_token,
        };
        let body = token.encode();
        // As published, without a slash at its beginning.
        self.client
            .request(ENROLL, Method::Post, "v0/enroll", Some(&body))
            .await
            .map(drop)
    }

    /// The credential of the caller's account.
    pub async fn account_credential(&self) -> Asked<Issued> {
        self.client
            .credential_of(ACCOUNTS, Method::Get, "/v0/account")
            .await
    }

    /// The credential that makes the caller an administrator of a project.
    pub async fn project_credential(&self, project: &str) -> Asked<Issued> {
        let path = format!("/v0/project/{project}");
        self.client
            .credential_of(ACCOUNTS, Method::Get, &path)
            .await
    }

    /// The caller's spaces.
    pub async fn spaces(&self) -> Asked<Vec<Space>> {
        self.list(SPACES, "/v0/").await
    }

    /// Makes a space.
    pub async fn create_space(&self, space: &CreateSpace) -> Asked<Space> {
        self.send(SPACES, Method::Post, "/v0/", space).await
    }

    /// One space.
    pub async fn space(&self, id: &str) -> Asked<Space> {
        self.get(SPACES, &format!("/v0/{id}")).await
    }

    /// Deletes a space and its projects.
    pub async fn delete_space(&self, id: &str) -> Asked<()> {
        self.does(SPACES, Method::Delete, &format!("/v0/{id}"))
            .await
    }

    /// Who administers a space.
    pub async fn space_admins(&self, id: &str) -> Asked<Vec<Email>> {
        self.admins(SPACES, Method::Get, &format!("/v0/{id}/admins"))
            .await
    }

    /// Lets somebody administer a space.
    pub async fn add_space_admin(&self, id: &str, email: &Email) -> Asked<Vec<Email>> {
        self.admins(SPACES, Method::Put, &format!("/v0/{id}/admins/{email}"))
            .await
    }

    /// Ends that somebody administers a space.
    pub async fn delete_space_admin(&self, id: &str, email: &Email) -> Asked<Vec<Email>> {
        self.admins(SPACES, Method::Delete, &format!("/v0/{id}/admins/{email}"))
            .await
    }

    /// The caller's projects.
    pub async fn projects(&self) -> Asked<Vec<Project>> {
        self.list(PROJECTS, "/v0").await
    }

    /// Makes a project in a space.
    pub async fn create_project(&self, space: &str, project: &CreateProject) -> Asked<Project> {
        let path = format!("/v1/spaces/{space}/projects");
        self.send(PROJECTS, Method::Post, &path, project).await
    }

    /// One project.
    pub async fn project(&self, id: &str) -> Asked<Project> {
        self.get(PROJECTS, &format!("/v0/{id}")).await
    }

    /// Deletes a project.
    pub async fn delete_project(&self, space: &str, id: &str) -> Asked<()> {
        self.does(PROJECTS, Method::Delete, &format!("/v0/{space}/{id}"))
            .await
    }

    /// Who administers a project.
    pub async fn project_admins(&self, id: &str) -> Asked<Vec<Email>> {
        self.admins(PROJECTS, Method::Get, &format!("/v0/{id}/admins"))
            .await
    }

    /// Lets somebody administer a project.
    pub async fn add_project_admin(&self, id: &str, email: &Email) -> Asked<Vec<Email>> {
        self.admins(PROJECTS, Method::Put, &format!("/v0/{id}/admins/{email}"))
            .await
    }

    /// Ends that somebody administers a project.
    pub async fn delete_project_admin(&self, id: &str, email: &Email) -> Asked<Vec<Email>> {
        self.admins(
            PROJECTS,
            Method::Delete,
            &format!("/v0/{id}/admins/{email}"),
        )
        .await
    }

    /// How far an operation is; nothing when there is none of this id.
    pub async fn operation(&self, id: &str) -> Asked<Option<Operation>> {
        found(self.get(PROJECTS, &format!("/v1/operations/{id}")).await)
    }

    /// What a project can have.
    pub async fn addons(&self, project: &str) -> Asked<Vec<Addon>> {
        self.get(PROJECTS, &format!("/v0/{project}/addons")).await
    }

    /// Lets members of a project sign in with Okta.
    pub async fn configure_okta(&self, project: &str, okta: &OktaConfig) -> Asked<Operation> {
        self.configure(project, "configure_addon/okta", okta).await
    }

    /// Tells a project of its Kafka.
    pub async fn configure_confluent(
        &self,
        project: &str,
        kafka: &ConfigureConfluent,
    ) -> Asked<Operation> {
        self.configure(project, "configure_addon/confluent", kafka)
            .await
    }

    /// Lets a project lease tokens of InfluxDB.
    pub async fn configure_influx(&self, project: &str, influx: &InfluxConfig) -> Asked<Operation> {
        self.configure(
            project,
            "configure_addon/influxdb_token_lease_manager",
            influx,
        )
        .await
    }

    /// Takes an addon from a project.
    pub async fn disable_addon(&self, project: &str, addon: &str) -> Asked<Operation> {
        let addon = DisableAddon {
            addon_id: addon.to_owned(),
        };
        self.configure(project, "disable_addon", &addon).await
    }

    /// What the controller is.
    pub async fn version(&self) -> Asked<VersionInfo> {
        self.get(VERSION, "").await
    }

    /// Invites somebody to a space or a project.
    pub async fn invite(&self, invitation: &CreateInvitation) -> Asked<SentInvitation> {
        self.send(USERS, Method::Post, "/v0/invites", invitation)
            .await
    }

    /// Invites somebody to one service.
    pub async fn invite_to_service(
        &self,
        invitation: &CreateServiceInvitation,
    ) -> Asked<SentInvitation> {
        self.send(USERS, Method::Post, "/v0/invites/service", invitation)
            .await
    }

    /// Invitations of the caller and to the caller.
    pub async fn invitations(&self, kind: InvitationKind) -> Asked<InvitationList> {
        self.send(USERS, Method::Get, "/v0/invites", &ListInvitations { kind })
            .await
    }

    /// One invitation.
    pub async fn invitation(&self, id: &str) -> Asked<InvitationWithAccess> {
        self.get(USERS, &format!("/v0/invites/{id}")).await
    }

    /// Turns an invitation down.
    pub async fn ignore_invitation(&self, id: &str) -> Asked<()> {
        self.does(USERS, Method::Post, &format!("/v0/invites/{id}/ignore"))
            .await
    }

    /// Takes an invitation.
    pub async fn redeem_invitation(&self, id: &str) -> Asked<RedeemedInvitation> {
        let id = id.to_owned();
        self.send(
            USERS,
            Method::Post,
            "/v0/redeem_invite",
            &RedeemInvitation { id },
        )
        .await
    }

    /// Makes use of something that was bought.
    pub async fn activate_subscription(
        &self,
        bought: &ActivateSubscription,
    ) -> Asked<SubscriptionLegacy> {
        self.send(SUBSCRIPTIONS, Method::Post, "/v0/activate", bought)
            .await
    }

    /// All subscriptions.
    pub async fn subscriptions(&self) -> Asked<Vec<SubscriptionLegacy>> {
        self.get(SUBSCRIPTIONS, "/v0/").await
    }

    /// One subscription; nothing when there is none of this id.
    pub async fn subscription(&self, id: &str) -> Asked<Option<SubscriptionLegacy>> {
        found(self.get(SUBSCRIPTIONS, &format!("/v0/{id}")).await)
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&self, id: &str) -> Asked<SubscriptionLegacy> {
        let path = format!("/v0/{id}/unsubscribe");
        read(
            &self
                .client
                .request(SUBSCRIPTIONS, Method::Put, &path, None)
                .await?,
        )
    }

    /// Changes who is asked about a subscription.
    pub async fn set_subscription_contact(
        &self,
        id: &str,
        contact: &str,
    ) -> Asked<SubscriptionLegacy> {
        self.put_text(&format!("/v0/{id}/contact_info"), contact)
            .await
    }

    /// Changes which space has a subscription.
    pub async fn set_subscription_space(&self, id: &str, space: &str) -> Asked<SubscriptionLegacy> {
        self.put_text(&format!("/v0/{id}/space_id"), space).await
    }

    /// How somebody signs in.
    pub async fn sign_in(&self) -> Asked<SignInInfo> {
        self.get(ORCHESTRATOR, "/v0/sign_in").await
    }

    /// Who the caller is.
    pub async fn me(&self) -> Asked<Me> {
        self.get(ORCHESTRATOR, "/v0/me").await
    }

    /// Invites by a one-time code.
    pub async fn new_code(&self, invitation: &NewInvitation) -> Asked<InvitationCode> {
        self.send(ORCHESTRATOR, Method::Post, "/v0/invitations", invitation)
            .await
    }

    /// A page of the invitations by code.
    pub async fn codes(&self, page: &PageRequest) -> Asked<Page<InvitationInfo>> {
        self.page("/v0/invitations/page", page).await
    }

    /// Makes the code of an invitation worthless.
    pub async fn withdraw_code(&self, id: &str) -> Asked<()> {
        self.does(
            ORCHESTRATOR,
            Method::Delete,
            &format!("/v0/invitations/{id}"),
        )
        .await
    }

    /// A page of the accounts.
    pub async fn accounts(&self, page: &PageRequest) -> Asked<Page<AccountInfo>> {
        self.page("/v0/accounts/page", page).await
    }

    /// Deletes an account: what it may ends at once.
    pub async fn delete_account(&self, id: &str) -> Asked<()> {
        self.does(ORCHESTRATOR, Method::Delete, &format!("/v0/accounts/{id}"))
            .await
    }

    /// Takes one identity from an account: what it may ends at once.
    pub async fn delete_identifier(&self, account: &str, identifier: &Identifier) -> Asked<()> {
        let path = format!("/v0/accounts/{account}/identifiers/{identifier}");
        self.does(ORCHESTRATOR, Method::Delete, &path).await
    }

    /// Lets an account administer the Orchestrator.
    pub async fn add_administrator(&self, account: &str) -> Asked<()> {
        let path = format!("/v0/accounts/{account}/administrator");
        self.does(ORCHESTRATOR, Method::Put, &path).await
    }

    /// Ends that an account administers the Orchestrator.
    pub async fn delete_administrator(&self, account: &str) -> Asked<()> {
        let path = format!("/v0/accounts/{account}/administrator");
        self.does(ORCHESTRATOR, Method::Delete, &path).await
    }

    /// A page of the relays that are connected.
    pub async fn relays(&self, page: &ProjectPageRequest) -> Asked<Page<RelayItem>> {
        self.page("/v0/relays/page", page).await
    }

    /// A page of the tickets and of who used them.
    pub async fn tickets(&self, page: &ProjectPageRequest) -> Asked<Page<TicketItem>> {
        self.page("/v0/tickets/page", page).await
    }

    /// A page of the audit log.
    pub async fn audit(&self, page: &PageRequest) -> Asked<Page<AuditEntry>> {
        self.page("/v0/audit/page", page).await
    }

    /// Whether the controller tells long lists in pages. One that does deletes a space with all its projects at once.
    pub async fn has_pages(&self) -> Asked<bool> {
        let page = PageRequest {
            after: None,
            limit: Some(1),
        };
        let body = page.encode();
        let answer = self
            .client
            .request(PROJECTS, Method::Get, "/v0", Some(&body));
        Ok(is_page(&answer.await?))
    }

    /// A list, page by page where the controller has pages. `spec: extensions 4.8.4`
    async fn list<T: Item>(&self, service: &'static str, path: &str) -> Asked<Vec<T>> {
        let mut all = Vec::new();
        let mut asked = PageRequest {
            after: None,
            limit: None,
        };
        for _ in 0..MOST_PAGES {
            let body = asked.encode();
            let answer = self
                .client
                .request(service, Method::Get, path, Some(&body))
                .await?;
            if !is_page(&answer) {
                return read(&answer);
            }
            let page: Page<T> = read(&answer)?;
            all.extend(page.items);
            match page.next {
                Some(next) => asked.after = Some(next),
                None => return Ok(all),
            }
        }
        Err(RequestError::Body)
    }

    async fn get<T: Item>(&self, service: &'static str, path: &str) -> Asked<T> {
        read(
            &self
                .client
                .request(service, Method::Get, path, None)
                .await?,
        )
    }

    async fn send<T: Item>(
        &self,
        service: &'static str,
        method: Method,
        path: &str,
        body: &impl Item,
    ) -> Asked<T> {
        let body = body.encode();
        read(
            &self
                .client
                .request(service, method, path, Some(&body))
                .await?,
        )
    }

    async fn does(&self, service: &'static str, method: Method, path: &str) -> Asked<()> {
        self.client
            .request(service, method, path, None)
            .await
            .map(drop)
    }

    async fn page<T: Item>(&self, path: &str, page: &impl Item) -> Asked<Page<T>> {
        self.send(ORCHESTRATOR, Method::Post, path, page).await
    }

    /// Addresses that come twice count once.
    async fn admins(&self, service: &'static str, method: Method, path: &str) -> Asked<Vec<Email>> {
        let body = self.client.request(service, method, path, None).await?;
        let mut admins: Vec<Email> = Vec::new();
        for AdminInfo { email } in read::<Vec<AdminInfo>>(&body)? {
            if !admins.contains(&email) {
                admins.push(email);
            }
        }
        Ok(admins)
    }

    /// Configures an addon. What comes back is how far the controller is with it.
    async fn configure(&self, project: &str, what: &str, body: &impl Item) -> Asked<Operation> {
        let path = format!("/v1/projects/{project}/{what}");
        let begun: OperationStarted = self.send(PROJECTS, Method::Post, &path, body).await?;
        self.get(PROJECTS, &format!("/v1/operations/{}", begun.operation_id))
            .await
    }

    async fn put_text(&self, path: &str, text: &str) -> Asked<SubscriptionLegacy> {
        let body = encode_text(text);
        read(
            &self
                .client
                .request(SUBSCRIPTIONS, Method::Put, path, Some(&body))
                .await?,
        )
    }
}

/// Whether an answer is a page; as published it is an array.
fn is_page(answer: &[u8]) -> bool {
    answer.first().is_some_and(|first| first >> 5 == MAP)
}

fn read<T: Item>(body: &[u8]) -> Asked<T> {
    T::decode(body).map_err(|_| RequestError::Body)
}

fn found<T>(asked: Asked<T>) -> Asked<Option<T>> {
    match asked {
        Err(RequestError::Refused {
            status: Some(Status::NotFound),
            ..
        }) => Ok(None),
        asked => asked.map(Some),
    }
}

/// The major type of a map of CBOR.
const MAP: u8 = 5;
/// Pages of one list.
const MOST_PAGES: usize = 2000;
/// Where enrollment is. `spec: trust 9.2`
pub const ENROLL: &str = "auth0_authenticator";
/// Where credentials of administrators are.
pub const ACCOUNTS: &str = "accounts";
/// Where spaces are.
pub const SPACES: &str = "spaces";
/// Where projects are.
pub const PROJECTS: &str = "projects";
/// Where the version is.
pub const VERSION: &str = "version_info";
/// Where invitations are.
pub const USERS: &str = "users";
/// Where subscriptions are.
pub const SUBSCRIPTIONS: &str = "subscriptions";
/// Where everything is that the published controller does not have. `spec: extensions 4.8`
pub const ORCHESTRATOR: &str = "orchestrator";
/// What comes before a one-time code in place of an access token. `spec: extensions 4.8.1`
pub const CODE: &str = "code:";
