//! What a node says: a method, a target and a form, as one value.
//!
//! The protocol is that of mod_cluster ("MCMP"). Only what breaks its form is refused here; whether a node is known is a
//! matter of state.

use super::answer::Refused;
use crate::config::model::{NodeUrl, Scheme};
use crate::config::sections;

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// It introduces itself.
    Config(Config),
    /// It tells what becomes of its applications.
    App {
        /// What becomes of them.
        what: App,
        /// Its JVMRoute.
        node: String,
        /// Of which; `None` = of all that it has.
        which: Option<Which>,
    },
    /// It tells how it fares.
    Status {
        /// Its JVMRoute.
        node: String,
        /// -1 = it fails, 0 = only where nobody else is left, 1 to 100 = its share of new conversations.
        load: Option<i32>,
    },
    /// It asks whether a node, or an address, can be reached; with neither, whether anybody is here.
    Ping {
        /// A JVMRoute.
        node: Option<String>,
        /// Whether it named an address instead.
        by_address: bool,
    },
    /// Who is known?
    Info,
    /// Who is known, in detail?
    Dump,
    /// Which protocol is spoken?
    Version,
}

/// How a node introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its JVMRoute.
    pub node: String,
    /// Where it listens.
    pub url: NodeUrl,
    /// Nodes of one domain stand together.
    pub domain: Option<String>,
    /// The balancer that it wants to belong to.
    pub balancer: Option<String>,
}

/// What becomes of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// New conversations are welcome.
    Enable,
    /// Existing ones only.
    Disable,
    /// It ends.
    Stop,
    /// It has gone.
    Remove,
}

/// Applications: these paths, for these hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// Lower case; empty = any.
    pub hosts: Vec<String>,
    /// Begin with a slash and do not end in one; empty = all paths.
    pub paths: Vec<String>,
}

/// Hosts or paths of one message at most.
const LIST_MAX: usize = 100;

impl Command {
    /// Reads a message. `None`: no command of this protocol.
    ///
    /// # Errors
    /// It is one, but cannot be understood.
    pub fn read(method: &str, target: &str, body: &[u8]) -> Option<Result<Self, Refused>> {
        let form = Form::read(body);
        Some(match method {
            "CONFIG" => config(&form).map(Self::Config),
            "ENABLE-APP" => app(App::Enable, target, &form),
            "DISABLE-APP" => app(App::Disable, target, &form),
            "STOP-APP" => app(App::Stop, target, &form),
            "REMOVE-APP" => app(App::Remove, target, &form),
            "STATUS" => {
                node(&form).map(|node| Self::Status { node, load: form.get("load").and_then(|load| load.parse().ok()) })
            }
            "PING" => {
                let by_address = form.get("host").or(form.get("scheme")).is_some();
                Ok(Self::Ping { node: form.get("jvmroute").map(str::to_owned), by_address })
            }
            "INFO" => Ok(Self::Info),
            "DUMP" => Ok(Self::Dump),
            "VERSION" => Ok(Self::Version),
            _ => return None,
        })
    }
}

fn config(form: &Form) -> Result<Config, Refused> {
    let node = node(form)?;
    let kind = form.get("type").unwrap_or("ajp");
    let scheme = match kind.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(Refused::syntax(format!("Type {kind} is not spoken; give the node an HTTP connector"))),
    };
    let host =
        form.get("host").unwrap_or("localhost").trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c)) {
        return Err(Refused::syntax("Host names no host"));
    }
    let port = form.get("port").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    let port = port.ok_or_else(|| Refused::syntax("Port is no number of 1 to 65535"))?;
    let name = |key| form.get(key).filter(|name| sections::name(name).is_ok()).map(str::to_owned);
    Ok(Config { node, url: NodeUrl { scheme, host, port }, domain: name("domain"), balancer: name("balancer") })
}

fn app(what: App, target: &str, form: &Form) -> Result<Command, Refused> {
    let node = node(form)?;
    if target.ends_with('*') {
        return Ok(Command::App { what, node, which: None });
    }
    let hosts = list(form.get("alias"), |host| {
        let host = host.to_ascii_lowercase();
        let good = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
        good.then_some(host).ok_or_else(|| Refused::syntax("Alias is no host"))
    })?;
    let paths = list(form.get("context"), |path| {
        let path = path.trim_end_matches('/');
        let good = path.is_empty() || path.starts_with('/');
        let good = good && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?#&=".contains(&byte));
        good.then(|| path.to_owned()).ok_or_else(|| Refused::syntax("Context is no path"))
    })?;
    if paths.is_empty() {
        return Err(Refused::syntax("Context is missing"));
    }
    Ok(Command::App { what, node, which: Some(Which { hosts, paths }) })
}

/// The JVMRoute, which becomes the name of a node.
fn node(form: &Form) -> Result<String, Refused> {
    let node = form.get("jvmroute").ok_or_else(|| Refused::syntax("JVMRoute is missing"))?;
    sections::name(node).map_err(|why| Refused::syntax(format!("JVMRoute cannot be the name of a node: {why}")))
}

fn list(text: Option<&str>, read: impl Fn(&str) -> Result<String, Refused>) -> Result<Vec<String>, Refused> {
    let mut found = text.unwrap_or_default().split(',').filter(|_| text.is_some()).map(str::trim).map(read);
    let mut list = found.by_ref().take(LIST_MAX).collect::<Result<Vec<_>, _>>()?;
    if found.next().is_some() {
        return Err(Refused::syntax("there are too many of them"));
    }
    list.sort();
    list.dedup();
    Ok(list)
}

/// A form (application/x-www-form-urlencoded), names in lower case. What is sent twice counts once, the first time.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let pair = |pair: &[u8]| {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            (decoded(name).to_ascii_lowercase(), decoded(value).trim().to_owned())
        };
        Self(pairs.map(pair).collect())
    }

    /// What is written, unless that is nothing.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }
}

fn decoded(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (text[at], text.get(at + 1).copied().and_then(hex), text.get(at + 2).copied().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &str, body: &str, expected: &str) {
        let shown = match Command::read(method, target, body.as_bytes()) {
            None => "none".to_owned(),
            Some(Err(refused)) => format!("{}: {}", refused.kind(), refused.message()),
            Some(Ok(Command::Config(config))) => {
                format!("{} {} {:?} {:?}", config.node, config.url, config.domain, config.balancer)
            }
            Some(Ok(Command::App { what, node, which })) => {
                let which = which.map(|which| (which.hosts.join("|"), which.paths.join("|")));
                format!("{what:?} {node} {which:?}")
            }
            Some(Ok(other)) => format!("{other:?}"),
        };
        assert_eq!(shown, expected, "{method} {target} {body}");
    }

    #[test]
    fn nodes_introduce_themselves() {
        check(
            "CONFIG",
            "/",
            "JVMRoute=node1&Domain=groupA&Host=localhost&Port=21205&StickySessionForce=No&Type=http",
            "node1 http://localhost:21205 Some(\"groupA\") None",
        );
        check(
            "CONFIG",
            "/",
            "jvmroute=n&balancer=b&HOST=%5Bfd00%3A%3A1%5D&port=8443&type=HTTPS",
            "n https://[fd00::1]:8443 None Some(\"b\")",
        );
        for (body, part) in [
            ("Host=h&Port=1&Type=http", "SYNTAX: JVMRoute is missing"),
            ("JVMRoute=&Host=h&Port=1&Type=http", "SYNTAX: JVMRoute is missing"),
            ("JVMRoute=n&Host=h&Port=0&Type=http", "SYNTAX: Port is no number of 1 to 65535"),
            ("JVMRoute=n&Host=h&Port=1&Type=ajp", "SYNTAX: Type ajp is not spoken; give the node an HTTP connector"),
            ("JVMRoute=n&Host=a/b&Port=1&Type=http", "SYNTAX: Host names no host"),
        ] {
            check("CONFIG", "/", body, part);
        }
        check(
            "CONFIG",
            "/",
            "JVMRoute=a+b&Host=h&Port=1&Type=http",
            "SYNTAX: JVMRoute cannot be the name of a node: ' ' cannot stand in a name; use letters, digits and - _ . : @",
        );
    }

    #[test]
    fn nodes_tell_of_their_applications() {
        let app = "JVMRoute=node1&Alias=localhost%2Clab.example&Context=%2Fws";
        check("ENABLE-APP", "/", app, "Enable node1 Some((\"lab.example|localhost\", \"/ws\"))");
        check("STOP-APP", "/", "JVMRoute=n&Alias=H&Context=/", "Stop n Some((\"h\", \"\"))");
        check("DISABLE-APP", "/", "JVMRoute=n&Context=%2Fa%2C%2Fb%2F", "Disable n Some((\"\", \"/a|/b\"))");
        check("REMOVE-APP", "/*", "JVMRoute=node1", "Remove node1 None");
        check("ENABLE-APP", "/", "JVMRoute=n", "SYNTAX: Context is missing");
        check("ENABLE-APP", "/", "JVMRoute=n&Context=/a*", "SYNTAX: Context is no path");
        check("ENABLE-APP", "/", "JVMRoute=n&Context=ws", "SYNTAX: Context is no path");
        check("ENABLE-APP", "/", "JVMRoute=n&Context=/a&Alias=a%20b", "SYNTAX: Alias is no host");
    }

    #[test]
    fn nodes_tell_how_they_fare_and_ask() {
        check("STATUS", "/", "JVMRoute=node1&Load=77", "Status { node: \"node1\", load: Some(77) }");
        check("STATUS", "/", "JVMRoute=node1&Load=-1", "Status { node: \"node1\", load: Some(-1) }");
        check("STATUS", "/", "JVMRoute=node1&Load=x", "Status { node: \"node1\", load: None }");
        check("STATUS", "/", "Load=1", "SYNTAX: JVMRoute is missing");
        check("PING", "/", "", "Ping { node: None, by_address: false }");
        check("PING", "/", "Scheme=http&Host=h&Port=1", "Ping { node: None, by_address: true }");
        for (method, expected) in [("INFO", "Info"), ("DUMP", "Dump"), ("VERSION", "Version"), ("GET", "none")] {
            check(method, "/", "", expected);
        }
    }

    #[test]
    fn whatever_is_sent_is_read_without_a_panic() {
        for body in ["%", "%4", "%zz=%", "=&=&&", "JVMRoute", "JVMRoute=%ff%fe", "\u{0}"] {
            let _ = Command::read("CONFIG", "", body.as_bytes());
            let _ = Command::read("ENABLE-APP", "*", body.as_bytes());
        }
    }
}
