//! `ockam space`.

use clap::Args;
use ockam_authority::client::RequestError;
use ockam_store::{SpaceName, SpaceRecord};
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::asking::{Asking, note_not_enrolled};
use crate::command::flow::{self, Chosen};
use crate::command::kept::{self, Kept};
use crate::command::{Example, Note, Run, Session, text};
use crate::controller::message::CreateSpace;
use crate::home::{controllers, projects, spaces};
use crate::noun::space::{NOUN, SpaceItem};
use crate::outcome::{Failure, Outcome};
use crate::state::{refused, unused_name};
use crate::table::Noun;
use crate::value::Email;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name; a random one when none is given
    #[arg(value_name = "NAME")]
    name: Option<SpaceName>,
    /// Who administers it too, as the controller knows them; after `--`
    #[arg(value_name = "ADMIN", last = true)]
    admins: Vec<Email>,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("A space of one's own", "ockam space create web"),
            Example::new("One with a random name", "ockam space create"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let name = match self.name {
            Some(name) => name.to_string(),
            None => unused_name(|_| false)?,
        };
        let what = format!("the space {name} was not created");
        let request = CreateSpace {
            name: name.clone(),
            users: self.admins,
        };
        let created = asking.client.create_space(&request).await;
        let created = created.map_err(|error| {
            asking
                .failed(&what, &format!("the space {name}"), &error)
                .help_if(
                    error.is_conflict(),
                    "choose another name: `ockam space list` shows those you have",
                )
        })?;
        asking.note_controller().await?;
        let record = controllers::keep_space(&asking.state, &asking.controller, &created).await?;
        let view = spaces::view(&record)?;
        let plain = text::done(format!("Created the space {}", record.name));
        session.host.print(Outcome::plain(plain).json(json!(view)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    identity: Identity,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new("Those of the user", "ockam space list")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let known = known(session, &self.identity).await?;
        let records = known.map_or_else(Vec::new, |(_, records)| records);
        session.host.print(kept::list("No Spaces found", &records)?);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The name or the id of the space; the default one when none is given
    #[arg(value_name = "SPACE")]
    name: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("The default one", "ockam space show"),
            Example::new("One of several", "ockam space show web"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let known = known(session, &self.identity).await?;
        let records = known.map_or_else(Vec::new, |(_, records)| records);
        kept::show(session, &NOUN, &records, self.name).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name or the id of the space
    #[arg(value_name = "SPACE")]
    name: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "One with all its projects",
            "ockam space delete web --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let known = known(session, &self.identity).await?;
        let (asking, records) = match &known {
            Some((asking, records)) => (Some(asking), records.as_slice()),
            None => (None, [].as_slice()),
        };
        let chosen = Chosen {
            name: Some(kept::by_name(records, self.name)),
            all: false,
            yes: self.yes,
        };
        flow::delete(
            session,
            &NOUN,
            &kept::names(records),
            chosen,
            async |name| {
                let record = kept::find(&NOUN, records, name)?;
                let asking = asking.ok_or_else(|| flow::not_found(&NOUN, name))?;
                delete(asking, record).await?;
                let plain = text::done(format!("The space {name} has been deleted"));
                Ok(Outcome::plain(plain)
                    .machine(name)
                    .json(json!({ "name": name })))
            },
        )
        .await
    }
}

/// Deletes a space with its projects.
pub(super) async fn delete(asking: &Asking<'_>, space: &SpaceRecord) -> Result<(), Failure> {
    let failed = |object: String, error: &RequestError| {
        let what = format!("the space {} was not deleted", space.name);
        asking.failed(&what, &object, error)
    };
    let object = || format!("the space {}, whose id is {}", space.name, space.id);
    let has_pages = asking.client.has_pages().await;
    // spec: extensions 4.8.4
    if !has_pages.map_err(|error| failed(object(), &error))? {
        // One by one, as it is published (spec: trust 9.3).
        let told = asking.told_projects().await?;
        for project in told.iter().filter(|project| project.space_id == space.id) {
            asking
                .session
                .host
                .waiting(&format!("Deleting the project {}", project.name));
            let deleted = asking.client.delete_project(&space.id, &project.id).await;
            deleted.map_err(|error| {
                let object = format!("the project {}, whose id is {}", project.name, project.id);
                failed(object, &error)
            })?;
        }
    }
    asking
        .session
        .host
        .waiting(&format!("Deleting the space {}", space.name));
    let deleted = asking.client.delete_space(&space.id).await;
    deleted.map_err(|error| failed(object(), &error))?;
    let all = asking.state.store().projects().await.map_err(refused)?;
    let used = projects::all_used(&asking.state).await?;
    let mut gone = Vec::new();
    for known in all {
        if known.controller != Some(asking.controller)
            || projects::details(&known)?.space_id != space.id
        {
            continue;
        }
        if used.contains(&known.id) {
            forget(asking, &known.id).await?;
        } else {
            gone.push(known.id);
        }
    }
    let store = asking.state.store();
    store.delete_projects(&gone).await.map_err(refused)?;
    let forgotten = store.delete_space(&space.id).await;
    forgotten.map(drop).map_err(refused)
}

/// Forgets a project that was deleted at the controller; nodes that trust it keep it.
pub(super) async fn forget(asking: &Asking<'_>, id: &str) -> Result<(), Failure> {
    let known = asking.state.store().project_with_id(id).await;
    let Some(known) = known.map_err(refused)? else {
        return Ok(());
    };
    let nodes = projects::users(&asking.state, known.name.as_str()).await?;
    if nodes.is_empty() {
        let forgotten = asking.state.store().delete_project(id).await;
        return forgotten.map(drop).map_err(refused);
    }
    asking.session.host.note(Note::Warning(format!(
        "The project {} is still known here, as it is used by the node(s): {}",
        known.name,
        nodes.join(", ")
    )));
    Ok(())
}

/// The spaces of the caller, and whom to ask about them; nothing when nobody here is enrolled.
async fn known<'a>(
    session: &'a Session<'a>,
    identity: &Identity,
) -> Result<Option<(Asking<'a>, Vec<SpaceRecord>)>, Failure> {
    let Some(asking) = Asking::if_enrolled(session, identity).await? else {
        note_not_enrolled(session);
        return Ok(None);
    };
    let records = asking.spaces().await?;
    Ok(Some((asking, records)))
}

impl Kept for SpaceRecord {
    type View = SpaceItem;
    const KIND: &'static str = "Space";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn is_default(&self) -> bool {
        self.is_default
    }

    fn view(&self) -> Result<SpaceItem, Failure> {
        spaces::view(self)
    }

    fn described(space: &SpaceItem) -> Vec<String> {
        let mut lines = vec![format!("Id: {}", space.id)];
        if !space.users.is_empty() {
            lines.push(format!("Admins: {}", space.users.join(", ")));
        }
        if let Some(subscription) = &space.subscription {
            let trial = if subscription.is_free_trial {
                ", a free trial"
            } else {
                ""
            };
            let until = subscription.end_date.as_ref();
            let until = until.map(|date| format!(" until {date}"));
            lines.push(format!(
                "Subscription: {}{trial}{}",
                subscription.name,
                until.unwrap_or_default()
            ));
        }
        lines
    }
}
