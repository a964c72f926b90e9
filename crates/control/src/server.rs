//! The server half of the control API: HTTP and JSON over the control socket.
//!
//! ```text
//! POST   /tcp-inlets          create    200 view
//! PUT    /tcp-inlets          create, replace or leave alone: 200 {name, change, view}; with ?compare only say which
//! GET    /tcp-inlets          list      200 [view, ..]
//! GET    /tcp-inlets/<name>   show      200 view
//! DELETE /tcp-inlets/<name>   delete    200 view
//! GET    /node                what the node runs
//! POST   /messages            send a message, wait for the reply
//! POST   /services            start a service
//! GET    /services            list services
//! POST   /policies/explanations   what the policy of a resource comes to for somebody
//! GET    /denials             who was denied what, the latest first
//! GET    /ways                the hops of inlets and relays
//! GET    /workers             list workers
//! POST   /flow-controls/consumers   let a way in reach a worker
//! ```
//!
//! A failure answers with the status of its code and a [`Failure`] as its body. An operation that changes something is
//! carried to its end even when the command that asked for it goes away.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outcome::{Code, Failure};
use crate::resource::{Applied, Apply, Change, Resource, Serve};

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

/// The route of a noun whose creation can be repeated, served by `S`.
pub(crate) fn apply_route<R: Resource, S: Apply<R>>() -> Router<Arc<S>> {
    Router::new().route(&format!("/{}", R::NOUN.many), put(apply::<R, S>))
}

/// Carries an operation to its end, whatever becomes of the connection it was asked over.
pub(crate) async fn to_the_end<T: Send + 'static>(
    operation: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(operation)
        .await
        .unwrap_or_else(|error| Err(Failure::internal("the operation was cut short", &error)))
}

/// The query of a request that is only to be compared.
pub(crate) const COMPARE: &str = "compare";

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

async fn apply<R: Resource, S: Apply<R>>(
    State(service): State<Arc<S>>,
    RawQuery(query): RawQuery,
    body: axum::body::Bytes,
) -> Response {
    let spec: R::Spec = match parse(&body) {
        Ok(spec) => spec,
        Err(failure) => return answer::<()>(Err(failure)),
    };
    let only_compare = query.as_deref() == Some(COMPARE);
    let applied = async move {
        let change = service.compare(&spec).await?;
        let name = S::asked_name(&spec);
        if only_compare {
            let name = name.map(|name| name.to_string());
            return Ok(Applied {
                name,
                change,
                view: None,
            });
        }
        let view = match (change, &name) {
            (Change::Unchanged, Some(name)) => service.show(name).await?,
            (Change::Replaced, _) => service.replace(spec).await?,
            (Change::Added, _) | (Change::Unchanged, None) => service.create(spec).await?,
        };
        Ok(Applied {
            name: Some(S::name_of(&view)),
            change,
            view: Some(view),
        })
    };
    answer(to_the_end(applied).await)
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
