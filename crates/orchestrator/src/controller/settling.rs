//! What a change of rights leaves to be done where projects run: done before the change is answered and, should that be cut
//! short, by whichever process finds it.
//!
//! What is done follows from what somebody may at that moment, not from what was changed, so that it may be done twice, late
//! and in any order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ockam_control::controller::message::Role;
use ockam_identity::{Identifier, UnixTime};
use ockam_store::{DueRecord, Dues};

use super::enrollment::{ITSELF, PAGE};
use super::requests::Refused;
use super::rights::same;
use super::{Controller, HostingError};

/// What somebody is in a project by what the controller knows.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Its administrator, by credentials of the controller. Or there is no such project.
    Itself,
    /// A member with these attributes.
    Guest(BTreeMap<String, String>),
    /// Nothing.
    Nobody,
}

impl Controller {
    /// Does what is due.
    pub(super) async fn settle(&self, of: Dues) -> Result<(), Refused> {
        let mut rest = of;
        let mut failed = Ok(());
        loop {
            let page = self.store.due(rest, PAGE).await?;
            let Some(last) = page.last() else {
                return failed;
            };
            rest.after = last.sequence;
            for due in &page {
                // The others are done all the same.
                if let Err(refused) = self.settle_one(due).await {
                    failed = Err(refused);
                }
            }
        }
    }

    async fn settle_one(&self, due: &DueRecord) -> Result<(), Refused> {
        let Some(who) = &due.who else {
            return self
                .finish_deletions(std::slice::from_ref(&due.project), ITSELF)
                .await;
        };
        let mut standing = self.standing(&due.project, who).await?;
        let mut done = Ok(());
        loop {
            let hosting = &self.options.hosting;
            match &standing {
                Standing::Itself => {}
                Standing::Guest(attributes) => {
                    done = hosting.admit(&due.project, who, attributes.clone()).await;
                }
                Standing::Nobody => done = hosting.dismiss(&due.project, who).await,
            }
            let now = self.standing(&due.project, who).await?;
            if now == standing {
                break;
            }
            // What they may was changed meanwhile.
            standing = now;
        }
        let (outcome, refused) = match done {
            Ok(()) => ("done".to_owned(), None),
            // What cannot be done then is not tried for ever.
            Err(error @ (HostingError::Unusable(_) | HostingError::NotOffered(_))) => {
                (format!("refused: {error}"), Some(error))
            }
            Err(error) => return Err(error.into()),
        };
        let object = format!("project {} {who}", due.project);
        let entry = match standing {
            Standing::Itself => None,
            Standing::Guest(_) => Some("member.admit"),
            Standing::Nobody => Some("member.dismiss"),
        };
        let entry = entry.map(|action| self.audit.entry(ITSELF, action, &object, &outcome));
        self.store.settle(due, entry.as_ref()).await?;
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn standing(&self, project: &str, who: &Identifier) -> Result<Standing, Refused> {
        let Some(project) = self.store.hosted_project(project).await? else {
            return Ok(Standing::Itself);
        };
        let Some(account) = self.store.account_of(who).await? else {
            return Ok(Standing::Nobody);
        };
        let is = |role: Role| {
            let number = role.number();
            let mut roles = project.roles.iter();
            roles.any(|known| known.role == number && same(&known.email, &account.email))
        };
        Ok(if is(Role::Admin) {
            Standing::Itself
        } else if is(Role::Guest) {
            Standing::Guest(serde_json::from_slice(&account.attributes).unwrap_or_default())
        } else {
            Standing::Nobody
        })
    }

    /// Deletes projects that are noted as such that are to go. What is known of them goes last.
    pub(super) async fn finish_deletions(
        &self,
        projects: &[String],
        actor: &str,
    ) -> Result<(), Refused> {
        self.options.hosting.delete(projects).await?;
        let gone: Vec<_> = projects
            .iter()
            .map(|project| {
                let object = format!("project {project}");
                let entry = self.audit.entry(actor, DELETE_PROJECT, &object, "done");
                (project.clone(), entry)
            })
            .collect();
        Ok(self.store.delete_hosted_projects(&gone).await?)
    }

    /// Does what others left, as long as this is asked for.
    pub(super) async fn keep_settling(self: Arc<Self>) {
        let mut is_told = false;
        // At the start whatever there is; then what is so old that nobody is at it.
        let mut age = 0;
        loop {
            let until = UnixTime(self.options.source.now().0.saturating_sub(age));
            let settled = self.settle(Dues::until(until)).await;
            if let (Err(error), false) = (&settled, is_told) {
                let cause = std::error::Error::source(error);
                tracing::warn!(
                    ?cause,
                    "what a change left to be done is not done yet: {error}"
                );
            }
            is_told = settled.is_err();
            age = LEFT_SECONDS;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// How the audit log calls the deletion of a project.
pub(super) const DELETE_PROJECT: &str = "project.delete";
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How old something is that whoever began it does no more.
const LEFT_SECONDS: u64 = 30;
