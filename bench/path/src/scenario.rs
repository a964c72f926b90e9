//! The scenarios as a table.

use crate::{channel, codec, curve, path, relay};

/// Runs so many rounds more.
pub(crate) type Repeat = Box<dyn FnMut(usize)>;

/// One thing that happens to messages, over and over.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Rounds that are enough to count.
    pub(crate) counted: usize,
    /// Bytes of content in a round; 0 where that says nothing.
    pub(crate) bytes: usize,
    /// Prepares as many rounds as will be run at most.
    pub(crate) prepare: fn(usize) -> Repeat,
}

/// What is prepared for beyond the warm-up, whether it is run or not.
pub(crate) const MOST_COUNTED: usize = 4096;

const fn scenario(
    name: &'static str,
    counted: usize,
    bytes: usize,
    prepare: fn(usize) -> Repeat,
) -> Scenario {
    assert!(counted <= MOST_COUNTED);
    Scenario {
        name,
        counted,
        bytes,
        prepare,
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("codec: routing message", 2048, 64, codec::routing_message),
    scenario("codec: frame of a batch", 2048, 64, codec::frame_of_a_batch),
    scenario("channel: seal 64 B", 2048, 64, channel::seal::<64>),
    scenario("channel: open 64 B", 2048, 64, channel::open::<64>),
    scenario("channel: seal 64 KiB", 128, 65_536, channel::seal::<65_536>),
    scenario("channel: open 64 KiB", 128, 65_536, channel::open::<65_536>),
    scenario("channel: handshake, both sides", 8, 0, channel::handshake),
    scenario(
        "channel: curve operations of one handshake",
        8,
        0,
        curve::of_one_handshake,
    ),
    scenario(
        "channel: opened between two nodes",
        8,
        0,
        channel::between_nodes,
    ),
    scenario("relay: forward 64 B", 4096, 64, relay::forward),
    scenario(
        "path: request of 64 B and its answer",
        256,
        64,
        path::request,
    ),
    scenario("path: chunk of 64 KiB", 128, 65_536, path::chunk),
    scenario("path: new connection", 256, 0, path::connection),
    scenario(
        "path sealed twice: request of 64 B and its answer",
        256,
        64,
        path::request_sealed_twice,
    ),
    scenario(
        "path sealed twice: chunk of 64 KiB",
        128,
        65_536,
        path::chunk_sealed_twice,
    ),
];

/// The scenario of this name.
pub(crate) fn find(name: &str) -> &'static Scenario {
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .unwrap_or_else(|| panic!("no scenario `{name}`"))
}
