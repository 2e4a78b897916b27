//! Learning from an answer while it passes, and what the whole answer says about its conversation.

use smallvec::SmallVec;

use super::{Gateway, Snapshot, Upstream, reading};
use crate::affinity::{End, Learning, Outcome, Policy, Visit};
use crate::head::Response;
use crate::session::{Keyer, Learnt, LearntKey, RequestKeys, RequestView, ResponseView, Story};
use crate::soap::{Facts, Reader};

/// What one answer teaches.
#[derive(Debug)]
pub struct Lesson<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    upstream: &'a Upstream,
    keyer: Keyer<'a>,
    /// The request in the table's eyes.
    pub visit: Visit,
    reader: Option<Box<Reader>>,
    told: usize,
    ended: bool,
    now_unix: i64,
    keys: SmallVec<[LearntKey; 4]>,
    bound: usize,
    /// What binding came to, in sum.
    pub sum: Learning,
    /// The piece that [`Lesson::message`] read last is for the client only when this position of the table's journal is
    /// [settled](crate::affinity::Journal::poll_settled).
    pub unsettled: Option<u64>,
}

impl<'a> Lesson<'a> {
    /// Nothing learnt yet.
    pub fn new(
        gateway: &'a Gateway,
        snapshot: &'a Snapshot,
        upstream: &'a Upstream,
        keyer: Keyer<'a>,
        visit: Visit,
        now_unix: i64,
    ) -> Self {
        Self {
            gateway,
            snapshot,
            upstream,
            keyer,
            visit,
            reader: None,
            told: 0,
            ended: false,
            now_unix,
            keys: SmallVec::new(),
            bound: 0,
            sum: Learning::default(),
            unsettled: None,
        }
    }

    /// What was read of the answer's message.
    pub fn facts(&self) -> Option<&Facts> {
        self.reader.as_deref().map(Reader::facts)
    }

    /// What reads the answer's message; `None` where no rule asks for anything in it.
    pub fn reader(&self) -> Option<&Reader> {
        self.reader.as_deref()
    }

    /// The answer as rules see it.
    pub fn view<'b>(&'b self, head: &'b Response) -> ResponseView<'b> {
        ResponseView { head, facts: self.facts(), now_unix: self.now_unix }
    }

    /// The keys learnt so far.
    pub fn keys(&self) -> &[LearntKey] {
        &self.keys
    }

    /// The final head has come; `has_body`: a message follows.
    pub fn head(&mut self, request: RequestView<'_>, head: &Response, has_body: bool) {
        let rules = &self.upstream.rules;
        if has_body && !rules.response_wanted().is_empty() {
            self.reader = Some(reading::reader(rules.response_wanted(), head.fields(), self.snapshot.inspect));
        } else if has_body && head.status >= 500 {
            self.reader = Some(reading::fault_reader(head.fields(), self.snapshot.inspect));
        }
        let view = ResponseView { head, facts: None, now_unix: self.now_unix };
        rules.learn_head(&request, &view, self.keyer, &mut self.keys);
        self.bind();
    }

    /// A piece of the message has come; `whole`: it is the last one. When this returns, what it teaches is bound.
    pub fn message(&mut self, request: RequestView<'_>, head: &Response, piece: &[u8], whole: bool) {
        if self.ended {
            return;
        }
        self.ended = whole;
        if whole {
            // Before the client has it: its next request must find the node free.
            self.visit.leave_node();
        }
        // What the head taught, or the request itself, matters only at the end: nothing is held that could stream.
        if self.read(request, head, piece, whole) || whole {
            self.unsettled = self.visit.unsettled();
        }
    }

    /// Reads a piece. True if it has taught keys.
    fn read(&mut self, request: RequestView<'_>, head: &Response, piece: &[u8], whole: bool) -> bool {
        let Some(reader) = &mut self.reader else { return false };
        reader.push(piece);
        if whole {
            reader.end();
        }
        let facts = reader.facts();
        if facts.found.len() == self.told {
            return false;
        }
        let view = ResponseView { head, facts: Some(facts), now_unix: self.now_unix };
        self.upstream.rules.learn_message(&request, &view, self.told, self.keyer, &mut self.keys);
        self.told = facts.found.len();
        let before = self.bound;
        self.bind();
        self.bound > before
    }

    /// What the whole answer says about its conversation: `lost`, then `end`.
    pub fn end(&self, request: RequestView<'_>, keys: &RequestKeys, head: &Response) -> End {
        let rules = &self.upstream.rules;
        let response = self.view(head);
        let is_fault = response.facts.is_some_and(|facts| facts.fault.is_some());
        let outcome = if is_fault || head.status >= 500 { Outcome::Failure } else { Outcome::Success };
        let story = self.story(keys);
        let lost = !self.visit.known().is_empty() && rules.lost(&request, &response, &story).is_some();
        let ended = rules.ended(&request, &response, &story);
        End { lost, ended, ttl: rules.ttl_told(&response), ..End::of(outcome) }
    }

    /// Whether the answer puts the blame on its node: a Receiver (Server) Fault, or a 5xx that is no Fault. Neither a Fault
    /// that blames the caller, nor one that tells a lost session, says anything about the node.
    pub fn blames_node(&self, head: &Response, end: &End) -> bool {
        match self.facts().and_then(|facts| facts.fault.as_ref()) {
            Some(fault) => fault.is_receiver && !end.lost,
            // What is not implemented was asked for by the caller (RFC 9110 §15.6.2, §15.6.6).
            None => head.status >= 500 && !matches!(head.status, 501 | 505),
        }
    }

    /// Whether the answer gives a new value of a key of which the request carried a known one.
    pub fn is_replaced(&self, keys: &RequestKeys) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let story = self.story(keys);
        let rules = self.upstream.rules.keys();
        let carried = self.visit.known().iter().filter_map(|index| keys.pins.get(usize::from(*index)));
        let mut names = carried.filter_map(|pin| rules.get(usize::from(pin.rule)));
        names.any(|key| story.replaced(&key.name))
    }

    /// Whether the answer, as far as it was read, says that the node does not know the session and has executed nothing.
    pub fn is_not_executed(&self, request: &RequestView<'_>, keys: &RequestKeys, head: &Response) -> bool {
        self.upstream.rules.lost(request, &self.view(head), &self.story(keys)) == Some(true)
    }

    /// Whether the answer, as far as it was read, is a Fault or a 5xx.
    pub fn is_failure(&self, head: &Response) -> bool {
        head.status >= 500 || self.facts().is_some_and(|facts| facts.fault.is_some())
    }

    /// The node has confirmed the keys of the request: they are bound as if it had issued them.
    pub fn confirm(&mut self, keys: &RequestKeys) {
        let pin = |pin: &crate::session::PinKey| LearntKey {
            name: pin.name,
            rule: pin.rule,
            fingerprint: pin.fingerprint,
            kind: Learnt::Pin,
        };
        let confirmed: SmallVec<[LearntKey; 4]> = keys.pins.iter().map(pin).collect();
        let learnt = self.visit.learn(&confirmed, &self.upstream.policy, self.gateway.now());
        self.sum.bound += learnt.bound;
        self.unsettled = self.visit.unsettled();
    }

    /// What the table tells conditions about this exchange, whose request carried `keys`.
    pub fn story<'b>(&'b self, keys: &'b RequestKeys) -> VisitStory<'b> {
        VisitStory { rules: &self.upstream.rules, visit: &self.visit, request: keys, learnt: &self.keys }
    }

    fn bind(&mut self) {
        if self.bound == self.keys.len() {
            return;
        }
        let policy: &Policy = &self.upstream.policy;
        let learnt = self.visit.learn(&self.keys[self.bound..], policy, self.gateway.now());
        self.bound = self.keys.len();
        self.sum.bound += learnt.bound;
        self.sum.known += learnt.known;
        self.sum.rebound += learnt.rebound;
        self.sum.conflicts += learnt.conflicts;
        self.sum.refused += learnt.refused;
        self.sum.hints += learnt.hints;
    }
}

/// What the table tells conditions.
#[derive(Debug)]
pub struct VisitStory<'a> {
    rules: &'a crate::session::RuleSet,
    visit: &'a Visit,
    request: &'a RequestKeys,
    learnt: &'a [LearntKey],
}

impl Story for VisitStory<'_> {
    fn moved(&self) -> bool {
        self.visit.after_move()
    }

    fn replaced(&self, name: &str) -> bool {
        let is_named = |rule: u16| self.rules.keys().get(usize::from(rule)).is_some_and(|key| key.name == name);
        let carried_known = self
            .visit
            .known()
            .iter()
            .filter_map(|index| self.request.pins.get(usize::from(*index)))
            .any(|pin| is_named(pin.rule));
        carried_known
            && self.learnt.iter().any(|key| {
                is_named(key.rule) && !self.request.pins.iter().any(|pin| pin.fingerprint == key.fingerprint)
            })
    }
}
