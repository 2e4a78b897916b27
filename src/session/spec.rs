//! The rule language as written: what a preset or the `sticky` section of an upstream says, before it is checked.
//!
//! Every part carries a [`Mark`], so that a problem found while compiling can be told with its line and column.

use std::time::Duration;

use crate::soap::Prefixes;

/// A place in a file, opaque here: whoever read the file knows what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Mark(pub u32);

/// A text with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub at: Mark,
}

/// A named set of rules (a preset), or the rules of one upstream.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Name of the preset; for the rules of an upstream, the upstream's name.
    pub name: String,
    /// Presets whose lists stand before this one's, and whose scalars hold where this one says nothing.
    pub extends: Vec<Text>,
    /// Requests these rules apply to; empty = all.
    pub only: Only,
    /// Prefixes, over the built-in ones and those of the file.
    pub namespaces: Prefixes,
    /// Keys in order: the first hit wins.
    pub keys: Vec<Key>,
    /// The conversation is over.
    pub end: Vec<Condition>,
    /// The node does not know the session.
    pub lost: Vec<Condition>,
    /// How long a pin lives.
    pub ttl: Ttl,
    /// Places in answers that hold node URLs.
    pub rewrite_url: Vec<Text>,
    /// Connection affinity that the product needs.
    pub connection: Option<Connection>,
    /// Request fields taken out before the node sees them.
    pub strip_request_headers: Vec<Text>,
}

/// Which requests a preset applies to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// `Host`, with `*` as any run of characters.
    pub host: Option<Text>,
    /// Path, with `*` as any run of characters.
    pub path: Option<Text>,
    /// Regular expression searched in the operation.
    pub action: Option<Text>,
}

/// One key rule.
#[derive(Debug, Clone, Default)]
pub struct Key {
    /// Name of the key space.
    pub key: Text,
    /// Read from responses.
    pub learn: Vec<Selector>,
    /// Read from requests.
    pub match_: Vec<Selector>,
    /// Applied after the selector's own transforms.
    pub via: Vec<Transform>,
    /// What a value is good for.
    pub as_: Role,
    /// An unknown value in a request is bound to the node chosen for it.
    pub client_issued: bool,
    /// Values that are no key.
    pub ignore: Vec<String>,
    /// For ids that collide.
    pub scope: Scope,
    /// With [`Role::Route`]: learn value → node from responses.
    pub learn_route: bool,
    /// Read from requests that nodes send out. Parsed; not acted on.
    pub learn_outbound: Vec<Selector>,
}

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Role {
    /// Pins the conversation to its node.
    #[default]
    Pin,
    /// Names a node: the value is a node's `route`, or has been learnt as one.
    Route,
    /// Stands in where an id could not be learnt.
    Weak,
    /// Places by rendezvous hash.
    Hash,
}

/// What else makes up a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Scope {
    /// The affinity group alone.
    #[default]
    Group,
    /// And the client's address.
    ClientIp,
    /// And the host asked for.
    Host,
}

/// How node connections are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Connection {
    /// Any request may use any idle connection.
    #[default]
    Shared,
    /// One node connection per client connection and node.
    PerClient,
}

/// `place [arg]`, or `{at: 'place arg', via: [..], is: regex}`.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// `header PATH | body PATH | cookie NAME | http NAME | query NAME | pathparam NAME | url | conn | client_ip`.
    pub at: Text,
    /// Applied to each value, in order.
    pub via: Vec<Transform>,
    /// Must match the whole value.
    pub is: Option<Text>,
}

/// A transform of a value. A value it does not apply to is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    /// The first group of the first match (the whole match where there is no group).
    Regex(Text),
    /// ASCII lower case.
    Lower,
    /// Surrounding double quotes removed.
    Unquote,
    /// `%XX` decoded.
    UrlDecode,
    /// Base64 decoded, standard or URL alphabet, with or without padding.
    Base64Decode,
}

/// All that is written must hold.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Where it stands.
    pub at: Mark,
    /// Each yields a value (or an element) in the request.
    pub request: Vec<Selector>,
    /// Each yields a value (or an element) in the response.
    pub response: Vec<Selector>,
    /// Searched in the request's operation.
    pub action: Option<Text>,
    /// One of these statuses.
    pub status: Vec<u16>,
    /// Searched in the Fault's code, texts and detail names.
    pub fault: Option<Text>,
    /// The response deletes this cookie, which the request carried.
    pub cookie_deleted: Option<Text>,
    /// This is the first answer after the conversation changed node.
    pub moved: bool,
    /// The answer gives a new value of this key although the request carried a known one.
    pub replaced: Option<Text>,
    /// `lost` only: the fault is raised before the service runs.
    pub not_executed: bool,
}

/// How long a pin lives. `None` = not said here.
#[derive(Debug, Clone, Default)]
pub struct Ttl {
    /// After the last request.
    pub idle: Option<Duration>,
    /// After the first request; `Some(None)` = no end.
    pub max: Option<Option<Duration>>,
    /// After an end, for retransmissions; a loss drops the pin at once.
    pub linger: Option<Duration>,
    /// Where the response tells the time to live (xs:duration or xs:dateTime): a selector, with or without `response` before it.
    pub from: Option<Text>,
}

impl Rules {
    /// Visits every mark.
    pub fn each_mark(&mut self, visit: &mut dyn FnMut(&mut Mark)) {
        let only = [&mut self.only.host, &mut self.only.path, &mut self.only.action];
        let texts = self.extends.iter_mut().chain(only.into_iter().flatten());
        let texts = texts.chain(&mut self.rewrite_url).chain(&mut self.strip_request_headers).chain(&mut self.ttl.from);
        texts.for_each(|text| visit(&mut text.at));
        for key in &mut self.keys {
            visit(&mut key.key.at);
            transforms(&mut key.via, visit);
            selectors(&mut key.learn, visit);
            selectors(&mut key.match_, visit);
            selectors(&mut key.learn_outbound, visit);
        }
        for condition in self.end.iter_mut().chain(&mut self.lost) {
            visit(&mut condition.at);
            selectors(&mut condition.request, visit);
            selectors(&mut condition.response, visit);
            let texts =
                [&mut condition.action, &mut condition.fault, &mut condition.cookie_deleted, &mut condition.replaced];
            texts.into_iter().flatten().for_each(|text| visit(&mut text.at));
        }
    }
}

fn selectors(selectors: &mut [Selector], visit: &mut dyn FnMut(&mut Mark)) {
    for selector in selectors {
        visit(&mut selector.at.at);
        transforms(&mut selector.via, visit);
        selector.is.iter_mut().for_each(|text| visit(&mut text.at));
    }
}

fn transforms(transforms: &mut [Transform], visit: &mut dyn FnMut(&mut Mark)) {
    for transform in transforms {
        if let Transform::Regex(text) = transform {
            visit(&mut text.at);
        }
    }
}
