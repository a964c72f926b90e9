//! `ockam orchestrator`.

mod asking;
mod audit;
mod backup;
mod install;
mod invite;
mod lists;
mod start;
mod status;

use std::io::Read as _;

use ockam_store::NodeRecord;

use crate::command::{ChildOutput, Note, Session};
use crate::home::orchestrator::{self, HomeOrchestrator};
use crate::noun::orchestrator::OrchestratorView;
use crate::outcome::{Code, Failure};
use crate::state::{State, status_of};
use crate::value::JoinString;

pub(super) use audit::AuditVerify;
pub(super) use backup::{Backup, Restore};
pub(super) use install::Install;
pub(super) use invite::Invite;
pub(super) use lists::{Accounts, Audit, List, Relays, Tickets};
pub(super) use start::Start;
pub(super) use status::{Status, Stop};

/// The Orchestrator of this machine: started where there is none, and started again where it has stopped. Whoever can read
/// this home gets the code of the first administrator, while there is none.
///
/// # Errors
/// It cannot be started, or does not answer.
pub(crate) async fn local(session: &Session<'_>) -> Result<JoinString, Failure> {
    let state = session.open().await?;
    let mut tries = TRIES;
    let view = loop {
        tries -= 1;
        match started(session, &state).await {
            Ok(found) => match view(session, &state, &found.node).await {
                Err(_) if tries > 0 => {}
                told => break told?,
            },
            // A command that was killed may have left one that is about to run, or about to end.
            Err(_) if tries > 0 => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let mut join = join_string(&view)?;
    // The file of a code that was used stays for a moment.
    if !view.counts.has_administrator {
        join.code = first_code(&state)?;
    }
    Ok(join)
}

/// The one of this home, started when it does not run, made when there is none.
async fn started(session: &Session<'_>, state: &State) -> Result<HomeOrchestrator, Failure> {
    let found = match orchestrator::find(state).await? {
        Some(found) => found,
        None => {
            let begin = start::Begin::default();
            start::keep(state, &begin.settings()?, None).await?
        }
    };
    if status_of(&found.node).is_running() {
        return Ok(found);
    }
    session.host.note(Note::Info(
        "The Orchestrator of this machine does not run, starting it on loopback".to_owned(),
    ));
    run_in_background(session, &found, ChildOutput::Discard).await?;
    here(state).await
}

/// What the running one says of itself.
async fn view(
    session: &Session<'_>,
    state: &State,
    node: &NodeRecord,
) -> Result<OrchestratorView, Failure> {
    let client = session.client(state, node)?;
    client
        .ask(hyper::Method::GET, "/orchestrator", None::<&()>)
        .await
}

fn join_string(view: &OrchestratorView) -> Result<JoinString, Failure> {
    Ok(JoinString {
        route: view.route.parse().map_err(|error| {
            Failure::internal("the route to the Orchestrator is not understood", &error)
        })?,
        identifier: view.identifier,
        code: None,
    })
}

/// The code of the first administrator, while there is none.
fn first_code(state: &State) -> Result<Option<ockam_identity::OneTimeCode>, Failure> {
    let Some(path) = orchestrator::first_administrator(state) else {
        return Ok(None);
    };
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        Failure::internal(format!("{} cannot be read", path.display()), error)
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    match std::fs::File::open(&path) {
        Ok(file) => file
            .take(LONGEST_CODE)
            .read_to_string(&mut text)
            .map_err(|error| unreadable(&error))?,
        // It was used meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    text.trim()
        .parse()
        .map(Some)
        .map_err(|error| unreadable(&error))
}

/// Starts a stopped one in a process of its own.
async fn run_in_background(
    session: &Session<'_>,
    found: &HomeOrchestrator,
    output: ChildOutput,
) -> Result<(), Failure> {
    let arguments = [
        "--resume".to_owned(),
        "--".to_owned(),
        found.node.name.to_string(),
    ];
    session.host.spawn_node(&arguments, output).await
}

/// The one of this home.
async fn here(state: &State) -> Result<HomeOrchestrator, Failure> {
    orchestrator::find(state).await?.ok_or_else(|| {
        Failure::coded(Code::NotFound, "there is no Orchestrator on this machine")
            .help("start one with `ockam orchestrator start`")
    })
}

/// A file with a code is short.
const LONGEST_CODE: u64 = 1024;
/// How often it is looked for before there is an error.
const TRIES: u32 = 5;
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(200);
