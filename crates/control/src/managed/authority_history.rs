//! The newest history of the node's authority, also when another process of the home learnt it (spec: trust 2.6, 4.8).

use std::sync::Arc;
use std::time::Duration;

use crate::home::credentials;
use crate::managed::Managed;

/// Looks at the store until it is dropped. A node without an authority has nothing to look for.
pub(super) async fn follow(managed: Arc<Managed>) {
    let Some(authority) = managed.node.authority() else {
        return;
    };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match credentials::known_history(&managed.state, authority.identifier()).await {
            Ok(Some(known)) if known.as_bytes() != authority.history().as_bytes() => {
                managed.node.learn_history(&known);
            }
            Ok(_) => {}
            Err(failure) => {
                tracing::debug!("the authority's history cannot be looked at: {failure}")
            }
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
