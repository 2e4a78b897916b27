//! A name server for tests: it says what it is told to, by UDP and TCP on one port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is said of a name.
#[derive(Debug, Clone)]
pub enum Says {
    /// These addresses.
    A(Vec<Ipv4Addr>),
    /// (weight, port, target).
    Srv(Vec<(u16, u16, String)>),
    /// A response code: 2 SERVFAIL, 3 NXDOMAIN.
    Code(u8),
    /// Nothing at all.
    Silence,
}

#[derive(Debug, Default)]
struct State {
    zone: Mutex<Vec<(String, Says)>>,
    by_udp: AtomicUsize,
    by_tcp: AtomicUsize,
}

/// Runs until the process ends.
pub struct NameServer {
    pub address: SocketAddr,
    state: Arc<State>,
}

/// Seconds.
const TTL: u32 = 1;
/// What fits into a datagram.
const UDP_MAX: usize = 512;

impl NameServer {
    pub fn start() -> Self {
        let (udp, tcp) = std::iter::repeat_with(both).take(100).flatten().next().expect("a port is free for both");
        let address = udp.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let (by_udp, by_tcp) = (Arc::clone(&state), Arc::clone(&state));
        std::thread::spawn(move || {
            let mut question = [0; UDP_MAX];
            while let Ok((length, from)) = udp.recv_from(&mut question) {
                by_udp.by_udp.fetch_add(1, Ordering::SeqCst);
                if let Some(answer) = answer(&question[..length], &by_udp, UDP_MAX) {
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let state = Arc::clone(&by_tcp);
                std::thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                        if stream.read_exact(&mut question).is_err() {
                            return;
                        }
                        state.by_tcp.fetch_add(1, Ordering::SeqCst);
                        let Some(answer) = answer(&question, &state, usize::from(u16::MAX)) else { continue };
                        let length = u16::try_from(answer.len()).expect("it is short").to_be_bytes();
                        let _ = stream.write_all(&[&length[..], &answer].concat());
                    }
                });
            }
        });
        Self { address, state }
    }

    /// From now on this is said of a name.
    pub fn says(&self, name: &str, says: Says) {
        let mut zone = self.state.zone.lock().expect("nobody panics");
        zone.retain(|(known, _)| known != name);
        zone.push((name.to_owned(), says));
    }

    /// Questions so far: by UDP, by TCP.
    pub fn asked(&self) -> (usize, usize) {
        (self.state.by_udp.load(Ordering::SeqCst), self.state.by_tcp.load(Ordering::SeqCst))
    }
}

/// One port for both, if nobody has it for TCP.
fn both() -> Option<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
    let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
    Some((udp, tcp))
}

/// RFC 1035 §4: header, question, answers.
fn answer(question: &[u8], state: &State, bytes_max: usize) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let asked = question.get(12..at + 4)?;
    let zone = state.zone.lock().expect("nobody panics");
    let says = zone.iter().find(|(name, _)| *name == labels.join(".")).map(|(_, says)| says.clone());
    let (code, records): (u8, Vec<Vec<u8>>) = match (says.unwrap_or(Says::Code(3)), kind) {
        (Says::Silence, _) => return None,
        (Says::Code(code), _) => (code, Vec::new()),
        (Says::A(addresses), 1) => (0, addresses.iter().map(|address| record(1, &address.octets())).collect()),
        (Says::Srv(targets), 33) => (0, targets.iter().map(|target| record(33, &srv(target))).collect()),
        _ => (0, Vec::new()),
    };
    let head = |flags: u8, count: usize| {
        let count = u16::try_from(count).expect("few").to_be_bytes();
        [&question[..2], &[0x81 | flags, 0x80 | code], &[0, 1], &count, &[0, 0, 0, 0], asked].concat()
    };
    let whole = [head(0, records.len()), records.concat()].concat();
    // The bit TC: ask again by TCP.
    Some(if whole.len() > bytes_max { head(2, 0) } else { whole })
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short").to_be_bytes();
    // The name is that of the question.
    [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1], &TTL.to_be_bytes(), &length, data].concat()
}

fn srv((weight, port, target): &(u16, u16, String)) -> Vec<u8> {
    let labels = target.split('.').map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    [&[0, 0][..], &weight.to_be_bytes(), &port.to_be_bytes(), &labels.collect::<Vec<_>>().concat(), &[0]].concat()
}
