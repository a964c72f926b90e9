//! Controls nodes: the table of resources, the control API over a Unix socket, and the managed node.

mod noun;
mod outcome;
mod record;
mod resource;
mod table;
mod value;

#[cfg(feature = "cli")]
mod command;

pub use outcome::{Code, Failure, Outcome};
pub use table::{Forms, Noun, RESOURCES, Scope, Verb, Who, resource};

#[cfg(feature = "cli")]
pub use command::{
    COMMANDS, ChildOutput, Command, Host, LocalFuture, Note, Run, Session, Stdin, clap_commands,
    command,
};
