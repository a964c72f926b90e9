//! Operations can be awaited in tasks that move between threads.

use ockam_store::{Home, IfRunning, NodeStart, Store};

fn spawnable<T>(future: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> + Send + 'static {
    future
}

#[tokio::test]
async fn operations_run_in_spawned_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(directory.path().join("home")).unwrap();
    let work = spawnable(async move {
        let store = Store::open(&home).await?;
        let start = NodeStart {
            name: "n1".parse().unwrap(),
            identity: None,
            process: None,
            listener: None,
            status_endpoint: None,
            options: "{}".into(),
        };
        store.create_node(&start, IfRunning::Refuse).await?;
        store.add_request(&start.name, "relay", "r", "{}").await?;
        store.nodes().await
    });
    assert_eq!(tokio::spawn(work).await.unwrap().unwrap().len(), 1);
}
