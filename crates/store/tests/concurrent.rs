//! Many processes and tasks on one home, and processes killed in the middle.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and show what they measured"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ockam_store::{Home, IfRunning, NodeName, NodeStart, ProcessMark, Store};

/// A home whose path is as long as paths get in practice; one of 200 characters must work.
fn deep_home(base: &Path) -> PathBuf {
    let mut path = base.join("h".repeat(100));
    while path.as_os_str().len() < 200 {
        path.push("d".repeat(50));
    }
    path
}

fn start(name: &str) -> NodeStart {
    NodeStart {
        name: name.parse().unwrap(),
        identity: None,
        process: Some(ProcessMark::current()),
        listener: Some("127.0.0.1:4000".into()),
        status_endpoint: None,
        options: "{}".into(),
    }
}

/// Runs the test `role` of this very program in a process of its own.
fn spawn(role: &str, home: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            role,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(HOME, home)
        .env(NUMBER, number.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "run by two_hundred_processes_share_a_home_that_is_not_there_yet"]
fn one_of_many() {
    runtime().block_on(async {
        let home = Home::open(std::env::var_os(HOME).unwrap()).unwrap();
        let number = std::env::var(NUMBER).unwrap();
        let store = Store::open(&home).await.unwrap();
        let node = start(&format!("n{number}"));
        store.create_node(&node, IfRunning::Refuse).await.unwrap();
        store.vault_or_only(None).await.unwrap();
        for name in ["a", "b"] {
            store
                .put_request(&node.name, "relay", name, "{}")
                .await
                .unwrap();
        }
        assert!(
            store
                .nodes()
                .await
                .unwrap()
                .iter()
                .any(|found| found.name == node.name)
        );
    });
}

#[test]
fn two_hundred_processes_share_a_home_that_is_not_there_yet() {
    let base = tempfile::tempdir().unwrap();
    let path = deep_home(base.path());
    let begin = Instant::now();
    let children: Vec<Child> = (0..200)
        .map(|number| spawn("one_of_many", &path, number))
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    println!("200 processes: {:?}", begin.elapsed());
    runtime().block_on(async {
        let store = Store::open(&Home::open(&path).unwrap()).await.unwrap();
        let nodes = store.nodes().await.unwrap();
        assert_eq!(nodes.len(), 200);
        assert_eq!(nodes.iter().filter(|node| node.is_default).count(), 1);
        assert_eq!(store.vaults().await.unwrap().len(), 1);
        for node in nodes {
            assert_eq!(store.requests(&node.name).await.unwrap().len(), 2);
        }
    });
}

#[test]
#[ignore = "run by a_process_killed_at_any_point_leaves_whole_transactions"]
fn writes_until_killed() {
    runtime().block_on(async {
        let home = Home::open(std::env::var_os(HOME).unwrap()).unwrap();
        let store = Store::open(&home).await.unwrap();
        let number = std::env::var(NUMBER).unwrap();
        for round in 0.. {
            let name: NodeName = format!("n{number}-{}", round % 3).parse().unwrap();
            store
                .create_node(&start(name.as_str()), IfRunning::TakeOver)
                .await
                .unwrap();
            store
                .put_request(&name, "relay", &format!("r{round}"), "{}")
                .await
                .unwrap();
            if round % 5 == 0 {
                store.delete_node(&name).await.unwrap();
            }
        }
    });
}

#[test]
fn a_process_killed_at_any_point_leaves_whole_transactions() {
    let base = tempfile::tempdir().unwrap();
    for round in 0..25_u64 {
        // Every fifth home is new, so that creation is cut short too.
        let path = base.path().join(format!("home{}", round / 5));
        let mut children: Vec<Child> = (0..3)
            .map(|number| spawn("writes_until_killed", &path, number))
            .collect();
        std::thread::sleep(Duration::from_millis(round * 7 % 60));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        runtime().block_on(async {
            let store = Store::open(&Home::open(&path).unwrap()).await.unwrap();
            let nodes = store.nodes().await.unwrap();
            let defaults = nodes.iter().filter(|node| node.is_default).count();
            assert_eq!(defaults, usize::from(!nodes.is_empty()));
            store
                .create_node(&start("after"), IfRunning::Refuse)
                .await
                .unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_stores_in_one_process_share_a_home_that_is_not_there_yet() {
    let base = tempfile::tempdir().unwrap();
    let path = deep_home(base.path());
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = Store::open(&Home::open(&path).unwrap()).await?;
                let node = start(&format!("n{}", number % 10));
                store.create_node(&node, IfRunning::Refuse).await?;
                store
                    .put_request(&node.name, "relay", &number.to_string(), "{}")
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let store = Store::open(&Home::open(&path).unwrap()).await.unwrap();
    let mut requests = 0;
    for node in store.nodes().await.unwrap() {
        requests += store.requests(&node.name).await.unwrap().len();
    }
    assert_eq!(requests, 100);
}

#[tokio::test]
async fn a_list_takes_milliseconds() {
    let base = tempfile::tempdir().unwrap();
    let home = Home::open(base.path()).unwrap();
    let store = Store::open(&home).await.unwrap();
    for number in 0..100 {
        store
            .create_node(&start(&format!("n{number}")), IfRunning::Refuse)
            .await
            .unwrap();
    }
    store.close().await;
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begin = Instant::now();
        let home = Home::open(base.path()).unwrap();
        let opened = Store::open(&home).await.unwrap();
        assert_eq!(opened.nodes().await.unwrap().len(), 100);
        best = best.min(begin.elapsed());
    }
    println!("open and list 100 nodes: {best:?}");
    // An optimised build needs about a tenth; this notices a mistake, not noise.
    assert!(best < Duration::from_millis(50), "{best:?}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

const HOME: &str = "STORE_TEST_HOME";
const NUMBER: &str = "STORE_TEST_NUMBER";
