//! What projects are called.

use std::fmt;
use std::str::FromStr;

use ockam_wire::{Address, TransportType};

/// The id of a project: a random UUID (version 4) in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(String);

impl ProjectId {
    /// A new one.
    ///
    /// # Panics
    /// When the operating system has no random bytes: nothing secure can be done then.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let mut digits = hex::encode(bytes);
        digits.replace_range(12..13, "4");
        let variant = match bytes[8] >> 6 {
            0 => "8",
            1 => "9",
            2 => "a",
            _ => "b",
        };
        digits.replace_range(16..17, variant);
        for at in [20, 16, 12, 8] {
            digits.insert(at, '-');
        }
        Self(digits)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectId {
    type Err = InvalidProjectId;

    fn from_str(text: &str) -> Result<Self, InvalidProjectId> {
        let fits = |(at, byte): (usize, u8)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        if text.len() == 36 && text.bytes().enumerate().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidProjectId)
        }
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no id of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a project is a UUID of version 4 in lower case")]
pub struct InvalidProjectId;

/// What of a project an address of the outer node names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Its node.
    Node(ProjectId),
    /// Its authority.
    Authority(ProjectId),
}

impl Place {
    /// What an address names, if it is a place. Anybody may ask for any address.
    pub(super) fn of(address: &Address) -> Option<Self> {
        if address.transport() != TransportType::LOCAL {
            return None;
        }
        let text = std::str::from_utf8(address.name()).ok()?;
        match text.strip_prefix(AUTHORITY) {
            Some(id) => id.parse().ok().map(Self::Authority),
            None => text.parse().ok().map(Self::Node),
        }
    }

    pub(super) const fn project(&self) -> &ProjectId {
        match self {
            Self::Node(id) | Self::Authority(id) => id,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "{id}"),
            Self::Authority(id) => write!(f, "{AUTHORITY}{id}"),
        }
    }
}

const AUTHORITY: &str = "authority-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_ids_and_differ() {
        for _ in 0..100 {
            let id = ProjectId::random();
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
            assert_ne!(ProjectId::random(), id);
        }
    }

    #[test]
    fn an_address_is_a_place_only_with_an_id_as_it_is_written() {
        let id = "2f8c6a3e-19d4-4b0f-8a55-0123456789ab";
        let place = |name: &str| Place::of(&Address::local(name).unwrap());
        let parsed: ProjectId = id.parse().unwrap();
        assert_eq!(place(id), Some(Place::Node(parsed.clone())));
        let authority = place(&format!("authority-{id}")).unwrap();
        assert_eq!(authority, Place::Authority(parsed));
        assert_eq!(authority.to_string(), format!("authority-{id}"));
        for wrong in [
            "api",
            "authority-",
            &id.to_uppercase(),
            &id[1..],
            &format!("{id}0"),
            &id.replace("-4b0f", "-1b0f"),
            &id.replace("-8a55", "-ca55"),
            &id.replace("2f8c", "../."),
        ] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
