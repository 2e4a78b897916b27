//! Learnt before used, and first contact is single.

use crate::support::soap::{
    AXIS2, CLIENT_ISSUED, Trio, client_id, envelope, envelope12, group_id, login, login_node, post, reply_to,
    served_by, slow_node,
};
use crate::support::{Castile, Event, Node, config, eventually, ok, parallel};

#[test]
fn a_conversation_stays_on_the_node_that_issued_its_id() {
    let trio = Trio::start(AXIS2);
    for _ in 0..5 {
        let (id, node) = trio.login();
        trio.expect_on(node, post("", envelope(&group_id(&id), "<next/>")));
        trio.expect_on(node, post("Content-Type: application/soap+xml\r\n", envelope12(&group_id(&id), "<next/>")));
    }
}

#[test]
fn without_stickiness_the_same_conversation_wanders() {
    let trio = Trio::start("");
    let (id, _) = trio.login();
    let nodes: std::collections::BTreeSet<_> =
        (0..6).map(|_| served_by(&trio.castile.ask(post("", envelope(&group_id(&id), ""))))).collect();
    assert_eq!(nodes.len(), 3);
}

#[test]
fn a_cookie_keeps_its_conversation() {
    let nodes = [0, 1, 2].map(|number| {
        Node::answering(move |request| {
            let set =
                if request.field("cookie").is_none() { "Set-Cookie: JSESSIONID=secretcookie; Path=/\r\n" } else { "" };
            ok(&format!("Content-Type: text/xml\r\nX-Node: {number}\r\n{set}"), envelope("", "<ok/>"))
        })
    });
    let castile =
        Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], "sticky: {presets: [servlet-jsessionid]}"));
    let first = served_by(&castile.ask(post("", envelope("", "<a/>"))));
    for cookie in
        ["JSESSIONID=secretcookie", "a=b; JSESSIONID=secretcookie", "JSESSIONID=secretcookie; Path=/; HttpOnly=null"]
    {
        for _ in 0..4 {
            let answer = castile.ask(post(&format!("Cookie: {cookie}\r\n"), envelope("", "<a/>")));
            assert_eq!(served_by(&answer), first, "{cookie}");
        }
    }
}

/// Three nodes that send this much of an answer to a login and then wait.
fn stalling(may_go_on: &Event, split: fn(&[u8]) -> usize) -> [Node; 3] {
    [0, 1, 2].map(|number| {
        let may_go_on = may_go_on.clone();
        Node::start(move |connection| {
            while let Some(request) = connection.request() {
                let fields = format!("Content-Type: text/xml\r\nX-Node: {number}\r\n");
                if request.field("x-login").is_none() {
                    connection.send(ok(&fields, envelope("", "<ok/>")));
                    continue;
                }
                let fields = format!("{fields}Set-Cookie: JSESSIONID=cookie-{number}\r\n");
                let answer = ok(&fields, envelope(&reply_to(&format!("id-{number}")), "<ok/>"));
                let at = split(&answer);
                connection.send(&answer[..at]);
                may_go_on.wait();
                connection.send(&answer[at..]);
            }
        })
    })
}

#[test]
fn an_id_is_bound_before_the_client_can_use_it() {
    let may_go_on = Event::new();
    let nodes = stalling(&may_go_on, |answer| {
        let end = b"</a:ServiceGroupId>";
        answer.windows(end.len()).position(|window| window == end).expect("the id is there") + end.len()
    });
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], AXIS2));
    let mut first = castile.client();
    first.send(post("X-Login: yes\r\n", envelope("", "<login/>")));
    let head = first.head().expect("a head");
    let text = String::from_utf8(first.until(b"</a:ServiceGroupId>")).expect("text");
    let id = text.rsplit("axis2\">").next().and_then(|rest| rest.split('<').next()).expect("an id").to_owned();
    // The answer is not complete, and will not be before this conversation has gone on elsewhere.
    for _ in 0..6 {
        let answer = castile.ask(post("", envelope(&group_id(&id), "<next/>")));
        assert_eq!(served_by(&answer), served_by(&head));
    }
    may_go_on.happen();
    assert!(String::from_utf8_lossy(&first.until(b"Envelope>")).ends_with("Envelope>"));
}

#[test]
fn a_cookie_is_bound_before_the_head_is_passed_on() {
    let may_go_on = Event::new();
    let nodes =
        stalling(&may_go_on, |answer| answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4);
    let castile =
        Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], "sticky: {presets: [servlet-jsessionid]}"));
    let mut first = castile.client();
    first.send(post("X-Login: yes\r\n", envelope("", "<login/>")));
    let head = first.head().expect("a head");
    let cookie = head.field("set-cookie").expect("a cookie");
    for _ in 0..6 {
        let answer = castile.ask(post(&format!("Cookie: {cookie}\r\n"), envelope("", "<next/>")));
        assert_eq!(served_by(&answer), served_by(&head));
    }
    may_go_on.happen();
}

#[test]
fn parallel_first_requests_with_one_id_reach_one_node() {
    let may_answer = Event::new();
    let nodes = [0, 1, 2].map(|number| slow_node(number, &may_answer));
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], CLIENT_ISSUED));
    let request = post("", envelope(&client_id("one-new-id"), "<begin/>"));
    let mut clients: Vec<_> = (0..200).map(|_| castile.client()).collect();
    for client in &mut clients {
        client.send(&request);
    }
    // All are on their way, and none is answered.
    let came = || nodes.iter().map(Node::count).sum::<usize>();
    eventually("200 requests at the nodes", || came() == 200);
    let owner = nodes.iter().position(|node| node.count() > 0).expect("they are somewhere");
    may_answer.happen();
    for client in &mut clients {
        assert_eq!(served_by(&client.answer()), owner);
    }
}

#[test]
fn many_new_ids_at_once_stay_whole_and_spread() {
    let nodes = [0, 1, 2].map(login_node);
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], CLIENT_ISSUED));
    let owners = parallel(8, |thread| {
        let mut client = castile.client();
        (0..40)
            .map(|id| {
                served_by(&client.ask(post("", envelope(&client_id(&format!("{id}")), &format!("<t{thread}/>")))))
            })
            .collect::<Vec<_>>()
    });
    assert!(owners.windows(2).all(|pair| pair[0] == pair[1]), "{owners:?}");
    let used: std::collections::BTreeSet<_> = owners[0].iter().collect();
    assert_eq!(used.len(), 3);
}

#[test]
fn two_upstreams_of_one_group_share_conversations() {
    let nodes = [0, 1, 2].map(login_node);
    let urls: Vec<_> =
        nodes.iter().enumerate().map(|(index, node)| format!("{{name: n{index}, url: '{}'}}", node.url())).collect();
    let urls = urls.join(", ");
    let castile = Castile::start(&format!(
        "listeners: [{{name: public, address: '127.0.0.1:0'}}, {{name: partners, address: '127.0.0.2:0'}}]\n\
         routes: [{{path: /login/*, upstream: auth}}, {{upstream: calls}}]\n\
         upstreams:\n  auth: {{affinity_group: shop, nodes: [{urls}], {AXIS2}}}\n  \
         calls: {{affinity_group: shop, nodes: [{urls}], {AXIS2}}}\n"
    ));
    for _ in 0..5 {
        let request = post("X-Login: yes\r\n", envelope("", "<login/>"));
        let request = String::from_utf8(request).expect("text").replace("/app", "/login/x");
        let answer = castile.ask(request);
        let text = answer.text();
        let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next()).expect("an id");
        for _ in 0..4 {
            let mut client = crate::support::Peer::connect(castile.address("partners"));
            let next = client.ask(post("", envelope(&group_id(id), "<next/>")));
            assert_eq!(served_by(&next), served_by(&answer));
        }
    }
}

#[test]
fn a_lost_session_is_placed_anew() {
    let knows = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let nodes = [0, 1, 2].map(|number| {
        let knows = std::sync::Arc::clone(&knows);
        Node::answering(move |request| {
            let fields = format!("Content-Type: text/xml\r\nX-Node: {number}\r\n");
            if request.field("x-login").is_some() {
                return ok(&fields, envelope(&reply_to("will-be-lost"), "<ok/>"));
            }
            if knows.load(std::sync::atomic::Ordering::SeqCst) {
                return ok(&fields, envelope("", "<ok/>"));
            }
            let fault = "<s:Fault><faultcode>s:Server</faultcode><faultstring>Unable to find corresponding context for the \
                         serviceGroupId: will-be-lost</faultstring></s:Fault>";
            let answer = String::from_utf8(ok(&fields, envelope("", fault))).expect("text");
            answer.replace("200 OK", "500 Internal Server Error").into_bytes()
        })
    });
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], AXIS2));
    let (id, owner) = login(&castile);
    let request = post("", envelope(&group_id(&id), "<next/>"));
    assert_eq!(served_by(&castile.ask(&request)), owner);
    knows.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(castile.ask(&request).status(), 500);
    knows.store(true, std::sync::atomic::Ordering::SeqCst);
    let next: std::collections::BTreeSet<_> = (0..6).map(|_| served_by(&castile.ask(&request))).collect();
    assert!(next.len() > 1, "the dead id pins nobody any more: {next:?}");
    assert!(castile.stop().iter().any(|line| line["event"] == "lost"));
}
