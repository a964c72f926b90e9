//! What a node was asked for, started again when it starts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ockam_store::RequestRecord;
use serde::de::DeserializeOwned;

use crate::managed::Managed;
use crate::noun::relay::Relay;
use crate::noun::secure_channel::SecureChannel;
use crate::noun::secure_channel_listener::SecureChannelListener;
use crate::noun::service::Service;
use crate::noun::tcp_connection::TcpConnection;
use crate::noun::tcp_inlet::TcpInlet;
use crate::noun::tcp_listener::TcpListener;
use crate::noun::tcp_outlet::TcpOutlet;
use crate::outcome::Failure;
use crate::state::refused;
use crate::table::Noun;

/// A noun whose things are started again with the node.
pub(crate) trait Restore {
    /// Its row in the table.
    const NOUN: &'static Noun;
    /// What is stored of one.
    type Kept: DeserializeOwned + Send;
    /// Starts one again.
    fn restore(
        node: &Arc<Managed>,
        kept: Self::Kept,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What others reach, in the order in which it is restored: first what others stand on. The listeners are bound, and opened
/// when all of it runs: what comes for a worker that is not there is lost, and whoever sent it waits in vain.
const SERVING: [Row; 4] = [
    Row::of::<TcpListener>(),
    Row::of::<Service>(),
    Row::of::<SecureChannelListener>(),
    Row::of::<TcpOutlet>(),
];

/// What leads elsewhere, or to this node itself.
const LEADING: [Row; 4] = [
    Row::of::<TcpConnection>(),
    Row::of::<SecureChannel>(),
    Row::of::<TcpInlet>(),
    Row::of::<Relay>(),
];

type Restoring<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// One noun that is restored.
struct Row {
    noun: &'static Noun,
    restore: for<'a> fn(&'a Arc<Managed>, &'a RequestRecord) -> Restoring<'a>,
}

impl Row {
    const fn of<R: Restore>() -> Self {
        Self {
            noun: R::NOUN,
            restore: |node, request| {
                Box::pin(async move { R::restore(node, stored(request)?).await })
            },
        }
    }
}

impl Managed {
    /// Starts everything again that the node was asked for, and opens its listeners. What cannot be started is logged.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), Failure> {
        let requests = self
            .state
            .store()
            .requests(&self.name)
            .await
            .map_err(refused)?;
        self.restore_all(&SERVING, &requests).await;
        self.open_tcp_listeners();
        self.restore_all(&LEADING, &requests).await;
        Ok(())
    }

    async fn restore_all(self: &Arc<Self>, rows: &[Row], requests: &[RequestRecord]) {
        for row in rows {
            for request in requests.iter().filter(|one| one.noun == row.noun.one) {
                if let Err(failure) = (row.restore)(self, request).await {
                    tracing::error!(
                        "the {} {} could not be restored: {failure}: {}",
                        row.noun.kind,
                        request.name,
                        failure.causes.join(": ")
                    );
                }
            }
        }
    }
}

fn stored<T: DeserializeOwned>(request: &RequestRecord) -> Result<T, Failure> {
    serde_json::from_str(&request.spec).map_err(|error| {
        Failure::internal(
            format!(
                "the stored {} {} is not understood",
                request.noun, request.name
            ),
            &error,
        )
    })
}
