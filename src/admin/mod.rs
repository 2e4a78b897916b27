//! The admin listener: readiness, metrics, and the JSON API over nodes.
//!
//! | request | role | answer |
//! |---|---|---|
//! | `GET /live` | none | 200 while the process lives |
//! | `GET /ready` | none | 200 while new work is welcome, else 503; with what is amiss as JSON |
//! | `GET /metrics` | read | Prometheus text |
//! | `GET /v1/nodes` | read | all nodes |
//! | `GET /v1/nodes/UPSTREAM/NODE` | read | one node, and how long it will still have conversations |
//! | `POST /v1/nodes/UPSTREAM/NODE/{ready,drain,maint}` | operate | the node, changed |
//! | `PUT`, `DELETE /v1/upstreams/UPSTREAM/nodes/NODE` | register | a node announces itself, or leaves: see `members` |
//! | `GET /v1/discovery` | read | who finds nodes, and how that goes |
//! | `POST /v1/preview?after=CURSOR` | read | what taking over a configuration would do to conversations |
//! | `GET /v1/peers` | read | the gateways that share a store: see `fleet` |
//! | `GET /v1/reload` | read | reloads taken over and refused |
//! | `POST /v1/reload?force=true` | admin | the same, before the reload asked for |
//! | `/v1/conversations...` | read, operate | conversations: see `conversations` |
//! | `POST /v1/capture?route=R&for=60s&limit=50` | admin | exchanges as they pass, masked, a line each |
//!
//! It runs on the runtime of the control plane; what it reads are atomics and the present snapshot, so that no request waits
//! for it. Who may do what is decided in `access`. Nothing changes by a GET, and no answer names a session id.

mod access;
mod audited;
mod body;
mod capture;
mod conversations;
mod fleet;
mod members;
mod metrics;
mod nodes;
mod reload;
mod subject;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use self::access::{Claims, Denied, admit, known};
use self::audited::{Story, audited};
use self::capture::{Order, Page};
use self::fleet::Wanted;
use crate::config::model::{ClientAuth, Role};
use crate::gateway::Gateway;

/// Connections at a time: a few people, a scraper and some probes; whoever holds many open keeps only others of the kind out.
const CONNECTIONS_MAX: usize = 64;
/// For a request's head, and for a TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Posted only because an outlook is too long for a query: it changes nothing.
const PREVIEW: &str = "/v1/preview";
/// Between accepting again after accepting failed, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The admin address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("admin.address {address}: cannot listen ({source}); write another address, or admin: {{address: none}}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// A bound admin address.
#[derive(Debug)]
pub struct Listener {
    gateway: Arc<Gateway>,
    socket: TcpListener,
}

impl Listener {
    /// Binds `admin.address`; `None` where the file says `none`. Needs the runtime it is to run on.
    ///
    /// # Errors
    /// The address cannot be had. That ends a start: without this listener nobody would know how the gateway fares.
    pub async fn bind(gateway: Arc<Gateway>) -> Result<Option<Self>, BindError> {
        Self::bind_or_take(gateway, None).await
    }

    /// As [`Listener::bind`], but takes the socket of the process before this one where that listens on the same configured
    /// address.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn bind_or_take(
        gateway: Arc<Gateway>,
        standing: Option<(SocketAddr, std::net::TcpListener)>,
    ) -> Result<Option<Self>, BindError> {
        let snapshot = gateway.snapshot();
        let Some(address) = snapshot.config.admin.address else { return Ok(None) };
        let socket = match standing.filter(|(configured, _)| *configured == address) {
            Some((_, socket)) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
            None => TcpListener::bind(address).await,
        };
        let socket = socket.map_err(|source| BindError { address, source })?;
        drop(snapshot);
        Ok(Some(Self { gateway, socket }))
    }

    /// A second descriptor of its socket, for a successor.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn share(&self) -> std::io::Result<std::net::TcpListener> {
        use std::os::fd::AsFd;
        Ok(self.socket.as_fd().try_clone_to_owned()?.into())
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves. Never returns; dropping it ends everything.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let gateway = Arc::clone(&self.gateway);
            let own = stream.local_addr().map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip());
            // Of the present snapshot, so that a reload brings renewed certificates.
            let tls = self.gateway.snapshot().admin_tls.clone().map(TlsAcceptor::from);
            connections.spawn(async move {
                let _place = place;
                match tls {
                    None => serve(gateway, stream, peer, own, None).await,
                    Some(tls) => match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                            let subject = shown.map(|certificate| subject::of(certificate));
                            serve(gateway, stream, peer, own, subject).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS on the admin listener"),
                        Err(_) => tracing::debug!(%peer, "no TLS on the admin listener in time"),
                    },
                }
            });
        }
    }
}

/// `subject`: of the certificate that the client showed.
async fn serve(
    gateway: Arc<Gateway>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    own: IpAddr,
    subject: Option<String>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (gateway, subject) = (&gateway, subject.as_deref());
        async move {
            let (head, body) = request.into_parts();
            // Nothing else has a body: what is put, and outlooks.
            let body = if head.uri.path() == PREVIEW || head.method == Method::PUT {
                body::read(body).await
            } else {
                Ok(Bytes::new())
            };
            let (answer, lines) = match body {
                Ok(body) => audited(gateway, &Request::from_parts(head, body), peer, own, subject).await,
                Err(status) => (plain(status, "the body cannot be read"), None),
            };
            Ok::<_, Infallible>(match lines {
                Some(lines) => answer.map(|_| Page::Lines(Box::new(lines))),
                None => answer.map(|text| Page::Text(Some(text.into()))),
            })
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 * 1024);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%peer, %error, "an admin connection ended");
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked<'a> {
    Live,
    Ready,
    Metrics,
    Nodes,
    Capture,
    Node { upstream: &'a str, node: &'a str },
    SetState { upstream: &'a str, node: &'a str, state: crate::upstream::Admin },
    Conversations(conversations::Asked),
    Announce { upstream: &'a str, node: &'a str },
    Leave { upstream: &'a str, node: &'a str },
    Discovery,
    Peers,
    Preview,
    Reloads,
    Reload,
}

/// Reads a path. The answer says by which method it is asked for, and what role that needs; `None` = nobody's path.
fn asked<'a>(path: &'a str, by: &Method) -> Option<(Asked<'a>, Method, Option<Role>)> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    Some(match parts.as_slice() {
        ["live"] => (Asked::Live, Method::GET, None),
        ["ready"] => (Asked::Ready, Method::GET, None),
        ["metrics"] => (Asked::Metrics, Method::GET, Some(Role::Read)),
        ["v1", "capture"] => (Asked::Capture, Method::POST, Some(Role::Admin)),
        ["v1", "nodes"] => (Asked::Nodes, Method::GET, Some(Role::Read)),
        ["v1", "reload"] if *by == Method::POST => (Asked::Reload, Method::POST, Some(Role::Admin)),
        ["v1", "reload"] => (Asked::Reloads, Method::GET, Some(Role::Read)),
        ["v1", "preview"] => (Asked::Preview, Method::POST, Some(Role::Read)),
        ["v1", "conversations", rest @ ..] => {
            let (asked, method, role) = conversations::asked(rest)?;
            (Asked::Conversations(asked), method, Some(role))
        }
        ["v1", "peers"] => (Asked::Peers, Method::GET, Some(Role::Read)),
        ["v1", "discovery"] => (Asked::Discovery, Method::GET, Some(Role::Read)),
        ["v1", "upstreams", upstream, "nodes", node] if *by == Method::DELETE => {
            (Asked::Leave { upstream, node }, Method::DELETE, Some(Role::Register))
        }
        ["v1", "upstreams", upstream, "nodes", node] => {
            (Asked::Announce { upstream, node }, Method::PUT, Some(Role::Register))
        }
        ["v1", "nodes", upstream, node] => (Asked::Node { upstream, node }, Method::GET, Some(Role::Read)),
        ["v1", "nodes", upstream, node, state] => {
            let state = nodes::state_of(state)?;
            (Asked::SetState { upstream, node, state }, Method::POST, Some(Role::Operate))
        }
        _ => return None,
    })
}

/// The answer. What the audit stream is to know besides goes to `story`.
fn reply(
    gateway: &Arc<Gateway>,
    request: &Request<Bytes>,
    peer: SocketAddr,
    own: IpAddr,
    story: &mut Story,
) -> Response<String> {
    let Some((asked, method, role)) = asked(request.uri().path(), request.method()) else {
        return plain(StatusCode::NOT_FOUND, "there is nothing here; see GET /v1/nodes, /metrics, /ready, /live");
    };
    let is_head = method == Method::GET && request.method() == Method::HEAD;
    if *request.method() != method && !is_head {
        let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, &format!("this is asked for by {method}"));
        reply.headers_mut().insert(ALLOW, HeaderValue::from_str(method.as_str()).expect("a method is a token"));
        return reply;
    }
    let snapshot = gateway.snapshot();
    let field = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_certified = snapshot.config.admin.tls.as_ref().is_some_and(|tls| tls.client_auth == ClientAuth::Required);
    let claims = Claims { host: field(HOST), origin: field(ORIGIN), authorization: field(AUTHORIZATION), is_certified };
    let admitted = role.map(|role| admit(claims, own, &snapshot.config.admin.tokens, role)).transpose();
    if let Some(token) = known(claims, &snapshot.config.admin.tokens) {
        story.who = Some(token.name.clone());
    }
    let caller = match admitted {
        Ok(caller) => caller.unwrap_or_default(),
        Err(denied) => {
            story.denied = Some(denied);
            tracing::warn!(%peer, path = request.uri().path(), %denied, "admin request refused");
            return refusal(denied);
        }
    };
    let query = request.uri().query().unwrap_or_default();
    match asked {
        Asked::Live => plain(StatusCode::OK, "live"),
        Asked::Ready => ready(gateway),
        Asked::Metrics => answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics::text(gateway)),
        Asked::Nodes => json(StatusCode::OK, &nodes::all(gateway)),
        Asked::Reloads => json(StatusCode::OK, &reload::shown(gateway)),
        Asked::Reload => match reload::ask(gateway, query) {
            Ok(before) => {
                tracing::info!(%peer, caller, asked = %request.uri(), "reload asked for");
                json(StatusCode::OK, &before)
            }
            Err((status, message)) => plain(status, &message),
        },
        Asked::Preview => match reload::preview(gateway, query, request.body()) {
            Ok(effect) => json(StatusCode::OK, &effect),
            Err((status, message)) => plain(status, &message),
        },
        Asked::Conversations(asked) => match conversations::answer(gateway, asked, query, story) {
            Ok(done) => {
                if method == Method::POST {
                    story.wanted = Some(Wanted::Table);
                    tracing::info!(%peer, caller, asked = %request.uri(), %done, "conversations changed");
                }
                json(StatusCode::OK, &done)
            }
            Err((status, message)) => plain(status, &message),
        },
        Asked::Capture => match Order::read(request.uri().query()) {
            Err(message) => plain(StatusCode::BAD_REQUEST, &message),
            Ok(order) => match capture::begin(gateway, &order) {
                Err(message) => plain(StatusCode::CONFLICT, &message),
                Ok(lines) => {
                    tracing::info!(%peer, caller, order = order.text(), "a capture begins");
                    story.changed("not capturing", order.text());
                    story.lines = Some(lines);
                    answer(StatusCode::OK, "application/jsonl", String::new())
                }
            },
        },
        Asked::Peers => json(StatusCode::OK, &fleet::peers(gateway)),
        Asked::Discovery => json(StatusCode::OK, &members::sources(gateway)),
        Asked::Announce { upstream, node } => match members::announce(gateway, upstream, node, request.body(), story) {
            Ok(done) => json(StatusCode::OK, &done),
            Err((status, message)) => plain(status, &message),
        },
        Asked::Leave { upstream, node } => match members::leave(gateway, upstream, node, story) {
            Ok(done) => {
                tracing::info!(%peer, caller, upstream, node, "a registered node takes its leave");
                json(StatusCode::OK, &done)
            }
            Err((status, message)) => plain(status, &message),
        },
        Asked::Node { upstream, node } => match nodes::one(gateway, upstream, node) {
            Some(node) => json(StatusCode::OK, &node),
            None => plain(StatusCode::NOT_FOUND, "there is no such node"),
        },
        Asked::SetState { upstream, node, state } => {
            let Some(before) = nodes::set_state(gateway, upstream, node, state) else {
                return plain(StatusCode::NOT_FOUND, "there is no such node");
            };
            let (before, after) = (nodes::state_text(before), nodes::state_text(state));
            story.changed(before, after);
            story.wanted = nodes::fleet_name(gateway, upstream, node).map(|name| Wanted::State {
                name,
                value: Some(after.as_bytes().to_vec()),
                awaited: true,
            });
            tracing::info!(%peer, caller, upstream, node, before, after, "administrative state set");
            let view = nodes::all(gateway).into_iter().find(|view| view.upstream == upstream && view.node == node);
            json(StatusCode::OK, &view)
        }
    }
}

/// Whether new work is welcome, and what is amiss besides.
fn ready(gateway: &Gateway) -> Response<String> {
    let is_ready = !gateway.is_stopping();
    let now_ms = gateway.now().0;
    let mut notes = Vec::new();
    if !is_ready {
        notes.push("the gateway is stopping".to_owned());
    }
    if let (_, Some(why)) = gateway.refused_reloads() {
        notes.push(format!("the last reload was refused: {why}"));
    }
    if let Some(why) = gateway.store().and_then(crate::store::Disk::trouble) {
        notes.push(format!("the store fails, and what is bound now does not survive a restart: {why}"));
    }
    if let Some(why) = gateway.fleet().and_then(crate::store::fleet::Fleet::trouble) {
        notes.push(format!("the store that gateways share is away: {why}"));
    }
    for name in fleet::strangers(gateway) {
        notes.push(format!(
            "gateway {name} shares the store but has another affinity.fingerprint_key: give all the same"
        ));
    }
    if let Some(why) = gateway.audit.failing() {
        notes.push(format!("the audit log cannot be written: {why}"));
    }
    for view in gateway.found_by() {
        if let Some(why) = view.failing {
            notes.push(format!("nodes of upstream {} cannot be discovered by {}: {why}", view.upstream, view.source));
        }
    }
    for upstream in &gateway.snapshot().upstreams {
        if !upstream.nodes.nodes().iter().any(|node| node.takes_new(now_ms)) {
            notes.push(format!("no node of upstream {} takes new conversations", upstream.config.name));
        }
    }
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &serde_json::json!({"ready": is_ready, "notes": notes}))
}

fn refusal(denied: Denied) -> Response<String> {
    let status = match denied {
        Denied::Host => StatusCode::MISDIRECTED_REQUEST,
        Denied::Origin | Denied::Role => StatusCode::FORBIDDEN,
        Denied::Token => StatusCode::UNAUTHORIZED,
    };
    let mut reply = plain(status, &denied.to_string());
    if denied == Denied::Token {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    reply
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<String> {
    let text = serde_json::to_string(value).expect("views have plain keys");
    answer(status, "application/json", text + "\n")
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    answer(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
