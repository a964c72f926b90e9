//! The steps a configuration asks for: every resource as a parsed command line.

use clap::error::ContextKind;
use clap::{Arg, ArgMatches};

use crate::command::{Command, Session, command};
use crate::configuration::memory::{Known, Owner, Provenance};
use crate::configuration::section::{Resource, Section};
use crate::configuration::{Changed, Course, Document, Mode, Origin, Position, Watched};
use crate::hint;
use crate::outcome::Failure;
use crate::state::State;

/// What a configuration asks for, in order.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// Whether a ticket is redeemed before nodes are made.
    pub(crate) has_ticket: bool,
    /// What to do.
    pub(crate) steps: Vec<Step>,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Step {
    /// The command.
    pub(crate) command: &'static Command,
    /// Its arguments.
    pub(crate) matches: ArgMatches,
    /// What it was made of.
    pub(crate) resource: Resource,
    /// Whether its name is one that a node chose before.
    is_recalled: bool,
}

impl Plan {
    /// Turns every section of a document into commands.
    ///
    /// # Errors
    /// A section is not offered, has none of its forms, or an argument in it is wrong.
    pub(crate) fn of(
        document: Document,
        sections: &'static [Section],
        node: Option<&str>,
    ) -> Result<Self, Failure> {
        let resources = document.resources(sections, node)?;
        let has_ticket = document.ticket()?.is_some();
        let steps = resources
            .into_iter()
            .map(|resource| Step::parse(&document.origin, resource))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            origin: document.origin,
            has_ticket,
            steps,
        })
    }

    /// Has every front half look at its arguments, and changes nothing.
    ///
    /// # Errors
    /// An argument is not offered, or does not go with another one.
    pub(crate) async fn check(&self, session: &Session<'_>) -> Result<(), Failure> {
        for step in &self.steps {
            let course = if self.has_ticket {
                Course::check_behind_ticket()
            } else {
                Course::new(Mode::Check)
            };
            let watched = Watched::new(session.host, course.clone());
            let pass = Session::on(&watched, course.clone());
            match (step.command.run)(&step.matches, &pass).await {
                Err(_) if course.was_stopped() => {}
                Ok(()) => {}
                Err(failure) => return Err(step.resource.blame(&self.origin, failure)),
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Takes off the steps about vaults and identities, which come before a ticket is redeemed (spec: command 3.12).
    pub(crate) fn split_off_home(&mut self) -> Self {
        let (home, others) = std::mem::take(&mut self.steps)
            .into_iter()
            .partition(|step| matches!(step.command.noun.one, "vault" | "identity"));
        self.steps = others;
        Self {
            origin: self.origin.clone(),
            has_ticket: false,
            steps: home,
        }
    }

    /// Finds the names that the nodes chose, the last time, for resources without one.
    pub(crate) fn recall(&mut self, known: &[Known]) -> Result<(), Failure> {
        let mut taken = Vec::new();
        for step in &mut self.steps {
            if step.resource.name.is_some() || !step.resource.section.has_names() {
                continue;
            }
            let words = &step.resource.words;
            let again = known.iter().enumerate().find(|(index, known)| {
                !taken.contains(index)
                    && known.record.noun == step.resource.section.noun
                    && !known.provenance.named
                    && known.provenance.words == *words
            });
            if let Some((index, known)) = again {
                taken.push(index);
                let mut resource = step.resource.clone();
                resource.name = Some(known.record.name.clone());
                *step = Step::parse(&self.origin, resource)?;
                step.is_recalled = true;
            }
        }
        Ok(())
    }

    /// Asks the nodes what would change.
    ///
    /// # Errors
    /// A node does not answer, or a step would fail.
    pub(crate) async fn compare(&self, session: &Session<'_>) -> Result<Vec<Changed>, Failure> {
        let mut changes = Vec::new();
        for step in &self.steps {
            let course = Course::new(Mode::Compare);
            let watched = Watched::new(session.host, course.clone());
            let pass = Session::on(&watched, course.clone());
            match (step.command.run)(&step.matches, &pass).await {
                Err(failure) if !course.was_stopped() => {
                    return Err(step.resource.blame(&self.origin, failure));
                }
                _ => changes.extend(course.changes()),
            }
        }
        Ok(changes)
    }

    /// Carries out every step: what is there and the same stays as it is. What was asked for is noted as the owner's.
    ///
    /// # Errors
    /// A step fails; those before it have been carried out.
    pub(crate) async fn apply(
        &self,
        session: &Session<'_>,
        state: &State,
        owner: &Owner,
        mode: Mode,
    ) -> Result<Vec<Changed>, Failure> {
        let mut changes = Vec::new();
        for step in &self.steps {
            let course = Course::new(mode);
            let watched = Watched::new(session.host, course.clone());
            let pass = Session::on(&watched, course.clone());
            (step.command.run)(&step.matches, &pass)
                .await
                .map_err(|failure| step.resource.blame(&self.origin, failure))?;
            let provenance = Provenance {
                by: owner.clone(),
                words: step.resource.words.clone(),
                named: step.resource.name.is_some() && !step.is_recalled,
            };
            let done = course.changes();
            for changed in &done {
                changed.remember(state, &provenance).await?;
            }
            if done.is_empty() {
                // Nouns of the home do not say what they found.
                changes.push(Changed::added(
                    step.command.noun,
                    step.resource.name.clone(),
                ));
            }
            changes.extend(done);
        }
        Ok(changes)
    }
}

impl Step {
    /// Parses a resource as a command line.
    ///
    /// # Errors
    /// There is no such command, or an argument is wrong.
    pub(crate) fn parse(origin: &Origin, resource: Resource) -> Result<Self, Failure> {
        let section = resource.section;
        let Some(command) = command(section.noun, "create") else {
            let key = section.spellings.first().unwrap_or(&section.noun);
            return Err(origin.locate(resource.at, Failure::unsupported(format!("`{key}`"))));
        };
        let clap = command.clap().no_binary_name(true);
        for key in &resource.keys {
            if !clap
                .get_arguments()
                .any(|argument| is_named(argument, &key.text))
            {
                return Err(unknown(origin, &clap, section.noun, &key.text, key.at));
            }
        }
        let words = resource.words.iter().chain(&resource.name);
        let matches = clap
            .clone()
            .try_get_matches_from(words)
            .map_err(|error| resource.complain(origin, &clap, &error))?;
        Ok(Self {
            command,
            matches,
            resource,
            is_recalled: false,
        })
    }
}

impl Resource {
    /// Adds to a failure  where in the text it comes from.
    pub(crate) fn blame(&self, origin: &Origin, failure: Failure) -> Failure {
        let key = self.keys.iter().find(|key| {
            let flag = format!("--{}", key.text);
            failure
                .message
                .split(|c: char| c.is_whitespace() || matches!(c, '\'' | '`' | '='))
                .any(|word| word == flag)
        });
        origin.locate(key.map_or(self.at, |key| key.at), failure)
    }

    /// What the parser says, with the place of the key it speaks of.
    pub(crate) fn complain(
        &self,
        origin: &Origin,
        clap: &clap::Command,
        error: &clap::Error,
    ) -> Failure {
        let text = error.render().to_string();
        let mut blocks = text.split("\n\n");
        let message: Vec<&str> = blocks
            .next()
            .unwrap_or_default()
            .lines()
            .map(str::trim)
            .collect();
        let message = message.join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let spoken = error
            .get(ContextKind::InvalidArg)
            .map(ToString::to_string)
            .unwrap_or_default();
        let flag = spoken
            .split([' ', '<', '=', '['])
            .next()
            .unwrap_or_default()
            .trim_start_matches('-');
        let argument = clap
            .get_arguments()
            .find(|argument| !flag.is_empty() && is_named(argument, flag));
        let key = argument
            .and_then(|argument| self.keys.iter().find(|key| is_named(argument, &key.text)));
        let at = match key {
            Some(key) if error.get(ContextKind::InvalidValue).is_some() => key.value_at,
            Some(key) => key.at,
            None => self.at,
        };
        let failure = origin.failure(at, message);
        let help = match argument.and_then(Arg::get_help) {
            Some(about) if key.is_some() => format!("`{flag}`: {about}"),
            _ => format!(
                "see `ockam {} create --help` for its arguments",
                self.section.noun
            ),
        };
        failure.help(help)
    }
}

/// Whether a flag is spelt like this.
pub(crate) fn is_named(argument: &Arg, key: &str) -> bool {
    let mut letters = key.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => argument
            .get_short_and_visible_aliases()
            .is_some_and(|shorts| shorts.contains(&letter)),
        _ => {
            argument.get_long() == Some(key)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&key))
        }
    }
}

fn unknown(origin: &Origin, clap: &clap::Command, noun: &str, key: &str, at: Position) -> Failure {
    let failure = origin.failure(at, format!("`{noun} create` has no argument `{key}`"));
    if key == "name" && clap.get_positionals().next().is_some() {
        return failure.help(format!("the name stands above the arguments, `NAME: {{..}}`, not among them; see `ockam {noun} create --help`"));
    }
    let flags = clap
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .filter_map(Arg::get_long);
    hint::among(failure, &key.replace('_', "-"), "arguments", flags)
}
