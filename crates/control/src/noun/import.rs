//! `import`: taking over the state of the published program.

use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "import",
    kind: "import",
    many: "import",
    about: "Take over vaults, identities and nodes of the published program",
    aliases: &[],
    verbs: &[Verb {
        name: "",
        about: "Take over vaults, identities and nodes of the published program",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::JSON,
    }],
};

/// What became of what was to be taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The vaults.
    pub vaults: Vec<ImportedItem>,
    /// The identities.
    pub identities: Vec<ImportedItem>,
    /// The nodes.
    pub nodes: Vec<ImportedItem>,
    /// What could not be read or used, and why.
    pub left_out: Vec<String>,
}

/// One vault, identity or node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedItem {
    /// The name it had.
    pub name: String,
    /// What became of it.
    pub result: ImportResult,
    /// The name it has here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub here: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportResult {
    /// It is new here.
    New,
    /// It is new here, under another name.
    Renamed,
    /// It was here, and got what it lacked.
    Completed,
    /// It was here.
    Known,
    /// It is left out.
    Refused,
}
