//! `ockam message`.

use clap::Args;
use hyper::Method;
use ockam_wire::{MultiAddr, Protocol, bare};

use crate::command::argument::{Identity, Retry, Trust, ends_at_worker};
use crate::command::{Example, Run, Session};
use crate::ephemeral::Ephemeral;
use crate::home::trust::Trusted;
use crate::noun::message::{MessageReply, MessageSpec, NOUN};
use crate::outcome::{Code, Failure, Outcome};
use crate::state::State;
use crate::table::Noun;
use crate::value::{DurationText, NodeArgument};

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The text to send
    message: String,
    /// The node that sends; one that lives as long as the command when none is given
    #[arg(short, long, value_name = "NODE")]
    from: Option<NodeArgument>,
    /// The route to the worker, for example /node/n1/service/uppercase
    #[arg(short, long, value_name = "ROUTE")]
    to: String,
    /// The text is hexadecimal: its bytes are sent as they are, and so is the reply printed
    #[arg(long)]
    hex: bool,
    /// How long to wait for the reply
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: DurationText,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    retry: Retry,
}

impl Send {
    /// Sends the message from the node that was named, or from one of this command's own.
    async fn exchange(
        &self,
        session: &Session<'_>,
        state: &State,
        spec: &MessageSpec,
    ) -> Result<MessageReply, Failure> {
        let Some(from) = &self.from else {
            begins_outside(&spec.to)?;
            session.unlock_for(state, spec.identity.as_ref()).await?;
            let trusted = match self.trust.spec(state).await? {
                Some(trust) => Some(Trusted::of(state, &trust).await?),
                None => None,
            };
            let identity = spec.identity.as_ref();
            let ephemeral = Ephemeral::start_trusting(state, identity, trusted.as_ref()).await?;
            return self
                .retry
                .run(session, async || ephemeral.send(spec).await)
                .await;
        };
        let node = session.node(state, Some(from)).await?;
        // The node's answer says more than a cut connection would.
        let client = session
            .client(state, &node)?
            .within(self.timeout.0 * 2 + GRACE);
        self.retry
            .run(session, async || {
                client.ask(Method::POST, "/messages", Some(spec)).await
            })
            .await
    }
}

impl Run for Send {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "send";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Is the node there?",
                "ockam message send hello --to /node/n1/service/echo",
            ),
            Example::new(
                "Through a secure channel",
                "ockam message send hello --to /node/n1/secure/api/service/uppercase",
            ),
            Example::new(
                "Bytes",
                "ockam message send 0102ff --hex --to /node/n1/service/echo",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        self.trust.check()?;
        let given: MultiAddr = self
            .to
            .parse()
            .map_err(|error: ockam_wire::MultiAddrError| invalid_to().caused_by(&error))?;
        let body = if self.hex {
            hex::decode(self.message.trim()).map_err(|error| {
                Failure::new("the message is not hexadecimal")
                    .cause(error.to_string())
                    .help("with --hex a message is pairs of hex digits, for example 68656c6c6f")
            })?
        } else {
            bare::encode_str(&self.message)
        };
        let state = session.open().await?;
        // Names of nodes are looked up here, so that a wrong one is this command's argument error.
        let to = state
            .replace_nodes(&given)
            .await
            .map_err(|failure| match failure.code {
                Some(Code::Unauthorized) => failure,
                _ => Failure {
                    message: invalid_to().message,
                    ..failure
                },
            })?;
        ends_at_worker(&to).map_err(|why| Failure {
            code: invalid_to().code,
            ..why
        })?;
        let spec = MessageSpec {
            to,
            body: hex::encode(body),
            timeout: self.timeout,
            identity: self.identity.identity.clone(),
        };
        let reply = match self.exchange(session, &state, &spec).await {
            Err(failure) => return Err(state.explain(&given, failure).await),
            Ok(reply) => reply,
        };
        let body = hex::decode(&reply.body).map_err(|error| {
            Failure::coded(Code::Internal, "the node's answer is not understood")
                .cause(error.to_string())
        })?;
        session.host.print(Outcome::plain(if self.hex {
            reply.body
        } else {
            text_of(&body)
        }));
        Ok(())
    }
}

const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// A node that lives as long as the command has no workers of its own to talk to.
fn begins_outside(to: &MultiAddr) -> Result<(), Failure> {
    // spec: command 3.9.3 (only a node that was made for it speaks UDP)
    if to
        .protocols()
        .iter()
        .any(|part| matches!(part, Protocol::Udp(_)))
    {
        return Err(invalid_to().cause("UDP hops are not allowed"));
    }
    match to.protocols().first() {
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::DnsAddr(_) | Protocol::Project(_)) => {
            Ok(())
        }
        _ => Err(invalid_to()
            .help("begin the route with /node/NAME or an address, or name a node with --from")),
    }
}

/// spec: command 3.3 (unknown node in a route)
fn invalid_to() -> Failure {
    Failure::coded(Code::Internal, "Argument '--to' is invalid")
}

/// The reply as text: without the length in front when there is one.
fn text_of(body: &[u8]) -> String {
    match bare::decode_str(body) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_loses_its_length() {
        assert_eq!(text_of(b"\x05HELLO"), "HELLO");
        assert_eq!(text_of(b"raw"), "raw");
    }

    #[test]
    fn without_a_node_the_route_begins_outside() {
        let check = |text: &str| begins_outside(&text.parse().expect(text));
        assert!(check("/ip4/127.0.0.1/tcp/1/service/echo").is_ok());
        assert!(check("/service/echo").is_err());
        assert!(check("/ip4/127.0.0.1/udp/1/service/echo").is_err());
        assert!(check("/secure/api/service/echo").is_err());
    }
}
