//! What a node shows of its memberships: the credential of an identity, kept in the store and renewed in time.

use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{
    AuthorityClient, CacheFuture, CredentialCache, CredentialUnkept, Issued, Renewal,
    RenewalOptions, WithdrawalOptions, Withdrawals,
};
use ockam_identity::{CredentialBundle, Identifier};
use ockam_node::{Node, OwnIdentity};
use ockam_store::{CredentialRecord, Store, StoreError};

use crate::home::identities;
use crate::home::trust::Trusted;

/// The identity as it presents itself under this trust: with the credential of the authority, if that can be asked for one.
pub(crate) fn presented(
    store: &Store,
    node: &Node,
    trusted: &Trusted,
    subject: Identifier,
    base: Arc<dyn OwnIdentity>,
    withdrawals: Option<&Withdrawals>,
) -> Arc<dyn OwnIdentity> {
    let (Some(route), Some(scope)) = (&trusted.route, &trusted.scope) else {
        return base;
    };
    let cache = Arc::new(StoredCredential {
        store: store.clone(),
        issuer: *trusted.authority.identifier(),
        subject,
        scope: scope.clone(),
    });
    Arc::new(Renewal::start(RenewalOptions {
        client: AuthorityClient {
            node: node.clone(),
            identity: base,
            authority: *trusted.authority.identifier(),
            route: route.clone(),
            timeout: TIMEOUT,
        },
        authority: trusted.authority.clone(),
        cache,
        name: trusted.name(),
        withdrawn: withdrawals.map(Withdrawals::of_this_side),
    }))
}

/// Follows what the authority withdraws, if it can be asked; what was heard too long ago counts no more either way
/// (spec: extensions 4.5).
pub(crate) fn follow_withdrawals(
    node: &Node,
    trusted: &Trusted,
    identity: Arc<dyn OwnIdentity>,
    max_stale: Option<Duration>,
) -> Option<Withdrawals> {
    let Some(route) = &trusted.route else {
        node.attested().set_max_stale(max_stale);
        return None;
    };
    Some(Withdrawals::start(WithdrawalOptions {
        client: AuthorityClient {
            node: node.clone(),
            identity,
            authority: *trusted.authority.identifier(),
            route: route.clone(),
            timeout: TIMEOUT,
        },
        max_stale,
    }))
}

/// How long a node waits for its authority. Published nodes wait for two minutes (spec: trust 4.7); asking again after half a
/// minute loses nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

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
