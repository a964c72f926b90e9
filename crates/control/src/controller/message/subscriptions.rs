//! Subscriptions. `spec: trust 9.7`

use ockam_wire::{DecodeError, bare};

use super::item::{MAX_TEXT, body};
use crate::value::Email;

body! {
    /// Makes use of something that was bought elsewhere.
    ActivateSubscription {
        /// The space that gets it.
        1 space_id: Option<String>,
        /// What the market place gave.
        2 subscription_data: String,
        /// The name of the space that is made for it.
        3 space_name: Option<String>,
        /// Who administers it.
        4 owner_emails: Option<Vec<Email>>,
    }
}

body! {
    /// A subscription.
    SubscriptionLegacy {
        /// Its id.
        1 id: String,
        /// Where it was bought.
        2 marketplace: String,
        /// How it is.
        3 status: String,
        /// What it gives.
        4 entitlements: String,
        /// What the market place said.
        5 metadata: String,
        /// Who is asked about it.
        6 contact_info: String,
        /// The space that has it.
        7 space_id: Option<String>,
    }
}

/// A body that is one text.
#[must_use]
pub fn encode_text(text: &str) -> Vec<u8> {
    bare::encode_str(text)
}

/// Reads a body that is one text.
///
/// # Errors
/// It is something else.
pub fn decode_text(body: &[u8]) -> Result<String, DecodeError> {
    let text = bare::decode_str(body)?;
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(DecodeError::Unexpected("a shorter text"));
    }
    Ok(text.to_owned())
}
