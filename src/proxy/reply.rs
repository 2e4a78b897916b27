//! Every answer that is our own: failure → status and SOAP Fault, or plain text, in one table.

use super::h1::HeadError;
use crate::affinity::Refusal;
use crate::config::model::FaultStatus;
use crate::head::{Name, Request, Response, Version};
use crate::soap::{self, Fault, FaultCode};

/// Why a client gets an answer of our own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The head is not HTTP as we read it.
    #[error("{0}")]
    BadHead(#[from] HeadError),
    /// The request body's framing is broken.
    #[error("the request body is broken")]
    BadBody(#[source] super::h1::BodyError),
    /// The client went away before its request was whole.
    #[error("the client went away")]
    ClientGone,
    /// The client took too long.
    #[error("the request did not arrive in time")]
    ClientTimeout,
    /// No route matches.
    #[error("no route for this request")]
    NoRoute,
    /// A body that must be held whole, for its length, is too long for that.
    #[error("the request body is too large to be held for its length")]
    TooLarge,
    /// The message is refused.
    #[error("the message is refused: {0}")]
    Refused(soap::Stop),
    /// The table of conversations, or the nodes, refuse the request.
    #[error("{0}")]
    Placement(#[from] Refusal),
    /// It waited for a place at a node, or a turn in its conversation, in vain.
    #[error("no place became free in time")]
    Waited,
    /// Its source begins conversations too fast.
    #[error("its source begins conversations too fast")]
    TooMany {
        /// When it may begin another one.
        seconds: u32,
    },
    /// The conversation was moved, and its session did not come along.
    #[error("the session did not come along when its conversation was moved")]
    SessionReplaced,
    /// No node could be reached; none has seen a byte.
    #[error("no node could be reached")]
    Unreachable,
    /// A node accepted bytes of the request, then failed.
    #[error("the node failed: {0}")]
    NodeFailed(String),
    /// A node accepted the request and did not answer in time.
    #[error("the node did not answer in time")]
    NodeTimeout,
}

/// What the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    /// Local name of the code in Castile's namespace, and the name in logs and metrics.
    name: &'static str,
    /// Who has to act.
    code: FaultCode,
    /// The HTTP status for those who do not speak SOAP, and with `faults: {status: http}`.
    status: u16,
    /// Whether SOAP clients get it with the status of their binding: what the application must react to.
    binding: bool,
    /// Seconds for `Retry-After`: what only says "try later".
    retry_after: Option<u32>,
    /// One sentence for people.
    reason: &'static str,
}

impl Failure {
    /// The table.
    fn row(&self) -> Row {
        let row =
            |name, code, status, binding, retry_after, reason| Row { name, code, status, binding, retry_after, reason };
        use FaultCode::{Receiver, Sender};
        match self {
            Self::BadHead(error) => {
                row("BadRequest", Sender, error.status(), false, None, "The request is not valid HTTP.")
            }
            Self::BadBody(_) => {
                row("BadRequest", Sender, 400, false, None, "The framing of the request body is broken.")
            }
            Self::ClientGone => row("ClientGone", Sender, 400, false, None, "The request was not completed."),
            Self::ClientTimeout => {
                row("RequestTimeout", Sender, 408, false, None, "The request did not arrive in time.")
            }
            Self::NoRoute => row("NoRoute", Sender, 404, false, None, "Nothing is served under this address."),
            Self::TooLarge => row(
                "MessageTooLarge",
                Sender,
                413,
                false,
                None,
                "The message is too large to be sent without chunks. Send it with a Content-Length.",
            ),
            Self::Refused(_) => row("MessageRefused", Sender, 400, true, None, "The message is refused."),
            Self::Placement(Refusal::SessionLost { .. }) => row(
                "SessionLost",
                Receiver,
                503,
                true,
                None,
                "The session is lost: the node that held it cannot be reached. Start a new session.",
            ),
            Self::Placement(Refusal::UnknownKey) => {
                row("SessionLost", Receiver, 503, true, None, "The session is not known. Start a new session.")
            }
            Self::Placement(Refusal::TryLater { .. } | Refusal::Away { .. }) => row(
                "NodeUnavailable",
                Receiver,
                503,
                false,
                Some(1),
                "The node that holds the session did not accept the request. Nothing was executed; try again.",
            ),
            Self::Placement(Refusal::Busy { .. }) => row(
                "Overloaded",
                Receiver,
                503,
                false,
                Some(1),
                "The node that holds the session is at its limit. Nothing was executed; try again.",
            ),
            Self::Placement(Refusal::AllBusy) => row(
                "Overloaded",
                Receiver,
                503,
                false,
                Some(1),
                "All nodes are at their limit. Nothing was executed; try again.",
            ),
            Self::Placement(Refusal::InUse) => row(
                "Overloaded",
                Receiver,
                503,
                false,
                Some(1),
                "Too many requests of this session wait for each other. Nothing was executed; try again.",
            ),
            Self::TooMany { seconds } => row(
                "TooManySessions",
                Receiver,
                429,
                false,
                Some(*seconds),
                "Too many new sessions from this address. Nothing was executed; try again later.",
            ),
            Self::Waited => row(
                "Overloaded",
                Receiver,
                503,
                false,
                Some(1),
                "There was no free place in time. Nothing was executed; try again.",
            ),
            Self::Placement(Refusal::NoNode) => row(
                "NodeUnavailable",
                Receiver,
                503,
                false,
                Some(5),
                "No node can serve the request. Nothing was executed; try again.",
            ),
            Self::Placement(Refusal::TableFull) => row(
                "Overloaded",
                Receiver,
                503,
                false,
                Some(5),
                "There is no room for a new session. Nothing was executed; try again.",
            ),
            Self::Placement(Refusal::StoreAway) => row(
                "Overloaded",
                Receiver,
                503,
                false,
                Some(5),
                "The sessions are kept in a store that cannot be reached. Nothing was executed; try again.",
            ),
            Self::SessionReplaced => row(
                "SessionReplaced",
                Receiver,
                503,
                true,
                None,
                "The node that held the session was lost, and the one that took over has begun a new session. Start a new session.",
            ),
            Self::Unreachable => row(
                "NodeUnavailable",
                Receiver,
                503,
                false,
                Some(1),
                "No node accepted the request. Nothing was executed; try again.",
            ),
            Self::NodeFailed(_) => row(
                "NodeFailed",
                Receiver,
                502,
                true,
                None,
                "The node failed while it worked on the request. It may have been executed.",
            ),
            Self::NodeTimeout => row(
                "NodeFailed",
                Receiver,
                504,
                true,
                None,
                "The node did not answer in time. The request may have been executed.",
            ),
        }
    }

    /// The name in logs and metrics.
    pub fn name(&self) -> &'static str {
        self.row().name
    }
}

/// Which SOAP version the caller speaks; `None` = it does not. From what was read of its message, else from its head.
pub fn soap_version(head: &Request, facts: Option<&soap::Facts>) -> Option<soap::Version> {
    if let Some(version) = facts.and_then(|facts| facts.version) {
        return Some(version);
    }
    let fields = head.fields();
    let media = fields.known(Name::ContentType).unwrap_or_default().to_ascii_lowercase();
    let begins = |prefix: &str| media.starts_with(prefix.as_bytes());
    if begins("application/soap+xml") {
        return Some(soap::Version::V12);
    }
    if begins("multipart/related") {
        let inner = memchr::memmem::find(&media, b"application/soap+xml").is_some();
        return Some(if inner { soap::Version::V12 } else { soap::Version::V11 });
    }
    let old = fields.known(Name::SoapAction).is_some() || begins("text/xml");
    old.then_some(soap::Version::V11)
}

/// The answer for a failure: fills `head` and returns the body.
///
/// Codes travel where toolkits read them (SOAP 1.1 §6.2: status 500; SOAP 1.2 Part 2 §7.5.2.2: 400 for Sender, 500 for the
/// rest); what only says "try later" travels as 503.
pub fn write(
    failure: &Failure,
    soap: Option<soap::Version>,
    statuses: FaultStatus,
    request_id: &str,
    head: &mut Response,
) -> Vec<u8> {
    let row = failure.row();
    let status = match (soap, statuses, row.binding, row.code) {
        (Some(soap::Version::V11), FaultStatus::Binding, true, _) => 500,
        (Some(soap::Version::V12), FaultStatus::Binding, true, FaultCode::Sender) => 400,
        (Some(soap::Version::V12), FaultStatus::Binding, true, FaultCode::Receiver) => 500,
        _ => row.status,
    };
    head.start(Version::Http11, status, reason_phrase(status).as_bytes());
    let body = match soap {
        Some(version) => {
            head.fields_mut().push(b"Content-Type", Fault::content_type(version).as_bytes());
            let detail = [("code", row.name), ("requestId", request_id)];
            Fault { code: row.code, subcode: row.name, reason: row.reason, detail: &detail }.write(version)
        }
        None => {
            head.fields_mut().push(b"Content-Type", b"text/plain; charset=utf-8");
            format!("{}: {} (request {request_id})\n", row.name, row.reason).into_bytes()
        }
    };
    let mut number = [0; 20];
    head.fields_mut().push(b"Content-Length", decimal(body.len() as u64, &mut number));
    if let Some(seconds) = row.retry_after {
        head.fields_mut().push(b"Retry-After", decimal(seconds.into(), &mut number));
    } else if row.name == "SessionLost" && soap.is_none() {
        // After this the dead id counts as new.
        head.fields_mut().push(b"Retry-After", b"5");
    }
    body
}

/// Whether new work is welcome, at a listener's `health_path`.
pub fn health(is_ready: bool, head: &mut Response) -> Vec<u8> {
    let (status, body) = if is_ready { (200, &b"ready\n"[..]) } else { (503, &b"stopping\n"[..]) };
    head.start(Version::Http11, status, reason_phrase(status).as_bytes());
    head.fields_mut().push(b"Content-Type", b"text/plain; charset=utf-8");
    head.fields_mut().push(b"Cache-Control", b"no-store");
    let mut number = [0; 20];
    head.fields_mut().push(b"Content-Length", decimal(body.len() as u64, &mut number));
    body.to_vec()
}

/// `value` in decimal digits.
pub(super) fn decimal(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

/// The phrases of the statuses we send (RFC 9110 §15).
pub(super) fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Registry;

    fn status(failure: &Failure, soap: Option<soap::Version>, statuses: FaultStatus) -> u16 {
        let mut head = Response::new();
        let body = write(failure, soap, statuses, "abc", &mut head);
        assert_eq!(head.fields().get(b"content-length"), Some(body.len().to_string().as_bytes()));
        assert!(String::from_utf8(body).expect("UTF-8").contains("abc"));
        head.status
    }

    #[test]
    fn faults_travel_where_toolkits_read_them() {
        use FaultStatus::{Binding, Http};
        use soap::Version::{V11, V12};
        let node = Registry::new().machine("g", "n").id();
        let lost = Failure::Placement(Refusal::SessionLost { node });
        assert_eq!(status(&lost, Some(V11), Binding), 500);
        assert_eq!(status(&lost, Some(V12), Binding), 500);
        assert_eq!(status(&lost, None, Binding), 503);
        let refused = Failure::Refused(soap::Stop::Dtd);
        assert_eq!(status(&refused, Some(V11), Binding), 500);
        assert_eq!(status(&refused, Some(V12), Binding), 400);
        assert_eq!(status(&refused, Some(V11), Http), 400);
        assert_eq!(status(&Failure::NodeTimeout, Some(V12), Http), 504);
        let later = Failure::Placement(Refusal::NoNode);
        assert_eq!(status(&later, Some(V11), Binding), 503);
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut buffer = [0; 20];
        assert_eq!(decimal(0, &mut buffer), b"0");
        assert_eq!(decimal(u64::MAX, &mut buffer), u64::MAX.to_string().as_bytes());
    }
}
