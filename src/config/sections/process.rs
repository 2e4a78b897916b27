//! What concerns the process as a whole: inspection, faults, admin, logs, reload, shutdown.

use super::names::{NAME, secret};
use super::{FLAG, listener};
use crate::config::forms::{ADDRESS, Count, Form, Or, Parsed, Size, TimeOrZero, Word, WritableFile, n32};
use crate::config::model::{
    AccessLog, Admin, FaultStatus, Faults, Handover, Inspect, LogFormat, LogTarget, Reload, Role, Shutdown, Token,
};
use crate::config::read::Section;
use crate::config::show::Shown;

/// How much of a message is read.
pub fn inspect(s: &mut Section) -> Inspect {
    let usual = Inspect::default();
    let mib = 1 << 20;
    let message = Size { min: 1024, max: 1024 * mib };
    let inspect = Inspect {
        bytes_per_message: s.value("bytes_per_message", "Bytes of one message.", message, usual.bytes_per_message),
        bytes_total: s.value(
            "bytes_total",
            "Bytes held for all messages before they can be placed.",
            Size { min: 1024, max: 1 << 40 },
            usual.bytes_total,
        ),
        depth: s.value("depth", "Nesting of elements.", n32(Count { min: 4, max: 1024, below: "" }), usual.depth),
        attributes: s.value(
            "attributes",
            "Attributes of one element.",
            n32(Count { min: 8, max: 65_536, below: "" }),
            usual.attributes,
        ),
        value_bytes: s.value(
            "value_bytes",
            "Length of a wanted value; a longer one is no key.",
            VALUE,
            usual.value_bytes,
        ),
    };
    if inspect.bytes_total < inspect.bytes_per_message {
        let key = if s.place_of("bytes_total").is_some() { "bytes_total" } else { "bytes_per_message" };
        s.problem(key, "one message may hold more than all together; raise bytes_total or lower bytes_per_message");
    }
    inspect
}

const VALUE: SmallSize = SmallSize(Size { min: 64, max: 1 << 20 });

/// A size that fits 32 bits.
#[derive(Debug, Clone, Copy)]
struct SmallSize(Size);

impl Form for SmallSize {
    type Value = u32;
    fn what(&self) -> String {
        self.0.what()
    }
    fn parse(&self, text: &str, folder: &std::path::Path) -> Result<u32, String> {
        let bytes = self.0.parse(text, folder)?;
        u32::try_from(bytes).map_err(|_| format!("{text} is too much; write {}", self.what()))
    }
    fn show(&self, value: &u32) -> Shown {
        self.0.show(&u64::from(*value))
    }
    fn schema(&self) -> serde_json::Value {
        self.0.schema()
    }
}

/// How faults travel.
pub fn faults(s: &mut Section) -> Faults {
    const STATUS: Word<FaultStatus> = Word(&[("binding", FaultStatus::Binding), ("http", FaultStatus::Http)]);
    Faults {
        status: s.value(
            "status",
            "Status of a fault that the application must react to.",
            STATUS,
            FaultStatus::default(),
        ),
    }
}

const ROLE: Word<Role> =
    Word(&[("read", Role::Read), ("operate", Role::Operate), ("admin", Role::Admin), ("register", Role::Register)]);

/// The admin API.
pub fn admin(s: &mut Section) -> Admin {
    let usual = Admin::default();
    let address = s.value("address", "Where it listens; none = nowhere.", Or("none", ADDRESS), usual.address);
    let tls = s.optional_with("tls", "TLS, as on listeners.", listener::tls);
    let tokens = s.optional_with("tokens", "Who may do what; without any, loopback may do everything.", |slot| {
        slot.list(|slot| slot.map(token).flatten())
    });
    let tokens = tokens.unwrap_or_default();
    for (number, token) in tokens.iter().enumerate() {
        if tokens[..number].iter().any(|earlier| earlier.name == token.name) {
            s.cx().problem(token.at, format!("{} is the name of an earlier token; give each its own", token.name));
        }
    }
    let open = address.is_some_and(|address| !address.ip().is_loopback());
    let certificates = tls.as_ref().is_some_and(|tls| tls.client_auth == crate::config::model::ClientAuth::Required);
    if open && tokens.is_empty() && !certificates {
        s.problem("address", "anybody could move conversations from there; name tokens, require client certificates, or listen on 127.0.0.1");
    }
    Admin { address, tls, tokens }
}

fn token(s: &mut Section) -> Option<Token> {
    let at = s.at;
    let name = s.required("name", "Name in the audit log.", NAME);
    let token = s.required_with("token", "What is presented: {file: path} or ${VARIABLE}.", secret);
    let role = s.value(
        "role",
        "What it permits; read, operate and admin each include the ones before; register only announces nodes.",
        ROLE,
        Role::default(),
    );
    Some(Token { at, name: name?, token: token?, role })
}

/// `access_log:`; `none` switches it off.
pub fn access_log(s: &mut Section) -> Option<AccessLog> {
    let plain = |key: &str, word: &str| (key.to_owned(), Shown::Plain(word.to_owned()));
    let usual = Shown::Map(vec![plain("file", "stdout"), plain("format", "json")]);
    let read = s.value_with("access_log", "One line a request; none = not written.", usual, |slot| {
        slot.scalar_or_map(|slot| slot.scalar(NO_LOG).map(|()| None), |slot| slot.map(|s| Some(log(s))))
    });
    read.unwrap_or_else(|| Some(AccessLog::default()))
}

const NO_LOG: Parsed<()> = Parsed(
    "none, or {file: stdout, format: json}",
    |text| {
        if text == "none" {
            Ok(())
        } else {
            Err(format!("{text:?} means nothing here; write none, or {{file: {text}}}"))
        }
    },
    |()| "none".to_owned(),
);

fn log(s: &mut Section) -> AccessLog {
    const FORMAT: Word<LogFormat> = Word(&[("json", LogFormat::Json), ("text", LogFormat::Text)]);
    let file = s.value("file", "The end of this file, or stdout.", Or("stdout", WritableFile), None);
    let format = s.value("format", "How it is written.", FORMAT, LogFormat::default());
    AccessLog { target: file.map_or(LogTarget::Stdout, LogTarget::File), format }
}

/// Taking over a changed file.
pub fn reload(s: &mut Section) -> Reload {
    let lost = Or("none", Count::from_zero(u32::MAX as u64));
    Reload {
        watch: s.value("watch", "Whether changed files are taken over by themselves; else on SIGHUP.", FLAG, false),
        max_conversations_lost: s.value(
            "max_conversations_lost",
            "A reload that would lose more is refused; none = any number.",
            lost,
            None,
        ),
    }
}

/// Stopping.
pub fn shutdown(s: &mut Section) -> Shutdown {
    let usual = Shutdown::default();
    Shutdown {
        delay: s.value("delay", "How long serving goes on after readiness has failed.", TimeOrZero, usual.delay),
        limit: s.value("limit", "How long requests in flight may take then.", TimeOrZero, usual.limit),
    }
}

/// Handing over to a successor.
pub fn handover(s: &mut Section) -> Handover {
    let usual = Handover::default();
    Handover {
        socket: s.value(
            "socket",
            "The Unix socket on which a new process takes over; none = it cannot.",
            Or("none", WritableFile),
            usual.socket,
        ),
        limit: s.value(
            "limit",
            "How long the old process goes on serving the connections it has.",
            TimeOrZero,
            usual.limit,
        ),
    }
}
