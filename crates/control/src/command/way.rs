//! The drawing of a way: each hop below the one it goes over, with a sign for whether it works.
//!
//! ```text
//! └─ ✔ tcp 127.0.0.1:4000
//!    └─ ✔ relay forward_to_x
//!       └─ ✗ secure channel to api: no answer within 2s
//!          └─ · outlet
//! ```

use crate::noun::way::{Hop, HopKind, HopStatus};

/// A text with the drawing below it.
pub(super) fn below(head: String, hops: &[Hop]) -> String {
    std::iter::once(head)
        .chain(lines(hops))
        .collect::<Vec<_>>()
        .join("\n")
}

fn lines(hops: &[Hop]) -> Vec<String> {
    let down = hops.iter().position(|hop| hop.status == HopStatus::Down);
    hops.iter()
        .enumerate()
        .map(|(depth, hop)| {
            let behind = match down {
                None => Trouble::Nowhere,
                Some(down) if down > depth => Trouble::Behind,
                Some(_) => Trouble::HereOrBefore,
            };
            format!("{}└─ {}", "   ".repeat(depth), line(hop, behind))
        })
        .collect()
}

/// Whether the drawing says why it does not work.
pub(super) fn says_why(hops: &[Hop]) -> bool {
    hops.iter().any(|hop| hop.last_failure.is_some())
}

/// Where the hop that fails is, seen from another.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Nowhere,
    Behind,
    HereOrBefore,
}

fn line(hop: &Hop, trouble: Trouble) -> String {
    let sign = match hop.status {
        HopStatus::Up => '✔',
        HopStatus::Down => '✗',
        HopStatus::Unknown => '·',
    };
    let address = &hop.address;
    let what = match hop.kind {
        HopKind::Tcp => format!("tcp {address}"),
        HopKind::Relay => format!("relay {address}"),
        HopKind::SecureChannel => format!("secure channel to {address}"),
        HopKind::Worker => format!("worker {address}"),
        HopKind::Outlet => format!("outlet {address}"),
        HopKind::Registration => format!("registered as {address}"),
    };
    let who = hop
        .identifier
        .as_deref()
        .map(|identifier| format!(", {}", short(identifier)))
        .unwrap_or_default();
    let remark = match (hop.kind, hop.status, trouble) {
        (HopKind::Outlet, HopStatus::Unknown, Trouble::Nowhere) => ", not asked yet",
        (_, HopStatus::Unknown, Trouble::Behind) => ", nothing comes back through it",
        _ => "",
    };
    let why = hop
        .last_failure
        .as_deref()
        .map(|why| {
            let known = format!("cannot connect to {address}: ");
            format!(": {}", why.strip_prefix(&known).unwrap_or(why))
        })
        .unwrap_or_default();
    format!("{sign} {what}{who}{remark}{why}")
}

/// Enough of an identifier to tell it from the others of one's own.
fn short(identifier: &str) -> String {
    match identifier.get(..9) {
        Some(start) if identifier.len() > 12 => format!("{start}…"),
        _ => identifier.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_hangs_below_the_one_it_goes_over() {
        let hop = |kind, address: &str, status, why: Option<&str>| Hop {
            kind,
            address: address.to_owned(),
            status,
            identifier: (kind == HopKind::SecureChannel).then(|| format!("I{}", "0a".repeat(32))),
            last_failure: why.map(str::to_owned),
        };
        let hops = [
            hop(HopKind::Tcp, "127.0.0.1:4000", HopStatus::Up, None),
            hop(HopKind::SecureChannel, "api", HopStatus::Up, None),
            hop(HopKind::Outlet, "web", HopStatus::Down, Some("gone")),
        ];
        assert!(!says_why(&hops[..2]));
        assert_eq!(
            lines(&hops),
            [
                "└─ ✔ tcp 127.0.0.1:4000",
                "   └─ ✔ secure channel to api, I0a0a0a0a…",
                "      └─ ✗ outlet web: gone",
            ]
        );
        assert!(says_why(&hops));
    }

    #[test]
    fn a_relay_through_which_nothing_comes_back_is_said_to_be_one() {
        let hop = |kind, address: &str, status, why: Option<&str>| Hop {
            kind,
            address: address.to_owned(),
            status,
            identifier: None,
            last_failure: why.map(str::to_owned),
        };
        let hops = [
            hop(HopKind::Relay, "forward_to_x", HopStatus::Unknown, None),
            hop(
                HopKind::SecureChannel,
                "api",
                HopStatus::Down,
                Some("no answer"),
            ),
            hop(HopKind::Outlet, "web", HopStatus::Unknown, None),
        ];
        assert_eq!(
            lines(&hops),
            [
                "└─ · relay forward_to_x, nothing comes back through it",
                "   └─ ✗ secure channel to api: no answer",
                "      └─ · outlet web",
            ]
        );
        let refused = Some("cannot connect to a:1: Connection refused");
        assert_eq!(
            lines(&[hop(HopKind::Tcp, "a:1", HopStatus::Down, refused)]),
            ["└─ ✗ tcp a:1: Connection refused"]
        );
    }
}
