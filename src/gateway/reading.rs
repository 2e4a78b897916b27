//! The messages of an exchange, as rules want them read.

use std::sync::Arc;

use super::{Snapshot, Upstream};
use crate::config::model::Balance;
use crate::head::{Fields, Name, Request};
use crate::session::{Keyer, RequestKeys, RequestView};
use crate::soap::{Content, Limits, Reader, State, Stop, Wanted};

/// A reader for the message behind these fields.
pub fn reader(wanted: &Arc<Wanted>, fields: &Fields, limits: Limits) -> Box<Reader> {
    let content = Content {
        content_type: fields.known(Name::ContentType),
        content_encoding: fields.known(Name::ContentEncoding),
    };
    Box::new(Reader::new(Arc::clone(wanted), content, limits))
}

/// A reader for the answer that says it failed (5xx), where no rule reads answers: whose fault it is.
pub fn fault_reader(fields: &Fields, limits: Limits) -> Box<Reader> {
    let mut wanted = Wanted::new();
    wanted.want_fault();
    reader(&Arc::new(wanted), fields, limits)
}

/// A reader for what routes ask: the operation.
pub fn operation_reader(request: &Request, snapshot: &Snapshot) -> Box<Reader> {
    let mut wanted = Wanted::new();
    wanted.want_operation();
    reader(&Arc::new(wanted), request.fields(), snapshot.inspect)
}

/// Whether an id in the message, if there is one, would have been missed.
pub fn is_unreadable(reader: Option<&Reader>) -> bool {
    match reader.map(Reader::state) {
        None => true,
        Some(State::Stopped(stop)) => *stop != Stop::Decided,
        Some(_) => false,
    }
}

impl Upstream {
    /// Why this upstream refuses a request whose message was read so far, if it does: a document type declaration, and
    /// with `strict: true` whatever is not the SOAP that was expected.
    pub fn refuses(&self, reader: Option<&Reader>) -> Option<Stop> {
        let Some(State::Stopped(stop)) = reader.map(Reader::state) else { return None };
        let is_unparsed = matches!(stop, Stop::Unreadable(_) | Stop::NotSoap | Stop::Malformed(_));
        (*stop == Stop::Dtd || self.config.strict && is_unparsed).then(|| stop.clone())
    }

    /// The keys of a request; `now_unix` in seconds since 1970. Where the balancer hashes and no rule says what, the client's address is hashed.
    pub fn keys(
        &self,
        request: &RequestView<'_>,
        unreadable: bool,
        keyer: Keyer<'_>,
        now_unix: u64,
        out: &mut RequestKeys,
    ) {
        self.rules.match_request(request, unreadable, keyer, out);
        if let Some(cookie) = &self.cookie {
            out.sealed = cookie.node(request.head.fields(), &self.nodes, &self.events, now_unix);
        }
        if self.config.balance == Balance::Hash && out.hash.is_none() {
            let address = request.client_ip.to_string();
            out.hash = Some(keyer.fingerprinter.fingerprint(keyer.group, "client_ip", b"", address.as_bytes()));
        }
    }
}
