//! Accepting: from a listening socket to a connection that speaks HTTP.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use super::buffer::Buffer;
use super::connection::{Connection, OwnConnections};
use super::early::Early;
use super::h2::Begin;
use super::server::Command;
use super::stream::Stream;
use super::worker::{Load, Worker};
use super::{client_cert, h1, h2, proxy_protocol, refuse, tcp};
use crate::gateway::{ListenerSetup, Scarce};

/// After a failure to accept (no descriptors left, mostly) the worker waits this long before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A worker hands a new connection on when it has this many more than the least busy one. Few clients with much traffic
/// each are the rule here, so that one connection too many on a worker is already a quarter of its load.
const LOAD_DIFFERENCE: usize = 2;

/// Somebody else accepts on this socket from now on; what waits in it is left to them.
#[derive(Debug)]
pub struct LeaveQueue;

/// Accepts connections of one listening socket until `stop` says so, or its other end has gone: then what waits in it is
/// served before it closes.
pub async fn accept(
    worker: Rc<Worker>,
    listener: TcpListener,
    configured: SocketAddr,
    mut stop: tokio::sync::oneshot::Receiver<LeaveQueue>,
) {
    let Some(mut setup) = setup_of(&worker, configured) else { return };
    let standing = worker.loads.of_listener(configured);
    loop {
        let accepted = tokio::select! {
            accepted = async {
                while is_busy_refusing(&worker, &setup, &standing) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                listener.accept().await
            } => accepted,
            told = &mut stop => match told {
                Ok(LeaveQueue) => return,
                Err(_) => break,
            },
        };
        if let Some(present) = setup_of(&worker, configured) {
            setup = present;
        }
        match accepted {
            Ok((stream, peer)) => admit(&worker, stream, peer, setup.clone(), &standing),
            Err(error) => {
                if !tcp::is_exhausted(&error) {
                    tracing::warn!(%error, "cannot accept a connection");
                } else if worker.gateway.pressure.refuse(Scarce::Descriptors, worker.gateway.now()) {
                    tracing::warn!(%error, "no descriptors left: new connections wait");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What waits in the socket's queue would be reset when it closes. A listener that a reload took away serves it as it
    // was last configured.
    while let Some(Ok((stream, peer))) = accept_now(&listener).await {
        worker.gateway.pressure.enter(&standing);
        take(&worker, stream, peer, setup.clone(), &standing);
    }
}

/// Takes a new connection, if there is room for it.
fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, setup: ListenerSetup, standing: &Arc<AtomicUsize>) {
    let pressure = &worker.gateway.pressure;
    let limits = worker.gateway.snapshot().config.limits;
    let now = worker.gateway.now();
    if let Err(why) = pressure.admit(&limits, &setup.config, standing) {
        if pressure.refuse(why, now) {
            let (listener, connections) = (&setup.config.name, pressure.connections());
            tracing::warn!(limit = why.text(), listener, connections, "new connections are refused");
        }
        return refuse::refuse(worker, stream, &setup);
    }
    for relieved in pressure.take(now) {
        tracing::info!(limit = relieved.text(), "new connections are taken again");
    }
    take(worker, stream, peer, setup, standing);
}

/// Whether there is neither room for a connection nor anybody to tell its client so: then it waits in the socket's queue, where
/// it may have sent something and is not reset.
fn is_busy_refusing(worker: &Worker, setup: &ListenerSetup, standing: &AtomicUsize) -> bool {
    refuse::is_busy(worker, setup) && {
        let limits = worker.gateway.snapshot().config.limits;
        worker.gateway.pressure.is_full(&limits, &setup.config, standing)
    }
}

/// The present set-up of a listener; `None` once a reload has taken it away.
fn setup_of(worker: &Worker, configured: SocketAddr) -> Option<ListenerSetup> {
    worker.gateway.snapshot().listeners.iter().find(|setup| setup.config.address == configured).cloned()
}

async fn accept_now(listener: &TcpListener) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
    poll_fn(|cx| match listener.poll_accept(cx) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Serves a new connection, which is counted, here, or hands it to a worker with far fewer.
fn take(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, setup: ListenerSetup, standing: &Arc<AtomicUsize>) {
    let (least, count) = worker.loads.least();
    if least != worker.index && worker.loads.of(worker.index) >= count + LOAD_DIFFERENCE {
        // Counted there at once, so that the next one does not go there as well.
        let load = worker.loads.enter(least, standing);
        match stream.into_std() {
            Ok(stream) => {
                let command = Command::Adopt { stream, peer, setup, load };
                if let Err(error) = worker.others[least].send(command) {
                    tracing::debug!(%error, "a worker that has stopped takes no connections");
                }
            }
            Err(error) => tracing::warn!(%error, "a connection is lost on its way to another worker"),
        }
        return;
    }
    let load = worker.loads.enter(worker.index, standing);
    begin(worker, stream, peer, setup, load);
}

/// Serves a connection on this worker.
pub fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, setup: ListenerSetup, load: Load) {
    let worker = Rc::clone(worker);
    spawn_local(async move {
        let _load = load;
        if let Err(error) = tcp::prepare(&stream, setup.config.tcp_keep_alive.as_ref()) {
            tracing::debug!(%error, "a connection has gone before it was served");
            return;
        }
        serve(&worker, setup, stream, peer).await;
    });
}

async fn serve(worker: &Rc<Worker>, listener: ListenerSetup, mut stream: TcpStream, mut peer: SocketAddr) {
    let limit = listener.config.timeouts.header;
    let mut input = Buffer::default();
    if listener.config.proxy_protocol {
        match tokio::time::timeout(limit, proxy_header(worker, &mut stream, &mut input)).await {
            Ok(Some(header)) => peer = header.addresses.map_or(peer, |addresses| addresses.source),
            Ok(None) => {
                tracing::debug!(%peer, listener = listener.config.name, "connection without a PROXY header refused");
                return;
            }
            Err(_) => return,
        }
    }
    let mut connection = Connection {
        peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        number: worker.connection_number(),
        is_tls: listener.tls.is_some(),
        client_cert: None,
        own: RefCell::new(OwnConnections::default()),
        listener,
    };
    let Some(tls) = connection.listener.tls.clone() else {
        return serve_http(worker, connection, Stream::Plain(stream), input, None).await;
    };
    // What came behind a PROXY header belongs to the handshake.
    let early = Early::new(stream, input);
    let handshake = TlsAcceptor::from(tls).accept(early);
    match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let is_h2 = session.alpn_protocol() == Some(b"h2");
            let forward = connection.listener.config.tls.as_ref().and_then(|tls| tls.forward_client_cert.as_ref());
            if let (Some(forward), Some([certificate, ..])) = (forward, session.peer_certificates()) {
                connection.client_cert = Some(client_cert::header_value(certificate, forward.format));
            }
            let stream = Stream::ServerTls(Box::new(stream));
            serve_http(worker, connection, stream, Buffer::default(), Some(is_h2)).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, listener = connection.listener.config.name, "TLS handshake failed");
        }
        Err(_) => tracing::debug!(%peer, listener = connection.listener.config.name, "TLS handshake took too long"),
    }
}

/// Speaks what ALPN decided, or what the first bytes say.
async fn serve_http(
    worker: &Rc<Worker>,
    connection: Connection,
    mut stream: Stream,
    mut input: Buffer,
    is_h2: Option<bool>,
) {
    let begin = match is_h2 {
        Some(true) => Some(Begin::Http2),
        Some(false) => Some(Begin::Http1),
        None => h2::look_for_preface(worker, &connection, &mut stream, &mut input).await,
    };
    match begin {
        Some(Begin::Http1) => h1::server::serve(worker, &connection, stream, input).await,
        Some(Begin::Http2) => h2::serve(worker, connection, stream, input).await,
        Some(Begin::Broken) => h2::refuse(worker, stream, input).await,
        None => {}
    }
}

async fn proxy_header(
    worker: &Worker,
    stream: &mut TcpStream,
    input: &mut Buffer,
) -> Option<proxy_protocol::ProxyHeader> {
    use tokio::io::AsyncReadExt;
    loop {
        match proxy_protocol::parse(input.filled()) {
            Ok(Some((length, header))) => {
                input.consume(length);
                return Some(header);
            }
            Ok(None) => {}
            Err(_) => return None,
        }
        let count = stream.read(input.room(&worker.buffers)).await.ok().filter(|count| *count > 0)?;
        input.filled_by(count);
    }
}
