//! Names of nodes in addresses: `/node/<name>` (spec: messaging 9.2).

use std::fmt;
use std::pin::Pin;

use ockam_wire::{MultiAddr, MultiAddrError, Protocol};

use crate::connect::ConnectError;
use crate::node::Node;

/// Knows where nodes are that users call by name. It is asked at every connection: a node may have moved.
pub trait NodeNames: Send + Sync + fmt::Debug {
    /// The address under which a node is reached now, for example `/ip4/127.0.0.1/tcp/4000`.
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<MultiAddr, UnknownNode>> + Send + 'a>>;
}

/// Nobody knows where a node is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way to node `{name}`: {reason}")]
pub struct UnknownNode {
    /// The node.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// Knows no name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoNames;

impl NodeNames for NoNames {
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<MultiAddr, UnknownNode>> + Send + 'a>> {
        let unknown = UnknownNode {
            name: name.to_owned(),
            reason: "nodes are not known by name here".to_owned(),
        };
        Box::pin(async { Err(unknown) })
    }
}

impl Node {
    /// Replaces the names of nodes by where they are now.
    pub(crate) async fn resolve(&self, to: &MultiAddr) -> Result<MultiAddr, ConnectError> {
        let unusable = |error: MultiAddrError| ConnectError::Unsupported(error.to_string());
        let mut resolved = MultiAddr::default();
        for part in to.protocols() {
            let part = match part {
                Protocol::Node(name) => self.names().find(name).await?,
                other => MultiAddr::new([other.clone()]).map_err(unusable)?,
            };
            resolved.append(&part).map_err(unusable)?;
        }
        Ok(resolved)
    }
}
