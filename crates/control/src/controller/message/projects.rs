//! Projects, what is done to them, and their addons. `spec: trust 9.4, 9.5`

use ockam_identity::{Identifier, ProjectDetails};
use serde_json::json;

use super::Secret;
use super::item::{body, numbered};
use crate::value::Email;

body! {
    /// A project.
    Project {
        /// Its id.
        1 id: String,
        /// Its name.
        2 name: String,
        /// The name of its space.
        3 space_name: String,
        /// Where its node is, as a multiaddr; empty until there is one.
        5 access_route: String,
        /// Addresses of its users.
        6 users: Vec<String>,
        /// The id of its space.
        7 space_id: String,
        /// Who its node is.
        8 identity: Option<Identifier>,
        /// Where its authority is, as a multiaddr.
        9 authority_access_route: Option<String>,
        /// The change history of its authority, in hex.
        10 authority_identity: Option<String>,
        /// Its sign-in with Okta.
        11 okta_config: Option<OktaConfig>,
        /// Its Kafka.
        12 kafka_config: Option<KafkaConfig>,
        /// The version of its node.
        13 version: Option<String>,
        /// Whether its node runs.
        14 running: Option<bool>,
        /// What is being done to it; complete when absent.
        15 operation_id: Option<String>,
        /// What its users may do.
        16 user_roles: Vec<ProjectUserRole>,
        /// The change history of its node, in hex.
        17 project_change_history: Option<String>,
    }
}

impl Project {
    /// Whether everything is there that a member needs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        !self.access_route.is_empty()
            && given(&self.project_change_history)
            && given(&self.authority_access_route)
            && given(&self.authority_identity)
    }

    /// Whether whoever has this address administers it.
    #[must_use]
    pub fn is_admin(&self, email: &Email) -> bool {
        self.user_roles.iter().any(|user| {
            user.role == Role::Admin && user.email.parse::<Email>().is_ok_and(|who| who == *email)
        })
    }

    /// The same as it is kept and shown.
    #[must_use]
    pub fn details(&self) -> ProjectDetails {
        ProjectDetails {
            id: self.id.clone(),
            name: self.name.clone(),
            space_name: self.space_name.clone(),
            access_route: self.access_route.clone(),
            users: self.users.clone(),
            space_id: self.space_id.clone(),
            identity: self.identity,
            authority_access_route: self.authority_access_route.clone(),
            authority_identity: self.authority_identity.clone(),
            okta_config: self.okta_config.as_ref().map(|okta| {
                json!({
                    "tenant_base_url": okta.tenant_base_url,
                    "certificate": okta.certificate,
                    "client_id": okta.client_id,
                    "attributes": okta.attributes,
                })
            }),
            kafka_config: self
                .kafka_config
                .as_ref()
                .map(|kafka| json!({"bootstrap_server": kafka.bootstrap_server})),
            version: self.version.clone(),
            running: self.running,
            operation_id: self.operation_id.clone(),
            user_roles: self
                .user_roles
                .iter()
                .map(|user| {
                    json!({
                        "email": user.email,
                        "id": user.id,
                        "role": user.role.name(),
                        "scope": user.scope.name(),
                    })
                })
                .collect(),
            project_change_history: self.project_change_history.clone(),
        }
    }
}

body! {
    /// What a user of a project may do.
    ProjectUserRole {
        /// Their address.
        1 email: String,
        /// Their number.
        2 id: u64,
        /// What they are.
        3 role: Role,
        /// Where they are it.
        4 scope: Scope,
    }
}

numbered! {
    /// What somebody is.
    Role("a role") {
        /// Administers.
        0 Admin "admin",
        /// Is a member.
        1 Guest "guest",
        /// Uses one service.
        2 ServiceUser "service_user",
    }
}

numbered! {
    /// Where somebody is what they are.
    Scope("a scope") {
        /// In a project.
        0 Project "project",
        /// At a service.
        1 Service "service",
        /// In a space.
        2 Space "space",
    }
}

body! {
    /// Makes a project.
    CreateProject {
        /// Its name.
        1 name: String,
        /// Who administers it beside whoever makes it.
        3 users: Vec<Email>,
    }
}

body! {
    /// Something that takes time.
    Operation {
        /// Its id.
        1 id: String,
        /// How far it is.
        2 status: OperationStatus,
    }
}

numbered! {
    /// How far an operation is.
    OperationStatus("the status of an operation") {
        /// Under way.
        0 Started "started",
        /// Done.
        1 Succeeded "succeeded",
        /// Not done.
        2 Failed "failed",
    }
}

body! {
    /// An operation has begun.
    OperationStarted {
        /// Its id.
        1 operation_id: String,
    }
}

body! {
    /// Something that a project can have.
    Addon {
        /// Its id.
        1 id: String,
        /// What it is.
        2 description: String,
        /// Whether the project has it.
        3 enabled: bool,
    }
}

body! {
    /// How members of a project sign in with Okta.
    OktaConfig {
        /// Where.
        1 tenant_base_url: String,
        /// Who may vouch for the server, in PEM.
        2 certificate: String,
        /// What the project is there.
        3 client_id: String,
        /// What is taken over.
        4 attributes: Vec<String>,
    }
}

body! {
    /// The Kafka of a project.
    KafkaConfig {
        /// Where it is.
        1 bootstrap_server: String,
    }
}

body! {
    /// Configures the Kafka of a project.
    ConfigureConfluent {
        /// Where it is.
        1 bootstrap_server: String,
    }
}

body! {
    /// How a project leases tokens of InfluxDB.
    InfluxConfig {
        /// Where it is.
        1 endpoint: String,
        /// What leases are made with.
        2 token: Secret,
        /// Whose they are.
        3 org_id: String,
        /// What they permit.
        4 permissions: String,
        /// How long they hold.
        5 max_ttl_secs: u64,
        /// Who may lease.
        6 user_access_rule: Option<String>,
        /// Who may end leases.
        7 admin_access_rule: Option<String>,
    }
}

body! {
    /// Takes an addon from a project.
    DisableAddon {
        /// Which.
        1 addon_id: String,
    }
}

body! {
    /// What a controller is.
    VersionInfo {
        /// Its version.
        1 version: Option<String>,
        /// That of its projects.
        2 project_version: Option<String>,
    }
}
