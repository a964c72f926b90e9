//! `ockam tcp-inlet`.

use std::time::Duration;

use clap::Args;
use ockam_identity::Identifier;
use ockam_portal::HttpHeader;
use ockam_store::NodeRecord;
use ockam_wire::MultiAddr;
use serde_json::json;

use crate::command::argument::{At, Identity, deprecated, ends_at_worker, refuse, refuse_flag};
use crate::command::flow;
use crate::command::item::{Listed, Named, NamedTogether};
use crate::command::tcp_outlet::PortalOptions;
use crate::command::{Example, Note, Run, Session, text, way};
use crate::home::projects;
use crate::noun::tcp_inlet::{InletSpec, InletStatus, NOUN, TcpInlet};
use crate::outcome::{Code, Failure, Outcome};
use crate::record::Connection;
use crate::state::{State, no_default_project};
use crate::table::Noun;
use crate::value::{Alias, DurationText, HostPort, Scheme};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name of the inlet; random when none is given
    name: Option<Alias>,
    #[command(flatten)]
    at: At,
    /// Where clients connect: `7000`, `0.0.0.0:7000`; a free port when none is given
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    from: HostPort,
    /// The route to the outlet; or a name alone, in the default project: that of the outlet behind the relay of --via,
    /// without --via that of the outlet behind the relay `default`, else of the relay that leads to the outlet; `outlet`
    /// when none is given
    #[arg(long, value_name = "ROUTE")]
    to: Option<String>,
    /// The relay of the default project that leads to the outlet; `default` when none is given
    #[arg(long, value_name = "RELAY")]
    via: Option<String>,
    #[command(flatten)]
    identity: Identity,
    /// The only identifier accepted at the far end
    #[arg(long, value_name = "IDENTIFIER")]
    authorized: Option<Identifier>,
    /// The name of the inlet, as the older syntax has it
    #[arg(long, hide = true)]
    alias: Option<Alias>,
    #[command(flatten)]
    portal: PortalOptions,
    /// How long to wait for the far side
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    connection_wait: DurationText,
    /// Zero gives up after the first failure; otherwise the inlet goes on trying at its own pace
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    retry_wait: DurationText,
    /// The limit for the whole request, the wait for the far side too
    #[arg(long, value_name = "DURATION")]
    timeout: Option<DurationText>,
    /// Do not wait for the far side
    #[arg(long)]
    no_connection_wait: bool,
    /// A header to add to every HTTP request, in place of what the client says under that name; may be repeated. The
    /// inlet then takes nothing but HTTP/1.1
    #[arg(long, value_name = "NAME:VALUE")]
    http_header: Vec<HttpHeader>,
    /// Move traffic over a UDP puncture
    #[arg(long, visible_alias = "enable-udp-puncture", hide = true)]
    udp: bool,
    /// Never fall back from UDP to TCP
    #[arg(long, visible_alias = "disable-tcp-fallback", hide = true)]
    no_tcp_fallback: bool,
    /// Use TLS towards clients
    #[arg(long, hide = true)]
    tls: bool,
    /// Where the TLS certificate comes from
    #[arg(long, value_name = "ROUTE", hide = true)]
    tls_certificate_provider: Option<String>,
}

impl Create {
    fn refuse_unsupported(&self) -> Result<(), Failure> {
        refuse_flag("--udp", self.udp || self.from.scheme() == Scheme::Udp)?;
        refuse_flag("--no-tcp-fallback", self.no_tcp_fallback)?;
        refuse_flag("--tls", self.tls || self.from.scheme() == Scheme::Tls)?;
        refuse(
            "--tls-certificate-provider",
            self.tls_certificate_provider.as_ref(),
        )
    }

    /// The route to the outlet, when it was given whole.
    fn route(&self) -> Result<Option<MultiAddr>, Failure> {
        match &self.to {
            Some(route) if route.contains('/') => {
                if self.via.is_some() {
                    return Err(Failure::new(
                        "--via cannot be used together with a complete route in --to",
                    )
                    .help("leave --via out, or give the name of the outlet alone in --to"));
                }
                let route: MultiAddr =
                    route.parse().map_err(|error: ockam_wire::MultiAddrError| {
                        Failure::new("Argument '--to' is invalid").caused_by(&error)
                    })?;
                ends_at_worker(&route)?;
                Ok(Some(route))
            }
            _ => Ok(None),
        }
    }

    /// Where the outlet is behind a relay of the default project (spec: command 3.9.4). A name alone is that of the outlet
    /// behind the relay `default`, or else of the relay that leads to the outlet.
    async fn places_in_project(
        &self,
        state: &State,
    ) -> Result<(MultiAddr, Option<MultiAddr>), Failure> {
        let Some(project) = projects::default(state).await? else {
            return Err(no_default_project().help(WHOLE_ROUTE));
        };
        projects::way(state, project.name.as_str())
            .await
            .map_err(|failure| failure.help(OTHER_ROUTE))?;
        let project = projects::named(&project)?;
        let relay = self.via.as_deref().unwrap_or(DEFAULT_RELAY);
        let outlet = self.to.as_deref().unwrap_or(DEFAULT_OUTLET);
        let or = match (&self.to, &self.via) {
            (Some(relay), None) => Some(behind(&project, relay, DEFAULT_OUTLET)?),
            _ => None,
        };
        Ok((behind(&project, relay, outlet)?, or))
    }
}

/// The route to an outlet behind a relay of a project.
fn behind(project: &MultiAddr, relay: &str, outlet: &str) -> Result<MultiAddr, Failure> {
    let mut route = project.clone();
    format!("/service/forward_to_{relay}/secure/api/service/{outlet}")
        .parse()
        .and_then(|behind| route.append(&behind))
        .map_err(|error: ockam_wire::MultiAddrError| {
            Failure::new("the names of relay and outlet cannot be part of a route")
                .caused_by(&error)
        })?;
    Ok(route)
}

/// What a relay is called when nobody says.
const DEFAULT_RELAY: &str = "default";
/// What an outlet is called when nobody says.
const DEFAULT_OUTLET: &str = "outlet";
const WHOLE_ROUTE: &str = "`ockam enroll` gives you a project; or give the complete route with --to, for example \
    /node/n1/secure/api/service/outlet";
const OTHER_ROUTE: &str =
    "give the complete route with --to, for example /node/n1/secure/api/service/outlet";

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "A port of this machine that leads to the outlet behind the relay of the default project",
                "ockam tcp-inlet create --from 7000",
            ),
            Example::new(
                "To the outlet behind the relay postgres",
                "ockam tcp-inlet create --from 15432 --via postgres",
            ),
            Example::new(
                "To the outlet postgres behind the relay of the default project, or to the outlet behind the relay postgres",
                "ockam tcp-inlet create --from 15432 --to postgres",
            ),
            Example::new(
                "A port of this machine that leads to an outlet of a node beside it",
                "ockam tcp-inlet create --from 7000 --to /node/n1/secure/api/service/outlet",
            ),
            Example::new(
                "Only if the identity with the identifier $ALICE answers",
                "ockam tcp-inlet create --from 7000 --to /node/n1/secure/api/service/outlet --authorized $ALICE",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        self.refuse_unsupported()?;
        let choices = self.portal.check(session)?;
        if self.alias.is_some() {
            deprecated(session, "--alias", "give the name as the first argument");
        }
        let given = self.route()?;
        if given.is_none() {
            session.check_default_project(WHOLE_ROUTE).await?;
        }
        let state = session.open().await?;
        let (to, or) = match given {
            Some(to) => (to, None),
            None => self.places_in_project(&state).await?,
        };
        // A route that leads nowhere is refused before a node is made for it.
        state.replace_nodes(&to).await?;
        let node = session.node_or_new(&state, self.at.at.as_ref()).await?;
        let limit = self.timeout.map_or(session.timeout()?, |timeout| timeout.0);
        let patience = DurationText(self.connection_wait.0.min(limit));
        let wait = (!self.no_connection_wait).then_some(patience);
        let client = session
            .client(&state, &node)?
            .within(limit.max(patience.0 + GRACE));
        let spec = InletSpec {
            alias: self.alias.or(self.name),
            from: self.from,
            to,
            or,
            identity: self.identity.identity,
            authorized: self.authorized,
            connection_wait: wait,
            enable_nagle: choices.enable_nagle,
            skip_handshake: choices.skip_handshake,
            allow: choices.allow,
            http_headers: self.http_header,
        };
        session
            .host
            .waiting(&format!("Waiting for the way to {}", spec.to));
        let status = client.create::<TcpInlet>(&spec).await?;
        if wait.is_some() && status.status == Connection::Down {
            if self.retry_wait.0.is_zero() {
                let alias = status
                    .alias
                    .parse()
                    .map_err(|_| flow::not_found(&NOUN, &status.alias))?;
                client.delete::<TcpInlet>(&alias).await?;
                let failure =
                    Failure::coded(Code::Unavailable, "The TCP Outlet could not be reached").cause(
                        format!("no connection to {} within {patience}", status.outlet_addr),
                    );
                return Err(match status.last_failure {
                    Some(reason) => failure.cause(reason),
                    None => failure,
                });
            }
            let reason = status
                .last_failure
                .as_ref()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default();
            session.host.note(Note::Warning(format!(
                "The TCP Outlet at {} is not reachable yet; the inlet goes on trying{reason}",
                status.outlet_addr
            )));
            if let Some(help) = state.why_unconnected(&spec.to, &node).await {
                session.host.note(Note::Line(help));
            }
        }
        let plain = [
            text::done(format!(
                "Created a new TCP Inlet in the Node {} bound to {}",
                node.name, status.bind_addr
            )),
            text::more(format!(
                "sending traffic to the TCP Outlet at {}",
                status.outlet_addr
            )),
        ]
        .join("\n");
        session.host.print(
            Outcome::plain(plain)
                .machine(status.bind_addr.clone())
                .json(json!(status)),
        );
        Ok(())
    }
}

/// What a request may take beyond the wait it was asked to do.
const GRACE: Duration = Duration::from_secs(10);

/// An inlet with the hops to its outlet below it.
pub(super) fn drawing(inlet: &InletStatus) -> String {
    let said = way::says_why(&inlet.hops);
    let head = InletStatus {
        last_failure: inlet.last_failure.clone().filter(|_| !said),
        ..inlet.clone()
    };
    way::below(TcpInlet::line(&head), &inlet.hops)
}

impl Listed for TcpInlet {
    const TITLE: &'static str = "TCP Inlet";

    fn line(inlet: &InletStatus) -> String {
        let reason = inlet
            .last_failure
            .as_ref()
            .map(|reason| format!("\nlast attempt: {reason}"))
            .unwrap_or_default();
        let headers = match &*inlet.http_headers {
            [] => String::new(),
            names => format!("\nwith the HTTP headers {}", names.join(", ")),
        };
        format!(
            "Inlet {} at {} is {}\nto {}{headers}{reason}",
            inlet.alias, inlet.bind_addr, inlet.status, inlet.outlet_addr
        )
    }
}

impl Named for TcpInlet {
    const NAME_HELP: &'static str = "The name of the inlet";

    fn name(inlet: &InletStatus) -> String {
        inlet.alias.clone()
    }

    fn shown(inlet: &InletStatus, _node: &NodeRecord) -> Outcome {
        Outcome::plain(text::block(&drawing(inlet))).json(json!(inlet))
    }

    fn deleted(done: Outcome, name: &str, node: &NodeRecord) -> Outcome {
        done.json(json!({ "alias": name, "node": node.name.as_str() }))
    }
}

impl NamedTogether for TcpInlet {
    const ALL_HELP: &'static str = "Delete all inlets of the node";
}
