//! What others hold of a cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{CallError, ConnectError, ServerError};
use super::map::{Heard, Map};
use super::members::{Address, Members};
use super::options::Options;
use super::read::Malformed;
use super::task::Task;
use super::uuid::Uuid;
use super::wire::{MESSAGE_BYTES_MAX, Message};
use super::write::Request;

/// Calls that wait to be sent. Whoever comes later waits for a place, within its time.
const CALLS_MAX: usize = 1024;
/// The pause before a call that was not executed is asked again: partitions move within milliseconds, a member leaves within seconds.
const PASSING: Duration = Duration::from_millis(50);

/// A client of one cluster. Clones are the same client; with the last one its connection ends.
#[derive(Debug, Clone)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    calls: mpsc::Sender<Order>,
    listens: mpsc::UnboundedSender<Listen>,
    state: watch::Receiver<State>,
    members: watch::Receiver<Arc<Members>>,
    budget: Duration,
    /// Dropped with the client, which ends the task.
    _lives: oneshot::Sender<()>,
}

/// How it stands with the connection.
#[derive(Debug, Clone)]
pub enum State {
    /// There is none.
    Away {
        /// Rounds over all members that have failed since there was one.
        rounds: u32,
        /// What went wrong last; none before the first attempt has ended.
        why: Option<ConnectError>,
    },
    /// There is one.
    Connected {
        /// The member's address, as we reach it.
        member: Address,
        /// Its version.
        version: String,
        /// The cluster's id.
        cluster: Option<Uuid>,
    },
}

/// A call for the task.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) request: Arc<Request>,
    pub(super) answer: oneshot::Sender<Result<Message, Broken>>,
}

/// A listener for the task.
#[derive(Debug)]
pub(super) struct Listen {
    pub(super) map: String,
    pub(super) events: mpsc::Sender<Heard>,
}

/// Why the task has no answer for a call.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection was lost when it had been sent, at least in part.
    Lost,
    /// The member says that it failed.
    Member(ServerError),
    /// What the member says cannot be read.
    Malformed(Malformed),
}

impl Client {
    /// Begins to connect, in the tokio runtime that this is called in. Calls may be made at once, and from any runtime.
    pub fn start(options: Options) -> Self {
        let (calls, ordered) = mpsc::channel(CALLS_MAX);
        let (listens, listened) = mpsc::unbounded_channel();
        let (state, state_seen) = watch::channel(State::Away { rounds: 0, why: None });
        let (members, members_seen) = watch::channel(Arc::default());
        let (lives, ended) = oneshot::channel();
        let budget = options.call;
        let task = Task::new(options, ordered, listened, state, members);
        tokio::spawn(async move {
            tokio::select! {
                _ = ended => {}
                () = task.run() => {}
            }
        });
        Self(Arc::new(Shared { calls, listens, state: state_seen, members: members_seen, budget, _lives: lives }))
    }

    /// A map of the cluster.
    pub fn map(&self, name: impl Into<String>) -> Map {
        Map::new(self.clone(), name.into())
    }

    /// How it stands with the connection, and how that changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.0.state.clone()
    }

    /// Who is in the cluster, and how that changes. While there is no connection: who was in it last.
    pub fn members(&self) -> watch::Receiver<Arc<Members>> {
        self.0.members.clone()
    }

    pub(super) fn listen(&self, map: String, events: mpsc::Sender<Heard>) {
        // Where the task has ended, the listener's channel closes, which is what there is to hear.
        let _ = self.0.listens.send(Listen { map, events });
    }

    /// Makes a call and reads its answer.
    pub(super) async fn ask<T>(
        &self,
        request: Request,
        read: impl Fn(&Message) -> Result<T, Malformed>,
    ) -> Result<T, CallError> {
        let call = request.name();
        let bytes = request.bytes();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(CallError::TooLarge { call, bytes });
        }
        let message = self.call(Arc::new(request)).await?;
        read(&message).map_err(|error| CallError::Malformed { call, error })
    }

    async fn call(&self, request: Arc<Request>) -> Result<Message, CallError> {
        let (call, after) = (request.name(), self.0.budget);
        let deadline = Instant::now() + after;
        let mut passing = None;
        let asked = timeout_at(deadline, self.ask_until(&request, &mut passing)).await;
        asked.unwrap_or_else(|_| match (passing, &*self.0.state.borrow()) {
            (Some(error), _) => Err(CallError::Member { call, error }),
            (None, State::Away { why, .. }) => Err(CallError::Away { call, after, why: why.clone() }),
            (None, State::Connected { .. }) => Err(CallError::Late { call, after }),
        })
    }

    /// Asks until there is an answer. `passing`: what a member said when it did not execute it.
    async fn ask_until(&self, request: &Arc<Request>, passing: &mut Option<ServerError>) -> Result<Message, CallError> {
        let call = request.name();
        loop {
            let (answer, answered) = oneshot::channel();
            let order = Order { request: Arc::clone(request), answer };
            self.0.calls.send(order).await.map_err(|_| CallError::Ended { call })?;
            match answered.await {
                Ok(Ok(message)) => return Ok(message),
                Ok(Err(Broken::Member(error))) if error.is_passing() => {
                    *passing = Some(error);
                    sleep(PASSING).await;
                }
                Ok(Err(Broken::Member(error))) => return Err(CallError::Member { call, error }),
                Ok(Err(Broken::Malformed(error))) => return Err(CallError::Malformed { call, error }),
                Ok(Err(Broken::Lost)) if request.is_repeatable() => {}
                Ok(Err(Broken::Lost)) => return Err(CallError::Lost { call }),
                Err(_) => return Err(CallError::Ended { call }),
            }
        }
    }
}
