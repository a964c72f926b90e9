//! Groups of arguments that several commands share.

use clap::Args;
use ockam_policy::Policy;
use ockam_store::IdentityName;
use ockam_wire::{MultiAddr, Protocol};

use crate::command::{Note, Session};
use crate::home::projects;
use crate::home::trust::{self, TrustSpec};
use crate::outcome::Failure;
use crate::state::State;
use crate::value::{DurationText, Expression, NodeArgument};

/// Where: the node that acts.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct At {
    /// The node that acts; the default node when none is given
    #[arg(long, value_name = "NODE")]
    pub(super) at: Option<NodeArgument>,
}

/// Who: the identity that is shown to the other side.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Identity {
    /// The name of the identity to use; the default one when none is given
    #[arg(long, value_name = "NAME")]
    pub(super) identity: Option<IdentityName>,
}

/// A policy for what is created.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Allow {
    /// Who may use it, for example `component=web`; see `ockam policy create --help` for what can be written
    #[arg(long, visible_alias = "expression", value_name = "EXPRESSION")]
    allow: Option<Expression>,
}

impl Allow {
    /// The policy, if one was given; what is odd about it is said.
    pub(super) fn policy(self, session: &Session<'_>) -> Option<Policy> {
        self.allow.map(|expression| expression.told(session))
    }
}

impl Expression {
    /// The policy; what is odd about it is said.
    pub(super) fn told(self, session: &Session<'_>) -> Policy {
        for caution in self.cautions {
            session.host.note(Note::Warning(caution.to_string()));
        }
        self.policy
    }
}

/// Whom to trust: the authority of a project, or one that is described.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Trust {
    /// The project whose members to trust; the default one when there is one
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// The change history of the authority to trust, instead of a project
    #[arg(long, value_name = "HEX", conflicts_with = "project")]
    authority_identity: Option<String>,
    /// The route to that authority
    #[arg(long, value_name = "ROUTE")]
    authority_route: Option<MultiAddr>,
    /// Under what the credentials of that authority are kept
    #[arg(long, value_name = "SCOPE")]
    credential_scope: Option<String>,
}

impl Trust {
    /// The same with other options where none were given.
    pub(super) fn or(self, other: Self) -> Self {
        if self.is_given() { self } else { other }
    }

    /// The same, of a project that was named elsewhere.
    pub(super) fn with_project(self, name: &str) -> Self {
        Self {
            project: Some(name.to_owned()),
            ..self
        }
    }

    /// Whether anything was said.
    pub(super) fn is_given(&self) -> bool {
        self.project.is_some()
            || self.authority_identity.is_some()
            || self.authority_route.is_some()
            || self.credential_scope.is_some()
    }

    /// Refuses options that do not go together (spec: trust 4.8).
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.project.is_some()
            && (self.authority_identity.is_some()
                || self.authority_route.is_some()
                || self.credential_scope.is_some())
        {
            return Err(Failure::new(
                "--project is given together with options of an authority: a project has its own",
            ));
        }
        match &self.authority_identity {
            Some(history) => trust::described(history).map(drop)?,
            None if self.authority_route.is_some() => {
                return Err(Failure::new(
                    "--authority-route is given without --authority-identity: nobody would be expected there",
                ));
            }
            None if self.credential_scope.is_some() => {
                return Err(Failure::new(
                    "--credential-scope is given without --authority-identity",
                ));
            }
            None => {}
        }
        if self.authority_route.is_some() && self.credential_scope.is_none() {
            return Err(Failure::new(
                "--authority-route is given without --credential-scope: a credential is kept under it",
            )
            .help("for a project it is project-member-ID"));
        }
        Ok(())
    }

    /// What was said; nothing when nothing was.
    pub(super) async fn given(&self, state: &State) -> Result<Option<TrustSpec>, Failure> {
        self.check()?;
        if let Some(name) = &self.project {
            let project = projects::find(state, name).await?;
            return Ok(Some(TrustSpec::Project(project.id)));
        }
        Ok(self
            .authority_identity
            .as_ref()
            .map(|history| TrustSpec::Authority {
                history: history.trim().to_owned(),
                route: self.authority_route.as_ref().map(ToString::to_string),
                scope: self.credential_scope.clone(),
            }))
    }

    /// What was said, or the default project when there is one that has an authority.
    pub(super) async fn spec(&self, state: &State) -> Result<Option<TrustSpec>, Failure> {
        if let Some(given) = self.given(state).await? {
            return Ok(Some(given));
        }
        trust::by_default(state).await
    }

    /// The same as words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let route = self.authority_route.as_ref().map(ToString::to_string);
        [
            ("--project", self.project.as_ref()),
            ("--authority-identity", self.authority_identity.as_ref()),
            ("--authority-route", route.as_ref()),
            ("--credential-scope", self.credential_scope.as_ref()),
        ]
        .into_iter()
        .filter_map(|(option, value)| Some(format!("{option}={}", value?)))
        .collect()
    }
}

/// How often a failed attempt is repeated.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Retry {
    /// How often a failed attempt is repeated
    #[arg(long, alias = "retry", value_name = "N", hide = true)]
    retry_count: Option<u32>,
    /// How long to wait before an attempt is repeated
    #[arg(long, value_name = "DURATION", hide = true)]
    retry_delay: Option<DurationText>,
    /// A failed attempt is not repeated
    #[arg(long, hide = true, conflicts_with_all = ["retry_count", "retry_delay"])]
    no_retry: bool,
}

impl Retry {
    /// Repeats an operation as asked, as long as it fails because something was not reachable.
    pub(super) async fn run<T>(
        &self,
        session: &Session<'_>,
        operation: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (mut left, delay) = self.plan(session)?;
        loop {
            match operation().await {
                Err(failure)
                    if left > 0 && failure.code == Some(crate::outcome::Code::Unavailable) =>
                {
                    left -= 1;
                    session.host.note(Note::Info(format!(
                        "{}, trying again in {delay}",
                        failure.message
                    )));
                    tokio::time::sleep(delay.0).await;
                }
                result => return result,
            }
        }
    }

    /// How many repetitions, and the pause before each (spec: command 3.9, RETRY).
    fn plan(&self, session: &Session<'_>) -> Result<(u32, DurationText), Failure> {
        const COUNT: &str = "OCKAM_COMMAND_RETRY_COUNT";
        const DELAY: &str = "OCKAM_COMMAND_RETRY_DELAY";
        if self.no_retry {
            return Ok((0, DurationText(std::time::Duration::ZERO)));
        }
        let count = match self.retry_count {
            Some(count) => Some(count),
            None => session.parsed_variable::<u32>(COUNT)?,
        };
        let delay = match self.retry_delay {
            Some(delay) => Some(delay),
            None => session.parsed_variable::<DurationText>(DELAY)?,
        };
        let pause = DurationText(std::time::Duration::from_secs(5));
        Ok(match (count, delay) {
            (None, None) => (0, pause),
            (Some(count), delay) => (count, delay.unwrap_or(pause)),
            (None, Some(delay)) => (3, delay),
        })
    }
}

/// Refuses a route in `--to` that ends at a node, where nobody would answer.
pub(super) fn ends_at_worker(to: &MultiAddr) -> Result<(), Failure> {
    match to.protocols().last() {
        Some(Protocol::Service(_) | Protocol::Worker(_) | Protocol::Secure(_)) => Ok(()),
        _ => Err(Failure::new("Argument '--to' is invalid")
            .cause("the route does not end at a worker")
            .help("end it with the address of one, for example /node/n1/service/echo")),
    }
}

/// Refuses an option that has a value.
pub(super) fn refuse<T>(option: &str, value: Option<&T>) -> Result<(), Failure> {
    match value {
        Some(_) => Err(Failure::unsupported(option)),
        None => Ok(()),
    }
}

/// Refuses a flag that was set.
pub(super) fn refuse_flag(option: &str, set: bool) -> Result<(), Failure> {
    if set {
        Err(Failure::unsupported(option))
    } else {
        Ok(())
    }
}

/// Warns that an option has no effect any more.
pub(super) fn deprecated(session: &Session<'_>, option: &str, instead: &str) {
    session.host.note(Note::Warning(format!(
        "{option} is deprecated and will be removed: {instead}"
    )));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_ends_at_a_node_is_refused() {
        let check = |text: &str| ends_at_worker(&text.parse().expect(text));
        assert!(check("/ip4/127.0.0.1/tcp/1/secure/api/service/echo").is_ok());
        assert!(check("/ip4/127.0.0.1/tcp/1").is_err());
        assert!(check("").is_err());
    }
}
