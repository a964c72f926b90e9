//! Nodes and projects of the home, as addresses call them by name.

use std::pin::Pin;

use ockam_node::{NodeNames, ProjectWay, UnknownNode};
use ockam_wire::MultiAddr;

use crate::home::projects;
use crate::state::State;

/// The nodes in the store of one home.
#[derive(Debug)]
pub(crate) struct StoredNodes(pub(crate) State);

impl NodeNames for StoredNodes {
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<MultiAddr, UnknownNode>> + Send + 'a>> {
        Box::pin(async move {
            self.0
                .node_address(name)
                .await
                .map_err(|failure| UnknownNode {
                    name: name.to_owned(),
                    reason: failure.message,
                })
        })
    }

    fn project<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<ProjectWay, UnknownNode>> + Send + 'a>> {
        Box::pin(async move {
            projects::way(&self.0, name)
                .await
                .map_err(|failure| UnknownNode {
                    name: name.to_owned(),
                    reason: failure.message,
                })
        })
    }
}
