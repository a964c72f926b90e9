//! Becoming a member by signing in with the service that a project is configured with.
//!
//! Specification: trust 7.3, 9.9.

use ockam_store::ProjectRecord;
use serde::Deserialize;

use super::{Enroll, Enrolled, enrolled, tell_if_known};
use crate::command::Session;
use crate::home::enrollment::Asking;
use crate::home::trust::Trusted;
use crate::home::{identities, projects};
use crate::outcome::{Code, Failure};
use crate::sign_in::{SignInPlace, device};
use crate::state::no_default_project;

/// What a project says of its sign-in service.
#[derive(Deserialize)]
struct Tenant {
    tenant_base_url: String,
    certificate: String,
    client_id: String,
}

impl Enroll {
    /// Signs in with the service of the project, and has its authority look the token up.
    pub(super) async fn sign_in(&self, session: &Session<'_>) -> Result<Enrolled, Failure> {
        let state = session.open().await?;
        let Some(spec) = self.trust.spec(&state).await? else {
            return Err(no_default_project());
        };
        let trusted = Trusted::of(&state, &spec).await?;
        let Some(project) = trusted.project.clone() else {
            return Err(Failure::new("--okta needs a project")
                .help("name it with --project; `ockam project import` takes one from a file"));
        };
        let tenant = tenant(&project)?;
        session
            .unlock_for(&state, self.identity.identity.as_ref())
            .await?;
        let identity = identities::find_or_default(&state, self.identity.identity.as_ref()).await?;
        let asking = Asking::start(&state, &identity, trusted, self.timeout.0).await?;
        let place = SignInPlace::tenant(
            &tenant.tenant_base_url,
            &tenant.certificate,
            &tenant.client_id,
        )?;
        let token = device(session, &place).await?;
        session
            .host
            .waiting(&format!("Enrolling with {}", asking.trusted.name()));
        let redeemed = self
            .retry
            .run(session, async || {
                let signed_in = asking.client.sign_in(token.expose()).await;
                signed_in.map_err(|error| {
                    if error.is_forbidden() {
                        return Failure::coded(
                            Code::Unauthorized,
                            format!("{} does not take this sign-in", asking.trusted.name()),
                        )
                        .caused_by(&error)
                        .help("ask whoever administers the project whether the right people are allowed in at its sign-in service");
                    }
                    asking.failed("nobody was enrolled", &error)
                })
            })
            .await?;
        drop(token);
        tell_if_known(session, &project, redeemed);
        enrolled(session, &state, &asking, identity, project, self.wanted()).await
    }
}

fn tenant(project: &ProjectRecord) -> Result<Tenant, Failure> {
    let details = projects::details(project)?;
    let Some(okta) = details.okta_config else {
        return Err(Failure::new(format!(
            "the project {} has no sign-in service",
            project.name
        ))
        .help("enroll with a ticket, or ask whoever administers the project to run `ockam project addon configure okta`; then `ockam project show` reads it again"));
    };
    serde_json::from_value(okta).map_err(|error| {
        Failure::internal(
            format!(
                "the sign-in service of the project {} is not understood",
                project.name
            ),
            &error,
        )
    })
}
