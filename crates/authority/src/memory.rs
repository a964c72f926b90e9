//! Members that are forgotten with the process, for tests and for authorities that start from their pre-trusted members.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ockam_identity::{Identifier, UnixTime};

use crate::members::{
    Change, Code, CodeHash, Known, Member, Members, MembersError, Redemption, Standing, Withdrawal,
};
use crate::sharing::Deed;

/// Members, codes and withdrawals in memory.
#[derive(Debug, Default)]
pub struct MemoryMembers {
    // Held for one operation, which makes it one transaction; never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<Identifier, Member>,
    /// With the place of the latest withdrawal when they were made.
    codes: HashMap<CodeHash, (Code, u64)>,
    /// Of each subject the latest.
    withdrawn: HashMap<Identifier, Withdrawal>,
    /// The same in their order.
    order: BTreeMap<u64, Identifier>,
    latest: u64,
    lifetime: u64,
}

impl MemoryMembers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn withdraw(&mut self, subject: Identifier, before: UnixTime) -> Withdrawal {
        let earlier = self.withdrawn.remove(&subject);
        if let Some(earlier) = earlier {
            self.order.remove(&earlier.sequence);
        }
        self.latest += 1;
        self.codes.retain(|_, (code, _)| code.issued_by != subject);
        let withdrawal = Withdrawal {
            sequence: self.latest,
            subject,
            // spec: extensions 4.5.1 (later than the one before: credentials since then were created at that moment)
            before: before.max(earlier.map_or(before, |earlier| earlier.before.plus(1))),
        };
        self.order.insert(self.latest, subject);
        self.withdrawn.insert(subject, withdrawal);
        withdrawal
    }

    fn behind(&self, after: Option<&Identifier>) -> impl Iterator<Item = (&Identifier, &Member)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.members.range((from, Bound::Unbounded))
    }
}

impl Members for MemoryMembers {
    async fn member(&self, who: &Identifier) -> Result<Option<Known>, MembersError> {
        let state = self.state();
        Ok(state.members.get(who).map(|member| Known {
            member: member.clone(),
            valid_from: state
                .withdrawn
                .get(who)
                .map_or(UnixTime(0), |withdrawn| withdrawn.before),
        }))
    }

    async fn change(
        &self,
        who: &[Identifier],
        _: Option<&Deed<'_>>,
        mut decide: impl FnMut(&Identifier, Option<Member>) -> Change + Send,
    ) -> Result<Vec<Withdrawal>, MembersError> {
        let mut state = self.state();
        let mut withdrawals = Vec::new();
        for who in who {
            let before = match decide(who, state.members.get(who).cloned()) {
                Change::Keep => None,
                Change::Put(member, before) => {
                    state.members.insert(*who, member);
                    before
                }
                Change::Remove(before) => {
                    state.members.remove(who);
                    Some(before)
                }
            };
            withdrawals.extend(before.map(|before| state.withdraw(*who, before)));
        }
        Ok(withdrawals)
    }

    async fn page(
        &self,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<(Identifier, Member)>, MembersError> {
        let state = self.state();
        let page = state.behind(after).take(limit);
        Ok(page.map(|(who, member)| (*who, member.clone())).collect())
    }

    async fn identifiers(
        &self,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Vec<Identifier>, MembersError> {
        let state = self.state();
        Ok(state
            .behind(after)
            .take(limit)
            .map(|(who, _)| *who)
            .collect())
    }

    async fn pre_trusted(&self) -> Result<Vec<Identifier>, MembersError> {
        let state = self.state();
        let members = state.members.iter();
        Ok(members
            .filter(|(_, member)| member.standing == Standing::PreTrusted)
            .map(|(who, _)| *who)
            .collect())
    }

    async fn put_code(
        &self,
        hash: &CodeHash,
        code: &Code,
        _: &Deed<'_>,
    ) -> Result<(), MembersError> {
        let mut state = self.state();
        let behind = state.latest;
        state.codes.insert(*hash, (code.clone(), behind));
        Ok(())
    }

    async fn redeem(
        &self,
        hash: &CodeHash,
        who: &Identifier,
        deed: &Deed<'_>,
    ) -> Result<Redemption, MembersError> {
        let now = deed.at;
        let mut state = self.state();
        if state.members.contains_key(who) {
            return Ok(Redemption::AlreadyMember);
        }
        state.codes.retain(|_, (code, _)| code.expires_at > now);
        // Who was removed does not come back with a code of before, not even with one of the same second.
        let removed = state
            .withdrawn
            .get(who)
            .map_or(0, |withdrawn| withdrawn.sequence);
        let Some((code, _)) = state
            .codes
            .get_mut(hash)
            .filter(|(_, behind)| removed <= *behind)
        else {
            return Ok(Redemption::Unknown);
        };
        let member = Member {
            attributes: code.attributes.clone(),
            added_by: code.issued_by,
            added_at: now,
            standing: Standing::Added,
        };
        code.uses = code.uses.saturating_sub(1);
        if code.uses == 0 {
            state.codes.remove(hash);
        }
        state.members.insert(*who, member);
        Ok(Redemption::Enrolled)
    }

    async fn withdrawals(&self, after: u64, limit: usize) -> Result<Vec<Withdrawal>, MembersError> {
        let state = self.state();
        let behind = state
            .order
            .range((Bound::Excluded(after), Bound::Unbounded));
        Ok(behind
            .filter_map(|(_, subject)| state.withdrawn.get(subject).copied())
            .take(limit)
            .collect())
    }

    async fn latest_withdrawal(&self) -> Result<u64, MembersError> {
        Ok(self.state().latest)
    }

    async fn note_lifetime(&self, seconds: u64) -> Result<u64, MembersError> {
        let mut state = self.state();
        state.lifetime = state.lifetime.max(seconds);
        Ok(state.lifetime)
    }

    async fn tidy(&self, now: UnixTime, withdrawn_before: UnixTime) -> Result<(), MembersError> {
        let mut state = self.state();
        state.codes.retain(|_, (code, _)| code.expires_at > now);
        let oldest_code = state.codes.values().map(|(_, behind)| *behind).min();
        let State {
            withdrawn, order, ..
        } = &mut *state;
        withdrawn.retain(|_, withdrawal| {
            let is_needed = oldest_code.is_some_and(|behind| withdrawal.sequence > behind);
            let kept = is_needed || withdrawal.before >= withdrawn_before;
            if !kept {
                order.remove(&withdrawal.sequence);
            }
            kept
        });
        Ok(())
    }
}
