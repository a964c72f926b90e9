//! A node that is an authority: its services, kept in the store of its home, and the keys that sign (spec: trust 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use ockam_authority::message::MemberAttributes;
use ockam_authority::{
    Admins, Authority, AuthorityOptions, AuthorityServices, Okta, Service, TrustContext,
};
use ockam_identity::{ChangeHistory, Identifier, VerifiedHistory};
use ockam_node::{FlowId, services};

use crate::hosted::{StoredIssuer, StoredMembers};
use crate::managed::Managed;
use crate::managed::sign_in::TenantUserInfo;
use crate::noun::authority::{AdminSettings, AuthoritySettings};
use crate::outcome::Failure;

/// A running authority; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningAuthority {
    _services: AuthorityServices,
    _echo: services::Service,
}

impl Managed {
    /// Starts the services of an authority and opens them to the channels of `api`, and to nothing else.
    pub(crate) async fn start_authority(
        &self,
        settings: &AuthoritySettings,
        identifier: Identifier,
        channels: FlowId,
    ) -> Result<RunningAuthority, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::internal("the authority could not start", error)
        };
        let issuer = StoredIssuer::new(&self.state, identifier, self.key_lifetime);
        let members = StoredMembers::new(self.state.store(), identifier);
        let authority = Authority::start(
            identifier,
            members,
            Arc::new(issuer),
            trusted(settings)?,
            options(settings)?,
        )
        .await
        .map_err(|error| failed(&error))?;
        let services = AuthorityServices::start(&self.node, &Arc::new(authority), &of(settings))
            .map_err(|error| failed(&error))?;
        let echo =
            services::start_echo(&self.node, services::ECHO).map_err(|error| failed(&error))?;
        for address in services.addresses().iter().chain([echo.address()]) {
            self.node.router().add_consumer(address, channels);
        }
        Ok(RunningAuthority {
            _services: services,
            _echo: echo,
        })
    }
}

/// Whose credentials make admins (spec: trust 7.2).
pub(crate) fn account_authority(
    settings: &AuthoritySettings,
) -> Result<Option<VerifiedHistory>, Failure> {
    let Some(text) = &settings.account_authority else {
        return Ok(None);
    };
    let wrong = || Failure::new("the history of the account authority cannot be used");
    let history = ChangeHistory::from_hex(text).map_err(|error| wrong().caused_by(&error))?;
    history
        .verify(ockam_vault::fast(), None)
        .map(Some)
        .map_err(|error| wrong().caused_by(&error))
}

/// Whether an authority could be started with these settings.
#[cfg(feature = "cli")]
pub(crate) fn check(settings: &AuthoritySettings) -> Result<(), Failure> {
    account_authority(settings)?;
    options(settings)?;
    trusted(settings).map(drop)
}

/// Whom it trusts from the start (spec: trust 7.6).
fn trusted(
    settings: &AuthoritySettings,
) -> Result<BTreeMap<Identifier, MemberAttributes>, Failure> {
    let attributes_of = |who: &Identifier, pairs: &BTreeMap<String, String>| {
        let refused = |why: String| {
            Failure::new(format!(
                "the attributes of the trusted identity {who} cannot be used"
            ))
            .cause(why)
        };
        let attributes =
            MemberAttributes::from_pairs(pairs).map_err(|error| refused(error.to_string()))?;
        match attributes.reserved() {
            // spec: trust 11.2 (1)
            Some(name) => Err(refused(format!("{name} is a reserved name"))),
            None => Ok((*who, attributes)),
        }
    };
    settings
        .trusted_identities
        .iter()
        .map(|(who, pairs)| attributes_of(who, pairs))
        .collect()
}

fn options(settings: &AuthoritySettings) -> Result<AuthorityOptions, Failure> {
    let mut options = AuthorityOptions::new(settings.project.clone());
    if let Some(ttl) = settings.ttl {
        options.lifetime = ttl.0.as_secs();
    }
    if !settings.trust_context_id {
        options.trust_context = TrustContext::LeftOut;
    }
    options.admins = match settings.admins {
        AdminSettings::TrustedEnrollers => Admins::PreTrustedEnrollers,
        AdminSettings::AllEnrollers => Admins::AllEnrollers,
        AdminSettings::AccountOnly => Admins::Nobody,
    };
    options.account_authority = account_authority(settings)?.map(|known| *known.identifier());
    options.okta = settings
        .okta
        .as_ref()
        .map(|okta| {
            let tenant = TenantUserInfo::new(okta)?;
            Okta::new(Box::new(tenant), okta.attributes.clone())
                .map_err(|error| Failure::new(error.to_string()))
        })
        .transpose()?;
    Ok(options)
}

/// The services that are asked for (spec: trust 7.1).
fn of(settings: &AuthoritySettings) -> Vec<Service> {
    Service::ALL
        .into_iter()
        .filter(|service| match service {
            Service::DirectAuthenticator => settings.direct_authentication,
            Service::TokenIssuer | Service::TokenAcceptor => settings.token_enrollment,
            Service::CredentialIssuer | Service::WithdrawalNotices => true,
            Service::Okta => settings.okta.is_some(),
        })
        .collect()
}
