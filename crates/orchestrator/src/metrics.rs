//! What is measured, in the text format of Prometheus.
//!
//! **Invariants**: no label holds what somebody outside chose (a name, an identifier, an address): the values of all labels are
//! known here. So the number of series is bounded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use ockam_control::OrchestratorCounts;
use ockam_node::Relayed;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::projects::ProjectCounts;

/// The counters of one process. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Measured>);

#[derive(Default)]
struct Measured {
    registry: Registry,
    requests: Family<Request, Counter>,
    enrollments: Family<Enrollment, Counter>,
    sign_ins: Family<SigningIn, Counter>,
    refusals: Family<Refusal, Counter>,
    database_errors: Counter,
    projects_started: Counter,
    relayed_messages: Counter,
    relayed_bytes: Counter,
    messages: Counter,
    denials: Counter,
    connections: Gauge,
    channels: Gauge,
    project_channels: Gauge,
    connected_nodes: Gauge,
    accounts: Gauge,
    projects: Gauge,
    projects_running: Gauge,
    relays: Gauge,
    resident: Gauge,
    began: Gauge,
}

/// What is looked at when somebody asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) counts: OrchestratorCounts,
    pub(crate) projects: ProjectCounts,
    /// Channels with the controller and with other processes.
    pub(crate) channels: usize,
    pub(crate) messages: u64,
    pub(crate) denials: u64,
    /// What the outer node passed on itself: to other processes.
    pub(crate) relayed: Relayed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    service: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Enrollment {
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SigningIn {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
}

/// By what somebody enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrolledBy {
    /// A one-time code.
    Code,
    /// A provider.
    SignIn,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut measured = Measured::default();
        let mut registry = std::mem::take(&mut measured.registry);
        let part = registry.sub_registry_with_prefix("ockam_orchestrator");
        for (name, about, counter) in [
            (
                "database_errors",
                "Requests and looks that failed because of the database",
                &measured.database_errors,
            ),
            (
                "projects_started",
                "Projects that were started because somebody came",
                &measured.projects_started,
            ),
            (
                "relayed_messages",
                "Messages that went from one node to another through this process",
                &measured.relayed_messages,
            ),
            (
                "messages",
                "Messages that workers of the outer node took",
                &measured.messages,
            ),
            (
                "denials",
                "What policies and rules of the outer node denied",
                &measured.denials,
            ),
        ] {
            part.register(name, about, counter.clone());
        }
        part.register_with_unit(
            "relayed",
            "Payload of the messages that went from one node to another, sealed by the nodes themselves",
            Unit::Bytes,
            measured.relayed_bytes.clone(),
        );
        for (name, about, gauge) in [
            (
                "connections",
                "Connections that are open",
                &measured.connections,
            ),
            (
                "channels",
                "Secure channels with the controller and with other processes that are open",
                &measured.channels,
            ),
            (
                "project_channels",
                "Secure channels with projects that are open",
                &measured.project_channels,
            ),
            (
                "connected_nodes",
                "Members that have a channel with their project, of each project",
                &measured.connected_nodes,
            ),
            (
                "accounts",
                "Who is enrolled, at all processes together",
                &measured.accounts,
            ),
            (
                "projects",
                "Projects, at all processes together",
                &measured.projects,
            ),
            (
                "projects_running",
                "Projects that run in this process",
                &measured.projects_running,
            ),
            (
                "relays",
                "Relays that are connected to this process",
                &measured.relays,
            ),
        ] {
            part.register(name, about, gauge.clone());
        }
        part.register_with_unit(
            "resident_memory",
            "Memory of this process",
            Unit::Bytes,
            measured.resident.clone(),
        );
        part.register_with_unit(
            "start_time",
            "When this process began, since 1970",
            Unit::Seconds,
            measured.began.clone(),
        );
        part.register(
            "requests",
            "Requests to the controller, by service and status",
            measured.requests.clone(),
        );
        part.register(
            "enrollments",
            "Who enrolled, by what",
            measured.enrollments.clone(),
        );
        part.register(
            "sign_ins",
            "Access tokens of the provider that were shown, by what came of it",
            measured.sign_ins.clone(),
        );
        part.register(
            "refusals",
            "Refused requests to the controller, by reason",
            measured.refusals.clone(),
        );
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        part.register("build", "What runs", Info::new(version));
        measured.began.set(seconds_since_1970());
        measured.registry = registry;
        Self(Arc::new(measured))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A request to a service was answered. A service that is none of ours counts as `other`.
    pub fn note_request(&self, service: &str, status: u16) {
        let service = SERVICES.iter().find(|known| **known == service);
        let request = Request {
            service: service.copied().unwrap_or("other"),
            status: u32::from(status),
        };
        self.0.requests.get_or_create(&request).inc();
    }

    /// A request was refused; `reason` is one of a few words.
    pub(crate) fn note_refusal(&self, reason: &'static str) {
        self.0.refusals.get_or_create(&Refusal { reason }).inc();
    }

    /// Somebody showed an access token; `result` is one of a few words.
    pub(crate) fn note_sign_in(&self, result: &'static str) {
        self.0.sign_ins.get_or_create(&SigningIn { result }).inc();
    }

    /// Somebody enrolled.
    pub fn note_enrollment(&self, by: EnrolledBy) {
        let by = match by {
            EnrolledBy::Code => "code",
            EnrolledBy::SignIn => "sign_in",
        };
        self.0.enrollments.get_or_create(&Enrollment { by }).inc();
    }

    /// Something failed because of the database.
    pub fn note_database_error(&self) {
        self.0.database_errors.inc();
    }

    /// All measurements, as of now.
    pub(crate) fn text(&self, seen: &Seen) -> String {
        let measured = &*self.0;
        let gauge = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        // These are counted where they happen.
        let counter = |counter: &Counter, value: u64| {
            counter.inner().fetch_max(value, Ordering::Relaxed);
        };
        let relayed = seen.relayed + seen.projects.relayed;
        gauge(&measured.connections, seen.counts.connections);
        gauge(&measured.channels, length(seen.channels));
        gauge(&measured.project_channels, length(seen.projects.channels));
        gauge(&measured.connected_nodes, length(seen.projects.members));
        gauge(&measured.accounts, seen.counts.accounts);
        gauge(&measured.projects, seen.counts.projects);
        gauge(&measured.projects_running, length(seen.projects.started));
        gauge(&measured.relays, seen.counts.relays);
        gauge(&measured.resident, resident_memory().unwrap_or_default());
        counter(&measured.projects_started, seen.projects.starts);
        counter(&measured.relayed_messages, relayed.messages);
        counter(&measured.relayed_bytes, relayed.bytes);
        counter(&measured.messages, seen.messages);
        counter(&measured.denials, seen.denials);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &measured.registry);
        text
    }
}

fn seconds_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// The length of a list, as it is told.
pub(crate) fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Memory of this process, where the system tells it.
fn resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The services that are asked. `spec: trust 9.1`
const SERVICES: &[&str] = &[
    "auth0_authenticator",
    "accounts",
    "spaces",
    "projects",
    "users",
    "subscriptions",
    "version_info",
    "orchestrator",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        let mut lines = text.lines();
        lines.find_map(|line| {
            line.strip_prefix("ockam_orchestrator_")?
                .strip_prefix(name)?
                .strip_prefix(' ')
        })
    }

    #[test]
    fn what_is_noted_is_told_and_nothing_of_who_it_was() {
        let metrics = Metrics::default();
        metrics.note_request("projects", 200);
        metrics.clone().note_request("projects", 200);
        metrics.note_request("what a stranger wrote", 403);
        metrics.note_refusal("forbidden");
        metrics.note_sign_in("refused");
        metrics.note_enrollment(EnrolledBy::Code);
        metrics.note_database_error();
        let text = metrics.text(&Seen::default());
        for (name, value) in [
            ("requests_total{service=\"projects\",status=\"200\"}", "2"),
            ("requests_total{service=\"other\",status=\"403\"}", "1"),
            ("refusals_total{reason=\"forbidden\"}", "1"),
            ("sign_ins_total{result=\"refused\"}", "1"),
            ("enrollments_total{by=\"code\"}", "1"),
            ("database_errors_total", "1"),
        ] {
            assert_eq!(sample(&text, name), Some(value), "{name}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
        assert!(!text.contains("stranger"));
    }

    #[test]
    fn every_figure_moves_with_what_is_seen() {
        let metrics = Metrics::default();
        let relayed = |messages, bytes| Relayed { messages, bytes };
        let mut seen = Seen {
            counts: OrchestratorCounts {
                accounts: 1,
                projects: 2,
                relays: 3,
                connections: 4,
                has_administrator: true,
            },
            projects: ProjectCounts {
                started: 5,
                starts: 6,
                members: 7,
                relayed: relayed(8, 9),
                relays: 10,
                channels: 11,
                authority_channels: 12,
            },
            channels: 13,
            messages: 14,
            denials: 15,
            relayed: relayed(16, 17),
        };
        let text = metrics.text(&seen);
        for (name, value) in [
            ("accounts", "1"),
            ("projects", "2"),
            ("relays", "3"),
            ("connections", "4"),
            ("projects_running", "5"),
            ("projects_started_total", "6"),
            ("connected_nodes", "7"),
            ("relayed_messages_total", "24"),
            ("relayed_bytes_total", "26"),
            ("project_channels", "11"),
            ("channels", "13"),
            ("messages_total", "14"),
            ("denials_total", "15"),
            ("build_info{version=\"0.1.0\"}", "1"),
        ] {
            assert_eq!(sample(&text, name), Some(value), "{name}\n{text}");
        }
        for name in ["start_time_seconds", "resident_memory_bytes"] {
            let value = sample(&text, name).and_then(|value| value.parse::<u64>().ok());
            assert!(value.is_some_and(|value| value > 0), "{name}\n{text}");
        }
        // A gauge goes back, a counter does not.
        seen.counts.relays = 0;
        seen.projects.starts = 0;
        let text = metrics.text(&seen);
        assert_eq!(sample(&text, "relays"), Some("0"));
        assert_eq!(sample(&text, "projects_started_total"), Some("6"));
    }

    #[test]
    fn each_of_them_is_described_and_named_as_is_usual() {
        let metrics = Metrics::default();
        metrics.note_request("projects", 200);
        metrics.note_refusal("forbidden");
        metrics.note_sign_in("refused");
        metrics.note_enrollment(EnrolledBy::SignIn);
        let text = metrics.text(&Seen::default());
        let described = |what: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(what));
            lines
                .filter_map(|line| line.split(' ').next())
                .map(str::to_owned)
                .collect()
        };
        let (helped, typed) = (described("# HELP "), described("# TYPE "));
        assert_eq!(helped, typed);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for line in samples {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let described = helped.iter().any(|known| {
                let rest = name.strip_prefix(known.as_str());
                rest.is_some_and(|rest| ["", "_total", "_info"].contains(&rest))
            });
            assert!(described, "{line}");
            let counts = text.contains(&format!(
                "# TYPE {} counter",
                name.trim_end_matches("_total")
            ));
            assert_eq!(counts, name.ends_with("_total"), "{line}");
        }
    }

    #[test]
    fn a_million_names_are_one_series() {
        let metrics = Metrics::default();
        for number in 0..1000 {
            metrics.note_request(&format!("service-{number}"), 404);
        }
        let text = metrics.text(&Seen::default());
        let series = text
            .lines()
            .filter(|line| line.starts_with("ockam_orchestrator_requests_total"));
        assert_eq!(series.count(), 1);
    }
}
