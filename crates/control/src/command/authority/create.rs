//! `ockam authority create`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use clap::Args;
use ockam_identity::Identifier;
use ockam_store::{IdentityName, IfRunning, NodeRecord, NodeStart};

use crate::command::{ChildOutput, Example, Note, Run, Session, Stdin};
use crate::home::authorities::{self, HomeAuthority};
use crate::home::{credentials, identities, nodes, projects};
use crate::managed::{self, ManagedNode, NodeSettings, Posture, Start, StatusEndpoint};
use crate::noun::authority::{AdminSettings, AuthoritySettings, NOUN, OktaSettings};
use crate::orchestrator::DatabaseAccess;
use crate::outcome::Failure;
use crate::state::{State, refused, status_of};
use crate::table::Noun;
use crate::value::{DurationText, HostPort};

#[derive(Debug, Args)]
pub(in crate::command) struct Create {
    /// Run in this process and end with it
    #[arg(short, long)]
    foreground: bool,
    /// Do not look whether this authority runs already
    #[arg(short, long)]
    skip_is_running_check: bool,
    /// Where members connect
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    tcp_listener_address: HostPort,
    /// Where members reach it, when that is not where it listens: HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    public_address: Option<HostPort>,
    /// The name of its identity, which is made when it is not there; authority-ID when none is given
    #[arg(long, value_name = "NAME")]
    identity: Option<IdentityName>,
    /// The id of the project; its node and its identity are called authority-ID
    #[arg(long, value_name = "ID")]
    project_identifier: String,
    /// Whom it trusts from the start: JSON, a file with it, or - for standard input; the default identity of this machine as
    /// an enroller when it is not given
    #[arg(long, value_name = "JSON")]
    trusted_identities: Option<String>,
    /// How long its credentials are good, at least a minute [default: 30d]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<DurationText>,
    /// How long a key of its channels or of its credentials lives; it is replaced when two thirds of that have passed [default: 30d]
    #[arg(long, value_name = "DURATION")]
    purpose_key_lifetime: Option<DurationText>,
    /// Members cannot be added by hand
    #[arg(long)]
    no_direct_authentication: bool,
    /// There are no tickets
    #[arg(long)]
    no_token_enrollment: bool,
    /// The sign-in service whose users become members, an address that begins with https
    #[arg(long, value_name = "URL", requires_all = ["certificate", "attributes"])]
    tenant_base_url: Option<String>,
    /// The certificate of the sign-in service: PEM, or a file with it
    #[arg(long, value_name = "PEM", requires = "tenant_base_url")]
    certificate: Option<String>,
    /// What is taken over from the sign-in service; several are separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1.., requires = "tenant_base_url")]
    attributes: Vec<String>,
    /// The change history, in hex, of whoever says by credentials who administers the project
    #[arg(long, value_name = "HEX")]
    account_authority: Option<String>,
    /// Only those whom the account authority names are admins
    #[arg(long, conflicts_with = "enrollers_are_admins")]
    enforce_admin_checks: bool,
    /// Every enroller may make enrollers, as in the published program; otherwise only trusted identities may
    #[arg(long)]
    enrollers_are_admins: bool,
    /// Leave the project's id out of credentials
    #[arg(long, alias = "disable_trust_context_id")]
    disable_trust_context_id: bool,
    /// Accepted, has no effect
    #[arg(long, value_name = "PATH", hide = true)]
    project_identity_identifier_file: Option<String>,
    /// Accepted, has no effect
    #[arg(long, value_name = "ROUTE", hide = true)]
    project_access_route: Option<String>,
    /// Accepted, has no effect
    #[arg(long, hide = true)]
    child_process: bool,
    /// Where the parent waits
    #[arg(long, value_name = "PORT", hide = true)]
    tcp_callback_port: Option<u16>,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "An authority whose tickets are made on this machine",
                "ockam authority create --project-identifier demo",
            ),
            Example::new(
                "Whom it trusts is in a file",
                "ockam authority create --project-identifier demo --trusted-identities trusted.json",
            ),
            Example::new(
                "Members connect from anywhere",
                "ockam authority create --project-identifier demo -t 0.0.0.0:4000",
            ),
            Example::new(
                "Who was removed is out within five minutes, also where nodes are told nothing",
                "ockam authority create --project-identifier demo --ttl 5m",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let ttl = self.lifetime(session)?;
        if let Some(lifetime) = self.purpose_key_lifetime {
            managed::check_key_lifetime(lifetime)?;
        }
        let name = authorities::name_of(&self.project_identifier)?;
        let given = self.trusted_identities(session)?;
        let state = session.open().await?;
        let prior = nodes::find(&state, &name).await?;
        if let Some(prior) = &prior
            && !self.skip_is_running_check
            && status_of(prior).is_running()
        {
            return Err(nodes::already_running(&name).help(
                "`ockam authority show` says how its members reach it; stop it with `ockam node stop`, or choose another \
                 --project-identifier for a second one",
            ));
        }
        let convenient = given.is_none();
        let trusted_identities = match given {
            Some(trusted) => trusted,
            None => self.own_enroller(&state).await?,
        };
        let settings = self.settings(trusted_identities, ttl)?;
        managed::check_authority(&settings)?;
        let identity = self.identity_name(&name)?;
        session.unlock_for(&state, Some(&identity)).await?;
        let node = NodeStart {
            name: name.clone(),
            identity: Some(self.make_identity(&state, identity).await?),
            process: None,
            listener: Some(self.tcp_listener_address.to_string()),
            status_endpoint: prior
                .as_ref()
                .and_then(|prior| prior.status_endpoint.clone()),
            options: managed::authority_options(
                &settings,
                self.purpose_key_lifetime,
                prior.as_ref(),
            )?,
        };
        let if_running = if self.skip_is_running_check {
            IfRunning::TakeOver
        } else {
            IfRunning::Refuse
        };
        state
            .store()
            .create_node_aside(&node, if_running)
            .await
            .map_err(refused)?;
        if self.foreground {
            return self
                .run_here(session, state, &node, convenient, if_running)
                .await;
        }
        let arguments = [
            "--resume".to_owned(),
            format!("--tcp-listener-address={}", self.tcp_listener_address),
            "--".to_owned(),
            name.to_string(),
        ];
        let started = session
            .host
            .spawn_node(&arguments, ChildOutput::Discard)
            .await;
        if started.is_err() && prior.is_none() {
            // An authority that never ran is none.
            state.store().delete_node(&name).await.map_err(refused)?;
        }
        started?;
        let node = state.node(&name).await?;
        self.make_known(session, &state, node, convenient).await
    }
}

impl Create {
    /// Runs the authority in this process until it is to end.
    async fn run_here(
        &self,
        session: &Session<'_>,
        state: State,
        node: &NodeStart,
        convenient: bool,
        if_running: IfRunning,
    ) -> Result<(), Failure> {
        let settings = NodeSettings {
            name: node.name.clone(),
            listener: Some(self.tcp_listener_address.clone()),
            identity: None,
            status_endpoint: StatusEndpoint::Preferred,
            services: None,
            if_running,
            start: Start::Resume,
            portal_chunk: None,
            purpose_key_lifetime: None,
            trust: None,
            max_stale: None,
            authority: None,
            orchestrator: None,
            orchestrates: None,
            database: DatabaseAccess::default(),
            // It opens its own services only, whatever it is asked for.
            posture: Posture::Published,
        };
        session.host.waiting(&format!(
            "Starting the authority of {}",
            self.project_identifier
        ));
        let running = ManagedNode::start(state.clone(), settings).await?;
        let record = state.node(&node.name).await?;
        if let Err(failure) = self.make_known(session, &state, record, convenient).await {
            running.stop().await?;
            return Err(failure);
        }
        if let Some(port) = self.tcp_callback_port {
            session.host.ready(port).await?;
        }
        session.host.end_of_process(Stdin::Ignore).await;
        running.stop().await
    }

    /// The short form leaves nothing more to do on this machine before tickets are made: the project is known here. The published
    /// form changes nothing but the authority.
    async fn make_known(
        &self,
        session: &Session<'_>,
        state: &State,
        node: NodeRecord,
        convenient: bool,
    ) -> Result<(), Failure> {
        if !convenient {
            return Ok(());
        }
        let Some(settings) = managed::authority_of(&node) else {
            return Ok(());
        };
        let authority = HomeAuthority { node, settings };
        let project = authorities::project(state, &authority).await?;
        let (id, route) = (project.id.clone(), project.authority_access_route.clone());
        let verified = project
            .verify(ockam_vault::fast())
            .map_err(|error| Failure::internal("the project cannot be used", &error))?;
        projects::store(state, &verified).await?;
        session.host.note(Note::Done(format!(
            "The authority of {id} runs, and members reach it at {}",
            route.as_deref().unwrap_or("no address")
        )));
        session.host.note(Note::Info(format!(
            "The project {id} is known on this machine, and its default identity is an enroller: `ockam project ticket` lets \
             members in"
        )));
        Ok(())
    }

    /// spec: trust 7.5
    fn lifetime(&self, session: &Session<'_>) -> Result<Option<DurationText>, Failure> {
        let ttl = match self.ttl {
            Some(ttl) => Some(ttl),
            None => session
                .parsed_variable("CREDENTIAL_TTL_SECS")?
                .map(|seconds: u64| DurationText(Duration::from_secs(seconds))),
        };
        if let Some(ttl) = ttl {
            if ttl.0 < SHORTEST_LIFETIME {
                return Err(Failure::new("credentials are good for at least a minute")
                    .help("give --ttl 60s or more"));
            }
            if let Some(warning) = credentials::too_short_for_published(ttl.0) {
                session.host.note(Note::Warning(warning));
            }
        }
        Ok(ttl)
    }

    /// Whom to trust, if anybody is named.
    fn trusted_identities(&self, session: &Session<'_>) -> Result<Option<Trusted>, Failure> {
        let Some(given) = &self.trusted_identities else {
            return Ok(None);
        };
        let unreadable = |error: &(dyn std::error::Error + 'static)| {
            Failure::new("the trusted identities cannot be read").caused_by(error)
        };
        let text = if given == "-" {
            let read = session.host.read_input(LARGEST_INPUT);
            let read = read.map_err(|error| unreadable(&error))?;
            String::from_utf8(read).map_err(|error| unreadable(&error))?
        } else if given.trim_start().starts_with('{') {
            given.clone()
        } else {
            let file = std::fs::File::open(given);
            let file = file.map_err(|error| unreadable(&error).help(EXAMPLE))?;
            let mut text = String::new();
            file.take(LARGEST_INPUT)
                .read_to_string(&mut text)
                .map_err(|error| unreadable(&error))?;
            text
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| unreadable(&error).help(EXAMPLE))
    }

    /// Whoever owns this home holds the keys of the authority anyway: its default identity may enroll others.
    async fn own_enroller(&self, state: &State) -> Result<Trusted, Failure> {
        let identity = identities::find_or_default(state, None).await?;
        let enroller = [("ockam-role".to_owned(), "enroller".to_owned())];
        Ok(BTreeMap::from([(
            identity.identifier,
            BTreeMap::from(enroller),
        )]))
    }

    fn settings(
        &self,
        trusted_identities: Trusted,
        ttl: Option<DurationText>,
    ) -> Result<AuthoritySettings, Failure> {
        let okta = match (&self.tenant_base_url, &self.certificate) {
            (Some(tenant_base_url), Some(certificate)) => Some(OktaSettings {
                tenant_base_url: tenant_base_url.clone(),
                certificate: pem(certificate)?,
                attributes: self.attributes.clone(),
            }),
            _ => None,
        };
        let admins = match (
            self.enrollers_are_admins,
            self.enforce_admin_checks && self.account_authority.is_some(),
        ) {
            (true, _) => AdminSettings::AllEnrollers,
            (false, true) => AdminSettings::AccountOnly,
            (false, false) => AdminSettings::TrustedEnrollers,
        };
        Ok(AuthoritySettings {
            project: self.project_identifier.clone(),
            trusted_identities,
            direct_authentication: !self.no_direct_authentication,
            token_enrollment: !self.no_token_enrollment,
            okta,
            account_authority: self.account_authority.clone(),
            admins,
            trust_context_id: !self.disable_trust_context_id,
            ttl,
            public_address: self.public_address.clone(),
        })
    }

    fn identity_name(&self, node: &ockam_store::NodeName) -> Result<IdentityName, Failure> {
        match &self.identity {
            Some(name) => Ok(name.clone()),
            None => node
                .as_str()
                .parse()
                .map_err(|error: ockam_store::NameError| Failure::new(error.to_string())),
        }
    }

    async fn make_identity(
        &self,
        state: &State,
        name: IdentityName,
    ) -> Result<IdentityName, Failure> {
        let spec = identities::IdentitySpec {
            name: Some(name),
            ..identities::IdentitySpec::default()
        };
        let identity = identities::create(state, spec).await?.into_record();
        Ok(identity.name)
    }
}

fn pem(given: &str) -> Result<String, Failure> {
    if given.contains("-----BEGIN") {
        return Ok(given.to_owned());
    }
    std::fs::read_to_string(given).map_err(|error| {
        Failure::new(format!("the certificate {given} cannot be read")).caused_by(&error)
    })
}

type Trusted = BTreeMap<Identifier, BTreeMap<String, String>>;

/// How long credentials are good at least.
pub(in crate::command) const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
const EXAMPLE: &str =
    r#"give JSON, or a file with it, for example {"I..":{"ockam-role":"enroller"}}"#;
const LARGEST_INPUT: u64 = 16 * 1024 * 1024;
