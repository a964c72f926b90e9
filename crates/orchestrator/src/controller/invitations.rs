//! Invitations to spaces, projects and services, by address. `spec: trust 9.6`

use ockam_control::controller::message::{
    AccessDetails, CreateInvitation, CreateServiceInvitation, InvitationKind, InvitationList,
    InvitationWithAccess, Item, ListInvitations, ReceivedInvitation, RedeemInvitation,
    RedeemedInvitation, Role, Scope, SentInvitation,
};
use ockam_identity::UnixTime;
use ockam_store::{AccountRecord, InvitationRecord};

use super::requests::{Asked, Done, Refused};
use super::rights::{is_admin, same};
use super::source::new_id;
use super::spaces::Whole;
use super::{Controller, moment};

impl Controller {
    pub(super) async fn invite(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let wanted: CreateInvitation = asked.read()?;
        let account = asked.granted.account()?;
        match (wanted.scope, wanted.grant_role) {
            (Scope::Space, Role::Admin) => {
                drop(self.space_of_admin(account, &wanted.target_id).await?)
            }
            (Scope::Project, Role::Admin | Role::Guest) => {
                let project = self.project_of_user(account, &wanted.target_id).await?;
                if !is_admin(&project, account) {
                    return Err(Refused::Forbidden("only administrators of the project may"));
                }
            }
            _ => return Err(Refused::Unusable("nobody can be that there".to_owned())),
        }
        let invitation = InvitationRecord {
            id: new_id(&*self.options.source),
            owner: account.id.clone(),
            recipient: wanted.recipient_email.as_str().to_owned(),
            role: wanted.grant_role.number(),
            scope: wanted.scope.number(),
            target: wanted.target_id,
            expires_at: self.end(wanted.expires_at.as_deref())?,
            uses: wanted.remaining_uses.unwrap_or(1).clamp(1, MAX_USES),
            ignored: false,
            accepted: false,
            access: None,
        };
        self.sent(asked, account, invitation).await
    }

    pub(super) async fn invite_to_service(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let wanted: CreateServiceInvitation = asked.read()?;
        let account = asked.granted.account()?;
        self.project_of_user(account, &wanted.project_id).await?;
        let access = AccessDetails {
            project_identity: wanted.project_identity,
            project_route: wanted.project_route,
            project_authority_identity: wanted.project_authority_identity,
            project_authority_route: wanted.project_authority_route,
            shared_node_identity: wanted.shared_node_identity,
            shared_node_route: wanted.shared_node_route,
            enrollment_ticket: wanted.enrollment_ticket,
        };
        let invitation = InvitationRecord {
            id: new_id(&*self.options.source),
            owner: account.id.clone(),
            recipient: wanted.recipient_email.as_str().to_owned(),
            role: Role::ServiceUser.number(),
            scope: Scope::Service.number(),
            target: wanted.project_id,
            expires_at: self.end(wanted.expires_at.as_deref())?,
            uses: 1,
            ignored: false,
            accepted: false,
            access: Some(access.encode().to_vec()),
        };
        self.sent(asked, account, invitation).await
    }

    async fn sent(
        &self,
        asked: &Asked<'_>,
        account: &AccountRecord,
        invitation: InvitationRecord,
    ) -> Result<Done, Refused> {
        let sent = self.store.invitations_sent(&account.id, MAX_SENT).await?;
        if sent.len() >= MAX_SENT {
            return Err(Refused::Conflict("you sent too many invitations"));
        }
        let object = format!(
            "invitation {} to {} {}",
            invitation.id, invitation.target, invitation.recipient
        );
        let entry = asked.entry(self, &object);
        self.store.put_invitation(&invitation, &entry).await?;
        let shown = self.as_sent(account, invitation).await?;
        Ok(Done::with(&shown).noted())
    }

    pub(super) async fn list_invitations(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let kind = asked.read::<ListInvitations>()?.kind;
        let account = asked.granted.account()?;
        let wants = |one| kind == InvitationKind::All || kind == one;
        let mut list = InvitationList {
            sent: None,
            received: None,
            accepted: None,
        };
        if wants(InvitationKind::Sent) {
            let mut sent = Whole::default();
            for invitation in self.store.invitations_sent(&account.id, MAX_SENT).await? {
                sent.push(self.as_sent(account, invitation).await?)?;
            }
            list.sent = Some(sent.items);
        }
        let (mut received, mut accepted) = (Whole::default(), Whole::default());
        for invitation in self
            .store
            .invitations_received(&account.email, MAX_SENT)
            .await?
        {
            if invitation.accepted {
                accepted.push(self.with_access(invitation).await?)?;
            } else if invitation.expires_at > self.options.source.now() {
                received.push(self.as_received(&invitation).await?)?;
            }
        }
        list.received = wants(InvitationKind::Received).then_some(received.items);
        list.accepted = wants(InvitationKind::Accepted).then_some(accepted.items);
        Ok(Done::with(&list))
    }

    pub(super) async fn show_invitation(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let account = asked.granted.account()?;
        let invitation = self.seen(asked).await?;
        let is_theirs = same(&invitation.recipient, &account.email);
        // Whoever sent it sees what it is; how the service is reached is for the guest.
        let shown = if is_theirs || invitation.owner == account.id {
            self.with_access(invitation).await?
        } else {
            return Err(Refused::NotFound);
        };
        Ok(Done::with(&shown))
    }

    pub(super) async fn ignore_invitation(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let invitation = self.seen(asked).await?;
        if !same(&invitation.recipient, &asked.granted.account()?.email) {
            return Err(Refused::NotFound);
        }
        let entry = asked.entry(self, &format!("invitation {}", invitation.id));
        self.store.ignore_invitation(&invitation.id, &entry).await?;
        Ok(Done::nothing().noted())
    }

    pub(super) async fn redeem_invitation(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let id = asked.read::<RedeemInvitation>()?.id;
        let account = asked.granted.account()?;
        let entry = asked.entry(self, "");
        let taken = self.store.take_invitation(&id, account, &entry).await?;
        let (taken, due) = taken.ok_or(Refused::NotFound)?;
        self.settle(due).await?;
        let role = Role::numbered(taken.role).unwrap_or(Role::Guest);
        Ok(Done::with(&RedeemedInvitation {
            id,
            role,
            target_id: taken.target,
        })
        .noted())
    }

    /// An invitation that is by the caller or for them.
    async fn seen(&self, asked: &Asked<'_>) -> Result<InvitationRecord, Refused> {
        let account = asked.granted.account()?;
        let found = self.store.invitation(asked.named.get("invitation")).await?;
        found
            .filter(|found| found.owner == account.id || same(&found.recipient, &account.email))
            .ok_or(Refused::NotFound)
    }

    fn end(&self, text: Option<&str>) -> Result<UnixTime, Refused> {
        let now = self.options.source.now();
        let Some(text) = text else {
            return Ok(now.plus(USUAL_SECONDS));
        };
        let end = moment::read(text).filter(|end| *end > now);
        let end =
            end.ok_or_else(|| Refused::Unusable("expires_at is no moment to come".to_owned()))?;
        Ok(end.min(now.plus(MAX_SECONDS)))
    }

    async fn as_sent(
        &self,
        owner: &AccountRecord,
        invitation: InvitationRecord,
    ) -> Result<SentInvitation, Refused> {
        let recipient = self.store.account_with_email(&invitation.recipient).await?;
        Ok(SentInvitation {
            expires_at: moment::write(invitation.expires_at),
            grant_role: Role::numbered(invitation.role).unwrap_or(Role::Guest),
            owner_id: owner.number,
            recipient_email: invitation.recipient,
            remaining_uses: invitation.uses,
            scope: Scope::numbered(invitation.scope).unwrap_or(Scope::Project),
            target_id: invitation.target,
            recipient_id: recipient.map_or(0, |recipient| recipient.number),
            access_details: access(invitation.access),
            id: invitation.id,
        })
    }

    async fn as_received(
        &self,
        invitation: &InvitationRecord,
    ) -> Result<ReceivedInvitation, Refused> {
        let owner = self.store.orchestrator_account(&invitation.owner).await?;
        Ok(ReceivedInvitation {
            id: invitation.id.clone(),
            expires_at: moment::write(invitation.expires_at),
            grant_role: Role::numbered(invitation.role).unwrap_or(Role::Guest),
            owner_email: owner.map(|owner| owner.email).unwrap_or_default(),
            scope: Scope::numbered(invitation.scope).unwrap_or(Scope::Project),
            target_id: invitation.target.clone(),
            ignored: invitation.ignored,
        })
    }

    async fn with_access(
        &self,
        invitation: InvitationRecord,
    ) -> Result<InvitationWithAccess, Refused> {
        let shown = self.as_received(&invitation).await?;
        Ok(InvitationWithAccess {
            invitation: shown,
            access_details: access(invitation.access),
        })
    }
}

fn access(stored: Option<Vec<u8>>) -> Option<AccessDetails> {
    AccessDetails::decode(&stored?).ok()
}

/// How long an invitation holds if nothing is said.
const USUAL_SECONDS: u64 = 7 * 24 * 3600;
const MAX_SECONDS: u64 = 366 * 24 * 3600;
const MAX_USES: u64 = 1000;
/// Most invitations of one account.
const MAX_SENT: usize = 1000;
