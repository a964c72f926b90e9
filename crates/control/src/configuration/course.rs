//! How a front half runs when a configuration asks for it.
//!
//! Typed commands create. A configuration is first checked, may be compared with what there is, and is then applied: what is
//! there already and the same stays as it is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::command::{ChildOutput, Host, LocalFuture, Note, Stdin};
use crate::noun::status::ProgramVersion;
use crate::outcome::{Failure, Outcome};
use crate::resource::Change;
use crate::table::Noun;

/// One run of a front half, and what came of it.
#[derive(Debug)]
pub(crate) struct Course {
    mode: Mode,
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
        Arc::new(Self {
            mode,
            stopped: AtomicBool::new(false),
            changes: Mutex::default(),
        })
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

/// A host that says nothing and starts nothing.
#[allow(
    missing_debug_implementations,
    reason = "the host is a trait object without state worth showing"
)]
pub(crate) struct Muted<'h>(pub(crate) &'h dyn Host);

impl Host for Muted<'_> {
    fn home(&self) -> PathBuf {
        self.0.home()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }

    fn version(&self) -> ProgramVersion {
        self.0.version()
    }

    fn note(&self, _: Note) {}

    fn print(&self, _: Outcome) {}

    fn write(&self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn can_prompt(&self) -> bool {
        false
    }

    fn confirm(&self, _: &str) -> Result<bool, Failure> {
        Ok(false)
    }

    fn choose(&self, _: &str, _: &[String]) -> Result<Vec<usize>, Failure> {
        Ok(Vec::new())
    }

    fn spawn_node<'a>(
        &'a self,
        _: &'a [String],
        _: ChildOutput,
    ) -> LocalFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Err(Failure::new(
            "no node is started while a configuration is looked at",
        ))))
    }

    fn ready<'a>(&'a self, _: u16) -> LocalFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn end_of_process<'a>(&'a self, _: Stdin) -> LocalFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
