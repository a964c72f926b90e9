//! Becoming known to a controller: by a one-time code, or by signing in.

use ockam_authority::client::RequestError;
use ockam_node::{ChannelError, ConnectError};
use zeroize::Zeroizing;

use super::place::{Invited, Owner};
use crate::command::Session;
use crate::controller::client::ControllerClient;
use crate::outcome::{Code, Failure};
use crate::sign_in::{SignInPlace, browser, device};

/// How somebody is enrolled.
pub(super) struct Wanted<'a> {
    /// Where, and by what right.
    pub(super) invited: &'a Invited,
    /// Whether signing in takes the browser of this machine.
    pub(super) browser: bool,
    /// Whether the identity is enrolled again, if it is.
    pub(super) again: bool,
    /// Whether the identity is enrolled as far as this home knows.
    pub(super) known: bool,
}

/// Makes the identity known to the controller, unless it is. Gives the address of its account.
pub(super) async fn enroll(
    session: &Session<'_>,
    client: &ControllerClient,
    wanted: &Wanted<'_>,
) -> Result<Option<String>, Failure> {
    let failed = |error: &RequestError| failed(wanted.invited, error);
    let code = wanted.invited.code.as_ref();
    // Whoever has a code is most likely new.
    if code.is_none() || (wanted.known && !wanted.again) {
        match client.me().await {
            Ok(me) if !wanted.again => return Ok(Some(me.email)),
            // Where nobody can sign in, what there is is fetched again.
            Ok(me) if code.is_none() && !can_sign_in(session, client).await => {
                return Ok(Some(me.email));
            }
            Ok(_) => {}
            Err(error) if is_stranger(&error) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    match code {
        Some(code) => {
            if let Err(error) = client.enroll_with_code(code).await {
                // It may have been this identity that used it, before it was interrupted.
                return match client.me().await {
                    Ok(me) if is_stranger(&error) => Ok(Some(me.email)),
                    _ if is_stranger(&error) => Err(code_refused(&error)),
                    _ => Err(failed(&error)),
                };
            }
        }
        None => sign_in(session, client, wanted).await?,
    }
    match client.me().await {
        Ok(me) => Ok(Some(me.email)),
        Err(error) => Err(failed(&error)),
    }
}

/// Whether the controller, or the environment, names a provider.
async fn can_sign_in(session: &Session<'_>, client: &ControllerClient) -> bool {
    let configured = session.host.variable("OCKAM_AUTHENTICATOR_ENDPOINT");
    configured.is_some_and(|value| !value.is_empty())
        || client
            .sign_in()
            .await
            .is_ok_and(|told| told.issuer.is_some())
}

async fn sign_in(
    session: &Session<'_>,
    client: &ControllerClient,
    wanted: &Wanted<'_>,
) -> Result<(), Failure> {
    let told = client
        .sign_in()
        .await
        .map_err(|error| failed(wanted.invited, &error))?;
    let place = SignInPlace::find(session, told).await?;
    let token = if wanted.browser {
        browser(session, &place).await?
    } else {
        device(session, &place).await?
    };
    let token = Zeroizing::new(token.expose().to_owned());
    client.enroll(token).await.map_err(|error| {
        if is_stranger(&error) {
            return Failure::coded(
                Code::Unauthorized,
                "you are signed in, and the Orchestrator does not let you in",
            )
            .caused_by(&error)
            .help("ask an administrator of the Orchestrator to invite you: `ockam orchestrator invite`");
        }
        failed(wanted.invited, &error)
    })
}

/// Whether a refusal is about who asks.
fn is_stranger(error: &RequestError) -> bool {
    error.is_forbidden() || error.is_not_found()
}

fn code_refused(error: &RequestError) -> Failure {
    Failure::coded(
        Code::Unauthorized,
        "the Orchestrator does not take this one-time code",
    )
    .caused_by(error)
    .cause("it is used up, has expired, was withdrawn, or is of another Orchestrator")
    .help("ask whoever invited you for a new one, which `ockam orchestrator invite` makes; if you never used this one, tell them")
}

/// A request that failed, with what to do next.
pub(super) fn failed(invited: &Invited, error: &RequestError) -> Failure {
    const WHAT: &str = "the identity was not enrolled";
    let place = &invited.place;
    match error {
        RequestError::Connect(ConnectError::Channel(ChannelError::NotAuthorized(other))) => {
            Failure::coded(
                Code::Unauthorized,
                format!("{WHAT}: somebody else than the expected Orchestrator is at {}", place.route),
            )
            .cause(format!("{other} is there, {} was expected", place.identifier))
            .help("ask whoever runs it for its join string, which `ockam orchestrator status` prints; until it fits, go no further")
        }
        error if error.is_unavailable() => {
            let failure = Failure::coded(
                Code::Unavailable,
                format!("{WHAT}: no Orchestrator is reached at {}", place.route),
            )
            .caused_by(error);
            match invited.owner {
                Owner::Here => failure.help(
                    "start it with `ockam orchestrator start`, or everything that ran with `ockam node start --all`; \
                     `ockam node logs orchestrator` shows what it says",
                ),
                Owner::Elsewhere => failure.help(
                    "look whether it runs (`ockam orchestrator status` there), and whether that address is reached from here",
                ),
            }
        }
        RequestError::Route(_) => Failure::new(WHAT).caused_by(error).help(
            "the route ends with the listener, for example /dnsaddr/orchestrator.example/tcp/6252/service/api",
        ),
        error if error.is_forbidden() => Failure::coded(Code::Unauthorized, WHAT).caused_by(error),
        error => Failure::coded(Code::Internal, WHAT)
            .caused_by(error),
    }
}
