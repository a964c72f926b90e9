//! A noun as a type, and the operations that all such nouns have.

use std::fmt::Display;
use std::future::Future;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outcome::Failure;
use crate::table::Noun;

/// A noun whose things are created, listed, shown and deleted in a node.
pub trait Resource: 'static {
    /// Its row in the table.
    const NOUN: &'static Noun;
    /// What identifies one of them.
    type Name: FromStr<Err: Display> + Display + Send + Sync;
    /// Input of create.
    type Spec: Serialize + DeserializeOwned + Send;
    /// Output of create, show and list.
    type View: Serialize + DeserializeOwned + Send;
}

/// The operations on a noun, where they are carried out.
pub trait Serve<R: Resource>: Send + Sync + 'static {
    /// Creates one and keeps the request, so that it survives the process.
    fn create(&self, spec: R::Spec) -> impl Future<Output = Result<R::View, Failure>> + Send;
    /// Lists all.
    fn list(&self) -> impl Future<Output = Result<Vec<R::View>, Failure>> + Send;
    /// Shows one.
    fn show(&self, name: &R::Name) -> impl Future<Output = Result<R::View, Failure>> + Send;
    /// Deletes one and forgets the request; tells what it was.
    fn delete(&self, name: &R::Name) -> impl Future<Output = Result<R::View, Failure>> + Send;
}
