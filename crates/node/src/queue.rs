//! A queue bounded by the bytes that wait in it.
//!
//! Room is reserved first and filled later, so that a chain of inline workers can run without waiting: its source
//! awaits [`Queue::reserve`] on the queue where the chain ends, then every step is a plain call and the final
//! [`Queue::push`] cannot fail for lack of room.
//!
//! Invariants: the bytes of all items in the queue and of all permits are at most the limit, except for items pushed
//! without a permit (a chain whose end moved between reservation and commit); room is given back when the reader
//! drops the [`Queued`] item, not when it takes it out.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What a queue can hold: it says how many bytes it occupies.
pub trait Weight {
    /// Bytes that this item counts for; never zero, so that the number of items is bounded too.
    fn weight(&self) -> usize;
}

impl Weight for ockam_wire::Buffer {
    fn weight(&self) -> usize {
        self.len() + ITEM_WEIGHT
    }
}

impl Weight for ockam_wire::frame::Frame {
    fn weight(&self) -> usize {
        self.len() + ITEM_WEIGHT
    }
}

/// The sending side of a queue bounded in bytes.
pub struct Queue<T> {
    items: mpsc::UnboundedSender<Queued<T>>,
    room: Arc<Semaphore>,
    limit: usize,
}

impl<T: Weight> Queue<T> {
    /// Makes a queue for `limit` bytes and its only reader.
    pub fn new(limit: usize) -> (Arc<Self>, QueueReader<T>) {
        let limit = limit.clamp(ITEM_WEIGHT, u32::MAX as usize);
        let (items, reader) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(limit));
        let queue = Arc::new(Self {
            items,
            room: room.clone(),
            limit,
        });
        (
            queue,
            QueueReader {
                items: reader,
                room,
            },
        )
    }

    /// Waits until there is room for an item of `weight` bytes. An item larger than the queue waits until it is empty.
    ///
    /// # Errors
    /// [`QueueClosed`] when the reader is gone.
    ///
    /// # Cancel safety
    /// Dropping the future reserves nothing.
    pub async fn reserve(&self, weight: usize) -> Result<Permit, QueueClosed> {
        let share = self.share(weight);
        match self.room.clone().try_acquire_many_owned(share) {
            Ok(permit) => Ok(Permit(permit)),
            Err(_) => match self.room.clone().acquire_many_owned(share).await {
                Ok(permit) => Ok(Permit(permit)),
                Err(_) => Err(QueueClosed),
            },
        }
    }

    /// Reserves room if there is some right now.
    pub fn try_reserve(&self, weight: usize) -> Option<Permit> {
        let share = self.share(weight);
        self.room
            .clone()
            .try_acquire_many_owned(share)
            .ok()
            .map(Permit)
    }

    /// Adds an item. A permit of another queue counts as none: the item is then accepted beyond the limit, because a
    /// chain that has sealed a message must not lose it.
    pub fn push(&self, item: T, permit: Option<Permit>) -> Result<(), QueueClosed> {
        let permit = permit
            .filter(|permit| Arc::ptr_eq(permit.0.semaphore(), &self.room))
            .or_else(|| self.try_reserve(item.weight()));
        self.items
            .send(Queued { item, permit })
            .map_err(|_| QueueClosed)
    }

    /// Bytes that are waiting or reserved.
    pub fn used(&self) -> usize {
        self.limit.saturating_sub(self.room.available_permits())
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    /// Waits until the reader is gone.
    pub async fn closed(&self) {
        self.items.closed().await;
    }

    fn share(&self, weight: usize) -> u32 {
        // The limit fits u32 by construction.
        u32::try_from(weight.min(self.limit)).unwrap_or(u32::MAX)
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("limit", &self.limit)
            .field("room", &self.room.available_permits())
            .finish()
    }
}

/// Room that was reserved in one queue; dropping it gives the room back.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

/// The reading side of a queue.
pub struct QueueReader<T> {
    items: mpsc::UnboundedReceiver<Queued<T>>,
    room: Arc<Semaphore>,
}

impl<T> QueueReader<T> {
    /// Waits for the next item; `None` when all senders are gone and the queue is empty.
    ///
    /// # Cancel safety
    /// No item is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<Queued<T>> {
        self.items.recv().await
    }

    /// Waits for at least one item and takes up to `most`; returns how many, 0 when nothing can come any more.
    ///
    /// # Cancel safety
    /// No item is lost when the future is dropped.
    pub async fn recv_many(&mut self, into: &mut Vec<Queued<T>>, most: usize) -> usize {
        self.items.recv_many(into, most).await
    }

    /// Takes an item if one is there.
    pub fn try_recv(&mut self) -> Option<Queued<T>> {
        self.items.try_recv().ok()
    }

    /// Refuses further reservations; what is queued can still be read.
    pub fn close(&mut self) {
        self.room.close();
        self.items.close();
    }
}

impl<T> Drop for QueueReader<T> {
    fn drop(&mut self) {
        self.room.close();
    }
}

impl<T> fmt::Debug for QueueReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueReader").finish_non_exhaustive()
    }
}

/// An item taken from a queue. Its room stays taken until it is dropped, so that a slow writer is felt by the source.
#[derive(Debug)]
pub struct Queued<T> {
    item: T,
    permit: Option<Permit>,
}

impl<T> Queued<T> {
    /// Takes the item, and with it the room that it holds.
    pub(crate) fn into_parts(self) -> (T, Option<Permit>) {
        (self.item, self.permit)
    }

    /// Takes the item and gives its room back.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl<T> Deref for Queued<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for Queued<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

/// The reader of the queue is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiver has stopped")]
pub struct QueueClosed;

/// What an item costs besides its bytes.
pub(crate) const ITEM_WEIGHT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reservation_waits_until_the_reader_drops_an_item() {
        let (queue, mut reader) = Queue::<Block>::new(1000);
        let permit = queue.reserve(1000).await.unwrap();
        queue.push(Block(1000), Some(permit)).unwrap();
        assert!(queue.try_reserve(1).is_none());
        let item = reader.recv().await.unwrap();
        assert!(queue.try_reserve(1).is_none(), "taken out but still in use");
        drop(item);
        assert!(queue.try_reserve(1000).is_some());
    }

    #[tokio::test]
    async fn permit_of_another_queue_does_not_count() {
        let (a, _a) = Queue::<Block>::new(1000);
        let (b, mut b_reader) = Queue::<Block>::new(1000);
        let permit = a.reserve(500).await.unwrap();
        b.push(Block(500), Some(permit)).unwrap();
        assert_eq!(a.used(), 0);
        assert_eq!(b.used(), 500);
        assert!(b_reader.try_recv().is_some());
    }

    #[tokio::test]
    async fn reservation_fails_when_the_reader_is_gone() {
        let (queue, reader) = Queue::<Block>::new(1000);
        drop(reader);
        assert!(queue.reserve(1).await.is_err());
        assert!(queue.push(Block(1), None).is_err());
    }

    #[derive(Debug)]
    struct Block(usize);
    impl Weight for Block {
        fn weight(&self) -> usize {
            self.0
        }
    }
}
