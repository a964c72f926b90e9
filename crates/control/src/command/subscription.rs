//! `ockam subscription`, and `ockam admin subscription`.

use clap::Args;
use ockam_authority::client::RequestError;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::asking::{Asking, path_part};
use crate::command::{Example, Run, Session, text};
use crate::configuration::Source;
use crate::controller::message::{ActivateSubscription, SubscriptionLegacy};
use crate::hint;
use crate::noun::admin;
use crate::noun::subscription::{NOUN, SubscriptionDetails};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

/// Which subscription.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false)]
struct Which {
    /// The id of the subscription
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The space that has it
    #[arg(long, value_name = "SPACE")]
    space: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "That of a space",
            "ockam subscription show --space web",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let found = find(&asking, self.which.id, self.which.space).await?;
        print(session, found, None);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Attach {
    /// What the market place gave: JSON, or a file that holds it; `-` is standard input
    #[arg(value_name = "JSON")]
    data: String,
    /// The space that gets it
    #[arg(long, value_name = "SPACE")]
    space: String,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Attach {
    const NOUN: &'static Noun = &admin::NOUN;
    const VERB: &'static str = "subscription attach";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What a file holds",
            "ockam admin subscription attach bought.json --space web",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let data = json_text(session, self.data).await?;
        let asking = Asking::start(session, &self.identity).await?;
        let bought = ActivateSubscription {
            space_id: Some(space_id(&asking, self.space).await),
            subscription_data: data,
            space_name: None,
            owner_emails: None,
        };
        let attached = asking.client.activate_subscription(&bought).await;
        let attached = attached.map_err(|error| {
            unchanged(
                &asking,
                "the subscription was not attached",
                "the space",
                &error,
            )
        })?;
        print(session, attached, Some("The subscription is attached"));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    identity: Identity,
}

impl Run for List {
    const NOUN: &'static Noun = &admin::NOUN;
    const VERB: &'static str = "subscription list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "All there are",
            "ockam admin subscription list",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let all: Vec<SubscriptionDetails> =
            all(&asking).await?.into_iter().map(Into::into).collect();
        let plain = if all.is_empty() {
            text::info("No Subscriptions found")
        } else {
            text::list(all.iter().map(|found| described(found).join("\n")))
        };
        session.host.print(Outcome::plain(plain).json(json!(all)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Unsubscribe {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Unsubscribe {
    const NOUN: &'static Noun = &admin::NOUN;
    const VERB: &'static str = "subscription unsubscribe";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "That of a space",
            "ockam admin subscription unsubscribe --space web",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let id = find(&asking, self.which.id, self.which.space).await?.id;
        let ended = asking.client.unsubscribe(&id).await;
        let ended = ended.map_err(|error| {
            unchanged(
                &asking,
                "the subscription was not ended",
                &object(&id),
                &error,
            )
        })?;
        print(session, ended, Some("The subscription has ended"));
        Ok(())
    }
}

#[derive(Debug, Args)]
#[group(id = "of", required = true, multiple = false)]
struct Of {
    /// The id of the subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// The space that has it
    #[arg(long, value_name = "SPACE")]
    space: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct UpdateContactInfo {
    /// Who is asked about it: JSON, or a file that holds it; `-` is standard input
    #[arg(value_name = "JSON")]
    contact_info: String,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    identity: Identity,
}

impl Run for UpdateContactInfo {
    const NOUN: &'static Noun = &admin::NOUN;
    const VERB: &'static str = "subscription update contact-info";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What a file holds",
            "ockam admin subscription update contact-info who.json --space web",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let contact = json_text(session, self.contact_info).await?;
        let asking = Asking::start(session, &self.identity).await?;
        let id = find(&asking, self.of.subscription, self.of.space).await?.id;
        let updated = asking.client.set_subscription_contact(&id, &contact).await;
        let updated = updated.map_err(|error| {
            let what = "the subscription was not changed";
            unchanged(&asking, what, &object(&id), &error)
        })?;
        print(session, updated, Some("The subscription is changed"));
        Ok(())
    }
}

#[derive(Debug, Args)]
#[group(id = "from", required = true, multiple = false)]
struct From {
    /// The id of the subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// The space that has it now
    #[arg(long, value_name = "SPACE")]
    current_space: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct UpdateSpace {
    /// The space that gets it
    #[arg(value_name = "SPACE")]
    new_space: String,
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    identity: Identity,
}

impl Run for UpdateSpace {
    const NOUN: &'static Noun = &admin::NOUN;
    const VERB: &'static str = "subscription update space";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "From one space to another",
            "ockam admin subscription update space db --current-space web",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let found = find(&asking, self.from.subscription, self.from.current_space).await?;
        let space = space_id(&asking, self.new_space).await;
        let updated = asking
            .client
            .set_subscription_space(&found.id, &space)
            .await;
        let updated = updated.map_err(|error| {
            let what = "the subscription was not changed";
            unchanged(&asking, what, &object(&found.id), &error)
        })?;
        print(session, updated, Some("The subscription is changed"));
        Ok(())
    }
}

/// The subscription with this id, or that of a space.
async fn find(
    asking: &Asking<'_>,
    id: Option<String>,
    space: Option<String>,
) -> Result<SubscriptionLegacy, Failure> {
    let Some(id) = id else {
        let name = space.unwrap_or_default();
        let space = space_id(asking, name.clone()).await;
        // Where each space has one of its own they have one id; elsewhere all are looked through.
        if let Ok(part) = path_part(&space)
            && let Ok(Some(found)) = asking.client.subscription(&part).await
            && found.space_id.as_ref() == Some(&space)
        {
            return Ok(found);
        }
        let mut all = all(asking).await?.into_iter();
        let found = all.find(|found| found.space_id.as_deref() == Some(space.as_str()));
        return found.ok_or_else(|| {
            Failure::new(format!("The space {name} has no subscription"))
                .help("`ockam admin subscription list` shows those there are")
        });
    };
    let found = asking.client.subscription(&path_part(&id)?).await;
    let found = found
        .map_err(|error| asking.failed("the subscription is not known", &object(&id), &error))?;
    if let Some(found) = found {
        return Ok(found);
    }
    let failure = Failure::new(format!("The subscription {id} was not found"))
        .help("`ockam admin subscription list` shows those there are");
    let all = all(asking).await.unwrap_or_default();
    let known = all.iter().map(|known| known.id.as_str());
    Err(hint::among(failure, &id, "subscriptions", known))
}

async fn all(asking: &Asking<'_>) -> Result<Vec<SubscriptionLegacy>, Failure> {
    let all = asking.client.subscriptions().await;
    all.map_err(|error| asking.failed("the subscriptions are not known", "you", &error))
}

/// The id of a space that is known by name; of another the text is taken as its id.
async fn space_id(asking: &Asking<'_>, name: String) -> String {
    match asking.space(Some(&name)).await {
        Ok(space) => space.id,
        Err(_) => name,
    }
}

async fn json_text(session: &Session<'_>, given: String) -> Result<String, Failure> {
    let source = if given.trim_start().starts_with(['{', '[', '"']) {
        Source::Inline(given)
    } else if given == "-" {
        Source::Input
    } else {
        Source::File(given.into())
    };
    let text = source.load(session).await?.text.trim().to_owned();
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::new("what was given is not JSON").cause(error.to_string())),
    }
}

fn print(session: &Session<'_>, found: SubscriptionLegacy, done: Option<&str>) {
    let found = SubscriptionDetails::from(found);
    let mut lines: Vec<String> = done.map(text::done).into_iter().collect();
    lines.extend(described(&found).into_iter().map(text::more));
    session
        .host
        .print(Outcome::plain(lines.join("\n")).json(json!(found)));
}

fn described(found: &SubscriptionDetails) -> Vec<String> {
    let mut lines = vec![
        format!("Subscription {}", found.id),
        format!("Status: {}", found.status),
    ];
    let mut line = |what: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{what}: {value}"));
        }
    };
    line("Space", found.space_id.as_deref().unwrap_or_default());
    line("Entitlements", &found.entitlements);
    line("Metadata", &found.metadata);
    line("Contact", &found.contact_info);
    line("Market place", &found.marketplace);
    lines
}

fn object(id: &str) -> String {
    format!("the subscription {id}")
}

/// A change that failed.
fn unchanged(asking: &Asking<'_>, what: &str, object: &str, error: &RequestError) -> Failure {
    asking.failed(what, object, error).help_if(
        error.is_not_offered(),
        "nothing has to be done: `ockam subscription show --space SPACE` shows what a space has",
    )
}
