//! The one place with effects: what a round of steps produced is made true in a fixed order. Durable first, then the
//! network, then the faces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kinfold_protocol::Client;
use kinfold_protocol::error::{Refusal, Why};
use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::persist::WriteBatch;
use kinfold_protocol::step::{Event, Outcome, Output, Transmit};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::control::ApiError;
use crate::control::lines::Notice;
use crate::net::{self, FromNet, GossipTicket, Multiaddr, NetCommand, NetConfig, NetHandle, Verdict};
use crate::store::{Store, StoreError};
use crate::tell;

/// Where an answer goes.
pub(crate) type ReplyTo = oneshot::Sender<Result<Value, ApiError>>;

/// What the steps of one round produced, not true yet.
#[derive(Default)]
pub(crate) struct Round {
    batch: WriteBatch,
    /// Whether the batch was made durable, and is empty since.
    durable: bool,
    transmits: Vec<Transmit>,
    verdicts: Vec<(NetId, GossipTicket, Verdict)>,
    events: Vec<Event>,
    replies: Vec<(ReplyTo, Result<Value, ApiError>)>,
}

impl Round {
    /// Takes a step's output; what became of its input is the caller's business.
    pub(crate) fn take(&mut self, output: Output) -> Outcome {
        self.batch.absorb(output.batch);
        self.transmits.extend(output.transmits);
        self.events.extend(output.events);
        output.outcome
    }

    /// Remembers to say what becomes of a gossiped message.
    pub(crate) fn judge(&mut self, net: NetId, ticket: GossipTicket, outcome: &Outcome) {
        self.verdicts.extend(verdict(outcome).map(|verdict| (net, ticket, verdict)));
    }

    /// Remembers an answer, to be given when what it says is durable.
    pub(crate) fn reply(&mut self, to: ReplyTo, answer: Result<Value, ApiError>) {
        self.replies.push((to, answer));
    }

    /// Step one: durable. On failure the answers are still to be given: see [`Round::fail`].
    pub(crate) fn persist(&mut self, store: &mut dyn Store, client: &mut Client) -> Result<(), StoreError> {
        if !self.batch.is_empty() {
            tracing::trace!(code = "before_durable");
            tokio::task::block_in_place(|| store.commit(&self.batch))?;
            self.batch = WriteBatch::default();
            self.durable = true;
        }
        client.durable();
        Ok(())
    }

    /// Whether something of it is durable.
    pub(crate) const fn is_durable(&self) -> bool {
        self.durable
    }

    /// Step two: the network. Step three: the faces. The answer is the events that the caller waits for.
    pub(crate) async fn publish(
        self,
        nets: &mut Nets,
        client: &Client,
        feed: &broadcast::Sender<Notice>,
    ) -> Vec<Event> {
        for transmit in self.transmits {
            nets.transmit(transmit).await;
            tracing::trace!(code = "after_transmit");
        }
        for (net, ticket, verdict) in self.verdicts {
            nets.command(net, NetCommand::Verdict { ticket, verdict }).await;
        }
        tell_all(&self.events, client, feed);
        answer(self.replies);
        self.events
    }

    /// Without networks nobody is sent anything: the client that runs with them again finds what was to be sent.
    pub(crate) fn keep_to_itself(&mut self) {
        self.transmits.clear();
        self.verdicts.clear();
    }

    /// The batch did not become durable: every answer is the error. Nothing of the round leaves the device.
    pub(crate) fn fail(self, error: &ApiError) {
        answer(self.replies.into_iter().map(|(to, _)| (to, Err(error.clone()))).collect());
    }

    /// The batch turned out to have survived: what was to be sent is found again by the protocol, but what has happened
    /// is told only now, and the answers stand. The answer is the events that the caller waits for.
    pub(crate) fn survive(self, client: &Client, feed: &broadcast::Sender<Notice>) -> Vec<Event> {
        tell_all(&self.events, client, feed);
        answer(self.replies);
        self.events
    }

    /// No step was made, so there are only answers.
    pub(crate) fn answer(self) {
        answer(self.replies);
    }
}

fn tell_all(events: &[Event], client: &Client, feed: &broadcast::Sender<Notice>) {
    for event in events {
        if let Some(notice) = tell::notice(client, event.clone()) {
            // Without a subscriber nobody is told.
            drop(feed.send(notice));
        }
    }
}

fn answer(replies: Vec<(ReplyTo, Result<Value, ApiError>)>) {
    for (to, answer) in replies {
        // Whoever asked may have gone.
        drop(to.send(answer));
    }
}

/// Starts a network: a real one, or in tests one that a test plays.
pub(crate) type StartNet =
    Box<dyn Fn(NetConfig, mpsc::Sender<FromNet>) -> Result<NetHandle, net::NetError> + Send + Sync>;

/// The running networks.
pub(crate) struct Nets {
    start: StartNet,
    listen: Vec<Multiaddr>,
    inbox: mpsc::Sender<FromNet>,
    links: Arc<AtomicU64>,
    running: BTreeMap<NetId, NetHandle>,
    homes: BTreeMap<LinkId, NetId>,
    /// Networks that could not start, with the reason; told once.
    failed: Option<(NetId, net::NetError)>,
}

impl Nets {
    /// None yet.
    pub(crate) fn new(listen: Vec<Multiaddr>, inbox: mpsc::Sender<FromNet>, start: StartNet) -> Self {
        let links = Arc::new(AtomicU64::new(1));
        Self { start, listen, inbox, links, running: BTreeMap::new(), homes: BTreeMap::new(), failed: None }
    }

    /// Which network a link belongs to.
    pub(crate) fn note_link(&mut self, net: NetId, link: LinkId) {
        self.homes.insert(link, net);
    }

    /// The link is gone.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.homes.remove(&link);
    }

    /// Why the last network could not start, once.
    pub(crate) const fn failure(&mut self) -> Option<(NetId, net::NetError)> {
        self.failed.take()
    }

    /// The networks that run.
    pub(crate) fn ids(&self) -> Vec<NetId> {
        self.running.keys().copied().collect()
    }

    async fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Admit { link } => self.on_link(link, NetCommand::Admit { link }).await,
            Transmit::Close { net } => self.close(net).await,
            Transmit::Dial { net, address } => self.command(net, NetCommand::Dial { address }).await,
            Transmit::Disconnect { link } => self.on_link(link, NetCommand::Disconnect { link }).await,
            Transmit::Frame { link, bytes } => self.on_link(link, NetCommand::Frame { link, bytes }).await,
            Transmit::Known { link } => self.on_link(link, NetCommand::Known { link }).await,
            Transmit::Open { net, port } => self.open(net, port),
            Transmit::PassOn { net, id } => self.command(net, NetCommand::PassOn { id }).await,
            Transmit::Publish { net, topic, bytes } => {
                self.command(net, NetCommand::Publish { topic, bytes }).await;
            }
            Transmit::Topics { net, topics } => self.command(net, NetCommand::Topics(topics)).await,
            Transmit::Withhold { link } => self.on_link(link, NetCommand::Withhold { link }).await,
        }
    }

    fn open(&mut self, net: NetId, port: Option<u16>) {
        let config = NetConfig { net, listen: self.listen.clone(), port, links: Arc::clone(&self.links) };
        match (self.start)(config, self.inbox.clone()) {
            Ok(handle) => {
                self.running.insert(net, handle);
            }
            Err(error) => {
                tracing::warn!(code = error.code(), "a network did not start");
                self.failed = Some((net, error));
            }
        }
    }

    async fn close(&mut self, net: NetId) {
        if let Some(handle) = self.running.remove(&net) {
            // A task that has ended is closed already.
            drop(handle.commands.send(NetCommand::Stop).await);
        }
    }

    /// Ends all networks without waiting: what they still say finds no client.
    pub(crate) async fn stop_all(&mut self) {
        for net in self.ids() {
            self.close(net).await;
        }
        self.homes.clear();
    }

    /// Ends all networks and waits for them; the caller drains the inbox meanwhile.
    pub(crate) async fn close_all(&mut self) {
        let running = std::mem::take(&mut self.running);
        for handle in running.values() {
            drop(handle.commands.send(NetCommand::Stop).await);
        }
        for handle in running.into_values() {
            drop(handle.task.await);
        }
        self.homes.clear();
    }

    async fn on_link(&self, link: LinkId, command: NetCommand) {
        if let Some(net) = self.homes.get(&link) {
            self.command(*net, command).await;
        }
    }

    async fn command(&self, net: NetId, command: NetCommand) {
        if let Some(handle) = self.running.get(&net) {
            // A network that has ended takes no commands; its links are gone with it.
            drop(handle.commands.send(command).await);
        }
    }
}

/// What becomes of a gossiped message elsewhere, after what became of it here; nothing yet if that is not known.
const fn verdict(outcome: &Outcome) -> Option<Verdict> {
    match outcome {
        Outcome::Applied(_) | Outcome::Parked(Why::Ahead) => Some(Verdict::Accept),
        // It may be nobody's. Whoever passes it on answers for it, and it can still be passed on once it is opened.
        Outcome::Parked(_) => None,
        // That there is no room here is not the relay's fault, nor that somebody has just come or gone.
        Outcome::Duplicate | Outcome::Refused(Refusal::OverBudget | Refusal::NoRoom | Refusal::NotAMember) => {
            Some(Verdict::Ignore)
        }
        Outcome::Refused(_) => Some(Verdict::Reject),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_would_have_to_try_in_vain_does_not_go_on_and_is_nobodys_fault() {
        for (outcome, expected) in [
            (Outcome::Parked(Why::Gap), None),
            (Outcome::Parked(Why::UnknownEpoch), None),
            (Outcome::Parked(Why::Own), None),
            (Outcome::Parked(Why::Rival), None),
            (Outcome::Parked(Why::NewerProtocol), None),
            (Outcome::Parked(Why::Ahead), Some(Verdict::Accept)),
            (Outcome::Refused(Refusal::OverBudget), Some(Verdict::Ignore)),
            (Outcome::Refused(Refusal::NoRoom), Some(Verdict::Ignore)),
            (Outcome::Refused(Refusal::NotAMember), Some(Verdict::Ignore)),
            (Outcome::Refused(Refusal::BadSeal), Some(Verdict::Reject)),
            (Outcome::Duplicate, Some(Verdict::Ignore)),
        ] {
            assert_eq!(verdict(&outcome), expected, "{outcome:?}");
        }
    }
}
