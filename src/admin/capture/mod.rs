//! `POST /v1/capture`: exchanges of a route, masked, as they pass.
//!
//! The answer is a line of JSON for each exchange, until the time is over, the limit reached, or the caller gone:
//! `{n, decision, pinned, request, response}`, both messages as `.http` files in base64.

mod mask;
mod redact;
mod xml;

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use self::mask::Masks;
use crate::config::units;
use crate::gateway::Gateway;
use crate::gateway::capture::Captured;
use crate::session::Fingerprint;

/// Exchanges of one capture: as many as one folder of `castile test` takes.
const LIMIT_MAX: u32 = 79;
/// For how long at most.
const FOR_MAX: Duration = Duration::from_secs(3600);

/// What is to be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The route's label; `None` = every route.
    pub route: Option<String>,
    /// For how long.
    pub time: Duration,
    /// How many exchanges.
    pub limit: u32,
    /// Whether of bodies only ids, passwords and tokens are masked.
    pub with_bodies: bool,
}

impl Order {
    /// Reads a query: `route=R&for=60s&limit=50&with_bodies=true`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(query: Option<&str>) -> Result<Self, String> {
        let mut order = Self { route: None, time: Duration::from_secs(60), limit: 50, with_bodies: false };
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescaped(value)?;
            match name {
                "route" => order.route = Some(value).filter(|route| !route.is_empty()),
                "for" => order.time = units::duration(&value)?,
                "limit" => order.limit = value.parse().map_err(|_| format!("{value:?} is no number"))?,
                "with_bodies" => order.with_bodies = value == "true",
                _ => return Err(format!("{name} means nothing here; use route, for, limit, with_bodies")),
            }
        }
        if order.time.is_zero() || order.time > FOR_MAX {
            return Err("for: write a time up to 1h".to_owned());
        }
        if !(1..=LIMIT_MAX).contains(&order.limit) {
            return Err(format!("limit: write a number of 1 to {LIMIT_MAX}"));
        }
        Ok(order)
    }

    /// For the audit stream.
    pub fn text(&self) -> String {
        let route = self.route.as_deref().unwrap_or("*");
        let bodies = if self.with_bodies { "bodies shown" } else { "bodies masked" };
        format!("capturing route {route}, for {:?}, limit {}, {bodies}", self.time, self.limit)
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(format!("{text:?} is not escaped as URLs are")),
        }
    }
    String::from_utf8(out).map_err(|_| "is not UTF-8".to_owned())
}

/// Begins a capture.
///
/// # Errors
/// There is no such route, one is running, or there are no random numbers.
pub fn begin(gateway: &Arc<Gateway>, order: &Order) -> Result<Lines, String> {
    if let Some(route) = &order.route {
        let snapshot = gateway.snapshot();
        if !snapshot.routes.iter().any(|known| known.label == *route) {
            let labels: Vec<_> = snapshot.routes.iter().map(|known| known.label.as_str()).collect();
            return Err(format!("there is no route {route:?}; write one of {}", labels.join(", ")));
        }
    }
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| error.to_string())?;
    let captured = gateway
        .captures
        .begin(order.route.clone(), order.limit, Instant::now() + order.time)
        .map_err(|busy| busy.to_string())?;
    Ok(Lines {
        gateway: Arc::clone(gateway),
        captured,
        over: Box::pin(tokio::time::sleep(order.time)),
        masks: Masks::new(secret),
        with_bodies: order.with_bodies,
        left: order.limit,
        count: 0,
        seen: HashSet::new(),
    })
}

/// The answer of a capture. Dropped, it ends the capture.
pub struct Lines {
    gateway: Arc<Gateway>,
    captured: mpsc::Receiver<Captured>,
    over: Pin<Box<Sleep>>,
    masks: Masks,
    with_bodies: bool,
    left: u32,
    count: u32,
    seen: HashSet<Fingerprint>,
}

impl Lines {
    fn line(&mut self, captured: &Captured) -> Bytes {
        self.count += 1;
        self.left -= 1;
        let pair = redact::redact(captured, self.with_bodies, &mut self.masks);
        // Only what began within the capture can be expected of its files.
        let was_seen = captured.key.is_some_and(|key| !self.seen.insert(key));
        let pinned = match captured.decision {
            "pin" | "linger" | "join" if was_seen => Some(true),
            "pin" | "linger" | "join" => None,
            _ => Some(false),
        };
        let line = serde_json::json!({
            "n": self.count,
            "decision": captured.decision,
            "pinned": pinned,
            "request": STANDARD.encode(&pair.request),
            "response": pair.response.as_ref().map(|response| STANDARD.encode(response)),
        });
        Bytes::from(format!("{line}\n"))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.gateway.captures.end();
        tracing::info!(exchanges = self.count, "a capture has ended");
    }
}

/// The body of an answer of the admin API.
pub enum Page {
    /// A text.
    Text(Option<Bytes>),
    /// A capture.
    Lines(Box<Lines>),
}

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Text(text) => {
                Poll::Ready(text.take().filter(|text| !text.is_empty()).map(|text| Ok(Frame::data(text))))
            }
            Self::Lines(lines) => {
                if lines.left == 0 {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(captured) = lines.captured.poll_recv(cx) {
                    return Poll::Ready(captured.map(|captured| Ok(Frame::data(lines.line(&captured)))));
                }
                lines.over.as_mut().poll(cx).map(|()| None)
            }
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Text(text) => http_body::SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Lines(_) => http_body::SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_bounded() {
        let order = Order::read(Some("route=/app%2A&for=2m&limit=3&with_bodies=true")).expect("an order");
        assert_eq!(
            (order.route.as_deref(), order.time.as_secs(), order.limit, order.with_bodies),
            (Some("/app*"), 120, 3, true)
        );
        assert_eq!(Order::read(None).expect("an order").limit, 50);
        for bad in ["limit=0", "limit=80", "for=2h", "for=0s", "for=x", "what=1", "route=%4"] {
            assert!(Order::read(Some(bad)).is_err(), "{bad}");
        }
    }
}
