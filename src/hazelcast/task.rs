//! The task of a client: connects, serves, and connects anew.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::client::{Listen, Order, State};
use super::connect::{Connection, candidates, connect, pause};
use super::error::ConnectError;
use super::listeners::Listeners;
use super::members::{Address, Members};
use super::options::Options;
use super::session::Session;
use super::uuid::Uuid;

/// All that outlives a connection.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) options: Options,
    pub(super) calls: mpsc::Receiver<Order>,
    pub(super) listens: mpsc::UnboundedReceiver<Listen>,
    pub(super) listeners: Listeners,
    /// Our id for the members: the same on each connection.
    client: Uuid,
    state: watch::Sender<State>,
    members: watch::Sender<Arc<Members>>,
    /// The member of the last connection.
    lost: Option<Address>,
    /// Rounds over all members that have failed in a row; a connection on which nothing was answered counts as well.
    rounds: u32,
}

impl Task {
    pub(super) fn new(
        options: Options,
        calls: mpsc::Receiver<Order>,
        listens: mpsc::UnboundedReceiver<Listen>,
        state: watch::Sender<State>,
        members: watch::Sender<Arc<Members>>,
    ) -> Self {
        let mut random = [0; 16];
        // Without randomness all clients would have one id; members tell them apart by their connections as well.
        let _ = getrandom::fill(&mut random);
        let client = Uuid(u128::from_ne_bytes(random));
        let listeners = Listeners::default();
        Self { options, calls, listens, listeners, client, state, members, lost: None, rounds: 0 }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let connection = self.connect().await;
            let member = connection.member.clone();
            self.state.send_replace(State::Connected {
                member: member.clone(),
                version: connection.welcome.version.clone(),
                cluster: connection.welcome.cluster,
            });
            let mut session = Session::new(&mut self, connection);
            let why = session.serve().await;
            let was_useful = session.end();
            self.rounds = if was_useful { 0 } else { self.rounds + 1 };
            self.lost = Some(member);
            self.state.send_replace(State::Away { rounds: self.rounds, why: Some(why) });
        }
    }

    /// A connection to any member, as soon as there is one.
    async fn connect(&mut self) -> Connection {
        loop {
            if self.rounds > 0 {
                sleep(pause(self.rounds, self.options.pause_max)).await;
            }
            let known: Vec<Address> = self.members.borrow().list.iter().map(|member| member.address.clone()).collect();
            let turn = (self.client.0 % 1024) as usize;
            for member in candidates(&known, &self.options.members, self.lost.as_ref(), turn) {
                match connect(&self.options, self.client, &member).await {
                    Ok(connection) => return connection,
                    Err(why) => self.failed(why),
                }
            }
            self.rounds = self.rounds.saturating_add(1);
        }
    }

    fn failed(&self, why: ConnectError) {
        self.state.send_replace(State::Away { rounds: self.rounds, why: Some(why) });
    }

    /// Who is in the cluster. Nobody cannot be, and is taken for nothing.
    pub(super) fn learn(&self, members: Members) {
        if !members.list.is_empty() {
            self.members.send_if_modified(|known| {
                let is_new = **known != members;
                if is_new {
                    *known = Arc::new(members);
                }
                is_new
            });
        }
    }
}
