//! Names of nodes and projects in addresses: `/node/<name>`, `/project/<name>` (spec: messaging 9.2).

use std::fmt;
use std::pin::Pin;

use ockam_identity::Identifier;
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

    /// The way to the node of a project.
    fn project<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<ProjectWay, UnknownNode>> + Send + 'a>> {
        let unknown = UnknownNode {
            name: name.to_owned(),
            reason: "projects are not known by name here".to_owned(),
        };
        Box::pin(async { Err(unknown) })
    }
}

/// The way to the node of a project, and who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectWay {
    /// The address; its last part opens a channel.
    pub route: MultiAddr,
    /// Who answers at the end of that channel, and nobody else.
    pub identity: Identifier,
}

/// Nobody knows where a node, or the node of a project, is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way to `{name}`: {reason}")]
pub struct UnknownNode {
    /// The node or project.
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

/// An address without names, and who has to be at the end of some of its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The address.
    pub(crate) place: MultiAddr,
    /// Parts of it that open a channel, and with whom.
    pub(crate) pinned: Vec<(usize, Identifier)>,
}

impl Node {
    /// Where an address leads at present: names of nodes and projects are replaced.
    ///
    /// # Errors
    /// [`ConnectError`]: nobody knows a name in it.
    pub async fn place(&self, to: &MultiAddr) -> Result<MultiAddr, ConnectError> {
        Ok(self.resolve(to).await?.place)
    }

    /// Replaces the names of nodes and projects by where they are now.
    pub(crate) async fn resolve(&self, to: &MultiAddr) -> Result<Resolved, ConnectError> {
        let unusable = |error: MultiAddrError| ConnectError::Unsupported(error.to_string());
        let mut place = MultiAddr::default();
        let mut pinned = Vec::new();
        for part in to.protocols() {
            let part = match part {
                Protocol::Node(name) => self.names().find(name).await?,
                Protocol::Project(name) => {
                    let way = self.names().project(name).await?;
                    if !matches!(way.route.protocols().last(), Some(Protocol::Secure(_))) {
                        return Err(ConnectError::Unsupported(way.route.to_string()));
                    }
                    let before = place.protocols().len() + way.route.protocols().len();
                    pinned.push((before - 1, way.identity));
                    way.route
                }
                other => MultiAddr::new([other.clone()]).map_err(unusable)?,
            };
            place.append(&part).map_err(unusable)?;
        }
        Ok(Resolved { place, pinned })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::node::NodeOptions;

    #[derive(Debug)]
    struct Known;

    impl NodeNames for Known {
        fn find<'a>(
            &'a self,
            _name: &'a str,
        ) -> Pin<Box<dyn Future<Output = Result<MultiAddr, UnknownNode>> + Send + 'a>> {
            Box::pin(async { Ok("/ip4/127.0.0.1/tcp/4000".parse().expect("an address")) })
        }

        fn project<'a>(
            &'a self,
            _name: &'a str,
        ) -> Pin<Box<dyn Future<Output = Result<ProjectWay, UnknownNode>> + Send + 'a>> {
            Box::pin(async {
                Ok(ProjectWay {
                    route: "/ip4/127.0.0.1/tcp/1/service/p/secure/api"
                        .parse()
                        .expect("an address"),
                    identity: Identifier::new([7; 32]),
                })
            })
        }
    }

    #[tokio::test]
    async fn channel_of_a_project_is_with_the_project_alone() {
        let node = Node::new(NodeOptions {
            names: Arc::new(Known),
            ..NodeOptions::default()
        });
        let to = "/project/p/service/forward_to_x/secure/api/service/outlet";
        let resolved = node
            .resolve(&to.parse().expect(to))
            .await
            .expect("it is known");
        assert_eq!(
            resolved.place.to_string(),
            "/ip4/127.0.0.1/tcp/1/service/p/secure/api/service/forward_to_x/secure/api/service/outlet"
        );
        assert_eq!(resolved.pinned, [(3, Identifier::new([7; 32]))]);
        let to = "/node/n1/service/echo".parse().expect("an address");
        assert!(
            node.resolve(&to)
                .await
                .expect("it is known")
                .pinned
                .is_empty()
        );
    }
}
