//! Spaces and their administrators. `spec: trust 9.3`

use ockam_control::Email;
use ockam_control::controller::message::{
    AdminInfo, CreateSpace, Item, Page, PageRequest, Space, Subscription,
};
use ockam_store::{AccountRecord, AdminChange, HostedSpaceRecord, ProjectName};
use ockam_wire::MAX_MESSAGE;

use super::Controller;
use super::enrollment::PAGE;
use super::requests::{Asked, Done, Refused};
use super::rights::same;
use super::source::new_id;

impl Controller {
    pub(super) async fn list_spaces(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        // spec: extensions 4.8.4
        if let Ok(page) = asked.read::<PageRequest>() {
            return self.page_spaces(asked, &page).await;
        }
        let all = self.all_spaces(asked, shown).await?;
        Ok(Done::with(&all))
    }

    /// All spaces of the caller, as they are told.
    pub(super) async fn all_spaces<T: Item>(
        &self,
        asked: &Asked<'_>,
        told: impl Fn(HostedSpaceRecord) -> T,
    ) -> Result<Vec<T>, Refused> {
        let email = &asked.granted.account()?.email;
        let _alone = self.whole_lists.acquire().await;
        let mut all = Whole::default();
        let mut after = String::new();
        loop {
            let page = self.store.hosted_spaces_of(email, &after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(all.items);
            };
            after.clone_from(&last.id);
            for space in page {
                all.push(told(space))?;
            }
        }
    }

    async fn page_spaces(&self, asked: &Asked<'_>, page: &PageRequest) -> Result<Done, Refused> {
        let (after, limit) = bounds(page);
        let mut spaces = self
            .store
            .hosted_spaces_of(&asked.granted.account()?.email, after, limit + 1)
            .await?;
        let next = cut(&mut spaces, limit, |space| space.id.clone());
        let items: Vec<Space> = spaces.into_iter().map(shown).collect();
        Ok(Done::with(&Page { items, next }))
    }

    pub(super) async fn create_space(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let wanted: CreateSpace = asked.read()?;
        let name = named(&wanted.name)?;
        let admins = admins_with(asked.granted.account()?, &wanted.users)?;
        let id = new_id(&*self.options.source);
        let entry = asked.entry(self, "");
        if !self
            .store
            .create_hosted_space(&id, name, &admins, &entry)
            .await?
        {
            return Err(Refused::Conflict("you have a space of this name"));
        }
        let space = self
            .store
            .hosted_space(&id)
            .await?
            .ok_or(Refused::NotFound)?;
        Ok(Done::with(&shown(space)).noted())
    }

    pub(super) fn show_space(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        Ok(Done::with(&shown(asked.granted.space()?.clone())))
    }

    pub(super) async fn delete_space(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let space = asked.granted.space()?;
        let entry = asked.entry(self, "");
        // Somebody may make another one meanwhile.
        while !self.store.delete_hosted_space(&space.id, &entry).await? {
            let projects = self.store.hosted_projects_in(&space.id).await?;
            self.remove_projects(asked, &projects).await?;
        }
        Ok(Done::nothing().noted())
    }

    pub(super) fn space_admins(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        Ok(Done::with(&infos(asked.granted.space()?.admins.iter())))
    }

    pub(super) async fn add_space_admin(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let space = asked.granted.space()?;
        let email = email(asked)?;
        if space.admins.len() >= MAX_ADMINS {
            return Err(Refused::Conflict("the space has too many administrators"));
        }
        let entry = asked.entry(self, "");
        self.store
            .put_space_admin(&space.id, email.as_str(), &entry)
            .await?;
        self.admins_now(&space.id).await
    }

    pub(super) async fn delete_space_admin(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let space = asked.granted.space()?;
        let email = email(asked)?;
        let entry = asked.entry(self, "");
        let change = self
            .store
            .delete_space_admin(&space.id, email.as_str(), &entry)
            .await?;
        match change {
            AdminChange::Done(due) => self.settle(due).await?,
            AdminChange::Last => {
                return Err(Refused::Conflict("the last administrator of a space stays"));
            }
        }
        self.admins_now(&space.id).await
    }

    async fn admins_now(&self, space: &str) -> Result<Done, Refused> {
        let space = self
            .store
            .hosted_space(space)
            .await?
            .ok_or(Refused::NotFound)?;
        Ok(Done::with(&infos(space.admins.iter())).noted())
    }
}

/// A list that has to fit into one message.
pub(super) struct Whole<T> {
    pub(super) items: Vec<T>,
    length: usize,
}

impl<T> Default for Whole<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            length: 0,
        }
    }
}

impl<T: Item> Whole<T> {
    pub(super) fn push(&mut self, item: T) -> Result<(), Refused> {
        self.length += item.encode().len();
        if self.length > MAX_LIST {
            return Err(Refused::TooLong);
        }
        self.items.push(item);
        Ok(())
    }
}

fn shown(space: HostedSpaceRecord) -> Space {
    Space {
        id: space.id,
        name: space.name,
        users: space.admins,
        subscription: Some(Subscription {
            name: SUBSCRIPTION.to_owned(),
            is_free_trial: false,
            marketplace: None,
            start: None,
            end: None,
        }),
    }
}

/// Where a page begins and how long it is.
pub(super) fn bounds(page: &PageRequest) -> (&str, usize) {
    (page.after.as_deref().unwrap_or_default(), limit(page.limit))
}

pub(super) fn limit(asked: Option<u64>) -> usize {
    asked
        .and_then(|asked| usize::try_from(asked).ok())
        .unwrap_or(PAGE)
        .clamp(1, PAGE)
}

/// Cuts off what is beyond the page; gives back where the next one begins, if there is one.
pub(super) fn cut<T>(
    items: &mut Vec<T>,
    limit: usize,
    id: impl Fn(&T) -> String,
) -> Option<String> {
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more).map(id)
}

/// A name that can stand in routes and commands.
pub(super) fn named(name: &str) -> Result<&str, Refused> {
    match name.parse::<ProjectName>() {
        Ok(_) => Ok(name),
        Err(error) => Err(Refused::Unusable(error.to_string())),
    }
}

/// The address in the path.
pub(super) fn email(asked: &Asked<'_>) -> Result<Email, Refused> {
    asked
        .named
        .get("email")
        .parse()
        .map_err(|_| Refused::Unusable("no email address".to_owned()))
}

/// Whoever asks, and the others.
pub(super) fn admins_with(
    account: &AccountRecord,
    others: &[Email],
) -> Result<Vec<String>, Refused> {
    if others.len() >= MAX_ADMINS {
        return Err(Refused::Unusable("too many users".to_owned()));
    }
    let others = others.iter().map(|email| email.as_str().to_owned());
    let others = others.filter(|email| !same(email, &account.email));
    Ok(std::iter::once(account.email.clone())
        .chain(others)
        .collect())
}

pub(super) fn infos<'a>(emails: impl Iterator<Item = &'a String>) -> Vec<AdminInfo> {
    emails
        .filter_map(|email| email.parse().ok())
        .map(|email| AdminInfo { email })
        .collect()
}

/// What every space has: whoever runs the Orchestrator decides what it may, nobody buys it.
pub(super) const SUBSCRIPTION: &str = "Platinum";
/// Most administrators of one space or project.
pub(super) const MAX_ADMINS: usize = 1000;
/// What fits into a message beside envelope, routes and the layers around it.
const MAX_LIST: usize = MAX_MESSAGE - 64 * 1024;
