//! Who wants to hear what happens to which map.

use tokio::sync::mpsc::error::TrySendError;

use super::client::Listen;
use super::map::{Entry, Heard};
use super::request;
use super::uuid::Uuid;
use super::write::Request;

/// All listeners of a client.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<Listener>);

#[derive(Debug)]
struct Listener {
    listen: Listen,
    /// The call that asked for it on this connection.
    correlation: i64,
    /// Its number at the member, once that has answered.
    registration: Option<Uuid>,
    /// Something was not told, for want of room.
    has_missed: bool,
}

impl Listeners {
    /// A further one. What to ask the member for; `correlation` is the number of that call.
    pub(super) fn add(&mut self, listen: Listen, correlation: i64) -> Request {
        let request = request::listen(&listen.map);
        self.0.push(Listener { listen, correlation, registration: None, has_missed: false });
        request
    }

    /// The connection is new: all have to be asked for again, by calls with the numbers that `number` gives.
    pub(super) fn anew(&mut self, mut number: impl FnMut() -> i64) -> Vec<(i64, Request)> {
        self.0.retain(|listener| !listener.listen.events.is_closed());
        let ask = |listener: &mut Listener| {
            listener.correlation = number();
            listener.registration = None;
            (listener.correlation, request::listen(&listener.listen.map))
        };
        self.0.iter_mut().map(ask).collect()
    }

    /// The member has answered the call that asked for one.
    pub(super) fn registered(&mut self, correlation: i64, registration: Uuid) {
        if let Some(listener) = self.find(correlation) {
            listener.registration = Some(registration);
            listener.tell(Heard::Anew);
        }
    }

    /// Tells what happened. Before the member's answer nothing is told: whoever hears [`Heard::Anew`] then looks at the map.
    pub(super) fn tell(&mut self, correlation: i64, entry: Entry) {
        if let Some(listener) = self.find(correlation)
            && listener.registration.is_some()
        {
            listener.tell(Heard::Entry(entry));
        }
    }

    /// Tells who missed something, where there is room again, and forgets who listens no more: what to ask the member for.
    pub(super) fn sweep(&mut self) -> Vec<Request> {
        for listener in self.0.iter_mut().filter(|listener| listener.has_missed) {
            listener.make_up();
        }
        let gone = |listener: &mut Listener| listener.listen.events.is_closed() && listener.registration.is_some();
        let stop = |gone: Listener| Some(request::stop_listening(&gone.listen.map, gone.registration?));
        self.0.extract_if(.., gone).filter_map(stop).collect()
    }

    fn find(&mut self, correlation: i64) -> Option<&mut Listener> {
        self.0.iter_mut().find(|listener| listener.correlation == correlation)
    }
}

impl Listener {
    fn tell(&mut self, heard: Heard) {
        if self.has_missed && !self.make_up() {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.listen.events.try_send(heard) {
            self.has_missed = true;
        }
    }

    /// Says that something was missed. False if there is still no room.
    fn make_up(&mut self) -> bool {
        self.has_missed = matches!(self.listen.events.try_send(Heard::Anew), Err(TrySendError::Full(_)));
        !self.has_missed
    }
}
