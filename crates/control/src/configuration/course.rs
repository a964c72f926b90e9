//! How a front half runs when a configuration asks for it.
//!
//! Typed commands create. A configuration is first checked, may be compared with what there is, and is then applied: what is
//! there already and the same stays as it is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::command::{ChildOutput, Host, LocalFuture, Note, Stdin, text};
use crate::noun::status::ProgramVersion;
use crate::outcome::{Failure, Outcome};
use crate::resource::Change;
use crate::table::Noun;

/// One run of a front half, and what came of it.
#[derive(Debug)]
pub(crate) struct Course {
    mode: Mode,
    /// Whether the home will know a project by the time the front half is carried out.
    awaits_project: bool,
    stopped: AtomicBool,
    changes: Mutex<Vec<Changed>>,
}

/// How far a front half goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Until its arguments are looked at.
    Check,
    /// Until the node has said what would change.
    Compare,
    /// To its end.
    Apply,
    /// To its end, without printing a result: it is told in another way.
    ApplyUnprinted,
}

/// What became, or would become, of one thing of a node.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    /// The node.
    pub(crate) node: String,
    /// The noun.
    pub(crate) noun: &'static Noun,
    /// Its name, unless the node has yet to choose one.
    pub(crate) name: Option<String>,
    /// What changes.
    pub(crate) change: Change,
}

impl Course {
    /// A run that has not begun.
    pub(crate) fn new(mode: Mode) -> Arc<Self> {
        Arc::new(Self::of(mode, false))
    }

    /// A check of a configuration that begins with a ticket, and so brings a project.
    pub(crate) fn check_behind_ticket() -> Arc<Self> {
        Arc::new(Self::of(Mode::Check, true))
    }

    fn of(mode: Mode, awaits_project: bool) -> Self {
        Self {
            mode,
            awaits_project,
            stopped: AtomicBool::new(false),
            changes: Mutex::default(),
        }
    }

    /// Whether what has no default project yet may have one when it is carried out.
    pub(crate) fn awaits_project(&self) -> bool {
        self.awaits_project
    }

    /// How far it goes.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Ends a front half where it has to end: it passes the failure on, and whoever runs it asks [`Course::was_stopped`].
    pub(crate) fn stop(&self) -> Failure {
        self.stopped.store(true, Ordering::Relaxed);
        Failure::new("this run ends here")
    }

    /// Whether the front half ended where it had to.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Notes what changed.
    pub(crate) fn changed(&self, changed: Changed) {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(changed);
    }

    /// What changed.
    pub(crate) fn changes(&self) -> Vec<Changed> {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Changed {
    /// Something that was not there before.
    pub(crate) fn added(noun: &'static Noun, name: Option<String>) -> Self {
        Self {
            node: String::new(),
            noun,
            name,
            change: Change::Added,
        }
    }

    /// Whether it is as it was.
    pub(crate) fn is_none(&self) -> bool {
        self.change == Change::Unchanged
    }

    /// As a sentence names it: `tcp outlet db`.
    pub(crate) fn what(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {name}", self.noun.kind),
            None => format!("{} without a name", self.noun.kind),
        }
    }
}

/// A host that watches what a front half says on behalf of a configuration. While it only looks, it says and starts nothing;
/// of what stays as it is it does not say that it was created.
#[allow(
    missing_debug_implementations,
    reason = "the host is a trait object without state worth showing"
)]
pub(crate) struct Watched<'h> {
    host: &'h dyn Host,
    course: Arc<Course>,
}

impl<'h> Watched<'h> {
    /// Watches the front half that goes on this course.
    pub(crate) fn new(host: &'h dyn Host, course: Arc<Course>) -> Self {
        Self { host, course }
    }

    fn only_looks(&self) -> bool {
        matches!(self.course.mode(), Mode::Check | Mode::Compare)
    }
}

impl Host for Watched<'_> {
    fn home(&self) -> PathBuf {
        self.host.home()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.host.variable(name)
    }

    fn version(&self) -> ProgramVersion {
        self.host.version()
    }

    fn note(&self, note: Note) {
        if !self.only_looks() {
            self.host.note(note);
        }
    }

    fn waiting(&self, what: &str) {
        self.host.waiting(what);
    }

    fn print(&self, mut outcome: Outcome) {
        if self.course.mode() != Mode::Apply {
            return;
        }
        if let Some(changed) = self.course.changes().last() {
            let (what, node) = (changed.what(), &changed.node);
            match changed.change {
                Change::Unchanged if !node.is_empty() => {
                    outcome.plain = text::info(format!("The {what} of Node {node} stays as it is"));
                }
                Change::Replaced => {
                    let replaced = text::done(format!("Replaced the {what} of Node {node}"));
                    outcome.plain = format!("{replaced}\n{}", outcome.plain);
                }
                Change::Added | Change::Unchanged => {}
            }
        }
        self.host.print(outcome);
    }

    fn write(&self, text: &[u8]) -> std::io::Result<()> {
        self.host.write(text)
    }

    fn can_prompt(&self) -> bool {
        !self.only_looks() && self.host.can_prompt()
    }

    fn confirm(&self, question: &str) -> Result<bool, Failure> {
        self.host.confirm(question)
    }

    fn choose(&self, question: &str, items: &[String]) -> Result<Vec<usize>, Failure> {
        self.host.choose(question, items)
    }

    fn spawn_node<'a>(
        &'a self,
        arguments: &'a [String],
        output: ChildOutput,
    ) -> LocalFuture<'a, Result<(), Failure>> {
        if self.only_looks() {
            return Box::pin(std::future::ready(Err(self.course.stop())));
        }
        self.host.spawn_node(arguments, output)
    }

    fn ready<'a>(&'a self, callback_port: u16) -> LocalFuture<'a, Result<(), Failure>> {
        self.host.ready(callback_port)
    }

    fn end_of_process<'a>(&'a self, stdin: Stdin) -> LocalFuture<'a, ()> {
        self.host.end_of_process(stdin)
    }
}
