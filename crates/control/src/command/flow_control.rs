//! `ockam flow-control`.

use clap::Args;
use hyper::Method;
use ockam_wire::MultiAddr;

use crate::command::argument::At;
use crate::command::{Example, Run, Session};
use crate::noun::flow_control::{ConsumerSpec, NOUN};
use crate::outcome::Failure;
use crate::record::FlowControlId;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct AddConsumer {
    /// The way in: the flow control id of a listener, a connection or a channel
    flow_control_id: String,
    /// The worker it is to reach: `/service/NAME`
    #[arg(value_name = "MULTIADDR")]
    address: MultiAddr,
    #[command(flatten)]
    at: At,
}

impl Run for AddConsumer {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "add-consumer";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Let a channel's messages reach a service",
            "ockam flow-control add-consumer 0123456789abcdef0123456789abcdef /service/echo --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let spec = ConsumerSpec {
            flow_control_id: FlowControlId(self.flow_control_id),
            address: self.address,
        };
        session
            .client(&state, &node)?
            .ask(Method::POST, "/flow-controls/consumers", Some(&spec))
            .await
    }
}
