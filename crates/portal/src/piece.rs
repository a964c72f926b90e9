//! Content on its way into a local socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use ockam_wire::Buffer;

use crate::backlog::Held;

/// Some content, and what it counts for when the socket has taken all of it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) content: Buffer,
    /// Bytes of arrived content that are done with it.
    pub(crate) credit: usize,
    pub(crate) _held: Option<Held>,
}

impl Piece {
    /// Content that an interceptor made: what it was made of counts elsewhere.
    pub(crate) fn made(content: Buffer) -> Self {
        Self {
            content,
            credit: 0,
            _held: None,
        }
    }
}

/// Pieces in the order in which they are written.
#[derive(Debug, Default)]
pub(crate) struct Pieces(VecDeque<Piece>);

impl Pieces {
    pub(crate) fn push(&mut self, piece: Piece) {
        self.0.push_back(piece);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that have arrived in them.
    pub(crate) fn credit(&self) -> usize {
        self.0.iter().map(|piece| piece.credit).sum()
    }

    /// Points `slices` at the first of them. Returns whether there is something to write.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> bool {
        let mut filled = false;
        for (slice, piece) in slices.iter_mut().zip(&self.0) {
            *slice = IoSlice::new(piece.content.as_slice());
            filled |= !piece.content.is_empty();
        }
        filled
    }

    /// The socket took so many bytes. Returns the credit of the pieces that are done.
    pub(crate) fn handle_written(&mut self, mut written: usize) -> usize {
        let mut credit = 0;
        while let Some(piece) = self.0.front_mut() {
            let taken = written.min(piece.content.len());
            piece.content.advance(taken);
            written -= taken;
            if !piece.content.is_empty() {
                break;
            }
            credit += piece.credit;
            self.0.pop_front();
        }
        credit
    }

    /// Gives back what many pieces took. Room for a few stays: a connection on which something moves now and then asks
    /// for none each time.
    pub(crate) fn shrink(&mut self) {
        if self.0.capacity() > FEW {
            self.0.shrink_to(FEW);
        }
    }
}

impl IntoIterator for Pieces {
    type Item = Piece;
    type IntoIter = std::collections::vec_deque::IntoIter<Piece>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<Piece> for Pieces {
    fn extend<I: IntoIterator<Item = Piece>>(&mut self, pieces: I) {
        self.0.extend(pieces);
    }
}

const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_counts_when_its_last_byte_is_written() {
        let mut pieces = Pieces::default();
        for (text, credit) in [("ab", 2), ("", 7), ("cde", 3)] {
            pieces.push(Piece {
                credit,
                ..Piece::made(Buffer::from_slice(text.as_bytes()))
            });
        }
        assert_eq!(pieces.credit(), 12);
        let mut slices = [IoSlice::new(&[]); 8];
        assert!(pieces.fill(&mut slices));
        assert_eq!((&*slices[0], &*slices[2]), (&b"ab"[..], &b"cde"[..]));
        assert_eq!(pieces.handle_written(1), 0);
        assert_eq!(pieces.handle_written(2), 9);
        let mut slices = [IoSlice::new(&[]); 1];
        assert!(pieces.fill(&mut slices));
        assert_eq!(&*slices[0], b"de");
        assert_eq!(pieces.handle_written(2), 3);
        assert!(pieces.is_empty());
        assert!(!pieces.fill(&mut [IoSlice::new(&[])]));
    }

    #[test]
    fn pieces_that_were_many_keep_little() {
        let mut pieces = Pieces::default();
        pieces.extend((0..100).map(|_| Piece::made(Buffer::default())));
        assert_eq!(pieces.handle_written(0), 0);
        assert!(pieces.is_empty());
        pieces.shrink();
        assert!(pieces.0.capacity() <= FEW);
    }
}
