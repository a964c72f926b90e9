//! Show, list and delete of the nouns whose things live in a node. A noun says what its things look like; these verbs do the
//! rest.

use std::error::Error;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use crate::command::argument::At;
use crate::command::flow::{self, Chosen};
use crate::command::{Example, Run, Session, text};
use crate::outcome::{Code, Failure, Outcome};
use crate::resource::Resource;
use crate::table::Noun;
use crate::value::NodeArgument;

/// A noun whose items a node lists.
pub(super) trait Listed: Resource {
    /// How a sentence of a result names one: `TCP Inlet`.
    const TITLE: &'static str;
    /// One item, on one line or more.
    fn line(item: &Self::View) -> String;
    /// Adds the other forms to the plain list.
    fn listed(list: Outcome, items: &[Self::View]) -> Outcome {
        list.json(json!(items))
    }
}

/// A noun whose items are chosen by name, or picked from the list by the user.
pub(super) trait Named: Listed<Name: Argument> {
    /// Help of the argument that names one.
    const NAME_HELP: &'static str;
    /// The name of an item.
    fn name(item: &Self::View) -> String;
    /// The result of show.
    fn shown(item: &Self::View, node: &NodeRecord) -> Outcome;
    /// Adds the other forms to the plain result of delete.
    fn deleted(done: Outcome, name: &str, node: &NodeRecord) -> Outcome;
}

/// A noun whose items can be deleted all at once.
pub(super) trait NamedTogether: Named {
    /// Help of `--all`.
    const ALL_HELP: &'static str;
}

/// A noun whose items are chosen by an address that must be given.
pub(super) trait Addressed: Listed<Name: Argument> {
    /// Help of the argument that gives the address.
    const ADDRESS_HELP: &'static str;
    /// An address, for examples.
    const EXAMPLE: &'static str;
    /// The result of show.
    fn shown(item: &Self::View) -> Outcome;
    /// The result of delete.
    fn deleted(item: &Self::View, address: &Self::Name, node: &NodeRecord) -> Outcome;
}

/// What identifies an item can be an argument.
pub(super) trait Argument:
    FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static
{
}

impl<T> Argument for T where
    T: FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static
{
}

#[derive(Debug, Args)]
pub(super) struct List<N: Listed> {
    #[command(flatten)]
    at: At,
    #[arg(skip)]
    noun: PhantomData<N>,
}

impl<N: Listed> Run for List<N> {
    const NOUN: &'static Noun = N::NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        let noun = N::NOUN.one;
        vec![Example::new(
            "Those of a node, not of the default one",
            format!("ockam {noun} list --at n1"),
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        list::<N>(session, self.at.at.as_ref()).await
    }
}

/// Lists the items of a node.
pub(super) async fn list<N: Listed>(
    session: &Session<'_>,
    at: Option<&NodeArgument>,
) -> Result<(), Failure> {
    let state = session.open().await?;
    let node = session.node(&state, at).await?;
    let items = session.client(&state, &node)?.list::<N>().await?;
    let plain = if items.is_empty() {
        text::info(format!("No {}s found on node {}", N::TITLE, node.name))
    } else {
        text::list(items.iter().map(N::line))
    };
    session.host.print(N::listed(Outcome::plain(plain), &items));
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct Show<N: Named> {
    #[arg(help = N::NAME_HELP)]
    name: Option<N::Name>,
    #[command(flatten)]
    at: At,
}

impl<N: Named> Run for Show<N> {
    const NOUN: &'static Noun = N::NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        let noun = N::NOUN.one;
        vec![Example::new(
            "One of a node, by its name",
            format!("ockam {noun} show web --at n1"),
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let items = client.list::<N>().await?;
        let names: Vec<String> = items.iter().map(N::name).collect();
        let wanted = self.name.map(|name| name.to_string());
        flow::show(session, N::NOUN, &names, wanted, None, async |text| {
            // The node tells more of one than of each in a list.
            let name = text.parse().map_err(|_| flow::not_found(N::NOUN, text))?;
            Ok(N::shown(&client.show::<N>(&name).await?, &node))
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete<N: NamedTogether> {
    #[arg(help = N::NAME_HELP)]
    name: Option<N::Name>,
    #[arg(long, conflicts_with = "name", help = N::ALL_HELP)]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    at: At,
}

impl<N: NamedTogether> Run for Delete<N> {
    const NOUN: &'static Noun = N::NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        let noun = N::NOUN.one;
        vec![
            Example::new(
                "One, without a question",
                format!("ockam {noun} delete web --yes"),
            ),
            Example::new(
                "All of a node",
                format!("ockam {noun} delete --all --yes --at n1"),
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let chosen = Chosen {
            name: self.name.map(|name| name.to_string()),
            all: self.all,
            yes: self.yes,
        };
        delete::<N>(session, self.at.at.as_ref(), chosen).await
    }
}

/// Deletes the chosen items of a node.
pub(super) async fn delete<N: Named>(
    session: &Session<'_>,
    at: Option<&NodeArgument>,
    chosen: Chosen,
) -> Result<(), Failure> {
    let state = session.open().await?;
    let node = session.node(&state, at).await?;
    let client = session.client(&state, &node)?;
    let items = client.list::<N>().await?;
    let names: Vec<String> = items.iter().map(N::name).collect();
    flow::delete(session, N::NOUN, &names, chosen, async |text| {
        let name = text.parse().map_err(|_| flow::not_found(N::NOUN, text))?;
        client.delete::<N>(&name).await?;
        let done = text::done(format!(
            "{} {text} on Node {} has been deleted",
            N::TITLE,
            node.name
        ));
        Ok(N::deleted(Outcome::plain(done), text, &node))
    })
    .await
}

/// Says where to look for what a node has not got.
pub(super) fn look_at_list(failure: Failure, noun: &Noun, node: &NodeRecord) -> Failure {
    match failure.code {
        Some(Code::NotFound) => failure.help(format!(
            "`ockam {} list --at {}` shows what there is",
            noun.one, node.name
        )),
        _ => failure,
    }
}

#[derive(Debug, Args)]
pub(super) struct ShowAt<N: Addressed> {
    #[arg(help = N::ADDRESS_HELP)]
    address: N::Name,
    #[command(flatten)]
    at: At,
}

impl<N: Addressed> Run for ShowAt<N> {
    const NOUN: &'static Noun = N::NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        let noun = N::NOUN.one;
        vec![Example::new(
            "One of a node, by its address",
            format!("ockam {noun} show {} --at n1", N::EXAMPLE),
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let item = client
            .show::<N>(&self.address)
            .await
            .map_err(|failure| look_at_list(failure, N::NOUN, &node))?;
        session.host.print(N::shown(&item));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct DeleteAt<N: Addressed> {
    #[arg(help = N::ADDRESS_HELP)]
    address: N::Name,
    #[command(flatten)]
    at: At,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl<N: Addressed> Run for DeleteAt<N> {
    const NOUN: &'static Noun = N::NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        let noun = N::NOUN.one;
        vec![Example::new(
            "One, without a question",
            format!("ockam {noun} delete {} --at n1 --yes", N::EXAMPLE),
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let item = client
            .show::<N>(&self.address)
            .await
            .map_err(|failure| look_at_list(failure, N::NOUN, &node))?;
        if flow::confirmed(session, self.yes)? {
            client.delete::<N>(&self.address).await?;
            session.host.print(N::deleted(&item, &self.address, &node));
        }
        Ok(())
    }
}
