//! One test's world: its directory, its homes and whatever runs in them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::home::Home;
use crate::process;

/// A temporary directory with homes below it. Dropping it ends every process that has a home below it.
pub(crate) struct Trial {
    directory: tempfile::TempDir,
    homes: RefCell<Vec<Home>>,
    _turn: Turn,
}

impl Trial {
    /// A trial that runs beside others.
    pub(crate) fn beside_others() -> Self {
        Self::new(Turn::Shared(
            TURNS.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// A trial that measures times or memory, or loads the machine, and therefore waits until it is alone.
    pub(crate) fn alone() -> Self {
        Self::new(Turn::Alone(
            TURNS.write().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    fn new(turn: Turn) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ockam-trouble-")
            .tempdir()
            .unwrap();
        Self {
            directory,
            homes: RefCell::default(),
            _turn: turn,
        }
    }

    /// The home of one user, or of one machine.
    pub(crate) fn home(&self, name: &str) -> Home {
        self.home_at(self.directory.path().join(name))
    }

    /// A home at a path of the test's own choice, which must be below [`Self::directory`].
    pub(crate) fn home_at(&self, path: PathBuf) -> Home {
        assert!(path.starts_with(self.directory()));
        let home = Home::new(path, self.directory());
        self.homes.borrow_mut().push(home.clone());
        home
    }

    /// The directory of this trial.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Both the environment of a node and, after its start, its working files name the home.
        process::kill_all_that_mention(self.directory());
        if std::thread::panicking() {
            for home in self.homes.borrow().iter() {
                home.print_logs();
            }
        }
    }
}

/// Several trials run at a time, but those that measure run alone.
enum Turn {
    Shared(#[expect(dead_code, reason = "held for its drop")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held for its drop")] RwLockWriteGuard<'static, ()>),
}

static TURNS: RwLock<()> = RwLock::new(());
