//! A client: conversations one after another, one request after another, and a note of what it was told.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::verdict::{Outcome, Told};
use crate::wire::{Wire, between, envelope};

/// Far longer than any answer may take here; who waits longer has got none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before the next try where a request was refused or got no answer.
const PAUSE: Duration = Duration::from_millis(20);

/// One client.
pub struct Client {
    number: u64,
    gateway: SocketAddr,
    wire: Option<Wire>,
    conversations: u64,
    /// The conversation of the moment.
    conversation: u64,
    request: u32,
    /// The header that leads to its session.
    session: Session,
    pub told: Vec<Told>,
}

enum Session {
    /// The next answer brings an id.
    None,
    /// The node issued it.
    Issued(String),
    /// The client made it up.
    Own(String),
}

impl Client {
    pub fn new(number: u64, gateway: SocketAddr) -> Self {
        let mut client = Self {
            number,
            gateway,
            wire: None,
            conversations: 0,
            conversation: 0,
            request: 0,
            session: Session::None,
            told: Vec::new(),
        };
        client.begin();
        client
    }

    /// Begins another conversation: every second one with an id of the client's own.
    pub fn begin(&mut self) {
        self.conversation = self.number * 1_000_000 + self.conversations;
        self.conversations += 1;
        self.request = 0;
        self.session = match self.conversations % 2 {
            0 => Session::Own(format!("own.{}", self.conversation)),
            _ => Session::None,
        };
    }

    /// How many requests the conversation has seen.
    pub fn length(&self) -> u32 {
        self.request
    }

    /// Sends the next request, and two at once where a client's own id is used for the first time. Returns whether it went
    /// well.
    pub fn step(&mut self, how: &str) -> bool {
        if self.request == 0 && matches!(self.session, Session::Own(_)) && how == "ok" {
            return self.first_two();
        }
        let began = Instant::now();
        let (request, bytes) = self.next(how);
        let result = self.exchange(&bytes);
        self.note(request, how, result, began)
    }

    /// Two first requests in parallel: they must reach one node.
    fn first_two(&mut self) -> bool {
        let began = Instant::now();
        let two = [self.next("ok"), self.next("ok")];
        let wires = [self.connection(), connect(self.gateway)];
        let send = |(wire, (_, bytes)): (io::Result<Wire>, &(u32, String))| -> io::Result<Wire> {
            let mut wire = wire?;
            wire.send(bytes.as_bytes())?;
            Ok(wire)
        };
        let sent: Vec<io::Result<Wire>> = wires.into_iter().zip(&two).map(send).collect();
        let conversation = self.conversation;
        let mut well = true;
        for (wire, (request, _)) in sent.into_iter().zip(two) {
            let result = wire.map_err(Missing::from).and_then(|mut wire| {
                let answer = receive(&mut wire)?;
                if answer.goes_on {
                    self.wire = Some(wire);
                }
                Ok(answer)
            });
            // The first of them may have ended the conversation.
            let next = std::mem::replace(&mut self.conversation, conversation);
            well &= self.note(request, "ok", result, began);
            if next != conversation {
                self.conversation = next;
            }
        }
        well
    }

    fn next(&mut self, how: &str) -> (u32, String) {
        let request = self.request;
        self.request += 1;
        let header = match &self.session {
            Session::None => String::new(),
            Session::Issued(id) => format!("<t:Session>{id}</t:Session>"),
            Session::Own(id) => format!("<t:Id>{id}</t:Id>"),
        };
        let body = envelope(&header, "<t:Do/>");
        let bytes = format!(
            "POST /app/{}/{request}/{how} HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
            self.conversation,
            body.len()
        );
        (request, bytes)
    }

    /// The connection kept, if the gateway has not closed it, or another.
    fn connection(&mut self) -> io::Result<Wire> {
        if let Some(wire) = self.wire.take() {
            wire.stream.set_nonblocking(true)?;
            let is_quiet =
                matches!(wire.stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            wire.stream.set_nonblocking(false)?;
            if is_quiet {
                return Ok(wire);
            }
        }
        connect(self.gateway)
    }

    fn exchange(&mut self, bytes: &str) -> Result<Answer, Missing> {
        let mut wire = self.connection()?;
        wire.send(bytes.as_bytes())?;
        let answer = receive(&mut wire)?;
        if answer.goes_on {
            self.wire = Some(wire);
        }
        Ok(answer)
    }

    /// Writes down how it ended, and draws the conclusions that a client would.
    fn note(&mut self, request: u32, how: &str, result: Result<Answer, Missing>, began: Instant) -> bool {
        let outcome = match result {
            Ok(answer) => self.understand(request, &answer),
            Err(Missing::Cut) => Outcome::Cut,
            Err(Missing::All(why)) => Outcome::Nothing { why },
        };
        let well = matches!(outcome, Outcome::Answered);
        let is_over = match &outcome {
            Outcome::Stranger => true,
            Outcome::Fault { code } => code == "SessionLost",
            _ => false,
        };
        let conversation = self.conversation;
        self.told.push(Told { conversation, request, how: how.to_owned(), outcome, took: began.elapsed() });
        if !well {
            std::thread::sleep(PAUSE);
            // An id that never came cannot be asked for again: what it belongs to is a session of its own.
            if is_over || matches!(self.session, Session::None) {
                self.begin();
            }
        }
        well
    }

    fn understand(&mut self, request: u32, answer: &Answer) -> Outcome {
        let text = &answer.text;
        if let Some(of) = between(text, "<t:Done of=\"", "\"") {
            if answer.status != 200 || of != format!("{}/{request}", self.conversation) {
                return Outcome::Wrong;
            }
            if let Some(id) = between(text, "<t:Session>", "</t:Session>") {
                self.session = Session::Issued(id.to_owned());
            }
            return Outcome::Answered;
        }
        if text.contains("unknown session") {
            return Outcome::Stranger;
        }
        let code = between(text, "<faultcode", "</faultcode>").and_then(|code| code.rsplit(':').next());
        Outcome::Fault { code: code.unwrap_or("-").to_owned() }
    }
}

struct Answer {
    status: u16,
    text: String,
    goes_on: bool,
}

/// What is missing of an answer.
enum Missing {
    All(String),
    Cut,
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::All(error.to_string())
    }
}

fn connect(gateway: SocketAddr) -> io::Result<Wire> {
    let wire = Wire::new(TcpStream::connect_timeout(&gateway, PATIENCE)?);
    wire.patience(PATIENCE)?;
    Ok(wire)
}

fn receive(wire: &mut Wire) -> Result<Answer, Missing> {
    let head = wire.head()?.ok_or_else(|| Missing::All("closed".to_owned()))?;
    let text = wire.body(&head).map_err(|_| Missing::Cut)?;
    let goes_on = head.field("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
    Ok(Answer { status: head.status(), text, goes_on })
}
