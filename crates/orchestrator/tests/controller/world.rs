//! A controller over a store of its own, and people who ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ockam_authority::{IssueError, IssueFuture, Issuer, Statement};
use ockam_control::controller::message::{
    AuthenticateOidcToken, CreateInvitation, CreateProject, CreateSpace, InvitationCode, Item, Me,
    NewInvitation, OidcTokenKind, Project, Role, Scope, SentInvitation, Space,
};
use ockam_identity::{
    CredentialDraft, IdentityDraft, PURPOSE_KEY_SECONDS, PurposeKeyAttestation, PurposeKeyDraft,
    PurposePublicKey, UnixTime, Validity, VerifiedHistory,
};
use ockam_orchestrator::controller::{
    Caller, Controller, ControllerOptions, Hosting as _, InMemory, Service, Source,
};
use ockam_store::{Home, Store};
use ockam_vault::{Handle, Signer, SigningKeyType, SoftwareVault};
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};
use tempfile::TempDir;

pub(crate) const NOW: UnixTime = UnixTime(1_700_000_100);

/// The same time and the same numbers, always.
#[derive(Debug, Default)]
pub(crate) struct Fixed(pub(crate) AtomicU64);

impl Source for Fixed {
    fn now(&self) -> UnixTime {
        NOW
    }

    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let numbers = ockam_vault::fast().sha256(&[b"source", &count]);
        for (place, number) in bytes.iter_mut().zip(numbers) {
            *place = number;
        }
    }
}

/// Somebody with keys that follow from a number.
#[derive(Debug)]
pub(crate) struct Person {
    vault: SoftwareVault,
    pub(crate) history: VerifiedHistory,
    credential_key: Handle,
    attestation: PurposeKeyAttestation,
}

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        let provider = ockam_vault::fast();
        let now = UnixTime(1_700_000_000);
        let mut vault = SoftwareVault::new(provider);
        let mut drawn = number;
        let mut fill = |bytes: &mut [u8]| {
            bytes.fill(drawn);
            drawn = drawn.wrapping_add(100);
        };
        let own = vault
            .generate_signing_key(SigningKeyType::Ed25519, &mut fill)
            .unwrap();
        let credential_key = vault
            .generate_signing_key(SigningKeyType::Ed25519, &mut fill)
            .unwrap();
        let public = vault.public_key(&own).unwrap();
        let history = IdentityDraft::new(provider, public, Validity::of_primary_key(now))
            .unwrap()
            .sign_with(provider, &vault, &own)
            .unwrap();
        let public =
            PurposePublicKey::CredentialSigning(vault.public_key(&credential_key).unwrap());
        let attestation =
            PurposeKeyDraft::new(provider, &history, public, now, PURPOSE_KEY_SECONDS)
                .unwrap()
                .sign_with(provider, &vault, &own)
                .unwrap();
        Self {
            vault,
            history,
            credential_key,
            attestation,
        }
    }
}

impl Issuer for Person {
    fn issue<'a>(&'a self, statement: Statement<'a>) -> IssueFuture<'a> {
        let provider = ockam_vault::fast();
        let issued = CredentialDraft::new(
            provider,
            statement.subject,
            statement.attributes,
            statement.created_at,
            statement.expires_at,
        )
        .and_then(|draft| {
            let signer = (&self.vault as &dyn Signer, &self.credential_key);
            draft.sign_with(provider, &self.history, &self.attestation, signer)
        })
        .map_err(|error| IssueError::Failed(error.into()));
        Box::pin(async { issued })
    }
}

/// A caller with an address, by which a code enrolls them.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) caller: Caller,
    pub(crate) email: String,
}

impl Asker {
    pub(crate) fn new(number: u8, email: &str) -> Self {
        let caller = Caller {
            history: Arc::new(Person::new(number).history),
            source: Some(ockam_node::Source::of("192.0.2.1:4000".parse().unwrap())),
        };
        Self {
            caller,
            email: email.to_owned(),
        }
    }
}

/// A controller that nobody asked yet.
pub(crate) struct Empty {
    pub(crate) controller: Arc<Controller>,
    pub(crate) hosting: Arc<InMemory>,
    pub(crate) store: Store,
    pub(crate) issuer: Arc<Person>,
    _home: TempDir,
}

impl Empty {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path().join("home")).unwrap();
        let store = Store::open(&home).await.unwrap();
        let issuer = Arc::new(Person::new(1));
        let hosting = Arc::new(InMemory::default());
        let mut options = ControllerOptions::new(
            *issuer.history.identifier(),
            issuer.clone(),
            hosting.clone(),
        );
        options.source = Arc::new(Fixed::default());
        let controller = Controller::open(store.clone(), options);
        Self {
            controller,
            hosting,
            store,
            issuer,
            _home: directory,
        }
    }

    pub(crate) async fn ask(
        &self,
        asker: &Asker,
        service: Service,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> (Status, Vec<u8>) {
        let request = Request::new(MessageId(7), method, path).encode(body);
        let answer = Box::pin(
            self.controller
                .answer(service, Some(&asker.caller), &request),
        )
        .await
        .unwrap();
        let (response, body) = Response::decode(&answer).unwrap();
        assert_eq!(response.re, MessageId(7));
        (response.status.unwrap(), body.unwrap_or_default().to_vec())
    }

    /// What comes back for something that is done.
    pub(crate) async fn get<T: Item>(
        &self,
        asker: &Asker,
        service: Service,
        method: Method,
        path: &str,
        body: &impl Item,
    ) -> T {
        let (status, answer) = self
            .ask(asker, service, method, path, Some(&body.encode()))
            .await;
        let message = ErrorBody::decode(&answer).message;
        assert_eq!(status, Status::Ok, "{path}: {message:?}");
        T::decode(&answer).unwrap()
    }

    pub(crate) async fn enroll(&self, asker: &Asker, code: &str) -> Status {
        let token = AuthenticateOidcToken {
            kind: OidcTokenKind::Bearer,
            access_token: format!("code:{code}").into(),
        };
        self.ask(
            asker,
            Service::Enroll,
            Method::Post,
            "v0/enroll",
            Some(&token.encode()),
        )
        .await
        .0
    }
}

/// A controller with people in all roles.
pub(crate) struct World {
    pub(crate) empty: Empty,
    pub(crate) stranger: Asker,
    /// A member of the project who has no account.
    pub(crate) member: Asker,
    /// An account without role.
    pub(crate) nobody: Asker,
    /// Administers another space and its project.
    pub(crate) outsider: Asker,
    pub(crate) space_admin: Asker,
    pub(crate) project_admin: Asker,
    pub(crate) administrator: Asker,
    pub(crate) space: Space,
    pub(crate) project: Project,
    /// To the project, from its administrator to nobody.
    pub(crate) invitation: String,
    pub(crate) code: String,
    /// The account of nobody.
    pub(crate) account: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Box::pin(Self::start()).await
    }

    async fn start() -> Self {
        let empty = Empty::new().await;
        let administrator = Asker::new(10, "administrator@localhost");
        let code = empty
            .controller
            .first_administrator_code(std::time::Duration::from_secs(60), None)
            .await
            .unwrap();
        assert_eq!(empty.enroll(&administrator, &code).await, Status::Ok);
        let [nobody, outsider, space_admin, project_admin] = [
            Asker::new(11, "nobody@example.com"),
            Asker::new(12, "outsider@example.com"),
            Asker::new(13, "space@example.com"),
            Asker::new(14, "project@example.com"),
        ];
        for asker in [&nobody, &outsider, &space_admin, &project_admin] {
            let code = new_code(&empty, &administrator, &asker.email).await;
            assert_eq!(empty.enroll(asker, &code.code).await, Status::Ok);
        }
        let (space, project) = space_and_project(&empty, &space_admin).await;
        space_and_project(&empty, &outsider).await;
        let path = format!("/v0/{}/admins/{}", project.id, project_admin.email);
        let (status, _) = empty
            .ask(&space_admin, Service::Projects, Method::Put, &path, None)
            .await;
        assert_eq!(status, Status::Ok);
        let member = Asker::new(15, "member@example.com");
        let who = *member.caller.identifier();
        empty
            .hosting
            .admit(&project.id, &who, Default::default())
            .await
            .unwrap();
        let invitation: SentInvitation = empty
            .get(
                &project_admin,
                Service::Users,
                Method::Post,
                "/v0/invites",
                &invitation(&project, &nobody),
            )
            .await;
        let code = new_code(&empty, &administrator, "somebody@example.com").await;
        let me: Me = empty
            .get(
                &nobody,
                Service::Orchestrator,
                Method::Get,
                "/v0/me",
                &Vec::<String>::new(),
            )
            .await;
        Self {
            stranger: Asker::new(16, "stranger@example.com"),
            empty,
            member,
            nobody,
            outsider,
            space_admin,
            project_admin,
            administrator,
            space,
            project,
            invitation: invitation.id,
            code: code.id,
            account: me.id,
        }
    }
}

pub(crate) async fn new_code(empty: &Empty, administrator: &Asker, email: &str) -> InvitationCode {
    let wanted = NewInvitation {
        email: Some(email.parse().unwrap()),
        administrator: None,
        ttl_secs: None,
        uses: None,
        space_id: None,
        project_id: None,
        project_admin: None,
    };
    empty
        .get(
            administrator,
            Service::Orchestrator,
            Method::Post,
            "/v0/invitations",
            &wanted,
        )
        .await
}

pub(crate) async fn space_and_project(empty: &Empty, asker: &Asker) -> (Space, Project) {
    let space = CreateSpace {
        name: "space".to_owned(),
        users: Vec::new(),
    };
    let space: Space = empty
        .get(asker, Service::Spaces, Method::Post, "/v0/", &space)
        .await;
    let project = CreateProject {
        name: "default".to_owned(),
        users: Vec::new(),
    };
    let path = format!("/v1/spaces/{}/projects", space.id);
    let project = empty
        .get(asker, Service::Projects, Method::Post, &path, &project)
        .await;
    (space, project)
}

pub(crate) fn invitation(project: &Project, guest: &Asker) -> CreateInvitation {
    CreateInvitation {
        expires_at: None,
        grant_role: Role::Guest,
        recipient_email: guest.email.parse().unwrap(),
        remaining_uses: None,
        scope: Scope::Project,
        target_id: project.id.clone(),
    }
}
