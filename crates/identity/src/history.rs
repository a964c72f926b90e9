//! The chain of changes that is an identity, and what it takes to believe it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use minicbor::Decoder;
use ockam_vault::{Provider, PublicKey, VerifyError};

use crate::cbor::{self, DecodeError};
use crate::change::Change;
use crate::identifier::{ChangeHash, Identifier};
use crate::time::{Validity, ValidityError};

/// The most changes a history may have.
pub const MAX_CHANGES: usize = 64;

/// The most bytes a history may have.
pub const MAX_HISTORY_LEN: usize = 32 * 1024;

/// A decoded change history; nothing of it has been verified, and nothing but [`Self::verify`] can be done with it.
#[derive(Clone)]
pub struct ChangeHistory {
    bytes: Vec<u8>,
    /// Where in `bytes` the changes are, without what encloses them.
    elements: Range<usize>,
    changes: Vec<Change>,
}

impl ChangeHistory {
    /// Reads a history that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no history, too many, or more than a history.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (history, len) = Self::decode_prefix(bytes)?;
        // spec: trust 11.2 (21)
        if len == bytes.len() {
            Ok(history)
        } else {
            Err(DecodeError::TrailingBytes(WHAT))
        }
    }

    /// Reads the history at the start of `bytes`, as it stands inside larger structures, and says how long it is.
    ///
    /// # Errors
    /// As for [`Self::decode`], except that bytes may follow.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        // The extent is found without allocating, so nothing is copied that is too large.
        let len = cbor::item_len(bytes)?;
        if len > MAX_HISTORY_LEN {
            return Err(DecodeError::TooLarge(WHAT));
        }
        let bytes = bytes.get(..len).ok_or(DecodeError::Malformed(WHAT))?;
        let mut decoder = Decoder::new(bytes);
        let mut changes = Vec::new();
        let mut elements = 0..0;
        cbor::structure(&mut decoder, WHAT, |fields| {
            elements = fields.decoder().position()..fields.decoder().position();
            while fields.next()? {
                if changes.len() == MAX_CHANGES {
                    return Err(DecodeError::TooLarge(WHAT));
                }
                changes.push(Change::read(fields.decoder())?);
                elements.end = fields.decoder().position();
            }
            Ok(())
        })?;
        Ok((
            Self {
                bytes: bytes.to_vec(),
                elements,
                changes,
            },
            len,
        ))
    }

    /// Reads the hexadecimal export; surrounding white space is ignored.
    ///
    /// # Errors
    /// [`DecodeError`] if the text is not hex or what it stands for is no history.
    pub fn from_hex(text: &str) -> Result<Self, DecodeError> {
        let text = text.trim();
        if text.len() > 2 * MAX_HISTORY_LEN {
            return Err(DecodeError::TooLarge(WHAT));
        }
        Self::decode(&hex::decode(text).map_err(|_| DecodeError::NotHex)?)
    }

    /// The history's bytes as received.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Verifies the history as the published program does, and refuses changes whose window ends before it begins.
    ///
    /// A change made after the window of the previous key ended is accepted; see [`VerifiedHistory::late_change`] for a warning
    /// and [`Self::verify_with`] to refuse it.
    ///
    /// # Errors
    /// [`HistoryError`] naming the first rule that does not hold.
    pub fn verify(
        self,
        provider: &dyn Provider,
        expected: Option<&Identifier>,
    ) -> Result<VerifiedHistory, HistoryError> {
        self.verify_with(provider, expected, LateChanges::Accept)
    }

    /// Verifies the history; `late` says what becomes of changes made after the previous key's window had ended.
    ///
    /// Where this is stricter than the published program (windows that end before they begin, small-order keys), no history the
    /// published program makes is concerned: no purpose key could be valid under such a window, and it makes no such keys.
    /// `spec: trust 2.4, 11.1 (4), 11.2 (2)`
    ///
    /// # Errors
    /// [`HistoryError`] naming the first rule that does not hold.
    pub fn verify_with(
        self,
        provider: &dyn Provider,
        expected: Option<&Identifier>,
        late: LateChanges,
    ) -> Result<VerifiedHistory, HistoryError> {
        let verified = self.changes_in_order(provider)?;
        let first = verified.first().ok_or(HistoryError::Empty)?;
        let identifier = Identifier::new(*first.hash.as_bytes());
        if let Some(expected) = expected
            && *expected != identifier
        {
            return Err(HistoryError::UnexpectedIdentifier {
                expected: *expected,
                found: identifier,
            });
        }

        // Signatures cost the most, so they come when all else holds.
        let mut previous: Option<&VerifiedChange> = None;
        for (position, (change, verified)) in self.changes.iter().zip(&verified).enumerate() {
            let message = verified.hash.as_bytes();
            provider
                .verify(&verified.primary_public_key, message, &change.signature)
                .map_err(|source| HistoryError::Signature { position, source })?;
            // spec: trust 2.4 (3): a previous signature on the first change is ignored.
            if let Some(previous) = previous {
                let signature = change
                    .previous_signature
                    .as_ref()
                    .ok_or(HistoryError::MissingPreviousSignature { position })?;
                provider
                    .verify(&previous.primary_public_key, message, signature)
                    .map_err(|source| HistoryError::PreviousSignature { position, source })?;
            }
            previous = Some(verified);
        }
        let latest = previous.ok_or(HistoryError::Empty)?.clone();

        let history = VerifiedHistory {
            identifier,
            latest,
            changes: verified,
            bytes: self.bytes,
            elements: self.elements,
        };
        match (late, history.late_change()) {
            (LateChanges::Refuse, Some(position)) => Err(HistoryError::LateChange { position }),
            _ => Ok(history),
        }
    }

    /// Checks everything but signatures and hashes each change.
    fn changes_in_order(
        &self,
        provider: &dyn Provider,
    ) -> Result<Vec<VerifiedChange>, HistoryError> {
        let mut changes: Vec<VerifiedChange> = Vec::with_capacity(self.changes.len());
        for (position, change) in self.changes.iter().enumerate() {
            let content = &change.content;
            match (changes.last(), &content.previous_change) {
                (None, None) => {}
                (None, Some(_)) => return Err(HistoryError::FirstNamesPrevious),
                (Some(previous), named) => {
                    if *named != Some(previous.hash) {
                        return Err(HistoryError::WrongPreviousChange { position });
                    }
                    if content.attestations_valid_from < previous.validity.from() {
                        return Err(HistoryError::StartsEarlier { position });
                    }
                }
            }
            let validity = Validity::new(
                content.attestations_valid_from,
                content.attestations_valid_until,
            )
            .map_err(|source| HistoryError::Window { position, source })?;
            changes.push(VerifiedChange {
                hash: ChangeHash::new(provider.sha256(&[&change.data])),
                primary_public_key: content.primary_public_key.clone(),
                revokes_purpose_keys: content.revoke_all_purpose_keys,
                validity,
            });
        }
        Ok(changes)
    }
}

impl fmt::Debug for ChangeHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangeHistory({})", hex::encode(&self.bytes))
    }
}

/// What becomes of changes made after the previous key's window had ended.
///
/// `spec: trust 11.1 (4)`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LateChanges {
    /// They count, as with the published program.
    #[default]
    Accept,
    /// They make the history invalid.
    Refuse,
}

/// A history of which every rule held. Only verification makes one.
#[derive(Clone)]
pub struct VerifiedHistory {
    identifier: Identifier,
    latest: VerifiedChange,
    /// Never empty; ends with `latest`.
    changes: Vec<VerifiedChange>,
    bytes: Vec<u8>,
    elements: Range<usize>,
}

impl VerifiedHistory {
    /// Reads and verifies a history that fills `bytes`.
    ///
    /// # Errors
    /// [`HistoryError`] naming the first rule that does not hold.
    pub fn decode(
        provider: &dyn Provider,
        bytes: &[u8],
        expected: Option<&Identifier>,
    ) -> Result<Self, HistoryError> {
        ChangeHistory::decode(bytes)?.verify(provider, expected)
    }

    /// Who this is.
    pub const fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// The change whose key signs for this identity now.
    pub const fn latest(&self) -> &VerifiedChange {
        &self.latest
    }

    /// All changes, oldest first; never empty.
    pub fn changes(&self) -> &[VerifiedChange] {
        &self.changes
    }

    /// The history's bytes as received.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hexadecimal export.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.bytes)
    }

    /// The position of the first change made after the previous key's window had ended; worth a warning.
    ///
    /// `spec: trust 11.1 (4)`
    pub fn late_change(&self) -> Option<usize> {
        let pairs = self.changes.iter().zip(self.changes.iter().skip(1));
        let late = |(previous, next): (&VerifiedChange, &VerifiedChange)| {
            next.validity.from() > previous.validity.until()
        };
        pairs
            .into_iter()
            .position(late)
            .map(|position| position + 1)
    }

    /// What this history is to `other`, usually the one that is known.
    ///
    /// Only change hashes are compared: a history that differs in signature bytes is equal. `spec: trust 2.6, 11.1 (6)`
    pub fn compare(&self, other: &Self) -> Comparison {
        let differs = self
            .changes
            .iter()
            .zip(&other.changes)
            .any(|(own, others)| own.hash != others.hash);
        if differs {
            return Comparison::Conflict;
        }
        match self.changes.len().cmp(&other.changes.len()) {
            core::cmp::Ordering::Less => Comparison::Older,
            core::cmp::Ordering::Equal => Comparison::Equal,
            core::cmp::Ordering::Greater => Comparison::Newer,
        }
    }

    /// What is to be done with this received history, given what is stored of the same identity.
    ///
    /// The caller reads `stored` and acts on the answer in one transaction. `spec: trust 2.6`
    ///
    /// # Errors
    /// [`ImportError`] if this history contradicts the stored one, or is older and `older` says to refuse that.
    pub fn import(
        &self,
        stored: Option<&Self>,
        older: OlderHistory,
    ) -> Result<ImportAction, ImportError> {
        let Some(stored) = stored else {
            return Ok(ImportAction::Store);
        };
        match (self.compare(stored), older) {
            (Comparison::Newer, _) => Ok(ImportAction::Store),
            (Comparison::Equal, _) | (Comparison::Older, OlderHistory::Ignore) => {
                Ok(ImportAction::Keep)
            }
            (Comparison::Older, OlderHistory::Refuse) => Err(ImportError::Older(self.identifier)),
            (Comparison::Conflict, _) => Err(ImportError::Conflict(self.identifier)),
        }
    }

    /// The encoded changes without what encloses them.
    pub(crate) fn encoded_changes(&self) -> &[u8] {
        self.bytes.get(self.elements.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for VerifiedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedHistory")
            .field("identifier", &self.identifier)
            .field("changes", &self.changes)
            .finish()
    }
}

/// One change of a verified history; what `identity show --full` prints of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChange {
    hash: ChangeHash,
    primary_public_key: PublicKey,
    revokes_purpose_keys: bool,
    validity: Validity,
}

impl VerifiedChange {
    /// The change's name; of the first one, also the identifier.
    pub const fn hash(&self) -> &ChangeHash {
        &self.hash
    }

    /// The key that signs for the identity from this change on.
    pub const fn primary_public_key(&self) -> &PublicKey {
        &self.primary_public_key
    }

    /// Whether the change says that earlier purpose keys are revoked. They are unusable in any case: attestations name the
    /// latest change. `spec: trust 3.3`
    pub const fn revokes_purpose_keys(&self) -> bool {
        self.revokes_purpose_keys
    }

    /// The window within which purpose keys attested under this change must lie.
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

/// What one history is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same changes.
    Equal,
    /// The same changes and more.
    Newer,
    /// The first of the same changes.
    Older,
    /// Different changes at the same position, or different identities.
    Conflict,
}

/// What is to be done with a received history that is shorter than the stored one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OlderHistory {
    /// It is an error: the peer hides a rotation. Handshake and credential refresh use this.
    #[default]
    Refuse,
    /// Nothing.
    Ignore,
}

/// What is to be done with a received history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ImportAction {
    /// Nothing; what is stored says as much.
    Keep,
    /// It replaces what is stored, if anything is.
    Store,
}

/// Why a received history is not accepted beside the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The peer presented a history from before a rotation that is known here.
    #[error("identity `{0}` presented an older change history than is known")]
    Older(Identifier),
    /// There are two histories of one identity; somebody's key signed both.
    #[error("identity `{0}` presented a change history that contradicts the known one")]
    Conflict(Identifier),
}

/// Why a history is not believed. Positions count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The bytes are no history.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no change.
    #[error("the change history is empty")]
    Empty,
    /// The first change names a change before it.
    #[error("the first change names a previous change")]
    FirstNamesPrevious,
    /// A change does not name the one before it.
    #[error("change {position} does not name the change before it")]
    WrongPreviousChange {
        /// Which change.
        position: usize,
    },
    /// A change takes effect before the one before it.
    #[error("change {position} is valid from an earlier time than the change before it")]
    StartsEarlier {
        /// Which change.
        position: usize,
    },
    /// A change's window ends before it begins.
    #[error("change {position} has no valid window")]
    Window {
        /// Which change.
        position: usize,
        /// The window.
        source: ValidityError,
    },
    /// A change was made after the window of the key before it had ended, and that was to be refused.
    #[error("change {position} was made after the previous key had expired")]
    LateChange {
        /// Which change.
        position: usize,
    },
    /// A change is not signed with its own key.
    #[error("change {position} is not signed with its own key")]
    Signature {
        /// Which change.
        position: usize,
        /// What is wrong with key or signature.
        source: VerifyError,
    },
    /// A later change lacks the signature of the key before it.
    #[error("change {position} lacks the signature of the previous key")]
    MissingPreviousSignature {
        /// Which change.
        position: usize,
    },
    /// A later change is not signed with the key before it.
    #[error("change {position} is not signed with the previous key")]
    PreviousSignature {
        /// Which change.
        position: usize,
        /// What is wrong with key or signature.
        source: VerifyError,
    },
    /// The history is another identity's.
    #[error("the change history belongs to `{found}`, not to `{expected}`")]
    UnexpectedIdentifier {
        /// Whose it should be.
        expected: Identifier,
        /// Whose it is.
        found: Identifier,
    },
}

const WHAT: &str = "change history";
