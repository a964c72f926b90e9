//! How much memory and time hosted projects take: `bench/projects` shows the figures.
//!
//! Arguments: how many projects are stored, how many of them are started.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "it prints figures and ends when something fails"
)]

use std::time::{Duration, Instant};

use ockam_control::State;
use ockam_control::identities::{self, IdentitySpec};
use ockam_node::{ConnectOptions, FixedIdentity, Node, NodeOptions};
use ockam_orchestrator::projects::{HostedProject, NewProject, Projects, ProjectsOptions};
use ockam_wire::{MultiAddr, Protocol};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual| {
        arguments
            .next()
            .map_or(usual, |text| text.parse().expect("a number"))
    };
    let (stored, started) = (number(10_000), number(100));

    let home = tempfile::tempdir().expect("a directory");
    let state = State::open(&home.path().join("home"), None)
        .await
        .expect("it opens");
    let controller = identities::create(&state, IdentitySpec::default())
        .await
        .expect("it is made");
    let controller = controller.into_record();
    let history = controller
        .history
        .verify(ockam_vault::fast(), Some(&controller.identifier))
        .expect("it is good");
    let outer = Node::new(NodeOptions::default());
    let listener = outer.tcp_listen("127.0.0.1:0").await.expect("it listens");
    let public = format!("/ip4/127.0.0.1/tcp/{}", listener.address().port());
    let options = ProjectsOptions::new(public.parse().expect("an address"), history);
    let projects = Projects::open(&outer, &state, options)
        .await
        .expect("it opens");
    projects.open_to(listener.flow());
    println!("no project                    {:>7} KiB", resident());

    let begun = Instant::now();
    let mut ids = Vec::new();
    for _ in 0..stored {
        let made = projects
            .create(NewProject { id: None })
            .await
            .expect("it is made");
        ids.push(made.id.to_string());
    }
    let each = begun.elapsed() / u32::try_from(stored.max(1)).expect("it fits");
    println!(
        "{stored:>5} stored, none started   {:>7} KiB, made in {each:?} each",
        resident()
    );

    let begun = Instant::now();
    let all = projects.describe_many(&ids).await.expect("they are read");
    println!(
        "{:>5} described                 in {:?}",
        all.len(),
        begun.elapsed()
    );
    drop(all);

    let before = resident();
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    for id in ids.iter().take(started) {
        let project = projects.describe(id).await.expect("it is there");
        let begun = Instant::now();
        come(&project).await;
        longest = longest.max(begun.elapsed());
    }
    let running = projects.counts().started;
    let took = begun.elapsed();
    let after = resident();
    let each = after.saturating_sub(before) / running.max(1);
    println!(
        "{running:>5} started                {after:>7} KiB ({each} KiB each), by a handshake each: {took:?}, at most {longest:?}"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (ticks, begun) = (processor_ticks(), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!(
        "{running:>5} started and idle       {:.1} % of a processor",
        f64::from(processor_ticks() - ticks) / begun.elapsed().as_secs_f64()
    );
}

/// A channel with the node of a project, which is closed again.
async fn come(project: &HostedProject) {
    let node = Node::new(NodeOptions::default());
    let identity = FixedIdentity::from(node.ephemeral_identity().expect("an identity"));
    let (_, way) = project
        .access_route
        .protocols()
        .split_last()
        .expect("a route");
    let listener = Protocol::Secure("api".to_owned());
    let route = MultiAddr::new(way.iter().cloned().chain([listener])).expect("a route");
    let options = ConnectOptions {
        identity: std::sync::Arc::new(identity),
        authorized: vec![project.identity],
        timeout: Duration::from_secs(10),
    };
    let connection = node
        .connect(&route, options)
        .await
        .expect("somebody is there");
    connection.close().await;
    node.shutdown().await;
}

/// KiB of memory that the process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// Hundredths of a second that the process has computed.
fn processor_ticks() -> u32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<u32>().ok())
            .unwrap_or(0)
    };
    ticks(11) + ticks(12)
}
