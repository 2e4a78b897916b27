//! Routes: which upstream serves a request.

use std::sync::Arc;

use super::Upstream;
use crate::config::model;
use crate::head::{Request, is_like};
use crate::soap::Facts;

/// One route, ready to be matched.
#[derive(Debug)]
pub struct Route {
    /// What it matches, for logs.
    pub label: String,
    /// As configured.
    pub config: model::Route,
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// The upstream's timeouts with the route's over them.
    pub timeouts: model::Timeouts,
}

/// The routes of one configuration, in order.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
    reads_operation: bool,
}

/// What looking for a route came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMatch {
    /// This one, by index.
    Found(usize),
    /// The first route still possible asks for the operation, and the head does not give it.
    NeedsMessage,
    /// None.
    None,
}

impl Route {
    /// A route to this upstream.
    pub(super) fn new(config: model::Route, upstream: Arc<Upstream>) -> Self {
        let mut timeouts = upstream.config.timeouts.clone();
        let own = &config.timeouts;
        timeouts.connect = own.connect.unwrap_or(timeouts.connect);
        timeouts.response = own.response.unwrap_or(timeouts.response);
        timeouts.stall = own.stall.unwrap_or(timeouts.stall);
        Self { label: config.label(), config, upstream, timeouts }
    }
}

impl Routes {
    pub(super) fn new(routes: Vec<Route>) -> Self {
        let reads_operation = routes.iter().any(|route| route.config.operation.is_some());
        Self { routes, reads_operation }
    }

    /// The route at this index.
    pub fn get(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// All routes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// Whether any route asks for operations.
    pub fn reads_operation(&self) -> bool {
        self.reads_operation
    }

    /// The first route that matches. `http_action` is the operation the head gives; `facts` what is known of the message;
    /// `message_done`: nothing more will be known of it.
    pub fn find(
        &self,
        head: &Request,
        http_action: Option<&str>,
        facts: Option<&Facts>,
        message_done: bool,
    ) -> RouteMatch {
        let authority = head.authority();
        let path = head.path();
        for (index, route) in self.routes.iter().enumerate() {
            let config = &route.config;
            if config.host.as_ref().is_some_and(|host| !host_is_like(host, authority))
                || config.path.as_ref().is_some_and(|pattern| !is_like(pattern.as_bytes(), path))
            {
                continue;
            }
            let Some(wanted) = &config.operation else { return RouteMatch::Found(index) };
            let wsa = facts.and_then(|facts| facts.wsa_action.as_deref());
            let operation = match http_action.or(wsa) {
                Some(action) => Some(action.to_owned()),
                None => facts
                    .and_then(|facts| facts.body_child.as_ref())
                    .map(|(namespace, local)| format!("{namespace}#{local}")),
            };
            match operation {
                Some(operation) if is_like(wanted.as_bytes(), operation.as_bytes()) => return RouteMatch::Found(index),
                None if !message_done => return RouteMatch::NeedsMessage,
                _ => {}
            }
        }
        RouteMatch::None
    }
}

/// Whether the host of `authority` (without its port, letters in any case) is like the pattern.
fn host_is_like(pattern: &str, authority: &[u8]) -> bool {
    let host = match authority {
        [b'[', ..] => memchr::memchr(b']', authority).map_or(authority, |end| &authority[..=end]),
        _ => memchr::memchr(b':', authority).map_or(authority, |colon| &authority[..colon]),
    };
    if pattern.len() == host.len() && pattern.as_bytes().eq_ignore_ascii_case(host) {
        return true;
    }
    pattern.contains('*') && is_like(pattern.as_bytes(), &host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        assert!(host_is_like("orders.example.com", b"Orders.Example.COM:8280"));
        assert!(host_is_like("*.example.com", b"a.EXAMPLE.com"));
        assert!(!host_is_like("*.example.com", b"example.org"));
        assert!(host_is_like("[::1]", b"[::1]:80"));
    }
}
