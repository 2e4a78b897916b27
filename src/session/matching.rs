//! Matching and learning: the keys of a request, the keys of a response.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::condition::Story;
use super::fingerprint::{Fingerprint, Fingerprinter};
use super::keys::{Learnt, LearntKey, PinKey, RequestKeys, RouteKey, WeakKey};
use super::rules::{KeyRule, RuleSet};
use super::selector::{Place, Selector, VALUES_MAX, Value};
use super::spec::{Role, Scope};
use super::time::time_to_live;
use super::view::{RequestView, ResponseView};

/// A value that a rule found, for those who tell people about it.
#[derive(Debug)]
pub struct Hit<'a, 'r> {
    /// Index of the rule.
    pub rule: u16,
    /// The rule.
    pub key: &'r KeyRule,
    /// Where it was found.
    pub selector: &'r Selector,
    /// The value after all transforms, never empty.
    pub value: Cow<'a, [u8]>,
    /// For values of the message: the offset of the first byte.
    pub offset: Option<u64>,
}

/// Makes the fingerprints of one affinity group.
#[derive(Debug, Clone, Copy)]
pub struct Keyer<'a> {
    /// With the gateway's secret.
    pub fingerprinter: &'a Fingerprinter,
    /// The affinity group.
    pub group: &'a str,
}

impl Keyer<'_> {
    /// The fingerprint of a value found for `key` in an exchange with this request.
    pub fn fingerprint(&self, key: &KeyRule, request: &RequestView<'_>, value: &[u8]) -> Fingerprint {
        match key.scope {
            Scope::Group => self.fingerprinter.fingerprint(self.group, &key.space, b"", value),
            Scope::ClientIp => {
                let address = request.client_ip.to_string();
                self.fingerprinter.fingerprint(self.group, &key.space, address.as_bytes(), value)
            }
            Scope::Host => {
                let host = request.head.authority().to_ascii_lowercase();
                self.fingerprinter.fingerprint(self.group, &key.space, &host, value)
            }
        }
    }
}

impl RuleSet {
    /// Calls `each` with every key value of a request, in rule order, then document order.
    pub fn hits<'a, 'r>(&'r self, request: &RequestView<'a>, each: &mut dyn FnMut(Hit<'a, 'r>)) {
        for (rule, key) in self.keys.iter().enumerate() {
            if !key.applies(request) {
                continue;
            }
            for selector in &key.matches {
                let mut count = 0;
                selector.in_request(request, &key.via, &mut |found| {
                    if count < VALUES_MAX && is_key(key, &found) {
                        count += 1;
                        each(Hit { rule: rule as u16, key, selector, value: found.bytes, offset: found.offset });
                    }
                });
            }
        }
    }

    /// The keys of a request. `unreadable`: its message is absent or could not be read.
    pub fn match_request(&self, request: &RequestView<'_>, unreadable: bool, keyer: Keyer<'_>, out: &mut RequestKeys) {
        out.clear();
        out.unreadable = unreadable;
        self.hits(request, &mut |hit| {
            let fingerprint = keyer.fingerprint(hit.key, request, &hit.value);
            match hit.key.role {
                Role::Pin => {
                    if !out.pins.iter().any(|pin| pin.fingerprint == fingerprint) {
                        out.pins.push(PinKey {
                            rule: hit.rule,
                            fingerprint,
                            client_issued: hit.key.client_issued,
                            name: hit.key.tag,
                        });
                    } else if hit.key.client_issued {
                        // The same value under a rule whose ids clients issue: it may be bound.
                        out.pins
                            .iter_mut()
                            .filter(|pin| pin.fingerprint == fingerprint)
                            .for_each(|pin| pin.client_issued = true);
                    }
                }
                Role::Route => {
                    let tag = SmallVec::from_slice(&hit.value);
                    out.routes.push(RouteKey { rule: hit.rule, tag, fingerprint });
                }
                Role::Weak => {
                    let is_connection = *hit.selector.place() == Place::Conn;
                    out.weak.push(WeakKey { fingerprint, is_connection });
                }
                Role::Hash => out.hash = out.hash.or(Some(fingerprint)),
            }
        });
    }

    /// Calls `each` with every key value in the head of a response.
    pub fn hits_in_response_head<'a, 'r>(
        &'r self,
        request: &RequestView<'_>,
        response: &ResponseView<'a>,
        each: &mut dyn FnMut(Hit<'a, 'r>),
    ) {
        self.learnable(request, response, each, &mut |selector, key, give| {
            selector.in_response_head(response, &key.via, give);
        });
    }

    /// Calls `each` with every key value in the message of a response, from the `from`-th fact on.
    pub fn hits_in_response_message<'a, 'r>(
        &'r self,
        request: &RequestView<'_>,
        response: &ResponseView<'a>,
        from: usize,
        each: &mut dyn FnMut(Hit<'a, 'r>),
    ) {
        self.learnable(request, response, each, &mut |selector, key, give| {
            selector.in_response_message(response, from, &key.via, give);
        });
    }

    #[allow(clippy::type_complexity)]
    fn learnable<'a, 'r>(
        &'r self,
        request: &RequestView<'_>,
        _response: &ResponseView<'a>,
        each: &mut dyn FnMut(Hit<'a, 'r>),
        search: &mut dyn FnMut(&'r Selector, &'r KeyRule, &mut dyn FnMut(Value<'a>)),
    ) {
        for (rule, key) in self.keys.iter().enumerate() {
            if key.learns.is_empty() || !key.applies(request) {
                continue;
            }
            for selector in &key.learns {
                let mut count = 0;
                search(selector, key, &mut |found| {
                    if count < VALUES_MAX && is_key(key, &found) && !names_the_service(&found.bytes, request) {
                        count += 1;
                        each(Hit { rule: rule as u16, key, selector, value: found.bytes, offset: found.offset });
                    }
                });
            }
        }
    }

    /// The keys in the head of a response, added to `out`.
    pub fn learn_head(
        &self,
        request: &RequestView<'_>,
        response: &ResponseView<'_>,
        keyer: Keyer<'_>,
        out: &mut SmallVec<[LearntKey; 4]>,
    ) {
        self.hits_in_response_head(request, response, &mut |hit| push_learnt(hit, request, keyer, out));
    }

    /// The keys in the message of a response, from the `from`-th fact on, added to `out`.
    pub fn learn_message(
        &self,
        request: &RequestView<'_>,
        response: &ResponseView<'_>,
        from: usize,
        keyer: Keyer<'_>,
        out: &mut SmallVec<[LearntKey; 4]>,
    ) {
        self.hits_in_response_message(request, response, from, &mut |hit| push_learnt(hit, request, keyer, out));
    }

    /// The first `lost` condition that holds: whether it says `not_executed`.
    pub fn lost(&self, request: &RequestView<'_>, response: &ResponseView<'_>, story: &dyn Story) -> Option<bool> {
        self.lost.iter().find(|condition| condition.holds(request, response, story)).map(|c| c.not_executed)
    }

    /// Whether an `end` condition holds. Never on a Fault.
    pub fn ended(&self, request: &RequestView<'_>, response: &ResponseView<'_>, story: &dyn Story) -> bool {
        let is_fault = response.facts.is_some_and(|facts| facts.fault.is_some());
        !is_fault && self.end.iter().any(|condition| condition.holds(request, response, story))
    }

    /// The time to live that the response tells, capped by the rules' `max`.
    pub fn ttl_told(&self, response: &ResponseView<'_>) -> Option<std::time::Duration> {
        let mut told = None;
        for selector in &self.ttl_from {
            let mut take = |found: Value<'_>| {
                if told.is_none() {
                    told = std::str::from_utf8(&found.bytes).ok().and_then(|t| time_to_live(t, response.now_unix));
                }
            };
            selector.in_response_head(response, &[], &mut take);
            selector.in_response_message(response, 0, &[], &mut take);
        }
        match (told, self.ttl().max) {
            (Some(told), Some(max)) => Some(told.min(max)),
            (told, _) => told,
        }
    }
}

/// The empty value is never a key, nor is a sentinel.
fn is_key(key: &KeyRule, found: &Value<'_>) -> bool {
    !found.bytes.is_empty() && !key.ignore.iter().any(|sentinel| sentinel.as_bytes() == found.bytes.as_ref())
}

/// A URL equal to the one it answers names the service, not the session (catalogue §2.2, 9).
fn names_the_service(value: &[u8], request: &RequestView<'_>) -> bool {
    let path = match value {
        [b'/', ..] => value,
        _ if value.starts_with(b"http://") || value.starts_with(b"https://") => {
            let rest = &value[memchr::memmem::find(value, b"://").map_or(0, |at| at + 3)..];
            match memchr::memchr(b'/', rest) {
                Some(slash) => &rest[slash..],
                None => b"/",
            }
        }
        _ => return false,
    };
    path == request.head.path_and_query()
}

fn push_learnt(hit: Hit<'_, '_>, request: &RequestView<'_>, keyer: Keyer<'_>, out: &mut SmallVec<[LearntKey; 4]>) {
    let kind = match hit.key.role {
        Role::Pin => Learnt::Pin,
        Role::Route if hit.key.learn_route => Learnt::Route,
        Role::Weak => Learnt::Weak,
        Role::Route | Role::Hash => return,
    };
    let fingerprint = keyer.fingerprint(hit.key, request, &hit.value);
    if !out.iter().any(|known| known.fingerprint == fingerprint && known.kind == kind) {
        out.push(LearntKey { rule: hit.rule, fingerprint, kind, name: hit.key.tag });
    }
}
