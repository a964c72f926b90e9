//! A noun as a type, and the operations that all such nouns have.

use std::fmt::Display;
use std::future::Future;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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

/// What a request changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// There was none of this name.
    Added,
    /// The one of this name is another now.
    Replaced,
    /// It was there and the same.
    Unchanged,
}

/// The answer to a request that changes no more than it has to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied<V> {
    /// The name, unless one has yet to be chosen.
    pub(crate) name: Option<String>,
    /// What changed, or would change.
    pub(crate) change: Change,
    /// What there is now; nothing when it was only compared.
    pub(crate) view: Option<V>,
}

/// Creation that can be repeated.
pub(crate) trait Apply<R: Resource>: Serve<R> {
    /// The name a request gives; none when one has yet to be chosen.
    fn asked_name(spec: &R::Spec) -> Option<R::Name>;
    /// The name of what there is.
    fn name_of(view: &R::View) -> String;
    /// What a request would change.
    fn compare(&self, spec: &R::Spec) -> impl Future<Output = Result<Change, Failure>> + Send;
    /// Puts another one in the place of the one of its name. When that fails the old one is there again.
    fn replace(&self, spec: R::Spec) -> impl Future<Output = Result<R::View, Failure>> + Send;
}
