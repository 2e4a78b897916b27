//! Texts, addresses and networks.

use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::Form;
use crate::config::show::Shown;

/// Any text but the empty one.
#[derive(Debug, Clone, Copy)]
pub struct AnyText;

impl Form for AnyText {
    type Value = String;
    fn what(&self) -> String {
        "a text".to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<String, String> {
        if text.is_empty() { Err("is empty; write a text, or remove the key".to_owned()) } else { Ok(text.to_owned()) }
    }
    fn show(&self, value: &String) -> Shown {
        Shown::Text(value.clone())
    }
    fn schema(&self) -> Json {
        json!({"type": ["string", "number"]})
    }
}

/// A text that a function checks and may change.
#[derive(Debug, Clone, Copy)]
pub struct Checked(
    /// The form in words.
    pub &'static str,
    /// Gives the text as it is kept, or the fault and the way out.
    pub fn(&str) -> Result<String, String>,
);

impl Form for Checked {
    type Value = String;
    fn what(&self) -> String {
        self.0.to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<String, String> {
        self.1(text)
    }
    fn show(&self, value: &String) -> Shown {
        Shown::Text(value.clone())
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// A text read by a function into something else.
pub struct Parsed<T>(
    /// The form in words.
    pub &'static str,
    /// Reads it.
    pub fn(&str) -> Result<T, String>,
    /// Shows it.
    pub fn(&T) -> String,
);

impl<T> Clone for Parsed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Parsed<T> {}

impl<T> Form for Parsed<T> {
    type Value = T;
    fn what(&self) -> String {
        self.0.to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<T, String> {
        self.1(text)
    }
    fn show(&self, value: &T) -> Shown {
        Shown::Text(self.2(value))
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// An address and port.
pub const ADDRESS: Parsed<SocketAddr> =
    Parsed("an address and port such as 0.0.0.0:8280", address, SocketAddr::to_string);

/// A network: `10.0.0.0/8`, or a single address.
pub const NETWORK: Parsed<IpNet> = Parsed("a network such as 10.0.0.0/8, or an address", network, IpNet::to_string);

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let way = if text.parse::<std::net::IpAddr>().is_ok() {
        if text.contains(':') { format!("write [{text}]:8280") } else { format!("write {text}:8280") }
    } else if let Some(port) = text.strip_prefix(['*', ':']).map(|rest| rest.trim_start_matches(':')) {
        format!("write 0.0.0.0:{port}, or [::]:{port} for IPv6 too")
    } else if text.parse::<u16>().is_ok() {
        format!("write 0.0.0.0:{text}")
    } else {
        "write an address in numbers and a port, such as 0.0.0.0:8280 or [::]:8280".to_owned()
    };
    Err(format!("{text:?} is no address and port; {way}"))
}

fn network(text: &str) -> Result<IpNet, String> {
    let single = text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let net = single.or_else(|| text.parse().ok());
    let net = net.ok_or_else(|| format!("{text:?} is no network; write 10.0.0.0/8, fd00::/8 or a single address"))?;
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!("{text} has bits set behind its length; write {}", net.trunc()))
    }
}
