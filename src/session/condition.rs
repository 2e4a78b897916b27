//! Conditions: when a conversation is over, and when a node does not know its session.

use std::fmt;

use regex::bytes::Regex;

use super::selector::{Selector, Side};
use super::spec::{self, Mark};
use super::transform::regex;
use super::view::{RequestView, ResponseView};
use crate::head::cookie;
use crate::soap::{Prefixes, Wanted};

/// One condition: all that is written must hold.
#[derive(Debug, Clone)]
pub struct Condition {
    request: Vec<Selector>,
    response: Vec<Selector>,
    action: Option<Regex>,
    status: Vec<u16>,
    fault: Option<Regex>,
    cookie_deleted: Option<String>,
    moved: bool,
    replaced: Option<String>,
    /// The fault is raised before the service runs, so the request may be tried on another node.
    pub not_executed: bool,
}

/// What the conversation tells beside the two messages.
pub trait Story {
    /// Whether this is the first answer after the conversation changed node.
    fn moved(&self) -> bool;
    /// Whether the answer gave a new value of the key `name` although the request carried a known one.
    fn replaced(&self, name: &str) -> bool;
}

impl Condition {
    pub(super) fn compile(
        spec: &spec::Condition,
        prefixes: &Prefixes,
        request: &mut Wanted,
        response: &mut Wanted,
        problems: &mut Vec<(Mark, String)>,
    ) -> Self {
        let mut selectors = |specs: &[spec::Selector], side, wanted: &mut Wanted| -> Vec<Selector> {
            specs
                .iter()
                .filter_map(|spec| match Selector::compile(spec, side, prefixes, wanted) {
                    Ok(selector) => Some(selector),
                    Err(problem) => {
                        problems.push(problem);
                        None
                    }
                })
                .collect()
        };
        let in_request = selectors(&spec.request, Side::Request, request);
        let in_response = selectors(&spec.response, Side::Response, response);
        let mut search = |text: &Option<spec::Text>| {
            let text = text.as_ref()?;
            regex(&text.text).map_err(|message| problems.push((text.at, message))).ok()
        };
        let (action, fault) = (search(&spec.action), search(&spec.fault));
        if action.is_some() {
            request.want_operation();
        }
        if fault.is_some() {
            response.want_fault();
        }
        Self {
            request: in_request,
            response: in_response,
            action,
            status: spec.status.clone(),
            fault,
            cookie_deleted: spec.cookie_deleted.as_ref().map(|name| name.text.clone()),
            moved: spec.moved,
            replaced: spec.replaced.as_ref().map(|key| key.text.clone()),
            not_executed: spec.not_executed,
        }
    }

    /// Whether all holds.
    pub fn holds(&self, request: &RequestView<'_>, response: &ResponseView<'_>, story: &dyn Story) -> bool {
        (self.status.is_empty() || self.status.contains(&response.head.status))
            && (!self.moved || story.moved())
            && self.replaced.as_ref().is_none_or(|key| story.replaced(key))
            && self.action.as_ref().is_none_or(|action| matches_operation(action, request))
            && self.fault.as_ref().is_none_or(|fault| matches_fault(fault, response))
            && self.cookie_deleted.as_ref().is_none_or(|name| is_cookie_deleted(name, request, response))
            && self.request.iter().all(|selector| {
                let mut any = false;
                selector.in_request(request, &[], &mut |_| any = true);
                any
            })
            && self.response.iter().all(|selector| {
                let mut any = false;
                selector.in_response_head(response, &[], &mut |_| any = true);
                selector.in_response_message(response, 0, &[], &mut |_| any = true);
                any
            })
    }
}

/// As an operator would write it, in one line.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let regexes = [("action", &self.action), ("fault", &self.fault)];
        parts.extend(self.request.iter().map(|selector| format!("request: {selector}")));
        parts.extend(self.response.iter().map(|selector| format!("response: {selector}")));
        parts.extend(regexes.iter().filter_map(|(name, regex)| Some(format!("{name}: {}", regex.as_ref()?))));
        if !self.status.is_empty() {
            let all: Vec<_> = self.status.iter().map(u16::to_string).collect();
            parts.push(format!("status: {}", all.join("|")));
        }
        parts.extend(self.cookie_deleted.iter().map(|name| format!("cookie_deleted: {name}")));
        parts.extend(self.moved.then(|| "moved: true".to_owned()));
        parts.extend(self.replaced.iter().map(|key| format!("replaced: {key}")));
        f.write_str(&parts.join(", "))
    }
}

/// The operation is looked for in what the head says and in `wsa:Action` alike: clients set either, both or, with an
/// empty `SOAPAction`, neither.
fn matches_operation(action: &Regex, request: &RequestView<'_>) -> bool {
    let wsa = request.facts.and_then(|facts| facts.wsa_action.as_deref());
    let mut said = request.http_action.into_iter().chain(wsa).peekable();
    if said.peek().is_some() {
        return said.any(|text| action.is_match(text.as_bytes()));
    }
    request.operation().is_some_and(|operation| action.is_match(operation.as_bytes()))
}

fn matches_fault(fault: &Regex, response: &ResponseView<'_>) -> bool {
    response
        .facts
        .and_then(|facts| facts.fault.as_ref())
        .is_some_and(|found| found.texts.iter().any(|text| fault.is_match(text.as_bytes())))
}

/// The request carried the cookie, the response deletes it and gives no new value.
fn is_cookie_deleted(name: &str, request: &RequestView<'_>, response: &ResponseView<'_>) -> bool {
    let mut deleted = false;
    for cookie in cookie::response_cookies(response.head.fields()).filter(|cookie| cookie.name == name.as_bytes()) {
        if !cookie.is_deleted(response.now_unix) {
            return false;
        }
        deleted = true;
    }
    deleted
        && cookie::request_cookies(request.head.fields())
            .any(|(found, value)| found == name.as_bytes() && !value.is_empty())
}
