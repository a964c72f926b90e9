//! What is remembered of a configuration, so that it can be applied again: where it came from, and what it asked for.

use std::collections::BTreeMap;

use ockam_store::{ConfiguredRecord, NodeName};
use serde::{Deserialize, Serialize};

use crate::configuration::{Changed, Source};
use crate::outcome::Failure;
use crate::state::{State, refused};
use crate::value::as_text;

/// The configuration a node was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Where it came from.
    pub(crate) source: Source,
    /// The variables that were typed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) variables: BTreeMap<String, String>,
}

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Owner {
    /// The configuration of a node.
    Node(#[serde(with = "as_text")] NodeName),
    /// A file of nodes.
    Run,
}

/// How a configuration asked for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// Whose it is.
    pub(crate) by: Owner,
    /// The words it asked with, without the name.
    pub(crate) words: Vec<String>,
    /// Whether it gave a name.
    pub(crate) named: bool,
}

/// Something a configuration has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// What it is.
    pub(crate) record: ConfiguredRecord,
    /// How it was asked for.
    pub(crate) provenance: Provenance,
}

impl Owner {
    /// Everything that is this owner's.
    pub(crate) async fn known(&self, state: &State) -> Result<Vec<Known>, Failure> {
        let records = state.store().configured().await.map_err(refused)?;
        Ok(records
            .into_iter()
            .filter_map(|record| {
                let provenance: Provenance = serde_json::from_str(&record.origin).ok()?;
                (provenance.by == *self).then_some(Known { record, provenance })
            })
            .collect())
    }
}

impl Changed {
    /// Notes whose this is.
    pub(crate) async fn remember(
        &self,
        state: &State,
        provenance: &Provenance,
    ) -> Result<(), Failure> {
        let (Some(name), Ok(node)) = (&self.name, self.node.parse()) else {
            return Ok(());
        };
        let record = ConfiguredRecord {
            node,
            noun: self.noun.one.to_owned(),
            name: name.clone(),
            origin: written(provenance)?,
        };
        state.store().set_origin(&record).await.map_err(refused)
    }
}

impl Memory {
    /// Notes that a node was made from this.
    pub(crate) async fn keep(&self, state: &State, node: &NodeName) -> Result<(), Failure> {
        let store = state.store();
        let text = written(self)?;
        store.set_configuration(node, &text).await.map_err(refused)
    }

    /// What a node was made from.
    pub(crate) async fn of(state: &State, node: &NodeName) -> Result<Option<Self>, Failure> {
        let stored = state.store().configuration(node).await.map_err(refused)?;
        stored
            .map(|text| {
                serde_json::from_str(&text).map_err(|error| {
                    Failure::internal(
                        format!("the stored configuration of node {node} is not understood"),
                        &error,
                    )
                })
            })
            .transpose()
    }
}

fn written(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::internal("the configuration cannot be remembered", &error))
}
