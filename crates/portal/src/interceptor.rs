//! The one point per connection and direction where content may be looked at or changed on its way.
//!
//! Without an interceptor nothing is called and nothing is copied.

use std::fmt;

use ockam_identity::Identifier;
use ockam_wire::Buffer;

/// Makes what intercepts the connections of a portal.
pub trait Interceptor: Send + Sync + fmt::Debug + 'static {
    /// A connection begins. `peer` is who is at the other end of the channel, if there is one.
    fn intercept(&self, peer: Option<&Identifier>) -> Interception;
}

/// What intercepts one connection; `None` leaves a direction alone.
#[derive(Default)]
pub struct Interception {
    /// Content from the local socket to the other side.
    pub outgoing: Option<Box<dyn Intercept>>,
    /// Content from the other side to the local socket.
    pub incoming: Option<Box<dyn Intercept>>,
}

impl fmt::Debug for Interception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interception")
            .field("outgoing", &self.outgoing.is_some())
            .field("incoming", &self.incoming.is_some())
            .finish()
    }
}

/// Intercepts one direction of one connection.
pub trait Intercept: Send + 'static {
    /// Takes a chunk and adds what is to go on, if anything yet, to `onward`.
    ///
    /// # Errors
    /// [`Intercepted`]: the connection is reset.
    fn intercept(&mut self, content: Buffer, onward: &mut Vec<Buffer>) -> Result<(), Intercepted>;

    /// The direction has ended; adds what was held back.
    ///
    /// # Errors
    /// [`Intercepted`]: the connection is reset.
    fn finish(&mut self, onward: &mut Vec<Buffer>) -> Result<(), Intercepted> {
        let _nothing_held_back = onward;
        Ok(())
    }
}

/// The interceptor refuses the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content refused by {0}")]
pub struct Intercepted(String);

impl Intercepted {
    /// For this reason, which goes into the log.
    pub fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
