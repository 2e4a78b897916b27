//! SOAP messages, and nodes that hold sessions.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Castile, Event, Message, Node, config, ok};

/// `header axis2:ServiceGroupId`, learnt from `wsa:ReplyTo`.
pub const AXIS2: &str = "sticky: {presets: [axis2-soapsession]}";
/// A client-issued id in `header t:Id`.
pub const CLIENT_ISSUED: &str =
    "sticky: {namespaces: {t: urn:test}, keys: [{key: id, match: header t:Id, client_issued: true}]}";

/// A POST to /app with this body and these further field lines.
pub fn post(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let content_type =
        if fields.to_ascii_lowercase().contains("content-type:") { "" } else { "Content-Type: text/xml\r\n" };
    let mut bytes =
        format!("POST /app HTTP/1.1\r\nHost: h\r\n{content_type}{fields}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A SOAP 1.1 envelope.
pub fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header>{header}</s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// A SOAP 1.2 envelope.
pub fn envelope12(header: &str, body: &str) -> String {
    envelope(header, body)
        .replace("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
}

/// An Axis2 session header.
pub fn group_id(id: &str) -> String {
    format!("<a:ServiceGroupId xmlns:a=\"http://ws.apache.org/namespaces/axis2\">{id}</a:ServiceGroupId>")
}

/// The header of an Axis2 answer that brings an id.
pub fn reply_to(id: &str) -> String {
    format!(
        "<w:ReplyTo xmlns:w=\"http://www.w3.org/2005/08/addressing\"><w:Address>http://www.w3.org/2005/08/addressing/none\
         </w:Address><w:ReferenceParameters>{}</w:ReferenceParameters></w:ReplyTo>",
        group_id(id)
    )
}

/// A client-issued id for [`CLIENT_ISSUED`].
pub fn client_id(id: &str) -> String {
    format!("<t:Id xmlns:t=\"urn:test\">{id}</t:Id>")
}

/// Three nodes that issue Axis2 ids to requests with the field `X-Login`, and say in `X-Node` who they are.
pub struct Trio {
    /// The nodes.
    pub nodes: [Node; 3],
    /// The gateway.
    pub castile: Castile,
}

impl Trio {
    /// With these settings of the upstream.
    pub fn start(settings: &str) -> Self {
        let nodes = [0, 1, 2].map(login_node);
        let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], settings));
        Self { nodes, castile }
    }

    /// Begins a session: its id and its node.
    pub fn login(&self) -> (String, usize) {
        login(&self.castile)
    }

    /// Sends the request six times, each on a connection of its own: all must reach this node.
    pub fn expect_on(&self, node: usize, request: impl AsRef<[u8]>) {
        for round in 0..6 {
            let answer = self.castile.ask(&request);
            assert_eq!(served_by(&answer), node, "round {round}: {}", answer.start_line());
        }
    }
}

/// Begins a session: its id and its node.
pub fn login(castile: &Castile) -> (String, usize) {
    let answer = castile.ask(post("X-Login: yes\r\n", envelope("", "<login/>")));
    let text = answer.text();
    let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next());
    (id.unwrap_or_else(|| panic!("no id in {text}")).to_owned(), served_by(&answer))
}

/// The node that says it answered.
pub fn served_by(answer: &Message) -> usize {
    let node = answer.field("x-node").unwrap_or_else(|| panic!("no node answered: {}", answer.start_line()));
    node.parse().expect("nodes are numbers")
}

/// A node that issues Axis2 ids to requests with the field `X-Login`.
pub fn login_node(number: usize) -> Node {
    let issued = AtomicUsize::new(0);
    Node::answering(move |request| {
        let header = match request.field("x-login") {
            Some(_) => reply_to(&format!("urn:uuid:secret-{number}-{}", issued.fetch_add(1, Ordering::SeqCst))),
            None => String::new(),
        };
        ok(&format!("Content-Type: text/xml\r\nX-Node: {number}\r\n"), envelope(&header, "<ok/>"))
    })
}

/// A node that answers only once the event has happened.
pub fn slow_node(number: usize, may_answer: &Event) -> Node {
    let may_answer = may_answer.clone();
    Node::answering(move |_| {
        may_answer.wait();
        ok(&format!("Content-Type: text/xml\r\nX-Node: {number}\r\n"), envelope("", "<ok/>"))
    })
}
