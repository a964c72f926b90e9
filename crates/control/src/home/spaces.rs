//! Spaces of controllers, as far as the home was told of them.

use ockam_identity::UnixTime;
use ockam_store::{SpaceRecord, StoreError};

use crate::controller::message::{Space, Subscription};
use crate::hint;
use crate::noun::space::{SpaceItem, SubscriptionItem};
use crate::outcome::Failure;
use crate::state::{State, refused};
use crate::value::iso_8601;

/// The space of this name, or with this id.
///
/// # Errors
/// There is none.
pub(crate) async fn find(state: &State, name: &str) -> Result<SpaceRecord, Failure> {
    match state.store().space(name).await {
        Err(error @ StoreError::NoSpace(_)) => {
            let all = state.store().spaces().await.map_err(refused)?;
            let known = all.iter().map(|space| space.name.as_str());
            Err(hint::among(refused(error), name, "spaces", known))
        }
        space => space.map_err(refused),
    }
}

/// What is known of a space, under the name it has here.
///
/// # Errors
/// What is stored is not understood.
pub(crate) fn view(record: &SpaceRecord) -> Result<SpaceItem, Failure> {
    let item: SpaceItem = serde_json::from_str(&record.details).map_err(|error| {
        Failure::internal(
            format!("the stored space {} is not understood", record.name),
            &error,
        )
    })?;
    Ok(SpaceItem {
        name: record.name.to_string(),
        ..item
    })
}

/// A space as it is kept.
pub(crate) fn item(space: &Space) -> SpaceItem {
    SpaceItem {
        id: space.id.clone(),
        name: space.name.clone(),
        users: space.users.clone(),
        subscription: space.subscription.as_ref().map(subscription),
    }
}

fn subscription(told: &Subscription) -> SubscriptionItem {
    let date = |time: Option<u64>| time.map(|time| iso_8601(UnixTime(time)));
    SubscriptionItem {
        name: told.name.clone(),
        is_free_trial: told.is_free_trial,
        marketplace: told.marketplace.clone(),
        start_date: date(told.start),
        end_date: date(told.end),
    }
}

#[cfg(test)]
mod tests {
    use ockam_identity::Identifier;

    use super::*;
    use crate::home::controllers::keep_space;

    #[tokio::test]
    async fn a_space_is_kept_as_its_controller_tells_of_it_and_no_other() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(&directory.path().join("home"), None)
            .await
            .expect("it opens");
        let (ours, other) = (Identifier::new([1; 32]), Identifier::new([2; 32]));
        for known in [&other, &ours] {
            let stored = state.store().put_controller(known, "/tcp/1").await;
            stored.expect("it is stored");
        }
        let mut space = Space {
            id: "s-1".to_owned(),
            name: "default".to_owned(),
            users: vec!["a@b".to_owned()],
            subscription: Some(Subscription {
                name: "Gold".to_owned(),
                is_free_trial: true,
                marketplace: None,
                start: Some(0),
                end: None,
            }),
        };
        let stored = keep_space(&state, &ours, &space).await.expect("it fits");
        assert!(stored.is_default);
        let shown = view(&stored).expect("it reads back");
        let date = shown.subscription.and_then(|gold| gold.start_date);
        assert_eq!(date.as_deref(), Some("1970-01-01T00:00:00Z"));
        space.users.clear();
        assert!(keep_space(&state, &other, &space).await.is_err());
        assert_eq!(find(&state, "s-1").await.expect("it is there"), stored);
        let stored = keep_space(&state, &ours, &space).await.expect("it fits");
        assert!(view(&stored).expect("it reads back").users.is_empty());
        assert!(find(&state, "nobody").await.is_err());
        space.name = "\u{1b}".to_owned();
        assert!(keep_space(&state, &ours, &space).await.is_err());
    }
}
