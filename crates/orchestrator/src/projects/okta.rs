//! Members of a project who come by signing in with the service that its administrators configured.
//!
//! What was configured is in the database, and looked up for each that comes: so a change counts at once, in every process.
//!
//! Specification: trust 7.3, 9.9.

use std::collections::BTreeMap;
use std::fmt;

use ockam_authority::{Okta, SignIn, SignInError, UserInfoFuture};
use ockam_control::OktaSettings;
use ockam_control::controller::message::{Item as _, OktaConfig};
use ockam_control::hosted::TenantUserInfo;
use ockam_store::Store;

use super::ProjectId;
use crate::controller::HostingError;

/// Asks the sign-in service of one project.
pub(super) struct ProjectTenant {
    store: Store,
    project: ProjectId,
}

impl ProjectTenant {
    pub(super) fn new(store: &Store, project: &ProjectId) -> Self {
        Self {
            store: store.clone(),
            project: project.clone(),
        }
    }

    async fn ask(&self, access_token: &str) -> Result<BTreeMap<String, String>, SignInError> {
        let record = self
            .store
            .hosted_project(self.project.as_str())
            .await
            .map_err(|error| SignInError(error.to_string()))?;
        let configured = record.and_then(|record| record.okta);
        let Some(configured) = configured else {
            return Err(SignInError("the project has no sign-in service".to_owned()));
        };
        let settings = OktaConfig::decode(&configured)
            .map(settings)
            .map_err(|error| SignInError(error.to_string()))?;
        let tenant =
            TenantUserInfo::new(&settings).map_err(|failure| SignInError(failure.to_string()))?;
        let mut told = tenant.user_info(access_token).await?;
        told.retain(|name, _| settings.attributes.contains(name));
        Ok(told)
    }
}

impl SignIn for ProjectTenant {
    fn user_info<'a>(&'a self, access_token: &'a str) -> UserInfoFuture<'a> {
        Box::pin(self.ask(access_token))
    }
}

impl fmt::Debug for ProjectTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProjectTenant").field(&self.project).finish()
    }
}

/// Refuses what could not be asked or would give rights that are not the service's to give. Asks nobody.
///
/// # Errors
/// [`HostingError::Unusable`] says why.
pub(crate) fn check(okta: OktaConfig) -> Result<(), HostingError> {
    let settings = settings(okta);
    Okta::check_attributes(&settings.attributes)
        .map_err(|error| HostingError::Unusable(error.to_string()))?;
    TenantUserInfo::new(&settings)
        .map(drop)
        .map_err(|failure| HostingError::Unusable(failure.to_string()))
}

fn settings(okta: OktaConfig) -> OktaSettings {
    OktaSettings {
        tenant_base_url: okta.tenant_base_url,
        certificate: okta.certificate,
        attributes: okta.attributes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, certificate: &str, attributes: &[&str]) -> OktaConfig {
        OktaConfig {
            tenant_base_url: url.to_owned(),
            certificate: certificate.to_owned(),
            client_id: "c".to_owned(),
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn guard_11_2_18_a_project_is_not_configured_with_a_service_that_gives_roles() {
        for (url, certificate, attributes) in [
            ("https://t.example", PEM, &["ockam-role"][..]),
            ("https://t.example", PEM, &["email", "identifier"]),
            ("http://t.example", PEM, &["email"]),
            ("https://t.example", "no certificate", &["email"]),
        ] {
            let refused = check(config(url, certificate, attributes));
            assert!(
                matches!(refused, Err(HostingError::Unusable(_))),
                "{url} {attributes:?}"
            );
        }
        assert!(check(config("https://t.example", PEM, &["email"])).is_ok());
    }

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
}
