//! What administrators of the Orchestrator see and do. `spec: extensions 4.8.2`

use ockam_control::controller::message::{
    AccountInfo, AuditEntry, InvitationCode, InvitationInfo, NewInvitation, Page, PageRequest,
    ProjectPageRequest, Role, Secret,
};
use ockam_identity::{Identifier, UnixTime};
use ockam_store::{AccountChange, CodeRecord};

use super::Controller;
use super::enrollment::PAGE;
use super::requests::{Asked, Done, Refused};
use super::rights::is_admin;
use super::source::new_id;
use super::spaces::{bounds, cut, limit};

impl Controller {
    pub(super) async fn create_code(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let wanted: NewInvitation = asked.read()?;
        let account = asked.granted.account()?;
        // What is given has to be the caller's: administering the Orchestrator is no right in spaces of others.
        if let Some(space) = &wanted.space_id {
            self.space_of_admin(account, space).await?;
        }
        if let Some(project) = &wanted.project_id {
            let project = self.project_of_user(account, project).await?;
            if !is_admin(&project, account) {
                return Err(Refused::Forbidden("only administrators of the project may"));
            }
        }
        let known = match &wanted.email {
            Some(email) => self.store.account_with_email(email.as_str()).await?,
            None => None,
        };
        // Nobody else comes by somebody's account.
        if known.as_ref().is_some_and(|known| known.id != account.id) {
            return Err(Refused::Conflict(
                "somebody has an account with this address",
            ));
        }
        let now = self.options.source.now();
        let seconds = wanted
            .ttl_secs
            .unwrap_or(USUAL_SECONDS)
            .clamp(1, MAX_SECONDS);
        let role = if wanted.project_admin == Some(true) {
            Role::Admin
        } else {
            Role::Guest
        };
        let record = CodeRecord {
            id: new_id(&*self.options.source),
            email: wanted.email.map(|email| email.as_str().to_owned()),
            administrator: wanted.administrator == Some(true),
            expires_at: UnixTime(now.0.saturating_add(seconds)),
            uses: wanted.uses.unwrap_or(1).clamp(1, MAX_USES),
            issued_by: account.id.clone(),
            account: known.map(|known| known.id),
            space: wanted.space_id,
            project: wanted.project_id,
            role: role.number(),
        };
        let (hash, mut code) = self.new_code();
        let object = format!(
            "code {} for {}",
            record.id,
            record.email.as_deref().unwrap_or("a machine")
        );
        let entry = asked.entry(self, &object);
        self.store
            .put_invitation_code(&hash, &record, None, &entry)
            .await?;
        Ok(Done::with(&InvitationCode {
            id: record.id,
            code: Secret::new(std::mem::take(&mut *code)),
            expires_at: record.expires_at.0,
        })
        .noted())
    }

    pub(super) async fn page_codes(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let page: PageRequest = asked.read()?;
        let (after, limit) = bounds(&page);
        let now = self.options.source.now();
        let mut codes = self
            .store
            .invitation_codes_behind(after, limit + 1, now)
            .await?;
        let next = cut(&mut codes, limit, |code| code.id.clone());
        let items = codes.into_iter().map(|code| InvitationInfo {
            id: code.id,
            email: code.email,
            administrator: code.administrator,
            expires_at: code.expires_at.0,
            uses: code.uses,
            by: code.issued_by,
            space_id: code.space,
            project_id: code.project,
        });
        Ok(Done::with(&Page {
            items: items.collect(),
            next,
        }))
    }

    pub(super) async fn delete_code(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let id = asked.named.get("code");
        let entry = asked.entry(self, &format!("code {id}"));
        if !self.store.delete_invitation_code(id, &entry).await? {
            return Err(Refused::NotFound);
        }
        Ok(Done::nothing().noted())
    }

    pub(super) async fn page_accounts(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let page: PageRequest = asked.read()?;
        let (after, limit) = bounds(&page);
        let mut accounts = self.store.accounts_behind(place(after)?, limit + 1).await?;
        let next = cut(&mut accounts, limit, |(account, _)| {
            account.number.to_string()
        });
        let items = accounts
            .into_iter()
            .map(|(account, identifiers)| AccountInfo {
                id: account.id,
                number: account.number,
                email: account.email,
                administrator: account.administrator,
                created_at: account.created_at.0,
                subject: account.subject,
                issuer: account.issuer,
                identifiers,
            });
        Ok(Done::with(&Page {
            items: items.collect(),
            next,
        }))
    }

    pub(super) async fn delete_account(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let id = asked.named.get("account");
        let entry = asked.entry(self, "");
        self.changed(self.store.delete_account(id, &entry).await?)
            .await
    }

    pub(super) async fn delete_identifier(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let id = asked.named.get("account");
        let identifier: Identifier = asked
            .named
            .get("identifier")
            .parse()
            .map_err(|_| Refused::NotFound)?;
        let entry = asked.entry(self, "");
        let deleted = self
            .store
            .delete_account_identifier(id, &identifier, &entry)
            .await?;
        self.settle(deleted.ok_or(Refused::NotFound)?).await?;
        Ok(Done::nothing().noted())
    }

    pub(super) async fn set_administrator(
        &self,
        asked: &Asked<'_>,
        administrator: bool,
    ) -> Result<Done, Refused> {
        let id = asked.named.get("account");
        let entry = asked.entry(self, "");
        let change = self.store.set_administrator(id, administrator, &entry);
        self.changed(change.await?).await
    }

    async fn changed(&self, change: AccountChange) -> Result<Done, Refused> {
        match change {
            AccountChange::Done => {}
            AccountChange::Deleted(due) => self.settle(due).await?,
            AccountChange::Unknown => return Err(Refused::NotFound),
            AccountChange::LastAdministrator => {
                return Err(Refused::Conflict("the last administrator stays"));
            }
            AccountChange::LastOfSpace { id, name } => {
                return Err(Refused::LastOfSpace { id, name });
            }
        }
        Ok(Done::nothing().noted())
    }

    pub(super) async fn page_relays(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let page: ProjectPageRequest = asked.read()?;
        let mut items = Vec::new();
        let (projects, mut next) = self.some_projects(&page).await?;
        for project in projects {
            items.extend(self.options.hosting.relays(&project).await?);
            if items.len() >= limit(page.limit) {
                next = Some(project);
                break;
            }
        }
        Ok(Done::with(&Page { items, next }))
    }

    pub(super) async fn page_tickets(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let page: ProjectPageRequest = asked.read()?;
        let mut items = Vec::new();
        let (projects, mut next) = self.some_projects(&page).await?;
        for project in projects {
            items.extend(self.options.hosting.tickets(&project).await?);
            if items.len() >= limit(page.limit) {
                next = Some(project);
                break;
            }
        }
        Ok(Done::with(&Page { items, next }))
    }

    /// The projects that a page looks at, and where the next one begins. A page ends between two projects.
    async fn some_projects(
        &self,
        page: &ProjectPageRequest,
    ) -> Result<(Vec<String>, Option<String>), Refused> {
        if let Some(project) = &page.project_id {
            if self.store.hosted_project(project).await?.is_none() {
                return Err(Refused::NotFound);
            }
            let behind = page.after.as_ref() == Some(project);
            return Ok((
                if behind {
                    Vec::new()
                } else {
                    vec![project.clone()]
                },
                None,
            ));
        }
        let after = page.after.as_deref().unwrap_or_default();
        let mut projects = self.store.hosted_projects_behind(after, PAGE + 1).await?;
        let next = cut(&mut projects, PAGE, Clone::clone);
        Ok((projects, next))
    }

    pub(super) async fn page_audit(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let page: PageRequest = asked.read()?;
        let (after, limit) = bounds(&page);
        let mut entries = self.store.audit_behind(place(after)?, limit + 1).await?;
        let next = cut(&mut entries, limit, |entry| entry.sequence.to_string());
        let items = entries.into_iter().map(|entry| AuditEntry {
            sequence: entry.sequence,
            at: entry.at.0,
            actor: entry.note.actor,
            action: entry.note.action,
            object: entry.note.object,
            outcome: entry.note.outcome,
            hash: entry.hash,
        });
        Ok(Done::with(&Page {
            items: items.collect(),
            next,
        }))
    }
}

/// Where a page of what is numbered begins.
fn place(after: &str) -> Result<u64, Refused> {
    if after.is_empty() {
        return Ok(0);
    }
    after
        .parse()
        .map_err(|_| Refused::Unusable("no place in the list".to_owned()))
}

/// How long a code holds if nothing is said.
const USUAL_SECONDS: u64 = 24 * 3600;
const MAX_SECONDS: u64 = 30 * 24 * 3600;
const MAX_USES: u64 = 10_000;
