//! The grammar of values that users write (spec: command 3.4), parsed once at the edge.

pub(crate) mod as_text;
mod attribute;
mod duration;
#[cfg(feature = "cli")]
mod email;
mod host_port;
mod name;
mod policy;
mod worker;

pub use attribute::{AttributeText, AttributeTextError};
pub use duration::{DurationText, DurationTextError};
#[cfg(feature = "cli")]
pub(crate) use email::Email;
pub use host_port::{HostPort, HostPortError, Scheme};
pub use name::{Alias, AliasError, NodeArgument, NodeArgumentError};

pub use policy::{Expression, PolicyTarget, ResourceName, ResourceNameError};

pub(crate) use name::random_name;
pub use worker::{WorkerName, WorkerNameError};
