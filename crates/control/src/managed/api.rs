//! The routes of the control API; what they are made of is in `server`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};

use crate::ephemeral;
use crate::managed::Managed;
use crate::managed::registry::Made;
use crate::noun::flow_control::ConsumerSpec;
use crate::noun::message::{MessageReply, MessageSpec};
use crate::noun::policy::{Policies, PolicyQuestion};
use crate::noun::relay::Relay;
use crate::noun::secure_channel::SecureChannel;
use crate::noun::secure_channel_listener::SecureChannelListener;
use crate::noun::service::ServiceSpec;
use crate::noun::tcp_connection::TcpConnection;
use crate::noun::tcp_inlet::TcpInlet;
use crate::noun::tcp_listener::TcpListener;
use crate::noun::tcp_outlet::TcpOutlet;
use crate::outcome::Failure;
use crate::server::{answer, apply_route, parse, routes, to_the_end};

/// All routes of a node.
pub(crate) fn router(node: Arc<Managed>) -> Router {
    Router::new()
        .merge(routes::<TcpOutlet, Managed>())
        .merge(routes::<TcpInlet, Managed>())
        .merge(routes::<Relay, Managed>())
        .merge(routes::<Policies, Managed>())
        .merge(apply_route::<Policies, Managed>())
        .merge(apply_route::<TcpOutlet, Managed>())
        .merge(apply_route::<TcpInlet, Managed>())
        .merge(apply_route::<Relay, Managed>())
        .merge(routes::<SecureChannel, Managed>())
        .merge(routes::<SecureChannelListener, Managed>())
        .merge(routes::<TcpListener, Managed>())
        .merge(routes::<TcpConnection, Managed>())
        .route("/node", get(resources))
        .route("/orchestrator", get(orchestrator))
        .route("/policies/explanations", post(explain))
        .route("/denials", get(denials))
        .route("/messages", post(send))
        .route("/services", post(start_service).get(services))
        .route("/workers", get(workers))
        .route("/ways", get(ways))
        .route("/flow-controls/consumers", post(add_consumer))
        .with_state(node)
}

async fn resources(State(node): State<Arc<Managed>>) -> Response {
    answer(node.resources().await)
}

async fn orchestrator(State(node): State<Arc<Managed>>) -> Response {
    answer(node.orchestrator_view().await)
}

async fn denials(State(node): State<Arc<Managed>>) -> Response {
    answer(Ok(node.denials()))
}

async fn explain(State(node): State<Arc<Managed>>, body: Bytes) -> Response {
    answer(parse(&body).and_then(|question: PolicyQuestion| node.explain(&question)))
}

async fn services(State(node): State<Arc<Managed>>) -> Response {
    answer(Ok(node.service_list()))
}

async fn ways(State(node): State<Arc<Managed>>) -> Response {
    answer(Ok(node.ways().await))
}

async fn workers(State(node): State<Arc<Managed>>) -> Response {
    answer(Ok(node.worker_list()))
}

async fn add_consumer(State(node): State<Arc<Managed>>, body: Bytes) -> Response {
    answer(parse(&body).and_then(|spec: ConsumerSpec| node.add_consumer(&spec)))
}

async fn start_service(State(node): State<Arc<Managed>>, body: Bytes) -> Response {
    let spec: ServiceSpec = match parse(&body) {
        Ok(spec) => spec,
        Err(failure) => return answer::<()>(Err(failure)),
    };
    answer(to_the_end(async move { node.start_service(spec, Made::Asked).await }).await)
}

async fn send(State(node): State<Arc<Managed>>, body: Bytes) -> Response {
    let sent: Result<MessageReply, Failure> = async {
        let spec: MessageSpec = parse(&body)?;
        let to = node.state.replace_nodes(&spec.to).await?;
        let identity = node.identity_for(spec.identity.as_ref()).await?;
        ephemeral::send(&node.node, identity, &to, &spec).await
    }
    .await;
    answer(sent)
}
