//! Subscriptions: every space has one of its own, which nobody bought and nobody ends. `spec: trust 9.7`

use ockam_control::controller::message::SubscriptionLegacy;
use ockam_store::HostedSpaceRecord;

use super::Controller;
use super::requests::{Asked, Done, Refused};
use super::spaces::SUBSCRIPTION;

impl Controller {
    pub(super) async fn list_subscriptions(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let all = self.all_spaces(asked, |space| told(&space)).await?;
        Ok(Done::with(&all))
    }

    pub(super) fn show_subscription(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        Ok(Done::with(&told(asked.granted.space()?)))
    }
}

/// It has the id of its space: there is one for each.
fn told(space: &HostedSpaceRecord) -> SubscriptionLegacy {
    SubscriptionLegacy {
        id: space.id.clone(),
        marketplace: String::new(),
        status: "active".to_owned(),
        entitlements: SUBSCRIPTION.to_owned(),
        metadata: String::new(),
        contact_info: space.admins.first().cloned().unwrap_or_default(),
        space_id: Some(space.id.clone()),
    }
}
