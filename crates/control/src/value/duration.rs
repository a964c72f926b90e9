//! Durations: digits and an optional unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration as users write it: `500ms`, `5s`, `2m`, `1h`, `1d`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationText(pub Duration);

/// The text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a number and one of ms, s, m, h, d")]
pub struct DurationTextError(String);

impl FromStr for DurationText {
    type Err = DurationTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DurationTextError(text.to_owned());
        let trimmed = text.trim();
        let unit_start = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (digits, unit) = trimmed.split_at(unit_start);
        let number: u64 = digits.parse().map_err(|_| error())?;
        let milliseconds = match unit {
            "ms" => Some(number),
            "" | "s" => number.checked_mul(1_000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            "d" => number.checked_mul(86_400_000),
            _ => None,
        };
        milliseconds
            .map(|value| Self(Duration::from_millis(value)))
            .ok_or_else(error)
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        match milliseconds {
            0 => f.write_str("0s"),
            value if value % 1_000 != 0 => write!(f, "{value}ms"),
            value => write!(f, "{}s", value / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_seconds_are_the_default() {
        for (text, milliseconds) in [
            ("5", 5_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("0", 0),
        ] {
            let parsed: DurationText = text.parse().expect(text);
            assert_eq!(parsed.0.as_millis(), milliseconds, "{text}");
        }
    }

    #[test]
    fn junk_and_overflow_are_refused() {
        for text in [
            "",
            "s",
            "5x",
            "x5s",
            "-1s",
            "18446744073709551615d",
            "99999999999999999999",
        ] {
            assert!(text.parse::<DurationText>().is_err(), "{text}");
        }
    }

    #[test]
    fn shown_in_the_unit_that_fits() {
        assert_eq!(
            DurationText(Duration::from_millis(1500)).to_string(),
            "1500ms"
        );
        assert_eq!(DurationText(Duration::from_secs(10)).to_string(), "10s");
    }
}
