//! Which Orchestrator somebody enrolls with, and by what right.

use std::fs::{File, TryLockError};
use std::path::Path;

use ockam_identity::OneTimeCode;
use zeroize::Zeroizing;

use crate::command::{Note, Session, controller, orchestrator};
use crate::configuration::Source;
use crate::controller::ControllerPlace;
use crate::home::orchestrator as home;
use crate::outcome::Failure;
use crate::state::{State, refused};
use crate::value::JoinString;

use super::Enroll;

/// An Orchestrator, and what it takes to enroll there.
#[derive(Debug)]
pub(super) struct Invited {
    /// Where it is and who it is.
    pub(super) place: ControllerPlace,
    /// The one-time code of an invitation; without one it takes signing in.
    pub(super) code: Option<OneTimeCode>,
    /// Whose it is.
    pub(super) owner: Owner,
}

/// Whose an Orchestrator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// It runs in this home.
    Here,
    /// It runs elsewhere.
    Elsewhere,
}

impl From<JoinString> for Invited {
    fn from(join: JoinString) -> Self {
        Self {
            place: ControllerPlace {
                route: join.route,
                identifier: join.identifier,
            },
            code: join.code,
            owner: Owner::Elsewhere,
        }
    }
}

impl Enroll {
    /// Which Orchestrator is meant: the one that was named, that of the environment, the one of before, or else one on this
    /// machine, which is started.
    pub(super) async fn invited(
        &self,
        session: &Session<'_>,
        state: &State,
    ) -> Result<Invited, Failure> {
        let given = self.join.clone().or_else(|| {
            session
                .host
                .variable(JOIN)
                .filter(|value| !value.is_empty())
        });
        if let Some(given) = given
            && self.controller.is_none()
        {
            return Ok(read_join(session, &given).await?.into());
        }
        let code = self.code(session).await?;
        let named = match (&self.controller, &self.controller_identifier) {
            (Some(route), Some(identifier)) => Some(ControllerPlace {
                route: route.clone(),
                identifier: *identifier,
            }),
            _ => controller::of_environment(session)?,
        };
        if let Some(place) = named {
            return Ok(Invited {
                place,
                code,
                owner: Owner::Elsewhere,
            });
        }
        let stored = state.store().default_controller().await.map_err(refused)?;
        let here = match home::find(state).await? {
            None if stored.is_some() => None,
            _ => Some(orchestrator::local(session).await?),
        };
        match (stored, here) {
            (Some(stored), here)
                if here
                    .as_ref()
                    .is_none_or(|here| here.identifier != stored.identifier) =>
            {
                Ok(Invited {
                    place: controller::place_of(&stored)?,
                    code,
                    owner: Owner::Elsewhere,
                })
            }
            (_, Some(here)) => {
                let here = Invited::from(here);
                Ok(Invited {
                    code: code.or(here.code),
                    owner: Owner::Here,
                    place: here.place,
                })
            }
            (_, None) => Err(Failure::new("there is no Orchestrator to enroll with")),
        }
    }

    async fn code(&self, session: &Session<'_>) -> Result<Option<OneTimeCode>, Failure> {
        let Some(given) = &self.code else {
            return Ok(None);
        };
        let source = match given.as_str() {
            "-" => Source::Input,
            file if Path::new(file).is_file() => Source::File(file.into()),
            _ => Source::Inline(given.clone()),
        };
        let text = Zeroizing::new(source.load(session).await?.text);
        text.trim().parse().map(Some).map_err(|_| {
            Failure::new("the value of --code is neither a file nor a one-time code")
                .help("a code has 64 hexadecimal digits; `ockam orchestrator invite` makes one")
        })
    }
}

async fn read_join(session: &Session<'_>, given: &str) -> Result<JoinString, Failure> {
    let (source, name) = match given.trim() {
        "-" => (Source::Input, "the text on standard input".to_owned()),
        text if text.contains(',') => (Source::Inline(text.to_owned()), "the text".to_owned()),
        file if Path::new(file).exists() => (Source::File(file.into()), file.to_owned()),
        other => {
            // A code without what comes before it is a secret too.
            let shown = if other.len() < CODE_DIGITS {
                other
            } else {
                "the argument"
            };
            return Err(Failure::new(format!(
                "{shown} is neither a join string nor a file that holds one"
            ))
            .help(JOIN_STRING));
        }
    };
    let load = source.load(session).await;
    let text = Zeroizing::new(load.map_err(|failure| failure.help(JOIN_STRING))?.text);
    text.trim().parse().map_err(|error| {
        Failure::new(format!("{name} is no join string"))
            .caused_by(&error)
            .help(JOIN_STRING)
    })
}

/// Waits until no other enrollment of this home is under way. The turn ends when the file is dropped, or with the process.
pub(super) async fn turn(session: &Session<'_>, state: &State) -> Result<File, Failure> {
    let unusable = |error: &std::io::Error| {
        Failure::internal("the home cannot be locked for the enrollment", error)
    };
    // The directory itself: nothing is left behind.
    let file = File::open(state.home().path()).map_err(|error| unusable(&error))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    session.host.note(Note::Info(
                        "Another enrollment of this home is under way, waiting for its end"
                            .to_owned(),
                    ));
                }
                told = true;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
        }
    }
}

const JOIN_STRING: &str = "a join string is one line, /dnsaddr/HOST/tcp/PORT/service/api,I.. and, of an invitation, another \
    comma and 64 digits; `ockam orchestrator status` prints one without a code, `ockam orchestrator invite` one with a code";
const CODE_DIGITS: usize = 64;
/// The join string, when it is not an argument.
const JOIN: &str = "OCKAM_JOIN";
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);
