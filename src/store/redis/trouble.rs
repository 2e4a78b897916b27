//! What a server's error means: for the next step, and for people.

use redis::{ErrorKind, RedisError};

use super::settings::Place;
use crate::store::shared::StoreError;

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This server does not decide that; here is who does, if it said so. Nothing was changed.
    Elsewhere(Option<Place>),
    /// It does not know the script. Nothing was changed.
    Unknown,
    /// The connection is of no use any more.
    Broken,
    /// It cannot at present.
    Later,
    /// It will not.
    Refused,
}

/// The code of an error, such as `NOPERM`. Servers before version 7 wrap what a script's command was told.
fn code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    if code != "ERR" {
        return Some(code);
    }
    let inner = error.detail()?.split(": -").nth(1)?.split(' ').next()?;
    Some(inner)
}

/// What to do. `place`: whom was asked.
pub(super) fn judge(error: &RedisError, place: &Place) -> Verdict {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => return Verdict::Broken,
        ErrorKind::Client | ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig => {
            return Verdict::Refused;
        }
        _ => {}
    }
    match code(error) {
        Some("READONLY") => Verdict::Elsewhere(None),
        Some("MOVED") => Verdict::Elsewhere(error.redirect_node().and_then(|(to, _)| moved(to, place))),
        Some("NOSCRIPT") => Verdict::Unknown,
        Some("LOADING" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" | "NOREPLICAS" | "UNBLOCKED") => {
            Verdict::Later
        }
        _ => Verdict::Refused,
    }
}

/// Where a key moved to; a server that knows no name of itself leaves the host out.
fn moved(to: &str, place: &Place) -> Option<Place> {
    let (host, port) = to.rsplit_once(':')?;
    let host = if host.is_empty() { place.host.clone() } else { host.trim_matches(['[', ']']).to_owned() };
    Some(Place { host, port: port.parse().ok()? })
}

/// The way out, where there is one that is not obvious.
fn way_out(error: &RedisError) -> &'static str {
    match code(error) {
        Some("NOAUTH") => "; it wants a password: write redis://USER:PASSWORD@HOST",
        Some("WRONGPASS") => "; correct the user and the password of the URL",
        Some("NOPERM") => {
            "; give its user these rights: ~{PREFIX}:* +@read +@write +@connection +evalsha +eval +time +info"
        }
        Some("OOM") => "; give it memory (maxmemory), and set maxmemory-policy noeviction",
        Some("MISCONF") => "; it cannot save to its disk: see its log",
        Some("WRONGTYPE") => "; another program uses these keys: choose another prefix",
        Some("LOADING") => "; it reads its data after a start",
        Some("NOREPLICAS") => "; too few of its replicas follow (min-replicas-to-write)",
        Some("CLUSTERDOWN") => "; the cluster has no majority, or a slot that nobody serves",
        Some("ASK" | "TRYAGAIN") => "; the keys are moving to another server of the cluster",
        Some("BUSY") => "; somebody's script runs too long",
        Some("READONLY") => "; it is a replica: name the master, or its sentinels",
        Some("ERR") | None if error.detail().is_some_and(|text| text.contains("unknown command")) => {
            "; Redis 6.2 or Valkey is needed"
        }
        Some("ERR") | None if error.detail().is_some_and(|text| text.contains("smaller than the target stream")) => {
            "; it has lost part of what Castile keeps there: set maxmemory-policy noeviction, delete the keys of this prefix"
        }
        _ => "",
    }
}

/// The error as the gateway tells it.
pub(super) fn told(error: &RedisError, place: &Place) -> StoreError {
    let what = format!("Redis at {place}: {}{}", text(error), way_out(error));
    match judge(error, place) {
        Verdict::Refused | Verdict::Unknown => StoreError::Refused(what),
        Verdict::Elsewhere(_) | Verdict::Broken | Verdict::Later => StoreError::Away(what),
    }
}

/// As the server said it.
fn text(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        _ if error.is_connection_dropped() => "the connection broke".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, detail: &str, verdict: Verdict, says: &str) {
        let error = redis::make_extension_error(code.to_owned(), Some(detail.to_owned()));
        let place = Place { host: "h".to_owned(), port: 1 };
        assert_eq!(judge(&error, &place), verdict, "{code} {detail}");
        let told = told(&error, &place).to_string();
        assert!(told.starts_with("Redis at h:1: ") && told.contains(says), "{told}");
    }

    #[test]
    fn each_error_says_what_helps() {
        use Verdict::{Elsewhere, Later, Refused};
        check("NOAUTH", "Authentication required.", Refused, "USER:PASSWORD");
        check("WRONGPASS", "invalid username-password pair", Refused, "correct the user");
        check("OOM", "command not allowed when used memory > 'maxmemory'.", Refused, "noeviction");
        check("NOPERM", "this user has no permissions", Refused, "give its user");
        check("LOADING", "Redis is loading the dataset in memory", Later, "after a start");
        check("READONLY", "You can't write against a read only replica.", Elsewhere(None), "sentinels");
        check("ERR", "unknown command 'XADD'", Refused, "6.2");
    }

    #[test]
    fn what_a_script_was_told_counts() {
        let wrapped = "Error running script (call to f_1): @user_script:5: @user_script: 5: -OOM command not allowed";
        check("ERR", wrapped, Verdict::Refused, "noeviction");
        let wrapped = "Error running script (call to f_1): @user_script:5: -READONLY You can't write";
        check("ERR", wrapped, Verdict::Elsewhere(None), "sentinels");
    }

    #[test]
    fn a_moved_key_says_where() {
        let place = Place { host: "h".to_owned(), port: 1 };
        assert_eq!(moved("10.0.0.2:7001", &place), Place::parse("10.0.0.2:7001", 0).ok());
        assert_eq!(moved(":7002", &place), Place::parse("h:7002", 0).ok());
        assert_eq!(moved("[fd00::2]:7002", &place), Place::parse("[fd00::2]:7002", 0).ok());
        assert_eq!(moved("nowhere", &place), None);
    }
}
