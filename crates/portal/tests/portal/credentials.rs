//! What credentials give lasts as long as they do.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ockam_identity::{
    Attributes, CredentialDraft, IdentityDraft, PURPOSE_KEY_SECONDS, PurposeKeyAttestation,
    PurposeKeyDraft, PurposePublicKey, UnixTime, Validity, VerifiedCredential, VerifiedHistory,
};
use ockam_node::{Authority, MemoryPolicies, NodeOptions, Policies};
use ockam_policy::ResourceType;
use ockam_portal::{ByCredential, RelayService};
use ockam_vault::{Handle, Signer, SigningKeyType, SoftwareVault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Host, echo_target, ping_pong, soon};

#[tokio::test]
async fn guard_w10_relay_name_is_for_whom_the_credential_names_it_and_as_long_as_it_does() {
    let issuer = Issuer::new();
    let relay_node = issuer.host().await;
    let service = relay_service(&relay_node);
    let at = format!("{}/secure/api", relay_node.tcp());
    let (east, any, none) = (
        Host::start().await,
        Host::start().await,
        Host::start().await,
    );
    issuer
        .vouch(&relay_node, &east, &[("ockam-relay", "east")], HOUR)
        .await;
    issuer
        .vouch(&relay_node, &any, &[("ockam-relay", "*")], HOUR)
        .await;
    issuer
        .vouch(&relay_node, &none, &[("component", "web")], HOUR)
        .await;
    let stranger = Host::start().await;
    let refused = [
        stranger.relay(&at, "east"),
        none.relay(&at, "east"),
        east.relay(&at, "eas"),
        east.relay(&at, "east2"),
    ];
    for relay in &refused {
        soon(failed(relay)).await;
    }
    assert!(service.relays().is_empty());
    let own = east.relay(&at, "east");
    soon(own.connected()).await;
    // Another member that may have every name may not take one that is taken.
    let taken = any.relay(&at, "east");
    soon(failed(&taken)).await;
    let free = any.relay(&at, "anything");
    soon(free.connected()).await;
    let denied: Vec<String> = relay_node
        .node
        .denials()
        .all()
        .into_iter()
        .map(|denial| format!("{} {}", denial.what, denial.rule))
        .collect();
    assert!(
        denied.contains(&"relay eas relay name".to_owned()),
        "{denied:?}"
    );
    // Withdrawn: closed within a second, the other's stays.
    let address = own.status().registered.unwrap().remote_address;
    let gone = relay_node.node.router().gone(&address);
    let begun = Instant::now();
    relay_node
        .node
        .attested()
        .withdraw(&east.identifier, now().plus(1));
    soon(gone).await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    soon(failed(&own)).await;
    assert_eq!(service.relays().len(), 1);
    assert_eq!(free.status().session.connects, 1);
}

#[tokio::test]
async fn relay_ends_with_the_credential_of_its_owner() {
    let issuer = Issuer::new();
    let relay_node = issuer.host().await;
    let _service = relay_service(&relay_node);
    let owner = Host::start().await;
    let end = now().plus(3);
    issuer
        .vouch_until(&relay_node, &owner, &[("ockam-relay", "*")], end)
        .await;
    let relay = owner.relay(&format!("{}/secure/api", relay_node.tcp()), "east");
    let registered = soon(relay.connected()).await;
    soon(relay_node.node.router().gone(&registered.remote_address)).await;
    assert_over(end);
}

#[tokio::test]
async fn guard_w23_portal_ends_with_the_credential_on_either_side() {
    for side in ["outlet", "inlet"] {
        for end in [End::Expiry, End::Withdrawal, End::Silence] {
            let issuer = Issuer::new();
            // The side with the policy knows the authority; the other is who it vouches for.
            let (server, client) = match side {
                "outlet" => (issuer.host().await, Host::start().await),
                _ => (Host::start().await, issuer.host().await),
            };
            let (judge, judged) = match side {
                "outlet" => (&server, &client),
                _ => (&client, &server),
            };
            let over = match end {
                End::Expiry => now().plus(3),
                _ => now().plus(HOUR),
            };
            issuer
                .vouch_until(judge, judged, &[("component", "web")], over)
                .await;
            let policies = Arc::new(MemoryPolicies::default());
            let kind = match side {
                "outlet" => ResourceType::TcpOutlet,
                _ => ResourceType::TcpInlet,
            };
            policies.set_resource("portal", Some("component=web".parse().unwrap()));
            let guard = judge
                .node
                .guard("portal", kind, policies.clone() as Arc<dyn Policies>);
            let outlet_guard = (side == "outlet").then(|| guard.clone());
            let outlet = server.outlet_with(echo_target().await, |options| {
                if let Some(guard) = outlet_guard {
                    options.access = guard.access();
                    options.guard = Some(Arc::new(guard));
                }
            });
            let inlet_guard = (side == "inlet").then(|| guard.clone());
            let to = format!("{}/secure/api/service/outlet", server.tcp());
            let inlet = client
                .inlet_with(&to, |options| {
                    if let Some(guard) = inlet_guard {
                        options.access = guard.access();
                        options.guard = Some(Arc::new(guard));
                    }
                })
                .await;
            soon(inlet.connected()).await;
            let mut portal = TcpStream::connect(inlet.bound()).await.unwrap();
            soon(ping_pong(&mut portal, b"hello")).await.unwrap();
            let attested = judge.node.attested();
            match end {
                End::Expiry => {}
                End::Withdrawal => attested.withdraw(&judged.identifier, now().plus(1)),
                // The authority has not been heard of for longer than that.
                End::Silence => attested.set_max_stale(Some(Duration::ZERO)),
            }
            let begun = Instant::now();
            // Something is under way all the time.
            let (mut read, mut write) = portal.split();
            let mut buffer = [0; 1024];
            let writing = async { while write.write_all(b"more").await.is_ok() {} };
            let reading = async { while let Ok(1..) = read.read(&mut buffer).await {} };
            let both = async { tokio::join!(writing, reading) };
            let cut = tokio::time::timeout(Duration::from_secs(10), both).await;
            assert!(
                cut.is_ok(),
                "{side} {end:?}: it goes on: {} {:?}",
                guard.allows(Some(&judged.identifier)),
                outlet.activity(),
            );
            match end {
                End::Expiry => assert_over(over),
                _ => assert!(
                    begun.elapsed() < SECOND,
                    "{side} {end:?}: {:?}",
                    begun.elapsed()
                ),
            }
            assert!(inlet.status().session.up);
            drop(outlet);
        }
    }
}

/// How a credential ceases to count.
#[derive(Debug, Clone, Copy)]
enum End {
    Expiry,
    Withdrawal,
    Silence,
}

/// Whether this is the moment: not before, and less than a second after.
fn assert_over(end: UnixTime) {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let end = Duration::from_secs(end.0);
    assert!(
        since >= end && since < end + SECOND,
        "{since:?} is not {end:?}"
    );
}

async fn failed(relay: &ockam_portal::Relay) {
    while relay.status().session.last_failure.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn relay_service(host: &Host) -> RelayService {
    let policies = host.node.policies().clone();
    let guard = host
        .node
        .guard("forwarding_service", ResourceType::Relay, policies);
    host.relay_service_with(|options| {
        options.authority = Arc::new(ByCredential::new(&host.node, guard));
    })
}

/// An authority, as far as nodes know it.
struct Issuer {
    vault: SoftwareVault,
    key: Handle,
    history: VerifiedHistory,
    attestation: PurposeKeyAttestation,
}

impl Issuer {
    fn new() -> Self {
        let provider = ockam_vault::fast();
        let from = UnixTime(now().0 - HOUR);
        let mut vault = SoftwareVault::new(provider);
        let mut new_key = || {
            let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(&random_bytes(bytes.len()));
            let key = vault.generate_signing_key(SigningKeyType::Ed25519, &mut random);
            key.unwrap()
        };
        let (primary, key) = (new_key(), new_key());
        let public = vault.public_key(&primary).unwrap();
        let history = IdentityDraft::new(provider, public, Validity::of_primary_key(from))
            .unwrap()
            .sign_with(provider, &vault, &primary)
            .unwrap();
        let public = PurposePublicKey::CredentialSigning(vault.public_key(&key).unwrap());
        let attestation =
            PurposeKeyDraft::new(provider, &history, public, from, PURPOSE_KEY_SECONDS)
                .unwrap()
                .sign_with(provider, &vault, &primary)
                .unwrap();
        Self {
            vault,
            key,
            history,
            attestation,
        }
    }

    /// A node that knows this authority.
    async fn host(&self) -> Host {
        let options = NodeOptions {
            authority: Some(Authority::new(self.history.clone())),
            ..NodeOptions::default()
        };
        Host::start_with("127.0.0.1:0", options).await
    }

    /// Lets a node know what this authority says of a peer.
    async fn vouch(&self, to: &Host, of: &Host, attributes: &[(&str, &str)], seconds: u64) {
        self.vouch_until(to, of, attributes, now().plus(seconds))
            .await;
    }

    async fn vouch_until(&self, to: &Host, of: &Host, attributes: &[(&str, &str)], end: UnixTime) {
        let provider = ockam_vault::fast();
        let subject = of.connect.identity.current().await.unwrap();
        let attributes = Attributes::member(attributes.iter().copied()).unwrap();
        let credential: VerifiedCredential =
            CredentialDraft::new(provider, &subject.history, attributes, now(), end)
                .unwrap()
                .sign_with(
                    provider,
                    &self.history,
                    &self.attestation,
                    (&self.vault, &self.key),
                )
                .unwrap()
                .verify(provider, &self.history, Some(&of.identifier), now())
                .unwrap();
        to.node.attested().accept(credential).unwrap();
    }
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn now() -> UnixTime {
    UnixTime(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

const HOUR: u64 = 3600;
const SECOND: Duration = Duration::from_secs(1);
