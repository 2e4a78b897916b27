//! `audit:`.

use super::FILE;
use crate::config::forms::{AnyText, Or, Parsed, WritableFile};
use crate::config::model::{Audit, LogTarget, NodeTls};
use crate::config::read::Section;
use crate::config::show::Shown;

/// The port of syslog over TLS (RFC 5425 §4.1).
const PORT: u16 = 6514;

const WORD: Parsed<Option<Audit>> = Parsed(
    "none, stdout, {file: PATH} or {syslog: tls://HOST:6514}",
    |text| match text {
        "none" => Ok(None),
        "stdout" => Ok(Some(Audit::Log(LogTarget::Stdout))),
        _ => Err(format!(
            "{text:?} means nothing here; write none, stdout, {{file: {text}}} or {{syslog: tls://HOST:6514}}"
        )),
    },
    |audit| if audit.is_none() { "none".to_owned() } else { "stdout".to_owned() },
);

const RECEIVER: Parsed<(String, u16)> =
    Parsed("a receiver such as tls://logs.example.com:6514", receiver, |(host, port)| match host.contains(':') {
        true => format!("tls://[{host}]:{port}"),
        false => format!("tls://{host}:{port}"),
    });

/// `audit:`; `none` = no such stream.
pub fn audit(s: &mut Section) -> Option<Audit> {
    let doc =
        "Who changed what, from where: every admin action and refusal, reload, start and stop; none = not written.";
    let usual = Shown::Text("none".to_owned());
    let read =
        s.value_with("audit", doc, usual, |slot| slot.scalar_or_map(|slot| slot.scalar(WORD), |slot| slot.map(stream)));
    read.flatten()
}

fn stream(s: &mut Section) -> Option<Audit> {
    let at = s.at;
    let file = s.optional("file", "The end of this file, or stdout.", Or("stdout", WritableFile));
    let receiver = s.optional("syslog", "A receiver of RFC 5424 over TLS.", RECEIVER);
    let ca = s.optional("ca", "PEM: the authorities that sign its certificate; default: the system's.", FILE);
    let client_certificate = s.optional("client_certificate", "PEM: the certificate shown to it, and its chain.", FILE);
    let client_key = s.optional("client_key", "PEM: its private key.", FILE);
    let server_name =
        s.optional("server_name", "The name that its certificate is checked for; default: the host.", AnyText);
    match (s.place_of("client_certificate"), s.place_of("client_key")) {
        (Some(_), None) => s.problem("client_certificate", "its private key is missing; set client_key"),
        (None, Some(_)) => s.problem("client_key", "its certificate is missing; set client_certificate"),
        _ => {}
    }
    match (file, receiver) {
        (Some(file), None) => {
            for key in ["ca", "client_certificate", "client_key", "server_name"] {
                if s.place_of(key).is_some() {
                    s.problem(key, "is about a syslog receiver, and this is a file; remove it, or write syslog");
                }
            }
            Some(Audit::Log(file.map_or(LogTarget::Stdout, LogTarget::File)))
        }
        (None, Some((host, port))) => {
            let tls = NodeTls { at, ca, client_certificate, client_key, server_name, verify: true };
            Some(Audit::Syslog { host, port, tls })
        }
        (Some(_), Some(_)) => {
            s.problem("syslog", "there is one audit stream; write file or syslog");
            None
        }
        (None, None) => {
            if s.is_absent("file") && s.is_absent("syslog") && !s.cx().describing() {
                s.problem("file", "says nowhere to write to; write file or syslog");
            }
            None
        }
    }
}

fn receiver(text: &str) -> Result<(String, u16), String> {
    let way = "write tls://HOST:6514";
    let Some(rest) = text.strip_prefix("tls://") else {
        return Err(format!("{text:?} is no receiver; {way} (in clear text anybody could read and forge it)"));
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or(Some(port).filter(|port| !port.is_empty()))),
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => PORT,
        Some(port) => port.parse().map_err(|_| format!("{port:?} is no port; {way}"))?,
    };
    if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
        return Err(format!("{text:?} names no host; {way}"));
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("tls://logs.example.com", "logs.example.com", 6514),
            ("tls://10.0.0.9:10514/", "10.0.0.9", 10514),
            ("tls://[2001:db8::9]:10514", "2001:db8::9", 10514),
            ("tls://[::1]", "::1", 6514),
        ] {
            assert_eq!(receiver(text), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["udp://logs:514", "logs:6514", "tls://", "tls://a/b", "tls://a:port", "tls://u@a"] {
            assert!(receiver(text).is_err(), "{text}");
        }
    }
}
