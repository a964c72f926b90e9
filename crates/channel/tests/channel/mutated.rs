//! Mutations of a byte string, the same ones in every run.

use std::vec::Vec;

/// A small generator of its own, so that the sequence never changes with a dependency.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn mutate(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, INTERESTING[self.below(INTERESTING.len())]),
                2 if !bytes.is_empty() => drop(bytes.remove(at)),
                3 if !bytes.is_empty() => bytes[at] = INTERESTING[self.below(INTERESTING.len())],
                4 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {
                    let part = bytes[at..].to_vec();
                    bytes.extend_from_slice(&part[..self.below(part.len())]);
                }
            }
        }
        bytes
    }
}

/// Heads of every CBOR type, with long lengths and indefinite ones.
const INTERESTING: [u8; 20] = [
    0x00, 0x17, 0x18, 0x1b, 0x40, 0x5b, 0x5f, 0x60, 0x7f, 0x80, 0x82, 0x9b, 0x9f, 0xa1, 0xbb, 0xbf,
    0xc1, 0xdb, 0xf6, 0xff,
];
