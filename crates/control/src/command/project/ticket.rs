//! `ockam project ticket`.

use clap::Args;
use ockam_authority::message::{
    CreateToken, ENROLLER, MemberAttributes, RELAY, ROLE, TLS_CERTIFICATE,
};
use ockam_portal::RelayName;
use serde_json::Value;

use crate::command::argument::{Identity, Retry, Trust};
use crate::command::{Example, Note, Run, Session, text};
use crate::home::enrollment::{self, Asking};
use crate::home::identities;
use crate::home::trust::Trusted;
use crate::noun::project::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::state::no_default_project;
use crate::table::Noun;
use crate::value::DurationText;

#[derive(Debug, Args)]
pub(in crate::command) struct Ticket {
    #[command(flatten)]
    attributes: Attributes,
    /// How long the ticket can be used
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    expires_in: DurationText,
    /// How often the ticket can be used
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    usage_count: u64,
    /// Let the new member fetch the TLS certificate of the project
    #[arg(long, hide = true)]
    tls: bool,
    /// Write the ticket in hexadecimal
    #[arg(long, hide = true, conflicts_with = "legacy")]
    hex: bool,
    /// Write the ticket as older versions read it
    #[arg(long, hide = true)]
    legacy: bool,
    /// Accepted, has no effect
    #[arg(long, hide = true)]
    skip_controller_call: bool,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    retry: Retry,
}

impl Run for Ticket {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "ticket";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "For one new member, within ten minutes",
                "ockam project ticket > web.ticket",
            ),
            Example::new(
                "For one of whom policies know what it is",
                "ockam project ticket --attribute component=web --relay web",
            ),
            Example::new(
                "For fifty machines, today",
                "ockam project ticket --usage-count 50 --expires-in 1d --attribute component=edge",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let mut attributes = self.attributes.read(Bare::IsTrue)?;
        if self.tls {
            insert(&mut attributes, TLS_CERTIFICATE, "true")?;
        }
        let seconds = self.expires_in.0.as_secs();
        if seconds == 0 {
            return Err(Failure::new("--expires-in is less than a second"));
        }
        self.trust.check()?;
        let state = session.open().await?;
        let trust = self
            .trust
            .spec(&state)
            .await?
            .ok_or_else(|| no_default_project().help(WHICH_AUTHORITY))?;
        let trusted = Trusted::of(&state, &trust).await?;
        session
            .unlock_for(&state, self.identity.identity.as_ref())
            .await?;
        let identity = identities::find(&state, self.identity.identity.as_ref()).await?;
        let asking = Asking::start(&state, &identity, trusted, session.timeout()?).await?;
        // A code that nobody gets would be one for nothing.
        enrollment::check_ticket(&state, &asking).await?;
        let token = CreateToken {
            attributes,
            ttl_secs: Some(seconds),
            ttl_count: Some(self.usage_count),
        };
        let code = self
            .retry
            .run(session, async || {
                let code = asking.client.create_token(&token).await;
                code.map_err(|error| asking.failed("no ticket was made", &error))
            })
            .await?;
        let ticket = enrollment::ticket(&state, &asking, code).await?;
        self.explain(session, &asking.trusted, &token);
        let encoded = match (self.hex, self.legacy) {
            (true, _) => ticket.to_hex(),
            (_, true) => ticket.to_legacy(),
            _ => ticket.to_plain(),
        };
        let json: Value = serde_json::from_str(&ticket.to_json())
            .map_err(|_| Failure::new("the ticket cannot be written as JSON"))?;
        // spec: command 3.9.6 (plain begins with an empty line)
        let outcome = Outcome::plain(format!("\n{}", encoded.as_str()))
            .machine(encoded.as_str())
            .json(json);
        session.host.print(outcome);
        Ok(())
    }
}

impl Ticket {
    fn explain(&self, session: &Session<'_>, trusted: &Trusted, token: &CreateToken) {
        let note = |note: Note| session.host.note(note);
        note(Note::Done(format!(
            "Created an enrollment ticket for {}",
            trusted.name()
        )));
        for (name, value) in token.attributes.iter() {
            note(Note::Line(format!("Its members have {name}={value}")));
        }
        let uses = match self.usage_count {
            1 => "once".to_owned(),
            uses => format!("{uses} times"),
        };
        note(Note::Line(format!(
            "It can be used {uses}, within {}: `ockam project enroll TICKET`",
            spoken(self.expires_in.0.as_secs())
        )));
        if self.expires_in.0.as_secs() >= LONG_LIFE && self.usage_count >= MANY_USES {
            note(Note::Warning(format!(
                "Whoever gets hold of this ticket can use it for {}, up to {} times: keep it secret, or make one that lives \
                 shorter",
                spoken(self.expires_in.0.as_secs()),
                self.usage_count
            )));
        }
    }
}

/// A time as people say it, in the largest unit of which it is a whole number.
fn spoken(seconds: u64) -> String {
    let units = [(86400, "day"), (3600, "hour"), (60, "minute")];
    let whole = units
        .into_iter()
        .find(|(length, _)| seconds.is_multiple_of(*length));
    let (length, unit) = whole.unwrap_or((1, "second"));
    text::count(
        usize::try_from(seconds / length).unwrap_or(usize::MAX),
        unit,
    )
}

/// What is said of a member.
#[derive(Debug, Clone, Args)]
pub(in crate::command) struct Attributes {
    /// An attribute of the new member, NAME=VALUE; repeat for several
    #[arg(short, long = "attribute", value_name = "NAME[=VALUE]")]
    attribute: Vec<String>,
    /// The name of the relay that the new member may use; `*` is any
    #[arg(long, value_name = "NAME")]
    relay: Option<String>,
    /// The new member may let others in
    #[arg(long)]
    enroller: bool,
}

/// What a name without a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Bare {
    /// `name=true`.
    IsTrue,
    /// A mistake.
    IsRefused,
}

impl Attributes {
    /// The attributes, those of the other options included.
    pub(in crate::command) fn read(&self, bare: Bare) -> Result<MemberAttributes, Failure> {
        let mut attributes = MemberAttributes::default();
        for text in &self.attribute {
            let (name, value) = match (text.split_once('='), bare) {
                (Some((name, value)), _) => (name, value),
                (None, Bare::IsTrue) => (text.as_str(), "true"),
                (None, Bare::IsRefused) => {
                    return Err(Failure::new(format!(
                        "the attribute `{text}` has no value: write {text}=VALUE"
                    )));
                }
            };
            insert(&mut attributes, name, value)?;
        }
        if let Some(relay) = &self.relay {
            if relay != ANY_RELAY {
                // Nobody could ever take another name.
                let name: Result<RelayName, _> = relay.parse();
                name.map_err(|error| {
                    Failure::new(format!("`{relay}` cannot be the name of a relay"))
                        .caused_by(&error)
                })?;
            }
            insert(&mut attributes, RELAY, relay)?;
        }
        if self.enroller {
            insert(&mut attributes, ROLE, ENROLLER)?;
        }
        if let Some(reserved) = attributes.reserved() {
            // spec: trust 11.2 (1)
            return Err(Failure::new(format!(
                "`{reserved}` cannot be an attribute: policies have it from elsewhere"
            )));
        }
        Ok(attributes)
    }
}

fn insert(attributes: &mut MemberAttributes, name: &str, value: &str) -> Result<(), Failure> {
    attributes.insert(name, value).map_err(|error| {
        Failure::new(format!("the attribute {name}={value} cannot be given")).caused_by(&error)
    })
}

/// The value of the attribute that lets a member take any relay name (spec: trust 7.4).
const ANY_RELAY: &str = "*";

/// What helps whoever wants something of an authority and names none.
pub(in crate::command) const WHICH_AUTHORITY: &str = "enroll with `ockam project enroll TICKET`, take a project from a file with \
     `ockam project import`, make an authority of your own with `ockam authority create`, or name one with \
     --authority-identity, --authority-route and --credential-scope";

/// From when on a ticket of many uses is warned about (spec: trust 7.4).
const LONG_LIFE: u64 = 5 * 24 * 60 * 60;
const MANY_USES: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(given: &[&str]) -> Attributes {
        Attributes {
            attribute: given.iter().map(|text| (*text).to_owned()).collect(),
            relay: Some("web".to_owned()),
            enroller: true,
        }
    }

    #[test]
    fn times_are_said_in_their_largest_unit() {
        for (seconds, said) in [
            (600, "10 minutes"),
            (432_000, "5 days"),
            (3600, "1 hour"),
            (61, "61 seconds"),
        ] {
            assert_eq!(spoken(seconds), said);
        }
    }

    #[test]
    fn attributes_are_names_and_values() {
        let read = attributes(&["a=b=c", "x"])
            .read(Bare::IsTrue)
            .expect("they are");
        let pairs: Vec<_> = read.iter().collect();
        assert_eq!(
            pairs,
            [
                ("a", "b=c"),
                ("ockam-relay", "web"),
                ("ockam-role", "enroller"),
                ("x", "true")
            ]
        );
        assert!(attributes(&["x"]).read(Bare::IsRefused).is_err());
    }

    #[test]
    fn what_policies_know_themselves_is_no_attribute() {
        for wrong in ["identifier=I", "has_credential", "=x", "ockam-role=admin"] {
            assert!(attributes(&[wrong]).read(Bare::IsTrue).is_err(), "{wrong}");
        }
    }
}
