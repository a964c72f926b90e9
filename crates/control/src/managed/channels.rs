//! Secure channels of a managed node.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{ConnectOptions, Connection};
use ockam_wire::Address;

use crate::ephemeral::{ends_at_listener, item, not_connected};
use crate::managed::link::{Dial, Link};
use crate::managed::registry::Made;
use crate::managed::{CONNECT_TIMEOUT, Kept, Managed};
use crate::noun::secure_channel::{ChannelItem, ChannelSpec, NOUN, SecureChannel};
use crate::outcome::{Code, Failure};
use crate::record::FlowControlId;
use crate::resource::Serve;
use crate::value::WorkerName;

/// How a channel is opened.
#[derive(Debug)]
pub(crate) struct ChannelDial(pub(crate) ChannelSpec);

impl Dial for ChannelDial {
    type Live = Connection;

    async fn dial(&self, node: &Managed, budget: Duration) -> Result<Connection, Failure> {
        let to = ends_at_listener(&node.resolve(&self.0.to).await?)?;
        let options = ConnectOptions {
            identity: node.identity_for(self.0.identity.as_ref()).await?,
            authorized: self.0.authorized.clone(),
            timeout: budget,
        };
        node.node
            .connect(&to, options)
            .await
            .map_err(|error| not_connected(&to, error))
    }

    async fn closed(live: &Connection) {
        live.closed().await;
    }

    async fn close(live: &Connection) {
        live.close().await;
    }

    fn first_hop(live: &Connection) -> Option<Address> {
        live.channels()
            .last()
            .map(|channel| channel.encryptor().clone())
    }
}

/// A channel that is kept open.
pub(crate) type KeptChannel = Link<ChannelDial>;

fn view(link: &KeptChannel) -> ChannelItem {
    let spec = &link.dial.0;
    let live = link.live();
    let mut view = match live.as_ref().and_then(|live| live.channels().last()) {
        Some(channel) => item(channel, &spec.authorized),
        None => ChannelItem {
            address: String::new(),
            route: spec.to.to_string(),
            authorized_identifiers: None,
            flow_control_id: FlowControlId(String::new()),
            their_identifier: String::new(),
            their_change_history: String::new(),
        },
    };
    // The name by which users know it, whatever its present address is.
    view.address = format!("/service/{}", link.name);
    view
}

impl Managed {
    /// Opens a channel on request.
    pub(crate) async fn open_channel(
        self: &Arc<Self>,
        spec: ChannelSpec,
    ) -> Result<ChannelItem, Failure> {
        let dial = Arc::new(ChannelDial(spec));
        let budget = dial.0.timeout.map_or(CONNECT_TIMEOUT, |timeout| timeout.0);
        let connection = dial.dial(self, budget).await?;
        let Some(address) = ChannelDial::first_hop(&connection) else {
            return Err(Failure::new(format!(
                "the route {} does not end at a secure channel listener",
                dial.0.to
            )));
        };
        let name = String::from_utf8_lossy(address.name()).into_owned();
        let kept = Kept {
            name: name.clone(),
            spec: &dial.0,
        };
        if let Err(failure) = self.keep(Made::Asked, NOUN.one, &name, &kept).await {
            connection.close().await;
            return Err(failure);
        }
        self.keep_channel(name, dial, Some(connection), Made::Asked)
    }

    /// Keeps a channel open.
    pub(crate) fn keep_channel(
        self: &Arc<Self>,
        name: String,
        dial: Arc<ChannelDial>,
        live: Option<Connection>,
        made: Made,
    ) -> Result<ChannelItem, Failure> {
        let reservation = self.channels.reserve(&name, made).map_err(|_| {
            Failure::coded(Code::AlreadyExists, format!("the address {name} is in use"))
        })?;
        let link = Link::keep(Arc::downgrade(self), name, dial, live);
        Ok(view(&*reservation.fill(link)?))
    }
}

/// spec: command 3.3 (unknown channel)
fn unknown(name: &WorkerName) -> Failure {
    Failure::coded(
        Code::NotFound,
        format!("Secure channel with address, 0#{name}, not found"),
    )
}

impl Serve<SecureChannel> for Managed {
    async fn create(&self, spec: ChannelSpec) -> Result<ChannelItem, Failure> {
        self.own()?.open_channel(spec).await
    }

    async fn list(&self) -> Result<Vec<ChannelItem>, Failure> {
        Ok(self.channels.all().iter().map(|link| view(link)).collect())
    }

    async fn show(&self, name: &WorkerName) -> Result<ChannelItem, Failure> {
        self.channels
            .find(name.as_str())
            .map(|link| view(&link))
            .ok_or_else(|| unknown(name))
    }

    async fn delete(&self, name: &WorkerName) -> Result<ChannelItem, Failure> {
        let view = <Self as Serve<SecureChannel>>::show(self, name).await?;
        self.forget(NOUN.one, name.as_str()).await?;
        if let Some(link) = self.channels.remove(name.as_str()) {
            link.end().await;
        }
        Ok(view)
    }
}
