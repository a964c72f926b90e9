//! The audit log of an Orchestrator: a chain of entries that only grows.
//!
//! **Invariants**: places have no gaps; each hash covers the entry and the hash before it; the database refuses to change and to
//! delete entries. An entry is appended in the transaction of the change that it tells of, which holds the right to write: there is
//! neither without the other, and two processes make one chain.
//!
//! Specification: extensions 4.8.3.

use ockam_identity::UnixTime;

use crate::error::{Failure, StoreError};
use crate::members::{count, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place, from 1.
    pub sequence: u64,
    /// When.
    pub at: UnixTime,
    /// What was noted.
    pub note: AuditNote,
    /// The hash that covers this entry and all before.
    pub hash: [u8; 32],
}

/// What an entry says. No codes, tokens and keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditNote {
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// How it ended.
    pub outcome: String,
}

/// An entry that is to be appended in the transaction of the change that it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub at: UnixTime,
    /// What is noted. Where only the transaction finds out on what it acts, that is filled in there.
    pub note: AuditNote,
}

impl NewAudit {
    /// The same, on this.
    pub(crate) fn on(&self, object: String) -> Self {
        let mut entry = self.clone();
        entry.note.object = object;
        entry
    }
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many entries are as they were written.
    pub sound: u64,
    /// The hash of the last of them.
    pub hash: [u8; 32],
    /// The place of the first entry that is not, or that is not there.
    pub broken: Option<u64>,
}

impl AuditRecord {
    /// The hash of an entry behind one with this hash.
    #[must_use]
    pub fn hash_behind(
        previous: &[u8; 32],
        sequence: u64,
        at: UnixTime,
        note: &AuditNote,
    ) -> [u8; 32] {
        let mut bytes = vec![0x87, 0x58, 0x20];
        bytes.extend_from_slice(previous);
        head(&mut bytes, 0x00, sequence);
        head(&mut bytes, 0x00, at.0);
        for text in [&note.actor, &note.action, &note.object, &note.outcome] {
            head(&mut bytes, 0x60, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
        ockam_vault::fast().sha256(&[&bytes])
    }
}

/// The shortest head of a CBOR item.
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let bytes = argument.to_be_bytes();
    let [.., low] = bytes;
    let (first, length) = match argument {
        0..=0x17 => (low, 0),
        0x18..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major | first);
    out.extend(bytes.iter().skip(8 - length));
}

impl Store {
    /// Appends an entry of something that changes no table here.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn append_audit(&self, entry: &NewAudit) -> Result<AuditRecord, StoreError> {
        self.write(async |db| append(db, entry).await).await
    }

    /// Entries behind a place, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn audit_behind(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.read(async |db| {
            behind(db, after, limit)
                .await?
                .into_iter()
                .map(|row| row.0)
                .collect()
        })
        .await
    }

    /// Goes through the whole chain.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let mut verdict = AuditVerdict {
            sound: 0,
            hash: [0; 32],
            broken: None,
        };
        loop {
            let page = self
                .read(async |db| behind(db, verdict.sound, VERIFIED_AT_ONCE).await)
                .await?;
            if page.is_empty() {
                return Ok(verdict);
            }
            for row in page {
                let next = verdict.sound + 1;
                // A hash of another length was not written here.
                let expected = row.0.ok().filter(|entry| {
                    entry.sequence == next
                        && entry.hash
                            == AuditRecord::hash_behind(&verdict.hash, next, entry.at, &entry.note)
                });
                let Some(entry) = expected else {
                    verdict.broken = Some(next);
                    return Ok(verdict);
                };
                verdict.sound = next;
                verdict.hash = entry.hash;
            }
        }
    }
}

/// Appends an entry, in the transaction of the change that it tells of.
pub(crate) async fn append(db: &mut Connection, entry: &NewAudit) -> Result<AuditRecord, Failure> {
    let last = last(db).await?;
    let (sequence, previous) = last.map_or((1, [0; 32]), |last| (last.sequence + 1, last.hash));
    // What the database holds is what is hashed.
    let at = time(seconds(entry.at));
    let note = AuditNote {
        actor: shortened(&entry.note.actor),
        action: shortened(&entry.note.action),
        object: shortened(&entry.note.object),
        outcome: shortened(&entry.note.outcome),
    };
    let hash = AuditRecord::hash_behind(&previous, sequence, at, &note);
    sql::query(
        "INSERT INTO audit (sequence, at, actor, action, object, outcome, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
    .bind(seconds(at))
    .bind(note.actor.clone())
    .bind(note.action.clone())
    .bind(note.object.clone())
    .bind(note.outcome.clone())
    .bind(hash.to_vec())
    .execute(db)
    .await?;
    Ok(AuditRecord {
        sequence,
        at,
        note,
        hash,
    })
}

/// Texts come from peers: not too long, and nothing that steers a terminal or that a database does not take.
fn shortened(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_TEXT)
        .collect()
}

async fn last(db: &mut Connection) -> Result<Option<AuditRecord>, Failure> {
    let row: Option<Stored> = sql::query_as("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")
        .fetch_optional(db)
        .await?;
    row.map(|row| row.0).transpose()
}

async fn behind(db: &mut Connection, after: u64, limit: usize) -> Result<Vec<Stored>, Failure> {
    Ok(
        sql::query_as("SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2")
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(count(limit))
            .fetch_all(db)
            .await?,
    )
}

struct Stored(Result<AuditRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let hash: Vec<u8> = row.try_get("hash")?;
        let sequence = time(row.try_get("sequence")?).0;
        let at = time(row.try_get("at")?);
        let note = AuditNote {
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            object: row.try_get("object")?,
            outcome: row.try_get("outcome")?,
        };
        let hash = <[u8; 32]>::try_from(hash.as_slice());
        Ok(Self(
            hash.map(|hash| AuditRecord {
                sequence,
                at,
                note,
                hash,
            })
            .map_err(|error| Failure::unreadable("hash of an entry", error)),
        ))
    }
}

/// Most characters of one text.
const MAX_TEXT: usize = 300;
const VERIFIED_AT_ONCE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    fn entry(at: u64, object: &str) -> NewAudit {
        NewAudit {
            at: UnixTime(at),
            ..crate::testing::entry()
        }
        .on(object.to_owned())
    }

    #[test]
    fn the_hash_is_that_of_the_documented_array() {
        let note = AuditNote {
            actor: "a".into(),
            action: "b".into(),
            object: "c".into(),
            outcome: "d".into(),
        };
        let mut bytes = vec![0x87, 0x58, 0x20];
        bytes.extend([0; 32]);
        bytes.extend([
            0x01, 0x19, 0x03, 0xe8, 0x61, b'a', 0x61, b'b', 0x61, b'c', 0x61, b'd',
        ]);
        let expected = ockam_vault::fast().sha256(&[&bytes]);
        assert_eq!(
            AuditRecord::hash_behind(&[0; 32], 1, UnixTime(1000), &note),
            expected
        );
    }

    #[tokio::test]
    async fn guard_o07_entries_are_never_changed() {
        let (_home, store) = store().await;
        for number in 0..5 {
            store
                .append_audit(&entry(1000 + number, &number.to_string()))
                .await
                .unwrap();
        }
        let verdict = store.verify_audit().await.unwrap();
        assert_eq!((verdict.sound, verdict.broken), (5, None));
        for statement in [
            "UPDATE audit SET actor = 'x' WHERE sequence = 3",
            "DELETE FROM audit WHERE sequence = 3",
        ] {
            let refused = store
                .write(async |db| Ok(sql::query(statement).execute(db).await?))
                .await;
            assert!(refused.is_err(), "{statement}");
        }
    }

    #[tokio::test]
    async fn guard_o07_an_entry_that_is_changed_removed_inserted_or_elsewhere_breaks_the_chain() {
        // Somebody who can change the tables can do this.
        for (statement, broken) in [
            ("UPDATE audit SET actor = 'x' WHERE sequence = 3", Some(3)),
            ("DELETE FROM audit WHERE sequence = 1", Some(1)),
            ("DELETE FROM audit WHERE sequence = 2", Some(2)),
            (
                "INSERT INTO audit (sequence, at, actor, action, object, outcome, hash) \
                 SELECT 6, at, actor, action, object, outcome, hash FROM audit WHERE sequence = 5",
                Some(6),
            ),
            (
                "UPDATE audit SET object = CASE sequence WHEN 2 THEN '2' ELSE '1' END WHERE sequence IN (2, 3)",
                Some(2),
            ),
        ] {
            let (_home, store) = store().await;
            for number in 0..5 {
                store
                    .append_audit(&entry(1000 + number, &number.to_string()))
                    .await
                    .unwrap();
            }
            assert_eq!(store.verify_audit().await.unwrap().broken, None);
            store
                .write(async |db| {
                    let triggers: &[&str] = match db.kind() {
                        sql::Kind::File => &[
                            "DROP TRIGGER audit_not_changed",
                            "DROP TRIGGER audit_not_deleted",
                        ],
                        sql::Kind::Server => &["DROP TRIGGER audit_is_kept ON audit"],
                    };
                    for trigger in triggers {
                        sql::query(*trigger).execute(&mut *db).await?;
                    }
                    sql::query(statement).execute(&mut *db).await?;
                    Ok(())
                })
                .await
                .unwrap();
            assert_eq!(
                store.verify_audit().await.unwrap().broken,
                broken,
                "{statement}"
            );
        }
    }

    #[tokio::test]
    async fn many_that_append_at_once_make_one_chain() {
        let (home, store) = store().await;
        let second = crate::testing::another(&store).await;
        let tasks: Vec<_> = (0..40)
            .map(|number| {
                let store = if number % 2 == 0 {
                    store.clone()
                } else {
                    second.clone()
                };
                tokio::spawn(async move {
                    store
                        .append_audit(&entry(1, &number.to_string()))
                        .await
                        .unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let verdict = store.verify_audit().await.unwrap();
        assert_eq!((verdict.sound, verdict.broken), (40, None));
        drop(home);
    }
}
