//! The options that say how people sign in with an Orchestrator.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::outcome::Failure;
use crate::sign_in::{Admission, ClaimRule, SignInSettings, is_provider_address};

/// How people sign in: the OpenID Connect provider, and what is taken from it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Signing in")]
pub(in crate::command) struct SignInOptions {
    /// The OpenID Connect provider with which people sign in; without, they enroll with one-time codes alone
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer: Option<String>,
    /// The public client that is registered there for the Orchestrator
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// A file with the secret of that client, for providers that ask for one where opaque tokens are looked up
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_client_secret_file: Option<PathBuf>,
    /// Whom access tokens must be for; the client itself when nothing is said
    #[arg(long, value_name = "AUDIENCE", requires = "oidc_issuer")]
    oidc_audience: Option<String>,
    /// What is asked for at the provider
    #[arg(long, value_name = "SCOPES", requires = "oidc_issuer")]
    oidc_scope: Option<String>,
    /// A claim that becomes an attribute of members, such as `groups`, `groups=team` or `groups=team:dba,ops`; repeat for several
    #[arg(
        long = "oidc-claim",
        value_name = "CLAIM[=ATTRIBUTE[:VALUE,..]]",
        requires = "oidc_issuer"
    )]
    oidc_claims: Vec<ClaimRule>,
    /// Who needs no invitation: `nobody`, `anyone`, or whoever has a verified address in one of these domains
    #[arg(long, value_name = "DOMAIN,..", requires = "oidc_issuer")]
    oidc_admit: Option<Admission>,
    /// A file with certificates (PEM) that the provider may show, beside those that this machine trusts
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_certificate: Option<PathBuf>,
}

impl SignInOptions {
    /// Whether anything was said.
    pub(in crate::command) fn is_given(&self) -> bool {
        self.oidc_issuer.is_some()
    }

    /// The same as words of a command line.
    pub(in crate::command) fn words(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.display().to_string();
        let claims = self.oidc_claims.iter();
        [
            ("issuer", self.oidc_issuer.clone()),
            ("client-id", self.oidc_client_id.clone()),
            (
                "client-secret-file",
                self.oidc_client_secret_file.as_ref().map(path),
            ),
            ("audience", self.oidc_audience.clone()),
            ("scope", self.oidc_scope.clone()),
            ("admit", self.oidc_admit.as_ref().map(ToString::to_string)),
            ("certificate", self.oidc_certificate.as_ref().map(path)),
        ]
        .into_iter()
        .chain(claims.map(|claim| ("claim", Some(claim.to_string()))))
        .filter_map(|(option, value)| Some(format!("--oidc-{option}={}", value?)))
        .collect()
    }

    /// What was asked for, if anything was.
    ///
    /// # Errors
    /// A file cannot be read, or the provider cannot be asked as it is given.
    pub(in crate::command) fn settings(&self) -> Result<Option<SignInSettings>, Failure> {
        let (Some(issuer), Some(client_id)) = (&self.oidc_issuer, &self.oidc_client_id) else {
            return Ok(None);
        };
        if !is_provider_address(issuer) {
            return Err(Failure::new(format!(
                "invalid value '{issuer}' for '--oidc-issuer <URL>'"
            ))
            .cause("it is no https:// address")
            .help("give the address of the provider that its tokens name, for example https://id.example.com"));
        }
        let mut settings = SignInSettings::new(issuer, client_id);
        settings.client_secret_file = self
            .oidc_client_secret_file
            .as_deref()
            .map(whole)
            .transpose()?;
        settings.certificate_file = self.oidc_certificate.as_deref().map(whole).transpose()?;
        if let Some(scope) = &self.oidc_scope {
            settings.scope.clone_from(scope);
        }
        settings.audience.clone_from(&self.oidc_audience);
        settings.claims.clone_from(&self.oidc_claims);
        settings.admission = self.oidc_admit.clone().unwrap_or_default();
        Ok(Some(settings))
    }
}

/// The path as it is wherever the Orchestrator runs, of a file that is there.
fn whole(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| {
        Failure::new(format!("{} cannot be read", path.display())).caused_by(&error)
    })
}
