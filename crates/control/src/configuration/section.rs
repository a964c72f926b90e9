//! Sections of a configuration, and the resources in them as command lines.
//!
//! | form | means |
//! |---|---|
//! | `x: name` | one resource of this name |
//! | `x: {name: {key: value}, ..}` | resources by name |
//! | `x: {key: value, ..}` | one resource without a name |
//! | `x: [..]` | any of these, one after the other |
//!
//! `key: value` becomes `--key=value`, `true` the bare flag, `false` nothing, a list the flag repeated.
//!
//! spec: command 3.11 (forms of a resource section)

use zeroize::Zeroizing;

use crate::command::{Note, Session};
use crate::configuration::document::{Entry, Node, Value};
use crate::configuration::{Document, Position};
use crate::hint::nearest;
use crate::outcome::Failure;

/// A section: resources of one noun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The noun whose `create` each of its resources is.
    pub(crate) noun: &'static str,
    /// Every spelling of its key; the first is the one to suggest.
    pub(crate) spellings: &'static [&'static str],
    /// The argument that is the node of the file when it is not given.
    node: Option<&'static str>,
    /// Whether its resources have names.
    names: Names,
}

impl Section {
    /// Whether its resources have names as arguments.
    pub(crate) fn has_names(&self) -> bool {
        self.names == Names::First
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Names {
    /// As first argument.
    First,
    /// They have none.
    None,
}

/// Sections of a file for `node create`, in the order in which they are carried out.
pub(crate) static NODE_FILE: &[Section] = &[
    section("policy", &["policies", "policy"], None, Names::None),
    section("relay", RELAYS, Some("to"), Names::First),
    section("tcp-outlet", TCP_OUTLETS, AT, Names::First),
    section("tcp-inlet", TCP_INLETS, AT, Names::First),
    section(
        "influxdb-outlet",
        &["influxdb-outlets", "influxdb_outlets", "influxdb-outlet"],
        AT,
        Names::First,
    ),
    section(
        "influxdb-inlet",
        &["influxdb-inlets", "influxdb_inlets", "influxdb-inlet"],
        AT,
        Names::First,
    ),
    section("kafka-outlet", KAFKA_OUTLETS, AT, Names::First),
    section("kafka-inlet", KAFKA_INLETS, AT, Names::First),
];

/// Sections of a file for `run`, in the order in which they are carried out. Nothing gets a node from the file.
pub(crate) static RUN_FILE: &[Section] = &[
    section("vault", &["vaults", "vault"], None, Names::First),
    section("identity", &["identities", "identity"], None, Names::First),
    section("node", &["nodes", "node"], None, Names::First),
    section("relay", RELAYS, None, Names::First),
    section("policy", &["policies", "policy"], None, Names::None),
    section("tcp-outlet", TCP_OUTLETS, None, Names::First),
    section("tcp-inlet", TCP_INLETS, None, Names::First),
    section("kafka-inlet", KAFKA_INLETS, None, Names::First),
    section("kafka-outlet", KAFKA_OUTLETS, None, Names::First),
];

/// Keys that are no sections of resources.
const GENERAL: &[&str] = &["version", "variables", "ticket"];
const AT: Option<&str> = Some("at");
const RELAYS: &[&str] = &["relays", "relay"];
const TCP_OUTLETS: &[&str] = &["tcp-outlets", "tcp_outlets", "tcp-outlet"];
const TCP_INLETS: &[&str] = &["tcp-inlets", "tcp_inlets", "tcp-inlet"];
const KAFKA_OUTLETS: &[&str] = &["kafka-outlets", "kafka_outlet", "kafka-outlet"];
const KAFKA_INLETS: &[&str] = &["kafka-inlets", "kafka_inlet", "kafka-inlet"];

const fn section(
    noun: &'static str,
    spellings: &'static [&'static str],
    node: Option<&'static str>,
    names: Names,
) -> Section {
    Section {
        noun,
        spellings,
        node,
        names,
    }
}

/// One resource as a command line, and where each word of it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Its section.
    pub(crate) section: &'static Section,
    /// Where it begins.
    pub(crate) at: Position,
    /// Its name, when it has one.
    pub(crate) name: Option<String>,
    /// Its arguments, without the name.
    pub(crate) words: Vec<String>,
    /// The keys the arguments were made of.
    pub(crate) keys: Vec<Key>,
}

/// A key of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The flag it stands for.
    pub(crate) text: String,
    /// Where the key begins.
    pub(crate) at: Position,
    /// Where its value begins.
    pub(crate) value_at: Position,
}

impl Key {
    fn of(flag: &str, entry: &Entry) -> Self {
        Self {
            text: flag.to_owned(),
            at: entry.at,
            value_at: entry.node.at,
        }
    }
}

impl Document {
    /// Unknown keys are passed over, as they always were; a slip of the pen deserves a word all the same. `keys` are those
    /// that are no sections and may be written with underscores.
    ///
    /// # Errors
    /// The document is no map.
    pub(crate) fn warn_of_unknown_keys(
        &self,
        session: &Session<'_>,
        sections: &'static [Section],
        keys: &[&str],
    ) -> Result<(), Failure> {
        let Some(entries) = self.root.entries() else {
            return Err(self.origin.failure(
                self.root.at,
                format!("a configuration is a map, not {}", self.root.value.kind()),
            ));
        };
        let spellings = sections.iter().flat_map(|section| section.spellings);
        let known: Vec<&str> = keys
            .iter()
            .chain(GENERAL)
            .chain(spellings)
            .copied()
            .collect();
        for entry in entries {
            let spelled = entry.key.replace('_', "-");
            if known.contains(&entry.key.as_str()) || keys.contains(&spelled.as_str()) {
                continue;
            }
            let meant = nearest(&spelled, &known)
                .map(|known| format!(", did you mean `{known}`?"))
                .unwrap_or_default();
            session.host.note(Note::Warning(format!(
                "{}: `{}` is unknown and passed over{meant}",
                self.origin.place(entry.at),
                entry.key
            )));
        }
        Ok(())
    }

    /// The ticket, or where it is.
    ///
    /// # Errors
    /// It is no text.
    pub(crate) fn ticket(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        let mut entries = self.root.entries().unwrap_or_default().iter();
        let Some(entry) = entries.find(|entry| entry.key == "ticket") else {
            return Ok(None);
        };
        match &entry.node.value {
            Value::Text(text) => Ok(Some(Zeroizing::new(text.clone()))),
            // The line may hold a ticket, so it is not shown.
            other => Err(Failure::new(format!(
                "{}: `ticket` is text, a path or a URL, not {}",
                self.origin.place(entry.at),
                other.kind()
            ))),
        }
    }

    /// The resources of every section, in the order in which they are to be made. `node` is the node of the file.
    ///
    /// # Errors
    /// A section has none of the forms, or is there in two spellings.
    pub(crate) fn resources(
        &self,
        sections: &'static [Section],
        node: Option<&str>,
    ) -> Result<Vec<Resource>, Failure> {
        let mut resources = Vec::new();
        for section in sections {
            let mut found: Option<&Entry> = None;
            for entry in self.root.entries().unwrap_or_default() {
                if !section.spellings.contains(&entry.key.as_str()) {
                    continue;
                }
                if let Some(first) = found {
                    return Err(self.origin.failure(
                        entry.at,
                        format!("`{}` is there already, as `{}`", entry.key, first.key),
                    ));
                }
                found = Some(entry);
            }
            if let Some(entry) = found {
                let mut reader = SectionReader {
                    document: self,
                    section,
                    entry,
                    resources: &mut resources,
                };
                reader.section()?;
            }
        }
        if let Some(node) = node {
            for resource in &mut resources {
                resource.belongs_to(node);
            }
        }
        Ok(resources)
    }
}

impl Resource {
    /// Gives the node of the file to a resource that names none.
    fn belongs_to(&mut self, node: &str) {
        if let Some(argument) = self.section.node
            && !self.keys.iter().any(|key| key.text == argument)
        {
            self.words.push(format!("--{argument}={node}"));
        }
    }
}

struct SectionReader<'d> {
    document: &'d Document,
    section: &'static Section,
    entry: &'d Entry,
    resources: &'d mut Vec<Resource>,
}

impl<'d> SectionReader<'d> {
    fn section(&mut self) -> Result<(), Failure> {
        let node = &self.entry.node;
        match &node.value {
            Value::List(items) => items.iter().try_for_each(|item| self.item(item)),
            Value::Null => Ok(()),
            _ => self.item(node),
        }
    }

    /// One item of a list, or the section itself.
    fn item(&mut self, node: &'d Node) -> Result<(), Failure> {
        match &node.value {
            Value::Text(name) | Value::Integer(name) if self.section.names == Names::First => {
                self.add(node.at, Some(name), &[])
            }
            Value::Map(entries) if self.is_named(entries) => {
                entries.iter().try_for_each(|entry| self.named(entry))
            }
            Value::Map(entries) => self.add(node.at, None, entries),
            other => Err(self.refuse(node.at, other)),
        }
    }

    /// spec: command 3.11 (the named form is tried before the unnamed one)
    fn is_named(&self, entries: &[Entry]) -> bool {
        self.section.names == Names::First
            && entries
                .iter()
                .any(|entry| matches!(entry.node.value, Value::Map(_)))
            || entries
                .iter()
                .all(|entry| entry.node.value == Value::Null && !self.is_argument(&entry.key))
    }

    fn is_argument(&self, key: &str) -> bool {
        crate::command::command(self.section.noun, "create").is_some_and(|command| {
            command
                .clap()
                .get_arguments()
                .any(|argument| super::plan::is_named(argument, key))
        })
    }

    fn named(&mut self, entry: &'d Entry) -> Result<(), Failure> {
        match &entry.node.value {
            Value::Map(arguments) => self.add(entry.at, Some(&entry.key), arguments),
            Value::Null => self.add(entry.at, Some(&entry.key), &[]),
            other => Err(self
                .document
                .origin
                .failure(
                    entry.node.at,
                    format!(
                        "`{}` is the name of a {} here and needs a map of its arguments, not {}",
                        entry.key,
                        self.section.noun,
                        other.kind()
                    ),
                )
                .help(
                    "either every entry of the section is a name with a map below it, or none is",
                )),
        }
    }

    fn add(
        &mut self,
        at: Position,
        name: Option<&str>,
        arguments: &[Entry],
    ) -> Result<(), Failure> {
        let mut resource = Resource {
            at,
            name: name.map(str::to_owned),
            ..Resource::empty(self.section)
        };
        resource.arguments(self.document, arguments)?;
        self.resources.push(resource);
        Ok(())
    }

    fn refuse(&self, at: Position, value: &Value) -> Failure {
        let key = &self.entry.key;
        let forms = match self.section.names {
            Names::First => "a name, a map, or a list of these",
            Names::None => "a map, or a list of maps",
        };
        self.document
            .origin
            .failure(at, format!("`{key}` takes {forms}, not {}", value.kind()))
    }
}

impl Resource {
    /// One that has no arguments yet.
    pub(crate) fn empty(section: &'static Section) -> Self {
        Self {
            section,
            at: Position::default(),
            name: None,
            words: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Adds arguments as they are written in a map.
    ///
    /// # Errors
    /// A value cannot be one of an argument.
    pub(crate) fn arguments(
        &mut self,
        document: &Document,
        arguments: &[Entry],
    ) -> Result<(), Failure> {
        for entry in arguments {
            self.argument(document, &entry.key, entry)?;
        }
        Ok(())
    }

    /// Adds one argument of a node; its key may spell the flag in another way.
    pub(crate) fn node_argument(
        &mut self,
        document: &Document,
        flag: &str,
        entry: &Entry,
    ) -> Result<(), Failure> {
        if flag == "services" && matches!(entry.node.value, Value::Map(_)) {
            let services = serde_json::json!({ "services": entry.node.json() });
            self.keys.push(Key::of(flag, entry));
            self.words.push(format!("--services={services}"));
            return Ok(());
        }
        self.argument(document, flag, entry)
    }

    fn argument(&mut self, document: &Document, flag: &str, entry: &Entry) -> Result<(), Failure> {
        self.keys.push(Key::of(flag, entry));
        match &entry.node.value {
            Value::List(items) => items
                .iter()
                .try_for_each(|item| self.word(document, flag, &entry.key, item)),
            _ => self.word(document, flag, &entry.key, &entry.node),
        }
    }

    fn word(
        &mut self,
        document: &Document,
        flag: &str,
        key: &str,
        node: &Node,
    ) -> Result<(), Failure> {
        let dashes = if flag.chars().count() == 1 { "-" } else { "--" };
        let refuse = |why: String| document.origin.failure(node.at, why);
        match &node.value {
            Value::Switch(true) => self.words.push(format!("{dashes}{flag}")),
            Value::Switch(false) => {}
            Value::Integer(value) | Value::Text(value) => {
                self.words.push(format!("{dashes}{flag}={value}"));
            }
            Value::Null => return Err(refuse(format!("`{key}` has no value"))),
            Value::Fraction(number) => {
                return Err(refuse(format!(
                    "`{key}` cannot be {number}, a number with a fraction"
                ))
                .help(format!("write \"{number}\" in quotes if it is text")));
            }
            other @ (Value::List(_) | Value::Map(_)) => {
                return Err(refuse(format!(
                    "`{key}` takes text, a whole number, true, false or a list of these, not {}",
                    other.kind()
                )));
            }
        }
        Ok(())
    }
}
