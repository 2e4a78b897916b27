//! Limits of the process and of a listener, and TCP keep-alive.

use std::time::Duration;

use crate::config::forms::{Count, Or, Parsed, Size, Time, n32};
use crate::config::model::{ListenerLimits, ProcessLimits, Rate, TcpKeepAlive};
use crate::config::read::Section;
use crate::config::show::Shown;
use crate::config::units::show_duration;

/// Far above what one process can hold.
const MANY: u64 = 10_000_000;

const RATE: Parsed<Rate> = Parsed("a rate such as 100/s, 20/m or 500/h", rate, show_rate);

/// Limits of the process.
pub fn process(s: &mut Section) -> ProcessLimits {
    let usual = ProcessLimits::default();
    ProcessLimits {
        connections: s.value(
            "connections",
            "Client connections; auto = half of the descriptors the process may have, less a reserve.",
            Or("auto", n32(Count::to(MANY))),
            usual.connections,
        ),
        buffers: s.value(
            "buffers",
            "Bytes of buffers; while they hold more, no further connection is taken.",
            Size { min: 1 << 20, max: 1 << 40 },
            usual.buffers,
        ),
        read_ahead: s.value(
            "read_ahead",
            "Bytes of one answer that are read ahead where its client is slow, so that its node is free; all together a quarter of buffers at most; 0 = none.",
            Size { min: 0, max: 1 << 30 },
            usual.read_ahead,
        ),
        new_conversations_per_source: s.value(
            "new_conversations_per_source",
            "How fast one client address (an IPv6 network of 64 bits) may begin conversations: 100/s; none = as fast as it likes.",
            Or("none", RATE),
            usual.new_conversations_per_source,
        ),
    }
}

/// Limits of a listener.
pub fn listener(s: &mut Section) -> ListenerLimits {
    let usual = ListenerLimits::default();
    ListenerLimits {
        connections: s.value(
            "connections",
            "Connections of this listener; none = as many as limits.connections.",
            Or("none", n32(Count::to(MANY))),
            usual.connections,
        ),
        bytes_per_second: s.value(
            "bytes_per_second",
            "What a client must send, or take, on average while it is waited for, after 30 s; 0 = anything.",
            n32(Count::from_zero(1 << 30)),
            usual.bytes_per_second,
        ),
    }
}

/// `tcp_keep_alive:`; `none` switches it off.
pub fn tcp_keep_alive(s: &mut Section) -> Option<TcpKeepAlive> {
    let plain = |key: &str, text: String| (key.to_owned(), Shown::Plain(text));
    let usual = TcpKeepAlive::default();
    let shown = Shown::Map(vec![
        plain("idle", show_duration(usual.idle)),
        plain("interval", show_duration(usual.interval)),
        plain("probes", usual.probes.to_string()),
    ]);
    let doc = "How silent connections are kept alive, so that firewalls do not forget them; none = not.";
    let read = s.value_with("tcp_keep_alive", doc, shown, |slot| {
        slot.scalar_or_map(|slot| slot.scalar(NONE).map(|()| None), |slot| slot.map(|s| Some(keep_alive(s))))
    });
    read.unwrap_or(Some(usual))
}

const NONE: Parsed<()> = Parsed(
    "none, or {idle: 60s, interval: 10s, probes: 6}",
    |text| {
        if text == "none" {
            Ok(())
        } else {
            Err(format!("{text:?} means nothing here; write none, or {{idle: 60s, interval: 10s, probes: 6}}"))
        }
    },
    |()| "none".to_owned(),
);

fn keep_alive(s: &mut Section) -> TcpKeepAlive {
    let usual = TcpKeepAlive::default();
    TcpKeepAlive {
        idle: s.value("idle", "Silence until the peer is asked; in whole seconds.", Time, usual.idle),
        interval: s.value("interval", "Between two times of asking.", Time, usual.interval),
        probes: s.value(
            "probes",
            "Unanswered ones until the connection is given up.",
            n32(Count::to(127)),
            usual.probes,
        ),
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let parsed = text.split_once('/').and_then(|(count, per)| {
        let seconds = match per {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
        Some(Rate { count, per: Duration::from_secs(seconds) })
    });
    parsed.ok_or_else(|| format!("{text:?} is no rate; write one such as 100/s, 20/m or 500/h"))
}

fn show_rate(rate: &Rate) -> String {
    let per = match rate.per.as_secs() {
        1 => "s",
        60 => "m",
        _ => "h",
    };
    format!("{}/{per}", rate.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shown_as_they_are_written() {
        for text in ["100/s", "20/m", "500/h"] {
            assert_eq!(rate(text).map(|rate| show_rate(&rate)).as_deref(), Ok(text));
        }
        for text in ["100", "0/s", "-1/s", "1/d", "1/", "/s", "1.5/s", "1000001/s"] {
            assert!(rate(text).is_err_and(|message| message.contains("write one such as")), "{text}");
        }
    }
}
