//! `ockam orchestrator start`.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use clap::Args;
use ockam_store::{DatabaseAddress, DatabaseAddressError, IfRunning, NodeStart, SealingKey};
use serde_json::json;

use crate::command::authority::SHORTEST_LIFETIME;
use crate::command::orchestrator::{first_code, here, join_string, view};
use crate::command::sign_in_options::SignInOptions;
use crate::command::{ChildOutput, Example, Note, Run, Session, Stdin, text};
use crate::home::orchestrator::{self, HomeOrchestrator};
use crate::managed::{self, ManagedNode, NodeSettings, Posture, Start as How, StatusEndpoint};
use crate::noun::orchestrator::{NODE, NOUN};
use crate::orchestrator::OrchestratorSettings;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, refused, status_of};
use crate::table::Noun;
use crate::value::{DurationText, HostPort};

#[derive(Debug, Args)]
pub(in crate::command) struct Start {
    /// Run in this process and end with it
    #[arg(short, long)]
    foreground: bool,
    /// Where it listens: HOST:PORT; where it did before, or the first free port of 127.0.0.1 from 6252 on when not given
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<HostPort>,
    #[command(flatten)]
    begin: Begin,
}

/// How it is to work.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Begin {
    /// Where others reach it, when that is not where it listens: HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    public_address: Option<HostPort>,
    /// Where other processes on the same database reach this one: HOST:PORT; where it listens when not given
    #[arg(long, value_name = "ADDRESS")]
    process_address: Option<HostPort>,
    /// Its database: sqlite:FILE, or postgres://USER@HOST/NAME; a file in OCKAM_HOME when not given
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// The file with the key under which secrets are sealed in PostgreSQL
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How long the credentials of its projects and of their administrators are good, at least a minute; 30 days and a day when
    /// not given
    #[arg(long, value_name = "DURATION")]
    ttl: Option<DurationText>,
    #[command(flatten)]
    sign_in: SignInOptions,
}

impl Begin {
    /// Whether anything was said.
    fn is_given(&self) -> bool {
        self.public_address.is_some()
            || self.process_address.is_some()
            || self.database.is_some()
            || self.key_file.is_some()
            || self.ttl.is_some()
            || self.sign_in.is_given()
    }

    /// What was said, as it is kept.
    pub(super) fn settings(&self) -> Result<OrchestratorSettings, Failure> {
        if let Some(text) = &self.database {
            let address: DatabaseAddress =
                text.parse().map_err(|error: DatabaseAddressError| {
                    Failure::new("--database cannot be used").caused_by(&error)
                })?;
            if has_password(text) && address.is_server() {
                return Err(Failure::new("--database has a password in it, and every user of this machine can read arguments")
                    .help("leave it out, and set OCKAM_ORCHESTRATOR_DATABASE to the whole address, or PGPASSWORD"));
            }
        }
        if self.ttl.is_some_and(|ttl| ttl.0 < SHORTEST_LIFETIME) {
            return Err(Failure::new("credentials are good for at least a minute")
                .help("give --ttl 60s or more"));
        }
        let key_file = self.key_file.as_ref().map(std::path::absolute).transpose();
        let key_file =
            key_file.map_err(|error| Failure::new("--key-file is nowhere").caused_by(&error))?;
        Ok(OrchestratorSettings {
            public_address: self.public_address.clone(),
            process_address: self.process_address.clone(),
            database: self.database.clone(),
            key_file,
            credential_seconds: self.ttl.map(|ttl| ttl.0.as_secs()),
            sign_in: self.sign_in.settings()?,
        })
    }

    /// The same as words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("--{name}={value}")));
        };
        option(
            "public-address",
            self.public_address.as_ref().map(ToString::to_string),
        );
        option(
            "process-address",
            self.process_address.as_ref().map(ToString::to_string),
        );
        option("database", self.database.clone());
        option(
            "key-file",
            self.key_file
                .as_ref()
                .map(|path| path.display().to_string()),
        );
        option("ttl", self.ttl.map(|ttl| ttl.to_string()));
        words.extend(self.sign_in.words());
        words
    }

    /// What was said, over what was said before.
    fn over(&self, before: OrchestratorSettings) -> Result<OrchestratorSettings, Failure> {
        let given = self.settings()?;
        if let Some(wanted) = &given.database
            && before.database.as_ref() != Some(wanted)
        {
            return Err(Failure::new(
                "the Orchestrator of this machine has another database, and what is in it would be left behind",
            )
            .help("`ockam orchestrator backup` and `ockam orchestrator restore --database` move it"));
        }
        Ok(OrchestratorSettings {
            public_address: given.public_address.or(before.public_address),
            process_address: given.process_address.or(before.process_address),
            database: given.database.or(before.database),
            key_file: given.key_file.or(before.key_file),
            credential_seconds: given.credential_seconds.or(before.credential_seconds),
            sign_in: given.sign_in.or(before.sign_in),
        })
    }
}

/// Whether the address of a server has a password in it.
fn has_password(address: &str) -> bool {
    let server = address.split_once("://").map_or("", |(_, rest)| rest);
    let user = server
        .split('/')
        .next()
        .and_then(|server| server.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || address.contains("password=")
}

/// Stores an Orchestrator that does not run yet.
pub(super) async fn keep(
    state: &State,
    settings: &OrchestratorSettings,
    before: Option<&HomeOrchestrator>,
) -> Result<HomeOrchestrator, Failure> {
    let name: ockam_store::NodeName = NODE
        .parse()
        .map_err(|error| Failure::internal("the node has no name", &error))?;
    let node = NodeStart {
        name: name.clone(),
        identity: None,
        process: None,
        listener: before.and_then(|before| before.node.listener.clone()),
        status_endpoint: before.and_then(|before| before.node.status_endpoint.clone()),
        options: managed::orchestrator_options(settings)?,
    };
    let node = state
        .store()
        .create_node_apart(&node, IfRunning::Refuse)
        .await
        .map_err(refused)?;
    Ok(HomeOrchestrator {
        node,
        settings: settings.clone(),
    })
}

impl Run for Start {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "start";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "On this machine, for this machine",
                "ockam orchestrator start",
            ),
            Example::new(
                "For others, who reach it by a name",
                "ockam orchestrator start --listen 0.0.0.0:6252 --public-address ockam.example.com:6252",
            ),
            Example::new(
                "In a container, with a database that several share",
                "ockam orchestrator start -f --database postgres://ockam@db/ockam --key-file /run/secrets/key",
            ),
            Example::new(
                "People sign in with a provider",
                "ockam orchestrator start --oidc-issuer https://id.example.com --oidc-client-id ockam",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let before = orchestrator::find(&state).await?;
        if let Some(before) = &before
            && status_of(&before.node).is_running()
        {
            return self.leave_running(session, &state, before).await;
        }
        let mut settings = match &before {
            Some(before) => self.begin.over(before.settings.clone())?,
            None => self.begin.settings()?,
        };
        let access = session.database_access()?;
        if let Some(address) = &access.address {
            // What says where it is, without the password.
            settings.database = Some(address.to_string());
        }
        make_key(session, &settings)?;
        if let Some(listen) = &self.listen {
            orchestrator::public(&settings, listen)?;
        }
        if self.foreground {
            return self.run_here(session, state, settings).await;
        }
        let mut kept = keep(&state, &settings, before.as_ref()).await?;
        let mut arguments = vec!["--resume".to_owned()];
        if let Some(listen) = &self.listen {
            arguments.push(format!("--tcp-listener-address={listen}"));
        }
        arguments.extend(["--".to_owned(), kept.node.name.to_string()]);
        let started = session
            .host
            .spawn_node(&arguments, ChildOutput::Discard)
            .await;
        if started.is_err() {
            if let Some(other) = orchestrator::find(&state).await?
                && status_of(&other.node).is_running()
            {
                // Another command was faster.
                return self.leave_running(session, &state, &other).await;
            }
            if before.is_none() {
                // One that never ran is none.
                let deleted = state.store().delete_node(&kept.node.name).await;
                deleted.map_err(refused)?;
            }
        }
        started?;
        kept = here(&state).await?;
        told(session, &state, &kept, "started").await
    }
}

/// Tells systemd, where it asked for that, that the service is ready.
fn notify(session: &Session<'_>) {
    let Some(socket) = session.host.variable("NOTIFY_SOCKET") else {
        return;
    };
    let sent = UnixDatagram::unbound().and_then(|own| own.send_to(b"READY=1", &socket));
    if let Err(error) = sent {
        tracing::warn!("systemd is not told that the service is ready: {error}");
    }
}

/// Makes the file with the key where it was named and is not there.
pub(super) fn make_key(
    session: &Session<'_>,
    settings: &OrchestratorSettings,
) -> Result<(), Failure> {
    let Some(path) = settings.key_file.as_ref().filter(|path| !path.exists()) else {
        return Ok(());
    };
    SealingKey::create(path).map_err(|error| {
        Failure::new("the key of the database cannot be made").caused_by(&error)
    })?;
    session.host.note(Note::Info(format!(
        "Made {}, the key of the secrets in the database: keep a copy elsewhere",
        path.display()
    )));
    Ok(())
}

impl Start {
    /// Runs it in this process until it is to end.
    async fn run_here(
        &self,
        session: &Session<'_>,
        state: State,
        settings: OrchestratorSettings,
    ) -> Result<(), Failure> {
        session.host.waiting("Starting the Orchestrator");
        let name: ockam_store::NodeName = NODE
            .parse()
            .map_err(|error| Failure::internal("the node has no name", &error))?;
        let node = NodeSettings {
            name,
            listener: self.listen.clone(),
            identity: None,
            status_endpoint: StatusEndpoint::Preferred,
            services: None,
            posture: Posture::Strict,
            if_running: IfRunning::Refuse,
            start: How::Create,
            portal_chunk: None,
            purpose_key_lifetime: None,
            trust: None,
            max_stale: None,
            authority: None,
            orchestrator: Some(settings),
            orchestrates: session.host.orchestrates(),
            database: session.database_access()?,
        };
        let running = ManagedNode::start(state.clone(), node).await?;
        let kept = here(&state).await?;
        let told = told(session, &state, &kept, "started").await;
        if told.is_ok() {
            notify(session);
            session.host.end_of_process(Stdin::Ignore).await;
        }
        running.stop().await?;
        told
    }

    /// One that runs stays as it is; who asks for another one is told.
    async fn leave_running(
        &self,
        session: &Session<'_>,
        state: &State,
        found: &HomeOrchestrator,
    ) -> Result<(), Failure> {
        let wanted = self.begin.over(found.settings.clone())?;
        let moved = self.listen.as_ref().is_some_and(|listen| {
            found.node.listener.as_deref() != Some(listen.to_string().as_str())
        });
        if self.foreground || moved || (self.begin.is_given() && wanted != found.settings) {
            return Err(Failure::new("the Orchestrator of this machine runs already").help(
                "what it was started with changes when it starts: stop it with `ockam orchestrator stop` first",
            ));
        }
        told(session, state, found, "running already").await
    }
}

/// Says where it is.
async fn told(
    session: &Session<'_>,
    state: &State,
    found: &HomeOrchestrator,
    what: &str,
) -> Result<(), Failure> {
    let view = view(session, state, &found.node).await?;
    let join = join_string(&view)?.to_string();
    let mut lines = vec![
        text::done(format!("The Orchestrator is {what}")),
        text::more(format!("Join string: {join}")),
    ];
    let code = orchestrator::first_administrator(state);
    if first_code(state)?.is_some() {
        lines.push(text::info(
            "Nobody administers it yet: `ockam enroll` on this machine makes you its administrator",
        ));
    }
    session.host.print(
        Outcome::plain(lines.join("\n"))
            .machine(join.clone())
            .json(json!({
                "node": found.node.name.as_str(),
                "join": join,
                "route": view.route,
                "identifier": view.identifier,
                "first_administrator": code,
            })),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_argument_is_noticed() {
        assert!(has_password("postgres://u:p@h/d"));
        assert!(has_password("postgres://h/d?user=u&password=p"));
        assert!(!has_password("postgres://u@h:5432/d"));
        assert!(!has_password("postgres://h/d?x=a:b@c"));
    }

    #[test]
    fn another_database_is_not_taken_for_the_same() {
        let before = OrchestratorSettings {
            public_address: Some(HostPort::loopback(1)),
            ..OrchestratorSettings::default()
        };
        let other = Begin {
            database: Some("postgres://u@h/n".to_owned()),
            ..Begin::default()
        };
        assert!(other.over(before.clone()).is_err());
        assert_eq!(Begin::default().over(before.clone()), Ok(before));
    }
}
