//! `ockam project enroll`.

mod tenant;

use std::io::IsTerminal as _;
use std::path::Path;

use clap::Args;
use ockam_authority::client::{CredentialCache as _, Issued, Redeemed};
use ockam_identity::{EnrollmentTicket, OneTimeCode, VerifiedProject};
use ockam_store::{EnrollmentRecord, IdentityName, IdentityRecord, ProjectRecord};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::command::argument::{Identity, Retry, Trust};
use crate::command::{Example, Note, Run, Session, text};
use crate::configuration::Source;
use crate::home::enrollment::Asking;
use crate::home::trust::{Trusted, scope_of};
use crate::home::{identities, projects};
use crate::membership::StoredCredential;
use crate::noun::project::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, refused};
use crate::table::Noun;
use crate::value::DurationText;

#[derive(Debug, Args)]
pub(in crate::command) struct Enroll {
    /// The ticket: itself, or a file or URL that holds it; `-`, or nothing when it comes through a pipe, is standard input
    #[arg(conflicts_with = "okta")]
    ticket: Option<String>,
    /// Enroll by signing in with the service that the project is configured with
    #[arg(long)]
    okta: bool,
    /// Do not fetch a credential now
    #[arg(long, hide = true)]
    skip_credential_issue: bool,
    /// How long it may take
    #[arg(long, value_name = "DURATION", default_value = "240s")]
    timeout: DurationText,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    retry: Retry,
}

impl Run for Enroll {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "enroll";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("With a ticket in a file", "ockam project enroll web.ticket"),
            Example::new(
                "As another identity than the default one",
                "ockam project enroll web.ticket --identity web",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        self.trust.check()?;
        if self.okta {
            let enrolled = self.sign_in(session).await?;
            session.host.print(enrolled.outcome());
            return Ok(());
        }
        let ticket = read_ticket(session, self.ticket.as_deref()).await?;
        let state = session.open().await?;
        if let Some(expected) = self.trust.given(&state).await? {
            is_for(&ticket, &Trusted::of(&state, &expected).await?)?;
        }
        let enrolled = enroll(session, &state, ticket, self.wanted()).await?;
        session.host.print(enrolled.outcome());
        Ok(())
    }
}

impl Enroll {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            identity: self.identity.identity.clone(),
            timeout: self.timeout,
            credential: if self.skip_credential_issue {
                Credential::Later
            } else {
                Credential::Now
            },
            retry: &self.retry,
        }
    }
}

/// Makes the default identity a member of the default project by signing in.
pub(in crate::command) async fn sign_in_to_default(session: &Session<'_>) -> Result<(), Failure> {
    let enroll = Enroll {
        ticket: None,
        okta: true,
        skip_credential_issue: false,
        timeout: DurationText(TIMEOUT),
        identity: Identity::default(),
        trust: Trust::default(),
        retry: Retry::default(),
    };
    let enrolled = enroll.sign_in(session).await?;
    session.host.note(Note::Done(format!(
        "The identity {} is a member of the project {}",
        enrolled.identity.name, enrolled.project.name
    )));
    Ok(())
}

/// How somebody is enrolled.
struct Wanted<'a> {
    /// Who; the default identity when none is given.
    identity: Option<IdentityName>,
    /// How long it may take.
    timeout: DurationText,
    /// Whether a credential is fetched.
    credential: Credential,
    /// How often it is tried.
    retry: &'a Retry,
}

/// Whether a credential is fetched as soon as it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credential {
    /// It is.
    Now,
    /// Whoever needs it fetches it.
    Later,
}

/// What came of a ticket.
#[derive(Debug)]
struct Enrolled {
    identity: IdentityRecord,
    project: ProjectRecord,
    credential: Option<Issued>,
}

impl Enrolled {
    fn outcome(&self) -> Outcome {
        let mut plain = vec![text::done(format!(
            "The identity {} is a member of the project {}",
            self.identity.name, self.project.name
        ))];
        if let Some(issued) = &self.credential {
            for (name, value) in issued.credential.attributes().text_entries() {
                plain.push(text::more(format!("{name}={value}")));
            }
        }
        let json = json!({
            "identity": identities::item(&self.identity),
            "project_name": self.project.name.as_str(),
            "credential": self.credential.as_ref().map(credential_json),
        });
        Outcome::plain(plain.join("\n")).json(json)
    }
}

/// Makes an identity a member of the project of a ticket.
///
/// The project is stored when the authority has taken the ticket: one that does not work leaves nothing behind.
async fn enroll(
    session: &Session<'_>,
    state: &State,
    ticket: EnrollmentTicket,
    wanted: Wanted<'_>,
) -> Result<Enrolled, Failure> {
    let (code, project) = ticket.into_parts();
    projects::check(state, &project).await?;
    session.unlock_for(state, wanted.identity.as_ref()).await?;
    let identity = identities::find_or_default(state, wanted.identity.as_ref()).await?;
    let trusted = trusted(&project)?;
    let asking = Asking::start(state, &identity, trusted, wanted.timeout.0).await?;
    session
        .host
        .waiting(&format!("Enrolling with {}", asking.trusted.name()));
    let redeemed = redeem(session, &asking, &code, wanted.retry).await?;
    let project = projects::store(state, &project).await?;
    tell_if_known(session, &project, redeemed);
    enrolled(session, state, &asking, identity, project, wanted).await
}

/// Says so when somebody was a member before (spec: command 3.9.6).
fn tell_if_known(session: &Session<'_>, project: &ProjectRecord, redeemed: Redeemed) {
    if redeemed == Redeemed::AlreadyMember {
        session.host.note(Note::Info(format!(
            "Identity is already enrolled with the project {}",
            project.name
        )));
    }
}

/// Keeps that somebody is a member now, and fetches the credential.
async fn enrolled(
    session: &Session<'_>,
    state: &State,
    asking: &Asking,
    identity: IdentityRecord,
    project: ProjectRecord,
    wanted: Wanted<'_>,
) -> Result<Enrolled, Failure> {
    state
        .store()
        .put_enrollment(&EnrollmentRecord {
            identity: identity.identifier,
            project: project.id.clone(),
            enrolled_at: identities::now(),
        })
        .await
        .map_err(refused)?;
    let credential = match wanted.credential {
        Credential::Later => None,
        Credential::Now => Some(fetch(session, state, asking, &identity, wanted.retry).await?),
    };
    Ok(Enrolled {
        identity,
        project,
        credential,
    })
}

/// Makes the identity of a node a member of the project of a ticket, unless it is one as far as this home knows. Gives
/// the id of the project.
pub(in crate::command) async fn enroll_once(
    session: &Session<'_>,
    state: &State,
    ticket: EnrollmentTicket,
    identity: &IdentityRecord,
) -> Result<String, Failure> {
    projects::check(state, ticket.project()).await?;
    let id = ticket.project().details().id.clone();
    let known = state
        .store()
        .enrollments(&identity.identifier)
        .await
        .map_err(refused)?;
    if known.iter().any(|enrolled| enrolled.project == id)
        && !is_removed(state, &ticket, identity).await?
    {
        session.host.note(Note::Info(format!(
            "Identity {} is already enrolled with the project {}, the ticket is not used",
            identity.name,
            ticket.project().details().name
        )));
        return Ok(id);
    }
    let wanted = Wanted {
        identity: Some(identity.name.clone()),
        timeout: DurationText(TIMEOUT),
        credential: Credential::Now,
        retry: &Retry::default(),
    };
    let enrolled = enroll(session, state, ticket, wanted).await?;
    session.host.note(Note::Done(format!(
        "Identity {} is a member of the project {}",
        identity.name, enrolled.project.name
    )));
    Ok(id)
}

/// Whether the authority says that this identity is no member any more. One that does not answer has not said so.
async fn is_removed(
    state: &State,
    ticket: &EnrollmentTicket,
    identity: &IdentityRecord,
) -> Result<bool, Failure> {
    let trusted = trusted(ticket.project())?;
    let asking = Asking::start(state, identity, trusted, SHORT_TIMEOUT).await?;
    let issued = asking.client.credential().await;
    Ok(issued.is_err_and(|error| error.is_not_a_member()))
}

async fn redeem(
    session: &Session<'_>,
    asking: &Asking,
    code: &OneTimeCode,
    retry: &Retry,
) -> Result<Redeemed, Failure> {
    retry
        .run(session, async || {
            let redeemed = asking.client.redeem(code).await;
            redeemed.map_err(|error| asking.ticket_failed(&error))
        })
        .await
}

async fn fetch(
    session: &Session<'_>,
    state: &State,
    asking: &Asking,
    identity: &IdentityRecord,
    retry: &Retry,
) -> Result<Issued, Failure> {
    let issued = retry
        .run(session, async || {
            let issued = asking.client.credential().await;
            issued.map_err(|error| asking.failed("enrolled, but no credential was issued", &error))
        })
        .await?;
    let cache = StoredCredential {
        store: state.store().clone(),
        issuer: asking.client.authority,
        subject: identity.identifier,
        scope: asking.trusted.scope.clone().unwrap_or_default(),
    };
    cache
        .store(&issued)
        .await
        .map_err(|error| Failure::internal("the credential was not stored", &error))?;
    Ok(issued)
}

/// The authority of a ticket's project, which is not stored yet.
fn trusted(project: &VerifiedProject) -> Result<Trusted, Failure> {
    let (Some(authority), Some(route)) = (project.authority(), project.authority_route()) else {
        return Err(Failure::new(
            "the ticket does not say where its authority is",
        ));
    };
    Ok(Trusted {
        authority: authority.clone(),
        route: Some(route.parse().map_err(|error: ockam_wire::MultiAddrError| {
            Failure::new("the ticket has an authority route that is none").caused_by(&error)
        })?),
        scope: Some(scope_of(&project.details().id)),
        project: None,
        name: Some(format!("project {}", project.details().name)),
    })
}

/// Refuses a ticket of another authority than the one that was named.
fn is_for(ticket: &EnrollmentTicket, expected: &Trusted) -> Result<(), Failure> {
    let (is, wanted) = (
        ticket.authority().identifier(),
        expected.authority.identifier(),
    );
    if is == wanted {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the ticket is for another authority than that of {}",
        expected.name()
    ))
    .cause(format!("it is for {is}, not {wanted}"))
    .help("ask for a ticket of the right authority, or leave the option out"))
}

/// Reads a ticket, wherever it is.
pub(in crate::command) async fn read_ticket(
    session: &Session<'_>,
    given: Option<&str>,
) -> Result<EnrollmentTicket, Failure> {
    let source = match given {
        Some(given) => source(given),
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::new("no ticket was given").help(
                "give it as the argument, as a file or through a pipe; whoever runs the authority makes one with \
                 `ockam project ticket`",
            ));
        }
        None => Source::Input,
    };
    let name = match &source {
        Source::Inline(_) => "the ticket".to_owned(),
        source => format!("the ticket in {}", source.name()),
    };
    let text = Zeroizing::new(source.load(session).await?.text);
    EnrollmentTicket::read(ockam_vault::fast(), &text).map_err(|error| {
        let failure = Failure::new(format!("{name} cannot be used")).caused_by(&error);
        match &source {
            Source::Inline(text) if text.len() < LONGEST_NAME && !text.contains([',', '{']) => {
                failure.cause(format!("there is no file {text} either"))
            }
            _ => failure,
        }
        .help("copy it again, whole and on one line; `ockam project ticket` makes a new one")
    })
}

/// Where a ticket is: most often it is the text itself.
fn source(given: &str) -> Source {
    let text = given.trim();
    let is_itself = text.starts_with('{')
        || text.starts_with("/dnsaddr/")
        || text.contains(',')
        || (text.len() > LONGEST_NAME && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if text == "-" {
        return Source::Input;
    }
    if is_itself {
        return Source::Inline(given.to_owned());
    }
    match Source::of_argument(text) {
        Some(Source::Inline(_)) | None if Path::new(text).is_file() => Source::File(text.into()),
        Some(source) => source,
        None => Source::Inline(given.to_owned()),
    }
}

/// A credential as it is shown (spec: command 3.10).
fn credential_json(issued: &Issued) -> Value {
    let credential = &issued.credential;
    let attributes: serde_json::Map<String, Value> = credential
        .attributes()
        .text_entries()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    json!({
        "credential": hex::encode(issued.bundle.as_bytes()),
        "subject": credential.subject().to_string(),
        "issuer": credential.issuer().to_string(),
        "created_at": credential.created_at().0,
        "expires_at": credential.expires_at().0,
        "attributes": attributes,
    })
}

/// How long an enrollment may take that is a part of something else.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

/// How long it may take to learn that nothing has to be done.
const SHORT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// No path is longer, and no ticket shorter.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_told_from_where_it_is() {
        let hex = "ab".repeat(200);
        for inline in [
            "/dnsaddr/h/tcp/1/service/p,I..",
            "{\"one_time_code\":\"x\"}",
            &hex,
            "nowhere",
        ] {
            assert!(matches!(source(inline), Source::Inline(_)), "{inline}");
        }
        assert_eq!(source("-"), Source::Input);
        for url in ["https://example.com/ticket", "h:80/ticket"] {
            assert!(matches!(source(url), Source::Url(_)), "{url}");
        }
    }
}
