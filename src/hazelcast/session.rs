//! A connection in use: calls, events, heartbeats.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::answer::{self, Event};
use super::client::{Broken, Listen, Order};
use super::connect::{Connection, Stream};
use super::error::ConnectError;
use super::members::Address;
use super::read::Malformed;
use super::request;
use super::task::Task;
use super::wire::{Decoder, Message};
use super::write::Request;

/// Bytes that may wait to be sent before no further call is taken.
const OUT_BYTES_MAX: usize = 4 << 20;
/// Calls that may wait for their answers before no further one is taken.
const PENDING_MAX: usize = 65_536;

/// A connection in use.
pub(super) struct Session<'a> {
    task: &'a mut Task,
    member: Address,
    partitions: i32,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    decoder: Decoder,
    out: BytesMut,
    is_flushed: bool,
    pending: HashMap<i64, Pending>,
    /// The number of the next call; that of the authentication was 1.
    next: i64,
    /// Heartbeats since something was received.
    quiet: u32,
    is_pinged: bool,
    was_useful: bool,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Pending {
    Call(oneshot::Sender<Result<Message, Broken>>),
    Ping,
    Listener,
    /// Only whether it went wrong.
    Nobody,
}

/// How far sending has come.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// The stream takes nothing any more.
    Nothing,
    Some,
    All,
}

/// Sends what the stream takes, or flushes it when it has all. Has done nothing when it is given up before its end.
async fn send_on(writer: &mut WriteHalf<Box<dyn Stream>>, out: &mut BytesMut) -> io::Result<Sent> {
    if out.is_empty() {
        return writer.flush().await.map(|()| Sent::All);
    }
    let written = writer.write_buf(out).await?;
    Ok(if written == 0 { Sent::Nothing } else { Sent::Some })
}

impl<'a> Session<'a> {
    /// Asks for what every connection needs: the members, and all that is listened to.
    pub(super) fn new(task: &'a mut Task, connection: Connection) -> Self {
        let (reader, writer) = split(connection.stream);
        let mut session = Self {
            task,
            member: connection.member,
            partitions: connection.welcome.partitions,
            reader,
            writer,
            decoder: connection.decoder,
            out: BytesMut::new(),
            is_flushed: true,
            pending: HashMap::new(),
            next: 2,
            quiet: 0,
            is_pinged: false,
            was_useful: false,
        };
        session.ask(&request::cluster_view(), Pending::Nobody);
        let next = &mut session.next;
        let number = || {
            *next += 1;
            *next - 1
        };
        for (correlation, request) in session.task.listeners.anew(number) {
            session.send(correlation, &request, Pending::Listener);
        }
        session
    }

    /// Serves until the connection is lost: why.
    pub(super) async fn serve(&mut self) -> ConnectError {
        let heartbeat = self.task.options.heartbeat;
        let mut tick = interval_at(Instant::now() + heartbeat, heartbeat);
        // After a stop of this process there shall be time to read what has come meanwhile.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(why) = self.read() {
                return why;
            }
            let has_room = self.out.len() < OUT_BYTES_MAX && self.pending.len() < PENDING_MAX;
            let has_more = !self.out.is_empty() || !self.is_flushed;
            let done = tokio::select! {
                read = self.reader.read_buf(self.decoder.buffer()) => self.received(read),
                sent = send_on(&mut self.writer, &mut self.out), if has_more => self.sent(sent),
                Some(order) = self.task.calls.recv(), if has_room => {
                    self.call(order);
                    Ok(())
                }
                Some(listen) = self.task.listens.recv(), if has_room => {
                    self.listen(listen);
                    Ok(())
                }
                _ = tick.tick() => self.beat(),
            };
            if let Err(why) = done {
                return why;
            }
        }
    }

    /// Tells all who wait that there will be no answer. Whether anything was ever answered.
    pub(super) fn end(mut self) -> bool {
        for (_, pending) in self.pending.drain() {
            if let Pending::Call(answer) = pending {
                // Who gave up waiting does not hear it.
                let _ = answer.send(Err(Broken::Lost));
            }
        }
        self.was_useful
    }

    fn received(&mut self, read: io::Result<usize>) -> Result<(), ConnectError> {
        self.quiet = 0;
        match read {
            Ok(0) => Err(ConnectError::Closed { member: self.member.clone() }),
            Ok(_) => Ok(()),
            Err(error) => Err(self.io(error)),
        }
    }

    fn sent(&mut self, sent: io::Result<Sent>) -> Result<(), ConnectError> {
        let sent = sent.map_err(|error| self.io(error))?;
        self.is_flushed = sent == Sent::All;
        if sent == Sent::Nothing { Err(ConnectError::Closed { member: self.member.clone() }) } else { Ok(()) }
    }

    fn io(&self, error: io::Error) -> ConnectError {
        ConnectError::Io { member: self.member.clone(), source: Arc::new(error) }
    }

    fn call(&mut self, order: Order) {
        // Who gave up while it waited to be sent does not want it sent.
        if !order.answer.is_closed() {
            self.ask(&order.request, Pending::Call(order.answer));
        }
    }

    fn listen(&mut self, listen: Listen) {
        let request = self.task.listeners.add(listen, self.next);
        self.ask(&request, Pending::Listener);
    }

    fn ask(&mut self, request: &Request, pending: Pending) {
        let correlation = self.next;
        self.next += 1;
        self.send(correlation, request, pending);
    }

    fn send(&mut self, correlation: i64, request: &Request, pending: Pending) {
        self.pending.insert(correlation, pending);
        request.send(correlation, self.partitions, &mut self.out);
    }

    /// Once a heartbeat: is the member alive, and who has gone?
    fn beat(&mut self) -> Result<(), ConnectError> {
        self.quiet += 1;
        let quiet = self.task.options.heartbeat.saturating_mul(self.quiet);
        if quiet > self.task.options.silence {
            return Err(ConnectError::Silent { member: self.member.clone(), after: self.task.options.silence });
        }
        if !self.is_pinged {
            self.is_pinged = true;
            self.ask(&request::ping(), Pending::Ping);
        }
        self.pending.retain(|_, pending| !matches!(pending, Pending::Call(answer) if answer.is_closed()));
        for request in self.task.listeners.sweep() {
            self.ask(&request, Pending::Nobody);
        }
        Ok(())
    }

    /// Takes every message that has come whole.
    fn read(&mut self) -> Result<(), ConnectError> {
        let wire = |error, member: &Address| ConnectError::Wire { member: member.clone(), error };
        while let Some(message) = self.decoder.take().map_err(|error| wire(error, &self.member))? {
            if message.is_event() {
                self.event(&message)?;
            } else {
                self.answer(message)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, message: &Message) -> Result<(), ConnectError> {
        match answer::event(message).map_err(|error| self.malformed(message, error))? {
            Event::Members(members) => self.task.learn(members),
            Event::Entry(entry) => self.task.listeners.tell(message.correlation(), entry),
            Event::Other => {}
        }
        Ok(())
    }

    fn answer(&mut self, message: Message) -> Result<(), ConnectError> {
        let correlation = message.correlation();
        // Who gave up waiting is no longer there.
        let Some(pending) = self.pending.remove(&correlation) else { return Ok(()) };
        if answer::is_error(&message) {
            return self.failed(pending, &message);
        }
        match pending {
            Pending::Call(answer) => {
                self.was_useful = true;
                let _ = answer.send(Ok(message));
            }
            Pending::Ping => {
                self.was_useful = true;
                self.is_pinged = false;
            }
            Pending::Listener => {
                let registration = answer::registration(&message).map_err(|error| self.malformed(&message, error))?;
                self.task.listeners.registered(correlation, registration);
            }
            Pending::Nobody => {}
        }
        Ok(())
    }

    /// A call has failed. Without heartbeats, members and what is listened to the connection is of no use; neither is it
    /// when the member is on its way out.
    fn failed(&mut self, pending: Pending, message: &Message) -> Result<(), ConnectError> {
        let error = match answer::error(message) {
            Ok(error) => error,
            Err(error) => {
                let why = self.malformed(message, error);
                if let Pending::Call(answer) = pending {
                    let _ = answer.send(Err(Broken::Malformed(error)));
                }
                return Err(why);
            }
        };
        let is_call = matches!(pending, Pending::Call(_));
        let ends = !is_call || error.is_farewell();
        if let Pending::Call(answer) = pending {
            self.was_useful |= !ends;
            let _ = answer.send(Err(Broken::Member(error.clone())));
        }
        if ends { Err(ConnectError::Member { member: self.member.clone(), error }) } else { Ok(()) }
    }

    fn malformed(&self, message: &Message, error: Malformed) -> ConnectError {
        ConnectError::Malformed { member: self.member.clone(), kind: message.kind(), error }
    }
}
