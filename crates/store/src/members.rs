//! Members of the authorities that run in this home.
//!
//! **Invariants**: a row belongs to one authority, so one never sees another's; a change and the withdrawals that come of it
//! are one transaction, decided with the row as it is; nothing here looks at more rows than it returns or changes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ockam_identity::{Identifier, UnixTime};

use crate::audit::{self, NewAudit};
use crate::enrollment_tokens;
use crate::error::{Failure, StoreError};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;
use crate::withdrawals::{self, WithdrawalRecord};

/// A member as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// What is said of it, encoded by the caller.
    pub attributes: Vec<u8>,
    /// Who added it.
    pub added_by: Identifier,
    /// When.
    pub added_at: UnixTime,
    /// Whether it was named at the start of the authority.
    pub is_pre_trusted: bool,
}

/// What happens to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// Nothing.
    Keep,
    /// It becomes this; credentials created before that moment are void, if one is given.
    Put(MemberRecord, Option<UnixTime>),
    /// It is one no more; credentials created before that moment are void.
    Remove(UnixTime),
}

impl Store {
    /// A member of `authority`, and the moment before which its credentials are void.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn member(
        &self,
        authority: &Identifier,
        who: &Identifier,
    ) -> Result<Option<(MemberRecord, Option<UnixTime>)>, StoreError> {
        self.read(async |db| {
            let Some(member) = look_up(db, authority, who).await? else {
                return Ok(None);
            };
            let withdrawn = withdrawals::of(db, authority, who).await?;
            Ok(Some((member, withdrawn)))
        })
        .await
    }

    /// Decides about each of these by what is stored of it, and does what was decided, all in one transaction. Returns the
    /// withdrawals that came of it; whose credentials are withdrawn, the one-time codes it asked for are forgotten. If anything
    /// changed, there is an entry that may tell how many did.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn change_members(
        &self,
        authority: &Identifier,
        who: &[Identifier],
        entry: Option<&(dyn Fn(usize) -> Option<NewAudit> + Send + Sync)>,
        decide: impl FnMut(&Identifier, Option<MemberRecord>) -> MemberChange + Send,
    ) -> Result<Vec<WithdrawalRecord>, StoreError> {
        // Behind a lock that is never waited for, so that the work can be done again.
        let decide = Mutex::new(decide);
        self.write(async |db| {
            let mut withdrawn = Vec::new();
            let mut changed = 0;
            for who in who {
                let known = look_up(db, authority, who).await?;
                let change = lock(&decide)(who, known);
                changed += usize::from(change != MemberChange::Keep);
                let before = match change {
                    MemberChange::Keep => None,
                    MemberChange::Put(member, before) => {
                        put(db, authority, who, &member).await?;
                        before
                    }
                    MemberChange::Remove(before) => {
                        sql::query("DELETE FROM member WHERE authority = $1 AND identifier = $2")
                            .bind(bytes(authority))
                            .bind(bytes(who))
                            .execute(&mut *db)
                            .await?;
                        Some(before)
                    }
                };
                if let Some(before) = before {
                    withdrawn.push(withdrawals::add(db, authority, who, before).await?);
                    enrollment_tokens::forget_issued_by(db, authority, who).await?;
                }
            }
            let entry = entry.filter(|_| changed > 0);
            if let Some(entry) = entry.and_then(|entry| entry(changed)) {
                audit::append(db, &entry).await?;
            }
            Ok(withdrawn)
        })
        .await
    }

    /// Members of `authority` in the order of their identifiers, beginning behind `after`, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn members_behind(
        &self,
        authority: &Identifier,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<(Identifier, MemberRecord)>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as(
                "SELECT * FROM member WHERE authority = $1 AND identifier > $2 ORDER BY identifier LIMIT $3",
            )
            .bind(bytes(authority))
            .bind(after.map(bytes).unwrap_or_default())
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// The same, identifiers alone.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn member_identifiers_behind(
        &self,
        authority: &Identifier,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<Identifier>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Vec<u8>> = sql::query_scalar(
                "SELECT identifier FROM member WHERE authority = $1 AND identifier > $2
                 ORDER BY identifier LIMIT $3",
            )
            .bind(bytes(authority))
            .bind(after.map(bytes).unwrap_or_default())
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.iter().map(|row| identifier(row)).collect()
        })
        .await
    }

    /// The pre-trusted members of `authority`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pre_trusted_members(
        &self,
        authority: &Identifier,
    ) -> Result<Vec<Identifier>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Vec<u8>> = sql::query_scalar(
                "SELECT identifier FROM member WHERE authority = $1 AND is_pre_trusted = 1",
            )
            .bind(bytes(authority))
            .fetch_all(db)
            .await?;
            rows.iter().map(|row| identifier(row)).collect()
        })
        .await
    }
}

pub(crate) async fn look_up(
    db: &mut Connection,
    authority: &Identifier,
    who: &Identifier,
) -> Result<Option<MemberRecord>, Failure> {
    let row: Option<Stored> =
        sql::query_as("SELECT * FROM member WHERE authority = $1 AND identifier = $2")
            .bind(bytes(authority))
            .bind(bytes(who))
            .fetch_optional(db)
            .await?;
    Ok(row.map(|row| row.0).transpose()?.map(|(_, member)| member))
}

pub(crate) async fn put(
    db: &mut Connection,
    authority: &Identifier,
    who: &Identifier,
    member: &MemberRecord,
) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO member (authority, identifier, attributes, added_by, added_at, is_pre_trusted)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (authority, identifier) DO UPDATE SET attributes = excluded.attributes,
            added_by = excluded.added_by, added_at = excluded.added_at,
            is_pre_trusted = excluded.is_pre_trusted",
    )
    .bind(bytes(authority))
    .bind(bytes(who))
    .bind(member.attributes.clone())
    .bind(bytes(&member.added_by))
    .bind(seconds(member.added_at))
    .bind(member.is_pre_trusted)
    .execute(db)
    .await?;
    Ok(())
}

struct Stored(Result<(Identifier, MemberRecord), Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let who: Vec<u8> = row.try_get("identifier")?;
        let added_by: Vec<u8> = row.try_get("added_by")?;
        let attributes = row.try_get("attributes")?;
        let added_at = time(row.try_get("added_at")?);
        let is_pre_trusted = row.try_get("is_pre_trusted")?;
        Ok(Self(identifier(&who).and_then(|who| {
            Ok((
                who,
                MemberRecord {
                    attributes,
                    added_by: identifier(&added_by)?,
                    added_at,
                    is_pre_trusted,
                },
            ))
        })))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn bytes(identifier: &Identifier) -> Vec<u8> {
    identifier.as_bytes().to_vec()
}

pub(crate) fn identifier(bytes: &[u8]) -> Result<Identifier, Failure> {
    Identifier::try_from(bytes).map_err(|error| Failure::unreadable("identifier", error))
}

/// Times beyond what the database can hold are its latest one.
pub(crate) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(crate) fn time(seconds: i64) -> UnixTime {
    UnixTime(u64::try_from(seconds).unwrap_or(0))
}

pub(crate) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    #[tokio::test]
    async fn a_change_is_decided_with_the_row_as_it_is_and_leaves_its_withdrawals() {
        let (_home, store) = store().await;
        let put = |before| MemberChange::Put(member(b"a"), before);
        let none = store
            .change_members(&id(1), &[id(7), id(8)], None, |_, known| {
                assert_eq!(known, None);
                put(None)
            })
            .await
            .unwrap();
        assert_eq!(none, []);
        assert_eq!(
            store.member(&id(1), &id(7)).await.unwrap(),
            Some((member(b"a"), None))
        );

        let withdrawn = store
            .change_members(&id(1), &[id(7), id(8), id(9)], None, |who, known| {
                assert_eq!(known.is_some(), *who != id(9));
                if *who == id(7) {
                    MemberChange::Remove(UnixTime(50))
                } else if known.is_some() {
                    put(Some(UnixTime(51)))
                } else {
                    MemberChange::Keep
                }
            })
            .await
            .unwrap();
        let told: Vec<_> = withdrawn
            .iter()
            .map(|withdrawal| (withdrawal.subject, withdrawal.before.0))
            .collect();
        assert_eq!(told, [(id(7), 50), (id(8), 51)]);
        assert_eq!(store.member(&id(1), &id(7)).await.unwrap(), None);
        assert_eq!(
            store.member(&id(1), &id(8)).await.unwrap(),
            Some((member(b"a"), Some(UnixTime(51))))
        );
    }

    #[tokio::test]
    async fn guard_11_2_26_authorities_of_one_database_do_not_see_each_others_members() {
        let (_home, store) = store().await;
        for authority in [id(1), id(2)] {
            store
                .change_members(&authority, &[id(7)], None, |_, known| {
                    assert_eq!(known, None);
                    MemberChange::Put(member(authority.as_bytes()), None)
                })
                .await
                .unwrap();
        }
        store
            .change_members(&id(1), &[id(7)], None, |_, _| {
                MemberChange::Remove(UnixTime(5))
            })
            .await
            .unwrap();
        let other = store.member(&id(2), &id(7)).await.unwrap().unwrap();
        assert_eq!(other, (member(id(2).as_bytes()), None));
        assert_eq!(store.latest_withdrawal(&id(2)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_gap_or_overlap() {
        let (_home, store) = store().await;
        let all: Vec<Identifier> = (0..25).map(id).collect();
        store
            .change_members(&id(99), &all, None, |who, _| {
                let mut member = member(b"");
                member.is_pre_trusted = *who == id(3);
                MemberChange::Put(member, None)
            })
            .await
            .unwrap();
        let mut seen = Vec::new();
        loop {
            let page = store
                .members_behind(&id(99), seen.last(), 10)
                .await
                .unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|(who, _)| who));
        }
        assert_eq!(seen, all);
        let behind = store
            .member_identifiers_behind(&id(99), Some(&id(20)), 10)
            .await;
        assert_eq!(behind.unwrap(), all[21..]);
        assert_eq!(store.pre_trusted_members(&id(99)).await.unwrap(), [id(3)]);
    }

    #[tokio::test]
    async fn looking_members_up_uses_an_index() {
        let (_home, store) = store().await;
        for query in [
            "SELECT * FROM member WHERE authority = x'00' AND identifier = x'00'",
            "SELECT * FROM member WHERE authority = x'00' AND identifier > x'' ORDER BY identifier LIMIT 5",
            "SELECT before FROM withdrawal WHERE authority = x'00' AND subject = x'00'",
            "SELECT sequence FROM withdrawal WHERE authority = x'00' AND subject = x'00'",
            "SELECT * FROM withdrawal WHERE authority = x'00' AND sequence > 0 ORDER BY sequence LIMIT 5",
            "SELECT max(sequence) FROM withdrawal WHERE authority = x'00'",
            "DELETE FROM enrollment_token WHERE expires_at <= 5",
            "DELETE FROM withdrawal WHERE authority = x'00' AND before < 5",
            "SELECT identifier FROM member WHERE authority = x'00' AND is_pre_trusted = 1",
        ] {
            let plan: Vec<String> = store
                .read(async |db| {
                    let explain = format!("EXPLAIN QUERY PLAN {query}");
                    let rows = sql::query(sqlx::AssertSqlSafe(explain))
                        .fetch_all(db)
                        .await?;
                    Ok(rows
                        .iter()
                        .map(|row| row.try_get("detail"))
                        .collect::<Result<_, _>>()?)
                })
                .await
                .unwrap();
            let plan = plan.join("; ");
            assert!(plan.contains("SEARCH"), "{query}: {plan}");
            assert!(
                !plan.contains("SCAN") && !plan.contains("TEMP"),
                "{query}: {plan}"
            );
        }
    }

    #[tokio::test]
    #[expect(clippy::print_stderr, reason = "`bench/members` shows the figures")]
    async fn a_members_request_costs_the_same_with_10_and_with_100_000_members() {
        let ((_few_home, few), (_many_home, many)) =
            (populated(10).await, populated(100_000).await);
        let (mut with_few, mut with_many) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            // Turn by turn, so that both meet the same machine.
            for (store, times) in [(&few, &mut with_few), (&many, &mut with_many)] {
                let start = std::time::Instant::now();
                assert!(store.member(&id(1), &id(7)).await.unwrap().is_some());
                times.push(start.elapsed());
            }
        }
        let median = |times: &mut Vec<std::time::Duration>| {
            times.sort();
            times[times.len() / 2]
        };
        let (with_few, with_many) = (median(&mut with_few), median(&mut with_many));
        eprintln!("the row of a member: {with_few:?} among 10, {with_many:?} among 100 000");
        assert!(with_many < with_few * 3, "{with_few:?}, {with_many:?}");
    }

    async fn populated(members: i64) -> (tempfile::TempDir, Store) {
        let (home, store) = store().await;
        store
            .write(async |db| {
                sql::query(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                     INSERT INTO member SELECT $2, randomblob(32), x'a0', $2, 1, 0 FROM n",
                )
                .bind(members)
                .bind(bytes(&id(1)))
                .execute(&mut *db)
                .await?;
                put(db, &id(1), &id(7), &member(b"a")).await
            })
            .await
            .unwrap();
        (home, store)
    }

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    fn member(attributes: &[u8]) -> MemberRecord {
        MemberRecord {
            attributes: attributes.to_vec(),
            added_by: id(5),
            added_at: UnixTime(10),
            is_pre_trusted: false,
        }
    }
}
