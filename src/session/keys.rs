//! The keys of one message, ready for the table.

use smallvec::SmallVec;

use super::Fingerprint;
use crate::upstream::NodeId;

/// The name of a key in 24 bits: enough to tell the names of a configuration apart, small enough to stand beside every key of
/// the table without making it larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NameTag(pub [u8; 3]);

impl NameTag {
    /// The tag of a name: FNV-1a, so that it is the same in every process and after every reload.
    pub fn of(name: &str) -> Self {
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = name.bytes().fold(0x811c_9dc5, step);
        let [high, tag @ ..] = hash.to_be_bytes();
        // Folded, as the makers of the hash advise for fewer bits.
        Self([tag[0], tag[1], tag[2] ^ high])
    }
}

/// A pin key that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinKey {
    /// Index of the rule in its rule set: lower ones decide.
    pub rule: u16,
    /// The key.
    pub fingerprint: Fingerprint,
    /// Whether an unknown value is bound to the node chosen for the request.
    pub client_issued: bool,
    /// The name of the key.
    pub name: NameTag,
}

/// A route tag that a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteKey {
    /// Index of the rule in its rule set.
    pub rule: u16,
    /// The tag: compared with the `route` of the nodes.
    pub tag: SmallVec<[u8; 24]>,
    /// The same, for the table of learnt routes.
    pub fingerprint: Fingerprint,
}

/// A weak key that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakKey {
    /// The key.
    pub fingerprint: Fingerprint,
    /// It names the client connection: it is good as long as that lives, and never again.
    pub is_connection: bool,
}

/// The node that a sealed cookie of ours names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedNode {
    /// The node; a number that no node has, where the upstream has it no longer.
    pub node: NodeId,
    /// Whether the cookie is to be set anew, though its node may stay.
    pub renew: bool,
}

/// All keys of one request, each list in rule order, then document order.
#[derive(Debug, Clone, Default)]
pub struct RequestKeys {
    /// Keys that pin.
    pub pins: SmallVec<[PinKey; 4]>,
    /// What the sealed cookie names.
    pub sealed: Option<SealedNode>,
    /// Names of nodes, in the order to be tried.
    pub routes: SmallVec<[RouteKey; 2]>,
    /// Keys that stand in where an id could not be learnt.
    pub weak: SmallVec<[WeakKey; 2]>,
    /// The first hash key.
    pub hash: Option<Fingerprint>,
    /// The message is absent or could not be read, so that an id in it would have been missed.
    pub unreadable: bool,
}

impl RequestKeys {
    /// Forgets all keys, keeps the buffers.
    pub fn clear(&mut self) {
        self.pins.clear();
        self.sealed = None;
        self.routes.clear();
        self.weak.clear();
        self.hash = None;
        self.unreadable = false;
    }

    /// Whether the request carries a value of a pin rule whose ids only servers issue.
    pub fn has_server_issued_pin(&self) -> bool {
        self.pins.iter().any(|pin| !pin.client_issued)
    }
}

/// What a key learnt from a response is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// Binds to the conversation.
    Pin,
    /// A route tag: value → the node that answered.
    Route,
    /// A weak key: remembered for a while.
    Weak,
}

/// A key that a response carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearntKey {
    /// Index of the rule in its rule set.
    pub rule: u16,
    /// The key.
    pub fingerprint: Fingerprint,
    /// What it is good for.
    pub kind: Learnt,
    /// The name of the key.
    pub name: NameTag,
}
