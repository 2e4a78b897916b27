//! Whether a client may begin one more conversation now.

use super::log::Told;
use super::reply::Failure;
use super::worker::Worker;
use crate::affinity::Code;
use crate::gateway::{Snapshot, Upstream};
use crate::session::RequestKeys;

/// Refuses a request that belongs to no known conversation if its source begins them too fast. Upstreams whose rules pin
/// nothing have no conversations.
///
/// # Errors
/// It is to come again later.
pub fn begins(
    worker: &Worker,
    snapshot: &Snapshot,
    upstream: &Upstream,
    keys: &RequestKeys,
    told: &mut Told,
) -> Result<(), Failure> {
    let Some(rate) = snapshot.config.limits.new_conversations_per_source else { return Ok(()) };
    let gateway = &worker.gateway;
    let now = gateway.now();
    if !upstream.policy.pins || keys.pins.iter().any(|pin| gateway.affinity.is_known(pin.fingerprint, now)) {
        return Ok(());
    }
    gateway.sources.begin(told.client, rate, now).map_err(|seconds| {
        told.code = Code::TooMany;
        Failure::TooMany { seconds }
    })
}
