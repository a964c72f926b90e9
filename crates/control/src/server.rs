//! The server half of the control API: HTTP and JSON over the control socket.
//!
//! ```text
//! POST   /tcp-inlets          create    200 view
//! GET    /tcp-inlets          list      200 [view, ..]
//! GET    /tcp-inlets/<name>   show      200 view
//! DELETE /tcp-inlets/<name>   delete    200 view
//! GET    /node                what the node runs
//! POST   /messages            send a message, wait for the reply
//! POST   /services            start a service
//! GET    /services            list services
//! GET    /workers             list workers
//! POST   /flow-controls/consumers   let a way in reach a worker
//! ```
//!
//! A failure answers with the status of its code and a [`Failure`] as its body. An operation that changes something is
//! carried to its end even when the command that asked for it goes away.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outcome::{Code, Failure};
use crate::resource::{Resource, Serve};

/// The routes of one noun, served by `S`.
pub(crate) fn routes<R: Resource, S: Serve<R>>() -> Router<Arc<S>> {
    let many = format!("/{}", R::NOUN.many);
    Router::new()
        .route(&many, post(create::<R, S>).get(list::<R, S>))
        .route(
            &format!("{many}/{{name}}"),
            get(show::<R, S>).delete(delete::<R, S>),
        )
}

/// Carries an operation to its end, whatever becomes of the connection it was asked over.
pub(crate) async fn to_the_end<T: Send + 'static>(
    operation: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(operation)
        .await
        .unwrap_or_else(|error| Err(Failure::internal("the operation was cut short", &error)))
}

/// Reads the JSON body of a request; what is wrong with it is the caller's.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::new("the request is not understood").cause(error.to_string()))
}

/// The answer to a request.
pub(crate) fn answer<T: Serialize>(result: Result<T, Failure>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(failure) => (status(&failure), Json(failure)).into_response(),
    }
}

fn status(failure: &Failure) -> StatusCode {
    match failure.code {
        None => StatusCode::BAD_REQUEST,
        Some(Code::Unauthorized) => StatusCode::UNAUTHORIZED,
        Some(Code::NotFound) => StatusCode::NOT_FOUND,
        Some(Code::AlreadyExists) => StatusCode::CONFLICT,
        Some(Code::Internal) => StatusCode::INTERNAL_SERVER_ERROR,
        Some(Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn create<R: Resource, S: Serve<R>>(
    State(service): State<Arc<S>>,
    body: axum::body::Bytes,
) -> Response {
    let spec = match parse(&body) {
        Ok(spec) => spec,
        Err(failure) => return answer::<()>(Err(failure)),
    };
    answer(to_the_end(async move { service.create(spec).await }).await)
}

async fn list<R: Resource, S: Serve<R>>(State(service): State<Arc<S>>) -> Response {
    answer(service.list().await)
}

async fn show<R: Resource, S: Serve<R>>(
    State(service): State<Arc<S>>,
    Path(name): Path<String>,
) -> Response {
    answer(match name_of::<R>(&name) {
        Ok(name) => service.show(&name).await,
        Err(failure) => Err(failure),
    })
}

async fn delete<R: Resource, S: Serve<R>>(
    State(service): State<Arc<S>>,
    Path(name): Path<String>,
) -> Response {
    let name = match name_of::<R>(&name) {
        Ok(name) => name,
        Err(failure) => return answer::<()>(Err(failure)),
    };
    answer(to_the_end(async move { service.delete(&name).await }).await)
}

fn name_of<R: Resource>(text: &str) -> Result<R::Name, Failure> {
    text.parse()
        .map_err(|error: <R::Name as std::str::FromStr>::Err| Failure::new(error.to_string()))
}
