//! The grammar of values that users write (spec: command 3.4), parsed once at the edge.

pub(crate) mod as_text;
mod attribute;
mod duration;
mod email;
mod host_port;
mod instant;
mod join_string;
mod name;
mod policy;
mod worker;

pub use attribute::{AttributeText, AttributeTextError};
pub use duration::{DurationText, DurationTextError};
pub use email::{Email, EmailError};
pub use host_port::{HostPort, HostPortError, Scheme};
pub use instant::iso_8601;
pub use join_string::{JoinString, JoinStringError};
pub use name::{Alias, AliasError, NodeArgument, NodeArgumentError};

pub use policy::{Expression, PolicyTarget, ResourceName, ResourceNameError};

pub(crate) use name::random_name;
pub use worker::{WorkerName, WorkerNameError};
