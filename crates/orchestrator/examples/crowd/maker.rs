//! Some who make many projects.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_control::controller::ControllerPlace;
use ockam_control::controller::client::ControllerClient;
use ockam_control::controller::message::{CreateProject, CreateSpace};
use ockam_control::{Email, JoinString};
use ockam_node::{FixedIdentity, Node, NodeOptions};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Failure, number, spread, text};

/// Some who are enrolled with an Orchestrator: it lets one of them ask so often, and not more.
pub(crate) struct Makers {
    clients: Vec<ControllerClient>,
}

impl Makers {
    /// So many enroll, with the join string that holds a code.
    pub(crate) async fn enroll(order: &Value) -> Result<Self, Failure> {
        let join: JoinString = text(order, "join")?.parse()?;
        let code = join.code.ok_or("the join string has no code")?;
        let mut clients = Vec::new();
        for _ in 0..number(order, "makers")? {
            let node = Node::new(NodeOptions::default());
            let own = Arc::new(FixedIdentity::from(node.ephemeral_identity()?));
            let place = ControllerPlace {
                route: join.route.clone(),
                identifier: join.identifier,
            };
            let client = ControllerClient::new(node, own, place, PATIENCE);
            client.enroll_with_code(&code).await?;
            clients.push(client);
        }
        Ok(Self { clients })
    }

    fn first(&self) -> Result<&ControllerClient, Failure> {
        Ok(self.clients.first().ok_or("there are no makers")?)
    }

    /// Makes a space and projects in it; others administer it too.
    pub(crate) async fn create(&self, order: &Value) -> Result<Value, Failure> {
        let (count, at_once) = (number(order, "projects")?, number(order, "at_once")?);
        let emails = order.get("admins").and_then(Value::as_array);
        let emails = emails.into_iter().flatten().filter_map(Value::as_str);
        let mut users = emails.map(str::parse).collect::<Result<Vec<Email>, _>>()?;
        for client in &self.clients {
            users.push(client.me().await?.email.parse()?);
        }
        let space = CreateSpace {
            name: text(order, "space")?.to_owned(),
            users,
        };
        let space = self.first()?.create_space(&space).await?;
        let room = Arc::new(Semaphore::new(at_once));
        let began = Instant::now();
        let mut making = JoinSet::new();
        let mut took = Vec::new();
        for (number, client) in (0..count).zip(self.clients.iter().cycle()) {
            let permit = room.clone().acquire_owned().await?;
            let (client, space) = (client.clone(), space.id.clone());
            making.spawn(async move {
                let began = Instant::now();
                let project = CreateProject {
                    name: format!("p{number}"),
                    users: Vec::new(),
                };
                let made = client.create_project(&space, &project).await;
                drop(permit);
                made.map(|_| began.elapsed().as_secs_f64())
            });
            while let Some(made) = making.try_join_next() {
                took.push(made??);
            }
        }
        while let Some(made) = making.join_next().await {
            took.push(made??);
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok(
            json!({ "space": space.id, "made": took.len(), "seconds": seconds, "one": spread(took) }),
        )
    }

    /// Lists all projects.
    pub(crate) async fn list(&self) -> Result<Value, Failure> {
        let began = Instant::now();
        let projects = self.first()?.projects().await?;
        let seconds = began.elapsed().as_secs_f64();
        let distinct: BTreeSet<&str> = projects.iter().map(|project| project.id.as_str()).collect();
        let ready = projects.iter().filter(|project| project.is_ready()).count();
        Ok(json!({ "projects": distinct.len(), "ready": ready, "seconds": seconds }))
    }
}

/// How long one request may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
