//! What a SOAP check sends, and what it makes of the answer.

use std::path::Path;
use std::sync::Arc;

use super::Failed;
use super::answer::Answer;
use crate::config::sections::expectation;
use crate::head::{Response, Version};
use crate::session::spec::{Mark, Text};
use crate::session::{Place, RequestView, ResponseView, RuleSet};
use crate::soap::{self, Content, Limits, Prefixes, Reader, Wanted};

/// A SOAP check, ready to be made.
#[derive(Debug)]
pub struct Expected {
    /// What is sent.
    pub envelope: Vec<u8>,
    /// Content-Type and SOAPAction, as the binding of its SOAP version asks for.
    pub fields: String,
    /// What must be found in the answer, as written, and as it is searched for.
    expect: Option<(String, RuleSet)>,
    limits: Limits,
}

/// Why a check cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error("the file holds no SOAP envelope")]
    NoEnvelope,
    #[error("{0}")]
    Expect(String),
}

impl Expected {
    /// Reads the envelope.
    pub fn read(file: &Path, expect: Option<&Text>, namespaces: &Prefixes, limits: Limits) -> Result<Self, Unusable> {
        Self::new(std::fs::read(file)?, expect, namespaces, limits)
    }

    fn new(envelope: Vec<u8>, expect: Option<&Text>, namespaces: &Prefixes, limits: Limits) -> Result<Self, Unusable> {
        let mut wanted = Wanted::new();
        wanted.want_operation();
        let mut reader = Reader::new(Arc::new(wanted), Content::default(), limits);
        reader.push(&envelope);
        reader.end();
        let facts = reader.facts();
        let version = facts.version.ok_or(Unusable::NoEnvelope)?;
        // What could break the head is no action anybody uses.
        let is_plain = |action: &&str| action.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let action = facts.wsa_action.as_deref().filter(is_plain).unwrap_or_default();
        let fields = match version {
            soap::Version::V11 => {
                format!("Content-Type: text/xml; charset=utf-8\r\nSOAPAction: \"{action}\"\r\n")
            }
            soap::Version::V12 if action.is_empty() => {
                "Content-Type: application/soap+xml; charset=utf-8\r\n".to_owned()
            }
            soap::Version::V12 => {
                format!("Content-Type: application/soap+xml; charset=utf-8; action=\"{action}\"\r\n")
            }
        };
        let compiled = |expect: &Text| {
            expectation(expect, namespaces).map_err(|problems: Vec<(Mark, String)>| {
                Unusable::Expect(problems.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; "))
            })
        };
        let expect = expect.map(|expect| Ok::<_, Unusable>((expect.text.clone(), compiled(expect)?))).transpose()?;
        Ok(Self { envelope, fields, expect, limits })
    }

    /// Whether the answer says that the node serves: what was expected is in it; where nothing was, it is no Fault.
    pub fn judge(&self, answer: &Answer) -> Result<(), Failed> {
        let mut wanted = Wanted::new();
        wanted.want_fault();
        let for_fault = Arc::new(wanted);
        let content = Content {
            content_type: answer.content_type.as_deref(),
            content_encoding: answer.content_encoding.as_deref(),
        };
        let read = |wanted| {
            let mut reader = Reader::new(wanted, content, self.limits);
            reader.push(&answer.body);
            reader.end();
            reader
        };
        if let Some((text, rules)) = &self.expect {
            return match self.finds(rules, answer, &read(Arc::clone(rules.response_wanted()))) {
                true => Ok(()),
                false => Err(fault(&read(for_fault)).unwrap_or_else(|| Failed::Unexpected(text.clone()))),
            };
        }
        let reader = read(for_fault);
        if let Some(failed) = fault(&reader) {
            return Err(failed);
        }
        if !(200..300).contains(&answer.status) {
            return Err(Failed::Status(answer.status));
        }
        // An operation without an answer says so with an empty 202.
        let is_empty = answer.body.is_empty() && answer.status == 202;
        if reader.facts().version.is_none() && !is_empty {
            return Err(Failed::NotSoap);
        }
        Ok(())
    }

    fn finds(&self, rules: &RuleSet, answer: &Answer, reader: &Reader) -> bool {
        let selectors = || rules.keys().iter().flat_map(|key| key.learn_selectors());
        // An element that is expected need not have a text, as a key would.
        let facts = reader.facts();
        if selectors().any(
            |one| matches!(one.place(), Place::Message(_, path) if facts.found.iter().any(|found| found.path == *path)),
        ) {
            return true;
        }
        let mut head = Response::new();
        head.start(Version::Http11, answer.status, b"");
        for (name, value) in &answer.fields {
            head.fields_mut().push(name, value);
        }
        let request = crate::head::Request::new();
        let request = RequestView {
            head: &request,
            facts: None,
            http_action: None,
            client_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            connection: 0,
        };
        let response = ResponseView { head: &head, facts: None, now_unix: 0 };
        let mut found = false;
        rules.hits_in_response_head(&request, &response, &mut |_| found = true);
        found
    }
}

fn fault(reader: &Reader) -> Option<Failed> {
    let fault = reader.facts().fault.as_ref()?;
    // The code and the first reason: enough to know it by.
    Some(Failed::Fault(fault.texts.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
    const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

    fn envelope(namespace: &str, body: &str) -> String {
        format!("<s:Envelope xmlns:s=\"{namespace}\" xmlns:p=\"urn:p\"><s:Body>{body}</s:Body></s:Envelope>")
    }

    fn expected(envelope: &str, expect: Option<&str>) -> Result<Expected, Unusable> {
        let prefixes = Prefixes::from([("p".to_owned(), vec!["urn:p".to_owned()])]);
        let expect = expect.map(|text| Text { text: text.to_owned(), at: Mark::default() });
        Expected::new(envelope.as_bytes().to_vec(), expect.as_ref(), &prefixes, Limits::default())
    }

    fn judge(expect: Option<&str>, status: u16, body: &str) -> String {
        let answer = Answer {
            status,
            content_type: Some(b"text/xml".to_vec()),
            content_encoding: None,
            fields: vec![(b"X-Node".to_vec(), b"a".to_vec())],
            body: body.as_bytes().to_vec(),
        };
        let expected = expected(&envelope(SOAP11, "<p:ping/>"), expect).expect("a check");
        expected.judge(&answer).map_or_else(|failed| failed.to_string(), |()| "good".to_owned())
    }

    #[test]
    fn an_answer_is_told_from_a_fault() {
        let answer = envelope(SOAP11, "<p:pong><p:node>a</p:node></p:pong>");
        let fault =
            envelope(SOAP11, "<s:Fault><faultcode>s:Server</faultcode><faultstring>no disk</faultstring></s:Fault>");
        for (expect, status, body, told) in [
            (None, 200, &*answer, "good"),
            (None, 500, &*answer, "status 500"),
            (None, 200, "<html/>", "the answer is no SOAP message"),
            (None, 202, "", "good"),
            (None, 200, "", "the answer is no SOAP message"),
            (Some("body p:pong"), 200, &*answer, "good"),
            (Some("body p:pong/p:node"), 200, &*answer, "good"),
            (Some("body p:other"), 200, &*answer, "nothing in the answer is body p:other"),
            (Some("body *:Fault"), 500, &*fault, "good"),
            (Some("http X-Node"), 200, &*answer, "good"),
            (Some("http X-Other"), 200, &*answer, "nothing in the answer is http X-Other"),
        ] {
            assert_eq!(judge(expect, status, body), told, "{expect:?} {status} {body}");
        }
        for expect in [None, Some("body p:pong")] {
            for status in [200, 500] {
                assert!(judge(expect, status, &fault).starts_with("a Fault: "), "{}", judge(expect, status, &fault));
            }
        }
    }

    #[test]
    fn a_check_goes_out_as_its_soap_version_asks() {
        let fields = |envelope: &str| expected(envelope, None).map(|expected| expected.fields).unwrap_or_default();
        assert!(fields(&envelope(SOAP11, "<x/>")).ends_with("SOAPAction: \"\"\r\n"));
        assert!(fields(&envelope(SOAP12, "<x/>")).starts_with("Content-Type: application/soap+xml"));
        assert!(matches!(expected("<x/>", None), Err(Unusable::NoEnvelope)));
    }
}
