//! `sticky:` of an upstream.

use std::num::NonZeroU32;

use super::names;
use super::rules;
use crate::config::forms::{Checked, Count, Or, Size, Time, TimeOrZero, Word, n32};
use crate::config::model::{
    AskNodes, NodesShareSessions, OnNodeDown, OnSessionReplaced, Sticky, TtlPolicy, UnknownKey,
};
use crate::config::presets;
use crate::config::read::{Section, Slot, nearest};
use crate::config::show::Shown;
use crate::config::units::show_duration;
use crate::session::RuleSet;
use crate::session::spec::{Rules, Text, Ttl};
use crate::soap::Prefixes;

const UNKNOWN_KEY: Word<UnknownKey> =
    Word(&[("balance", UnknownKey::Balance), ("reject", UnknownKey::Reject), ("ask_nodes", UnknownKey::AskNodes)]);
const ON_NODE_DOWN: Word<OnNodeDown> =
    Word(&[("fault", OnNodeDown::Fault), ("failover", OnNodeDown::Failover), ("wait", OnNodeDown::Wait)]);
const ON_REPLACED: Word<OnSessionReplaced> =
    Word(&[("pass", OnSessionReplaced::Pass), ("fault", OnSessionReplaced::Fault)]);

/// A message that is held whole.
const HELD: Size = Size { min: 1024, max: 16 << 20 };

/// The stickiness of one upstream.
pub fn sticky(s: &mut Section, upstream: &str, namespaces: &Prefixes, share: NodesShareSessions) -> Sticky {
    let usual = Sticky::default();
    let at = s.at;
    let presets =
        s.many_with("presets", "Ready rules for products and standards; default = all that are safe together.", preset);
    let mut own = rules::rules(s, upstream);
    let (ttl, from) = s
        .section("ttl", "How long pins live; what is written here holds over the presets.", |s| {
            let ttl = TtlPolicy {
                idle: s.optional("idle", "After the last request. Default: the presets', else 30m.", Time),
                max: s.optional(
                    "max",
                    "After the first request; none = no end. Default: the presets', else none.",
                    Or("none", Time),
                ),
                linger: s.optional(
                    "linger",
                    "After an end, for retransmissions. Default: the presets', else 0s.",
                    TimeOrZero,
                ),
            };
            (ttl, s.optional_with("from", "Where the response tells the time to live.", names::text))
        })
        .unwrap_or_default();
    own.ttl.from = from;
    let down = match share {
        NodesShareSessions::None => OnNodeDown::Fault,
        NodesShareSessions::All | NodesShareSessions::Group => OnNodeDown::Failover,
    };
    let cookie = s.optional_with("cookie", "A cookie of our own, sealed, that carries the node.", |slot| {
        slot.map(super::cookie::cookie).flatten()
    });
    let nothing = presets.is_empty() && own.keys.is_empty() && cookie.is_none();
    if nothing && !s.cx().describing() && s.is_absent("presets") && s.is_absent("keys") && s.is_absent("cookie") {
        s.cx().problem(at, "names no rule, so nothing would be sticky; write presets: [default], or keys of your own");
    }
    let rules = all_rules(presets, own, namespaces);
    compile(s, &rules, &ttl);
    Sticky {
        at,
        rules,
        ttl,
        unknown_key: s.value("unknown_key", "What becomes of a request that carries only unknown keys.", UNKNOWN_KEY, usual.unknown_key),
        ask: s.section("ask", "With unknown_key: ask_nodes, how.", ask).unwrap_or_default(),
        on_node_down: s.value("on_node_down", "What becomes of a conversation whose node cannot serve; failover is the default where nodes share sessions.", ON_NODE_DOWN, down),
        wait: s.value("wait", "With on_node_down: wait, how long.", Time, usual.wait),
        on_session_replaced: s.value("on_session_replaced", "What becomes of an answer that gives a conversation a new session after a move.", ON_REPLACED, usual.on_session_replaced),
        keys_per_conversation: s.value("keys_per_conversation", "Keys of one conversation at most; the oldest go.", n32(Count::to(65_536)), usual.keys_per_conversation),
        concurrency: s.optional("concurrency", "Requests of one conversation at once, at most.", n32(Count::to(65_536))).and_then(NonZeroU32::new),
        cookie,
    }
}

fn ask(s: &mut Section) -> AskNodes {
    let usual = AskNodes::default();
    AskNodes {
        nodes: s.value("nodes", "At most so many nodes for one request.", n32(Count::to(1000)), usual.nodes),
        bytes: s.value("bytes", "Longer messages are not held, and asked for nowhere.", HELD, usual.bytes),
        per_second: s.value(
            "per_second",
            "So many requests a second; an invented id costs each node one.",
            n32(Count::to(100_000)),
            usual.per_second,
        ),
    }
}

/// Tells what the rules get wrong, and shows the lifetimes that come out of them.
fn compile(s: &mut Section, rules: &[Rules], file: &TtlPolicy) {
    let ttl = Ttl { idle: file.idle, max: file.max, linger: file.linger, from: None };
    match RuleSet::compile(rules, &Prefixes::new(), &ttl) {
        Ok(compiled) => {
            let ttl = compiled.ttl();
            let plain = |key: &str, text: String| (key.to_owned(), Shown::Plain(text));
            let mut shown = vec![
                plain("idle", show_duration(ttl.idle)),
                plain("max", ttl.max.map_or_else(|| "none".to_owned(), show_duration)),
                plain("linger", show_duration(ttl.linger)),
            ];
            // Only what the file itself says: where presets look is theirs.
            let from = rules.last().filter(|rules| presets::find(&rules.name).is_none());
            let from = from.and_then(|rules| rules.ttl.from.as_ref());
            shown.extend(from.map(|from| ("from".to_owned(), Shown::Text(from.text.clone()))));
            s.show("ttl", Some(Shown::Map(shown)));
        }
        Err(problems) => {
            let sticky = s.cx().key();
            for (mark, message) in problems {
                let key = s.cx().kept_key(mark);
                s.cx().tell(mark, if key.is_empty() { sticky.clone() } else { key }, message);
            }
        }
    }
    let keys = || rules.iter().flat_map(|rules| &rules.keys).map(|key| key.key.text.as_str());
    let conditions = rules.iter().flat_map(|rules| rules.end.iter().chain(&rules.lost));
    for replaced in conditions.filter_map(|condition| condition.replaced.as_ref()) {
        if !keys().any(|key| key == replaced.text) {
            let near =
                nearest(&replaced.text, keys()).map_or_else(String::new, |near| format!("did you mean {near}? "));
            let message = format!("there is no key {:?}; {near}name a key of these rules", replaced.text);
            let key = s.cx().kept_key(replaced.at);
            s.cx().tell(replaced.at, key, message);
        }
    }
}

/// The presets in written order, bundles unfolded, then the upstream's own rules, if there are any.
fn all_rules(presets: Vec<Text>, mut own: Rules, namespaces: &Prefixes) -> Vec<Rules> {
    let mut rules: Vec<Rules> = Vec::new();
    for preset in presets {
        for unfolded in presets::unfold(&preset.text) {
            // `default` and one of its members may both be named; the one named by itself says more.
            match rules.iter_mut().find(|earlier| earlier.name == unfolded.name) {
                Some(earlier) => earlier.connection = earlier.connection.or(unfolded.connection),
                None => rules.push(unfolded),
            }
        }
    }
    let speaks = !own.keys.is_empty() || !own.end.is_empty() || !own.lost.is_empty() || own.ttl.from.is_some();
    if speaks || !own.rewrite_url.is_empty() || !own.strip_request_headers.is_empty() {
        let mut prefixes = presets::prefixes().clone();
        prefixes.extend(namespaces.clone());
        prefixes.extend(std::mem::take(&mut own.namespaces));
        own.namespaces = prefixes;
        rules.push(own);
    }
    rules
}

fn preset(slot: &mut Slot) -> Option<Text> {
    let at = slot.at();
    slot.scalar(Checked("the name of a preset", presets::known)).map(|text| Text { text, at })
}
