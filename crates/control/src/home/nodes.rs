//! Nodes as the home knows them: their records, processes and logs.

use std::path::PathBuf;
use std::time::Duration;

use ockam_store::{NodeName, NodeRecord, ProcessMark, StoreError};
use rustix::process::{Pid, Signal, kill_process};

use crate::managed::is_strict;
use crate::noun::node::{NodeItem, NodeResources, NodeRoute};
use crate::outcome::{Code, Failure};
use crate::state::{NODE_RUNS, State, refused, status_of};
use crate::value::HostPort;

/// The node of this name, if there is one.
///
/// # Errors
/// The store cannot be read.
pub async fn find(state: &State, name: &NodeName) -> Result<Option<NodeRecord>, Failure> {
    match state.store().node(name).await {
        Ok(node) => Ok(Some(node)),
        Err(StoreError::NoNode(_)) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// Whether a node trusts no project although one of its kind could.
#[cfg(feature = "cli")]
pub(crate) fn is_without_project(node: &NodeRecord) -> bool {
    !node.stands_apart
        && crate::managed::trust_of(node).is_none()
        && crate::managed::authority_of(node).is_none()
}

/// The failure of creating a node that runs.
pub fn already_running(name: &NodeName) -> Failure {
    Failure::new(format!("Node {name} is already running")).help(NODE_RUNS)
}

/// One line of `node list`.
pub fn item(node: &NodeRecord) -> NodeItem {
    let status = status_of(node);
    NodeItem {
        node_name: node.name.to_string(),
        status,
        pid: status.pid(),
        is_default: node.is_default,
    }
}

/// What is known of a node that does not answer.
pub fn stored_resources(node: &NodeRecord) -> NodeResources {
    NodeResources {
        name: node.name.to_string(),
        identity_name: node
            .identity
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        is_default: node.is_default,
        status: status_of(node),
        route: route(node),
        status_endpoint_address: node.status_endpoint.clone(),
        transports: Vec::new(),
        secure_channel_listeners: Vec::new(),
        inlets: Vec::new(),
        outlets: Vec::new(),
        services: Vec::new(),
        strict: is_strict(node),
    }
}

/// How a node is reached on this machine.
pub fn route(node: &NodeRecord) -> NodeRoute {
    let listener: Option<HostPort> = node
        .listener
        .as_deref()
        .and_then(|address| address.parse().ok());
    NodeRoute {
        short: format!("/node/{}", node.name),
        verbose: listener.map(|address| format!("/dnsaddr/localhost/tcp/{}", address.port())),
    }
}

/// Ends the process of a node and marks the node as stopped.
///
/// # Errors
/// The process does not end, or the store cannot be written.
pub async fn stop(state: &State, node: &NodeRecord) -> Result<(), Failure> {
    if let Some(process) = node.process {
        // A node that runs in this very process only loses its mark (spec: command 3.6).
        if process.pid != std::process::id() {
            end(process).await?;
        }
        state
            .store()
            .stop_node(&node.name, Some(process))
            .await
            .map_err(refused)?;
    }
    Ok(())
}

/// Ends a node and forgets it with everything it was asked for.
///
/// # Errors
/// The process does not end, or something of it cannot be removed.
pub async fn delete(state: &State, node: &NodeRecord) -> Result<(), Failure> {
    stop(state, node).await?;
    match state.store().delete_node(&node.name).await {
        // Another command was faster.
        Ok(_) | Err(StoreError::NoNode(_)) => {}
        Err(error) => return Err(refused(error)),
    }
    let socket = state.socket(&node.name)?;
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::internal(
                format!("{} cannot be removed", socket.display()),
                &error,
            ));
        }
        _ => {}
    }
    state
        .home()
        .remove_node_directory(&node.name)
        .map_err(|error| refused(StoreError::Home(error)))
}

/// The log files of a node, oldest first.
///
/// # Errors
/// They cannot be looked for.
pub fn logs(state: &State, name: &NodeName) -> Result<Vec<PathBuf>, Failure> {
    state
        .home()
        .logs(name)
        .map_err(|error| refused(StoreError::Home(error)))
}

/// The newest log file of a node.
///
/// # Errors
/// There is none.
pub fn newest_log(state: &State, name: &NodeName) -> Result<PathBuf, Failure> {
    logs(state, name)?.pop().ok_or_else(|| {
        Failure::coded(
            Code::Internal,
            format!("there is no log file for the node {name}"),
        )
        .help("a node that runs in the foreground has none")
    })
}

/// Asks a process to end, and after five seconds makes it (spec: command 3.6).
pub(crate) async fn end(process: ProcessMark) -> Result<(), Failure> {
    for signal in [Signal::TERM, Signal::KILL] {
        // The mark is looked at before each signal: the number may belong to another process by now.
        if !process.is_running() {
            return Ok(());
        }
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                return Err(Failure::internal(
                    format!("process {} cannot be stopped", process.pid),
                    &error,
                ));
            }
        }
        for _ in 0..POLLS {
            if !process.is_running() {
                return let_go(process).await;
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Err(Failure::coded(
        Code::Internal,
        format!("process {} does not end", process.pid),
    ))
}

/// Waits until a process that ends has let go of its files and sockets, which it does with its last thread.
pub(crate) async fn let_go(process: ProcessMark) -> Result<(), Failure> {
    for _ in 0..POLLS_OF_THE_DEAD {
        if !process.is_ending() {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Failure::coded(
        Code::Internal,
        format!("process {} has ended and does not go away", process.pid),
    ))
}

/// Shorter than the published program's 100 ms: stopping ten nodes should not take a second of waiting.
const POLL: Duration = Duration::from_millis(20);
/// Five seconds in all.
const POLLS: u32 = 250;
/// A minute: what keeps it is a machine that is very busy.
const POLLS_OF_THE_DEAD: u32 = 3000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noun::node::NodeStatus;

    #[test]
    fn a_stopped_node_shows_what_is_stored() {
        let node = NodeRecord {
            name: "n1".parse().expect("a node name"),
            identity: None,
            process: None,
            listener: Some("127.0.0.1:45899".to_owned()),
            status_endpoint: None,
            options: "{}".to_owned(),
            is_default: true,
            stands_apart: false,
        };
        let text = serde_json::to_string(&stored_resources(&node)).expect("plain data");
        assert_eq!(
            text,
            concat!(
                r#"{"name":"n1","identity_name":"","is_default":true,"status":"stopped","#,
                r#""route":{"short":"/node/n1","verbose":"/dnsaddr/localhost/tcp/45899"},"#,
                r#""status_endpoint_address":null,"transports":[],"secure_channel_listeners":[],"#,
                r#""inlets":[],"outlets":[],"services":[]}"#
            )
        );
        assert_eq!(
            serde_json::to_string(&item(&node)).expect("plain data"),
            r#"{"node_name":"n1","status":{"status":"stopped"},"pid":null,"is_default":true}"#
        );
    }

    #[test]
    fn a_running_node_has_its_process_in_both_shapes() {
        let item = NodeItem {
            node_name: "n1".to_owned(),
            status: NodeStatus::Running { pid: 7 },
            pid: Some(7),
            is_default: false,
        };
        assert_eq!(
            serde_json::to_string(&item).expect("plain data"),
            r#"{"node_name":"n1","status":{"status":"running","pid":7},"pid":7,"is_default":false}"#
        );
    }

    #[tokio::test]
    async fn a_process_is_ended() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep starts");
        let mark = ProcessMark::of(child.id()).expect("it runs");
        end(mark).await.expect("it ends");
        assert!(!mark.is_running());
        child.wait().expect("it is collected");
    }
}
