//! Time and random numbers, as values from outside.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use ockam_identity::UnixTime;

/// Where time and random numbers come from.
pub trait Source: Send + Sync + fmt::Debug + 'static {
    /// What time it is.
    fn now(&self) -> UnixTime;

    /// Fills with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock and the random numbers of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSource;

impl Source for SystemSource {
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        UnixTime(since.map_or(0, |since| since.as_secs()))
    }

    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A new id: a UUID of version 4.
pub(super) fn new_id(source: &dyn Source) -> String {
    let mut bytes = [0; 16];
    source.fill(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let text = format!("{number:032x}");
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text.get(part).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        let id = new_id(&SystemSource);
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
        assert_ne!(id, new_id(&SystemSource));
    }
}
