//! Points in time and the windows between them.

use core::fmt;

/// Whole seconds since 1970-01-01 UTC.
///
/// `spec: trust 0.3`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This time and some seconds, at most the end of time.
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A window of time, both ends included; it never ends before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from: UnixTime,
    until: UnixTime,
}

impl Validity {
    /// The window between two times.
    ///
    /// # Errors
    /// [`ValidityError`] if `until` is before `from`. `spec: trust 11.1 (4)`
    pub const fn new(from: UnixTime, until: UnixTime) -> Result<Self, ValidityError> {
        if until.0 < from.0 {
            Err(ValidityError { from, until })
        } else {
            Ok(Self { from, until })
        }
    }

    /// The window of a new primary key: ten years of 365 days.
    ///
    /// `spec: trust 2.3`
    pub const fn of_primary_key(from: UnixTime) -> Self {
        Self {
            from,
            until: from.plus(PRIMARY_KEY_SECONDS),
        }
    }

    /// The first second of the window.
    pub const fn from(self) -> UnixTime {
        self.from
    }

    /// The last second of the window.
    pub const fn until(self) -> UnixTime {
        self.until
    }

    /// Whether `other` lies wholly within this window.
    pub const fn contains(self, other: Self) -> bool {
        self.from.0 <= other.from.0 && other.until.0 <= self.until.0
    }
}

/// A window that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("valid until {until}, which is before valid from {from}")]
pub struct ValidityError {
    from: UnixTime,
    until: UnixTime,
}

/// How far ahead another computer's clock may be.
///
/// `spec: trust 3.3, 4.4`
pub(crate) const CLOCK_DRIFT_SECONDS: u64 = 60;

const PRIMARY_KEY_SECONDS: u64 = 315_360_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_11_1_4_window_that_ends_before_it_begins_is_refused() {
        assert!(Validity::new(UnixTime(5), UnixTime(4)).is_err());
        assert!(Validity::new(UnixTime(5), UnixTime(5)).is_ok());
    }

    #[test]
    fn ends_of_time_do_not_overflow() {
        assert_eq!(
            Validity::of_primary_key(UnixTime(u64::MAX)).until(),
            UnixTime(u64::MAX)
        );
    }

    #[test]
    fn containment_includes_both_ends() {
        let outer = Validity::new(UnixTime(10), UnixTime(20)).unwrap();
        assert!(outer.contains(outer));
        assert!(!outer.contains(Validity::new(UnixTime(9), UnixTime(20)).unwrap()));
        assert!(!outer.contains(Validity::new(UnixTime(10), UnixTime(21)).unwrap()));
    }
}
