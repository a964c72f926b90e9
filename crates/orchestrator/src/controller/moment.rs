//! Moments as ISO 8601, which invitations carry. `spec: trust 9.6`

use ockam_identity::UnixTime;

/// `2026-01-02T03:04:05Z`.
pub(super) fn write(moment: UnixTime) -> String {
    // Beyond the year 9999 the form ends.
    let seconds = moment.0.min(LAST);
    let (days, rest) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads a date with a time of day, with or without parts of seconds, in UTC; a missing `Z` is assumed.
pub(super) fn read(text: &str) -> Option<UnixTime> {
    let text = text
        .strip_suffix(['Z', 'z'])
        .or(text.strip_suffix("+00:00"))
        .unwrap_or(text);
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, parts) = time.split_once('.').unwrap_or((time, "0"));
    if parts.is_empty() || !parts.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day)?;
    Some(UnixTime(days * DAY + hour * 3600 + minute * 60 + second))
}

fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut next = |length| {
        let part = parts.next()?;
        let digits = part.len() == length && part.bytes().all(|digit| digit.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let [first, second, third] = lengths;
    let numbers = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970, which such a date is not before.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || day < 1 || day > length(year, month) {
        return None;
    }
    let years: u64 = (1970..year)
        .map(|year| if is_leap(year) { 366 } else { 365 })
        .sum();
    let months: u64 = (1..month).map(|month| length(year, month)).sum();
    Some(years + months + day - 1)
}

fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 1;
    while days >= length(year, month) {
        days -= length(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn length(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DAY: u64 = 24 * 3600;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("9999-12-31T23:59:59Z", LAST),
        ] {
            assert_eq!(read(text), Some(UnixTime(seconds)), "{text}");
            assert_eq!(write(UnixTime(seconds)), text);
        }
        assert_eq!(write(UnixTime(u64::MAX)), "9999-12-31T23:59:59Z");
        for text in [
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.123456Z",
            "2023-11-14 22:13:20+00:00",
        ] {
            assert_eq!(read(text), Some(UnixTime(1_700_000_000)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_moment() {
        for text in [
            "",
            "T",
            "2023",
            "2023-11-14",
            "2023-11-14T",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:13:20+01:00",
            "2023-11-14T22:13:20.Z",
            "+023-11-14T22:13:20Z",
            "2023-11-14T22:13:20:00",
            "２023-11-14T22:13:20Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
