//! `routes:`.

use crate::config::forms::{AnyText, Checked, Time};
use crate::config::model::{Route, RouteTimeouts};
use crate::config::read::Section;

/// One route. Whether its upstream exists is checked when all are known.
pub fn route(s: &mut Section) -> Option<Route> {
    let at = s.at;
    let host = s.optional("host", "Host without its port; * matches any run of characters.", Checked("a host", host));
    let path = s.optional("path", "Path without its query; * matches any run of characters.", Checked("a path", path));
    let operation = s.optional(
        "operation",
        "action=, SOAPAction, wsa:Action, else namespace#local of the first Body child; * matches any run of characters.",
        AnyText,
    );
    let upstream = s.required("upstream", "Name of the upstream.", AnyText);
    let strip_prefix = s.optional(
        "strip_prefix",
        "Taken off the path before the node sees it.",
        Checked("a path such as /ext", prefix),
    );
    let add_prefix =
        s.optional("add_prefix", "Put before the path, after strip_prefix.", Checked("a path such as /app", prefix));
    let timeouts = s.section("timeouts", "Over the upstream's.", timeouts).unwrap_or_default();
    if let (Some(path), Some(strip)) = (&path, &strip_prefix) {
        let literal = path.split('*').next().unwrap_or_default();
        if !literal.starts_with(strip.as_str()) && !strip.starts_with(literal) {
            s.problem(
                "strip_prefix",
                format!("no path that matches {path} begins with {strip}; write a beginning of the path"),
            );
        }
    }
    Some(Route { at, host, path, operation, upstream: upstream?, strip_prefix, add_prefix, timeouts })
}

fn timeouts(s: &mut Section) -> RouteTimeouts {
    RouteTimeouts {
        connect: s.optional("connect", "Until a node connection stands.", Time),
        response: s.optional("response", "To the first byte of the response.", Time),
        stall: s.optional("stall", "Between two pieces of a body.", Time),
    }
}

fn host(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', ' ', '@']) {
        return Err(format!("{text:?} is no host; write a name such as orders.example.com, or *.example.com"));
    }
    let port = text.rsplit_once(':').filter(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok());
    match port {
        Some((host, _)) => Err(format!("{text} holds a port, which a route does not look at; write {host}")),
        None => Ok(text.to_ascii_lowercase()),
    }
}

fn path(text: &str) -> Result<String, String> {
    if !text.starts_with(['/', '*']) {
        Err(format!("{text:?} matches no path, for paths begin with /; write /{text}"))
    } else if let Some((path, _)) = text.split_once('?') {
        Err(format!("{text} holds a query, which a route does not look at; write {path}"))
    } else {
        Ok(text.to_owned())
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() {
        Err("changes nothing; remove the key".to_owned())
    } else if !text.starts_with('/') {
        Err(format!("{text:?} is no beginning of a path; write /{trimmed}"))
    } else if text.contains(['*', '?', '#', ' ']) {
        Err(format!("{text:?} is no beginning of a path; leave out * ? # and spaces"))
    } else if trimmed != text {
        Err(format!("{text} ends in /; write {trimmed}"))
    } else {
        Ok(text.to_owned())
    }
}
