//! What goes beyond the published controller: invitations by code, and what administrators see. `spec: extensions 4.8`

use ockam_identity::Identifier;
use ockam_wire::DecodeError;
use ockam_wire::cbor::{Reader, set_once};

use super::item::{INNER, body};
use super::{Item, Secret};
use crate::value::Email;

body! {
    /// How somebody signs in; nothing when nobody can.
    SignInInfo {
        /// The OpenID Connect provider.
        1 issuer: Option<String>,
        /// What clients are there.
        2 client_id: Option<String>,
        /// For whom access tokens are meant.
        3 audience: Option<String>,
        /// What is asked for.
        4 scopes: Option<Vec<String>>,
    }
}

body! {
    /// Who the caller is here.
    Me {
        /// The id of the account.
        1 id: String,
        /// Its number, as roles in projects have it.
        2 number: u64,
        /// Its address.
        3 email: String,
        /// Whether it administers the Orchestrator.
        4 administrator: bool,
    }
}

body! {
    /// Invites by a one-time code.
    NewInvitation {
        /// The address of the account; one is made up for machines.
        1 email: Option<Email>,
        /// Whether they administer the Orchestrator.
        2 administrator: Option<bool>,
        /// For how many seconds it can be redeemed.
        3 ttl_secs: Option<u64>,
        /// How many accounts it makes; one if absent.
        4 uses: Option<u64>,
        /// The space they administer.
        5 space_id: Option<String>,
        /// The project they come to.
        6 project_id: Option<String>,
        /// Whether they administer that project.
        7 project_admin: Option<bool>,
    }
}

body! {
    /// An invitation and its code, which is told once.
    InvitationCode {
        /// Its id.
        1 id: String,
        /// The code, 64 hex digits.
        2 code: Secret,
        /// Until when, in Unix seconds.
        3 expires_at: u64,
    }
}

body! {
    /// An invitation by code, without the code.
    InvitationInfo {
        /// Its id.
        1 id: String,
        /// The address of the account.
        2 email: Option<String>,
        /// Whether they administer the Orchestrator.
        3 administrator: bool,
        /// Until when, in Unix seconds.
        4 expires_at: u64,
        /// How often it can still be redeemed.
        5 uses: u64,
        /// Whose it is.
        6 by: String,
        /// The space they administer.
        7 space_id: Option<String>,
        /// The project they come to.
        8 project_id: Option<String>,
    }
}

body! {
    /// An account.
    AccountInfo {
        /// Its id.
        1 id: String,
        /// Its number.
        2 number: u64,
        /// Its address.
        3 email: String,
        /// Whether it administers the Orchestrator.
        4 administrator: bool,
        /// Since when, in Unix seconds.
        5 created_at: u64,
        /// Who signed in, as the issuer names them.
        6 subject: Option<String>,
        /// The issuer.
        7 issuer: Option<String>,
        /// The identities that act for it.
        8 identifiers: Vec<Identifier>,
    }
}

body! {
    /// A relay that is connected.
    RelayItem {
        /// Its project.
        1 project_id: String,
        /// Its name.
        2 name: String,
        /// Whose it is.
        3 owner: Option<Identifier>,
        /// From where it is connected.
        4 from: String,
        /// Since when, in Unix seconds.
        5 since: u64,
    }
}

body! {
    /// A ticket and what became of it, never its code.
    TicketItem {
        /// Its project.
        1 project_id: String,
        /// How logs name it.
        2 reference: String,
        /// Who issued it.
        3 issued_by: Identifier,
        /// When, in Unix seconds.
        4 issued_at: u64,
        /// Until when.
        5 expires_at: u64,
        /// How often it can still be redeemed.
        6 uses_left: u64,
        /// Who redeemed it.
        7 used: Vec<TicketUse>,
    }
}

body! {
    /// Somebody redeemed a ticket.
    TicketUse {
        /// Who.
        1 by: Identifier,
        /// When, in Unix seconds.
        2 at: u64,
    }
}

body! {
    /// An entry of the audit log.
    AuditEntry {
        /// Its place, from 1.
        1 sequence: u64,
        /// When, in Unix seconds.
        2 at: u64,
        /// Who: an identifier, or what acted by itself.
        3 actor: String,
        /// What.
        4 action: String,
        /// On what.
        5 object: String,
        /// How it ended.
        6 outcome: String,
        /// The hash that covers this entry and all before.
        7 hash: [u8; 32],
    }
}

body! {
    /// Asks for a page of a list.
    PageRequest {
        /// It begins behind this one; at the start if absent.
        1 after: Option<String>,
        /// At most so many.
        2 limit: Option<u64>,
    }
}

body! {
    /// Asks for a page of what belongs to a project.
    ProjectPageRequest {
        /// It begins behind this one; at the start if absent.
        1 after: Option<String>,
        /// At most so many.
        2 limit: Option<u64>,
        /// The project; all if absent.
        3 project_id: Option<String>,
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub next: Option<String>,
}

impl<T: Item> Item for Page<T> {
    fn write<W: minicbor::encode::Write>(
        &self,
        out: &mut minicbor::Encoder<W>,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        out.map(1 + u64::from(self.next.is_some()))?.u64(1)?;
        self.items.write(out)?;
        if let Some(next) = &self.next {
            out.u64(2)?;
            next.write(out)?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (mut items, mut next) = (None, None);
        reader.entries(|reader, key| match key {
            1 => set_once(&mut items, "items", Item::read(reader)?),
            2 => set_once(&mut next, "next", Item::read(reader)?),
            _ => reader.skip(INNER),
        })?;
        Ok(Self {
            items: items.ok_or(DecodeError::Missing("items"))?,
            next,
        })
    }
}
