//! Routes: which request goes to which upstream.

use std::time::Duration;

use crate::session::spec::Mark;

/// Sends the requests it matches to an upstream. Everything written must match; what is absent matches all.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Where it stands in the file.
    pub at: Mark,
    /// `Host` without its port, lower case, with `*` as any run of characters.
    pub host: Option<String>,
    /// Path without its query, with `*` as any run of characters.
    pub path: Option<String>,
    /// The operation (`action=`, SOAPAction, wsa:Action, else namespace#local of the first Body child), with `*` as any
    /// run of characters.
    pub operation: Option<String>,
    /// Name of the upstream; it exists.
    pub upstream: String,
    /// Taken off the path before the node sees it: begins with `/`, does not end in one. Where the path does not begin
    /// so, nothing is taken off.
    pub strip_prefix: Option<String>,
    /// Put before the path, after `strip_prefix`: begins with `/`, does not end in one.
    pub add_prefix: Option<String>,
    /// Over the upstream's.
    pub timeouts: RouteTimeouts,
}

impl Route {
    /// What the route matches, for logs and `explain`: `orders.example.com/services/Orders*`, `operation urn:billing#*`, `*`.
    pub fn label(&self) -> String {
        let mut label = self.host.clone().unwrap_or_default();
        label.push_str(self.path.as_deref().unwrap_or_default());
        if let Some(operation) = &self.operation {
            if !label.is_empty() {
                label.push(' ');
            }
            label.push_str("operation ");
            label.push_str(operation);
        }
        if label.is_empty() { "*".to_owned() } else { label }
    }
}

/// Timeouts of one route, over those of its upstream. `None` = the upstream's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// Until a node connection stands.
    pub connect: Option<Duration>,
    /// From the end of the request to the first byte of the response.
    pub response: Option<Duration>,
    /// Between two pieces of a body.
    pub stall: Option<Duration>,
}
