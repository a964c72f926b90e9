//! What policies protect.

use core::fmt;
use core::str::FromStr;

/// A kind of resource that policies protect.
///
/// `spec: trust 6.7`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ResourceType {
    /// The inlet of a portal, by its name.
    TcpInlet = 1,
    /// The outlet of a portal, by its address.
    TcpOutlet = 2,
    /// The echo service, by its address.
    Echoer = 3,
    /// What reads from Kafka.
    KafkaConsumer = 4,
    /// What writes to Kafka.
    KafkaProducer = 5,
    /// The service that makes relays.
    Relay = 6,
    /// The service that leases tokens of InfluxDB.
    InfluxDbLessor = 7,
}

impl ResourceType {
    /// All of them, by their index.
    pub const ALL: [Self; 7] = [
        Self::TcpInlet,
        Self::TcpOutlet,
        Self::Echoer,
        Self::KafkaConsumer,
        Self::KafkaProducer,
        Self::Relay,
        Self::InfluxDbLessor,
    ];

    /// The index in CBOR.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The type with this index.
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.index() == index)
    }

    /// The name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TcpInlet => "tcp-inlet",
            Self::TcpOutlet => "tcp-outlet",
            Self::Echoer => "echoer",
            Self::KafkaConsumer => "kafka-consumer",
            Self::KafkaProducer => "kafka-producer",
            Self::Relay => "relay",
            Self::InfluxDbLessor => "lessor",
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ResourceType {
    type Err = UnknownResourceType;

    fn from_str(text: &str) -> Result<Self, UnknownResourceType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownResourceType)
    }
}

/// A text that names no resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource type is one of tcp-inlet, tcp-outlet, echoer, kafka-consumer, kafka-producer, relay, lessor"
)]
pub struct UnknownResourceType;

/// What somebody wants to do with a resource.
///
/// `spec: trust 6.7`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Action {
    /// Have a message handled: the only action there is.
    #[default]
    HandleMessage = 1,
}

impl Action {
    /// The index in CBOR.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandleMessage => "handle_message",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_index_and_by_name() {
        for (position, kind) in (1..).zip(ResourceType::ALL) {
            assert_eq!(kind.index(), position);
            assert_eq!(ResourceType::from_index(position), Some(kind));
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!(ResourceType::from_index(0), None);
        assert_eq!(ResourceType::from_index(8), None);
        assert_eq!(
            "TCP-INLET".parse::<ResourceType>(),
            Err(UnknownResourceType)
        );
    }
}
