//! Ockam: end-to-end encrypted and mutually authenticated channels and portals between programs, through relays that
//! cannot read or change a byte.
//!
//! # A guided tour
//!
//! A [`Node`] runs workers at addresses and carries messages between them. Two nodes, here in one process, are joined by
//! TCP; a [secure channel](Node::create_channel) between their identities runs over it; and a portal, an [`Inlet`] and
//! an [`Outlet`], carries plain TCP connections through the channel. Neither the client nor the server knows of it.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ockam::{
//!     Address, ConnectOptions, FixedIdentity, Inlet, InletOptions, ListenerOptions, Node, NodeOptions, Outlet,
//!     OutletOptions,
//! };
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Any server that speaks TCP.
//! let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let target = server.local_addr()?.to_string();
//! tokio::spawn(async move {
//!     while let Ok((mut client, _)) = server.accept().await {
//!         tokio::spawn(async move { client.write_all(b"hello from the server").await });
//!     }
//! });
//!
//! // The server's node: it listens for other nodes, accepts channels at `api`, and has an outlet to the server that
//! // can be reached through those channels only.
//! let far = Node::new(NodeOptions::default());
//! let listener = far.tcp_listen("127.0.0.1:0").await?;
//! let identity = far.ephemeral_identity()?;
//! let identifier = *identity.history.identifier();
//! let identity = Arc::new(FixedIdentity::from(identity));
//! let api = Address::from_static("api");
//! let options = ListenerOptions { identity, authorized: Vec::new(), timeout: Duration::from_secs(10) };
//! let channels = far.start_channel_listener(&api, options)?;
//! far.router().add_consumer(&api, listener.flow());
//! let mut outlet = OutletOptions::new(Address::from_static("outlet"), target.parse()?);
//! outlet.consumers.push(channels.flow());
//! let _outlet = Outlet::start(&far, outlet)?;
//!
//! // The client's node: an inlet whose route opens a channel to that identity, and to nobody else.
//! let near = Node::new(NodeOptions::default());
//! let connect = ConnectOptions {
//!     identity: Arc::new(FixedIdentity::from(near.ephemeral_identity()?)),
//!     authorized: vec![identifier],
//!     timeout: Duration::from_secs(10),
//! };
//! let route = format!("/ip4/127.0.0.1/tcp/{}/secure/api/service/outlet", listener.address().port());
//! let inlet = Inlet::start(&near, InletOptions::new("127.0.0.1:0", route.parse()?, connect)).await?;
//!
//! // The client connects to its own machine and is at the server.
//! let mut client = tokio::net::TcpStream::connect(inlet.bound()).await?;
//! let mut greeting = String::new();
//! client.read_to_string(&mut greeting).await?;
//! assert_eq!(greeting, "hello from the server");
//! # Ok(())
//! # }
//! ```
//!
//! Between two private networks a relay on a third node takes the listener's place: [`Relay`] registers a name with the
//! [`RelayService`] there, and the route of the inlet goes through it. What the relay sees is the sealed channel.
//!
//! # Where is what
//!
//! | for | see |
//! |---|---|
//! | messages, addresses, routes | [`Address`], [`Route`], [`MultiAddr`], [`RoutingMessage`], [`Buffer`] |
//! | nodes, workers, transports | [`Node`], [`Router`], [`Inline`], [`Attach`] |
//! | channels | [`SecureChannel`], [`ChannelListener`], [`LocalIdentity`] |
//! | identities and keys | [`Identifier`], [`ChangeHistory`], [`SoftwareVault`], [`Provider`] |
//! | who may do what | [`Authority`], [`Attested`], [`Policy`], [`Policies`], [`Guard`], [`Denials`] |
//! | portals and relays | [`Inlet`], [`Outlet`], [`Relay`], [`RelayService`], [`Tls`], [`HttpHeaders`], [`Interceptor`] |
//! | keeping state | `store`, behind the feature of that name |

pub use ockam_channel::{Extensions, LocalIdentity, Role};
pub use ockam_identity::{
    Attributes, ChangeHistory, Comparison, CredentialBundle, CredentialDraft, HistoryError,
    Identifier, IdentityDraft, PurposeKeyAttestation, PurposeKeyDraft, PurposePublicKey,
    RotationDraft, UnixTime, Validity, VerifiedCredential, VerifiedHistory,
};
pub use ockam_node::{
    Accepted, Access, AppliedPolicy, Attach, Attested, AttestedAttributes, Authority, ChannelError,
    ChannelListener, ChannelOptions, ChannelPeer, ConnectError, ConnectOptions, Connection,
    Delivery, Denial, Denials, DeniedBy, End, FixedIdentity, FlowId, Guard, IdentityUnavailable,
    Inbound, Inline, Limits, ListenerOptions, LocalMessage, Mailbox, MemoryHistories,
    MemoryPolicies, Node, NodeNames, NodeOptions, Origin, Outbound, OwnIdentity, OwnIdentityFuture,
    PeerHistories, Policies, PolicySource, ReplaceableIdentity, Router, Rule, SecureChannel,
    SendError, StartError, TcpListener, TransportConnection, UnknownNode, WorkerGuard, services,
};
pub use ockam_policy::{Action, Environment, Policy, ResourceType};
pub use ockam_portal::{
    Heard, HttpHeader, HttpHeaders, Inlet, InletOptions, InletStatus, Intercept, Intercepted,
    Interception, Interceptor, Outlet, OutletAnswer, OutletOptions, Relay, RelayName, RelayOptions,
    RelayService, RelayServiceOptions, RelayStatus, SessionStatus, Stuck, TargetAddress, Tls,
};
pub use ockam_vault::{
    Handle, Provider, PublicKey, Signature, Signer, SigningKeyType, SoftwareVault, X25519Secret,
    fast,
};
pub use ockam_wire::{Address, Buffer, MultiAddr, Protocol, Route, RoutingMessage, TransportType};

/// What must outlive a process: one module per noun over SQLite.
#[cfg(feature = "store")]
pub use ockam_store as store;
