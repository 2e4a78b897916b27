//! Every change and every refusal of the admin API goes to the audit stream.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::access::Denied;
use super::capture::Lines;
use super::fleet::{Wanted, deliver};
use super::{PREVIEW, plain, reply};
use crate::gateway::{Gateway, unix_ms};
use crate::telemetry::audit::{Act, Outcome};

/// What is told of one request besides its answer.
#[derive(Default)]
pub struct Story {
    /// The name of the token that was presented.
    pub who: Option<String>,
    /// Why it was refused.
    pub denied: Option<Denied>,
    /// What held before and holds now.
    pub change: Option<(String, String)>,
    /// What all gateways of the fleet are to hear of it.
    pub wanted: Option<Wanted>,
    /// What follows as the answer's body.
    pub lines: Option<Lines>,
}

impl Story {
    /// Something was changed.
    pub fn changed(&mut self, before: impl Into<String>, after: impl Into<String>) {
        self.change = Some((before.into(), after.into()));
    }
}

/// Answers a request. What may change something is done only once there is a place for its record.
pub async fn audited(
    gateway: &Arc<Gateway>,
    request: &Request<Bytes>,
    peer: SocketAddr,
    own: IpAddr,
    subject: Option<&str>,
) -> (Response<String>, Option<Lines>) {
    let only_looks =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) || request.uri().path() == PREVIEW;
    let mut place = None;
    if !only_looks {
        match gateway.audit.place().await {
            Ok(free) => place = Some(free),
            Err(unrecorded) => return (plain(StatusCode::SERVICE_UNAVAILABLE, &unrecorded.to_string()), None),
        }
    }
    let mut story = Story::default();
    let mut answer = reply(gateway, request, peer, own, &mut story);
    let mut undelivered = None;
    if let Some(wanted) = story.wanted.take().filter(|_| answer.status().is_success())
        && let Some(delivery) = deliver(gateway, wanted).await
    {
        undelivered = delivery.trouble();
        if let Some(why) = &undelivered {
            tracing::warn!(asked = %request.uri(), why, "a change does not hold for the whole fleet yet");
        }
        if let Ok(serde_json::Value::Object(mut shown)) = serde_json::from_str(answer.body()) {
            shown.insert("fleet".to_owned(), serde_json::json!(delivery));
            *answer.body_mut() = serde_json::Value::Object(shown).to_string() + "\n";
        }
    }
    if only_looks && story.denied.is_some() {
        match gateway.audit.place().await {
            Ok(free) => place = Some(free),
            // Refused it is, recorded or not; that it is not is counted and told.
            Err(_) => return (answer, None),
        }
    }
    if let Some(place) = place {
        let what = format!("{} {}", request.method(), request.uri().path());
        let why = story.denied.map(|denied| denied.to_string());
        let why = why.or_else(|| (!answer.status().is_success()).then(|| answer.body().trim_end().to_owned()));
        let why = why.or(undelivered);
        // Whoever is admitted without a token or a certificate could only be so from this machine.
        let local = if story.denied.is_none() { "local" } else { "" };
        let act = Act {
            who: story.who.as_deref().or(subject).unwrap_or(local),
            from: Some(peer.ip()),
            what: &what,
            before: story.change.as_ref().map(|(before, _)| before.as_str()),
            after: story.change.as_ref().map(|(_, after)| after.as_str()),
            outcome: match (story.denied, answer.status().is_success()) {
                (Some(_), _) => Outcome::Refused,
                (None, true) => Outcome::Done,
                (None, false) => Outcome::Failed,
            },
            status: Some(answer.status().as_u16()),
            why: why.as_deref(),
        };
        gateway.audit.record(place, &act, unix_ms());
    }
    (answer, story.lines)
}
