//! Background nodes: the parent that starts one, and the child that lets go of the terminal.
//!
//! ```text
//! ockam node create            ockam -vv node create --foreground --child-process --tcp-callback-port P ..
//!   listens on 127.0.0.1:P
//!   starts the child ─────────▶ begins a session of its own, logs to nodes/<name>/
//!   waits                       listens, restores, prints its result on the shared standard output
//!   exits 0 ◀───────────────── connects to P, points descriptors 0 to 2 away from the terminal
//! ```
//!
//! **Invariants**
//! - The parent ends only when the child is ready or gone; an interrupted parent takes the child with it.
//! - The child outlives the terminal and holds none of its descriptors once it is ready.
//!
//! spec: command 3.6

use std::fs::OpenOptions;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ockam_control::{ChildOutput, Code, Failure, Passphrase};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::arguments::CHILD_PROCESS;
use crate::environment::{ENROLLMENT_TICKET, Environment, OCKAM, VAULT_PASSPHRASE_FILE};
use crate::global::{Globals, Quiet};
use crate::logging::open_private;
use crate::pager::locate;

/// Starts a background node and waits until it is ready.
pub(crate) async fn spawn(
    arguments: &[String],
    output: ChildOutput,
    passphrases: Vec<Arc<Passphrase>>,
    globals: &Globals,
    environment: &Environment,
) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::internal("the process of the node could not be started", &error)
    };
    let callback = callback_listener().await.map_err(failed)?;
    let port = callback.local_addr().map_err(failed)?.port();
    let mut command = Command::new(program(environment)?);
    command
        .args(globals.for_child())
        .args([
            "node",
            "create",
            "--foreground",
            CHILD_PROCESS,
            "--tcp-callback-port",
            &port.to_string(),
        ])
        .args(arguments)
        .envs(environment.overlay())
        // spec: command 3.11 (a ticket is redeemed once, by who starts the node)
        .env_remove(ENROLLMENT_TICKET)
        .stdin(Stdio::null());
    if !passphrases.is_empty() {
        // Over a pipe: arguments and variables can be read by others, and stay where they are.
        command
            .env(VAULT_PASSPHRASE_FILE, "-")
            .stdin(Stdio::piped());
    }
    if globals.quiet == Quiet::Yes || output == ChildOutput::Discard {
        command.stdout(Stdio::null());
    }
    if globals.quiet == Quiet::Yes {
        command.stderr(Stdio::null());
    }
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        for passphrase in &passphrases {
            // A child that does not read has a reason, and says it.
            let _ = pipe.write_all(passphrase.expose().as_bytes()).await;
            let _ = pipe.write_all(b"\n").await;
        }
    }
    let status = tokio::select! {
        connection = callback.accept() => return connection.map(drop).map_err(failed),
        status = child.wait() => status.map_err(failed)?,
        _ = interrupted.recv() => return Err(abandon(child, 2).await),
        _ = terminated.recv() => return Err(abandon(child, 15).await),
    };
    if status.success() {
        Ok(())
    } else {
        Err(ended(status))
    }
}

/// Listens where the child calls back.
///
/// What the node listened on before it stopped is free at this moment, and taken from the child if it is chosen here. Linux
/// gives odd ports to whoever listens on any port, as the node did; so this is the even one beside it, if that is free.
async fn callback_listener() -> io::Result<TcpListener> {
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let beside = any.local_addr()?.port() & !1;
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, beside))
        .await
        .unwrap_or(any))
}

/// The parent was told to stop: the child, in its own session, was not.
async fn abandon(mut child: tokio::process::Child, signal: u8) -> Failure {
    if let Some(process) = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?))
    {
        // A child that is gone already needs no signal.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    let mut failure = Failure::new("interrupted");
    failure.exit = Some(128 + signal);
    failure
}

/// A child that failed has said why; only its exit code is left to pass on.
fn ended(status: ExitStatus) -> Failure {
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => {
            let mut failure = Failure::new("the process of the node failed");
            failure.exit = Some(code);
            failure
        }
        None => {
            let signal = status.signal().map_or_else(
                || "a signal".to_owned(),
                |number| format!("signal {number}"),
            );
            Failure::coded(
                Code::Internal,
                format!("the process of the node was ended by {signal}"),
            )
        }
    }
}

/// The program that runs background nodes: this one, else `$OCKAM`, else `ockam` of the search path.
fn program(environment: &Environment) -> Result<PathBuf, Failure> {
    // A running program that was replaced on disk has no path of its own any more.
    if let Some(path) = std::env::current_exe().ok().filter(|path| path.is_file()) {
        return Ok(path);
    }
    let named = environment.get(OCKAM).filter(|name| !name.is_empty());
    named
        .as_deref()
        .and_then(|name| locate(name, environment))
        .or_else(|| locate("ockam", environment))
        .ok_or_else(|| {
            Failure::coded(
                Code::Internal,
                "the program for background nodes was not found",
            )
            .help("set OCKAM to the path of the `ockam` program")
        })
}

/// Leaves the session of the terminal, and whatever else the command that started it had open: a lock or a pipe would be held
/// for as long as the node lives. Called first in a child, before it opens anything or has threads.
pub(crate) fn leave_session() {
    let open: Vec<i32> = std::fs::read_dir("/dev/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one that the list was read through is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    // Fails only for the leader of a process group; then the process was started by hand and stays where it is.
    let _ = rustix::process::setsid();
}

/// Tells the parent that the node is ready.
pub(crate) async fn call_back(port: u16) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::internal(
            format!("the command that started this node does not listen on port {port}"),
            &error,
        )
    };
    let connection = timeout(PATIENCE, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await;
    connection
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map(drop)
        .map_err(failed)
}

/// Points descriptor 0 to nothing, 1 and 2 to the log file, so that whoever reads the parent's output sees its end.
pub(crate) fn let_go(log: Option<&Path>) -> io::Result<()> {
    let nothing = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let output = match log {
        Some(path) => open_private(path)?,
        None => nothing.try_clone()?,
    };
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&output)?;
    rustix::stdio::dup2_stderr(&output)?;
    Ok(())
}

/// How long the other process may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_failed_child_is_passed_on() {
        assert_eq!(ended(ExitStatus::from_raw(70 << 8)).exit, Some(70));
        let killed = ended(ExitStatus::from_raw(9));
        assert_eq!(killed.exit, None);
        assert!(killed.message.contains("signal 9"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_parent_that_is_gone_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(call_back(port).await.is_ok());
        drop(listener);
        assert!(
            call_back(port)
                .await
                .unwrap_err()
                .message
                .contains(&port.to_string())
        );
    }
}
