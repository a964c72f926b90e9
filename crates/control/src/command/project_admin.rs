//! `ockam project-admin`.

use clap::Args;

use crate::command::project::not_enrolled;
use crate::command::{Example, Run, Session};
use crate::noun::project_admin::NOUN;
use crate::outcome::Failure;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The e-mail address of the administrator
    email: String,
    /// The project; the default one when none is given
    project: Option<String>,
}

impl Run for Add {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "add";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Somebody with an account",
            "ockam project-admin add alice@example.com",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        Err(not_enrolled())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The project; the default one when none is given
    project: Option<String>,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Those of the default project",
            "ockam project-admin list",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        Err(not_enrolled())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The e-mail address of the administrator
    email: Option<String>,
    /// The project; the default one when none is given
    project: Option<String>,
    /// All administrators
    #[arg(long, conflicts_with = "email")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "One, without a question",
            "ockam project-admin delete alice@example.com --yes",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        Err(not_enrolled())
    }
}
