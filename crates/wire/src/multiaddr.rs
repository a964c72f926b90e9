//! Multiaddrs: where something is, as a user writes it.
//!
//! ```text
//! /ip4/127.0.0.1/tcp/4000/service/echo
//!  04  7f000001  06  0fa0  bee803  04 6563686f
//! ```
//!
//! Turning one into a [`Route`] connects things, so that is not done here.
//!
//! # Invariants
//!
//! - Both forms are one to one: names hold no `/`, so every value that exists can be written and read back.
//! - Names are at most 255 bytes, because most become names of addresses, and the binary form at most 4096.
//!
//! Specification: messaging 9.1.

use crate::bare::{self, Reader};
use crate::cbor::DecodeError;
use crate::route::MAX_ROUTE;
use crate::{MAX_NAME, Route};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// Most bytes of the binary form.
pub const MAX_MULTIADDR: usize = MAX_ROUTE;

/// One part of a multiaddr.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// IPv4 address of a host.
    Ip4(Ipv4Addr),
    /// IPv6 address of a host.
    Ip6(Ipv6Addr),
    /// Name of a host.
    DnsAddr(String),
    /// TCP port.
    Tcp(u16),
    /// UDP port.
    Udp(u16),
    /// A worker.
    Service(String),
    /// A node of this machine.
    Node(String),
    /// A project.
    Project(String),
    /// A space; not usable in routes.
    Space(String),
    /// Worker that listens for secure channels; a channel is opened to it.
    Secure(String),
    /// A worker.
    Worker(String),
}

/// Why something is not a multiaddr.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiAddrError {
    /// The text has a protocol that does not exist.
    #[error("`{0}` is not a protocol of an address such as /node/n1/service/echo")]
    UnknownProtocol(String),
    /// The text ends behind a protocol.
    #[error("`{0}` in an address needs a value")]
    MissingValue(&'static str),
    /// The text has a value that does not fit its protocol.
    #[error("`{value}` is not a value for `{protocol}`")]
    Value {
        /// The protocol.
        protocol: &'static str,
        /// What was written.
        value: String,
    },
    /// The text ends with `/`.
    #[error("address ends with `/`")]
    TrailingSlash,
    /// A name has a `/`, or is longer than 255 bytes.
    #[error("a name in an address has at most 255 bytes and no `/`")]
    Name,
    /// The binary form is longer than 4096 bytes.
    #[error("address is longer than 4096 bytes")]
    TooLong,
    /// The binary form has a code that does not exist.
    #[error("{0} is not the code of a protocol")]
    UnknownCode(u64),
    /// The binary form is cut off or malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A hop of a route is not a local worker with a name that can be written.
    #[error("a route with a hop that is not a local worker has no address")]
    NotLocal,
}

impl Protocol {
    /// The word in the text form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ip4(_) => "ip4",
            Self::Ip6(_) => "ip6",
            Self::DnsAddr(_) => "dnsaddr",
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
            Self::Service(_) => "service",
            Self::Node(_) => "node",
            Self::Project(_) => "project",
            Self::Space(_) => "space",
            Self::Secure(_) => "secure",
            Self::Worker(_) => "worker",
        }
    }

    /// The number in the binary form.
    #[must_use]
    pub fn code(&self) -> u64 {
        match self {
            Self::Ip4(_) => IP4,
            Self::Ip6(_) => IP6,
            Self::DnsAddr(_) => DNSADDR,
            Self::Tcp(_) => TCP,
            Self::Udp(_) => UDP,
            Self::Service(_) => SERVICE,
            Self::Node(_) => NODE,
            Self::Project(_) => PROJECT,
            Self::Space(_) => SPACE,
            Self::Secure(_) => SECURE,
            Self::Worker(_) => WORKER,
        }
    }

    fn from_text(word: &str, value: Option<&str>) -> Result<Self, MultiAddrError> {
        let named = |protocol| value_of(protocol, value, |value| Some(String::from(value)));
        Ok(match word {
            "ip4" => Self::Ip4(value_of("ip4", value, |value| value.parse().ok())?),
            "ip6" => Self::Ip6(value_of("ip6", value, |value| value.parse().ok())?),
            "tcp" => Self::Tcp(value_of("tcp", value, port)?),
            "udp" => Self::Udp(value_of("udp", value, port)?),
            "dnsaddr" => Self::DnsAddr(named("dnsaddr")?),
            "service" => Self::Service(named("service")?),
            "node" => Self::Node(named("node")?),
            "project" => Self::Project(named("project")?),
            "space" => Self::Space(named("space")?),
            "secure" => Self::Secure(named("secure")?),
            "worker" => Self::Worker(named("worker")?),
            unknown => return Err(MultiAddrError::UnknownProtocol(unknown.into())),
        })
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, MultiAddrError> {
        let code = reader.varint()?;
        Ok(match code {
            IP4 => Self::Ip4(array::<4>(reader)?.into()),
            IP6 => Self::Ip6(array::<16>(reader)?.into()),
            TCP => Self::Tcp(u16::from_be_bytes(array(reader)?)),
            UDP => Self::Udp(u16::from_be_bytes(array(reader)?)),
            DNSADDR => Self::DnsAddr(name(reader)?),
            SERVICE => Self::Service(name(reader)?),
            NODE => Self::Node(name(reader)?),
            PROJECT => Self::Project(name(reader)?),
            SPACE => Self::Space(name(reader)?),
            SECURE => Self::Secure(name(reader)?),
            WORKER => Self::Worker(name(reader)?),
            other => return Err(MultiAddrError::UnknownCode(other)),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        bare::put_varint(out, self.code());
        match self {
            Self::Ip4(address) => out.extend_from_slice(&address.octets()),
            Self::Ip6(address) => out.extend_from_slice(&address.octets()),
            Self::Tcp(port) | Self::Udp(port) => out.extend_from_slice(&port.to_be_bytes()),
            Self::DnsAddr(name)
            | Self::Service(name)
            | Self::Node(name)
            | Self::Project(name)
            | Self::Space(name)
            | Self::Secure(name)
            | Self::Worker(name) => bare::put_bytes(out, name.as_bytes()),
        }
    }

    /// The name, if the value is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Ip4(_) | Self::Ip6(_) | Self::Tcp(_) | Self::Udp(_) => None,
            Self::DnsAddr(name)
            | Self::Service(name)
            | Self::Node(name)
            | Self::Project(name)
            | Self::Space(name)
            | Self::Secure(name)
            | Self::Worker(name) => Some(name),
        }
    }

    fn binary_len(&self) -> usize {
        let value = match self {
            Self::Ip4(_) => 4,
            Self::Ip6(_) => 16,
            Self::Tcp(_) | Self::Udp(_) => 2,
            named => named
                .text()
                .map_or(0, |name| bare::varint_len(name.len() as u64) + name.len()),
        };
        bare::varint_len(self.code()) + value
    }
}

const IP4: u64 = 4;
const TCP: u64 = 6;
const IP6: u64 = 41;
const DNSADDR: u64 = 56;
const UDP: u64 = 273;
const SERVICE: u64 = 62526;
const NODE: u64 = 72526;
const PROJECT: u64 = 82526;
const SPACE: u64 = 92526;
const SECURE: u64 = 99526;
const WORKER: u64 = 102_526;

fn value_of<T>(
    protocol: &'static str,
    value: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, MultiAddrError> {
    let value = value.ok_or(MultiAddrError::MissingValue(protocol))?;
    parse(value).ok_or_else(|| MultiAddrError::Value {
        protocol,
        value: value.into(),
    })
}

fn port(value: &str) -> Option<u16> {
    value
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| value.parse().ok())?
}

fn array<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], DecodeError> {
    reader
        .take(N)?
        .first_chunk()
        .copied()
        .ok_or(DecodeError::Truncated)
}

fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    reader.text().map(String::from)
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.name())?;
        match self {
            Self::Ip4(address) => address.fmt(f),
            Self::Ip6(address) => address.fmt(f),
            Self::Tcp(port) | Self::Udp(port) => port.fmt(f),
            named => f.write_str(named.text().unwrap_or_default()),
        }
    }
}

/// Where something is: a sequence of [`Protocol`] parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MultiAddr {
    protocols: Vec<Protocol>,
}

impl MultiAddr {
    /// An address of these parts.
    ///
    /// # Errors
    /// If a name could not be written, or the whole is too long.
    pub fn new(protocols: impl IntoIterator<Item = Protocol>) -> Result<Self, MultiAddrError> {
        let mut address = Self::default();
        let mut length = 0;
        for protocol in protocols {
            length += protocol.binary_len();
            check(&protocol, length)?;
            address.protocols.push(protocol);
        }
        Ok(address)
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// If anything in it is unknown, cut off or too long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MultiAddrError> {
        if bytes.len() > MAX_MULTIADDR {
            return Err(MultiAddrError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        let mut address = Self::default();
        while !reader.rest().is_empty() {
            let protocol = Protocol::read(&mut reader)?;
            check(&protocol, 0)?;
            address.protocols.push(protocol);
        }
        Ok(address)
    }

    /// The address of a route of local workers.
    ///
    /// # Errors
    /// If a hop is not local, or its name cannot be written.
    pub fn from_route(route: &Route) -> Result<Self, MultiAddrError> {
        let mut address = Self::default();
        for hop in route {
            let name = core::str::from_utf8(hop.name())
                .ok()
                .filter(|_| hop.is_local());
            address.push(Protocol::Service(
                name.ok_or(MultiAddrError::NotLocal)?.into(),
            ))?;
        }
        Ok(address)
    }

    /// Puts a part behind all others.
    ///
    /// # Errors
    /// If its name could not be written, or the whole would be too long; the address is unchanged then.
    pub fn push(&mut self, protocol: Protocol) -> Result<(), MultiAddrError> {
        check(&protocol, self.binary_len() + protocol.binary_len())?;
        self.protocols.push(protocol);
        Ok(())
    }

    /// Puts all parts of another address behind.
    ///
    /// # Errors
    /// If the whole would be too long; the address is unchanged then.
    pub fn append(&mut self, back: &Self) -> Result<(), MultiAddrError> {
        if self.binary_len() + back.binary_len() > MAX_MULTIADDR {
            return Err(MultiAddrError::TooLong);
        }
        self.protocols.extend_from_slice(&back.protocols);
        Ok(())
    }

    /// All parts in order.
    #[must_use]
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// Whether there are no parts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.protocols.is_empty()
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.binary_len());
        for protocol in &self.protocols {
            protocol.put(&mut out);
        }
        out
    }

    fn binary_len(&self) -> usize {
        self.protocols.iter().map(Protocol::binary_len).sum()
    }
}

fn check(protocol: &Protocol, length: usize) -> Result<(), MultiAddrError> {
    if protocol
        .text()
        .is_some_and(|name| name.len() > MAX_NAME || name.contains('/'))
    {
        return Err(MultiAddrError::Name);
    }
    if length > MAX_MULTIADDR {
        Err(MultiAddrError::TooLong)
    } else {
        Ok(())
    }
}

impl FromStr for MultiAddr {
    type Err = MultiAddrError;

    fn from_str(text: &str) -> Result<Self, MultiAddrError> {
        let mut protocols = Vec::new();
        let mut rest = text.strip_prefix('/').unwrap_or(text);
        if rest.is_empty() {
            return if text.is_empty() {
                Ok(Self::default())
            } else {
                Err(MultiAddrError::TrailingSlash)
            };
        }
        loop {
            // spec: messaging 9.1 (the whole remaining text `self`)
            if rest == "self" {
                protocols.push(Protocol::Secure("api".into()));
                break;
            }
            let mut parts = rest.splitn(3, '/');
            let (word, value, next) =
                (parts.next().unwrap_or_default(), parts.next(), parts.next());
            protocols.push(Protocol::from_text(word, value)?);
            match next {
                None => break,
                Some("") => return Err(MultiAddrError::TrailingSlash),
                Some(next) => rest = next,
            }
        }
        Self::new(protocols)
    }
}

impl fmt::Display for MultiAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocols
            .iter()
            .try_for_each(|protocol| protocol.fmt(f))
    }
}

impl<C> minicbor::Encode<C> for MultiAddr {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for MultiAddr {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::from_bytes(d.bytes()?).map_err(minicbor::decode::Error::message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn vectors_are_read_and_written_the_same() {
        for (text, hex) in [
            (
                "/ip4/127.0.0.1/tcp/4000/service/echo",
                "047f000001060fa0bee803046563686f",
            ), // V37
            (
                "/dnsaddr/localhost/udp/4000/service/api",
                "38096c6f63616c686f737491020fa0bee80303617069",
            ), // V38
            (
                "/ip6/::1/tcp/443",
                "29000000000000000000000000000000010601bb",
            ), // V39
            (
                "/project/p1/service/forward_to_n1/secure/api/service/outlet", // V40
                "de8405027031bee8030d666f72776172645f746f5f6e31c6890603617069bee803066f75746c6574",
            ),
            ("/node/n1", "ceb604026e31"), // V41
            ("/worker/w1", "fea006027731"),
            ("/space/s", "eed2050173"),
            ("/service/", "bee80300"), // V44
            ("", ""),
            ("/service//service/a", "bee80300bee8030161"),
        ] {
            let address: MultiAddr = text.parse().unwrap();
            assert_eq!(hex::encode(address.to_bytes()), hex);
            assert_eq!(
                MultiAddr::from_bytes(&hex::decode(hex).unwrap()).unwrap(),
                address
            );
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn self_means_the_channel_listener() {
        for (text, printed) in [
            ("self", "/secure/api"),
            ("/self", "/secure/api"),
            ("/node/n/self", "/node/n/secure/api"),
        ] {
            assert_eq!(text.parse::<MultiAddr>().unwrap().to_string(), printed); // V42
        }
        assert!("self/service/a".parse::<MultiAddr>().is_err());
    }

    #[test]
    fn leading_slash_may_be_left_out() {
        let address: MultiAddr = "worker/w1/service/a".parse().unwrap(); // V43
        assert_eq!(hex::encode(address.to_bytes()), "fea006027731bee8030161");
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in [
            "/",
            "//",
            "/service/a/",
            "/service//",
            "/service",
            "/tcp/",
            "/tcp/65536",
            "/tcp/+1",
            "/tcp/x",
            "/ip4/1.2.3",
            "/ip6/1",
            "/ws/1",
            "service",
            "/tcp",
            "//service/a",
            "/udp-puncture/1",
        ] {
            assert!(text.parse::<MultiAddr>().is_err(), "{text}");
        }
        assert_eq!(
            "/service".parse::<MultiAddr>(),
            Err(MultiAddrError::MissingValue("service"))
        );
        assert_eq!(
            "/tcp".parse::<MultiAddr>(),
            Err(MultiAddrError::MissingValue("tcp"))
        );
    }

    #[test]
    fn malformed_bytes_are_refused() {
        for hex in [
            "00",
            "bee8030000",
            "bee80302",
            "047f0000",
            "0601",
            "bee80301ff",
            "be",
            "8400",
            "bee803032f612f",
        ] {
            assert!(
                MultiAddr::from_bytes(&hex::decode(hex).unwrap()).is_err(),
                "{hex}"
            );
        }
    }

    #[test]
    fn inside_cbor_it_is_a_byte_string() {
        let address: MultiAddr = "/service/a".parse().unwrap();
        let encoded = minicbor::to_vec(&address).unwrap();
        assert_eq!(hex::encode(&encoded), "45bee8030161"); // V45
        assert_eq!(minicbor::decode::<MultiAddr>(&encoded).unwrap(), address);
    }

    #[test]
    fn names_that_cannot_be_written_are_refused() {
        let mut address = MultiAddr::default();
        assert_eq!(
            address.push(Protocol::Service("a/b".into())),
            Err(MultiAddrError::Name)
        );
        assert_eq!(
            address.push(Protocol::Service("x".repeat(256))),
            Err(MultiAddrError::Name)
        );
        for _ in 0..15 {
            address.push(Protocol::Service("x".repeat(255))).unwrap();
        }
        assert_eq!(
            address.push(Protocol::Service("x".repeat(255))),
            Err(MultiAddrError::TooLong)
        );
        assert_eq!(MultiAddr::from_bytes(&address.to_bytes()).unwrap(), address);
    }

    #[test]
    fn route_of_local_workers_has_an_address() {
        let route: Route = "a => b".parse().unwrap();
        assert_eq!(
            MultiAddr::from_route(&route).unwrap().to_string(),
            "/service/a/service/b"
        );
        let route: Route = "a => 1#b:1".parse().unwrap();
        assert_eq!(MultiAddr::from_route(&route), Err(MultiAddrError::NotLocal));
    }
}
