//! Where inlets and relays go, and how far they come: each hop of the way, with what is known of it.
//!
//! Nothing is asked here. What is known comes from the session: while it is up, all it stands on works; while it is down, it
//! tells at which part of its address the last attempt ended. What lies before that part was connected, as far as it can be
//! seen from here: a worker on the way says nothing, so it is known to pass messages on only when something came back
//! through it.

use std::sync::Arc;

use ockam_identity::Identifier;
use ockam_portal::{Heard, KeptConnection, OutletAnswer, SessionStatus, Stuck};
use ockam_wire::{MultiAddr, Protocol};

use crate::managed::Managed;
use crate::managed::channels::KeptChannel;
use crate::managed::tcp_connections::KeptTcpConnection;
use crate::noun::way::{Hop, HopKind, HopStatus, Ways};

/// How it stands with the parts of an address.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// Where it ended; `None` while all of it is up.
    trouble: Option<Trouble>,
    /// Who is at the end of each channel.
    peers: Vec<Identifier>,
}

#[derive(Debug, Clone)]
struct Trouble {
    stuck: Option<Stuck>,
    why: Option<String>,
}

impl Progress {
    pub(crate) fn of(session: &SessionStatus, peers: Vec<Identifier>) -> Self {
        let trouble = (!session.up).then(|| Trouble {
            stuck: session.stuck,
            why: session.last_failure.clone(),
        });
        Self { trouble, peers }
    }
}

impl Managed {
    /// All ways that this node keeps up.
    pub(crate) async fn ways(&self) -> Ways {
        let mut ways = Ways {
            inlets: Vec::new(),
            relays: Vec::new(),
        };
        for inlet in self.inlets.all() {
            ways.inlets.push(inlet.view_with_hops(self).await);
        }
        for relay in self.relays.all() {
            ways.relays.push(self.relay_view_with_hops(&relay).await);
        }
        ways
    }

    /// An address with names of nodes and projects replaced: as it was connected, else as it would be now. Where an attempt
    /// ended is told in parts of this.
    pub(crate) async fn place_to_draw(
        &self,
        to: &MultiAddr,
        connected: Option<MultiAddr>,
    ) -> MultiAddr {
        match connected {
            Some(place) => place,
            None => self.node.place(to).await.unwrap_or_else(|_| to.clone()),
        }
    }

    /// The hops to an outlet.
    pub(crate) async fn hops_to_outlet(
        &self,
        to: &MultiAddr,
        progress: &Progress,
        answer: &OutletAnswer,
    ) -> Vec<Hop> {
        let mut hops = self.hops(to, HopKind::Outlet, progress).await;
        let alone = hops.len() == 1;
        if let Some(outlet) = hops.last_mut()
            && outlet.status == HopStatus::Up
        {
            match answer {
                OutletAnswer::Connected => {}
                // On this node it is seen without asking; elsewhere only the node was heard of.
                OutletAnswer::NotAsked if alone => {}
                OutletAnswer::NotAsked => outlet.status = HopStatus::Unknown,
                OutletAnswer::Failed(why) => {
                    outlet.status = HopStatus::Down;
                    outlet.last_failure = Some(why.clone());
                }
            }
        }
        hops
    }

    /// The hops to a relaying node, and the registration there.
    pub(crate) async fn hops_to_registration(
        &self,
        at: &MultiAddr,
        name: &str,
        progress: &Progress,
    ) -> Vec<Hop> {
        let mut hops = self.hops(at, HopKind::Worker, progress).await;
        let parts = at.protocols().len();
        hops.push(hop(
            HopKind::Registration,
            name.to_owned(),
            parts..parts + 1,
            at,
            progress,
        ));
        hops
    }

    /// The hops of an address. One that begins with a channel or connection of this node begins with the hops of that.
    async fn hops(&self, to: &MultiAddr, last: HopKind, progress: &Progress) -> Vec<Hop> {
        // What lies furthest below comes first.
        let mut levels = vec![(to.clone(), last, progress.clone())];
        while levels.len() < DEEPEST
            && let Some((lowest, ..)) = levels.last()
            && let Some(below) = self.below(lowest)
        {
            let kept = below.kept();
            let live = kept.live();
            let connected = live.as_ref().map(|live| live.place().clone());
            let place = self.place_to_draw(kept.to(), connected).await;
            let peers = live.map(|live| live.peers()).unwrap_or_default();
            let progress = Progress::of(&kept.status(), peers);
            levels.push((place, HopKind::Worker, progress));
        }
        let mut hops = Vec::new();
        for (to, last, progress) in levels.iter().rev() {
            // The part that names what lies below is drawn as that.
            let from = usize::from(!hops.is_empty());
            hops.extend(hops_of(to, from, *last, progress));
        }
        hops
    }

    /// The channel or connection of this node that an address begins with.
    fn below(&self, to: &MultiAddr) -> Option<Below> {
        let (Protocol::Service(name) | Protocol::Worker(name)) = to.protocols().first()? else {
            return None;
        };
        let channel = || self.channels.find(name).map(Below::Channel);
        let connection = || self.connections.find(name).map(Below::Connection);
        channel().or_else(connection)
    }
}

/// What an address begins with.
enum Below {
    Channel(Arc<KeptChannel>),
    Connection(Arc<KeptTcpConnection>),
}

impl Below {
    fn kept(&self) -> &KeptConnection {
        match self {
            Self::Channel(channel) => &channel.kept,
            Self::Connection(connection) => &connection.kept,
        }
    }
}

/// The hops of an address, from one of its parts on.
fn hops_of(to: &MultiAddr, from: usize, last: HopKind, progress: &Progress) -> Vec<Hop> {
    let parts = to.protocols();
    let mut peers = progress.peers.iter();
    let mut hops = Vec::new();
    let mut at = from;
    while let Some(part) = parts.get(at) {
        let begin = at;
        at += 1;
        let (kind, address) = match (part, parts.get(at)) {
            (
                Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::DnsAddr(_),
                Some(Protocol::Tcp(port)),
            ) => {
                at += 1;
                let host = match part {
                    Protocol::Ip4(ip) => ip.to_string(),
                    Protocol::Ip6(ip) => format!("[{ip}]"),
                    other => value(other),
                };
                (HopKind::Tcp, format!("{host}:{port}"))
            }
            // Nobody knows where it is.
            (Protocol::Node(_), _) => (HopKind::Tcp, part.to_string()),
            (Protocol::Secure(name), _) => (HopKind::SecureChannel, name.clone()),
            (Protocol::Service(name) | Protocol::Worker(name), None) => (last, name.clone()),
            (Protocol::Service(name), Some(_)) if name.starts_with(RELAY_PREFIX) => {
                (HopKind::Relay, name.clone())
            }
            (other, _) => (HopKind::Worker, value(other)),
        };
        let mut hop = hop(kind, address, begin..at, to, progress);
        if kind == HopKind::SecureChannel && progress.trouble.is_none() {
            hop.identifier = peers.next().map(ToString::to_string);
        }
        hops.push(hop);
    }
    hops
}

fn hop(
    kind: HopKind,
    address: String,
    parts: std::ops::Range<usize>,
    to: &MultiAddr,
    progress: &Progress,
) -> Hop {
    let mut hop = Hop {
        kind,
        address,
        status: HopStatus::Up,
        identifier: None,
        last_failure: None,
    };
    let Some(trouble) = &progress.trouble else {
        return hop;
    };
    hop.status = match trouble.stuck {
        None => HopStatus::Unknown,
        Some(stuck) if parts.contains(&stuck.part) => {
            hop.last_failure = trouble.why.clone();
            HopStatus::Down
        }
        Some(stuck) if parts.start > stuck.part => HopStatus::Unknown,
        Some(_) if matches!(kind, HopKind::Tcp | HopKind::SecureChannel) => HopStatus::Up,
        Some(stuck) => {
            let between = to
                .protocols()
                .get(parts.end..stuck.part)
                .unwrap_or_default();
            let passed = between
                .iter()
                .any(|part| matches!(part, Protocol::Secure(_)));
            if passed || stuck.heard == Heard::Refusal {
                HopStatus::Up
            } else {
                HopStatus::Unknown
            }
        }
    };
    hop
}

/// The value of a part: what stands behind its second slash.
fn value(part: &Protocol) -> String {
    let text = part.to_string();
    text.splitn(3, '/').nth(2).unwrap_or(&text).to_owned()
}

/// What addresses of relays begin with (spec: messaging 6.1).
pub(super) const RELAY_PREFIX: &str = "forward_to_";
/// More channels are not made one over the other; a drawing has an end in any case.
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_up_while_the_session_is() {
        let progress = Progress {
            trouble: None,
            peers: Vec::new(),
        };
        assert_eq!(
            drawn(&progress),
            "tcp host:4000 Up, relay forward_to_x Up, secure_channel api Up, outlet outlet Up"
        );
    }

    #[test]
    fn the_hop_that_fails_is_down_and_what_lies_behind_it_unknown() {
        assert_eq!(
            drawn(&stuck(0, Heard::Refusal)),
            "tcp host:4000 Down: why, relay forward_to_x Unknown, secure_channel api Unknown, outlet outlet Unknown"
        );
        assert_eq!(
            drawn(&stuck(3, Heard::Refusal)),
            "tcp host:4000 Up, relay forward_to_x Up, secure_channel api Down: why, outlet outlet Unknown"
        );
    }

    #[test]
    fn a_relay_through_which_nothing_came_back_is_unknown() {
        assert_eq!(
            drawn(&stuck(3, Heard::Nothing)),
            "tcp host:4000 Up, relay forward_to_x Unknown, secure_channel api Down: why, outlet outlet Unknown"
        );
    }

    #[test]
    fn before_the_first_attempt_has_ended_nothing_is_known() {
        let progress = Progress {
            trouble: Some(Trouble {
                stuck: None,
                why: None,
            }),
            peers: Vec::new(),
        };
        assert!(drawn(&progress).matches("Unknown").count() == 4);
    }

    fn stuck(part: usize, heard: Heard) -> Progress {
        Progress {
            trouble: Some(Trouble {
                stuck: Some(Stuck { part, heard }),
                why: Some("why".to_owned()),
            }),
            peers: Vec::new(),
        }
    }

    fn drawn(progress: &Progress) -> String {
        let to = "/dnsaddr/host/tcp/4000/service/forward_to_x/secure/api/service/outlet";
        let to = to.parse().expect("an address");
        let hops = hops_of(&to, 0, HopKind::Outlet, progress);
        let texts: Vec<String> = hops
            .iter()
            .map(|hop| {
                let kind = serde_json::to_value(hop.kind).expect("plain data");
                let why = hop
                    .last_failure
                    .as_ref()
                    .map(|why| format!(": {why}"))
                    .unwrap_or_default();
                let kind = kind.as_str().unwrap_or_default();
                format!("{kind} {} {:?}{why}", hop.address, hop.status)
            })
            .collect();
        texts.join(", ")
    }
}
