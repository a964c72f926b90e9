//! Members that the account authority places, whether the authority runs here or not (spec: trust 7.2, 9.2).
//!
//! They are changed where they are remembered. Authorities that run find out by [`crate::Authority::catch_up`].

use ockam_identity::{Identifier, UnixTime};

use crate::authority::withdrawn_by;
use crate::members::{Change, Member, Members, MembersError, Standing};
use crate::message::{MemberAttributes, RESERVED_BY_AUTHORITIES};
use crate::sharing::Sharing;

/// Makes somebody a member with these attributes in place of those that were placed by the same before. What enrollers of
/// the project gave under names of ockam's own stays: nobody else gives those.
///
/// # Errors
/// [`MembersError`].
pub async fn place<M: Members>(
    members: &M,
    who: &Identifier,
    attributes: &MemberAttributes,
    by: &Identifier,
    now: UnixTime,
    sharing: Sharing,
) -> Result<(), MembersError> {
    members
        .change(std::slice::from_ref(who), None, |_, member| {
            let placed = match &member {
                Some(member) => with_what_stays(attributes, member),
                None => attributes.clone(),
            };
            let before = withdrawn_by(member.as_ref(), &placed, now, sharing);
            let next = Member {
                attributes: placed,
                added_by: *by,
                added_at: member.as_ref().map_or(now, |member| member.added_at),
                standing: member
                    .as_ref()
                    .map_or(Standing::Added, |member| member.standing),
            };
            if member.as_ref() == Some(&next) {
                Change::Keep
            } else {
                Change::Put(next, before)
            }
        })
        .await
        .map(drop)
}

/// Makes somebody no member any more, and void what the authority said of it and the one-time codes it asked for.
///
/// # Errors
/// [`MembersError`].
pub async fn dismiss<M: Members>(
    members: &M,
    who: &Identifier,
    now: UnixTime,
    sharing: Sharing,
) -> Result<(), MembersError> {
    members
        .change(std::slice::from_ref(who), None, |_, _| {
            Change::Remove(sharing.void_before(now))
        })
        .await
        .map(drop)
}

fn with_what_stays(attributes: &MemberAttributes, member: &Member) -> MemberAttributes {
    let mut placed = attributes.clone();
    for (name, value) in member.attributes.iter() {
        if RESERVED_BY_AUTHORITIES.contains(&name) {
            // One that does not fit any more is lost, and with it what it allowed.
            let _ = placed.insert(name, value);
        }
    }
    placed
}
