//! The table of variables: what each means, what holds without it, and whether it has an effect here.
//!
//! Whatever the program reads stands here, and a test compares the two; so does every variable of the published program,
//! because environments are written for both. `ockam environment` prints this table.
//!
//! spec: command 3.13

/// One variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it means; for one without effect, why there is none.
    pub about: &'static str,
    /// What holds when it is not set; empty when that goes without saying.
    pub default: &'static str,
    /// What setting it does.
    pub effect: Effect,
}

/// What setting a variable does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is read.
    Honoured,
    /// It asks for something this release does not have. A command that needs that fails, rather than do less.
    Refused,
    /// Nothing: what it is about does not exist here.
    None,
}

const fn honoured(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        default,
        effect: Effect::Honoured,
    }
}

const fn refused(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        default: "",
        effect: Effect::Refused,
    }
}

const fn without(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        default: "",
        effect: Effect::None,
    }
}

const TELEMETRY: &str = "telemetry; nothing is ever reported";
const POSTGRES: &str = "PostgreSQL as the store; see OCKAM_DATABASE_CONNECTION_URL";
const NO_POSTGRES: &str = "PostgreSQL as the store: every command that needs state fails";
const HOSTED: &str = "the hosted Orchestrator; the one in this program has no pages";
const UDP: &str = "UDP; this release has TCP";

/// Every variable, in the order in which they are shown.
pub(crate) const VARIABLES: &[Variable] = &[
    honoured(
        "OCKAM_HOME",
        "~/.ockam",
        "the directory that holds identities, nodes and logs",
    ),
    honoured(
        "OCKAM_VAULT_PASSPHRASE_FILE",
        "",
        "a file with the passphrases of sealed vaults, one on each line; `-` is standard input",
    ),
    honoured("QUIET", "false", "as --quiet"),
    honoured("NO_COLOR", "false", "as --no-color"),
    honoured("NO_INPUT", "false", "as --no-input"),
    honoured(
        "PAGER",
        "less",
        "the program that shows help and argument errors; empty for none",
    ),
    honoured(
        "OCKAM",
        "this program",
        "the program that runs background nodes, when this one was replaced on disk",
    ),
    honoured(
        "CREDENTIAL_TTL_SECS",
        "2592000",
        "How many seconds the credentials of an authority are good, when it is created without --ttl",
    ),
    honoured(
        "OCKAM_DEFAULT_TIMEOUT",
        "120s",
        "how long a request or the making of a channel may take",
    ),
    honoured(
        "OCKAM_COMMAND_RETRY_COUNT",
        "0",
        "as --retry-count: how often a failed attempt is repeated",
    ),
    honoured(
        "OCKAM_COMMAND_RETRY_DELAY",
        "5s",
        "as --retry-delay: how long to wait before that",
    ),
    honoured("OCKAM_STRICT", "false", "as --strict of `node create`"),
    honoured(
        "OCKAM_LOGGING",
        "false",
        "log to files below $OCKAM_HOME/commands; background nodes always log",
    ),
    honoured(
        "OCKAM_LOG_LEVEL",
        "debug",
        "what goes into log files: error, warn, info, debug or trace",
    ),
    honoured(
        "OCKAM_LOG_FORMAT",
        "default",
        "form of log lines: default, pretty or json",
    ),
    honoured(
        "OCKAM_LOG_MAX_FILES",
        "60",
        "how many log files of a node or command are kept, one a day",
    ),
    honoured(
        "OCKAM_LOG_CRATES_FILTER",
        "by level",
        "whose lines are logged: all, basic, core, or a list of crates",
    ),
    honoured(
        "OCKAM_HELP_SHOW_HIDDEN",
        "true",
        "whether help hides hidden commands and options; false shows them",
    ),
    honoured(
        "OCKAM_HELP_RENDER_MARKDOWN",
        "false",
        "whether help comes out as Markdown",
    ),
    honoured(
        "OCKAM_TCP_PORTAL_SKIP_HANDSHAKE",
        "false",
        "as --skip-handshake of inlets and outlets",
    ),
    honoured(
        "OCKAM_TCP_PORTAL_ENABLE_NAGLE",
        "false",
        "as --enable-nagle of inlets and outlets",
    ),
    honoured(
        "OCKAM_TCP_PORTAL_PAYLOAD_LENGTH",
        "129024",
        "most bytes that a portal of the node puts into one message",
    ),
    honoured(
        "OCKAM_CONTROLLER_ADDR",
        "",
        "where the Orchestrator is that is asked, when it is not the one of `ockam enroll`: a multiaddr that ends at its listener",
    ),
    honoured(
        "OCKAM_CONTROLLER_IDENTITY_ID",
        "",
        "the identifier of that Orchestrator; nobody else is accepted there",
    ),
    honoured(
        "OCKAM_JOIN",
        "",
        "the join string of the Orchestrator that `ockam enroll` enrolls with",
    ),
    honoured(
        "OCKAM_AUTHENTICATOR_ENDPOINT",
        "",
        "where `ockam enroll` signs in, in the published form, before what the Orchestrator says",
    ),
    honoured(
        "OCKAM_AUTH0_CLIENT_ID",
        "",
        "the client that is registered there",
    ),
    honoured(
        "OCKAM_ORCHESTRATOR_DATABASE",
        "",
        "where the database of the Orchestrator is, with its password: postgres://.., before `--database`",
    ),
    honoured(
        "OCKAM_DATABASE_KEY_FILE",
        "",
        "a file with the key that secrets in the database are sealed under: 64 hexadecimal digits",
    ),
    honoured("OCKAM_DATABASE_KEY", "", "the same key itself"),
    refused(
        "ENROLLMENT_TICKET",
        "as --enrollment-ticket of `node create`",
    ),
    refused("OCKAM_PRIVILEGED", "as --privileged of inlets and outlets"),
    refused(
        "OCKAM_SQLITE_IN_MEMORY",
        "as --in-memory of `node create --foreground`",
    ),
    refused("OCKAM_DATABASE_CONNECTION_URL", NO_POSTGRES),
    refused("OCKAM_DATABASE_INSTANCE", NO_POSTGRES),
    without("OCKAM_DATABASE_USER", POSTGRES),
    without("OCKAM_DATABASE_PASSWORD", POSTGRES),
    without("OCKAM_DATABASE_USERNAME_AND_PASSWORD", POSTGRES),
    without("OCKAM_DATABASE_USER_AND_PASSWORD", POSTGRES),
    without(
        "OCKAM_DISABLE_UPGRADE_CHECK",
        "looking for updates; no command does",
    ),
    without("OCKAM_LOG", "an older way to log; see OCKAM_LOGGING"),
    without(
        "OCKAM_LOG_MAX_SIZE_MB",
        "the size of a log file; files change by day only",
    ),
    without("OCKAM_RENDEZVOUS_SERVER", UDP),
    without("OCKAM_UDP_PENDING_MESSAGES_PER_PEER", UDP),
    without("OCKAM_UDP_MAX_ON_THE_WIRE_PACKET_SIZE", UDP),
    without("OCKAM_ORCHESTRATOR_UI_URL", HOSTED),
    without(
        "OCKAM_DEVELOPER",
        "what developers of the published program see",
    ),
    without(
        "OCKAM_CONTROL_API_AUTHENTICATION_TOKEN",
        "the control API over HTTP, which this release does not have",
    ),
    without("INFLUXDB_ORG_ID", "InfluxDB portals"),
    without("INFLUXDB_TOKEN", "InfluxDB portals"),
    without(
        "OCKAM_BACKTRACE",
        "more detail in error reports; they name the cause, not the place in the source",
    ),
    without("OCKAM_SPANTRACE", "as OCKAM_BACKTRACE"),
    without("OCKAM_METRICS_PATH", "diagnostics of another runtime"),
    without("OCKAM_WATCHDOG_INTERVAL", "diagnostics of another runtime"),
    without("OCKAM_TELEMETRY_EXPORT", TELEMETRY),
    without("OCKAM_OPENTELEMETRY_EXPORT", TELEMETRY),
    without("OCKAM_OPENTELEMETRY_ENDPOINT", TELEMETRY),
    without("OCKAM_OPENTELEMETRY_HEADERS", TELEMETRY),
    without("OCKAM_OPENTELEMETRY_EXPORT_DEBUG", TELEMETRY),
    without("OCKAM_TELEMETRY_EXPORT_VIA_PROJECT", TELEMETRY),
    without("OCKAM_TELEMETRY_EXPORT_VIA_AUTHORITY", TELEMETRY),
    without("OCKAM_TELEMETRY_EXPORT_NODE_ROUTE", TELEMETRY),
    without("OCKAM_TELEMETRY_EXPORT_NODE_IDENTIFIER", TELEMETRY),
    without("OCKAM_TELEMETRY_EXPORT_NODE_FORWARDER_SERVICE", TELEMETRY),
    without(
        "OCKAM_FOREGROUND_TELEMETRY_ENDPOINT_CONNECTION_TIMEOUT",
        TELEMETRY,
    ),
    without(
        "OCKAM_BACKGROUND_TELEMETRY_ENDPOINT_CONNECTION_TIMEOUT",
        TELEMETRY,
    ),
    without("OCKAM_SPAN_EXPORT_TIMEOUT", TELEMETRY),
    without("OCKAM_LOG_EXPORT_TIMEOUT", TELEMETRY),
    without("OCKAM_FOREGROUND_SPAN_EXPORT_SCHEDULED_DELAY", TELEMETRY),
    without("OCKAM_BACKGROUND_SPAN_EXPORT_SCHEDULED_DELAY", TELEMETRY),
    without("OCKAM_SPAN_EXPORT_QUEUE_SIZE", TELEMETRY),
    without("OCKAM_LOG_EXPORT_QUEUE_SIZE", TELEMETRY),
    without("OCKAM_FOREGROUND_LOG_EXPORT_CUTOFF", TELEMETRY),
    without("OCKAM_FOREGROUND_SPAN_EXPORT_CUTOFF", TELEMETRY),
    without("OCKAM_BACKGROUND_LOG_EXPORT_CUTOFF", TELEMETRY),
    without("OCKAM_BACKGROUND_SPAN_EXPORT_CUTOFF", TELEMETRY),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn every_variable_the_program_reads_is_in_the_table_and_no_other_claims_to_be() {
        let mut read = BTreeSet::new();
        for file in sources() {
            let text = std::fs::read_to_string(&file).unwrap();
            // Tests at the foot of a file read what they like.
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            for word in code.split('"') {
                if is_ours(word) && !OTHERS.contains(&word) {
                    read.insert(word.to_owned());
                }
            }
        }
        assert!(read.contains("OCKAM_HOME"), "the sources were found");
        let table: BTreeSet<String> = VARIABLES
            .iter()
            .filter(|variable| variable.effect != Effect::None)
            .map(|variable| variable.name.to_owned())
            .collect();
        for name in &read {
            assert!(
                table.contains(name),
                "{name} is read but not in crates/cli/src/environment/variables.rs, or without an effect there"
            );
        }
        for name in &table {
            assert!(
                read.contains(name),
                "{name} is in crates/cli/src/environment/variables.rs as one with an effect, but nothing reads it"
            );
        }
    }

    #[test]
    fn each_variable_stands_once_and_says_what_it_means() {
        let mut names = BTreeSet::new();
        for variable in VARIABLES {
            assert!(names.insert(variable.name), "{}", variable.name);
            assert!(!variable.about.is_empty(), "{}", variable.name);
        }
    }

    #[test]
    fn the_document_has_every_variable_with_an_effect() {
        let document =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/3-command.md");
        let document = std::fs::read_to_string(document).unwrap();
        for variable in VARIABLES {
            assert!(
                variable.effect == Effect::None
                    || document.contains(&format!("`{}`", variable.name)),
                "{} is not in docs/protocol/3-command.md 3.13",
                variable.name
            );
        }
    }

    fn is_ours(word: &str) -> bool {
        let known = [
            "QUIET",
            "NO_COLOR",
            "NO_INPUT",
            "PAGER",
            "ENROLLMENT_TICKET",
            "CREDENTIAL_TTL_SECS",
        ];
        let named = word == "OCKAM" || word.starts_with("OCKAM_") && word.len() > "OCKAM_".len();
        let letters = word
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        letters && (named || known.contains(&word) || word.starts_with("INFLUXDB_"))
    }

    fn sources() -> Vec<PathBuf> {
        let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..")];
        let mut found = Vec::new();
        while let Some(folder) = left.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && name != "tests" && name != "target" {
                    left.push(path);
                } else if path.extension().is_some_and(|kind| kind == "rs")
                    && name != "variables.rs"
                {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Between completion scripts or the build and the program, where nobody sets them; the name of a protocol.
    const OTHERS: &[&str] = &[
        "OCKAM_COMPLETE",
        "OCKAM_FUNCTION_ORDER",
        "OCKAM_GIT_HASH",
        "OCKAM_XX_25519_AES256_GCM_SHA256",
    ];
}
