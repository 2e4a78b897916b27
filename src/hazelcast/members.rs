//! Who is in the cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::read::{Fixed, Frames, Malformed};
use super::uuid::Uuid;

/// The port of members where nothing else is said.
const PORT: u16 = 5701;

/// Where a member can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The port for members and clients.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a member; write HOST:PORT, or HOST for port {PORT}")]
pub struct NoAddress(String);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let fail = || NoAddress(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(fail)?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(fail)?) })
            }
            // An IPv6 address without brackets has no port.
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err(fail());
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(fail)?,
            None => PORT,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(out, "[{host}]:{port}") } else { write!(out, "{host}:{port}") }
    }
}

/// A member, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id, new with each start.
    pub uuid: Uuid,
    /// Where it can be reached.
    pub address: Address,
    /// It holds no entries.
    pub is_lite: bool,
    /// What its configuration says about it.
    pub attributes: BTreeMap<String, String>,
}

/// The members of a cluster, in the order in which they joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Grows with each change.
    pub version: i32,
    /// The members; none before the first answer of any.
    pub list: Vec<Member>,
}

/// Reads an address: its port, then its host.
pub(super) fn address(frames: &mut Frames<'_>) -> Result<Address, Malformed> {
    frames.begin()?;
    let port = Fixed(&frames.value()?).i32(0)?;
    let host = frames.text()?;
    frames.end()?;
    Ok(Address { host, port: u16::try_from(port).map_err(|_| Malformed::Kind)? })
}

/// Reads a member.
pub(super) fn member(frames: &mut Frames<'_>) -> Result<Member, Malformed> {
    frames.begin()?;
    let first = frames.value()?;
    let uuid = Fixed(&first).uuid(0)?.ok_or(Malformed::Kind)?;
    let is_lite = Fixed(&first).u8(super::uuid::UUID_BYTES)? != 0;
    let address = address(frames)?;
    let attributes = frames.list(|frames| Ok((frames.text()?, frames.text()?)))?.into_iter().collect();
    // Its version and further addresses follow.
    frames.end()?;
    Ok(Member { uuid, address, is_lite, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("hz1", "hz1:5701"),
            ("10.0.0.1:5702", "10.0.0.1:5702"),
            ("[::1]:5702", "[::1]:5702"),
            ("[::1]", "[::1]:5701"),
            ("::1", "[::1]:5701"),
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(shown), "{text}");
        }
        for text in ["", ":5701", "hz1:", "hz1:0", "hz1:65536", "[::1", "[::1]5701", "a b", "hz://a"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
