//! Further services a node is started with (spec: command 3.11, `services`).

use ockam_identity::Identifier;
use ockam_store::IdentityName;
use serde::{Deserialize, Deserializer, Serialize};

use crate::noun::secure_channel_listener::ListenerSpec;
use crate::outcome::Failure;
use crate::value::{WorkerName, as_text};

/// Services of a node beside those every node has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeServices {
    /// Who answers handshakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_channel_listener: Option<ListenerService>,
    /// Understood, so that it can be refused by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    control_api: Option<serde_json::Value>,
}

/// A listener for secure channels; at `api` it is in place of the one every node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListenerService {
    /// Its address.
    #[serde(default = "api")]
    pub address: WorkerName,
    /// The identifiers it accepts; any when empty.
    #[serde(
        default,
        deserialize_with = "one_or_more",
        serialize_with = "as_text::list::serialize"
    )]
    pub authorized_identifiers: Vec<Identifier>,
    /// It is not started.
    #[serde(default)]
    pub disabled: bool,
    /// The identity it shows; the node's own when none is given.
    #[serde(default, with = "as_text::option")]
    pub identity: Option<IdentityName>,
}

impl NodeServices {
    /// Refuses what is not offered.
    ///
    /// # Errors
    /// The control API is asked for.
    pub fn check(&self) -> Result<(), Failure> {
        match &self.control_api {
            Some(_) => Err(Failure::unsupported("`control-api` of --services")),
            None => Ok(()),
        }
    }
}

impl ListenerService {
    /// The listener to start, unless it is switched off.
    pub(crate) fn spec(&self) -> Option<ListenerSpec> {
        (!self.disabled).then(|| ListenerSpec {
            address: self.address.clone(),
            authorized: self.authorized_identifiers.clone(),
            identity: self.identity.clone(),
            no_credential: false,
        })
    }
}

fn api() -> WorkerName {
    WorkerName::try_from("api".to_owned()).expect("`api` is an address")
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Identifier>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let texts = match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    };
    texts
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_kept_as_they_were_asked_for() {
        let id = format!("I{}", "0".repeat(64));
        let text = format!(
            r#"{{"secure-channel-listener":{{"address":"a","authorized-identifiers":"{id}"}}}}"#
        );
        let services: NodeServices = serde_json::from_str(&text).expect("it is understood");
        let listener = services
            .secure_channel_listener
            .as_ref()
            .expect("a listener");
        assert_eq!(listener.authorized_identifiers.len(), 1);
        assert!(listener.spec().is_some());
        let kept = serde_json::to_string(&services).expect("plain data");
        let again: NodeServices = serde_json::from_str(&kept).expect("it reads back");
        assert_eq!(again, services);
    }

    #[test]
    fn a_slip_of_the_pen_is_an_error() {
        for text in [
            r#"{"secure-channel-listner":{}}"#,
            r#"{"secure-channel-listener":{"adress":"a"}}"#,
        ] {
            let error = serde_json::from_str::<NodeServices>(text).expect_err("it is unknown");
            assert!(error.to_string().contains("expected"), "{error}");
        }
        let services: NodeServices =
            serde_json::from_str(r#"{"control-api":{"frontend":true}}"#).expect("it is known");
        assert!(services.check().is_err());
    }
}
