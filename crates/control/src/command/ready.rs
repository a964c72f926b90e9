//! Waiting until a project can be used. `spec: trust 9.4`

use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::ConnectOptions;
use tokio::time::{Instant, sleep};

use crate::command::Session;
use crate::controller::client::{Asked, ControllerClient};
use crate::controller::message::{Operation, OperationStatus, Project};
use crate::ephemeral::ends_at_listener;
use crate::outcome::{Code, Failure};

/// Waits until the controller has made a project, and its node and its authority are reached.
///
/// # Errors
/// It was not made, takes too long, or somebody else is where it should be.
pub(super) async fn until_ready(
    session: &Session<'_>,
    client: &ControllerClient,
    project: Project,
) -> Result<Project, Failure> {
    let name = project.name.clone();
    session
        .host
        .waiting(&format!("Waiting for the project {name} to be ready"));
    let ready = told_ready(client, project).await?;
    let details = ready
        .details()
        .verify(ockam_vault::fast())
        .map_err(|error| {
            Failure::internal(format!("what the project {name} is does not hold"), &error)
        })?;
    let node = details.identity().copied();
    let authority = details.authority().map(|history| *history.identifier());
    session
        .host
        .waiting(&format!("Reaching the node of the project {name}"));
    reach(client, "node", &ready.access_route, node, &name).await?;
    session
        .host
        .waiting(&format!("Reaching the authority of the project {name}"));
    let route = details.authority_route().unwrap_or_default();
    reach(client, "authority", route, authority, &name).await?;
    Ok(ready)
}

/// Asks until the controller says that it is ready. That it is not reached for a while is no reason to give up.
///
/// # Errors
/// It was not made, or takes too long.
pub(super) async fn told_ready(
    client: &ControllerClient,
    mut project: Project,
) -> Result<Project, Failure> {
    let object = format!("the project {}, whose id is {}", project.name, project.id);
    let what = format!("the project {} is not ready", project.name);
    let deadline = Instant::now() + LIMIT;
    let mut pause = FIRST_PAUSE;
    loop {
        let under_way = match &project.operation_id {
            None => false,
            Some(operation) => match client.operation(operation).await {
                Ok(Some(operation)) if operation.status == OperationStatus::Failed => {
                    return Err(Failure::coded(Code::Internal, what)
                        .cause("the controller says that it failed to make it")
                        .help("delete it with `ockam project delete SPACE PROJECT` and create it again"));
                }
                Ok(Some(operation)) => operation.status == OperationStatus::Started,
                Ok(None) => false,
                Err(error) if error.is_unavailable() => true,
                Err(error) => return Err(client.failed(&what, &object, &error)),
            },
        };
        if !under_way {
            if project.is_ready() {
                return Ok(project);
            }
            match client.project(&project.id).await {
                Ok(told) if told.is_ready() => return Ok(told),
                Ok(told) => project = told,
                Err(error) if error.is_unavailable() => {}
                Err(error) => return Err(client.failed(&what, &object, &error)),
            }
        }
        if Instant::now() + pause > deadline {
            return Err(Failure::coded(Code::Unavailable, what)
                .cause(format!("it was not within {} seconds", LIMIT.as_secs()))
                .help(
                    "`ockam project show` says how far it is; the controller goes on making it",
                ));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn reach(
    client: &ControllerClient,
    whose: &str,
    route: &str,
    who: Option<Identifier>,
    name: &str,
) -> Result<(), Failure> {
    let unreached = || {
        Failure::coded(
            Code::Unavailable,
            format!("the {whose} of the project {name} is not reached at {route}"),
        )
    };
    let who = who.ok_or_else(|| unreached().cause("who it is, is not known"))?;
    let parsed = route
        .parse()
        .map_err(|error: ockam_wire::MultiAddrError| unreached().caused_by(&error))?;
    let options = ConnectOptions {
        identity: client.client().identity.clone(),
        authorized: vec![who],
        timeout: client.client().timeout,
    };
    let way = ends_at_listener(&parsed)?;
    let node = &client.client().node;
    let connection = node.connect(&way, options).await.map_err(|error| {
        unreached().caused_by(&error).help(
            "the project is there; look whether that address is the one under which others reach the Orchestrator \
             (`ockam orchestrator start --help`)",
        )
    })?;
    connection.close().await;
    Ok(())
}

/// Asks until an operation has ended, or it has taken too long: then it is given as it is.
pub(super) async fn until_ended(
    client: &ControllerClient,
    mut operation: Operation,
) -> Asked<Operation> {
    let deadline = Instant::now() + LIMIT;
    let mut pause = FIRST_PAUSE;
    while operation.status == OperationStatus::Started && Instant::now() + pause < deadline {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match client.operation(&operation.id).await {
            Ok(Some(told)) => operation = told,
            // It is not kept any longer.
            Ok(None) => operation.status = OperationStatus::Succeeded,
            Err(error) if error.is_unavailable() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(operation)
}

const LIMIT: Duration = Duration::from_secs(600);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
