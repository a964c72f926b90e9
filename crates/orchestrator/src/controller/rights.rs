//! What a caller may: found out once for each request, from the row of the operation.

use ockam_control::controller::message::Role;
use ockam_store::{AccountRecord, HostedProjectRecord, HostedSpaceRecord};

use super::operations::{Named, Who};
use super::requests::Refused;
use super::{Controller, SpaceMakers};

/// What was found of a caller who may.
#[derive(Debug, Default)]
pub(super) struct Granted {
    account: Option<AccountRecord>,
    space: Option<HostedSpaceRecord>,
    project: Option<HostedProjectRecord>,
}

impl Granted {
    /// The caller's account. The rows of whoever asks for it demand one.
    pub(super) fn account(&self) -> Result<&AccountRecord, Refused> {
        self.account.as_ref().ok_or(Refused::NotEnrolled)
    }

    pub(super) fn space(&self) -> Result<&HostedSpaceRecord, Refused> {
        self.space.as_ref().ok_or(Refused::NotFound)
    }

    pub(super) fn project(&self) -> Result<&HostedProjectRecord, Refused> {
        self.project.as_ref().ok_or(Refused::NotFound)
    }
}

impl Controller {
    pub(super) async fn grant(
        &self,
        who: Who,
        account: Option<AccountRecord>,
        named: &Named<'_>,
    ) -> Result<Granted, Refused> {
        let mut granted = Granted::default();
        let Some(account) = account else {
            return match who {
                Who::Anybody => Ok(granted),
                _ => Err(Refused::NotEnrolled),
            };
        };
        match who {
            Who::Anybody | Who::Enrolled => {}
            Who::SpaceMaker => {
                if self.options.space_makers == SpaceMakers::Administrators
                    && !account.administrator
                {
                    return Err(Refused::Forbidden(
                        "only administrators of the Orchestrator make spaces here",
                    ));
                }
            }
            Who::Administrator => {
                if !account.administrator {
                    return Err(Refused::Forbidden(
                        "only administrators of the Orchestrator may",
                    ));
                }
            }
            Who::SpaceAdmin => {
                granted.space = Some(self.space_of_admin(&account, named.get("space")).await?);
            }
            // Whoever runs the Orchestrator has to find a way for what nobody else cares for any more; it is in the audit log.
            Who::SpaceKeeper if account.administrator => {
                let space = self.store.hosted_space(named.get("space")).await?;
                granted.space = Some(space.ok_or(Refused::NotFound)?);
            }
            Who::SpaceKeeper => {
                granted.space = Some(self.space_of_admin(&account, named.get("space")).await?);
            }
            Who::ProjectUser | Who::ProjectAdmin => {
                let project = match named.find("operation") {
                    Some(operation) => self
                        .store
                        .operation_project(operation)
                        .await?
                        .ok_or(Refused::NotFound)?,
                    None => named.get("project").to_owned(),
                };
                let project = self.project_of_user(&account, &project).await?;
                if who == Who::ProjectAdmin && !is_admin(&project, &account) {
                    return Err(Refused::Forbidden("only administrators of the project may"));
                }
                granted.project = Some(project);
            }
        }
        granted.account = Some(account);
        Ok(granted)
    }

    /// A space that the caller administers. Others do not see it.
    pub(super) async fn space_of_admin(
        &self,
        account: &AccountRecord,
        id: &str,
    ) -> Result<HostedSpaceRecord, Refused> {
        let space = self
            .store
            .hosted_space(id)
            .await?
            .ok_or(Refused::NotFound)?;
        let administers = space.admins.iter().any(|admin| same(admin, &account.email));
        if administers {
            Ok(space)
        } else {
            Err(Refused::NotFound)
        }
    }

    /// A project in which the caller is anything. Others do not see it.
    pub(super) async fn project_of_user(
        &self,
        account: &AccountRecord,
        id: &str,
    ) -> Result<HostedProjectRecord, Refused> {
        let project = self
            .store
            .hosted_project(id)
            .await?
            .ok_or(Refused::NotFound)?;
        let sees = project
            .roles
            .iter()
            .any(|role| same(&role.email, &account.email));
        if sees {
            Ok(project)
        } else {
            Err(Refused::NotFound)
        }
    }
}

/// Whether the account administers the project, by itself or by its space.
pub(super) fn is_admin(project: &HostedProjectRecord, account: &AccountRecord) -> bool {
    project
        .roles
        .iter()
        .any(|role| role.role == Role::Admin.number() && same(&role.email, &account.email))
}

/// Whether two texts are one address.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
