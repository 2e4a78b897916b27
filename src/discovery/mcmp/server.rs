//! Where nodes introduce themselves: HTTP/1.1 with methods of its own, one kept connection a node.
//!
//! Whoever can speak here can take traffic. So it is off unless configured, open to this machine only unless networks or client
//! certificates are named, and bounded.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::{Answer, Mcmp};
use crate::config::model;

/// Connections at a time: a node keeps one.
const CONNECTIONS_MAX: usize = 1024;
/// Bytes of a message. The longest is a list of contexts.
const BYTES_MAX: usize = 64 * 1024;
/// For a TLS handshake, and for the body of a message.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a message's head: nodes that keep a connection say something every 10 seconds, unless they are told to do so less often.
const SILENCE_MAX: Duration = Duration::from_secs(3600);
/// Until the address is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(1);
/// Between accepting again after accepting failed, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether a node may speak from this address. Without networks only this machine may, or who shows a client certificate.
pub fn may_speak(config: &model::Mcmp, from: IpAddr) -> bool {
    let from = from.to_canonical();
    if config.allow.is_empty() {
        return from.is_loopback() || config.wants_certificates();
    }
    config.allow.iter().any(|network| network.contains(&from))
}

/// Listens until it is dropped.
pub async fn run(mcmp: Arc<Mcmp>) {
    let Some(address) = mcmp.gateway.snapshot().config.mcmp.as_ref().map(|config| config.address) else { return };
    let socket = bind(address).await;
    if let Ok(address) = socket.local_addr() {
        tracing::info!(%address, "listening for nodes (MCMP)");
    }
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the listener for nodes cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let snapshot = mcmp.gateway.snapshot();
        if !snapshot.config.mcmp.as_ref().is_some_and(|config| may_speak(config, peer.ip())) {
            tracing::warn!(%peer, "nodes may not introduce themselves from there; see mcmp.allow");
            continue;
        }
        // Of the present snapshot, so that a reload brings renewed certificates.
        let tls = snapshot.mcmp_tls.clone().map(TlsAcceptor::from);
        let mcmp = Arc::clone(&mcmp);
        connections.spawn(async move {
            let _place = place;
            match tls {
                None => serve(mcmp, stream, peer).await,
                Some(tls) => match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve(mcmp, stream, peer).await,
                    Ok(Err(error)) => {
                        tracing::warn!(%peer, %error, "a node speaks no TLS, or shows no good certificate")
                    }
                    Err(_) => tracing::debug!(%peer, "no TLS in time"),
                },
            }
        });
    }
}

/// A process that is about to hand over may still have the address.
async fn bind(address: SocketAddr) -> TcpListener {
    let mut is_told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(socket) => return socket,
            Err(error) if !is_told => {
                tracing::error!(%address, %error, "mcmp.address cannot be listened on; it is tried again and again");
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(BIND_PAUSE).await;
    }
}

async fn serve(mcmp: Arc<Mcmp>, stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr) {
    let service = service_fn(|request: Request<Incoming>| {
        let mcmp = &mcmp;
        async move {
            let (head, body) = request.into_parts();
            let answer = match tokio::time::timeout(PATIENCE, read(body)).await {
                Ok(Some(body)) => mcmp.hear(head.method.as_str(), head.uri.path(), &body),
                _ => None,
            };
            if let Some(Answer::Refused(refused)) = &answer {
                let (kind, why) = (refused.kind(), refused.message());
                tracing::warn!(%peer, command = %head.method, kind, why, "a node is refused");
            }
            Ok::<_, Infallible>(response(answer))
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(SILENCE_MAX).max_buf_size(BYTES_MAX).title_case_headers(true);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%peer, %error, "the connection of a node ended");
    }
}

async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if bytes.len() + data.len() > BYTES_MAX {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}

fn response(answer: Option<Answer>) -> Response<String> {
    let mut response = Response::new(String::new());
    match answer {
        // No command of the protocol, or one that did not come whole.
        None => *response.status_mut() = StatusCode::NOT_IMPLEMENTED,
        Some(Answer::Good) => {}
        Some(Answer::Text(text)) => {
            *response.body_mut() = text;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        Some(Answer::Refused(refused)) => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            let mut set = |name: &'static str, value: &str| {
                if let Ok(value) = HeaderValue::from_str(value) {
                    response.headers_mut().insert(HeaderName::from_static(name), value);
                }
            };
            set("version", "0.2.1");
            set("type", refused.kind());
            set("mess", refused.message());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_speak_from_where_they_may() {
        let config = |allow: &[&str]| model::Mcmp {
            allow: allow.iter().map(|network| network.parse().expect("a network")).collect(),
            ..model::Mcmp::new(SocketAddr::from(([127, 0, 0, 1], 6666)))
        };
        for (allow, from, may) in [
            (&[][..], "127.0.0.1", true),
            (&[], "::1", true),
            (&[], "10.0.0.1", false),
            (&["10.0.0.0/8"], "10.0.0.1", true),
            (&["10.0.0.0/8"], "::ffff:10.0.0.1", true),
            (&["10.0.0.0/8"], "11.0.0.1", false),
            (&["10.0.0.0/8"], "127.0.0.1", false),
        ] {
            assert_eq!(may_speak(&config(allow), from.parse().expect("an address")), may, "{allow:?} {from}");
        }
    }
}
