//! The table of resources: every noun with its verbs, where each is handled, who may ask, and in what forms it answers.
//!
//! Control routes, client, command line, help and tests walk [`RESOURCES`]; nothing else lists nouns.

use crate::noun;

/// A noun of the command line and of the control API.
#[derive(Debug)]
pub struct Noun {
    /// As the command line names it: `tcp-inlet`.
    pub one: &'static str,
    /// As a sentence names it: `tcp inlet`.
    pub kind: &'static str,
    /// The collection's path segment in the control API: `tcp-inlets`.
    pub many: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Older names that still work and are not shown.
    pub aliases: &'static [&'static str],
    /// What can be done with it, in the order of the help.
    pub verbs: &'static [Verb],
}

impl Noun {
    /// Whether the noun stands for itself: `ockam status`. It has one verb, and that has no name.
    pub fn is_single(&self) -> bool {
        matches!(self.verbs, [only] if only.name.is_empty())
    }

    /// The verb of this name.
    pub fn verb(&self, name: &str) -> Option<&'static Verb> {
        self.verbs.iter().find(|verb| verb.name == name)
    }
}

/// One verb of a noun.
#[derive(Debug)]
pub struct Verb {
    /// As the command line names it: `create`, or of several words: `audit verify`; empty for a noun that stands for itself.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Where it is handled.
    pub scope: Scope,
    /// Who may ask for it.
    pub who: Who,
    /// The forms of its result.
    pub forms: Forms,
}

/// Where a verb is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In the command's own process, on the state in `$OCKAM_HOME`.
    Home,
    /// In a running node, reached over its control socket.
    Node,
}

/// Who may ask for a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Who can read the home: it is a directory of mode 0700.
    HomeOwner,
    /// The user the node runs as, or root; the control socket asks the kernel.
    NodeOwner,
}

/// The forms in which a verb may answer, next to or instead of the plain one (spec: command 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forms {
    /// A text for people.
    pub plain: bool,
    /// One identifier-like string.
    pub machine: bool,
    /// JSON.
    pub json: bool,
}

impl Forms {
    /// Text for people only.
    pub const PLAIN: Self = Self {
        plain: true,
        machine: false,
        json: false,
    };
    /// Text and JSON.
    pub const JSON: Self = Self {
        plain: true,
        machine: false,
        json: true,
    };
    /// Text and one string.
    pub const MACHINE: Self = Self {
        plain: true,
        machine: true,
        json: false,
    };
    /// All three.
    pub const ALL: Self = Self {
        plain: true,
        machine: true,
        json: true,
    };
}

/// Every noun, in the order of the help.
pub const RESOURCES: &[&Noun] = &[
    &noun::node::NOUN,
    &noun::identity::NOUN,
    &noun::vault::NOUN,
    &noun::tcp_outlet::NOUN,
    &noun::tcp_inlet::NOUN,
    &noun::relay::NOUN,
    &noun::credential::NOUN,
    &noun::policy::NOUN,
    &noun::enroll::NOUN,
    &noun::project::NOUN,
    &noun::project_member::NOUN,
    &noun::project_admin::NOUN,
    &noun::space::NOUN,
    &noun::space_admin::NOUN,
    &noun::share::NOUN,
    &noun::subscription::NOUN,
    &noun::admin::NOUN,
    &noun::sidecar::NOUN,
    &noun::secure_channel::NOUN,
    &noun::secure_channel_listener::NOUN,
    &noun::tcp_listener::NOUN,
    &noun::tcp_connection::NOUN,
    &noun::authority::NOUN,
    &noun::orchestrator::NOUN,
    &noun::message::NOUN,
    &noun::service::NOUN,
    &noun::worker::NOUN,
    &noun::flow_control::NOUN,
    &noun::status::NOUN,
    &noun::run::NOUN,
    &noun::import::NOUN,
    &noun::reset::NOUN,
    &noun::migrate_database::NOUN,
];

/// What stands between a noun and the last word of a verb of several words, with one line of help.
pub(crate) const GROUPS: &[(&str, &str)] = &[
    ("project addon", "What a project can have beside members"),
    ("project addon configure", "Give a project an addon"),
    ("admin subscription", "Change subscriptions"),
    (
        "admin subscription update",
        "Change what belongs to a subscription",
    ),
    (
        "orchestrator audit",
        "What was done and refused, in a log that shows when it was changed",
    ),
];

/// One line of help for the first words of a command of more words than these.
pub(crate) fn about_group(words: &str) -> &'static str {
    GROUPS
        .iter()
        .find(|(group, _)| *group == words)
        .map_or("", |(_, about)| about)
}

/// The noun of this name or older name.
pub fn resource(name: &str) -> Option<&'static Noun> {
    RESOURCES
        .iter()
        .copied()
        .find(|noun| noun.one == name || noun.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_complete_and_named_once() {
        let mut words = HashSet::new();
        let mut paths = HashSet::new();
        for noun in RESOURCES {
            for word in noun.aliases.iter().chain([&noun.one]) {
                assert!(words.insert(*word), "{word}");
            }
            assert!(paths.insert(noun.many), "{}", noun.many);
            assert!(
                !noun.kind.is_empty() && !noun.about.is_empty(),
                "{}",
                noun.one
            );
            assert!(
                noun.is_single() || noun.verbs.iter().all(|verb| !verb.name.is_empty()),
                "{}",
                noun.one
            );
            let mut verbs = HashSet::new();
            for verb in noun.verbs {
                assert!(verbs.insert(verb.name), "{} {}", noun.one, verb.name);
                for (at, _) in verb.name.match_indices(' ') {
                    let group = format!("{} {}", noun.one, &verb.name[..at]);
                    assert!(!about_group(&group).is_empty(), "{group} has no help");
                }
                assert!(
                    !verb.about.is_empty(),
                    "{} {} has no help",
                    noun.one,
                    verb.name
                );
                assert!(
                    verb.forms.plain || verb.forms.json,
                    "{} {} has no output",
                    noun.one,
                    verb.name
                );
            }
        }
    }

    #[test]
    fn nouns_are_found_by_older_names() {
        assert_eq!(resource("forwarder").map(|noun| noun.one), Some("relay"));
        assert!(resource("nothing").is_none());
    }

    /// One authorisation case for each verb: what is carried out in a node is asked for by its owner over the socket, what is
    /// carried out on the home by whoever owns that directory.
    #[tokio::test]
    async fn every_verb_is_closed_to_strangers() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = directory.path().join("home");
        let state = crate::state::State::open(&home, None)
            .await
            .expect("it opens");
        let socket = state
            .socket(&"n1".parse().expect("a name"))
            .expect("there is room for it");
        let socket = crate::socket::ControlSocket::bind(&socket)
            .await
            .expect("it binds");
        let rights = |path: &std::path::Path| {
            std::fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777
        };
        let stranger = 54_321;
        for (noun, verb) in RESOURCES
            .iter()
            .flat_map(|noun| noun.verbs.iter().map(move |verb| (noun, verb)))
        {
            match (verb.scope, verb.who) {
                (Scope::Home, Who::HomeOwner) => {
                    assert_eq!(rights(&home), 0o700, "{} {}", noun.one, verb.name)
                }
                (Scope::Node, Who::NodeOwner) => {
                    assert!(!socket.permits(stranger), "{} {}", noun.one, verb.name);
                    assert_eq!(
                        rights(&home.join("run")),
                        0o700,
                        "{} {}",
                        noun.one,
                        verb.name
                    );
                }
                other => panic!(
                    "{} {} has no authorisation case: {other:?}",
                    noun.one, verb.name
                ),
            }
        }
    }
}
