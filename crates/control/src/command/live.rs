//! Which names of existing things an argument takes, for completion.
//!
//! It follows from the type of the argument's value, or from the name of the value where that is a text, so that a new
//! noun has nothing to do for it.

use std::any::TypeId;

use clap::Arg;
use ockam_store::{Glance, IdentityName, NodeName, VaultName};
use ockam_wire::MultiAddr;

use crate::home::authorities;
use crate::noun;
use crate::noun::tcp_listener::TransportName;
use crate::value::{Alias, NodeArgument, PolicyTarget, WorkerName};

/// Existing things whose names an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Nodes, plainly or as `/node/<name>`.
    Nodes,
    /// Identities.
    Identities,
    /// Vaults.
    Vaults,
    /// Routes that begin at a node.
    Routes,
    /// Scopes of credentials that are kept.
    Scopes,
    /// Projects that the home knows.
    Projects,
    /// Spaces that the home knows.
    Spaces,
    /// Authorities, by the ids of their projects.
    Authorities,
    /// Whatever a node was asked for that a policy can protect.
    Resources,
    /// Things of this noun that a node was asked for.
    Things(&'static str),
}

/// What an argument of a command takes.
pub fn live(noun: &str, verb: &str, argument: &Arg) -> Option<Live> {
    let value = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or("", |name| name.as_str());
    // What is made does not exist yet; the space that it is made in does.
    if argument.is_positional() && verb == "create" && value != "SPACE" {
        return None;
    }
    let is = |kind: TypeId| argument.get_value_parser().type_id() == kind;
    if is(TypeId::of::<NodeArgument>()) || is(TypeId::of::<NodeName>()) {
        return Some(Live::Nodes);
    }
    if is(TypeId::of::<IdentityName>()) {
        return Some(Live::Identities);
    }
    if is(TypeId::of::<VaultName>()) {
        return Some(Live::Vaults);
    }
    if is(TypeId::of::<MultiAddr>()) {
        return Some(Live::Routes);
    }
    let names = [
        TypeId::of::<Alias>(),
        TypeId::of::<WorkerName>(),
        TypeId::of::<TransportName>(),
    ];
    if is(TypeId::of::<PolicyTarget>()) {
        // What has a policy is listed; what may be given one or asked about need not have one.
        let has_one = argument.is_positional() && verb != "explain";
        return Some(if has_one {
            Live::Things(noun::policy::NOUN.one)
        } else {
            Live::Resources
        });
    }
    if argument.is_positional() && names.into_iter().any(is) {
        return crate::table::resource(noun).map(|noun| Live::Things(noun.one));
    }
    match value {
        "NODE" => Some(Live::Nodes),
        "ROUTE" => Some(Live::Routes),
        "SCOPE" => Some(Live::Scopes),
        "PROJECT" | "[SPACE] PROJECT" => Some(Live::Projects),
        "SPACE" => Some(Live::Spaces),
        "AUTHORITY" => Some(Live::Authorities),
        "RELAY" => Some(Live::Things(noun::relay::NOUN.one)),
        _ => None,
    }
}

impl Live {
    /// The names of what is there, as far as the text typed so far can lead to them. `node` is the one that acts; the
    /// default node when none was named.
    pub fn names(self, there: &Glance, node: Option<&str>, typed: &str) -> Vec<String> {
        let node = node.or(there.default_node.as_deref());
        let things = |wanted: &'static str, node: Option<&str>| {
            let of_node = there
                .requests
                .iter()
                .filter(move |(of, noun, _)| Some(of.as_str()) == node && noun == wanted);
            of_node.map(|(_, _, name)| name.clone()).collect::<Vec<_>>()
        };
        let names = match self {
            Self::Nodes if typed.starts_with('/') => whole_nodes(there),
            Self::Nodes => there.nodes.clone(),
            Self::Identities => there.identities.clone(),
            Self::Vaults => there.vaults.clone(),
            Self::Scopes => there.scopes.clone(),
            Self::Projects => there.projects.clone(),
            Self::Spaces => there.spaces.clone(),
            Self::Authorities => there
                .nodes
                .iter()
                .filter_map(|name| name.strip_prefix(authorities::PREFIX))
                .map(str::to_owned)
                .collect(),
            Self::Resources => [
                &noun::tcp_outlet::NOUN,
                &noun::tcp_inlet::NOUN,
                &noun::relay::NOUN,
            ]
            .into_iter()
            .flat_map(|noun| things(noun.one, node))
            .collect(),
            Self::Things(noun) => things(noun, node),
            Self::Routes => {
                let far = typed
                    .strip_prefix("/node/")
                    .and_then(|rest| rest.split_once('/'));
                match far {
                    None => whole_nodes(there),
                    Some((far, _)) => {
                        let outlets = things(noun::tcp_outlet::NOUN.one, Some(far));
                        let outlets = outlets.iter().flat_map(|outlet| {
                            [
                                format!("/node/{far}/secure/api/service/{outlet}"),
                                format!("/node/{far}/service/{outlet}"),
                            ]
                        });
                        outlets
                            .chain([format!("/node/{far}/service/api")])
                            .collect()
                    }
                }
            }
        };
        names
            .into_iter()
            .filter(|name| name.starts_with(typed))
            .collect()
    }
}

fn whole_nodes(there: &Glance) -> Vec<String> {
    there
        .nodes
        .iter()
        .map(|name| format!("/node/{name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{COMMANDS, Command};

    #[test]
    fn what_an_argument_takes_follows_from_its_type() {
        for (words, argument, expected) in [
            (["node", "show"], "name", Some(Live::Nodes)),
            (["tcp-inlet", "create"], "at", Some(Live::Nodes)),
            (["tcp-inlet", "create"], "name", None),
            (["tcp-inlet", "create"], "identity", Some(Live::Identities)),
            (["tcp-inlet", "create"], "to", Some(Live::Routes)),
            (["tcp-inlet", "create"], "via", Some(Live::Things("relay"))),
            (
                ["tcp-inlet", "show"],
                "name",
                Some(Live::Things("tcp-inlet")),
            ),
            (
                ["tcp-outlet", "delete"],
                "name",
                Some(Live::Things("tcp-outlet")),
            ),
            (["relay", "create"], "at", Some(Live::Routes)),
            (["relay", "create"], "to", Some(Live::Nodes)),
            (["relay", "delete"], "name", Some(Live::Things("relay"))),
            (["secure-channel", "create"], "from", Some(Live::Nodes)),
            (["secure-channel", "create"], "to", Some(Live::Routes)),
            (
                ["secure-channel", "delete"],
                "address",
                Some(Live::Things("secure-channel")),
            ),
            (["message", "send"], "to", Some(Live::Routes)),
            (["message", "send"], "from", Some(Live::Nodes)),
            (["identity", "create"], "vault", Some(Live::Vaults)),
            (["identity", "create"], "name", None),
            (["identity", "show"], "name", Some(Live::Identities)),
            (["credential", "issue"], "issuer", Some(Live::Identities)),
            (["credential", "show"], "scope", Some(Live::Scopes)),
            (["project", "show"], "name", Some(Live::Projects)),
            (["project", "delete"], "project", Some(Live::Projects)),
            (["project", "ticket"], "project", Some(Live::Projects)),
            (
                ["project-member", "list"],
                "project_name",
                Some(Live::Projects),
            ),
            (["node", "create"], "project", Some(Live::Projects)),
            (["project", "create"], "space", Some(Live::Spaces)),
            (["space", "create"], "name", None),
            (["space", "show"], "name", Some(Live::Spaces)),
            (["space-admin", "add"], "of", Some(Live::Spaces)),
            (["project-admin", "list"], "of", Some(Live::Projects)),
            (["project", "addon list"], "project", Some(Live::Projects)),
            (["authority", "show"], "name", Some(Live::Authorities)),
            (["authority", "create"], "project_identifier", None),
            (["policy", "show"], "resource", Some(Live::Things("policy"))),
            (["policy", "create"], "resource", Some(Live::Resources)),
            (["policy", "explain"], "resource", Some(Live::Resources)),
        ] {
            let [noun, verb] = words;
            let command = crate::command::command(noun, verb).expect("it is there");
            assert_eq!(of(command, argument), expected, "{words:?} {argument}");
        }
    }

    #[test]
    fn the_node_that_acts_can_be_completed_wherever_it_can_be_named() {
        for command in COMMANDS {
            for name in ["at", "from"] {
                let clap = command.clap();
                let argument = clap
                    .get_arguments()
                    .find(|argument| argument.get_id() == name);
                let known = argument.is_none_or(|argument| {
                    argument.get_value_parser().type_id() == TypeId::of::<crate::value::HostPort>()
                        || argument.get_value_parser().type_id() == TypeId::of::<WorkerName>()
                        || live(command.noun.one, command.verb, argument).is_some()
                });
                assert!(
                    known,
                    "ockam {}: --{name} of a type that completion does not know; \
                    see crates/control/src/command/live.rs",
                    command.words().join(" ")
                );
            }
        }
    }

    #[test]
    fn names_are_those_of_the_node_that_acts() {
        let request = |node: &str, noun: &str, name: &str| {
            (node.to_owned(), noun.to_owned(), name.to_owned())
        };
        let there = Glance {
            nodes: vec!["n1".into(), "n2".into()],
            default_node: Some("n1".into()),
            requests: vec![
                request("n1", "tcp-inlet", "my inlet"),
                request("n2", "tcp-inlet", "web"),
                request("n2", "tcp-outlet", "outlet"),
            ],
            ..Glance::default()
        };
        let inlets = Live::Things("tcp-inlet");
        assert_eq!(inlets.names(&there, None, ""), ["my inlet"]);
        assert_eq!(inlets.names(&there, Some("n2"), "w"), ["web"]);
        assert_eq!(Live::Nodes.names(&there, None, "n"), ["n1", "n2"]);
        assert_eq!(
            Live::Nodes.names(&there, None, "/"),
            ["/node/n1", "/node/n2"]
        );
        assert_eq!(Live::Routes.names(&there, None, "/node/n2"), ["/node/n2"]);
        assert_eq!(
            Live::Routes.names(&there, None, "/node/n2/se"),
            [
                "/node/n2/secure/api/service/outlet",
                "/node/n2/service/outlet",
                "/node/n2/service/api"
            ]
        );
    }

    fn of(command: &Command, name: &str) -> Option<Live> {
        let clap = command.clap();
        let argument = clap
            .get_arguments()
            .find(|argument| argument.get_id() == name);
        live(
            command.noun.one,
            command.verb,
            argument.expect("it is there"),
        )
    }
}
