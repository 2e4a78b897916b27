//! Large uploads through a running gateway, and what they cost it in memory.
//!
//! ```text
//! cargo build --release && cargo run --example soak -- target/release/castile [PRESET]
//! ```
//!
//! Two runs, each with a gateway of its own: 64 uploads of 10 MiB at once, and one of 2 GiB in chunks. The message is SOAP, so
//! that its begin is read for an id, by the rules of `axis2-soapsession` or of the preset given: one that looks into Bodies
//! reads, and holds, as much of each message as `inspect` allows. Linux only: the memory figures are those of `/proc`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Uploads at once, and the size of each.
const UPLOADS: (u64, u64) = (64, 10 * MIB);
/// The long one.
const LONG: u64 = 2048 * MIB;
/// What a gateway may need at most.
const LIMIT_KIB: u64 = 32 * 1024;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: soak PATH-OF-CASTILE [PRESET]");
        return ExitCode::from(2);
    };
    let preset = arguments.next().unwrap_or_else(|| "axis2-soapsession".to_owned());
    let many = uploads(&program, &preset);
    let long = long(&program, &preset);
    if many && long { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A gateway in a process of its own, before a node that counts what it gets.
struct Gateway {
    process: Child,
    address: SocketAddr,
    received: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start(program: &str, preset: &str) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let node = node(Arc::clone(&received));
        let folder = tempfile::tempdir().expect("a folder can be made");
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a free port");
        let file = folder.path().join("soak.yaml");
        let yaml = format!(
            "listeners: [{{name: public, address: '{free}'}}]\nroutes: [{{upstream: app}}]\n\
             upstreams: {{app: {{nodes: [{{name: n, url: 'http://{node}'}}], sticky: {{presets: [{preset}]}}}}}}\n\
             admin: {{address: none}}\naccess_log: none\n"
        );
        std::fs::write(&file, yaml).expect("a file can be written");
        let process = Command::new(program).args(["run", "--config"]).arg(&file).spawn().expect("the program runs");
        let began = Instant::now();
        while TcpStream::connect(free).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the gateway does not listen");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Self { process, address: free, received, _folder: folder }
    }

    /// A figure of `/proc/PID/status`, in KiB.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A node that reads requests to the end of their connection, counting bytes, and answers each that ends.
fn node(received: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let received = Arc::clone(&received);
            std::thread::spawn(move || serve(stream, &received));
        }
    });
    address
}

fn serve(mut stream: TcpStream, received: &AtomicU64) {
    let mut piece = vec![0; 256 << 10];
    let mut end = Vec::new();
    while let Ok(count) = stream.read(&mut piece) {
        if count == 0 {
            return;
        }
        received.fetch_add(count as u64, Ordering::Relaxed);
        end.extend_from_slice(&piece[count.saturating_sub(32)..count]);
        end.drain(..end.len().saturating_sub(32));
        if end.ends_with(b"</s:Envelope>") || end.ends_with(b"0\r\n\r\n") {
            let answered =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>");
            if answered.is_err() {
                return;
            }
        }
    }
}

const BEGIN: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header/><s:Body><data>";
const END: &str = "</data></s:Body></s:Envelope>";

/// Sends one message of this size; `sent` grows with it.
fn upload(address: SocketAddr, size: u64, chunked: bool, sent: &AtomicU64) {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {size}") };
    let head = format!("POST /upload HTTP/1.1\r\nHost: soak\r\nContent-Type: text/xml\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the gateway takes bytes");
    let filling = vec![b'x'; 64 << 10];
    let mut send = |bytes: &[u8]| {
        let result = match chunked {
            true => write!(stream, "{:x}\r\n", bytes.len())
                .and_then(|()| stream.write_all(bytes))
                .and_then(|()| stream.write_all(b"\r\n")),
            false => stream.write_all(bytes),
        };
        result.expect("the gateway takes bytes");
        sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    };
    send(BEGIN.as_bytes());
    let mut left = size - (BEGIN.len() + END.len()) as u64;
    while left > 0 {
        let count = left.min(filling.len() as u64) as usize;
        send(&filling[..count]);
        left -= count as u64;
    }
    send(END.as_bytes());
    if chunked {
        stream.write_all(b"0\r\n\r\n").expect("the gateway takes bytes");
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("the gateway answers");
    assert_eq!(&answer, b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&answer));
}

fn uploads(program: &str, preset: &str) -> bool {
    let gateway = Gateway::start(program, preset);
    let before = gateway.memory("VmRSS");
    let (count, size) = UPLOADS;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| upload(gateway.address, size, false, &AtomicU64::new(0)));
        }
    });
    let peak = gateway.memory("VmHWM");
    let received = gateway.received.load(Ordering::Relaxed) / MIB;
    println!(
        "{count} uploads of {} MiB: {received} MiB received in {:?}; resident before {before} KiB, peak {peak} KiB",
        size / MIB,
        began.elapsed()
    );
    peak < LIMIT_KIB
}

fn long(program: &str, preset: &str) -> bool {
    let gateway = Gateway::start(program, preset);
    let (sent, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut samples, mut first) = (Vec::new(), None);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            upload(gateway.address, LONG, true, &sent);
            is_over.store(true, Ordering::SeqCst);
        });
        while !is_over.load(Ordering::SeqCst) {
            samples.push(gateway.memory("VmRSS"));
            if gateway.received.load(Ordering::Relaxed) > 0 {
                first.get_or_insert(sent.load(Ordering::Relaxed));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    });
    let first = first.unwrap_or(LONG);
    let settled = &samples[samples.len() / 10..];
    let (low, high) = (settled.iter().min().copied().unwrap_or(0), settled.iter().max().copied().unwrap_or(0));
    println!(
        "2 GiB in chunks in {:?}: the node had bytes when {} MiB were sent; resident {low} to {high} KiB over {} samples, \
         peak {} KiB",
        began.elapsed(),
        first / MIB,
        samples.len(),
        gateway.memory("VmHWM")
    );
    first < LONG / 10 && high - low < 4 * 1024 && high < LIMIT_KIB
}
