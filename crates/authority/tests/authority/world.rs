//! An authority with its clients, each on a node of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ockam_authority::client::{
    AuthorityClient, CacheFuture, CredentialCache, CredentialKind, Issued, Renewal, RenewalOptions,
};
use ockam_authority::message::{AddMember, ENROLLER, MemberAttributes, ROLE};
use ockam_authority::{
    Authority, AuthorityOptions, AuthorityServices, IssueError, IssueFuture, Issuer, MemoryMembers,
    Service, Statement,
};
use ockam_channel::{LocalIdentity, StaticKey};
use ockam_identity::{
    CredentialBundle, CredentialDraft, Identifier, IdentityDraft, PURPOSE_KEY_SECONDS,
    PurposeKeyAttestation, PurposeKeyDraft, PurposePublicKey, UnixTime, Validity, VerifiedHistory,
};
use ockam_node::{
    ChannelListener, FixedIdentity, FlowId, ListenerOptions, Node, NodeOptions, TcpListener,
};
use ockam_vault::{Handle, Signer, SigningKeyType, SoftwareVault, X25519Secret};
use ockam_wire::{Address, MultiAddr};

pub(crate) async fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it comes")
}

/// An authority with one enroller.
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) authority: Arc<Authority<MemoryMembers>>,
    pub(crate) services: Option<AuthorityServices>,
    pub(crate) listening: Listening,
    pub(crate) history: VerifiedHistory,
    pub(crate) enroller: AuthorityClient,
}

impl World {
    pub(crate) async fn start(lifetime: u64) -> Self {
        Self::start_on(lifetime, |_| NodeOptions::default()).await
    }

    /// An authority whose own node has these options, which may depend on who it is.
    pub(crate) async fn start_on(
        lifetime: u64,
        options: impl FnOnce(&VerifiedHistory) -> NodeOptions,
    ) -> Self {
        let person = Person::new();
        let node = Node::new(options(&person.history));
        let identity = Arc::new(person.local());
        let history = identity.history.clone();
        let authority = *history.identifier();
        let listening = Listening::start(&node, identity).await;
        let enroller = client_of(authority, listening.route.clone());
        let role = MemberAttributes::from_pairs([(ROLE, ENROLLER)]).unwrap();
        let options = AuthorityOptions {
            lifetime,
            ..AuthorityOptions::new("p")
        };
        let members = MemoryMembers::default();
        let pre_trusted = BTreeMap::from([(identifier(&enroller).await, role)]);
        let started = Authority::start(authority, members, Arc::new(person), pre_trusted, options);
        let started = Arc::new(started.await.unwrap());
        let mut world = Self {
            node,
            authority: started,
            services: None,
            listening,
            history,
            enroller,
        };
        world.start_services();
        world
    }

    pub(crate) fn start_services(&mut self) {
        let services = [
            Service::DirectAuthenticator,
            Service::TokenIssuer,
            Service::TokenAcceptor,
            Service::CredentialIssuer,
            Service::WithdrawalNotices,
        ];
        let services = AuthorityServices::start(&self.node, &self.authority, &services).unwrap();
        for address in services.addresses() {
            self.node
                .router()
                .add_consumer(address, self.listening.flow);
        }
        self.services = Some(services);
    }

    /// The authority is reached and says nothing.
    pub(crate) fn stop_services(&mut self) {
        self.services = None;
    }

    /// A member on a node that believes this authority.
    pub(crate) async fn believer(&self) -> AuthorityClient {
        let node = Node::new(NodeOptions {
            authority: Some(ockam_node::Authority::new(self.history.clone())),
            ..NodeOptions::default()
        });
        let client = client_on(node, self.enroller.authority, self.listening.route.clone());
        self.add(&client, &[]).await;
        client
    }

    /// Makes the client a member with these attributes, or gives it these.
    pub(crate) async fn add(&self, client: &AuthorityClient, attributes: &[(&str, &str)]) {
        let add = AddMember {
            member: identifier(client).await,
            attributes: MemberAttributes::from_pairs(attributes.iter().copied()).unwrap(),
        };
        self.enroller.add_member(&add).await.unwrap();
    }

    /// Somebody who has nothing to do with the authority yet.
    pub(crate) fn client(&self) -> AuthorityClient {
        client_of(self.enroller.authority, self.listening.route.clone())
    }

    pub(crate) async fn member(&self) -> AuthorityClient {
        let client = self.client();
        let add = AddMember {
            member: identifier(&client).await,
            attributes: MemberAttributes::default(),
        };
        self.enroller.add_member(&add).await.unwrap();
        client
    }

    pub(crate) fn renewal(&self, client: &AuthorityClient, cache: Arc<Cache>) -> Renewal {
        Renewal::start(RenewalOptions {
            client: client.clone(),
            subject: client.identity.clone(),
            kind: CredentialKind::Member,
            authority: self.history.clone(),
            cache,
            name: "project p".to_owned(),
            withdrawn: None,
        })
    }
}

pub(crate) fn client_of(authority: Identifier, route: MultiAddr) -> AuthorityClient {
    client_on(Node::new(NodeOptions::default()), authority, route)
}

pub(crate) fn client_on(node: Node, authority: Identifier, route: MultiAddr) -> AuthorityClient {
    let identity = node.ephemeral_identity().unwrap();
    AuthorityClient {
        node,
        identity: Arc::new(FixedIdentity::from(identity)),
        authority,
        route,
        timeout: Duration::from_secs(10),
    }
}

pub(crate) async fn identifier(client: &AuthorityClient) -> Identifier {
    let own = client.identity.current().await.unwrap();
    *own.history.identifier()
}

/// A listener of channels at a free port.
pub(crate) struct Listening {
    pub(crate) route: MultiAddr,
    pub(crate) flow: FlowId,
    pub(crate) _tcp: TcpListener,
    pub(crate) _api: ChannelListener,
}

impl Listening {
    pub(crate) async fn start(node: &Node, identity: Arc<LocalIdentity>) -> Self {
        let tcp = node.tcp_listen("127.0.0.1:0").await.unwrap();
        let options = ListenerOptions {
            identity: Arc::new(FixedIdentity(identity)),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let address = Address::from_static("api");
        let api = node.start_channel_listener(&address, options).unwrap();
        node.router().add_consumer(&address, tcp.flow());
        let route = format!("/ip4/127.0.0.1/tcp/{}/service/api", tcp.address().port());
        Self {
            route: route.parse().unwrap(),
            flow: api.flow(),
            _tcp: tcp,
            _api: api,
        }
    }
}

/// The keys of an authority.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) vault: SoftwareVault,
    pub(crate) history: VerifiedHistory,
    pub(crate) credential_key: Handle,
    pub(crate) attestation: PurposeKeyAttestation,
    pub(crate) static_key: StaticKey,
    pub(crate) channel: PurposeKeyAttestation,
}

impl Person {
    pub(crate) fn new() -> Self {
        let provider = ockam_vault::fast();
        let now = UnixTime(1_700_000_000);
        let mut vault = SoftwareVault::new(provider);
        let mut key = || {
            vault
                .generate_signing_key(SigningKeyType::Ed25519, &mut fill)
                .unwrap()
        };
        let (own, credential_key) = (key(), key());
        let history = IdentityDraft::new(
            provider,
            vault.public_key(&own).unwrap(),
            Validity::of_primary_key(now),
        )
        .unwrap()
        .sign_with(provider, &vault, &own)
        .unwrap();
        let public = vault.public_key(&credential_key).unwrap();
        let attestation = PurposeKeyDraft::new(
            provider,
            &history,
            PurposePublicKey::CredentialSigning(public),
            now,
            PURPOSE_KEY_SECONDS,
        )
        .unwrap()
        .sign_with(provider, &vault, &own)
        .unwrap();
        let static_key = StaticKey::new(provider, X25519Secret::generate(&mut fill));
        let public = PurposePublicKey::SecureChannelStatic(*static_key.public());
        let channel = PurposeKeyDraft::new(provider, &history, public, now, PURPOSE_KEY_SECONDS)
            .unwrap()
            .sign_with(provider, &vault, &own)
            .unwrap();
        Self {
            vault,
            history,
            credential_key,
            attestation,
            static_key,
            channel,
        }
    }

    pub(crate) fn local(&self) -> LocalIdentity {
        LocalIdentity {
            history: self.history.clone(),
            static_key: self.static_key.clone(),
            attestation: self.channel.clone(),
            credentials: Vec::new(),
        }
    }

    pub(crate) fn sign(&self, statement: Statement<'_>) -> Result<CredentialBundle, IssueError> {
        let provider = ockam_vault::fast();
        CredentialDraft::new(
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
        .map_err(|error| IssueError::Failed(error.into()))
    }
}

impl Issuer for Person {
    fn issue<'a>(&'a self, statement: Statement<'a>) -> IssueFuture<'a> {
        Box::pin(async { self.sign(statement) })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Cache(pub(crate) Mutex<Option<CredentialBundle>>);

impl CredentialCache for Cache {
    fn load(&self) -> CacheFuture<'_, Option<CredentialBundle>> {
        Box::pin(async { Ok(self.0.lock().unwrap().clone()) })
    }

    fn store<'a>(&'a self, issued: &'a Issued) -> CacheFuture<'a, ()> {
        Box::pin(async {
            *self.0.lock().unwrap() = Some(issued.bundle.clone());
            Ok(())
        })
    }
}

/// The same way with a handshake at its end.
pub(crate) fn to(listener: &MultiAddr) -> MultiAddr {
    let text = listener.to_string();
    text.replace("/service/api", "/secure/api").parse().unwrap()
}

pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}
