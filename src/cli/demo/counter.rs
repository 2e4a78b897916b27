//! What a node of the demo answers: a counter for each session, known by an Axis2 id or by a cookie.

use std::io;
use std::sync::Arc;

use super::envelopes::{self, WSA_2004, WSA_2005};
use super::node::{Answer, Node};
use crate::head::{Name, Request, cookie};
use crate::soap::{Content, Facts, Limits, Part, Path, PathId, Prefixes, Reader, Version, Wanted};

/// What ids of the Axis2 counter begin with.
const URN: &str = "urn:uuid:";

/// What a node reads in a message.
struct Paths {
    session: PathId,
    message_ids: [(PathId, &'static str); 2],
}

/// Answers one request.
///
/// # Errors
/// There are no random numbers for a new session.
pub fn answer(node: &Node, request: &Request, body: &[u8]) -> io::Result<Answer> {
    let wsdl = match request.path() {
        b"/axis2/services/Counter" => envelopes::COUNTER_WSDL,
        b"/cookie/Counter" => envelopes::COOKIE_WSDL,
        _ => return Ok(plain(404, "no such service\n")),
    };
    if request.method() != b"POST" {
        let asks_wsdl = request.query().is_some_and(|query| query.eq_ignore_ascii_case(b"wsdl"));
        return Ok(if asks_wsdl {
            self_described(wsdl, request)
        } else {
            plain(405, "POST a SOAP envelope, or GET ?wsdl\n")
        });
    }
    let (facts, paths) = read(request, body);
    let version = facts.version.unwrap_or(Version::V11);
    let Some((namespace, operation)) = &facts.body_child else {
        return Ok(fault(version, "", "the message is no SOAP envelope with one operation in its Body"));
    };
    if operation == "ping" {
        let pong = format!("<p:pingResponse xmlns:p=\"{}\"/>", envelopes::escaped(namespace).replace('"', "&quot;"));
        return Ok(success(version, "", &pong, None));
    }
    if operation != "next" {
        return Ok(fault(version, "", "the operation is not known; call next or ping"));
    }
    if request.path() == b"/cookie/Counter" {
        cookie_counter(node, request, version)
    } else {
        axis2_counter(node, &facts, &paths)
    }
}

/// As Apache Axis2 with `soapsession`: a new id where none came, a Fault for an id of somebody else.
fn axis2_counter(node: &Node, facts: &Facts, paths: &Paths) -> io::Result<Answer> {
    let version = facts.version.unwrap_or(Version::V11);
    let value = |path: PathId| facts.found.iter().find(|found| found.path == path).map(|found| found.value.as_str());
    let message_id = paths.message_ids.iter().find_map(|(path, addressing)| Some((*addressing, value(*path)?)));
    let (session, count) = match value(paths.session).filter(|session| !session.is_empty()) {
        None => (node.begin()?, 1),
        Some(session) => {
            let own = session.strip_prefix(URN).unwrap_or(session);
            match node.count(own) {
                Some(count) => (own.to_owned(), count),
                None => {
                    let text = format!("Unable to find corresponding context for the serviceGroupId: {session}");
                    return Ok(fault(version, "", &text));
                }
            }
        }
    };
    // Without WS-Addressing in the request Axis2 has no way to tell its id.
    let header = message_id.map_or(String::new(), |(addressing, id)| {
        envelopes::axis2_header(addressing, Some(id), &format!("{URN}{session}"))
    });
    Ok(success(version, &header, &counted(node, count), None))
}

/// As a servlet container: whoever shows no cookie that is known here gets a new session and a new cookie, without a word.
fn cookie_counter(node: &Node, request: &Request, version: Version) -> io::Result<Answer> {
    let known = cookie::request_cookies(request.fields())
        .filter(|(name, _)| *name == b"JSESSIONID")
        .filter_map(|(_, value)| std::str::from_utf8(value).ok()?.split('.').next())
        .find_map(|session| node.count(session));
    let (count, set_cookie) = match known {
        Some(count) => (count, None),
        None => {
            let session = node.begin()?;
            (1, Some(format!("JSESSIONID={session}.{}; Path=/cookie; HttpOnly", node.name)))
        }
    };
    Ok(success(version, "", &counted(node, count), set_cookie))
}

fn counted(node: &Node, count: u32) -> String {
    let name = envelopes::escaped(&node.name);
    format!(
        "<c:nextResponse xmlns:c=\"urn:example:counter\"><c:return>{count}</c:return><c:node>{name}</c:node></c:nextResponse>"
    )
}

fn read(request: &Request, body: &[u8]) -> (Facts, Paths) {
    let mut prefixes = Prefixes::new();
    for (prefix, uri) in [("axis2", "http://ws.apache.org/namespaces/axis2"), ("w4", WSA_2004), ("w5", WSA_2005)] {
        prefixes.insert(prefix.to_owned(), vec![uri.to_owned()]);
    }
    let mut wanted = Wanted::new();
    let mut want = |text: &str| {
        wanted.add(Path::parse(Part::Header, text, &prefixes).expect("these paths are good: tested below"))
    };
    let paths = Paths {
        session: want("axis2:ServiceGroupId"),
        message_ids: [(want("w4:MessageID"), WSA_2004), (want("w5:MessageID"), WSA_2005)],
    };
    wanted.want_operation();
    let fields = request.fields();
    let content = Content {
        content_type: fields.known(Name::ContentType),
        content_encoding: fields.known(Name::ContentEncoding),
    };
    let mut reader = Reader::new(Arc::new(wanted), content, Limits::default());
    reader.push(body);
    reader.end();
    (reader.facts().clone(), paths)
}

fn success(version: Version, header: &str, body: &str, set_cookie: Option<String>) -> Answer {
    let body = envelopes::envelope(version, header, body);
    Answer { status: 200, content_type: envelopes::content_type(version), set_cookie, body }
}

fn fault(version: Version, header: &str, text: &str) -> Answer {
    let body = envelopes::envelope(version, header, &envelopes::fault(version, text));
    Answer { status: 500, content_type: envelopes::content_type(version), set_cookie: None, body }
}

fn plain(status: u16, text: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", set_cookie: None, body: text.to_owned() }
}

/// The WSDL, with the address the caller used.
fn self_described(wsdl: &str, request: &Request) -> Answer {
    let authority = String::from_utf8_lossy(request.authority());
    let body = wsdl.replace(envelopes::WSDL_AUTHORITY, &envelopes::escaped(&authority).replace('"', "&quot;"));
    Answer { status: 200, content_type: "text/xml; charset=UTF-8", set_cookie: None, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head;

    fn post(node: &Node, path: &str, cookie: Option<&str>, body: &str) -> Answer {
        let mut request = Request::new();
        request.start(head::Version::Http11, b"POST", path.as_bytes());
        request.fields_mut().push(b"Content-Type", b"text/xml");
        if let Some(cookie) = cookie {
            request.fields_mut().push(b"Cookie", cookie.as_bytes());
        }
        answer(node, &request, body.as_bytes()).expect("random numbers")
    }

    fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
        text.split(before)
            .nth(1)
            .and_then(|rest| rest.split(after).next())
            .unwrap_or_else(|| panic!("{before} in {text}"))
    }

    /// Every version of SOAP and of WS-Addressing: `first` begins a session, `next` goes on in it, elsewhere it is a Fault.
    #[test]
    fn the_samples_make_a_conversation() {
        let (a, b) = (Node::new("a"), Node::new("b"));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/wsdl-samples");
        for kind in ["soap11-wsa2004", "soap11-wsa2005", "soap12-wsa2004", "soap12-wsa2005"] {
            let sample = |step: &str| {
                std::fs::read_to_string(format!("{folder}/counter-{kind}-{step}.xml")).expect("the sample is there")
            };
            let first = post(&a, "/axis2/services/Counter", None, &sample("first"));
            assert!(first.body.contains("<c:return>1<"), "{}", first.body);
            let id = between(&first.body, "axis2\">", "<");
            let next = sample("next").replace(envelopes::ID_PLACE, id);
            let second = post(&a, "/axis2/services/Counter", None, &next);
            assert!(second.body.contains("<c:return>2<") && second.body.contains(id), "{}", second.body);
            assert_eq!(second.content_type.starts_with("text/xml"), kind.starts_with("soap11"));
            let elsewhere = post(&b, "/axis2/services/Counter", None, &next);
            assert_eq!(elsewhere.status, 500);
            assert!(elsewhere.body.contains("Unable to find corresponding context for the serviceGroupId: urn:uuid:"));
        }
    }

    #[test]
    fn an_unknown_cookie_begins_a_new_session_without_a_word() {
        let (a, b) = (Node::new("a"), Node::new("b"));
        let first = post(&a, "/cookie/Counter", None, envelopes::COOKIE);
        let cookie = first.set_cookie.expect("a cookie").split(';').next().unwrap_or_default().to_owned();
        assert!(cookie.ends_with(".a"));
        let second = post(&a, "/cookie/Counter", Some(&cookie), envelopes::COOKIE);
        assert!(second.set_cookie.is_none() && second.body.contains("<c:return>2<"), "{}", second.body);
        let elsewhere = post(&b, "/cookie/Counter", Some(&cookie), envelopes::COOKIE);
        assert!(elsewhere.set_cookie.is_some() && elsewhere.body.contains("<c:return>1<"));
    }

    #[test]
    fn a_ping_is_answered_in_its_own_namespace() {
        let ping = include_str!("../../../wsdl-samples/ping.xml");
        let answer = post(&Node::new("a"), "/axis2/services/Counter", None, ping);
        assert!(answer.body.contains("pingResponse xmlns:p=\"urn:example:booking\""), "{}", answer.body);
    }
}
