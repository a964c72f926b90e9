//! `ockam credential`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use ockam_identity::{Attributes, CredentialBundle, Identifier, UnixTime};
use ockam_store::{CredentialRecord, IdentityName, VaultName};
use serde_json::json;

use crate::command::argument::At;
use crate::command::flow::{self, Chosen};
use crate::command::{Example, Note, Run, Session, text};
use crate::home::credentials::{self, NotVerified};
use crate::home::identities;
use crate::noun::credential::{CredentialView, NOUN, StoredCredential};
use crate::outcome::{Failure, Outcome};
use crate::state::{State, refused};
use crate::table::Noun;
use crate::value::{AttributeText, DurationText};

/// How a credential is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    /// For people
    Plain,
    /// As --credential takes it
    Hex,
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The identity that issues it; the default one when none is given
    #[arg(long = "as", value_name = "NAME")]
    issuer: Option<IdentityName>,
    /// The identifier of the identity it is about
    #[arg(long = "for", value_name = "IDENTIFIER")]
    subject: Identifier,
    /// What it says; repeat for several
    #[arg(short, long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<AttributeText>,
    /// The kind of what it says, as a number
    #[arg(long, value_name = "N", default_value_t = ockam_identity::MEMBER_SCHEMA)]
    schema: u64,
    /// The vault of the issuer, which its name tells already
    #[arg(hide = true)]
    vault: Option<VaultName>,
    /// How to show it
    #[arg(long, value_enum, default_value = "plain")]
    encoding: Encoding,
    /// How long it is good for
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    ttl: DurationText,
}

impl Run for Issue {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "issue";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "That somebody belongs to the sales department, for a day",
                "ockam credential issue --as authority --for $ALICE --attribute department=sales --ttl 1d",
            ),
            Example::new(
                "In the form in which it can be given away",
                "ockam credential issue --for $ALICE --attribute a=b --encoding hex > alice.credential",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let lifetime = self.ttl.0;
        if lifetime < Duration::from_secs(1) {
            return Err(Failure::new("--ttl is at least a second"));
        }
        let mut attributes = Attributes::new(self.schema);
        for AttributeText { name, value } in &self.attributes {
            attributes
                .insert(name.as_bytes(), value.as_bytes())
                .map_err(|error| Failure::new(error.to_string()))?;
        }
        let state = session.open().await?;
        let issuer = identities::find(&state, self.issuer.as_ref()).await?;
        let subject = credentials::history_of_subject(&state, &self.subject).await?;
        session.unlock_for(&state, Some(&issuer.name)).await?;
        if let Some(warning) = credentials::too_short_for_published(lifetime) {
            session.host.note(Note::Warning(warning));
        }
        let bundle =
            credentials::issue(&state, &issuer.identifier, &subject, attributes, lifetime).await?;
        let view = view(&bundle)?;
        let plain = match self.encoding {
            Encoding::Plain => lines(&view).join("\n"),
            Encoding::Hex => view.credential.clone(),
        };
        session.host.print(
            Outcome::plain(plain.clone())
                .machine(plain)
                .json(json!(view)),
        );
        Ok(())
    }
}

/// Which credential, given in one of two ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Given {
    /// The credential in hexadecimal
    #[arg(long, value_name = "HEX")]
    credential: Option<String>,
    /// A file that holds the credential in hexadecimal
    #[arg(long, value_name = "FILE")]
    credential_path: Option<PathBuf>,
}

impl Given {
    fn read(&self) -> Result<CredentialBundle, Failure> {
        let invalid = |error| {
            let which = match &self.credential_path {
                Some(path) => format!("{} holds no credential", path.display()),
                None => "the value of --credential is not a credential".to_owned(),
            };
            Failure::new(which).caused_by(&error)
        };
        let hex = match (&self.credential, &self.credential_path) {
            (Some(hex), _) => hex.clone(),
            (None, Some(path)) => read(path)?,
            (None, None) => String::new(),
        };
        CredentialBundle::from_hex(&hex).map_err(invalid)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;

    let cannot = |error: std::io::Error| {
        Failure::new(format!("cannot read {}", path.display())).cause(error.to_string())
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    // Longer ones are refused by whoever reads the text.
    file.take(LONGEST_FILE)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    Ok(text)
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The identifier of the identity that should have issued it
    #[arg(long, value_name = "IDENTIFIER")]
    issuer: Identifier,
    #[command(flatten)]
    given: Given,
    /// The vault to verify with; all verify alike
    #[arg(hide = true)]
    vault: Option<VaultName>,
}

impl Run for Verify {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "verify";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "One in a file, of an issuer whose history is known here",
            "ockam credential verify --issuer $ALICE --credential-path bob.credential",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let bundle = self.given.read()?;
        let state = session.open().await?;
        session
            .host
            .note(Note::Info("Verifying credential...".to_owned()));
        let verdict = credentials::verdict(&state, &bundle, &self.issuer).await?;
        // spec: command 3.17 (trap 13): the answer is no failure. The reason would be lost in it.
        if let Err(reason) = &verdict {
            session.host.note(Note::Warning(sentence(reason)));
        }
        let is_valid = verdict.is_ok();
        let plain = if is_valid {
            text::done("The credential is valid")
        } else {
            text::info("The credential is not valid")
        };
        session.host.print(
            Outcome::plain(plain)
                .machine(is_valid.to_string())
                .json(json!({ "is_valid": is_valid })),
        );
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Store {
    /// The identifier of the identity that issued it
    #[arg(long, value_name = "IDENTIFIER")]
    issuer: Identifier,
    /// What it is for; whoever presents credentials asks for one of this scope
    #[arg(long, value_name = "SCOPE")]
    scope: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    at: At,
}

impl Run for Store {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "store";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "For a project that was set up by hand",
            "ockam credential store --issuer $ALICE --scope my-project --credential-path me.credential",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        check_scope(&self.scope)?;
        let bundle = self.given.read()?;
        let state = session.open().await?;
        known_node(session, &state, &self.at).await?;
        session
            .host
            .note(Note::Info("Verifying credential...".to_owned()));
        let verified = credentials::verdict(&state, &bundle, &self.issuer)
            .await?
            // spec: command 3.3 (bad credential on store)
            .map_err(|error| Failure::new("Credential is not verified").caused_by(&error))?;
        session
            .host
            .note(Note::Info("Storing credential...".to_owned()));
        let record = CredentialRecord::new(&verified, bundle, self.scope);
        state
            .store()
            .put_credential(&record)
            .await
            .map_err(refused)?;
        let hex = record.bundle.to_hex();
        session.host.print(
            Outcome::plain(text::done("Credential stored"))
                .machine(hex.clone())
                .json(json!({ "issuer": record.issuer, "credential": hex })),
        );
        Ok(())
    }
}

/// Which of the credentials that are kept.
#[derive(Debug, Args)]
struct Among {
    /// Only those about this identity
    #[arg(long, value_name = "IDENTIFIER")]
    subject: Option<Identifier>,
    /// Only those of this issuer
    #[arg(long, value_name = "IDENTIFIER")]
    issuer: Option<Identifier>,
}

impl Among {
    async fn records(&self, state: &State) -> Result<Vec<CredentialRecord>, Failure> {
        let mut records = state.store().credentials().await.map_err(refused)?;
        records.retain(|record| {
            self.subject.is_none_or(|subject| subject == record.subject)
                && self.issuer.is_none_or(|issuer| issuer == record.issuer)
        });
        Ok(records)
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    among: Among,
    #[command(flatten)]
    at: At,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("All that are kept", "ockam credential list"),
            Example::new(
                "Those of one authority",
                "ockam credential list --issuer $ALICE",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        known_node(session, &state, &self.at).await?;
        let mut items = Vec::new();
        for record in self.among.records(&state).await? {
            items.push(stored(&state, &record).await?);
        }
        let plain = if items.is_empty() {
            text::info("No Credentials found")
        } else {
            text::list(items.iter().map(|(item, verdict)| {
                let mut lines = vec![format!("Credential {}", item.scope)];
                lines.extend(lines_of(item, verdict));
                lines.join("\n")
            }))
        };
        let items: Vec<_> = items.into_iter().map(|(item, _)| item).collect();
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The scope it is kept under
    #[arg(value_name = "SCOPE")]
    scope: Option<String>,
    #[command(flatten)]
    among: Among,
    /// How to show it
    #[arg(long, value_enum, default_value = "plain")]
    encoding: Encoding,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "What a credential says, and until when",
                "ockam credential show my-project",
            ),
            Example::new(
                "To present it in one channel",
                "ockam credential show my-project --encoding hex > me.credential",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let records = self.among.records(&state).await?;
        let scopes = scopes(&records);
        // With a single one there is nothing to choose.
        let only = match scopes.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        flow::show(session, &NOUN, &scopes, self.scope, only, async |scope| {
            let record = the_only(&records, scope)?;
            let (item, verdict) = stored(&state, record).await?;
            let hex = item.credential.credential.clone();
            let plain = match self.encoding {
                Encoding::Hex => hex,
                Encoding::Plain => {
                    let mut lines = vec![text::more(format!("Credential {scope}:"))];
                    lines.extend(
                        lines_of(&item, &verdict)
                            .into_iter()
                            .map(|line| text::more(format!("  {line}"))),
                    );
                    lines.join("\n")
                }
            };
            let outcome = Outcome::plain(plain.clone()).json(json!(item));
            Ok(match self.encoding {
                Encoding::Hex => outcome.machine(plain),
                Encoding::Plain => outcome,
            })
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The scope it is kept under
    #[arg(value_name = "SCOPE")]
    scope: Option<String>,
    #[command(flatten)]
    among: Among,
    /// Forget all credentials
    #[arg(long, conflicts_with = "scope")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One", "ockam credential delete my-project --yes"),
            Example::new(
                "All of one authority",
                "ockam credential delete --all --issuer $ALICE --yes",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let records = self.among.records(&state).await?;
        let chosen = Chosen {
            name: self.scope,
            all: self.all,
            yes: self.yes,
        };
        let all = self.all;
        flow::delete(session, &NOUN, &scopes(&records), chosen, async |scope| {
            let victims: Vec<_> = if all {
                records.iter().filter(|it| it.scope == scope).collect()
            } else {
                vec![the_only(&records, scope)?]
            };
            for record in victims {
                let (issuer, subject) = (&record.issuer, &record.subject);
                let delete = state.store().delete_credential(issuer, subject, scope);
                delete.await.map_err(refused)?;
            }
            let plain = text::done(format!("The credential {scope} has been deleted"));
            Ok(Outcome::plain(plain)
                .machine(scope)
                .json(json!({ "scope": scope })))
        })
        .await
    }
}

/// Credentials belong to the home and serve all its nodes; a node that is named has to be there all the same.
async fn known_node(session: &Session<'_>, state: &State, at: &At) -> Result<(), Failure> {
    match &at.at {
        Some(node) => session.node(state, Some(node)).await.map(drop),
        None => Ok(()),
    }
}

fn check_scope(scope: &str) -> Result<(), Failure> {
    if (1..=LONGEST_SCOPE).contains(&scope.len()) && !scope.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "--scope has 1 to {LONGEST_SCOPE} bytes and no control characters"
        )))
    }
}

fn scopes(records: &[CredentialRecord]) -> Vec<String> {
    let mut scopes: Vec<String> = records.iter().map(|record| record.scope.clone()).collect();
    scopes.dedup();
    scopes
}

fn the_only<'r>(
    records: &'r [CredentialRecord],
    scope: &str,
) -> Result<&'r CredentialRecord, Failure> {
    let mut found = records.iter().filter(|record| record.scope == scope);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(flow::not_found(&NOUN, scope)),
        (Some(_), Some(_)) => Err(Failure::new(format!(
            "there are several credentials of the scope {scope}"
        ))
        .help("say which with --subject or --issuer")),
    }
}

async fn stored(
    state: &State,
    record: &CredentialRecord,
) -> Result<(StoredCredential, Result<(), NotVerified>), Failure> {
    let verdict = credentials::verdict(state, &record.bundle, &record.issuer).await?;
    let item = StoredCredential {
        credential: view(&record.bundle)?,
        scope: record.scope.clone(),
        is_verified: verdict.is_ok(),
    };
    Ok((item, verdict.map(drop)))
}

fn view(bundle: &CredentialBundle) -> Result<CredentialView, Failure> {
    let claims = bundle
        .peek()
        .map_err(|error| Failure::internal("the credential is damaged", &error))?;
    Ok(CredentialView::new(bundle, &claims))
}

/// A credential for people.
fn lines(credential: &CredentialView) -> Vec<String> {
    let mut lines = vec![text::more("Credential:")];
    lines.extend(
        told(credential)
            .into_iter()
            .map(|line| text::more(format!("  {line}"))),
    );
    lines
}

fn lines_of(item: &StoredCredential, verdict: &Result<(), NotVerified>) -> Vec<String> {
    let mut lines = told(&item.credential);
    lines.push(match verdict {
        Ok(()) => "Verified: yes".to_owned(),
        Err(reason) => format!("Verified: no, {reason}"),
    });
    lines
}

fn told(credential: &CredentialView) -> Vec<String> {
    let mut lines = vec![
        format!("Subject: {}", credential.subject),
        format!("Issuer: {}", credential.issuer),
        match text::away(identities::now(), UnixTime(credential.expires_at)) {
            (time, text::Tense::Future) => format!("Expires: in {time}"),
            (time, text::Tense::Past) => format!("Expired: {time} ago"),
        },
        "Attributes:".to_owned(),
    ];
    let attributes = credential.attributes.iter();
    lines.extend(attributes.map(|(name, value)| format!("  {name}={value}")));
    if credential.attributes.is_empty() {
        lines.pop();
        lines.push("Attributes: none".to_owned());
    }
    lines
}

fn sentence(reason: &NotVerified) -> String {
    let text = reason.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

/// The most bytes of a scope.
const LONGEST_SCOPE: usize = 255;

/// The most bytes of a file with a credential: a bundle in hexadecimal, and white space.
const LONGEST_FILE: u64 = 2 * ockam_identity::MAX_CREDENTIAL_BUNDLE_LEN as u64 + 1024;
