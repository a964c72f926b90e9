//! Clients of an authority over real channels: enrollment, members, and credentials that are renewed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ockam_authority::client::{
    AuthorityClient, CacheFuture, CredentialCache, Issued, Redeemed, Renewal, RenewalOptions,
    RequestError,
};
use ockam_authority::message::{AddMember, CreateToken, ENROLLER, MemberAttributes, ROLE};
use ockam_authority::{
    Authority, AuthorityOptions, AuthorityServices, IssueError, IssueFuture, Issuer, MemoryMembers,
    Service, Statement,
};
use ockam_channel::LocalIdentity;
use ockam_identity::{
    CredentialBundle, CredentialDraft, Identifier, IdentityDraft, OneTimeCode, PURPOSE_KEY_SECONDS,
    PurposeKeyAttestation, PurposeKeyDraft, PurposePublicKey, UnixTime, Validity, VerifiedHistory,
};
use ockam_node::{
    Access, ChannelError, ChannelListener, ConnectError, ConnectOptions, FixedIdentity, FlowId,
    ListenerOptions, Node, NodeOptions, OwnIdentity, TcpListener,
};
use ockam_vault::{Handle, SecretBytes, Signer, SigningKeyType, SoftwareVault, X25519Secret};
use ockam_wire::envelope::{MessageId, Request, Response, Status};
use ockam_wire::{Address, Buffer, MultiAddr, Route};

#[tokio::test]
async fn a_ticket_makes_a_member_once_and_its_credential_says_what_the_ticket_said() {
    let world = World::start(3600).await;
    let attributes = MemberAttributes::from_pairs([("component", "web")]).unwrap();
    let token = CreateToken {
        attributes,
        ..CreateToken::default()
    };
    let code = world.enroller.create_token(&token).await.unwrap();
    let alice = world.client();
    let refused = alice.credential().await.unwrap_err();
    assert!(refused.is_not_a_member(), "{refused}");
    assert_eq!(alice.redeem(&code).await.unwrap(), Redeemed::New);
    assert_eq!(alice.redeem(&code).await.unwrap(), Redeemed::AlreadyMember);
    let issued = alice.credential().await.unwrap();
    assert_eq!(*issued.credential.subject(), identifier(&alice).await);
    assert_eq!(
        issued.credential.attributes().get(b"component"),
        Some(&b"web"[..])
    );
    // The one use is used.
    let bob = world.client();
    let refused = bob.redeem(&code).await.unwrap_err();
    assert!(refused.is_unknown_code(), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains(&code.reveal()));
    let forged = OneTimeCode::take(&mut [7; 32]);
    assert!(bob.redeem(&forged).await.unwrap_err().is_unknown_code());
    // Who is no enroller lets nobody in.
    assert!(alice.create_token(&token).await.unwrap_err().is_forbidden());
}

#[tokio::test]
async fn members_are_added_shown_and_removed_by_enrollers() {
    let world = World::start(3600).await;
    let alice = world.client();
    let member = identifier(&alice).await;
    let add = AddMember {
        member,
        attributes: MemberAttributes::from_pairs([("a", "b")]).unwrap(),
    };
    world.enroller.add_member(&add).await.unwrap();
    let entry = world.enroller.member(&member).await.unwrap();
    assert_eq!(entry.attributes, add.attributes);
    assert_eq!(entry.added_by, Some(identifier(&world.enroller).await));
    assert_eq!(world.enroller.member_ids().await.unwrap().0.len(), 2);
    assert!(
        world
            .enroller
            .members()
            .await
            .unwrap()
            .0
            .contains_key(&member)
    );
    assert!(alice.members().await.unwrap_err().is_forbidden());
    world.enroller.delete_member(&member).await.unwrap();
    let gone = world.enroller.member(&member).await.unwrap_err();
    assert!(gone.is_unknown_member(), "{gone}");
    assert!(alice.credential().await.unwrap_err().is_not_a_member());
}

#[tokio::test]
async fn somebody_else_than_the_authority_is_not_asked() {
    let world = World::start(3600).await;
    let other = World::start(3600).await;
    let wrong = AuthorityClient {
        authority: other.enroller.authority,
        ..world.enroller.clone()
    };
    let refused = wrong.member_ids().await.unwrap_err();
    assert!(
        matches!(&refused, RequestError::Connect(ConnectError::Channel(ChannelError::NotAuthorized(there))) if *there == world.enroller.authority),
        "{refused}"
    );
}

#[tokio::test]
async fn guard_11_2_15_an_answer_counts_only_for_its_request_and_from_its_channel() {
    let node = Node::new(NodeOptions::default());
    let identity = Arc::new(node.ephemeral_identity().unwrap());
    let authority = *identity.history.identifier();
    let listening = Listening::start(&node, identity).await;
    let service = Address::from_static("direct_authenticator");
    let mut mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&service), Access::ALLOW_ALL)
        .unwrap();
    node.router().add_consumer(&service, listening.flow);
    let client = client_of(authority, listening.route.clone());
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.member_ids().await.unwrap().0.len() }
    });
    let message = mailbox.recv().await;
    let (request, _) = Request::decode(message.payload.as_slice()).unwrap();
    let answer = |re: MessageId, members: u8| {
        let mut list = vec![0x80 + members];
        for member in 0..members {
            list.extend([0x58, 32]);
            list.extend([member; 32]);
        }
        Buffer::from_slice(&Response::new(MessageId(9), re, Status::Ok).encode(Some(&list)))
    };
    // Somebody else knows where the answer is awaited and what it answers.
    let awaited = message.return_route.last().unwrap().to_address();
    let other = client.node.random_address();
    let there = Route::from_hops([awaited]).unwrap();
    client
        .node
        .router()
        .send(&other, there, Route::new(), answer(request.id, 3))
        .await
        .unwrap();
    // The authority answers something that was not asked, and then this.
    let wrong = MessageId(request.id.0.wrapping_add(1));
    for (re, members) in [(wrong, 2), (MessageId(0), 2), (request.id, 1)] {
        let onward = message.return_route.clone();
        node.router()
            .send(&service, onward, Route::new(), answer(re, members))
            .await
            .unwrap();
    }
    assert_eq!(asking.await.unwrap(), 1);
}

#[tokio::test]
async fn a_renewal_presents_what_the_authority_issues_and_open_channels_are_told() {
    let world = World::start(3).await;
    let alice = world.member().await;
    let cache = Arc::new(Cache::default());
    let renewal = Arc::new(world.renewal(&alice, cache.clone()));
    // A peer that trusts the authority sees what alice is.
    let peer = Node::new(NodeOptions {
        authority: Some(ockam_node::Authority::new(world.history.clone())),
        ..NodeOptions::default()
    });
    let own = Arc::new(peer.ephemeral_identity().unwrap());
    let listening = Listening::start(&peer, own).await;
    let options = ConnectOptions {
        identity: renewal.clone(),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let connection = alice
        .node
        .connect(&to(&listening.route), options)
        .await
        .unwrap();
    let subject = identifier(&alice).await;
    let seen = || {
        peer.attested()
            .get(&subject)
            .map(|found| found.expires_at())
    };
    let first = wait_for(seen).await;
    // Several lives of a credential later it still is, over the same channel.
    let later = wait_for(|| seen().filter(|at| at.0 >= first.0 + 4)).await;
    assert!(later > first);
    assert!(!connection.is_closed());
    assert!(cache.0.lock().unwrap().is_some());
    // What was kept serves the next process without a question.
    let again = world.renewal(&alice, cache);
    let shown = again.current().await.unwrap();
    assert_eq!(shown.credentials.len(), 1);
}

#[tokio::test]
async fn who_is_no_member_presents_nothing_and_who_cannot_ask_does_not_present_itself() {
    let world = World::start(3600).await;
    let stranger = world.client();
    let renewal = world.renewal(&stranger, Arc::new(Cache::default()));
    assert!(renewal.current().await.unwrap().credentials.is_empty());
    let nowhere = AuthorityClient {
        route: "/ip4/127.0.0.1/tcp/1/service/api".parse().unwrap(),
        ..stranger
    };
    let renewal = world.renewal(&nowhere, Arc::new(Cache::default()));
    let why = renewal.current().await.unwrap_err().to_string();
    assert!(why.contains("Connection refused"), "{why}");
}

async fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
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
struct World {
    _services: AuthorityServices,
    listening: Listening,
    history: VerifiedHistory,
    enroller: AuthorityClient,
}

impl World {
    async fn start(lifetime: u64) -> Self {
        let node = Node::new(NodeOptions::default());
        let person = Person::new();
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
        let services = [
            Service::DirectAuthenticator,
            Service::TokenIssuer,
            Service::TokenAcceptor,
            Service::CredentialIssuer,
        ];
        let services = AuthorityServices::start(&node, &started, &services).unwrap();
        for address in services.addresses() {
            node.router().add_consumer(address, listening.flow);
        }
        Self {
            _services: services,
            listening,
            history,
            enroller,
        }
    }

    /// Somebody who has nothing to do with the authority yet.
    fn client(&self) -> AuthorityClient {
        client_of(self.enroller.authority, self.listening.route.clone())
    }

    async fn member(&self) -> AuthorityClient {
        let client = self.client();
        let add = AddMember {
            member: identifier(&client).await,
            attributes: MemberAttributes::default(),
        };
        self.enroller.add_member(&add).await.unwrap();
        client
    }

    fn renewal(&self, client: &AuthorityClient, cache: Arc<Cache>) -> Renewal {
        Renewal::start(RenewalOptions {
            client: client.clone(),
            authority: self.history.clone(),
            cache,
            name: "project p".to_owned(),
        })
    }
}

fn client_of(authority: Identifier, route: MultiAddr) -> AuthorityClient {
    let node = Node::new(NodeOptions::default());
    let identity = node.ephemeral_identity().unwrap();
    AuthorityClient {
        node,
        identity: Arc::new(FixedIdentity::from(identity)),
        authority,
        route,
        timeout: Duration::from_secs(10),
    }
}

async fn identifier(client: &AuthorityClient) -> Identifier {
    let own = client.identity.current().await.unwrap();
    *own.history.identifier()
}

/// A listener of channels at a free port.
struct Listening {
    route: MultiAddr,
    flow: FlowId,
    _tcp: TcpListener,
    _api: ChannelListener,
}

impl Listening {
    async fn start(node: &Node, identity: Arc<LocalIdentity>) -> Self {
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
struct Person {
    vault: SoftwareVault,
    history: VerifiedHistory,
    credential_key: Handle,
    attestation: PurposeKeyAttestation,
    secret: X25519Secret,
    channel: PurposeKeyAttestation,
}

impl Person {
    fn new() -> Self {
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
        let secret = X25519Secret::generate(&mut fill);
        let static_key = PurposePublicKey::SecureChannelStatic(provider.x25519_public(&secret));
        let channel =
            PurposeKeyDraft::new(provider, &history, static_key, now, PURPOSE_KEY_SECONDS)
                .unwrap()
                .sign_with(provider, &vault, &own)
                .unwrap();
        Self {
            vault,
            history,
            credential_key,
            attestation,
            secret,
            channel,
        }
    }

    fn local(&self) -> LocalIdentity {
        LocalIdentity {
            history: self.history.clone(),
            static_secret: X25519Secret::new(SecretBytes::copy_of(self.secret.as_bytes())),
            attestation: self.channel.clone(),
            credentials: Vec::new(),
        }
    }

    fn sign(&self, statement: Statement<'_>) -> Result<CredentialBundle, IssueError> {
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
struct Cache(Mutex<Option<CredentialBundle>>);

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
fn to(listener: &MultiAddr) -> MultiAddr {
    let text = listener.to_string();
    text.replace("/service/api", "/secure/api").parse().unwrap()
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}
