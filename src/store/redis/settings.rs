//! Where a Redis is, and who asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The usual port of a server.
const PORT: u16 = 6379;
/// The usual port of a sentinel.
const SENTINEL_PORT: u16 = 26379;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Place {
    /// Reads `host:port`, `host` or `[address]:port`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or_else(|| format!("{text:?} lacks its ]"))?,
            None => text.rfind(':').map_or((text, ""), |at| text.split_at(at)),
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or(format!("{digits:?} is no port; write 1 to 65535"))?,
            None if rest.is_empty() => port,
            None => return Err(format!("{text:?} is no host:port")),
        };
        if host.is_empty() || (host.contains(':') && !text.starts_with('[')) {
            return Err(format!("{text:?} is no host:port"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A name and a password; neither is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user of an ACL. `None` = the default user.
    pub user: Option<String>,
    /// `None` = nobody is asked who he is.
    pub password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// One `redis://` or `rediss://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `rediss`.
    pub tls: bool,
    /// Who asks.
    pub credentials: Credentials,
    /// Where.
    pub place: Place,
    /// The database; a cluster has only 0.
    pub database: u32,
}

impl Url {
    /// Reads `redis[s]://[user][:password]@host[:port][/database]`; with `sentinel` the port's default is a sentinel's.
    ///
    /// # Errors
    /// What is wrong, without what is secret.
    pub fn parse(text: &str, sentinel: bool) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            _ => {
                return Err(
                    "does not begin with redis:// or rediss:// (with TLS); write redis://USER:PASSWORD@HOST".to_owned()
                );
            }
        };
        // A password may hold anything; a host holds no @.
        let (who, rest) = rest.rsplit_once('@').map_or((None, rest), |(who, rest)| (Some(who), rest));
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = if database.is_empty() {
            0
        } else {
            database.parse().map_err(|_| format!("{database:?} is no number of a database; write HOST:PORT/0"))?
        };
        let credentials = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
            None => Credentials::default(),
            Some((user, password)) => {
                let part = |text: &str| if text.is_empty() { Ok(None) } else { decode(text).map(Some) };
                Credentials { user: part(user)?, password: part(password)? }
            }
        };
        if credentials.user.is_some() && credentials.password.is_none() {
            return Err("has a user but no password; write USER:PASSWORD@HOST, or :PASSWORD@HOST".to_owned());
        }
        let place = Place::parse(place, if sentinel { SENTINEL_PORT } else { PORT })?;
        Ok(Self { tls, credentials, place, database })
    }
}

/// Undoes `%XX`.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err("has a % in user or password that no two hexadecimal digits follow; write %25".to_owned()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "has a user or password that is not UTF-8".to_owned())
}

/// How a Redis is reached and used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is: one server, some of a cluster or of a group of replicas, or, with `sentinel`, the sentinels. At least one.
    pub places: Vec<Place>,
    /// TLS, with them and with sentinels.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Who asks.
    pub credentials: Credentials,
    /// The database.
    pub database: u32,
    /// The places are sentinels; they know the master.
    pub sentinel: Option<Sentinel>,
    /// What all keys begin with, in braces: so they are in one slot of a cluster.
    pub prefix: String,
    /// The longest that a connection or an answer takes.
    pub timeout: Duration,
    /// Entries that the log keeps, about.
    pub log_max: u32,
}

/// Entries that the log keeps unless told otherwise: minutes of a busy fleet.
pub const LOG_MAX: u32 = 100_000;

/// What sentinels are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// The name of the master that they watch.
    pub name: String,
    /// Who asks the sentinels; the master is asked by [`Settings::credentials`].
    pub credentials: Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let told = match Url::parse(text, false) {
            Ok(url) => {
                let Credentials { user, password } = url.credentials;
                let [user, password] = [user, password].map(|text| text.unwrap_or_else(|| "-".to_owned()));
                format!("tls={} {user} {password} {} {}", url.tls, url.place, url.database)
            }
            Err(error) => error,
        };
        assert!(told.starts_with(expected), "{text}: {told}");
    }

    #[test]
    fn urls_are_read_as_redis_writes_them() {
        check("redis://h", "tls=false - - h:6379 0");
        check("rediss://:p%40:ss@h:7/3", "tls=true - p@:ss h:7 3");
        check("redis://castile:a@b@[::1]:7000", "tls=false castile a@b [::1]:7000 0");
        check("redis://u@h", "has a user but no password");
        check("http://h", "does not begin with redis://");
        check("redis://:50%@h", "has a % in user or password");
        check("redis://h:0", "\"0\" is no port");
        check("redis://", "\"\" is no host:port");
        check("redis://h/x", "\"x\" is no number of a database");
        check("redis://1:2:3", "\"1:2:3\" is no host:port");
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let url = Url::parse("redis://castile:hunter2@h", true).expect("a URL");
        assert_eq!(url.place.port, SENTINEL_PORT);
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
