//! Vaults: where secret keys are kept.

use crate::table::{Forms, Noun, Scope, Verb, Who};
use serde::{Deserialize, Serialize};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "vault",
    kind: "vault",
    many: "vaults",
    about: "Vaults: where secret keys are kept",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a vault",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a vault",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List vaults",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "move",
            about: "Move the file of a vault",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "passphrase",
            about: "Seal the keys of a vault under a passphrase, change it, or remove it",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "export",
            about: "Write a vault and its identities into one backup file",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "import",
            about: "Restore a vault and its identities from a backup file",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a vault with its keys",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
    ],
};

/// A vault as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultView {
    /// What is known of it.
    pub vault: VaultItem,
}

/// What is known of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultItem {
    /// Its name.
    pub name: String,
    /// Where its secrets are.
    pub vault_type: VaultType,
    /// Whether it is the default vault.
    pub is_default: bool,
    /// Whether its secrets are sealed under a passphrase. The published program has no such vaults, so the field is there
    /// only for those that are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_sealed: bool,
}

/// Where the secrets of a vault are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VaultType {
    /// In the database of the home.
    DatabaseVault {
        /// Always `No`: no vault here uses a key management service.
        use_aws_kms: UseAwsKms,
    },
    /// In a file of their own.
    LocalFileVault {
        /// The file.
        path: String,
        /// Always `No`: no vault here uses a key management service.
        use_aws_kms: UseAwsKms,
    },
}

/// Whether signing keys are in AWS KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UseAwsKms {
    /// They are not.
    No,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the serializer hands out a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vaults_have_the_published_json() {
        let view = |vault_type| VaultView {
            vault: VaultItem {
                name: "v".to_owned(),
                vault_type,
                is_default: true,
                is_sealed: false,
            },
        };
        let inside = view(VaultType::DatabaseVault {
            use_aws_kms: UseAwsKms::No,
        });
        let file = view(VaultType::LocalFileVault {
            path: "/v".to_owned(),
            use_aws_kms: UseAwsKms::No,
        });
        // spec: command 3.10
        assert_eq!(
            serde_json::to_string(&inside).expect("plain data"),
            r#"{"vault":{"name":"v","vault_type":{"DatabaseVault":{"use_aws_kms":"No"}},"is_default":true}}"#
        );
        assert_eq!(
            serde_json::to_string(&file).expect("plain data"),
            concat!(
                r#"{"vault":{"name":"v","vault_type":{"LocalFileVault":{"path":"/v","use_aws_kms":"No"}},"#,
                r#""is_default":true}}"#
            )
        );
    }
}
