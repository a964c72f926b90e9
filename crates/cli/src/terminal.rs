//! The terminal, the environment and the process, as commands see them.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use ockam_control::{
    ChildOutput, Failure, Host, LocalFuture, Note, Orchestrates, Outcome, Passphrase,
    ProgramVersion, Repeat, Stdin,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::background;
use crate::browser;
use crate::colour::{Colours, tame};
use crate::environment::Environment;
use crate::global::{Globals, Prompts, Quiet};
use crate::printer::{Forms, PrintError, Printer};
use crate::progress::Progress;
use crate::prompt::{self, Unanswered};
use crate::version;

/// What [`Host`] is made of in the command's process.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Variables.
    pub environment: Environment,
    /// Options of every command.
    pub globals: Globals,
    /// Standard output.
    pub printer: Printer,
    /// Colours of standard error.
    pub colours: Colours,
    /// The sign of life.
    pub progress: Progress,
    /// How this process runs.
    pub role: Role,
    /// Whether notes become log lines.
    pub notes: Notes,
    /// The first result that could not be printed.
    pub unprinted: RefCell<Option<PrintError>>,
    /// Passphrases for background nodes.
    pub handed_on: RefCell<Vec<Arc<Passphrase>>>,
}

/// How this process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Somebody waits for it.
    Command,
    /// The process of a background node, with its log file.
    BackgroundNode(Option<PathBuf>),
}

/// Where notes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    /// Standard error.
    Shown,
    /// The log, which goes to the console.
    Logged,
}

impl Terminal {
    /// Writes a line to standard error, unless quiet.
    fn show(&self, icon: &str, text: &str) {
        if self.notes == Notes::Logged {
            tracing::info!(target: "ockam::note", "{}", text.trim());
            return;
        }
        if self.globals.quiet == Quiet::Yes {
            return;
        }
        let line = self.colours.lines(&format!("  {icon} {}\n", tame(text)));
        self.progress.aside(|| {
            // Without standard error there is nobody to tell.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        });
    }

    fn ask<T>(&self, question: impl FnOnce() -> Result<T, Unanswered>) -> Result<T, Failure> {
        self.progress.aside(question).map_err(|why| match why {
            Unanswered::Left => {
                Failure::new(format!("{why}; nothing was changed")).help("Use --yes to confirm")
            }
            Unanswered::Terminal(_) => {
                Failure::internal(why.to_string(), &why).help("Use --yes to confirm")
            }
        })
    }
}

impl Host for Terminal {
    fn home(&self) -> PathBuf {
        self.environment.home()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name)
    }

    fn version(&self) -> ProgramVersion {
        ProgramVersion {
            version: version::VERSION.to_owned(),
            hash: version::HASH.to_owned(),
        }
    }

    fn note(&self, note: Note) {
        match note {
            Note::Done(text) => self.show("✔", &text),
            Note::Info(text) => self.show(">", &text),
            Note::Warning(text) => self.show("!", &text),
            Note::Line(text) => self.show(" ", &text),
        }
    }

    fn is_quiet(&self) -> bool {
        self.globals.quiet == Quiet::Yes
    }

    fn browse(&self, url: &str) -> bool {
        self.can_prompt() && browser::open(&self.environment, url)
    }

    fn waiting(&self, what: &str) {
        self.progress.say(&format!("{what} ..."));
    }

    fn print(&self, outcome: Outcome) {
        let forms = Forms::of(&outcome);
        if let Err(error) = self.progress.aside(|| self.printer.print(&forms)) {
            self.unprinted.borrow_mut().get_or_insert(error);
        }
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        self.progress.end();
        let mut output = io::stdout().lock();
        output.write_all(text)?;
        output.flush()
    }

    fn can_prompt(&self) -> bool {
        self.globals.prompts == Prompts::Allowed && io::stderr().is_terminal()
    }

    fn confirm(&self, question: &str) -> Result<bool, Failure> {
        self.ask(|| prompt::confirm(question, self.colours))
    }

    fn choose(&self, question: &str, items: &[String]) -> Result<Vec<usize>, Failure> {
        self.ask(|| prompt::choose(question, items, self.colours))
    }

    fn passphrase(&self, question: &str, repeat: Repeat) -> Result<Passphrase, Failure> {
        self.progress
            .aside(|| prompt::passphrase(question, repeat, self.colours))
            .map_err(|why| Failure::new(format!("no passphrase was given: {why}")))
    }

    fn read_input(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or_default());
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn hand_on(&self, passphrase: &Arc<Passphrase>) {
        self.handed_on.borrow_mut().push(Arc::clone(passphrase));
    }

    fn orchestrates(&self) -> Option<Arc<dyn Orchestrates>> {
        Some(Arc::new(ockam_orchestrator::Program))
    }

    fn spawn_node<'a>(
        &'a self,
        arguments: &'a [String],
        output: ChildOutput,
    ) -> LocalFuture<'a, Result<(), Failure>> {
        // From here on the child draws on the terminal.
        self.progress.end();
        Box::pin(background::spawn(
            arguments,
            output,
            self.handed_on.borrow().clone(),
            &self.globals,
            &self.environment,
        ))
    }

    fn ready<'a>(&'a self, callback_port: u16) -> LocalFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            self.progress.end();
            background::call_back(callback_port).await?;
            if let Role::BackgroundNode(log) = &self.role
                && let Err(error) = background::let_go(log.as_deref())
            {
                tracing::warn!("the standard streams stay open: {error}");
            }
            tracing::info!("the node is ready");
            Ok(())
        })
    }

    fn end_of_process<'a>(&'a self, stdin: Stdin) -> LocalFuture<'a, ()> {
        self.progress.end();
        Box::pin(async move {
            let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
                signal(SignalKind::hangup()),
            ) else {
                // Then the signals keep their usual meaning and end the process.
                tracing::warn!("signals cannot be waited for");
                return std::future::pending().await;
            };
            let (closed, end_of_input) = oneshot::channel::<()>();
            // The end of the sender is the end of input; kept, it never comes.
            let _kept = match stdin {
                Stdin::Ignore => Some(closed),
                Stdin::EndsProcess => {
                    read_to_end(closed);
                    None
                }
            };
            let reason = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
                _ = end_of_input => "the end of standard input",
            };
            tracing::info!("ended by {reason}");
        })
    }
}

/// Reads standard input on a thread of its own until it ends; the channel closes with it.
fn read_to_end(closed: oneshot::Sender<()>) {
    let reader = std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            // An input that cannot be read has ended.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            drop(closed);
        });
    if reader.is_err() {
        tracing::warn!("standard input cannot be watched");
    }
}
