//! Credit of one direction of a stream (spec: extensions 4.2.3).
//!
//! Invariants: a sender's bytes under way never exceed its credit; a receiver never grants more than its window minus
//! what it still holds; neither number overflows, whatever the peer sends.

/// What this side may still send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendWindow {
    credit: u64,
    sent: u64,
}

impl SendWindow {
    /// Nothing may be sent.
    pub(crate) const EMPTY: Self = Self { credit: 0, sent: 0 };

    /// Starts with the credit of Open or Accept.
    ///
    /// # Errors
    /// [`WindowError::TooMuchCredit`].
    pub(crate) fn new(credit: u64) -> Result<Self, WindowError> {
        let mut window = Self::EMPTY;
        window.add(credit)?;
        Ok(window)
    }

    /// Takes a Credit message.
    ///
    /// # Errors
    /// [`WindowError::TooMuchCredit`]; the window is unchanged.
    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), WindowError> {
        let credit = self.credit.saturating_add(bytes);
        if credit > MAX_CREDIT {
            return Err(WindowError::TooMuchCredit);
        }
        self.credit = credit;
        Ok(())
    }

    /// Notes that `bytes` of content have been sent; at most [`Self::allowance`].
    pub(crate) fn sent(&mut self, bytes: usize) {
        debug_assert!(bytes as u64 <= self.credit);
        self.credit = self.credit.saturating_sub(bytes as u64);
        self.sent = self.sent.wrapping_add(bytes as u64);
    }

    /// Bytes of content that may be sent now.
    pub(crate) fn allowance(&self) -> usize {
        usize::try_from(self.credit).unwrap_or(usize::MAX)
    }

    /// All bytes of content sent so far, as Finish carries them.
    pub(crate) fn total(&self) -> u64 {
        self.sent
    }
}

/// What this side has granted and received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiveWindow {
    window: u64,
    /// Granted and not yet used by the peer.
    outstanding: u64,
    /// Received and not yet written to the socket.
    held: u64,
    received: u64,
}

impl ReceiveWindow {
    /// Starts with `window` bytes granted.
    pub(crate) fn new(window: u64) -> Self {
        let window = window.min(MAX_CREDIT);
        Self {
            window,
            outstanding: window,
            held: 0,
            received: 0,
        }
    }

    /// Takes `bytes` of content from the peer.
    ///
    /// # Errors
    /// [`WindowError::BeyondCredit`]; the window is unchanged.
    pub(crate) fn received(&mut self, bytes: usize) -> Result<(), WindowError> {
        let bytes = bytes as u64;
        if bytes > self.outstanding {
            return Err(WindowError::BeyondCredit);
        }
        self.outstanding -= bytes;
        self.held += bytes;
        self.received = self.received.wrapping_add(bytes);
        Ok(())
    }

    /// Notes that the socket took `bytes`. Returns what is to be granted now, if it is worth a message. A smaller
    /// `window` than before takes effect by granting less.
    pub(crate) fn written(&mut self, bytes: usize, window: u64) -> Option<u64> {
        self.held = self.held.saturating_sub(bytes as u64);
        self.window = window.min(MAX_CREDIT);
        let due = self
            .window
            .saturating_sub(self.outstanding.saturating_add(self.held));
        if due == 0 || due < self.window / 2 {
            return None;
        }
        self.outstanding += due;
        Some(due)
    }

    /// All bytes of content received so far, to be compared with Finish.
    pub(crate) fn total(&self) -> u64 {
        self.received
    }
}

/// The peer broke the rules of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WindowError {
    /// More content than was granted.
    #[error("the peer sent more than it was granted")]
    BeyondCredit,
    /// More credit than anybody can mean.
    #[error("the peer granted too much")]
    TooMuchCredit,
}

/// Most unused credit a peer may hold.
pub(crate) const MAX_CREDIT: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_stops_without_credit_and_goes_on_with_more() {
        let mut window = SendWindow::new(10).unwrap();
        assert_eq!(window.allowance(), 10);
        window.sent(10);
        assert_eq!(window.allowance(), 0);
        window.add(5).unwrap();
        assert_eq!(window.allowance(), 5);
        assert_eq!(window.total(), 10);
    }

    #[test]
    fn absurd_credit_is_refused_and_changes_nothing() {
        assert_eq!(
            SendWindow::new(MAX_CREDIT + 1),
            Err(WindowError::TooMuchCredit)
        );
        let mut window = SendWindow::new(MAX_CREDIT).unwrap();
        assert_eq!(window.add(u64::MAX), Err(WindowError::TooMuchCredit));
        assert_eq!(window.allowance(), MAX_CREDIT as usize);
    }

    #[test]
    fn receiver_grants_when_half_of_the_window_is_due() {
        let mut window = ReceiveWindow::new(100);
        window.received(100).unwrap();
        assert_eq!(window.received(1), Err(WindowError::BeyondCredit));
        assert_eq!(window.written(49, 100), None);
        assert_eq!(window.written(1, 100), Some(50));
        window.received(50).unwrap();
        assert_eq!(window.written(50, 100), Some(50));
        assert_eq!(window.total(), 150);
    }

    #[test]
    fn smaller_window_holds_credit_back_and_never_locks_up() {
        let mut window = ReceiveWindow::new(100);
        window.received(100).unwrap();
        assert_eq!(window.written(80, 20), None, "still holds the whole window");
        assert_eq!(window.written(10, 20), Some(10));
        assert_eq!(window.written(10, 20), Some(10));
        window.received(20).unwrap();
        assert_eq!(window.written(20, 20), Some(20));
    }

    #[test]
    fn written_bytes_always_come_back_as_credit() {
        for window in [1_u64, 2, 3, 7, 100, 1 << 20] {
            let mut receiver = ReceiveWindow::new(window);
            let mut sender = SendWindow::new(window).unwrap();
            let mut moved = 0;
            while moved < 10 * window {
                let chunk = sender.allowance().min(1 << 17);
                assert!(chunk > 0, "window {window} locked up");
                sender.sent(chunk);
                receiver.received(chunk).unwrap();
                if let Some(more) = receiver.written(chunk, window) {
                    sender.add(more).unwrap();
                }
                moved += chunk as u64;
            }
        }
    }
}
