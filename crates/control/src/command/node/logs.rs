//! `ockam node logs`.

use std::io;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::command::{Example, Note, Run, Session, Stdin, text};
use crate::home::logs::{LogReader, Part};
use crate::home::nodes;
use crate::noun::node::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::NodeArgument;

#[derive(Debug, Args)]
pub(in crate::command) struct Logs {
    /// The name of the node
    name: Option<NodeArgument>,
    /// Print what the node logs, and go on until it is deleted or this command is interrupted
    #[arg(short, long)]
    follow: bool,
    /// Print the last lines of the log instead of the path of its newest file
    #[arg(long, value_name = "N")]
    lines: Option<u64>,
}

impl Run for Logs {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "logs";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Read what a node has logged",
            "less \"$(ockam node logs n1)\"",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.name.as_ref()).await?;
        if !self.follow && self.lines.is_none() {
            let path = nodes::newest_log(&state, &node.name)?;
            let path = path.display().to_string();
            let plain = text::done(format!(
                "The newest log file of Node {} is {path}",
                node.name
            ));
            session.host.print(
                Outcome::plain(plain)
                    .machine(path.clone())
                    .json(json!({ "path": path })),
            );
            return Ok(());
        }
        let mut reader = LogReader::before_end(&state, &node.name, self.lines.unwrap_or(LINES))?;
        if !self.follow {
            while let Printed::Something = print(session, &mut reader)? {}
            return Ok(());
        }
        tokio::select! {
            end = follow(session, &mut reader) => end,
            () = session.host.end_of_process(Stdin::Ignore) => Ok(()),
        }
    }
}

async fn follow(session: &Session<'_>, reader: &mut LogReader) -> Result<(), Failure> {
    loop {
        match print(session, reader)? {
            Printed::Something => tokio::task::yield_now().await,
            Printed::Nothing => tokio::time::sleep(PAUSE).await,
            Printed::TheEnd => {
                session
                    .host
                    .note(Note::Info("The log was deleted".to_owned()));
                return Ok(());
            }
            Printed::ForNobody => return Ok(()),
        }
    }
}

enum Printed {
    Something,
    Nothing,
    /// There is no log any more.
    TheEnd,
    /// Nobody reads it any more.
    ForNobody,
}

fn print(session: &Session<'_>, reader: &mut LogReader) -> Result<Printed, Failure> {
    match reader.read()? {
        Part::Nothing => Ok(Printed::Nothing),
        Part::Gone => Ok(Printed::TheEnd),
        Part::Bytes(bytes) => match session.host.write(&bytes) {
            Ok(()) => Ok(Printed::Something),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Printed::ForNobody),
            Err(error) => Err(Failure::internal("the log could not be written", &error)),
        },
    }
}

/// As many as `tail` prints.
const LINES: u64 = 10;
/// How often a log is looked at; a person does not notice.
const PAUSE: Duration = Duration::from_millis(100);
