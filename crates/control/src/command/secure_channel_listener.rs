//! `ockam secure-channel-listener`.

use clap::Args;
use ockam_identity::Identifier;
use ockam_store::NodeRecord;
use serde_json::json;

use crate::command::argument::{At, Identity};
use crate::command::item::{self, Addressed, Listed};
use crate::command::{Example, Run, Session, text};
use crate::noun::secure_channel_listener::{Listener, ListenerSpec, NOUN, SecureChannelListener};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::WorkerName;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The address of the listener
    address: WorkerName,
    #[command(flatten)]
    at: At,
    /// An identifier that is accepted; repeat for several, any is accepted when none is given
    #[arg(short, long = "authorized", value_name = "IDENTIFIER")]
    authorized: Vec<Identifier>,
    #[command(flatten)]
    identity: Identity,
    /// Do not present the credential of the node's authority to whoever connects
    #[arg(long)]
    no_credential: bool,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A listener that answers the identity with the identifier $ALICE only",
            "ockam secure-channel-listener create private --at n1 --authorized $ALICE",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node_or_new(&state, self.at.at.as_ref()).await?;
        let spec = ListenerSpec {
            address: self.address,
            authorized: self.authorized,
            identity: self.identity.identity,
            no_credential: self.no_credential,
        };
        let listener = session
            .client(&state, &node)?
            .create::<SecureChannelListener>(&spec)
            .await?;
        let address = text::service(listener.address.name());
        let plain = text::done(format!(
            "Secure Channel Listener at {address} created on Node {}",
            node.name
        ));
        session.host.print(
            Outcome::plain(plain)
                .machine(address.clone())
                .json(json!([{ "address": address }])),
        );
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    at: At,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "The listeners of a node",
            "ockam secure-channel-listener list --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        item::list::<SecureChannelListener>(session, self.at.at.as_ref()).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The address of the listener
    address: WorkerName,
    #[command(flatten)]
    at: At,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "By its address",
            "ockam secure-channel-listener delete private --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let listener = session
            .client(&state, &node)?
            .delete::<SecureChannelListener>(&self.address)
            .await
            .map_err(|failure| item::look_at_list(failure, &NOUN, &node))?;
        session.host.print(SecureChannelListener::deleted(
            &listener,
            &self.address,
            &node,
        ));
        Ok(())
    }
}

impl Listed for SecureChannelListener {
    const TITLE: &'static str = "Secure Channel Listener";

    fn line(listener: &Listener) -> String {
        format!("Listener at {}", text::service(listener.address.name()))
    }

    fn listed(list: Outcome, listeners: &[Listener]) -> Outcome {
        list.json_when_asked(json!(listeners))
    }
}

impl Addressed for SecureChannelListener {
    const ADDRESS_HELP: &'static str = "The address of the listener";
    const EXAMPLE: &'static str = "private";

    fn shown(listener: &Listener) -> Outcome {
        Outcome::plain(text::service(listener.address.name()))
    }

    fn deleted(listener: &Listener, _address: &WorkerName, node: &NodeRecord) -> Outcome {
        let plain = text::done(format!(
            "Secure Channel Listener at {} on Node {} has been deleted",
            text::service(listener.address.name()),
            node.name
        ));
        Outcome::plain(plain).machine(format!("0#{}", listener.address.name()))
    }
}
