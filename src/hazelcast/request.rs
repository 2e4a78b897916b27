//! The calls: what is asked, one function each. Types are those of the protocol's definitions.

use std::time::Duration;

use super::data::Data;
use super::map::EntryKind;
use super::options::Options;
use super::uuid::Uuid;
use super::write::Request;

/// Locks belong to threads; who locks nothing may be any.
const THREAD: i64 = 1;
/// How keys and values are written; the only version that members of 4.x and 5.x accept.
const SERIALIZATION: u8 = 1;
/// Who we are, in the words of the protocol's registry: a client of somebody else's.
const CLIENT_TYPE: &str = "RST";

/// Which entry events are asked for: what was added, removed, updated, evicted or has expired, and when all were removed at once.
const ENTRY_EVENTS: i32 = EntryKind::ADDED
    | EntryKind::REMOVED
    | EntryKind::UPDATED
    | EntryKind::EVICTED
    | EntryKind::EXPIRED
    | EntryKind::ALL_EVICTED
    | EntryKind::ALL_CLEARED;

/// The first call on a connection.
pub fn authentication(options: &Options, client: Uuid) -> Request {
    let credentials = options.credentials.as_ref();
    Request::new("Client.authentication", 0x00_0100)
        .uuid(client)
        .u8(SERIALIZATION)
        .text(&options.cluster)
        .optional_text(credentials.map(|credentials| credentials.user.as_str()))
        .optional_text(credentials.map(|credentials| credentials.password.as_str()))
        .text(CLIENT_TYPE)
        .text(&options.version)
        .text(&options.name)
        .texts(&options.labels)
}

/// Asks to be told who is in the cluster.
pub fn cluster_view() -> Request {
    Request::new("Client.addClusterViewListener", 0x00_0300)
}

/// A heartbeat.
pub fn ping() -> Request {
    Request::new("Client.ping", 0x00_0b00)
}

/// A value.
pub fn get(map: &str, key: &Data) -> Request {
    Request::new("Map.get", 0x01_0200).i64(THREAD).text(map).key(key).repeatable()
}

/// Puts a value; the one before comes back.
pub fn put(map: &str, key: &Data, value: &Data, ttl: Option<Duration>, idle: Option<Duration>) -> Request {
    let lives = match idle {
        None => Request::new("Map.put", 0x01_0100).i64(THREAD).i64(whole_seconds(ttl)),
        Some(_) => {
            let request = Request::new("Map.putWithMaxIdle", 0x01_4400);
            request.i64(THREAD).i64(whole_seconds(ttl)).i64(whole_seconds(idle))
        }
    };
    lives.text(map).key(key).data(value).repeatable()
}

/// Puts a value where there is none; one that is there stays and comes back.
pub fn put_if_absent(map: &str, key: &Data, value: &Data, ttl: Option<Duration>, idle: Option<Duration>) -> Request {
    let lives = match idle {
        None => Request::new("Map.putIfAbsent", 0x01_0e00).i64(THREAD).i64(whole_seconds(ttl)),
        Some(_) => {
            let request = Request::new("Map.putIfAbsentWithMaxIdle", 0x01_4600);
            request.i64(THREAD).i64(whole_seconds(ttl)).i64(whole_seconds(idle))
        }
    };
    lives.text(map).key(key).data(value).repeatable()
}

/// Puts a value where another one is; true if it was.
pub fn replace_if_same(map: &str, key: &Data, old: &Data, new: &Data) -> Request {
    Request::new("Map.replaceIfSame", 0x01_0500).i64(THREAD).text(map).key(key).data(old).data(new)
}

/// Removes a value, which comes back.
pub fn remove(map: &str, key: &Data) -> Request {
    Request::new("Map.remove", 0x01_0300).i64(THREAD).text(map).key(key)
}

/// Removes a value if it is this one; true if it was.
pub fn remove_if_same(map: &str, key: &Data, value: &Data) -> Request {
    Request::new("Map.removeIfSame", 0x01_0800).i64(THREAD).text(map).key(key).data(value)
}

/// How long an entry lives from now on; true if there is one.
pub fn set_ttl(map: &str, key: &Data, ttl: Option<Duration>) -> Request {
    Request::new("Map.setTtl", 0x01_4300).i64(whole_seconds(ttl)).text(map).key(key).repeatable()
}

/// Every key with its value.
pub fn entry_set(map: &str) -> Request {
    Request::new("Map.entrySet", 0x01_2500).text(map).repeatable()
}

/// Asks to be told what happens to a map, with keys and values.
pub fn listen(map: &str) -> Request {
    let (values, local_only) = (1, 0);
    Request::new("Map.addEntryListener", 0x01_1900).u8(values).i32(ENTRY_EVENTS).u8(local_only).text(map)
}

/// Asks to be told no more.
pub fn stop_listening(map: &str, registration: Uuid) -> Request {
    Request::new("Map.removeEntryListener", 0x01_1a00).uuid(registration).text(map)
}

/// Milliseconds that an entry lives at least as long as wanted. 0: until it is removed.
///
/// Members floor to whole seconds and count from the beginning of the present one: what shall live 1 s lives 0.2 to 1.07 s
/// (measured with 5.7). So there is a second more, and parts of one are rounded up.
fn whole_seconds(wanted: Option<Duration>) -> i64 {
    let Some(wanted) = wanted else { return 0 };
    let seconds = wanted.as_secs().saturating_add(1 + u64::from(wanted.subsec_nanos() > 0));
    // Members count seconds in 31 bits.
    i64::try_from(seconds).unwrap_or(i64::MAX).min(i64::from(i32::MAX)) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shall_live_a_while_lives_no_shorter() {
        for (wanted, millis) in [(1000, 2000), (1, 2000), (1500, 3000), (0, 1000), (60_000, 61_000)] {
            assert_eq!(whole_seconds(Some(Duration::from_millis(wanted))), millis, "{wanted}");
        }
        assert_eq!(whole_seconds(None), 0);
        assert_eq!(whole_seconds(Some(Duration::MAX)), i64::from(i32::MAX) * 1000);
    }
}
