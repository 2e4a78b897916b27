//! Values that stand elsewhere: `href="#id"` and the element with `id="id"` (SOAP 1.1 §5.4.1, SOAP 1.2 Part 2 §3.1.5).
//!
//! Default RPC/encoded Axis 1 sends its session id so: an empty header element with an `href`, and the value at the end of
//! the Body. A reference is awaited until the element comes; of elements that came before their reference the text is
//! kept, where it is short and there are few.

use super::PathId;
use super::matcher::{Config, Watcher};
use super::values::When;

/// References awaited at once. Further ones are not followed.
const AWAITED_MAX: usize = 64;
/// References behind one another that are followed.
const HOPS_MAX: u8 = 8;
/// Elements with an id whose text is kept.
const KNOWN_MAX: usize = 64;
/// Bytes of their texts and ids altogether.
const KNOWN_BYTES_MAX: usize = 16 << 10;

/// A reference to an element that has not come yet.
#[derive(Debug)]
pub(super) struct Awaited {
    pub id: Box<[u8]>,
    /// What the referring element stands for in the paths.
    pub configs: Vec<Config>,
    /// The paths whose value it is.
    pub values: Vec<(PathId, When)>,
    /// The predicates that wait for its children.
    pub watchers: Vec<Watcher>,
    /// Whether a header element refers.
    pub is_header: bool,
    /// How many references led here.
    pub hops: u8,
    /// Where the referring element's content would begin.
    pub at: u64,
}

/// The text of an element with an id.
#[derive(Debug)]
pub(super) struct Known {
    id: Box<[u8]>,
    pub text: String,
    pub at: u64,
}

/// The references of one message.
#[derive(Debug, Default)]
pub(super) struct Multirefs {
    awaited: Vec<Awaited>,
    known: Vec<Known>,
    known_bytes: usize,
}

impl Multirefs {
    /// Whether any element is awaited.
    pub fn awaits(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether any element is awaited for a header value.
    pub fn awaits_for_header(&self) -> bool {
        self.awaited.iter().any(|awaited| awaited.is_header)
    }

    /// Whether one more element may be awaited, as many references away.
    pub fn can_wait(&self, hops: u8) -> bool {
        self.awaited.len() < AWAITED_MAX && hops <= HOPS_MAX
    }

    /// Awaits an element.
    pub fn wait(&mut self, awaited: Awaited) {
        self.awaited.push(awaited);
    }

    /// The references to an element that has come.
    pub fn arrived(&mut self, id: &[u8]) -> Vec<Awaited> {
        self.awaited.extract_if(.., |awaited| *awaited.id == *id).collect()
    }

    /// The references whose element never came.
    pub fn unanswered(&mut self) -> Vec<Awaited> {
        std::mem::take(&mut self.awaited)
    }

    /// Keeps the text of an element that may be referred to later. The first with an id wins.
    pub fn keep(&mut self, id: &[u8], text: &str, at: u64) {
        let bytes = id.len() + text.len();
        let fits = self.known.len() < KNOWN_MAX && self.known_bytes + bytes <= KNOWN_BYTES_MAX;
        if fits && self.known(id).is_none() {
            self.known_bytes += bytes;
            self.known.push(Known { id: id.into(), text: text.to_owned(), at });
        }
    }

    /// The text of an element that came before.
    pub fn known(&self, id: &[u8]) -> Option<&Known> {
        self.known.iter().find(|known| *known.id == *id)
    }
}
