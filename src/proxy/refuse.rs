//! Refusing a connection for which there is no room.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::worker::Worker;
use crate::gateway::ListenerSetup;

/// What the client hears.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Length: 86\r\n\r\nOverloaded: There is no room for a connection. Nothing was executed; try again later.\n";
/// Connections of one worker that are refused with an answer at once; more wait to be accepted, as everybody's do who is out of
/// room. They use up the reserve of descriptors.
const AT_ONCE: usize = 8;
/// How long the client may take to read it.
const LIMIT: Duration = Duration::from_secs(1);

/// Whether as many as may be are being told so. Over TLS nobody is told: a handshake that ends says as much.
pub fn is_busy(worker: &Worker, setup: &ListenerSetup) -> bool {
    worker.refusing.get() >= AT_ONCE && setup.tls.is_none()
}

/// Tells the client to come later, where it can read that, and closes.
pub fn refuse(worker: &Rc<Worker>, mut stream: TcpStream, setup: &ListenerSetup) {
    if setup.tls.is_some() || worker.refusing.get() >= AT_ONCE {
        return;
    }
    worker.refusing.set(worker.refusing.get() + 1);
    let worker = Rc::clone(worker);
    spawn_local(async move {
        let told = async {
            stream.write_all(ANSWER).await?;
            stream.shutdown().await?;
            // What it has sent must be read, or closing resets the answer away.
            let mut piece = [0; 1024];
            while stream.read(&mut piece).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // Whether it has heard it is its own affair.
        let _ = timeout(LIMIT, told).await;
        worker.refusing.set(worker.refusing.get() - 1);
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(super::ANSWER).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
