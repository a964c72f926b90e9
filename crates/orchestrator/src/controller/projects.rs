//! Projects, their administrators and addons. `spec: trust 9.4, 9.5`

use std::collections::BTreeMap;

use ockam_control::controller::message::{
    Addon, CreateProject, DisableAddon, Item, OktaConfig, Operation, OperationStarted,
    OperationStatus, Page, PageRequest, Project, ProjectUserRole, Role, Scope, VersionInfo,
};
use ockam_store::{HostedProjectRecord, ProjectBegun};

use super::enrollment::PAGE;
use super::requests::{Asked, Done, Refused};
use super::rights::same;
use super::settling::DELETE_PROJECT;
use super::source::new_id;
use super::spaces::{MAX_ADMINS, Whole, admins_with, bounds, cut, email, infos, named};
use super::{Controller, Hosted};

impl Controller {
    pub(super) async fn list_projects(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        // spec: extensions 4.8.4
        if let Ok(page) = asked.read::<PageRequest>() {
            return self.page_projects(asked, &page).await;
        }
        let email = &asked.granted.account()?.email;
        let _alone = self.whole_lists.acquire().await;
        let mut all = Whole::default();
        let mut after = String::new();
        loop {
            let page = self.store.hosted_projects_of(email, &after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(Done::with(&all.items));
            };
            after.clone_from(&last.id);
            for project in self.shown(page).await? {
                all.push(project)?;
            }
        }
    }

    async fn page_projects(&self, asked: &Asked<'_>, page: &PageRequest) -> Result<Done, Refused> {
        let (after, limit) = bounds(page);
        let email = &asked.granted.account()?.email;
        let mut projects = self
            .store
            .hosted_projects_of(email, after, limit + 1)
            .await?;
        let next = cut(&mut projects, limit, |project| project.id.clone());
        let items = self.shown(projects).await?;
        Ok(Done::with(&Page { items, next }))
    }

    pub(super) async fn create_project(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let wanted: CreateProject = asked.read()?;
        let name = named(&wanted.name)?;
        let space = asked.granted.space()?;
        let admins = admins_with(asked.granted.account()?, &wanted.users)?;
        let source = &*self.options.source;
        let (id, operation) = (new_id(source), new_id(source));
        let begun = asked.entry_with(self, "", BEGUN);
        let begun = self
            .store
            .begin_hosted_project((&id, name, &space.id, &operation), &admins, &begun)
            .await?;
        let id = match begun {
            ProjectBegun::Begun { id, .. } => id,
            ProjectBegun::NameTaken => {
                return Err(Refused::Conflict("the space has a project of this name"));
            }
            ProjectBegun::NoSpace => return Err(Refused::NotFound),
        };
        self.options.hosting.create(&id).await?;
        let entry = asked.entry(self, &format!("project {id} {name}"));
        self.store.finish_hosted_project(&id, &entry).await?;
        let record = self
            .store
            .hosted_project(&id)
            .await?
            .ok_or(Refused::NotFound)?;
        let operation = record.operation.clone();
        let mut project = self.shown_one(record).await?;
        project.operation_id = Some(operation);
        Ok(Done::with(&project).noted())
    }

    pub(super) fn show_operation(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let project = asked.granted.project()?;
        let id = asked.named.get("operation");
        // What is not the making of the project was done before it was answered.
        let status = if project.is_ready || project.operation != id {
            OperationStatus::Succeeded
        } else {
            OperationStatus::Started
        };
        Ok(Done::with(&Operation {
            id: id.to_owned(),
            status,
        }))
    }

    pub(super) async fn show_project(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        Ok(Done::with(
            &self.shown_one(asked.granted.project()?.clone()).await?,
        ))
    }

    pub(super) async fn delete_project(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let id = asked.named.get("project");
        let project = self
            .store
            .hosted_project(id)
            .await?
            .ok_or(Refused::NotFound)?;
        if project.space != asked.granted.space()?.id {
            return Err(Refused::NotFound);
        }
        self.remove_projects(asked, &[(id.to_owned(), project.name)])
            .await?;
        Ok(Done::nothing().noted())
    }

    /// Whoever finds that it was cut short finishes it.
    pub(super) async fn remove_projects(
        &self,
        asked: &Asked<'_>,
        projects: &[(String, String)],
    ) -> Result<(), Refused> {
        let who = asked.caller.identifier().to_string();
        for some in projects.chunks(GONE_AT_ONCE) {
            let (mut ids, mut begun) = (Vec::new(), Vec::new());
            for (id, name) in some {
                let object = format!("project {id} {name}");
                let entry = self.audit.entry(&who, DELETE_PROJECT, &object, BEGUN);
                begun.push((id.clone(), entry));
                ids.push(id.clone());
            }
            self.store.begin_project_deletions(&begun).await?;
            self.finish_deletions(&ids, &who).await?;
        }
        Ok(())
    }

    pub(super) fn project_admins(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        Ok(Done::with(&infos(own_admins(asked.granted.project()?))))
    }

    pub(super) async fn add_project_admin(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let project = asked.granted.project()?;
        let email = email(asked)?;
        if project.roles.len() >= MAX_ADMINS {
            return Err(Refused::Conflict("the project has too many users"));
        }
        let (email, entry) = (email.as_str(), asked.entry(self, ""));
        self.store
            .put_project_role(&project.id, email, Role::Admin.number(), &entry)
            .await?;
        Ok(self.project_admins_now(&project.id).await?.noted())
    }

    pub(super) async fn delete_project_admin(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let project = asked.granted.project()?;
        let email = email(asked)?;
        let mut was_one = false;
        if own_admins(project).any(|admin| same(admin, email.as_str())) {
            let (email, entry) = (email.as_str(), asked.entry(self, ""));
            let role = self.store.delete_project_role(&project.id, email, &entry);
            if let Some(due) = role.await? {
                was_one = true;
                self.settle(due).await?;
            }
        }
        let now = self.project_admins_now(&project.id).await?;
        Ok(if was_one { now.noted() } else { now })
    }

    async fn project_admins_now(&self, project: &str) -> Result<Done, Refused> {
        let project = self
            .store
            .hosted_project(project)
            .await?
            .ok_or(Refused::NotFound)?;
        Ok(Done::with(&infos(own_admins(&project))))
    }

    pub(super) fn list_addons(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let okta = asked.granted.project()?.okta.is_some();
        let addon = |id: &str, description: &str, enabled| Addon {
            id: id.to_owned(),
            description: description.to_owned(),
            enabled,
        };
        Ok(Done::with(&vec![
            addon(OKTA, "Members sign in with Okta", okta),
            addon("confluent", "Kafka of Confluent (not offered here)", false),
            addon(
                "influxdb_token_lease_manager",
                "Leases of InfluxDB tokens (not offered here)",
                false,
            ),
        ]))
    }

    pub(super) async fn configure_okta(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let okta: OktaConfig = asked.read()?;
        let project = asked.granted.project()?.id.clone();
        let kept = okta.encode().to_vec();
        self.options.hosting.check_okta(okta)?;
        self.note_okta(asked, &project, Some(kept)).await
    }

    pub(super) fn configure_other(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        match asked.named.get("addon") {
            "confluent" | "influxdb_token_lease_manager" => Err(Refused::NotOffered(OTHER_ADDON)),
            _ => Err(Refused::UnknownPath),
        }
    }

    pub(super) async fn disable_addon(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let addon: DisableAddon = asked.read()?;
        if addon.addon_id != OKTA {
            return Err(Refused::NotOffered(OTHER_ADDON));
        }
        let project = asked.granted.project()?.id.clone();
        self.note_okta(asked, &project, None).await
    }

    async fn note_okta(
        &self,
        asked: &Asked<'_>,
        project: &str,
        okta: Option<Vec<u8>>,
    ) -> Result<Done, Refused> {
        let operation_id = new_id(&*self.options.source);
        let entry = asked.entry(self, &format!("project {project} {OKTA}"));
        self.store
            .set_hosted_okta(project, okta, &operation_id, &entry)
            .await?;
        Ok(Done::with(&OperationStarted { operation_id }).noted())
    }

    pub(super) fn version(&self) -> Done {
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        Done::with(&VersionInfo {
            version: version.clone(),
            project_version: version,
        })
    }

    async fn shown_one(&self, project: HostedProjectRecord) -> Result<Project, Refused> {
        self.shown(vec![project])
            .await?
            .pop()
            .ok_or(Refused::NotFound)
    }

    /// As they are told, with what runs them.
    async fn shown(&self, projects: Vec<HostedProjectRecord>) -> Result<Vec<Project>, Refused> {
        let ids: Vec<String> = projects.iter().map(|project| project.id.clone()).collect();
        let mut hosted = self.options.hosting.describe(&ids).await?;
        let shown = projects.into_iter().map(|project| {
            let hosted = hosted.remove(&project.id);
            shown(project, hosted)
        });
        Ok(shown.collect())
    }
}

fn shown(project: HostedProjectRecord, hosted: Option<Hosted>) -> Project {
    // One whose making was cut short is not there yet, whatever is there of it.
    let hosted = hosted.filter(|_| project.is_ready);
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for role in &project.roles {
        users
            .entry(role.email.to_lowercase())
            .or_insert_with(|| role.email.clone());
    }
    let user_roles = project.roles.iter().map(|role| ProjectUserRole {
        email: role.email.clone(),
        id: role.number,
        role: Role::numbered(role.role).unwrap_or(Role::Guest),
        scope: if role.of_space {
            Scope::Space
        } else {
            Scope::Project
        },
    });
    Project {
        user_roles: user_roles.collect(),
        users: users.into_values().collect(),
        id: project.id,
        name: project.name,
        space_name: project.space_name,
        space_id: project.space,
        okta_config: project.okta.and_then(|okta| OktaConfig::decode(&okta).ok()),
        kafka_config: None,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        running: Some(hosted.is_some()),
        operation_id: (!project.is_ready).then_some(project.operation),
        access_route: hosted
            .as_ref()
            .map(|hosted| hosted.access_route.clone())
            .unwrap_or_default(),
        identity: hosted.as_ref().map(|hosted| hosted.identity),
        authority_access_route: hosted.as_ref().map(|hosted| hosted.authority_route.clone()),
        authority_identity: hosted
            .as_ref()
            .map(|hosted| hosted.authority_history.clone()),
        project_change_history: hosted.map(|hosted| hosted.history),
    }
}

/// Addresses of the administrators of a project itself.
fn own_admins(project: &HostedProjectRecord) -> impl Iterator<Item = &String> {
    let own = project
        .roles
        .iter()
        .filter(|role| !role.of_space && role.role == Role::Admin.number());
    own.map(|role| &role.email)
}

/// The outcome of what goes on.
const BEGUN: &str = "begun";
/// Projects of a space that are deleted together.
const GONE_AT_ONCE: usize = 100;
const OKTA: &str = "okta";
const OTHER_ADDON: &str = "this addon is not offered here";
