//! The body that says who administers a project.
//!
//! ```text
//! admins    [ * AdminInfo ]
//! AdminInfo { 1: tstr email }
//! ```
//!
//! What comes from a controller is bounded, and is nothing but addresses of people. Specification: trust 9.4.

use ockam_wire::DecodeError;
use ockam_wire::cbor::{Reader, set_once};

use crate::value::Email;

/// Reads who administers. Addresses that come twice count once.
///
/// # Errors
/// It is something else, or names more than [`MAX_ADMINS`].
pub(super) fn decode(body: &[u8]) -> Result<Vec<Email>, DecodeError> {
    let mut reader = Reader::new(body);
    let mut admins = Vec::new();
    let mut count = reader.array()?;
    let mut read = 0;
    while reader.more(&mut count)? {
        read += 1;
        if read > MAX_ADMINS {
            return Err(DecodeError::Unexpected("fewer admins"));
        }
        let admin = admin(&mut reader)?;
        if !admins.contains(&admin) {
            admins.push(admin);
        }
    }
    reader.finish()?;
    Ok(admins)
}

fn admin(reader: &mut Reader<'_>) -> Result<Email, DecodeError> {
    let mut email = None;
    reader.entries(|reader, key| match key {
        1 => {
            let text = reader.text()?;
            let address = text
                .parse()
                .map_err(|_| DecodeError::Unexpected("an email address"))?;
            set_once(&mut email, "email", address)
        }
        _ => reader.skip(INNER),
    })?;
    email.ok_or(DecodeError::Missing("email"))
}

/// Most administrators of a project that are read.
const MAX_ADMINS: usize = 1_000;
/// How deep further fields may be nested.
const INNER: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `[{1: "a@b"}, {1: "c@d"}]`.
    const TWO: &str = "82a10163614062a10163634064";

    fn read(hex_text: &str) -> Result<Vec<String>, DecodeError> {
        let body = hex::decode(hex_text).expect("hex");
        Ok(decode(&body)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn admins_are_read_with_definite_and_indefinite_lengths_and_further_fields() {
        assert_eq!(read("80"), Ok(Vec::new()));
        assert_eq!(read(TWO), Ok(vec!["a@b".to_owned(), "c@d".to_owned()]));
        assert_eq!(read("9fbf0163614062ffff"), Ok(vec!["a@b".to_owned()]));
        assert_eq!(read("81a2016361406202820102"), Ok(vec!["a@b".to_owned()]));
        // The same one in capital letters.
        assert_eq!(
            read("82a10163614062a10163414042"),
            Ok(vec!["a@b".to_owned()])
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for hex_text in [
            "",
            "f6",
            "a0",
            // No map, no address, null, twice, no email, control characters, bytes behind.
            "8163614062",
            "81a0",
            "81a101f6",
            "81a201636140620163614062",
            "81a1016161",
            "81a101641b614062",
            "80ff",
            // More than there is.
            "9bffffffffffffffff",
            "81a1017bffffffffffffffff",
        ] {
            assert!(read(hex_text).is_err(), "{hex_text}");
        }
        let many = |count: usize| {
            let one = hex::decode("a10163614062").expect("hex");
            let mut body = vec![0x9f];
            body.extend(one.repeat(count));
            body.push(0xff);
            decode(&body)
        };
        assert!(many(MAX_ADMINS).is_ok());
        assert!(many(MAX_ADMINS + 1).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            garbage in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0usize..13,
            byte in any::<u8>(),
        ) {
            let mut mutated = hex::decode(TWO).expect("hex");
            if let Some(place) = mutated.get_mut(at) {
                *place = byte;
            }
            for body in [garbage, mutated] {
                for admin in decode(&body).unwrap_or_default() {
                    let harmless = !admin.to_string().contains(['/', '\u{1b}', '\n']);
                    prop_assert!(harmless, "{admin}");
                }
            }
        }
    }
}
