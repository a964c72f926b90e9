//! What a node shows of its memberships: the credential of an identity, kept in the store and renewed in time.

use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{
    AuthorityClient, CacheFuture, CredentialCache, CredentialKind, CredentialUnkept, Issued,
    KeptWithdrawals, Renewal, RenewalOptions, WithdrawalOptions, Withdrawals,
};
use ockam_identity::{CredentialBundle, Identifier, UnixTime};
use ockam_node::{Node, OwnIdentity};
use ockam_store::{CredentialRecord, Store, StoreError};

use crate::home::trust::Trusted;
use crate::home::{controllers, credentials, identities};
use crate::outcome::Failure;
use crate::state::refused;

/// An identity of the home, before its membership is added.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    /// Who it is.
    identifier: Identifier,
    /// As it is shown to everybody.
    plain: Arc<dyn OwnIdentity>,
    /// As the authority sees it.
    asking: Arc<dyn OwnIdentity>,
}

impl Applicant {
    /// The identity as it asks this authority: who administers the project says so, with a credential that its controller
    /// issues and that is kept and renewed like that of a member (spec: trust 4.7, 9.2).
    ///
    /// # Errors
    /// The store cannot be read, or what it holds is not understood.
    pub(crate) async fn of(
        store: &Store,
        node: &Node,
        trusted: &Trusted,
        identifier: Identifier,
        plain: Arc<dyn OwnIdentity>,
    ) -> Result<Self, Failure> {
        let admin = admin_credential(store, node, trusted, identifier, &plain).await?;
        Ok(Self {
            identifier,
            asking: match admin {
                Some(admin) => Arc::new(admin),
                None => plain.clone(),
            },
            plain,
        })
    }

    /// The identity as the authority sees it.
    pub(crate) fn asking(&self) -> Arc<dyn OwnIdentity> {
        self.asking.clone()
    }
}

async fn admin_credential(
    store: &Store,
    node: &Node,
    trusted: &Trusted,
    subject: Identifier,
    plain: &Arc<dyn OwnIdentity>,
) -> Result<Option<Renewal>, Failure> {
    let Some(project) = &trusted.project else {
        return Ok(None);
    };
    let Some(controller) = controllers::administered(store, project, &subject).await? else {
        return Ok(None);
    };
    let Some(history) = credentials::history_in(store, &controller.identifier).await? else {
        return Ok(None);
    };
    let route = controller.route.parse().map_err(|error| {
        Failure::internal("the way to the controller is not understood", &error)
    })?;
    Ok(Some(Renewal::start(RenewalOptions {
        client: AuthorityClient {
            node: node.clone(),
            identity: plain.clone(),
            authority: controller.identifier,
            route,
            timeout: TIMEOUT,
        },
        subject: plain.clone(),
        kind: CredentialKind::ProjectAdmin(project.id.clone()),
        authority: history,
        cache: Arc::new(StoredCredential {
            store: store.clone(),
            issuer: controller.identifier,
            subject,
            scope: controllers::admin_scope_of(&project.id),
        }),
        name: format!("the admins of {}", trusted.name()),
        withdrawn: None,
    })))
}

/// The identity as it presents itself under this trust: with the credential of the authority, if that can be asked for one.
pub(crate) fn presented(
    store: &Store,
    node: &Node,
    trusted: &Trusted,
    applicant: Applicant,
    withdrawals: Option<&Withdrawals>,
) -> Arc<dyn OwnIdentity> {
    let (Some(route), Some(scope)) = (&trusted.route, &trusted.scope) else {
        return applicant.plain;
    };
    let cache = Arc::new(StoredCredential {
        store: store.clone(),
        issuer: *trusted.authority.identifier(),
        subject: applicant.identifier,
        scope: scope.clone(),
    });
    Arc::new(Renewal::start(RenewalOptions {
        client: AuthorityClient {
            node: node.clone(),
            identity: applicant.asking,
            authority: *trusted.authority.identifier(),
            route: route.clone(),
            timeout: TIMEOUT,
        },
        subject: applicant.plain,
        kind: CredentialKind::Member,
        authority: trusted.authority.clone(),
        cache,
        name: trusted.name(),
        withdrawn: withdrawals.map(Withdrawals::of_this_side),
    }))
}

/// Follows what the authority withdraws, if it can be asked; what was heard too long ago counts no more either way
/// (spec: extensions 4.5).
/// What was heard before this node started holds from the start.
///
/// # Errors
/// The store cannot be read: who was withdrawn is not known.
pub(crate) async fn follow_withdrawals(
    store: &Store,
    node: &Node,
    trusted: &Trusted,
    identity: Arc<dyn OwnIdentity>,
    max_stale: Option<Duration>,
) -> Result<Option<Withdrawals>, Failure> {
    let authority = *trusted.authority.identifier();
    let heard = store.heard_withdrawals(&authority).await.map_err(refused)?;
    for (subject, before) in heard {
        node.attested().withdraw(&subject, before);
    }
    let Some(route) = &trusted.route else {
        node.attested().set_max_stale(max_stale);
        return Ok(None);
    };
    Ok(Some(Withdrawals::start(WithdrawalOptions {
        client: AuthorityClient {
            node: node.clone(),
            identity,
            authority: *trusted.authority.identifier(),
            route: route.clone(),
            timeout: TIMEOUT,
        },
        max_stale,
        kept: Some(Arc::new(StoredWithdrawals {
            store: store.clone(),
            authority,
        })),
    })))
}

/// How long a node waits for its authority. Published nodes wait for two minutes (spec: trust 4.7); asking again after half a
/// minute loses nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What one authority withdrew, in the store.
#[derive(Debug)]
struct StoredWithdrawals {
    store: Store,
    authority: Identifier,
}

impl KeptWithdrawals for StoredWithdrawals {
    fn keep<'a>(&'a self, withdrawn: &'a [(Identifier, UnixTime)]) -> CacheFuture<'a, ()> {
        Box::pin(async {
            self.store
                .put_heard_withdrawals(&self.authority, withdrawn, MOST_WITHDRAWN)
                .await
                .map_err(unkept)
        })
    }
}

/// As many as a node remembers one by one.
const MOST_WITHDRAWN: usize = 131_072;

/// The credential of one identity by one authority, in the store (spec: trust 4.7).
#[derive(Debug)]
pub(crate) struct StoredCredential {
    pub(crate) store: Store,
    pub(crate) issuer: Identifier,
    pub(crate) subject: Identifier,
    pub(crate) scope: String,
}

impl CredentialCache for StoredCredential {
    fn load(&self) -> CacheFuture<'_, Option<CredentialBundle>> {
        Box::pin(async {
            let found = self
                .store
                .credential(&self.issuer, &self.subject, &self.scope, identities::now())
                .await;
            Ok(found.map_err(unkept)?.map(|record| record.bundle))
        })
    }

    fn store<'a>(&'a self, issued: &'a Issued) -> CacheFuture<'a, ()> {
        Box::pin(async {
            let record = CredentialRecord::new(
                &issued.credential,
                issued.bundle.clone(),
                self.scope.clone(),
            );
            self.store.put_credential(&record).await.map_err(unkept)
        })
    }
}

fn unkept(error: StoreError) -> CredentialUnkept {
    CredentialUnkept(error.to_string())
}

#[cfg(test)]
mod tests {
    use ockam_identity::Attributes;
    use ockam_node::{Authority, NodeOptions};

    use super::*;
    use crate::home::credentials;
    use crate::state::State;

    #[tokio::test]
    async fn a_node_that_starts_again_knows_what_was_withdrawn_before_it_hears_its_authority() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(&directory.path().join("home"), None)
            .await
            .expect("it opens");
        let make = async |name: &str| {
            let spec = identities::IdentitySpec {
                name: Some(name.parse().expect("a name")),
                ..identities::IdentitySpec::default()
            };
            let made = identities::create(&state, spec).await.expect("it is made");
            let identifier = made.into_record().identifier;
            let history = credentials::known_history(&state, &identifier).await;
            history.expect("it is read").expect("it is there")
        };
        let (issuer, alice, bob) = (make("issuer").await, make("alice").await, make("bob").await);
        let trusted = Trusted {
            authority: issuer.clone(),
            route: None,
            scope: None,
            project: None,
            name: None,
        };
        let kept = StoredWithdrawals {
            store: state.store().clone(),
            authority: *issuer.identifier(),
        };
        let later = identities::now().plus(60);
        kept.keep(&[(*bob.identifier(), later)])
            .await
            .expect("it is kept");

        let node = Node::new(NodeOptions {
            authority: Some(Authority::new(issuer.clone())),
            ..NodeOptions::default()
        });
        let own = Arc::new(ockam_node::FixedIdentity::from(
            node.ephemeral_identity().expect("an identity"),
        ));
        let follows = follow_withdrawals(state.store(), &node, &trusted, own, None).await;
        assert!(follows.expect("it starts").is_none());
        for (subject, counts) in [(&alice, true), (&bob, false)] {
            let attributes = Attributes::member([("a", "b")]).expect("one attribute");
            let minute = Duration::from_secs(60);
            let bundle =
                credentials::issue(&state, issuer.identifier(), subject, attributes, minute)
                    .await
                    .expect("it is issued");
            let credential = bundle
                .verify(ockam_vault::fast(), &issuer, None, identities::now())
                .expect("it is good");
            assert_eq!(node.attested().accept(credential).is_ok(), counts);
        }
    }
}
