//! Which paths the open elements stand on, and the values that come of it.
//!
//! Every open element has the places in the paths (*configs*) that it stands for; a start tag makes the ones of the new
//! element out of its parent's. All of them live on stacks, so that a tag allocates nothing.

use smallvec::SmallVec;

use super::capture::Captures;
use super::element::Element;
use super::escape::{attribute_value, is_space, trim};
use super::multiref::{Awaited, Multirefs};
use super::place::Place;
use super::tag::Tag;
use super::tokens::Passed;
use super::values::{Values, When};
use super::wanted::Wanted;
use super::{Facts, Limits, Part, PathId, Predicate, Stop};

/// Places in the paths that one element may stand for under a condition. Only nested elements that all match a step with a
/// child predicate behind `**` make many, and each tag inside costs the square of them; no real message has three.
const CONDITIONAL_MAX: usize = 32;

/// An element stands for this node of the paths, if a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Config {
    node: u32,
    when: When,
}

/// A predicate that waits for a child of an element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watcher {
    condition: When,
    edge: u32,
    predicate: u32,
}

/// What an element's text is for.
#[derive(Debug, Clone)]
enum Target {
    Value {
        path: PathId,
        when: When,
    },
    Predicate(Watcher),
    Action,
    /// It may be referred to later, by this id.
    Id(Box<[u8]>),
}

/// An open element. The numbers are where its own things begin on the stacks.
#[derive(Debug)]
struct Level {
    configs: u32,
    watchers: u32,
    targets: u32,
    conditions: u32,
    has_capture: bool,
    has_children: bool,
    /// The id that it refers to.
    href: Option<Box<[u8]>>,
    hops: u8,
}

/// The matcher.
#[derive(Debug)]
pub(super) struct Matcher {
    levels: SmallVec<[Level; 4]>,
    configs: SmallVec<[Config; 8]>,
    watchers: Vec<Watcher>,
    targets: SmallVec<[Target; 2]>,
    captures: Captures,
    values: Values,
    multirefs: Multirefs,
    part: Part,
    /// The id of the element that is passed over just now and whose text is kept.
    watched: Option<Box<[u8]>>,
}

impl Matcher {
    pub fn new(limits: &Limits) -> Self {
        Self {
            levels: SmallVec::new(),
            configs: SmallVec::new(),
            watchers: Vec::new(),
            targets: SmallVec::new(),
            captures: Captures::new(limits.value_bytes),
            values: Values::default(),
            multirefs: Multirefs::default(),
            part: Part::Header,
            watched: None,
        }
    }

    /// `<Header>` or `<Body>` begins. Says whether any path begins there.
    pub fn begin(&mut self, wanted: &Wanted, part: Part) -> bool {
        self.part = part;
        self.level();
        self.add(wanted, 0, Config { node: wanted.root(part), when: 0 });
        wanted.wants(part)
    }

    /// The element that [`Self::begin`] began ends.
    pub fn end(&mut self, facts: &mut Facts) {
        self.leave_level();
        if self.part == Part::Body {
            for awaited in self.multirefs.unanswered() {
                self.give_up(&awaited, facts);
            }
            self.values.settle(&mut facts.found);
        }
    }

    /// Whether an element is awaited that a reference named; it may stand anywhere in the Body.
    pub fn awaits(&self) -> bool {
        self.multirefs.awaits()
    }

    /// Whether such an element is awaited for a header value.
    pub fn awaits_for_header(&self) -> bool {
        self.multirefs.awaits_for_header()
    }

    /// Whether text is wanted.
    pub fn collects(&self) -> bool {
        self.captures.is_open()
    }

    /// A piece of text.
    pub fn text(&mut self, text: &[u8], place: Place) -> Result<(), Stop> {
        self.captures.add(text, place)
    }

    /// A character that was written as a reference.
    pub fn character(&mut self, character: &[u8], place: Place) {
        self.captures.add_character(character, place);
    }

    /// Whether an element of this name matters to nobody, whatever its namespace and attributes are.
    pub fn ignores(&mut self, wanted: &Wanted, local: &[u8]) -> bool {
        let Some(parent) = self.levels.last_mut() else { return true };
        if self.watchers.len() > parent.watchers as usize {
            return false;
        }
        let name = wanted.name(local);
        let ignores = self.configs[parent.configs as usize..].iter().all(|config| {
            let node = wanted.node(config.node);
            !node.stays && node.loose.is_empty() && name.is_none_or(|name| node.named(name).next().is_none())
        });
        parent.has_children |= ignores;
        ignores
    }

    /// An element begins; `behind` is the place behind its tag. Says whether anything in it can matter.
    pub fn enter(
        &mut self,
        wanted: &Wanted,
        element: &Element<'_>,
        behind: u64,
        is_action: bool,
        facts: &mut Facts,
    ) -> Result<bool, Stop> {
        let (configs, watchers) = match self.levels.last_mut() {
            Some(parent) => {
                parent.has_children = true;
                (parent.configs as usize, parent.watchers as usize)
            }
            None => (0, 0),
        };
        let own = self.level();
        let (own_configs, own_watchers) = (self.configs.len(), self.watchers.len());
        for at in watchers..own_watchers {
            let watcher = self.watchers[at];
            if self.values.is_open(watcher.condition) && element.is(predicate(wanted, watcher).0) {
                self.targets.push(Target::Predicate(watcher));
            }
        }
        if configs < own_configs {
            self.step(wanted, element, configs..own_configs, own)?;
        }
        let direct = self.configs.len();
        let mut hops = 0;
        let mut keeps = false;
        if self.part == Part::Body
            && (wanted.body_text() || self.awaits())
            && let Some(id) = element.id()?
        {
            hops = self.arrive(wanted, &id, own);
            if wanted.body_text() {
                keeps = true;
                self.targets.push(Target::Id(id.into_owned().into()));
            }
        }
        if is_action {
            self.targets.push(Target::Action);
        }
        let mut goes_on = keeps || self.watchers.len() > own_watchers;
        for at in own_configs..self.configs.len() {
            let config = self.configs[at];
            let node = wanted.node(config.node);
            goes_on |= node.goes_on();
            for &path in &node.text {
                self.targets.push(Target::Value { path, when: config.when });
            }
            for (name, path) in &node.attributes {
                for attribute in element.attributes_that_are(name) {
                    // The id that made the reference find this element is no value of it.
                    if at < direct || attribute.local() != b"id" {
                        let value = attribute_value(attribute.raw)?;
                        let text = self.text_of(&value)?;
                        let spaces = attribute.raw.iter().take_while(|&&byte| is_space(byte)).count();
                        let at = element.place.behind(element.tag.before(attribute.at + spaces as u32)).at;
                        self.values.report(*path, text, at, config.when, &mut facts.found);
                    }
                }
            }
        }
        let href =
            if own_configs < self.configs.len() && !element.attributes.is_empty() { element.href()? } else { None };
        let has_capture = href.is_some() || self.targets.len() > own.targets as usize;
        if has_capture {
            self.captures.open(behind);
        }
        goes_on |= href.is_some();
        if let Some(level) = self.levels.last_mut() {
            level.has_capture = has_capture;
            level.href = href.map(|id| id.into_owned().into());
            level.hops = hops;
        }
        Ok(goes_on)
    }

    /// The innermost element ends.
    pub fn leave(&mut self, wanted: &Wanted, facts: &mut Facts) -> Result<(), Stop> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let href = level.href.take();
        let (has_children, hops) = (level.has_children, level.hops);
        let targets = level.targets as usize;
        let (own_configs, own_watchers) = (level.configs as usize, level.watchers as usize);
        let mut has_moved = false;
        let mut has_decided = false;
        if level.has_capture {
            let captured = self.captures.innermost()?;
            let (mut text, mut at) = (captured.text.unwrap_or_default(), captured.at);
            let is_reference = !has_children && captured.text == Some("");
            if let Some(id) = href.filter(|_| is_reference) {
                has_moved = self.multirefs.known(&id).is_none() && self.multirefs.can_wait(hops + 1);
                if has_moved {
                    let values = self.targets[targets..].iter().filter_map(|target| match target {
                        Target::Value { path, when } => Some((*path, *when)),
                        _ => None,
                    });
                    self.multirefs.wait(Awaited {
                        id,
                        configs: self.configs[own_configs..].to_vec(),
                        values: values.collect(),
                        watchers: self.watchers[own_watchers..].to_vec(),
                        is_header: self.part == Part::Header,
                        hops: hops + 1,
                        at,
                    });
                } else if let Some(known) = self.multirefs.known(&id) {
                    (text, at) = (&known.text, known.at);
                }
            }
            let mut kept = None;
            for target in &self.targets[targets..] {
                match target {
                    Target::Value { .. } if has_moved => {}
                    Target::Value { path, when } => self.values.report(*path, text, at, *when, &mut facts.found),
                    Target::Predicate(watcher) => {
                        if captured.text.is_some() && text == predicate(wanted, *watcher).1 {
                            self.values.decide(watcher.condition, true);
                            has_decided = true;
                        }
                    }
                    Target::Action => {
                        if facts.wsa_action.is_none() && !text.is_empty() {
                            facts.wsa_action = Some(text.to_owned());
                        }
                    }
                    Target::Id(id) => kept = Some(id),
                }
            }
            if let (Some(id), false, Some(text)) = (kept, has_children || has_moved, captured.text) {
                self.multirefs.keep(id, text, at);
            }
            self.captures.close();
        }
        if !has_moved {
            for watcher in &self.watchers[own_watchers..] {
                if self.values.is_open(watcher.condition) {
                    self.values.decide(watcher.condition, false);
                    has_decided = true;
                }
            }
        }
        if has_decided {
            self.values.settle(&mut facts.found);
        }
        self.leave_level();
        Ok(())
    }

    /// A tag inside an element that is passed over: the texts of those with an id are kept.
    pub fn passed(&mut self, tag: Passed<'_>, place: Place, find_id: impl FnOnce(Tag<'_>) -> Option<Box<[u8]>>) {
        if let Some(id) = self.watched.take() {
            if let (Passed::End, Ok(captured)) = (tag, self.captures.innermost())
                && let Some(text) = captured.text
            {
                self.multirefs.keep(&id, text, captured.at);
            }
            self.captures.close();
        }
        if let Passed::Id(content) = tag
            && let Some(id) = Tag::parse(content).ok().and_then(find_id)
        {
            self.watched = Some(id);
            self.captures.open(place.behind(content).behind(b">").at);
        }
    }

    /// Takes the steps that an element makes possible.
    fn step(
        &mut self,
        wanted: &Wanted,
        element: &Element<'_>,
        parent: std::ops::Range<usize>,
        own: Own,
    ) -> Result<(), Stop> {
        let name = wanted.name(element.tag.local);
        if self.configs[parent.clone()].iter().filter(|config| config.when != 0).count() > CONDITIONAL_MAX {
            return Err(Stop::Limit("too many predicates are open at once".into()));
        }
        for at in parent {
            let config = self.configs[at];
            let node = wanted.node(config.node);
            if node.stays && !self.values.has_failed(config.when) {
                // What stays is told apart already, and nothing follows without an element: `**/**` is no path.
                self.configs.push(config);
            }
            if let Some(name) = name {
                for edge in node.named(name) {
                    self.follow(wanted, element, edge, config, own)?;
                }
            }
            for &edge in &node.loose {
                self.follow(wanted, element, edge, config, own)?;
            }
        }
        Ok(())
    }

    /// Takes one step, if the element and its attributes allow it.
    fn follow(
        &mut self,
        wanted: &Wanted,
        element: &Element<'_>,
        edge_id: u32,
        config: Config,
        own: Own,
    ) -> Result<(), Stop> {
        let edge = wanted.edge(edge_id);
        if !element.is(&edge.name) || (config.when != 0 && self.values.has_failed(config.when)) {
            return Ok(());
        }
        for predicate in &edge.predicates {
            if let Predicate::Attribute(name, value) = predicate {
                let mut holds = false;
                for attribute in element.attributes_that_are(name) {
                    holds |= trim(&attribute_value(attribute.raw)?) == value.as_bytes();
                }
                if !holds {
                    return Ok(());
                }
            }
        }
        let mut when = config.when;
        for (number, predicate) in edge.predicates.iter().enumerate() {
            if let Predicate::Child(..) = predicate {
                let Some(condition) = self.values.condition(when) else {
                    return Err(Stop::Limit("too many predicates are open at once".into()));
                };
                self.watchers.push(Watcher { condition, edge: edge_id, predicate: number as u32 });
                when = condition;
            }
        }
        self.add(wanted, own.configs, Config { node: edge.target, when });
        Ok(())
    }

    /// Adds a config to the innermost element, and the one behind a `**` that may be no element at all.
    fn add(&mut self, wanted: &Wanted, first: u32, config: Config) {
        let mut next = Some(config.node);
        while let Some(node) = next {
            let same = |one: &Config| one.node == node && (one.when == 0 || one.when == config.when);
            if !self.configs[first as usize..].iter().any(same) {
                self.configs.push(Config { node, when: config.when });
            }
            next = wanted.node(node).deep;
        }
    }

    /// An element with an id has come: it also stands for the elements that refer to it.
    fn arrive(&mut self, wanted: &Wanted, id: &[u8], own: Own) -> u8 {
        let mut hops = 0;
        if self.awaits() {
            for awaited in self.multirefs.arrived(id) {
                hops = hops.max(awaited.hops);
                for config in awaited.configs {
                    self.add(wanted, own.configs, config);
                }
                self.watchers.extend(awaited.watchers);
            }
        }
        hops
    }

    /// The element that a reference named never came: the referring one is empty.
    fn give_up(&mut self, awaited: &Awaited, facts: &mut Facts) {
        for &(path, when) in &awaited.values {
            self.values.report(path, "", awaited.at, when, &mut facts.found);
        }
        for watcher in &awaited.watchers {
            self.values.decide(watcher.condition, false);
        }
    }

    /// A value that an attribute has, if it is not too long.
    fn text_of<'t>(&self, value: &'t [u8]) -> Result<&'t str, Stop> {
        let text = std::str::from_utf8(trim(value)).map_err(|_| Stop::Malformed("bytes that are not UTF-8".into()))?;
        Ok(if self.captures.is_too_long(text) { "" } else { text })
    }

    /// Begins an element.
    fn level(&mut self) -> Own {
        let own = Own { configs: self.configs.len() as u32, targets: self.targets.len() as u32 };
        self.levels.push(Level {
            configs: own.configs,
            watchers: self.watchers.len() as u32,
            targets: own.targets,
            conditions: self.values.mark(),
            has_capture: false,
            has_children: false,
            href: None,
            hops: 0,
        });
        own
    }

    /// Ends one.
    fn leave_level(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        self.configs.truncate(level.configs as usize);
        self.watchers.truncate(level.watchers as usize);
        self.targets.truncate(level.targets as usize);
        if !self.awaits() {
            self.values.forget(level.conditions);
        }
    }
}

/// Where the things of the innermost element begin.
#[derive(Debug, Clone, Copy)]
struct Own {
    configs: u32,
    targets: u32,
}

/// The child and the text that a predicate asks for.
fn predicate(wanted: &Wanted, watcher: Watcher) -> (&super::NameTest, &str) {
    match &wanted.edge(watcher.edge).predicates[watcher.predicate as usize] {
        Predicate::Attribute(name, value) | Predicate::Child(name, value) => (name, value),
    }
}
