//! The `ockam` command.
//!
//! Purpose: arguments, terminal and processes around the table of resources of `ockam_control`. What commands do is not
//! decided here.
//!
//! Order of work (spec: command 3.1): substitution from standard input, version, `--env`, parsing, logging, the command.
//!
//! **Invariants**
//! - No runtime, database or network is touched before a command needs it; help, version and completion never do.
//! - Results go to standard output through [`printer::Printer`], everything else to standard error.
//! - The process environment is never written.

mod arguments;
mod background;
mod browser;
mod colour;
mod command;
mod completion;
mod environment;
mod filter;
mod global;
mod help;
mod json;
mod logging;
mod manual;
mod own;
mod pager;
mod printer;
mod progress;
mod prompt;
mod report;
mod suggestion;
mod terminal;
mod version;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use ockam_control::{Failure, Host as _, Note, Session};

use crate::arguments::{CHILD_PROCESS, Prepared};
use crate::colour::Colours;
use crate::environment::Environment;
use crate::global::{Globals, Quiet};
use crate::help::Streams;
use crate::logging::Sink;
use crate::own::{Own, Said};
use crate::printer::{Destination, Format, Forms, PrintError};
use crate::progress::Progress;
use crate::report::Marks;
use crate::terminal::{Notes, Role, Terminal};

/// Blocks that a busy stream has just let go of are used again, without a way to the kernel.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut environment = Environment::default();
    let words: Vec<OsString> = std::env::args_os().collect();
    if completion::answer(&words, &environment).is_some() {
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == CHILD_PROCESS) {
        background::leave_session();
    }
    let no_color = words.iter().any(|word| word == "--no-color");
    if io::stdin().is_terminal()
        && !words.iter().any(|word| word == "-q" || word == "--quiet")
        && let Some(word) = arguments::takes_line(&words)
    {
        // Nobody should wonder what the program waits for. Without standard error there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "  > `{word}` takes a route from standard input: type one, then enter"
        );
    }
    // Not a temporary of the `match`: standard input would stay locked while the command runs.
    let prepared = arguments::prepare(words, &mut io::stdin().lock(), &mut environment);
    let code = match prepared {
        Ok(Prepared::Version) => match pager::write_out(&version::lines()) {
            Ok(()) => 0,
            Err(error) => {
                let colours = Colours::of(io::stderr().is_terminal(), no_color, &environment);
                unwritten(&error, |failure| complain(failure, colours))
            }
        },
        Ok(Prepared::Words(words)) => start(words, no_color, environment),
        Err(error) => {
            let colours = Colours::of(io::stderr().is_terminal(), no_color, &environment);
            complain(&Failure::new(error.to_string()), colours)
        }
    };
    ExitCode::from(code)
}

/// Parses the words and runs the command.
fn start(words: Vec<OsString>, no_color: bool, environment: Environment) -> u8 {
    let terminal = io::stdout().is_terminal();
    let streams = Streams {
        terminal,
        output: Colours::of(terminal, no_color, &environment),
        error: Colours::of(io::stderr().is_terminal(), no_color, &environment),
    };
    let parsed = command::parse(&words, &environment).map_err(|(mut error, root)| {
        suggestion::improve(&mut error, &root, &words);
        error
    });
    let parsed = parsed
        .and_then(|matches| Globals::of(&matches, &environment).map(|globals| (matches, globals)));
    let (matches, globals) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return help::show(&error, streams, &environment),
    };
    if globals.parse_only() {
        return 0;
    }
    let (words, leaf) = command::leaf(&matches);
    match words.as_slice() {
        [single] if let Some(own) = own::find(single) => {
            tell(own, leaf, &globals, streams, &environment)
        }
        words => run(words, leaf, globals, environment),
    }
}

/// Carries out a command of the command line itself.
fn tell(
    own: &Own,
    matches: &clap::ArgMatches,
    globals: &Globals,
    streams: Streams,
    environment: &Environment,
) -> u8 {
    let destination = destination();
    let said = globals
        .printer(destination, environment)
        .map_err(|error| Failure::new(error.to_string()))
        .and_then(|printer| Ok((printer, (own.run)(matches, environment)?)));
    let written = match said {
        Ok((_, Said::Text(text))) => pager::write_out(&text).map_err(PrintError::Write),
        Ok((printer, Said::Page(page))) if printer.format == Format::Plain => {
            help::page(&page.plain, streams, environment).map_err(PrintError::Write)
        }
        Ok((printer, Said::Page(outcome) | Said::Result(outcome))) => {
            printer.print(&Forms::of(&outcome))
        }
        Err(failure) if globals.quiet == Quiet::Yes => {
            return failure.exit.unwrap_or(report::FAILED);
        }
        Err(failure) => {
            return complain(
                &failure,
                globals.colours(io::stderr().is_terminal(), environment),
            );
        }
    };
    match written {
        Ok(()) => 0,
        Err(PrintError::Filter(error)) => complain(
            &Failure::new(error.to_string()),
            globals.colours(io::stderr().is_terminal(), environment),
        ),
        Err(PrintError::Write(_)) if globals.quiet == Quiet::Yes => report::FAILED,
        Err(PrintError::Write(error)) => unwritten(&error, |failure| {
            complain(
                failure,
                globals.colours(io::stderr().is_terminal(), environment),
            )
        }),
    }
}

fn destination() -> Destination {
    if io::stdout().is_terminal() {
        Destination::Terminal
    } else {
        Destination::Pipe
    }
}

/// Runs a command of the table.
fn run(
    words: &[&str],
    matches: &clap::ArgMatches,
    globals: Globals,
    environment: Environment,
) -> u8 {
    let error_colours = globals.colours(io::stderr().is_terminal(), &environment);
    let quiet = globals.quiet;
    let complain = |failure: &Failure| match (failure.exit, quiet) {
        (Some(code), _) => code,
        (None, Quiet::Yes) => report::FAILED,
        (None, Quiet::No) => complain(failure, error_colours),
    };
    match prepare(words, matches, globals, environment) {
        Ok((terminal, runtime, command)) => {
            let session = Session::new(&terminal);
            let result = runtime.block_on((command.run)(matches, &session));
            terminal.progress.end();
            let unprinted = terminal.unprinted.take();
            let code = match (result, unprinted) {
                (Ok(()), None) => 0,
                (Err(failure), _) => {
                    tracing::error!("{}", failure.message);
                    complain(&failure)
                }
                (Ok(()), Some(PrintError::Filter(error))) => {
                    complain(&Failure::new(error.to_string()))
                }
                (Ok(()), Some(PrintError::Write(error))) => unwritten(&error, complain),
            };
            // Tasks that block on a file or a name lookup do not hold up the end of the process.
            runtime.shutdown_background();
            code
        }
        Err(failure) => complain(&failure),
    }
}

/// Everything a command runs in.
fn prepare(
    words: &[&str],
    matches: &clap::ArgMatches,
    globals: Globals,
    environment: Environment,
) -> Result<
    (
        Terminal,
        tokio::runtime::Runtime,
        &'static ockam_control::Command,
    ),
    Failure,
> {
    let command = ockam_control::command_of_words(words)
        .ok_or_else(|| Failure::new(format!("`ockam {}` is not a command", words.join(" "))))?;

    let printer = globals
        .printer(destination(), &environment)
        .map_err(|error| Failure::new(error.to_string()))?;

    let child = flag(matches, "child_process");
    let node = child.then(|| text(matches, "name_or_configuration").unwrap_or_default());
    let sink = Sink::of(
        node.as_deref(),
        &words.join(" "),
        globals.verbosity(),
        &environment,
    );
    let log = logging::start(&sink, globals.verbosity(), printer.colours, &environment)
        .map_err(|error| Failure::internal("the log file cannot be written", &error))?;

    // Only the name of the command: arguments may be secrets.
    tracing::debug!(process = std::process::id(), "{} begins", words.join(" "));

    // A configuration may say that the node runs here.
    let configured = text(matches, "configuration").is_some()
        || text(matches, "name_or_configuration")
            .is_some_and(|name| ockam_control::is_configuration(&name));
    let runtime = runtime(flag(matches, "foreground") || configured)
        .map_err(|error| Failure::internal("the runtime could not be started", &error))?;

    // A child draws for its parent; its `-vv` goes to a file.
    let drawn = io::stderr().is_terminal()
        && globals.quiet == Quiet::No
        && (child || globals.verbosity() == 0);
    let title = format!("{} {}", words.join(" "), "...");
    let terminal = Terminal {
        colours: globals.colours(io::stderr().is_terminal(), &environment),
        progress: Progress::start(drawn.then_some(title.as_str())),
        role: if child {
            Role::BackgroundNode(log)
        } else {
            Role::Command
        },
        notes: if sink == Sink::Console {
            Notes::Logged
        } else {
            Notes::Shown
        },
        unprinted: RefCell::new(None),
        handed_on: RefCell::default(),
        environment,
        globals,
        printer,
    };
    if terminal.globals.pretty() {
        terminal.note(Note::Warning(
            "--pretty has no effect: JSON is pretty unless --compact-output is given".to_owned(),
        ));
    }
    Ok((terminal, runtime, command))
}

/// A node uses every core; a command that only asks one needs no threads.
fn runtime(node: bool) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = if node {
        allow_many_descriptors();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // Room that is taken only when it is used: a build for debugging needs more than 2 MiB to ask a database server.
        builder.thread_stack_size(8 * 1024 * 1024);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}

/// Takes all descriptors that the system grants this process: many get a small number to begin with, for programs that
/// cannot handle more, and each connection of a portal needs one.
fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        tracing::debug!("the number of descriptors stays as it is: {error}");
    }
}

/// Says that a result was not written. Who closed the pipe does not want to hear more.
fn unwritten(error: &io::Error, complain: impl FnOnce(&Failure) -> u8) -> u8 {
    match error.kind() {
        io::ErrorKind::BrokenPipe => report::FAILED,
        _ => complain(&Failure::internal("the result could not be written", error)),
    }
}

/// Writes the report of a failure to standard error.
fn complain(failure: &Failure, colours: Colours) -> u8 {
    let marks = if io::stderr().is_terminal() {
        Marks::Drawn
    } else {
        Marks::Ascii
    };
    let text = report::render(failure, marks, colours);
    // Without standard error there is nobody to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    report::FAILED
}

/// A switch of a command that may not have it.
fn flag(matches: &clap::ArgMatches, id: &str) -> bool {
    matches
        .try_get_one::<bool>(id)
        .ok()
        .flatten()
        .copied()
        .unwrap_or(false)
}

/// A text of a command that may not have it.
fn text(matches: &clap::ArgMatches, id: &str) -> Option<String> {
    matches.try_get_one::<String>(id).ok().flatten().cloned()
}
