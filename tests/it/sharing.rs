//! Which clients share a node connection.

use std::collections::BTreeSet;

use crate::support::soap::{envelope, login_node, post};
use crate::support::{Castile, Event, Node, config, ok};

/// The numbers of the node connections that carried requests with this field `X-Client`.
fn used_by(node: &Node, client: &str) -> BTreeSet<usize> {
    let of_client =
        |(_, message): &(usize, crate::support::Message)| message.field("x-client").as_deref() == Some(client);
    node.ledger().iter().filter(|entry| of_client(entry)).map(|(number, _)| *number).collect()
}

fn from(client: &str, fields: &str) -> Vec<u8> {
    post(&format!("X-Client: {client}\r\n{fields}"), envelope("", "<x/>"))
}

#[test]
fn clients_share_node_connections_by_default() {
    let node = login_node(0);
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "")));
    let (mut a, mut b) = (castile.client(), castile.client());
    for _ in 0..3 {
        a.ask(from("a", ""));
        b.ask(from("b", ""));
    }
    assert_eq!(node.connections(), 1);
}

#[test]
fn with_per_client_connections_two_clients_never_share_one() {
    let node = login_node(0);
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "connection: per_client")));
    let (mut a, mut b) = (castile.client(), castile.client());
    for _ in 0..3 {
        a.ask(from("a", ""));
        b.ask(from("b", ""));
    }
    assert_eq!((used_by(&node, "a").len(), used_by(&node, "b").len()), (1, 1));
    assert!(used_by(&node, "a").is_disjoint(&used_by(&node, "b")));
    drop(a);
    let mut c = castile.client();
    c.ask(from("c", ""));
    assert!(used_by(&node, "a").is_disjoint(&used_by(&node, "c")), "what a client leaves is closed, not reused");
}

/// A node that asks for NTLM until it gets some, and says when a connection ends.
fn ntlm_node(scheme: &'static str, ended: &Event) -> Node {
    let ended = ended.clone();
    Node::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.field("authorization").is_none() && request.field("x-client").as_deref() == Some("a") {
                let head =
                    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme}\r\nContent-Length: 0\r\n\r\n");
                connection.send(head);
            } else {
                connection.send(ok("", "ok"));
            }
        }
        if connection.number == 0 {
            ended.happen();
        }
    })
}

#[test]
fn ntlm_and_negotiate_bind_a_connection_by_themselves() {
    for scheme in ["NTLM", "Negotiate", "ntlm TlRMTVNTUAAC"] {
        let ended = Event::new();
        let node = ntlm_node(scheme, &ended);
        let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "")));
        let (mut a, mut b) = (castile.client(), castile.client());
        assert_eq!(a.ask(from("a", "")).status(), 401);
        assert_eq!(b.ask(from("b", "")).status(), 200);
        let credentials = format!("Authorization: {} TlRMTVNTUAAD\r\n", scheme.split(' ').next().unwrap_or_default());
        for _ in 0..3 {
            assert_eq!(a.ask(from("a", &credentials)).status(), 200);
            assert_eq!(b.ask(from("b", "")).status(), 200);
        }
        assert_eq!(used_by(&node, "a"), BTreeSet::from([0]), "{scheme}: the handshake stays on its connection");
        assert!(!used_by(&node, "b").contains(&0), "{scheme}: somebody else's connection");
        drop(a);
        ended.wait();
    }
}

#[test]
fn credentials_alone_bind_a_connection() {
    let node = login_node(0);
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "")));
    let (mut a, mut b) = (castile.client(), castile.client());
    b.ask(from("b", ""));
    a.ask(from("a", "Authorization: Negotiate YII=\r\n"));
    a.ask(from("a", ""));
    b.ask(from("b", ""));
    assert!(used_by(&node, "a").is_disjoint(&used_by(&node, "b")));
    b.ask(from("b", "Authorization: Basic YTpi\r\n"));
    assert_eq!(used_by(&node, "b").len(), 1, "other schemes bind nothing");
}
