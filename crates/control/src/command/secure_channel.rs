//! `ockam secure-channel`.

use clap::Args;
use ockam_identity::{CredentialBundle, Identifier};
use ockam_wire::{MultiAddr, Protocol};
use serde_json::json;

use crate::command::argument::{At, Identity};
use crate::command::flow;
use crate::command::item::{Listed, look_at_list};
use crate::command::{Example, Note, Run, Session, text};
use crate::ephemeral::Ephemeral;
use crate::home::identities;
use crate::noun::secure_channel::{ChannelItem, ChannelSpec, NOUN, SecureChannel};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::{DurationText, NodeArgument, WorkerName};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The node that opens the channel
    #[arg(long, value_name = "NODE")]
    from: NodeArgument,
    /// The route to the listener, for example /node/n2/service/api
    #[arg(long, value_name = "ROUTE")]
    to: MultiAddr,
    /// An identifier that is accepted; repeat for several, any is accepted when none is given
    #[arg(short, long = "authorized", value_name = "IDENTIFIER")]
    authorized: Vec<Identifier>,
    /// A credential to present, in hexadecimal, as `credential issue --encoding hex` prints it
    #[arg(short, long, value_name = "HEX")]
    credential: Option<CredentialBundle>,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "From one node to another",
                "ockam secure-channel create --from n1 --to /node/n2/service/api",
            ),
            Example::new(
                "With a credential that policies of the other node ask for",
                "ockam secure-channel create --from n1 --to /node/n2/service/api --credential $CREDENTIAL",
            ),
            Example::new(
                "To a node behind a relay",
                "ockam secure-channel create --from n1 --to /node/relay/service/forward_to_n2/service/api",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, Some(&self.from)).await?;
        session
            .host
            .note(Note::Info("Creating Secure Channel...".to_owned()));
        if let Some(warning) = self.credential.as_ref().and_then(expired) {
            session.host.note(Note::Warning(warning));
        }
        let timeout = session.timeout()?;
        let spec = ChannelSpec {
            to: self.to,
            authorized: self.authorized,
            identity: self.identity.identity,
            credential: self.credential,
            timeout: Some(DurationText(timeout)),
        };
        let client = session.client(&state, &node)?;
        session.host.waiting(&format!(
            "Waiting for the secure channel listener at {}",
            spec.to
        ));
        // The node's answer says more than a cut connection would.
        let channel = client
            .within(timeout + GRACE)
            .create::<SecureChannel>(&spec)
            .await;
        let channel = match channel {
            Err(failure) => return Err(state.explain(&spec.to, failure).await),
            Ok(channel) => channel,
        };
        let plain = [
            text::done(format!(
                "Secure Channel at {} created successfully",
                channel.address
            )),
            text::more(format!("From Node {} to {}", node.name, spec.to)),
        ]
        .join("\n");
        session.host.print(
            Outcome::plain(plain)
                .machine(channel.address.clone())
                .json(json!([{ "address": channel.address }])),
        );
        Ok(())
    }
}

/// What to say of a credential that the other node will not believe: the channel opens without it.
fn expired(credential: &CredentialBundle) -> Option<String> {
    let claims = credential.peek().ok()?;
    match text::away(identities::now(), claims.expires_at) {
        (ago, text::Tense::Past) => Some(format!(
            "The credential expired {ago} ago: to the other node this is somebody without any"
        )),
        (_, text::Tense::Future) => None,
    }
}

const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

impl Listed for SecureChannel {
    const TITLE: &'static str = "Secure Channel";

    fn line(channel: &ChannelItem) -> String {
        format!(
            "At {}\nRoute {}\nTo {}",
            channel.address, channel.route, channel.their_identifier
        )
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The channel at its node (/node/n1/service/ADDRESS), or the route to a listener
    #[arg(long, value_name = "ROUTE")]
    at: MultiAddr,
    #[command(flatten)]
    identity: Identity,
    /// How long opening a channel may take
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: DurationText,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "A channel of a node",
                "ockam secure-channel show --at /node/n1/service/0123456789abcdef0123456789abcdef",
            ),
            Example::new(
                "Who answers at a listener",
                "ockam secure-channel show --at /ip4/127.0.0.1/tcp/4000/service/api",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let channel = match self.at.protocols() {
            [Protocol::Node(node), Protocol::Service(channel)] => {
                let invalid = |error: &(dyn std::error::Error + 'static)| {
                    Failure::new("Argument '--at' is invalid").caused_by(error)
                };
                let node = state
                    .node(&node.parse().map_err(|error| invalid(&error))?)
                    .await?;
                let name: WorkerName = channel.parse().map_err(|error| invalid(&error))?;
                session
                    .client(&state, &node)?
                    .show::<SecureChannel>(&name)
                    .await
                    .map_err(|failure| look_at_list(failure, &NOUN, &node))?
            }
            _ => {
                session
                    .host
                    .note(Note::Info("Creating Secure Channel...".to_owned()));
                let identity = self.identity.identity.as_ref();
                session.unlock_for(&state, identity).await?;
                let ephemeral = Ephemeral::start(&state, identity).await?;
                let seen = ephemeral
                    .look_at_listener(&state, &self.at, self.timeout.0)
                    .await;
                match seen {
                    Err(failure) => return Err(state.explain(&self.at, failure).await),
                    Ok(channel) => channel,
                }
            }
        };
        session
            .host
            .print(Outcome::plain(describe(&channel)).json(json!(channel)));
        Ok(())
    }
}

fn describe(channel: &ChannelItem) -> String {
    [
        text::more("Secure Channel:"),
        text::more(format!("  At: {}", channel.address)),
        text::more(format!("  Route: {}", channel.route)),
        text::more(format!("  Their identifier: {}", channel.their_identifier)),
        text::more(format!(
            "  Their change history: {}",
            channel.their_change_history
        )),
        text::more(format!("  Flow Control Id: {}", channel.flow_control_id.0)),
    ]
    .join("\n")
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The address of the channel
    address: WorkerName,
    #[command(flatten)]
    at: At,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "By its address",
            "ockam secure-channel delete 0123456789abcdef0123456789abcdef --at n1 --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        // An unknown one is an error before anything is asked.
        client
            .show::<SecureChannel>(&self.address)
            .await
            .map_err(|failure| look_at_list(failure, &NOUN, &node))?;
        if flow::confirmed(session, self.yes)? {
            let channel = client.delete::<SecureChannel>(&self.address).await?;
            let plain = text::done(format!(
                "The Secure Channel at {} on Node {} has been deleted",
                channel.address, node.name
            ));
            session.host.print(
                Outcome::plain(plain)
                    .machine(channel.address.clone())
                    .json(json!([{ "address": channel.address }])),
            );
        }
        Ok(())
    }
}
