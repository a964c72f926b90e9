//! A relay in memory: from the bytes that one connection read to those that another one may write.

use std::hint::black_box;
use std::sync::Arc;

use ockam_node::{Accepted, Access, Node, NodeOptions};
use ockam_portal::Forwarder;
use ockam_wire::{Address, FrameReader, Route, frame};

use crate::channel::{attach, runtime};
use crate::codec::{BATCH, batch};
use crate::scenario::Repeat;

/// Passes one message on: split off, decoded, routed with every check, encoded, queued and taken to be written.
pub(crate) fn forward(_: usize) -> Repeat {
    let runtime = runtime();
    let address = Address::from_static("forward_to_outlet");
    let arriving = batch(&address);
    let (node, mut inbound, mut outbound, forwarder) = {
        let _entered = runtime.enter();
        let node = Node::new(NodeOptions::default());
        let accepted = || {
            Some(Accepted {
                flow: node.random_flow(),
                proven: Arc::default(),
            })
        };
        let (inbound, _) = keep_outbound(node.attach(attach("inlet", accepted())).unwrap());
        let (outlet_in, outbound) = node.attach(attach("outlet", accepted())).unwrap();
        let forward = Route::from_hops([outlet_in.connection().sender().clone()]).unwrap();
        let flow = inbound.connection().flow();
        let forwarder =
            Forwarder::start(&node, &address, forward, &[flow], Access::ALLOW_ALL).unwrap();
        // Its other half is all that keeps a connection open.
        std::mem::forget(outlet_in);
        (node, inbound, outbound, forwarder)
    };
    let mut reader = FrameReader::new(frame::MAX_FRAME);
    Box::new(move |rounds| {
        let _kept = (&node, &forwarder);
        runtime.block_on(async {
            let mut written = Vec::with_capacity(BATCH);
            for _ in 0..rounds.div_ceil(BATCH) {
                reader.extend_from_slice(&arriving);
                while let Some(body) = reader.next_frame().unwrap() {
                    inbound.receive(body).await.unwrap();
                }
                let taken = outbound.next_batch(&mut written, BATCH).await;
                assert_eq!(taken, BATCH, "every message goes on");
                for frame in written.drain(..) {
                    black_box(frame.slices());
                }
            }
        });
    })
}

/// Keeps the half that is not used, or the connection would end.
fn keep_outbound<A, B>((inbound, outbound): (A, B)) -> (A, ()) {
    std::mem::forget(outbound);
    (inbound, ())
}
