//! Routing messages and frames.

use std::hint::black_box;

use ockam_wire::{Address, Buffer, FrameReader, Route, RoutingMessage, frame};

use crate::scenario::Repeat;

/// A message as a relay gets it: its own address and the decryptor behind it, and the way back to an encryptor.
pub(crate) fn message(first: &Address, content: &[u8]) -> RoutingMessage {
    let hop = |byte| Address::random([byte; 16]);
    RoutingMessage {
        onward: Route::from_hops([first.clone(), hop(1)]).unwrap(),
        return_route: Route::from_hops([hop(2)]).unwrap(),
        payload: Buffer::from_slice(content),
    }
}

/// Decodes and encodes one message.
pub(crate) fn routing_message(_: usize) -> Repeat {
    let first = Address::from_static("forward_to_outlet");
    let mut encoded = Some(message(&first, &[7; 64]).encode().unwrap());
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let decoded = RoutingMessage::decode(encoded.take().unwrap()).unwrap();
            encoded = Some(black_box(decoded).encode().unwrap());
        }
    })
}

/// As many frames as one read brings.
pub(crate) const BATCH: usize = 64;

/// So many frames in a row, as they arrive.
pub(crate) fn batch(first: &Address) -> Vec<u8> {
    let frame = frame::encode(message(first, &[7; 64])).unwrap();
    frame.as_slice().repeat(BATCH)
}

/// Splits one frame off what was read.
pub(crate) fn frame_of_a_batch(_: usize) -> Repeat {
    let arriving = batch(&Address::from_static("forward_to_outlet"));
    let mut reader = FrameReader::new(frame::MAX_FRAME);
    Box::new(move |rounds| {
        for _ in 0..rounds.div_ceil(BATCH) {
            reader.extend_from_slice(&arriving);
            while let Some(body) = reader.next_frame().unwrap() {
                black_box(body);
            }
        }
    })
}
