//! Spaces and who administers them. `spec: trust 9.3`

use super::item::body;
use crate::value::Email;

body! {
    /// A space: projects that belong together.
    Space {
        /// Its id.
        1 id: String,
        /// Its name.
        2 name: String,
        /// Addresses of whoever administers it.
        3 users: Vec<String>,
        /// What it may have.
        4 subscription: Option<Subscription>,
    }
}

body! {
    /// Makes a space.
    CreateSpace {
        /// Its name.
        1 name: String,
        /// Who administers it beside whoever makes it.
        2 users: Vec<Email>,
    }
}

body! {
    /// Somebody who administers a space or a project.
    AdminInfo {
        /// Their address.
        1 email: Email,
    }
}

body! {
    /// What a space may have. Published clients go on only with one that is valid.
    Subscription {
        /// Its kind, such as `Platinum`.
        1 name: String,
        /// Whether it was given for a trial.
        2 is_free_trial: bool,
        /// Where it was bought.
        3 marketplace: Option<String>,
        /// Since when, in Unix seconds.
        4 start: Option<u64>,
        /// Until when.
        5 end: Option<u64>,
    }
}

impl Subscription {
    /// Whether it holds at this moment, in Unix seconds.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        !self.is_free_trial || self.end.is_some_and(|end| end > now)
    }
}
