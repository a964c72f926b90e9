//! What is measured, in the text format of Prometheus.
//!
//! **Invariants**: no label holds what somebody outside chose (a name, an identifier, an address): the values of all labels are
//! known here. So the number of series is bounded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ockam_control::OrchestratorCounts;
use ockam_node::Node;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters of one process. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Measured>);

#[derive(Default)]
struct Measured {
    registry: Registry,
    requests: Family<Request, Counter>,
    enrollments: Family<Enrollment, Counter>,
    refusals: Family<Refusal, Counter>,
    database_errors: Counter,
    projects_started: Counter,
    messages: Counter,
    denials: Counter,
    connections: Gauge,
    channels: Gauge,
    accounts: Gauge,
    projects: Gauge,
    relays: Gauge,
    memory: Gauge,
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
        let Measured {
            registry,
            requests,
            enrollments,
            refusals,
            database_errors,
            projects_started,
            messages,
            denials,
            connections,
            channels,
            accounts,
            projects,
            relays,
            memory,
        } = &mut measured;
        let counters = [
            (
                "database_errors",
                "Requests that failed because of the database",
                &*database_errors,
            ),
            (
                "projects_started",
                "Projects that were started because somebody came",
                projects_started,
            ),
            (
                "messages",
                "Messages that workers of the outer node took",
                messages,
            ),
            ("denials", "What policies and rules denied", denials),
        ];
        let gauges = [
            ("connections", "Connections that are open", &*connections),
            (
                "channels",
                "Secure channels with the controller that are open",
                channels,
            ),
            ("accounts", "Who is enrolled", accounts),
            ("projects", "Projects", projects),
            ("relays", "Relays that are connected", relays),
            ("resident_memory_bytes", "Memory of this process", memory),
        ];
        let part = registry.sub_registry_with_prefix("ockam_orchestrator");
        for (name, about, counter) in counters {
            part.register(name, about, counter.clone());
        }
        for (name, about, gauge) in gauges {
            part.register(name, about, gauge.clone());
        }
        part.register(
            "requests",
            "Requests to the controller, by service and status",
            requests.clone(),
        );
        part.register("enrollments", "Who enrolled, by what", enrollments.clone());
        part.register(
            "refusals",
            "Refused requests to the controller, by reason",
            refusals.clone(),
        );
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
        let reason = match status {
            401 => "unauthorized",
            403 => "forbidden",
            429 => "too_many",
            _ => return,
        };
        self.0.refusals.get_or_create(&Refusal { reason }).inc();
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

    /// A project was started because somebody came.
    pub fn note_project_started(&self) {
        self.0.projects_started.inc();
    }

    /// All measurements, as of now.
    pub(crate) fn text(&self, node: &Node, counts: &OrchestratorCounts) -> String {
        let measured = &*self.0;
        let gauge = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        // These are counted where they happen.
        let counter = |counter: &Counter, value: u64| {
            counter.inner().fetch_max(value, Ordering::Relaxed);
        };
        gauge(&measured.connections, counts.connections);
        gauge(&measured.channels, length(node.channels().len()));
        gauge(&measured.accounts, counts.accounts);
        gauge(&measured.projects, counts.projects);
        gauge(&measured.relays, counts.relays);
        gauge(&measured.memory, resident_memory().unwrap_or_default());
        counter(&measured.messages, node.router().delivered());
        counter(&measured.denials, node.denials().total());
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &measured.registry);
        text
    }
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
    use ockam_node::NodeOptions;

    #[tokio::test]
    async fn what_is_noted_is_told_and_nothing_of_who_it_was() {
        let metrics = Metrics::default();
        metrics.note_request("projects", 200);
        metrics.clone().note_request("projects", 200);
        metrics.note_request("what a stranger wrote", 403);
        metrics.note_enrollment(EnrolledBy::Code);
        metrics.note_project_started();
        let counts = OrchestratorCounts {
            accounts: 3,
            ..OrchestratorCounts::default()
        };
        let text = metrics.text(&Node::new(NodeOptions::default()), &counts);
        for line in [
            "ockam_orchestrator_requests_total{service=\"projects\",status=\"200\"} 2",
            "ockam_orchestrator_requests_total{service=\"other\",status=\"403\"} 1",
            "ockam_orchestrator_refusals_total{reason=\"forbidden\"} 1",
            "ockam_orchestrator_enrollments_total{by=\"code\"} 1",
            "ockam_orchestrator_projects_started_total 1",
            "ockam_orchestrator_accounts 3",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("stranger"));
    }

    #[tokio::test]
    async fn a_million_names_are_one_series() {
        let metrics = Metrics::default();
        for number in 0..1000 {
            metrics.note_request(&format!("service-{number}"), 404);
        }
        let node = Node::new(NodeOptions::default());
        let text = metrics.text(&node, &OrchestratorCounts::default());
        let series = text
            .lines()
            .filter(|line| line.starts_with("ockam_orchestrator_requests_total"));
        assert_eq!(series.count(), 1);
    }
}
