//! `request_id:`.

use super::FLAG;
use super::names::FIELD_NAME;
use crate::config::forms::{Parsed, Word};
use crate::config::model::{AcceptIds, RequestIds};
use crate::config::read::Section;
use crate::config::show::Shown;

const ACCEPT: Word<AcceptIds> = Word(&[("any", AcceptIds::Any), ("trusted", AcceptIds::Trusted)]);

const NONE: Parsed<()> = Parsed(
    "none, or {headers: [X-Request-ID], accept: any, answer: false}",
    |text| {
        if text == "none" {
            Ok(())
        } else {
            Err(format!("{text:?} means nothing here; write none, or {{headers: [{text}]}}"))
        }
    },
    |()| "none".to_owned(),
);

/// `request_id:`; `none` = ids are made for logs and Faults, and neither read nor passed on.
pub fn request_id(s: &mut Section) -> Option<RequestIds> {
    let doc = "The id of a request: read or made, passed on, logged, and told in Faults; none = made for logs and Faults only.";
    let plain = |key: &str, word: &str| (key.to_owned(), Shown::Plain(word.to_owned()));
    let headers = ("headers".to_owned(), Shown::List(vec![Shown::Text("X-Request-ID".to_owned())]));
    let usual = Shown::Map(vec![headers, plain("accept", "any"), plain("answer", "false")]);
    let read = s.value_with("request_id", doc, usual, |slot| {
        slot.scalar_or_map(|slot| slot.scalar(NONE).map(|()| None), |slot| slot.map(|s| Some(ids(s))))
    });
    read.unwrap_or_else(|| Some(RequestIds::default()))
}

fn ids(s: &mut Section) -> RequestIds {
    let usual = RequestIds::default();
    let shown = Shown::List(usual.headers.iter().cloned().map(Shown::Text).collect());
    let doc =
        "The fields that may carry an id; the first that does is believed, a made one goes on in the first of them.";
    let headers = s
        .value_with("headers", doc, shown, |slot| slot.one_or_list(|slot| slot.scalar(FIELD_NAME)))
        .unwrap_or(usual.headers);
    if headers.is_empty() {
        s.problem("headers", "names no field; write one such as X-Request-ID, or request_id: none");
    }
    for (number, header) in headers.iter().enumerate() {
        if headers[..number].iter().any(|earlier| earlier.eq_ignore_ascii_case(header)) {
            s.problem("headers", format!("{header} is there twice; write it once"));
        }
        if OWN.iter().any(|own| own.eq_ignore_ascii_case(header)) {
            s.problem("headers", format!("{header} means something else to HTTP; name a field such as X-Request-ID"));
        }
    }
    let accept =
        s.value("accept", "Whose ids are believed: everybody's, or those of trusted_proxies.", ACCEPT, usual.accept);
    let answer = s.value("answer", "Whether the client gets the id, too.", FLAG, usual.answer);
    RequestIds { headers, accept, answer }
}

/// Fields that cannot carry an id without breaking messages, or that hold credentials.
const OWN: [&str; 16] = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Content-Type",
    "Content-Encoding",
    "Expect",
    "Upgrade",
    "TE",
    "Trailer",
    "Keep-Alive",
    "Cookie",
    "Set-Cookie",
    "Authorization",
    "SOAPAction",
    "Via",
];
