//! Ways: what stands between this node and an outlet or a relaying node, hop by hop.

use serde::{Deserialize, Serialize};

use crate::noun::relay::RelayInfo;
use crate::noun::tcp_inlet::InletStatus;

/// One step of a way, seen from this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// What it is.
    pub kind: HopKind,
    /// Its address, as a user writes it.
    pub address: String,
    /// Whether it works.
    pub status: HopStatus,
    /// Who is there, when that was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Why it does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// What a hop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// A TCP connection.
    Tcp,
    /// The name of a node at a relaying node.
    Relay,
    /// A secure channel.
    SecureChannel,
    /// A worker that passes messages on.
    Worker,
    /// An outlet.
    Outlet,
    /// The registration of this node at the relaying node.
    Registration,
}

/// Whether a hop works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HopStatus {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// Nothing tells.
    Unknown,
}

/// The ways that a node keeps up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// Inlets, with the hops to their outlets.
    pub inlets: Vec<InletStatus>,
    /// Relays, with the hops to the relaying node.
    pub relays: Vec<RelayInfo>,
}
