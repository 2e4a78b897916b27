//! Numbers, texts and addresses as bytes: what hand-overs and shared stores are written in.
//!
//! Big-endian; what has no fixed length says it first. A reader believes no length: it takes only what is there.

use std::net::{IpAddr, SocketAddr};

/// Longest text: names of nodes and groups, reasons.
const TEXT_MAX: usize = u16::MAX as usize;

/// The bytes are not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken bytes: {0}")]
pub struct Broken(pub &'static str);

/// Writes fields at the end of a buffer.
#[derive(Debug)]
pub struct Put<'a>(pub &'a mut Vec<u8>);

impl Put<'_> {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Cut at its greatest length; no name of a checked configuration is that long.
    pub fn text(&mut self, value: &str) {
        let end = (0..=value.len().min(TEXT_MAX)).rev().find(|&end| value.is_char_boundary(end)).unwrap_or(0);
        self.u16(end as u16);
        self.0.extend_from_slice(&value.as_bytes()[..end]);
    }

    pub fn address(&mut self, value: SocketAddr) {
        match value.ip() {
            IpAddr::V4(ip) => {
                self.u8(4);
                self.0.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.u8(6);
                self.0.extend_from_slice(&ip.octets());
            }
        }
        self.u16(value.port());
    }
}

/// Reads fields from the beginning of a message.
#[derive(Debug)]
pub struct Get<'a>(pub &'a [u8]);

impl<'a> Get<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Broken("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let bytes = self.bytes(N)?;
        bytes.try_into().map_err(|_| Broken("it ends early"))
    }

    pub fn u8(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn u128(&mut self) -> Result<u128, Broken> {
        self.array().map(u128::from_be_bytes)
    }

    pub fn text(&mut self) -> Result<&'a str, Broken> {
        let length = self.u16()?;
        std::str::from_utf8(self.bytes(length.into())?).map_err(|_| Broken("a text is none"))
    }

    pub fn address(&mut self) -> Result<SocketAddr, Broken> {
        let ip = match self.u8()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return Err(Broken("an address of no known kind")),
        };
        Ok(SocketAddr::new(ip, self.u16()?))
    }

    /// So many items as the sender says, each at least one byte long.
    pub fn count(&mut self) -> Result<usize, Broken> {
        let count = usize::from(self.u16()?);
        if count > self.0.len() { Err(Broken("it promises more than it holds")) } else { Ok(count) }
    }
}
