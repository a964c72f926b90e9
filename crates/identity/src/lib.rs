//! Who somebody is: identifiers, change histories, purpose keys; and what others say of them: credentials.
//!
//! An identity is a chain of signed **changes**, each naming a new primary key. The hash of the first change is the
//! **identifier** and never alters. The latest primary key signs **purpose key attestations**: statements that another key
//! may be used for secure channels or for signing credentials.
//!
//! ```text
//! ChangeHistory          [ Change, .. ]                                          oldest first
//! Change                 [ data: bstr, signature, previous_signature? ]          hash = SHA-256(data)
//! VersionedData          [ version = 1, data_type, data: bstr ]                  inside every `data`
//! ChangeData             [ previous_change?, public_key, revoke, from, until ]   data_type 1
//! PurposeKeyAttestation  [ data: bstr, signature ]
//! AttestationData        [ subject, subject_latest_change, key, created, expires ]   data_type 2
//! CredentialBundle       [ Credential, PurposeKeyAttestation of the issuer ]
//! Credential             [ data: bstr, signature ]
//! CredentialData         [ subject, subject_latest_change, attributes, created, expires ]   data_type 3
//! ```
//!
//! An [`EnrollmentTicket`] carries histories, a project and a one-time code to a new member.
//!
//! This crate keeps no keys, stores nothing and knows no clock. What is to be signed is handed out by a draft; the
//! signature comes back from wherever the key lives.
//!
//! Entry types: [`ChangeHistory`] and [`VerifiedHistory`], [`IdentityDraft`] and [`RotationDraft`],
//! [`PurposeKeyAttestation`] and [`PurposeKeyDraft`], [`CredentialBundle`] and [`CredentialDraft`].
//!
//! Invariants:
//!
//! - A [`VerifiedHistory`], [`VerifiedPurposeKey`] or [`VerifiedCredential`] exists only if every rule of `trust 2.4`,
//!   `trust 3.3` or `trust 4.4` held.
//! - No credential is issued with an attribute named like a value that policies know by themselves. `spec: trust 11.2 (1)`
//! - Received bytes are kept and hashed as they came; nothing is re-encoded. `spec: trust 0.2 (6)`
//! - Version and data type are checked before the data is looked at. `spec: trust 11.1 (2)`
//! - Sizes, counts and nesting are bounded before anything is allocated or verified; trailing bytes are refused.
//!   `spec: trust 11.2 (21)`
//!
//! Specification: `docs/protocol/2-trust.md` sections 2 to 4 and 7.7.

#![no_std]

extern crate alloc;

mod attestation;
mod attributes;
mod cbor;
mod change;
mod credential;
mod draft;
mod history;
mod identifier;
mod one_time_code;
mod project;
mod ticket;
mod time;

pub use attestation::{
    AttestationError, MAX_ATTESTATION_LEN, PURPOSE_KEY_SECONDS, Purpose, PurposeKeyAttestation,
    PurposeKeyDraft, PurposeKeyDraftError, PurposePublicKey, VerifiedPurposeKey,
};
pub use attributes::{
    Attributes, AttributesError, MAX_ATTRIBUTES, MAX_ATTRIBUTES_LEN, MEMBER_SCHEMA,
    RESERVED_ATTRIBUTES,
};
pub use cbor::DecodeError;
pub use credential::{
    CredentialBundle, CredentialClaims, CredentialDraft, CredentialDraftError, CredentialError,
    MAX_CREDENTIAL_BUNDLE_LEN, VerifiedCredential,
};
pub use draft::{DraftError, IdentityDraft, OlderPurposeKeys, RotationDraft};
pub use history::{
    ChangeHistory, Comparison, HistoryError, ImportAction, ImportError, LateChanges, MAX_CHANGES,
    MAX_HISTORY_LEN, OlderHistory, VerifiedChange, VerifiedHistory,
};
pub use identifier::{ChangeHash, Identifier, IdentifierError};
pub use one_time_code::{OneTimeCode, OneTimeCodeError};
pub use project::{MAX_PROJECT_LEN, ProjectDetails, ProjectError, VerifiedProject};
pub use ticket::{EnrollmentTicket, MAX_TICKET_LEN, TicketError};
pub use time::{UnixTime, Validity, ValidityError};
