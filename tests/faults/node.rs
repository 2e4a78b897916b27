//! A node: a process that keeps sessions in memory and does what the path of a request tells it to do wrong.
//!
//! `POST /app/CONVERSATION/REQUEST/HOW` with an envelope: a header `t:Session` names a session that the node issued, `t:Id`
//! one that the client made up, neither begins one. It ends when its standard input does, so that it never outlives who
//! started it.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use socket2::SockRef;

use crate::ledger::{Done, Ledger, Made};
use crate::wire::{Head, Wire, between, envelope};

/// How a node is set up.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long)]
    pub ledger: PathBuf,
    /// Connections served at a time; others wait, accepted or not.
    #[arg(long, default_value_t = 10_000)]
    pub threads: usize,
    /// Milliseconds that each request takes.
    #[arg(long, default_value_t = 0)]
    pub delay: u64,
    /// Milliseconds after which an idle connection is closed.
    #[arg(long)]
    pub idle: Option<u64>,
}

struct Node {
    args: Args,
    ledger: Ledger,
    sessions: Mutex<HashMap<String, u64>>,
    issued: AtomicU64,
    serving: Mutex<usize>,
    freed: Condvar,
}

pub fn run(args: Args) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind(args.listen)?;
    let node = Arc::new(Node {
        ledger: Ledger::open(&args.ledger)?,
        args,
        sessions: Mutex::default(),
        issued: AtomicU64::new(0),
        serving: Mutex::new(0),
        freed: Condvar::new(),
    });
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let node = Arc::clone(&node);
        let mut serving = node.serving.lock().expect("nobody panics holding it");
        while *serving >= node.args.threads {
            serving = node.freed.wait(serving).expect("nobody panics holding it");
        }
        *serving += 1;
        drop(serving);
        std::thread::spawn(move || {
            let _ = node.serve(stream);
            *node.serving.lock().expect("nobody panics holding it") -= 1;
            node.freed.notify_one();
        });
    }
    Ok(())
}

/// What is left of a connection after an exchange.
enum After {
    GoesOn,
    Ends,
}

impl Node {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut wire = Wire::new(stream);
        wire.stream.set_read_timeout(self.args.idle.map(Duration::from_millis))?;
        while let Some(head) = wire.head()? {
            let body = wire.body(&head)?;
            if matches!(self.exchange(&mut wire, &head, &body)?, After::Ends) {
                break;
            }
        }
        Ok(())
    }

    fn exchange(&self, wire: &mut Wire, head: &Head, body: &str) -> io::Result<After> {
        let path = head.start.split(' ').nth(1).unwrap_or_default();
        let mut words = path.trim_start_matches("/app/").split('/');
        let conversation = words.next().and_then(|word| word.parse().ok());
        let request = words.next().and_then(|word| word.parse().ok());
        let (Some(conversation), Some(request)) = (conversation, request) else {
            wire.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(After::GoesOn);
        };
        let how = words.next().unwrap_or("ok");
        let (made, issued, count) = self.execute(body);
        self.ledger.enter(&Done { node: self.args.name.clone(), conversation, request, made })?;
        std::thread::sleep(Duration::from_millis(self.args.delay));
        let answer = self.answer(made, issued, count, conversation, request);
        let half = answer.len() - 40;
        match how.split_once('-').unwrap_or((how, "")) {
            ("slow", millis) => {
                std::thread::sleep(Duration::from_millis(millis.parse().unwrap_or(0)));
                wire.send(answer.as_bytes())?;
            }
            ("die", _) => std::process::exit(9),
            ("garbage", _) => {
                wire.send(b"\x00\x01SSH-2.0-not the server you were looking for\r\n\r\n")?;
                return Ok(After::Ends);
            }
            ("close", "early") => return Ok(After::Ends),
            ("close", "head") => {
                wire.send(&answer.as_bytes()[..20])?;
                return Ok(After::Ends);
            }
            ("close", _) => {
                wire.send(&answer.as_bytes()[..half])?;
                return Ok(After::Ends);
            }
            ("reset", when) => {
                if when == "mid" {
                    wire.send(&answer.as_bytes()[..half])?;
                }
                SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO))?;
                return Ok(After::Ends);
            }
            ("extra", _) => {
                let false_one = answer.replace(" 200 ", " 299 ");
                wire.send(format!("{answer}{false_one}").as_bytes())?;
            }
            _ => wire.send(answer.as_bytes())?,
        }
        Ok(After::GoesOn)
    }

    /// What the request comes to, the id of a session begun, and how many requests its session has seen.
    fn execute(&self, body: &str) -> (Made, Option<String>, u64) {
        let mut sessions = self.sessions.lock().expect("nobody panics holding it");
        if let Some(id) = between(body, "<t:Session>", "</t:Session>") {
            return match sessions.get_mut(id) {
                Some(count) => {
                    *count += 1;
                    (Made::Continued, None, *count)
                }
                None => (Made::Refused, None, 0),
            };
        }
        if let Some(id) = between(body, "<t:Id>", "</t:Id>") {
            let count = sessions.entry(id.to_owned()).or_default();
            *count += 1;
            return (if *count == 1 { Made::Began } else { Made::Continued }, None, *count);
        }
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}.{}.{number}", self.args.name, std::process::id());
        sessions.insert(id.clone(), 1);
        (Made::Began, Some(id), 1)
    }

    fn answer(&self, made: Made, issued: Option<String>, count: u64, conversation: u64, request: u32) -> String {
        let node = &self.args.name;
        let header = issued.map(|id| format!("<t:Session>{id}</t:Session>")).unwrap_or_default();
        let (status, body) = match made {
            Made::Refused => (
                "500 Internal Server Error",
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>unknown session</faultstring></s:Fault>"
                    .to_owned(),
            ),
            _ => ("200 OK", format!("<t:Done of=\"{conversation}/{request}\" node=\"{node}\" count=\"{count}\"/>")),
        };
        let body = envelope(&header, &body);
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nX-Node: {node}\r\n");
        // Half of the answers in one way, half in the other.
        if request.is_multiple_of(2) {
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
        } else {
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        }
    }
}
