//! The rule language: what presets and the `sticky` section of an upstream share. Selectors, paths and regular
//! expressions are texts here; whether they are any is found out by [`crate::session::RuleSet::compile`].

use super::names::{FIELD_NAME, namespaces, text};
use super::{FLAG, names};
use crate::config::forms::{Checked, Count, Or, Time, TimeOrZero, Word, n16};
use crate::config::read::{Section, Slot};
use crate::session::spec::{Condition, Key, Role, Rules, Scope, Selector, Text, Transform, Ttl};

const ROLE: Word<Role> =
    Word(&[("pin", Role::Pin), ("route", Role::Route), ("weak", Role::Weak), ("hash", Role::Hash)]);

const SCOPE: Word<Scope> = Word(&[("group", Scope::Group), ("client_ip", Scope::ClientIp), ("host", Scope::Host)]);

/// `namespaces`, `keys`, `end`, `lost`, `rewrite_url`, `strip_request_headers`.
pub fn rules(s: &mut Section, name: &str) -> Rules {
    Rules {
        name: name.to_owned(),
        namespaces: s
            .optional_with("namespaces", "Prefixes for these rules, over the built-in ones.", namespaces)
            .unwrap_or_default(),
        keys: s
            .optional_with("keys", "What identifies a conversation, strongest first.", |slot| {
                slot.list(|slot| slot.map(key).flatten())
            })
            .unwrap_or_default(),
        end: s.many_with("end", "The conversation is over, after the response has gone out.", |slot| {
            slot.map(|s| condition(s, false))
        }),
        lost: s.many_with("lost", "The node does not know the session.", |slot| slot.map(|s| condition(s, true))),
        rewrite_url: s.many_with("rewrite_url", "Places in answers that hold node URLs: response SELECTOR.", text),
        strip_request_headers: s.many_with(
            "strip_request_headers",
            "Request fields taken out before the node sees them.",
            |slot| {
                let at = slot.at();
                slot.scalar(FIELD_NAME).map(|text| Text { text, at })
            },
        ),
        ..Rules::default()
    }
}

fn key(s: &mut Section) -> Option<Key> {
    let at = s.at;
    let name = s.required_with("key", "Name of the key space: equal name and value = same key.", |slot| {
        let at = slot.at();
        slot.cx().keep_key(at);
        slot.scalar(names::NAME).map(|text| Text { text, at })
    });
    let key = Key {
        key: name.clone().unwrap_or_default(),
        learn: s.many_with("learn", "Where responses are read.", selector),
        match_: s.many_with("match", "Where requests are read.", selector),
        via: s.many_with("via", "Transforms, after the selector's own.", transform),
        as_: s.value("as", "What a value is good for.", ROLE, Role::Pin),
        client_issued: s.value(
            "client_issued",
            "Whether an unknown value in a request is bound to the node chosen for it.",
            FLAG,
            false,
        ),
        ignore: s.many("ignore", "Values that are no key.", Checked("a text", |text| Ok(text.to_owned()))),
        scope: s.value("scope", "For ids that collide; group = the affinity group.", SCOPE, Scope::Group),
        learn_route: s.value(
            "learn_route",
            "With as: route, whether answers teach which node a value names.",
            FLAG,
            false,
        ),
        learn_outbound: s.many_with(
            "learn_outbound",
            "Read from requests that nodes send out through the gateway.",
            selector,
        ),
    };
    if s.cx().describing() {
        return None;
    }
    if key.learn.is_empty() && key.match_.is_empty() && key.learn_outbound.is_empty() {
        s.cx().problem(at, "reads nothing; write match (from requests), learn (from responses), or both");
    }
    name.map(|_| key)
}

/// `place [arg]`, or `{at:, via:, is:}`.
pub fn selector(slot: &mut Slot) -> Option<Selector> {
    const AT: &str = "place [arg]: header PATH, body PATH, cookie NAME, http NAME, query NAME, pathparam NAME, url, conn or client_ip.";
    let selector = slot.scalar_or_map(
        |slot| text(slot).map(|at| Selector { at, ..Selector::default() }),
        |slot| {
            slot.map(|s| {
                let at = s.required_with("at", AT, text);
                let via = s.many_with("via", "Applied to each value, in order.", transform);
                let is = s.optional_with("is", "Must match the whole value.", text);
                Some(Selector { at: at?, via, is })
            })
            .flatten()
        },
    );
    slot.describe_once("selector");
    if let Some(selector) = &selector {
        slot.cx().keep_key(selector.at.at);
    }
    selector
}

/// The transforms that are one word.
#[derive(Clone, Copy, PartialEq)]
enum Simple {
    Lower,
    Unquote,
    UrlDecode,
    Base64Decode,
}

fn transform(slot: &mut Slot) -> Option<Transform> {
    const WORDS: Word<Simple> = Word(&[
        ("lower", Simple::Lower),
        ("unquote", Simple::Unquote),
        ("url_decode", Simple::UrlDecode),
        ("base64_decode", Simple::Base64Decode),
    ]);
    let transform = slot.scalar_or_map(
        |slot| {
            slot.scalar(WORDS).map(|word| match word {
                Simple::Lower => Transform::Lower,
                Simple::Unquote => Transform::Unquote,
                Simple::UrlDecode => Transform::UrlDecode,
                Simple::Base64Decode => Transform::Base64Decode,
            })
        },
        |slot| {
            slot.map(|s| {
                s.required_with("regex", "The first group of the first match; without a group, the match.", text)
                    .map(Transform::Regex)
            })
            .flatten()
        },
    );
    slot.describe_once("transform");
    transform
}

fn condition(s: &mut Section, lost: bool) -> Condition {
    let at = s.at;
    s.cx().keep_key(at);
    let mut condition = Condition {
        at,
        request: s.many_with("request", "Each finds something in the request.", selector),
        response: s.many_with("response", "Each finds something in the response.", selector),
        action: s.optional_with("action", "Regular expression searched in the request's operation.", text),
        status: s.many(
            "status",
            "One of these statuses of the response.",
            n16(Count { min: 200, max: 599, below: "" }),
        ),
        fault: s.optional_with(
            "fault",
            "Regular expression searched in the Fault's code, texts and detail names.",
            text,
        ),
        cookie_deleted: s.optional_with(
            "cookie_deleted",
            "The response deletes this cookie, which the request carried.",
            text,
        ),
        moved: s.value("moved", "Whether this is the first answer after the conversation changed node.", FLAG, false),
        replaced: s.optional_with(
            "replaced",
            "The answer gives a new value of this key although the request carried a known one.",
            text,
        ),
        not_executed: false,
    };
    if lost {
        condition.not_executed =
            s.value("not_executed", "Whether the fault is raised before the service runs.", FLAG, false);
    }
    let nothing = condition.request.is_empty()
        && condition.response.is_empty()
        && condition.action.is_none()
        && condition.status.is_empty()
        && condition.fault.is_none()
        && condition.cookie_deleted.is_none()
        && !condition.moved
        && condition.replaced.is_none();
    if nothing && !s.cx().describing() {
        s.cx().problem(at, "asks for nothing, so it would always hold; write request, response, action, status, fault, cookie_deleted, moved or replaced");
    }
    condition
}

/// `ttl:` of a preset.
pub fn ttl(s: &mut Section) -> Ttl {
    Ttl {
        idle: s.optional("idle", "After the last request.", Time),
        max: s.optional("max", "After the first request; none = no end.", Or("none", Time)),
        linger: s.optional("linger", "After an end, for retransmissions.", TimeOrZero),
        from: s.optional_with("from", "Where the response tells the time to live.", text),
    }
}
