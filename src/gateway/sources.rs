//! How fast each source may begin conversations.
//!
//! A bucket for each source, in a table of fixed size: where it is full, the source that began least lately makes way, and
//! has a full bucket when it comes again. IPv6 sources are networks of 64 bits, for one host may use all of one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::affinity::Now;
use crate::config::model::Rate;

/// Sets of buckets; a source's set is drawn by a secret hash. With 4 buckets each, 65,536 sources: 1 MiB, made when first
/// needed.
const SETS: usize = 16_384;

/// Buckets that share a lock, several to each.
type Sets = Box<[Mutex<[Bucket; 4]>]>;

/// Buckets of all sources.
#[derive(Debug, Default)]
pub struct Sources {
    sets: OnceLock<(RandomState, Sets)>,
}

/// One source: when its bucket would be full again, in nanoseconds (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    source: u64,
    full_at: u64,
}

impl Sources {
    /// Whether this source may begin a conversation now; else in how many seconds it may, at least 1.
    ///
    /// # Errors
    /// It has begun as many as `rate` allows.
    pub fn begin(&self, source: IpAddr, rate: Rate, now: Now) -> Result<(), u32> {
        let source = number(source);
        let (state, sets) =
            self.sets.get_or_init(|| (RandomState::new(), (0..SETS).map(|_| Mutex::default()).collect()));
        let mut set = sets[state.hash_one(source) as usize % SETS].lock();
        let oldest = |set: &[Bucket; 4]| (0..4).min_by_key(|index| set[*index].full_at).unwrap_or(0);
        let index = set.iter().position(|bucket| bucket.source == source && bucket.full_at > 0);
        let index = index.unwrap_or_else(|| oldest(&set));
        let bucket = &mut set[index];
        if bucket.source != source {
            *bucket = Bucket { source, full_at: 0 };
        }
        let now = now.0.saturating_mul(1_000_000);
        let all = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
        let one = all / u64::from(rate.count.max(1));
        let full_at = bucket.full_at.max(now).saturating_add(one);
        if full_at - now > all {
            return Err(u32::try_from((full_at - now - all).div_ceil(1_000_000_000)).unwrap_or(u32::MAX));
        }
        bucket.full_at = full_at;
        Ok(())
    }
}

/// The source an address stands for.
fn number(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No network of the internet begins so.
        IpAddr::V4(address) => u64::from(address.to_bits()) | 0xffff << 32,
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { count: 2, per: Duration::from_secs(10) };

    fn begins(sources: &Sources, address: &str, seconds: u64) -> Option<u32> {
        sources.begin(address.parse().expect("an address"), RATE, Now(1 + seconds * 1000)).err()
    }

    #[test]
    fn a_source_may_begin_so_many_at_once_and_then_at_its_rate() {
        let sources = Sources::default();
        assert_eq!([0, 0, 0].map(|at| begins(&sources, "10.0.0.1", at)), [None, None, Some(5)]);
        assert_eq!(begins(&sources, "10.0.0.2", 0), None, "another source");
        assert_eq!([4, 5, 5].map(|at| begins(&sources, "10.0.0.1", at)), [Some(1), None, Some(5)]);
        assert_eq!([60, 60, 60].map(|at| begins(&sources, "10.0.0.1", at)), [None, None, Some(5)]);
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let sources = Sources::default();
        assert_eq!(
            ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"].map(|at| begins(&sources, at, 0)),
            [None, None, Some(5)]
        );
        assert_eq!(begins(&sources, "2001:db8:0:1::1", 0), None);
        assert_eq!(
            ["::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"].map(|at| begins(&sources, at, 0)),
            [None, None, Some(5)]
        );
    }

    #[test]
    fn the_table_does_not_grow() {
        let sources = Sources::default();
        for host in 0..200_000u32 {
            let address = std::net::Ipv4Addr::from_bits(host);
            assert!(sources.begin(address.into(), RATE, Now(1)).is_ok());
        }
        let (_, sets) = sources.sets.get().expect("it is used");
        assert_eq!(sets.len(), SETS);
    }
}
