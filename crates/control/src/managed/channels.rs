//! Secure channels of a managed node.

use std::sync::Arc;

use ockam_node::{ConnectOptions, Connection};
use ockam_portal::{KeptConnection, KeptOptions};
use ockam_wire::MultiAddr;

use crate::ephemeral::{ends_at_listener, item, not_connected};
use crate::managed::presented::Presenting;
use crate::managed::registry::Made;
use crate::managed::restore::Restore;
use crate::managed::{CONNECT_TIMEOUT, Kept, Managed, local};
use crate::noun::secure_channel::{ChannelItem, ChannelSpec, NOUN, SecureChannel};
use crate::outcome::{Code, Failure};
use crate::record::FlowControlId;
use crate::resource::Serve;
use crate::table::Noun;
use crate::value::WorkerName;

/// A channel that is kept open. Its name is its address, which it keeps.
#[derive(Debug)]
pub(crate) struct KeptChannel {
    name: String,
    spec: ChannelSpec,
    pub(crate) kept: KeptConnection,
}

impl KeptChannel {
    fn view(&self) -> ChannelItem {
        let live = self.kept.live();
        match live.as_ref().and_then(|live| live.channels().last()) {
            Some(channel) => item(channel, &self.spec.authorized),
            None => ChannelItem {
                address: format!("/service/{}", self.name),
                route: self.spec.to.to_string(),
                authorized_identifiers: None,
                flow_control_id: FlowControlId(String::new()),
                their_identifier: String::new(),
                their_change_history: String::new(),
            },
        }
    }
}

impl Managed {
    /// Opens a channel on request.
    pub(crate) async fn open_channel(
        self: &Arc<Self>,
        spec: ChannelSpec,
    ) -> Result<ChannelItem, Failure> {
        let budget = spec.timeout.map_or(CONNECT_TIMEOUT, |timeout| timeout.0);
        let to = ends_at_listener(&self.place_of(&spec.to, Made::Asked).await?)?;
        let (way, options) = self.way_of(&spec).await?;
        let first = ConnectOptions {
            timeout: budget,
            ..options.clone()
        };
        let connection = self
            .node
            .connect(&to, first)
            .await
            .map_err(|error| not_connected(&to, error))?;
        let Some(channel) = connection.channels().last() else {
            return Err(Failure::new(format!(
                "the route {} does not end at a secure channel listener",
                spec.to
            )));
        };
        let name = String::from_utf8_lossy(channel.encryptor().name()).into_owned();
        let kept = Kept {
            name: name.clone(),
            spec: &spec,
        };
        if let Err(failure) = self.keep(Made::Asked, NOUN.one, &name, &kept).await {
            connection.close().await;
            return Err(failure);
        }
        self.keep_channel(name, spec, (way, options), Some(connection), Made::Asked)
    }

    /// Opens a channel again that was asked for earlier.
    pub(crate) async fn restore_channel(
        self: &Arc<Self>,
        kept: Kept<ChannelSpec>,
    ) -> Result<ChannelItem, Failure> {
        let way = self.way_of(&kept.spec).await?;
        self.keep_channel(kept.name, kept.spec, way, None, Made::Restored)
    }

    /// Keeps a channel open: the one that was just opened, or one that is opened now.
    fn keep_channel(
        self: &Arc<Self>,
        name: String,
        spec: ChannelSpec,
        (to, connect): (MultiAddr, ConnectOptions),
        live: Option<Connection>,
        made: Made,
    ) -> Result<ChannelItem, Failure> {
        let reservation = self.channels.reserve(&name, made).map_err(|_| {
            Failure::coded(Code::AlreadyExists, format!("the address {name} is in use"))
        })?;
        let options = KeptOptions {
            over: self.hints_below(&to),
            ..KeptOptions::new(to, connect, local(&name)?)
        };
        let kept = KeptConnection::start(&self.node, options, live);
        let channel = reservation.fill(KeptChannel { name, spec, kept })?;
        Ok(channel.view())
    }

    async fn way_of(&self, spec: &ChannelSpec) -> Result<(MultiAddr, ConnectOptions), Failure> {
        let to = ends_at_listener(&spec.to)?;
        let own = self.identity_for(spec.identity.as_ref()).await?;
        let identity = match &spec.credential {
            Some(credential) => Presenting::with(own, credential.clone()).await?,
            None => own,
        };
        let options = ConnectOptions {
            identity,
            authorized: spec.authorized.clone(),
            timeout: CONNECT_TIMEOUT,
        };
        Ok((to, options))
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
        Ok(self
            .channels
            .all()
            .iter()
            .map(|channel| channel.view())
            .collect())
    }

    async fn show(&self, name: &WorkerName) -> Result<ChannelItem, Failure> {
        self.channels
            .find(name.as_str())
            .map(|channel| channel.view())
            .ok_or_else(|| unknown(name))
    }

    async fn delete(&self, name: &WorkerName) -> Result<ChannelItem, Failure> {
        let view = <Self as Serve<SecureChannel>>::show(self, name).await?;
        self.forget(NOUN.one, name.as_str()).await?;
        if let Some(channel) = self.channels.remove(name.as_str()) {
            channel.kept.stop().await;
        }
        Ok(view)
    }
}

impl Restore for SecureChannel {
    const NOUN: &'static Noun = &NOUN;
    type Kept = Kept<ChannelSpec>;

    async fn restore(node: &Arc<Managed>, kept: Kept<ChannelSpec>) -> Result<(), Failure> {
        node.restore_channel(kept).await.map(drop)
    }
}
