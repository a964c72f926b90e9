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

/// The nouns in the order in which they are restored: first what others stand on.
pub(super) const RESTORED: [Row; 8] = [
    Row::of::<TcpListener>(),
    Row::of::<TcpConnection>(),
    Row::of::<Service>(),
    Row::of::<SecureChannelListener>(),
    Row::of::<SecureChannel>(),
    Row::of::<TcpOutlet>(),
    Row::of::<TcpInlet>(),
    Row::of::<Relay>(),
];

type Restoring<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// One noun that is restored.
pub(super) struct Row {
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
    /// Starts everything again that the node was asked for. What cannot be started is logged.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), Failure> {
        let requests = self
            .state
            .store()
            .requests(&self.name)
            .await
            .map_err(refused)?;
        for row in &RESTORED {
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
        Ok(())
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
