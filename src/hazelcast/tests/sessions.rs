//! Connections to members that serve, hang, refuse and go.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::captures::Direction;
use super::member::{
    AUTHENTICATION, CLUSTER_VIEW, FakeMember, GET, LISTEN, PING, REMOVE, Reply, STOP_LISTENING, captured, say,
};
use crate::hazelcast::{Address, CallError, Client, ConnectError, Data, EntryKind, Heard, Options, State, Tls};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// The time for a call where it is to be exceeded.
const SHORT: Duration = Duration::from_millis(200);

fn options(members: &[&FakeMember]) -> Options {
    let members = members.iter().map(|member| member.address.clone()).collect();
    let mut options = Options::new("lab", members);
    options.call = DEADLINE;
    options.connect = DEADLINE;
    options.heartbeat = Duration::from_millis(50);
    options.silence = DEADLINE;
    options.pause_max = Duration::from_millis(100);
    options
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("not soon: {what}"))
}

async fn seen(requests: &mut mpsc::UnboundedReceiver<u32>, kind: u32) {
    soon(&format!("{kind:#x}"), async { while requests.recv().await.expect("the member lives") != kind {} }).await;
}

fn key() -> Data {
    Data::text("urn:uuid:1")
}

/// The address of a port where nobody listens.
async fn nobody() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().expect("it is bound").port() }
}

#[tokio::test]
async fn calls_are_answered_and_members_are_told() {
    let (member, _requests) = FakeMember::start(FakeMember::usual).await;
    let client = Client::start(options(&[&member]));
    let got = client.map("sessions").get(&key()).await.expect("it is answered");
    assert_eq!(got, Some(Data::text("nodeA2")));
    let mut members = client.members();
    let list =
        soon("members", members.wait_for(|members| !members.list.is_empty())).await.expect("the task lives").clone();
    assert_eq!(list.list[0].address, member.address);
    assert!(matches!(&*client.state().borrow(), State::Connected { version, .. } if version == "5.7.0"));
}

#[tokio::test]
async fn a_call_that_is_never_answered_takes_its_time_and_no_longer() {
    let (member, mut requests) =
        FakeMember::start(|member, request| if request.kind() == GET { Reply::Ignore } else { member.usual(request) })
            .await;
    let client = Client::start(Options { call: SHORT, ..options(&[&member]) });
    seen(&mut requests, PING).await;
    let begun = Instant::now();
    let error = client.map("sessions").get(&key()).await.expect_err("nobody answers");
    assert!(matches!(error, CallError::Late { call: "Map.get", .. }), "{error}");
    assert!((SHORT..DEADLINE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_lost_connection_is_replaced_by_one_to_another_member() {
    let (good, _good_requests) = FakeMember::start(FakeMember::usual).await;
    // It closes where it is asked for a value. Only from what it says of the members is the other one known.
    let other = good.address.port;
    let (bad, _bad_requests) = FakeMember::start(move |member, request| match request.kind() {
        GET => Reply::Close,
        CLUSTER_VIEW => Reply::Say(vec![member.members(request.correlation(), other)]),
        _ => member.usual(request),
    })
    .await;
    let client = Client::start(options(&[&bad]));
    let got = client.map("sessions").get(&key()).await.expect("the other one answers");
    assert_eq!(got, Some(Data::text("nodeA2")));
    assert!(matches!(&*client.state().borrow(), State::Connected { member, .. } if *member == good.address));
}

#[tokio::test]
async fn what_may_have_been_executed_is_not_asked_again() {
    let (member, _requests) = FakeMember::start(|member, request| match request.kind() {
        REMOVE => Reply::Close,
        _ => member.usual(request),
    })
    .await;
    let client = Client::start(options(&[&member]));
    let error = client.map("sessions").remove(&key()).await.expect_err("it is lost");
    assert!(matches!(error, CallError::Lost { call: "Map.remove" }), "{error}");
    // The next call is as good as ever.
    assert!(client.map("sessions").get(&key()).await.is_ok());
}

#[tokio::test]
async fn a_member_that_hangs_is_left_for_another() {
    let (hung, mut requests) = FakeMember::start(|member, request| match request.kind() {
        PING | GET => Reply::Ignore,
        _ => member.usual(request),
    })
    .await;
    let (good, _good_requests) = FakeMember::start(FakeMember::usual).await;
    let mut first = options(&[&hung]);
    first.silence = SHORT;
    first.members.push(good.address.clone());
    // Which one it begins with is drawn; both ways lead to the good one.
    let client = Client::start(first);
    let got = client.map("sessions").get(&key()).await.expect("one answers");
    assert_eq!(got, Some(Data::text("nodeA2")));
    assert!(matches!(&*client.state().borrow(), State::Connected { member, .. } if *member == good.address));
    requests.close();
}

#[tokio::test]
async fn another_cluster_name_is_told_with_the_way_out() {
    let (member, _requests) = FakeMember::start(|_, request| say("20-errors.hex", request.correlation())).await;
    let client = Client::start(Options { call: SHORT, ..options(&[&member]) });
    let mut state = client.state();
    let refused = |state: &State| matches!(state, State::Away { why: Some(ConnectError::Refused { .. }), .. });
    soon("the refusal", state.wait_for(refused)).await.expect("the task lives");
    let error = client.map("sessions").get(&key()).await.expect_err("there is no connection");
    let CallError::Away { why: Some(why), .. } = &error else { panic!("{error}") };
    assert!(why.to_string().contains("the cluster has another name"), "{why}");
}

#[tokio::test]
async fn no_member_at_all_is_told() {
    let mut nowhere = Options::new("lab", vec![nobody().await]);
    nowhere.call = SHORT;
    let client = Client::start(nowhere);
    let mut state = client.state();
    let failed = |state: &State| matches!(state, State::Away { why: Some(ConnectError::Io { .. }), .. });
    soon("the failure", state.wait_for(failed)).await.expect("the task lives");
    let error = client.map("sessions").get(&key()).await.expect_err("there is nobody");
    assert!(matches!(error, CallError::Away { why: Some(ConnectError::Io { .. }), .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_member_is_told() {
    let (member, _requests) =
        FakeMember::start(|_, _| Reply::Say(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()])).await;
    let client = Client::start(options(&[&member]));
    let mut state = client.state();
    let wire = |state: &State| matches!(state, State::Away { why: Some(ConnectError::Wire { .. }), .. });
    soon("the failure", state.wait_for(wire)).await.expect("the task lives");
}

#[tokio::test]
async fn a_member_of_3_x_closes_at_once_and_that_is_told() {
    let (member, _requests) = FakeMember::start(|_, _| Reply::Close).await;
    let client = Client::start(options(&[&member]));
    let mut state = client.state();
    let closed = |state: &State| match state {
        State::Away { why: Some(why), .. } => why.to_string().contains("3.x"),
        _ => false,
    };
    soon("the failure", state.wait_for(closed)).await.expect("the task lives");
}

#[tokio::test]
async fn an_error_is_the_calls_and_not_the_connections() {
    let (member, _requests) = FakeMember::start(|member, request| match request.kind() {
        // The partition -1 that a Java client never sends.
        REMOVE => Reply::Say(vec![captured("20-errors.hex", Direction::Response, 3, request.correlation())]),
        _ => member.usual(request),
    })
    .await;
    let client = Client::start(options(&[&member]));
    let error = client.map("sessions").remove(&key()).await.expect_err("the member cannot");
    let CallError::Member { error, .. } = &error else { panic!("{error}") };
    assert!(error.class.ends_with("Exception"), "{error}");
    assert!(client.map("sessions").get(&key()).await.is_ok());
}

/// Says it was registered, and that something was put.
fn tells(member: &FakeMember, request: &crate::hazelcast::wire::Message) -> Reply {
    let number = request.correlation();
    match request.kind() {
        LISTEN => Reply::Say(vec![
            // Before the answer: not told, for whoever listens has not looked at the map yet.
            captured("15-remove.hex", Direction::Event, 0, number),
            captured("04-add-entry-listener.hex", Direction::Response, 0, number),
            captured("05-put.hex", Direction::Event, 0, number),
        ]),
        REMOVE => Reply::Close,
        _ => member.usual(request),
    }
}

#[tokio::test]
async fn a_listener_hears_what_happens_and_when_it_may_have_missed_something() {
    let (member, mut requests) = FakeMember::start(tells).await;
    let client = Client::start(options(&[&member]));
    let mut heard = client.map("sessions").listen(8);
    for connection in 0..2 {
        assert_eq!(soon("anew", heard.recv()).await, Some(Heard::Anew));
        let Some(Heard::Entry(entry)) = soon("an entry", heard.recv()).await else { panic!("an entry is told") };
        assert_eq!((entry.kind, entry.value), (EntryKind::Added, Some(Data::text("nodeA"))));
        if connection == 0 {
            let lost = client.map("sessions").remove(&key()).await;
            assert!(matches!(lost, Err(CallError::Lost { .. })), "{lost:?}");
        }
    }
    drop(heard);
    seen(&mut requests, STOP_LISTENING).await;
}

#[tokio::test]
async fn a_slow_listener_is_told_that_it_has_missed_something() {
    let (member, mut requests) = FakeMember::start(tells).await;
    let client = Client::start(options(&[&member]));
    let mut heard = client.map("sessions").listen(1);
    seen(&mut requests, LISTEN).await;
    assert!(client.map("sessions").get(&key()).await.is_ok());
    // There was room for the first only.
    assert_eq!(soon("anew", heard.recv()).await, Some(Heard::Anew));
    assert_eq!(soon("anew", heard.recv()).await, Some(Heard::Anew));
}

#[tokio::test]
async fn the_connection_ends_with_the_client() {
    let (member, mut requests) = FakeMember::start(FakeMember::usual).await;
    let client = Client::start(options(&[&member]));
    let (mut state, map) = (client.state(), client.map("sessions"));
    assert!(map.get(&key()).await.is_ok());
    drop(client);
    assert!(map.get(&key()).await.is_ok(), "a map holds its client");
    drop(map);
    soon("the end", async { while state.changed().await.is_ok() {} }).await;
    seen(&mut requests, AUTHENTICATION).await;
}

/// A member's side of TLS, and what a client needs to trust it: its certificate is for the name `hz`.
fn tls() -> (TlsAcceptor, ClientConfig) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["hz".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![certificate.clone()], key);
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("an authority");
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server.expect("they fit"))), client)
}

#[tokio::test]
async fn members_may_speak_tls() {
    let (acceptor, config) = tls();
    let (member, _requests) = FakeMember::start_with(Some(acceptor), FakeMember::usual).await;
    let named = |name: &'static str| {
        let server_name = Some(ServerName::try_from(name).expect("a name"));
        Some(Tls { config: Arc::new(config.clone()), server_name })
    };
    let client = Client::start(Options { tls: named("hz"), ..options(&[&member]) });
    assert_eq!(client.map("sessions").get(&key()).await.expect("it is answered"), Some(Data::text("nodeA2")));
    let client = Client::start(Options { tls: named("other"), call: SHORT, ..options(&[&member]) });
    let mut state = client.state();
    let refused = |state: &State| matches!(state, State::Away { why: Some(ConnectError::Io { .. }), .. });
    soon("the failure", state.wait_for(refused)).await.expect("the task lives");
}
