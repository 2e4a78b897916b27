//! In line for a place at a node, or for a turn in a conversation: bounded in number and time, and left when the client
//! goes away.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::client::Client;
use super::deadline::Deadline;
use super::log::Told;
use super::pool::ConnectError;
use super::reply::Failure;
use super::worker::Worker;
use crate::affinity::{Ask, Code, Held, Refusal, Turn};
use crate::config::model::Limits;
use crate::gateway::Upstream;
use crate::upstream::{InLine, NodeId, OpenConnection, Pick, Rank};

/// Between two looks for a request that has to make way.
const LOOK: Duration = Duration::from_millis(200);

/// What one request has got by waiting, and until when it may wait.
#[derive(Debug, Default)]
pub struct Patience {
    /// What it has got.
    pub held: Held,
    until: Cell<Option<Instant>>,
}

/// What is waited for.
enum Line {
    Place(InLine),
    Turn(Turn),
}

/// How waiting ended.
enum Ended {
    Got,
    ClientGone,
    TooLate,
}

impl Patience {
    /// Waits for what the refusal says is lacking; then it is time to ask again.
    ///
    /// # Errors
    /// Nothing can be waited for, the line is full, the wait is over, or the client has gone.
    #[allow(clippy::too_many_arguments)]
    pub async fn wait<C: Client>(
        &self,
        worker: &Worker,
        upstream: &Upstream,
        client: &mut C,
        ask: &Ask<'_>,
        refusal: Refusal,
        deadline: &mut Deadline,
        told: &mut Told,
    ) -> Result<(), Failure> {
        let limits = &upstream.config.limits;
        told.code = refusal.code();
        let line = match refusal {
            Refusal::Busy { node } => InLine::for_request(ask.nodes.get(node), Rank::Pinned, limits.queue),
            Refusal::AllBusy => {
                let pick = Pick { exclude: ask.tried, now_ms: ask.now.0, ..Pick::default() };
                InLine::for_request(ask.nodes.eligible(&pick), Rank::New, limits.queue)
            }
            Refusal::InUse => {
                // Others can use the place meanwhile.
                self.held.set_place(None);
                match worker.gateway.affinity.wait_for_turn(ask, limits.queue) {
                    Some(Some(turn)) => {
                        return self.stand(worker, Line::Turn(turn), limits, client, deadline, told).await;
                    }
                    Some(None) => return Ok(()),
                    None => None,
                }
            }
            _ => None,
        };
        match line {
            Some(waiting) => self.stand(worker, Line::Place(waiting), limits, client, deadline, told).await,
            None => Err(refusal.into()),
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn stand<C: Client>(
        &self,
        worker: &Worker,
        mut line: Line,
        limits: &Limits,
        client: &mut C,
        deadline: &mut Deadline,
        told: &mut Told,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let until = self.until.get().unwrap_or(began + limits.queue_timeout);
        self.until.set(Some(until));
        line.clear_the_way(worker, limits);
        let next = |now: Instant| until.min(now + LOOK).saturating_duration_since(now);
        deadline.set_from(began, next(began));
        let ended = poll_fn(|cx| {
            if line.poll(cx, &self.held).is_ready() {
                return Poll::Ready(Ended::Got);
            }
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Ended::ClientGone);
            }
            while deadline.poll(cx).is_ready() {
                let now = Instant::now();
                if now >= until {
                    return Poll::Ready(Ended::TooLate);
                }
                line.clear_the_way(worker, limits);
                deadline.set_from(now, next(now));
            }
            Poll::Pending
        })
        .await;
        told.queued = Some(told.queued.unwrap_or_default() + began.elapsed());
        if let (Ended::Got, Line::Turn(turn)) = (&ended, line) {
            self.held.set_turn(Some(turn));
        }
        match ended {
            Ended::Got => Ok(()),
            Ended::ClientGone => {
                told.code = Code::Waited;
                Err(Failure::ClientGone)
            }
            Ended::TooLate => {
                told.code = Code::Waited;
                Err(Failure::Waited)
            }
        }
    }
}

impl Line {
    /// A place that is held only because its client is slow is for those who wait.
    fn clear_the_way(&self, worker: &Worker, limits: &Limits) {
        if let (Self::Place(waiting), Some(time)) = (self, limits.make_way) {
            waiting.clear_the_way(worker.gateway.now().0.saturating_sub(time.as_millis() as u64));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, held: &Held) -> Poll<()> {
        match self {
            Self::Place(waiting) => waiting.poll_request(cx).map(|place| held.set_place(place)),
            Self::Turn(turn) => turn.poll(cx),
        }
    }
}

/// Leave to open a connection to the node. Where idle ones use up its limit, whoever keeps one is asked to give it up.
///
/// # Errors
/// There is no leave within `limit`.
pub async fn open(
    worker: &Worker,
    upstream: &Upstream,
    node: NodeId,
    limit: Duration,
) -> Result<OpenConnection, ConnectError> {
    let known = upstream.nodes.get(node).ok_or(ConnectError::Unknown)?;
    if let Some(open) = known.live.try_open(known.limits.connections) {
        return Ok(open);
    }
    let mut waiting = InLine::for_connection(&known.live, known.limits.connections);
    worker.ask_for_connection(node);
    let got = timeout(limit, poll_fn(|cx| waiting.poll_connection(cx))).await;
    got.ok().flatten().ok_or(ConnectError::Limit)
}
