//! `ockam worker`.

use clap::Args;
use hyper::Method;
use serde_json::json;

use crate::command::argument::At;
use crate::command::{Example, Run, Session, text};
use crate::noun::worker::{NOUN, Worker};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

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
            "Everything that has an address at a node",
            "ockam worker list --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let workers: Vec<Worker> = session
            .client(&state, &node)?
            .ask(Method::GET, "/workers", None::<&()>)
            .await?;
        let plain = text::list(
            workers
                .iter()
                .map(|worker| format!("Worker {}", worker.addr)),
        );
        session
            .host
            .print(Outcome::plain(plain).json_when_asked(json!(workers)));
        Ok(())
    }
}
