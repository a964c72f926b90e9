//! What a front half works with: the host, the home, the nodes it asks, and what a configuration that asks for it wants to know.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ockam_store::{DatabaseAddressError, NodeRecord, SealingKey};

use crate::client::Client;
use crate::command::{ChildOutput, Host, Note, import};
use crate::configuration::{Changed, Course, Mode};
use crate::home::projects;
use crate::orchestrator::DatabaseAccess;
use crate::outcome::{Code, Failure};
use crate::resource::Change;
use crate::state::{State, no_default_project};
use crate::table::Noun;
use crate::value::{DurationText, NodeArgument};

/// What a front half works with.
#[allow(
    missing_debug_implementations,
    reason = "the host is a trait object without state worth showing"
)]
pub struct Session<'a> {
    /// The terminal, the environment and processes.
    pub host: &'a dyn Host,
    /// How a front half goes when a configuration asks for it; to its end when it was typed.
    course: Option<Arc<Course>>,
}

impl<'a> Session<'a> {
    /// A session of a command that was typed.
    pub fn new(host: &'a dyn Host) -> Self {
        Self { host, course: None }
    }

    /// A session of a command that a configuration asks for.
    pub(crate) fn on(host: &'a dyn Host, course: Arc<Course>) -> Self {
        Self {
            host,
            course: Some(course),
        }
    }

    /// Says to a configuration that something of the home stays as it is.
    pub(crate) fn stays(&self, noun: &'static Noun, name: &str) {
        if let Some(course) = &self.course {
            course.changed(Changed {
                node: String::new(),
                noun,
                name: Some(name.to_owned()),
                change: Change::Unchanged,
            });
        }
    }

    /// Refuses, while a configuration is only checked, what needs a default project where there is none and none will be.
    pub(crate) async fn check_default_project(&self, help: &str) -> Result<(), Failure> {
        let is_checked = self
            .course
            .as_ref()
            .is_some_and(|course| course.mode() == Mode::Check && !course.awaits_project());
        if is_checked
            && projects::default(&self.open_quietly().await?)
                .await?
                .is_none()
        {
            return Err(no_default_project().help(help));
        }
        Ok(())
    }

    /// Whether a configuration asks for the command: then what is there already may stay.
    pub(crate) fn is_applying(&self) -> bool {
        self.course.is_some()
    }
}

impl Session<'_> {
    /// Opens the home.
    ///
    /// # Errors
    /// The directory or the database cannot be used, or the state is said to be in PostgreSQL.
    pub async fn open(&self) -> Result<State, Failure> {
        if let Some(course) = &self.course
            && course.mode() == Mode::Check
        {
            return Err(course.stop());
        }
        let state = self.open_quietly().await?;
        if state.home().is_published() && self.is_new(&state, import::NOTICE).await {
            self.host.note(Note::Info(
                "The published program has its state here too. `ockam import` takes over its vaults, identities and \
                 names of nodes, and leaves it as it is"
                    .to_owned(),
            ));
        }
        Ok(state)
    }

    /// Opens the home, and says nothing of what else is there.
    pub(crate) async fn open_quietly(&self) -> Result<State, Failure> {
        if let Some(variable) = self.postgres() {
            // Whoever set it expects to find the state of that database, and would find another one.
            return Err(Failure::unsupported(format!(
                "PostgreSQL as the place of the state ({variable} is set)"
            ))
            .help("unset it to use the SQLite state in OCKAM_HOME; nothing was changed"));
        }
        State::open(&self.host.home(), self.runtime_directory()).await
    }

    /// Whether the user was never told this before; where nothing can be written, everything was said.
    pub(super) async fn is_new(&self, state: &State, notice: &str) -> bool {
        state.store().tell_once(notice).await.unwrap_or(false)
    }

    /// What the environment says of the database of an Orchestrator.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn database_access(&self) -> Result<DatabaseAccess, Failure> {
        let set = |name: &str| self.host.variable(name).filter(|value| !value.is_empty());
        let wrong = |error: &(dyn std::error::Error + 'static)| {
            Failure::new("the database of the Orchestrator cannot be used").caused_by(error)
        };
        Ok(DatabaseAccess {
            address: set(ORCHESTRATOR_DATABASE)
                .map(|text| text.parse())
                .transpose()
                .map_err(|error: DatabaseAddressError| {
                    wrong(&error).cause(ORCHESTRATOR_DATABASE)
                })?,
            key: SealingKey::from_variables(|name| set(name)).map_err(|error| wrong(&error))?,
        })
    }

    /// The variable that says that the state is in PostgreSQL, if one does.
    pub(crate) fn postgres(&self) -> Option<&'static str> {
        // spec: command 3.13
        ["OCKAM_DATABASE_CONNECTION_URL", "OCKAM_DATABASE_INSTANCE"]
            .into_iter()
            .find(|name| {
                self.host
                    .variable(name)
                    .is_some_and(|value| !value.is_empty())
            })
    }

    /// Where control sockets of a deep home go.
    pub(crate) fn runtime_directory(&self) -> Option<PathBuf> {
        self.host.variable("XDG_RUNTIME_DIR").map(PathBuf::from)
    }

    /// The limit of requests and of channel creation.
    ///
    /// # Errors
    /// `OCKAM_DEFAULT_TIMEOUT` is not a duration.
    pub(crate) fn timeout(&self) -> Result<Duration, Failure> {
        let limit: Option<DurationText> = self.parsed_variable("OCKAM_DEFAULT_TIMEOUT")?;
        Ok(limit.map_or(DEFAULT_TIMEOUT, |limit| limit.0))
    }

    /// A variable that has a value of this type.
    ///
    /// # Errors
    /// The variable is set to something else.
    pub(crate) fn parsed_variable<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Failure> {
        let parse = |text: String| {
            text.parse().map_err(|error: T::Err| {
                Failure::new(format!("invalid value '{text}' for {name}")).cause(error.to_string())
            })
        };
        self.host.variable(name).map(parse).transpose()
    }

    /// The node that was named, or the default one.
    pub(crate) async fn node(
        &self,
        state: &State,
        at: Option<&NodeArgument>,
    ) -> Result<NodeRecord, Failure> {
        match at {
            Some(NodeArgument(name)) => state.node(name).await,
            None => state.default_node().await,
        }
    }

    /// The node that was named, the default one, or a new one when there is none at all (spec: command 3.7).
    pub(crate) async fn node_or_new(
        &self,
        state: &State,
        at: Option<&NodeArgument>,
    ) -> Result<NodeRecord, Failure> {
        if at.is_none() && state.nodes().await?.iter().all(|node| node.stands_apart) {
            let name = state.new_node_name().await?;
            self.host.note(Note::Info(format!(
                "There is no node yet, creating one named {name}"
            )));
            self.unlock_for(state, None).await?;
            self.host
                .spawn_node(&["--".to_owned(), name.to_string()], ChildOutput::Discard)
                .await?;
        }
        let node = self.node(state, at).await?;
        if at.is_none() && !crate::state::status_of(&node).is_running() {
            // spec: command 3.3 (default node stopped)
            return Err(
                Failure::coded(Code::Internal, "Default node exists but is not running").help(
                    format!(
                        "start it with `ockam node start {}`, or everything that has stopped with `ockam node start --all`; or \
                         name another with --at",
                        node.name
                    ),
                ),
            );
        }
        Ok(node)
    }

    /// Asks a node.
    pub(crate) fn client(&self, state: &State, node: &NodeRecord) -> Result<Client, Failure> {
        let address = node.listener.as_deref().unwrap_or("its control socket");
        Ok(Client::new(
            state.socket(&node.name)?,
            node.name.as_str(),
            address,
            self.timeout()?,
        )
        .on(self.course.clone()))
    }
}

/// Where the database of an Orchestrator is, with the password.
const ORCHESTRATOR_DATABASE: &str = "OCKAM_ORCHESTRATOR_DATABASE";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
