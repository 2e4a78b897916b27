//! What rules look at: one request, one response.

use std::net::IpAddr;

use crate::head;
use crate::soap::Facts;

/// A request, as far as it has been read.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// Its head.
    pub head: &'a head::Request,
    /// What was read of its message; `None` where the message is not read at all.
    pub facts: Option<&'a Facts>,
    /// The operation the head gives: `action=` of the content type, else `SOAPAction`.
    pub http_action: Option<&'a str>,
    /// The client, as far as trusted proxies tell.
    pub client_ip: IpAddr,
    /// Number of the client connection, unique in this process.
    pub connection: u64,
}

impl<'a> RequestView<'a> {
    /// The operation (SOAP 1.1 §6.1.1, SOAP 1.2 Part 2 §6.5.3, WS-Addressing Core §3.2): what the head gives, else
    /// `wsa:Action`, else `namespace#local` of the first Body child.
    pub fn operation(&self) -> Option<std::borrow::Cow<'a, str>> {
        if let Some(action) = self.http_action {
            return Some(action.into());
        }
        let facts = self.facts?;
        if let Some(action) = &facts.wsa_action {
            return Some(action.as_str().into());
        }
        facts.body_child.as_ref().map(|(namespace, local)| format!("{namespace}#{local}").into())
    }
}

/// A response, as far as it has been read.
#[derive(Debug, Clone, Copy)]
pub struct ResponseView<'a> {
    /// Its head.
    pub head: &'a head::Response,
    /// What was read of its message; `None` where the message is not read at all.
    pub facts: Option<&'a Facts>,
    /// Seconds since 1970, for cookies and times to live.
    pub now_unix: i64,
}
