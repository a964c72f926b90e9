//! `ockam service`.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::json;

use crate::command::argument::At;
use crate::command::{Example, Note, Run, Session, text};
use crate::noun::service::{NOUN, Service, ServiceKind, ServiceSpec};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::WorkerName;

#[derive(Debug, Args)]
pub(super) struct Start {
    #[command(subcommand)]
    service: Startable,
}

#[derive(Debug, Subcommand)]
enum Startable {
    /// Start a service that forwards messages and puts itself into their return route
    Hop {
        /// The address of the service
        #[arg(long, value_name = "ADDRESS", default_value = "hop")]
        addr: WorkerName,
        #[command(flatten)]
        at: At,
    },
}

impl Run for Start {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "start";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A worker that hands on what it gets",
            "ockam service start hop --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let Startable::Hop { addr, at } = self.service;
        let state = session.open().await?;
        let node = session.node(&state, at.at.as_ref()).await?;
        let spec = ServiceSpec {
            address: addr,
            kind: ServiceKind::Hop,
        };
        let service: Service = session
            .client(&state, &node)?
            .ask(Method::POST, "/services", Some(&spec))
            .await?;
        session.host.note(Note::Done(format!(
            "Started the {} service at {} on Node {}",
            service.kind,
            text::service(&service.addr),
            node.name
        )));
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
            "The services of a node",
            "ockam service list --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let services: Vec<Service> = session
            .client(&state, &node)?
            .ask(Method::GET, "/services", None::<&()>)
            .await?;
        let plain = if services.is_empty() {
            text::info(format!("No Services found on node {}", node.name))
        } else {
            text::list(services.iter().map(line))
        };
        session
            .host
            .print(Outcome::plain(plain).json(json!(services)));
        Ok(())
    }
}

/// One service on one line.
pub(super) fn line(service: &Service) -> String {
    format!("{} service at {}", service.kind, service.addr)
}
