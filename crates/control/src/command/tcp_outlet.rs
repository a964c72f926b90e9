//! `ockam tcp-outlet`.

use clap::Args;
use ockam_identity::Identifier;
use ockam_policy::Policy;
use ockam_store::NodeRecord;
use serde_json::{Value, json};

use crate::command::argument::{Allow, At, refuse_flag};
use crate::command::item::{Listed, Named, NamedTogether};
use crate::command::{Example, Run, Session, text};
use crate::noun::tcp_outlet::{NOUN, OutletSpec, OutletStatus, TcpOutlet};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::{HostPort, Scheme, WorkerName};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The address of the outlet; `outlet`, or a random one when that is taken
    name: Option<WorkerName>,
    /// The server it leads to: `5000`, `10.0.0.1:5000` or `name:5000`; with `tls://` in front, the same as with --tls
    #[arg(long, value_name = "ADDRESS")]
    to: HostPort,
    /// The address of the outlet, as the older syntax has it
    #[arg(long, value_name = "ADDRESS")]
    from: Option<WorkerName>,
    #[command(flatten)]
    at: At,
    /// The only identifier that may use it, beside what the policy says; may be repeated
    #[arg(long, value_name = "IDENTIFIER")]
    authorized: Vec<Identifier>,
    #[command(flatten)]
    portal: PortalOptions,
    /// Use TLS towards the server, whose certificate must be valid for the host in --to. Trusted are the roots of the
    /// system, or those in SSL_CERT_FILE and SSL_CERT_DIR if they were set when the node was started
    #[arg(long)]
    tls: bool,
}

/// Options that inlets and outlets share.
#[derive(Debug, Args)]
pub(super) struct PortalOptions {
    #[command(flatten)]
    allow: Allow,
    /// Send data before the other side has answered
    #[arg(long)]
    skip_handshake: bool,
    /// Gather small writes to clients into larger ones
    #[arg(long)]
    enable_nagle: bool,
    /// Move packets instead of streams
    #[arg(long, hide = true)]
    privileged: bool,
}

/// What was chosen by options or variables.
#[derive(Debug, Clone)]
pub(super) struct PortalChoices {
    /// Who may use it, where it is to have a policy of its own.
    pub(super) allow: Option<Policy>,
    pub(super) skip_handshake: bool,
    pub(super) enable_nagle: bool,
}

impl PortalOptions {
    /// Refuses what is not offered.
    pub(super) fn check(&self, session: &Session<'_>) -> Result<PortalChoices, Failure> {
        refuse_flag(
            "--privileged",
            self.privileged || variable(session, "OCKAM_PRIVILEGED"),
        )?;
        Ok(PortalChoices {
            allow: self.allow.clone().policy(session),
            skip_handshake: self.skip_handshake
                || variable(session, "OCKAM_TCP_PORTAL_SKIP_HANDSHAKE"),
            enable_nagle: self.enable_nagle || variable(session, "OCKAM_TCP_PORTAL_ENABLE_NAGLE"),
        })
    }
}

/// Whether a portal variable is on (spec: command 3.4, boolean values, second exception).
fn variable(session: &Session<'_>, name: &str) -> bool {
    session.host.variable(name).is_some_and(|value| {
        !matches!(
            value.to_ascii_lowercase().as_str(),
            "" | "n" | "no" | "f" | "false" | "off" | "0"
        )
    })
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "A portal to a server of this machine ends here",
                "ockam tcp-outlet create --to 5000",
            ),
            Example::new(
                "One of several, at a node that is named",
                "ockam tcp-outlet create db --at n1 --to db.internal:5432",
            ),
            Example::new(
                "Only for the identity with the identifier $ALICE, whatever an authority says of others",
                "ockam tcp-outlet create --to 5000 --authorized $ALICE",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        // An outlet always writes at once, so there is nothing to switch (spec: messaging 7.9).
        let PortalChoices {
            allow,
            skip_handshake,
            enable_nagle: _,
        } = self.portal.check(session)?;
        refuse_flag(
            "an outlet to a UDP address",
            self.to.scheme() == Scheme::Udp,
        )?;
        let to = if self.tls {
            self.to.over_tls()
        } else {
            self.to
        };
        let state = session.open().await?;
        let node = session.node_or_new(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let spec = OutletSpec {
            address: self.from.or(self.name),
            to: to.clone(),
            skip_handshake,
            allow,
            authorized: self.authorized,
        };
        let status = client.create::<TcpOutlet>(&spec).await?;
        let address = text::service(status.name());
        let plain = text::done(format!(
            "Created a new TCP Outlet in the Node {} at {address} bound to {}",
            node.name,
            to.with_scheme()
        ));
        session
            .host
            .print(Outcome::plain(plain).machine(address).json(json!(status)));
        Ok(())
    }
}

/// The server of an outlet, for people.
fn server(outlet: &OutletStatus) -> String {
    let over = if outlet.tls { " over TLS" } else { "" };
    format!("{}{over}", outlet.to)
}

/// Adds to what is said of an outlet that it speaks TLS, and whom it is pinned to; of others nothing is added.
fn with_extras(mut item: Value, outlet: &OutletStatus) -> Value {
    let Some(fields) = item.as_object_mut() else {
        return item;
    };
    if outlet.tls {
        fields.insert("tls".to_owned(), true.into());
    }
    if !outlet.authorized.is_empty() {
        fields.insert("authorized".to_owned(), identifiers(outlet).into());
    }
    item
}

fn identifiers(outlet: &OutletStatus) -> Vec<String> {
    outlet.authorized.iter().map(ToString::to_string).collect()
}

impl Listed for TcpOutlet {
    const TITLE: &'static str = "TCP Outlet";

    fn line(outlet: &OutletStatus) -> String {
        format!(
            "Outlet at {} is connected to {}",
            text::service(outlet.name()),
            server(outlet)
        )
    }

    fn listed(list: Outcome, outlets: &[OutletStatus]) -> Outcome {
        let json = outlets
            .iter()
            .map(|outlet| {
                let item = json!({ "from": text::service(outlet.name()), "to": outlet.to });
                with_extras(item, outlet)
            })
            .collect();
        list.json(json)
    }
}

impl Named for TcpOutlet {
    const NAME_HELP: &'static str = "The address of the outlet";

    fn name(outlet: &OutletStatus) -> String {
        outlet.name()
    }

    fn shown(outlet: &OutletStatus, node: &NodeRecord) -> Outcome {
        let address = text::service(outlet.name());
        let mut plain = vec![
            text::more("Outlet"),
            text::more(format!("  On Node: {}", node.name)),
            text::more(format!("  From address: {address}")),
            text::more(format!("  To TCP server: {}", server(outlet))),
        ];
        plain.extend(
            identifiers(outlet)
                .iter()
                .map(|only| text::more(format!("  Only for: {only}"))),
        );
        let shown = json!({
            "node_name": node.name.as_str(),
            "worker_address": address,
            "to": outlet.to,
        });
        Outcome::plain(plain.join("\n")).json(with_extras(shown, outlet))
    }

    fn deleted(done: Outcome, name: &str, node: &NodeRecord) -> Outcome {
        done.machine(name)
            .json(json!({ "alias": name, "node": node.name.as_str() }))
    }
}

impl NamedTogether for TcpOutlet {
    const ALL_HELP: &'static str = "Delete all outlets of the node";
}
