//! The core task: it owns the client and the store, takes what comes in rounds, and has each round executed.

mod open;
mod unlock;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kinfold_protocol::id::NetId;
use kinfold_protocol::step::{Command, Event, Input};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::open::{Open, OpenStore};
use crate::answer::{Answer, Desk, answer_locked, json};
use crate::clock;
use crate::control::lines::Notice;
use crate::control::socket::Socket;
use crate::control::{ApiError, Call, NodeError, Request, rows};
use crate::execute::{Nets, ReplyTo, Round};
use crate::net::{self, FromNet};
use crate::paths::DataDir;
use crate::setup::check_set_up;
use crate::store::{OpenReport, SealedStore, Store};

/// Inputs of the networks that wait for the core: a few frames of each of many links.
const INBOX_MAX: usize = 512;
/// Requests of faces that wait: more than a person and a script together ever have under way.
const CALLS_MAX: usize = 64;
/// Notices a subscriber may be behind before it is told that it missed some: receipts for ten seconds of what a program
/// said, 500 a second, come at once.
const FEED_MAX: usize = 4_096;
/// Inputs of one round: one durable write for all of them.
const ROUND_MAX: usize = 64;
/// The longest sleep: a wall clock that was set is noticed within it.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// How long a face waits for a join whose inviter cannot be reached. The join itself goes on.
const JOIN_PATIENCE: Duration = Duration::from_secs(120);
/// How long the faces are not told that the node is ready while a network has yet to listen.
const READY_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer waits for a store that failed to open again, and say what survived.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);
/// After how long a store that failed is tried again, and a full disk looked at.
const REOPEN_AFTER: Duration = Duration::from_secs(5);

/// What a node is started with.
#[derive(Debug)]
pub struct Options {
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// Interfaces to listen on, as multiaddrs; all without one.
    pub listen: Vec<String>,
    /// What opens the vault.
    pub passphrase: Zeroizing<String>,
    /// Whether others may be looked for on the local network. Nothing does so yet.
    pub lan: bool,
}

/// Runs a node until it is stopped. `ready` is called once, with the addresses of each group, by id.
///
/// # Errors
/// When the vault, the socket or the network of a group cannot be opened.
pub async fn run(options: Options, ready: impl FnOnce(Vec<(String, String)>)) -> Result<(), NodeError> {
    let dir = DataDir::new(&options.data_dir);
    check_set_up(dir.root())?;
    let (listen, fixed_port) = net::interfaces(&options.listen).map_err(|_| NodeError::BadListen)?;
    let (to_core, inbox) = mpsc::channel(INBOX_MAX);
    let (feed, _) = broadcast::channel(FEED_MAX);
    let place = dir.clone();
    let open_store: OpenStore =
        Box::new(move |passphrase| Ok(Box::new(SealedStore::open(&place, passphrase)?) as Box<dyn Store>));
    let nets = Nets::new(listen, to_core, Box::new(net::start));
    let mut core = Core::new(open_store, nets, fixed_port, feed.clone());
    core.unlock(options.passphrase).await?;
    if let Some((_, failure)) = core.nets.failure() {
        let failure = failure.into();
        // If one group listens, the port was free: it is another group of this device that has it.
        let shared = failure == NodeError::PortTaken && core.fixed_port && !core.nets.ids().is_empty();
        return Err(if shared { NodeError::PortShared } else { failure });
    }
    let socket = Socket::bind(dir.root())?;
    let (to_calls, calls) = mpsc::channel(CALLS_MAX);
    let serving = tokio::spawn(socket.serve(to_calls, feed));
    let mut stop = Stop::new()?;
    core.turn(inbox, calls, &mut stop, ready).await;
    // The socket lets the last answers leave; it cannot fail.
    drop(serving.await);
    Ok(())
}

/// The signals that stop a node.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, NodeError> {
        let listen = |kind| signal(kind).map_err(|_| NodeError::Internal);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One thing to do.
enum Work {
    Call(Call),
    Net(FromNet),
}

enum State {
    /// Keys in memory, networks running.
    Open(Box<Open>),
    /// The store failed and does not open yet. The passphrase is kept to try again.
    Failed { passphrase: Zeroizing<String>, error: NodeError, again: Instant },
    /// No keys in memory.
    Locked,
}

/// A request for when a network listens.
struct Waiting {
    net: NetId,
    request: Request,
    reply: ReplyTo,
    until: Instant,
}

/// A round whose commit failed, until the store opens and says whether it survived.
struct Unsettled {
    round: Round,
    error: NodeError,
    /// What the store had become before it.
    before: u64,
    survived: Option<bool>,
    until: Instant,
}

struct Core {
    /// Opens the store, at the start and after each failure.
    open_store: OpenStore,
    nets: Nets,
    fixed_port: bool,
    feed: broadcast::Sender<Notice>,
    state: State,
    /// What the store last was found to have lost, in this run of the node.
    lost: OpenReport,
    unsettled: Option<Unsettled>,
    /// Faces that wait for a join.
    joins: BTreeMap<NetId, Vec<(ReplyTo, Instant)>>,
    /// Requests that cannot be answered before a network listens.
    waiting: Vec<Waiting>,
    /// Faces that made a group and wait until it listens.
    founders: BTreeMap<NetId, (ReplyTo, Value, Instant)>,
    /// Networks that have yet to listen before the node is ready.
    awaited: Vec<NetId>,
    stopping: bool,
}

impl Core {
    /// Locked, and without a network.
    fn new(open_store: OpenStore, nets: Nets, fixed_port: bool, feed: broadcast::Sender<Notice>) -> Self {
        Self {
            open_store,
            nets,
            fixed_port,
            feed,
            state: State::Locked,
            lost: OpenReport::default(),
            unsettled: None,
            joins: BTreeMap::new(),
            founders: BTreeMap::new(),
            waiting: Vec::new(),
            awaited: Vec::new(),
            stopping: false,
        }
    }

    async fn turn(
        &mut self,
        mut inbox: mpsc::Receiver<FromNet>,
        mut calls: mpsc::Receiver<Call>,
        stop: &mut Stop,
        ready: impl FnOnce(Vec<(String, String)>),
    ) {
        self.awaited = self.nets.ids();
        let mut ready = Some(ready);
        let ready_by = Instant::now() + READY_PATIENCE;
        while !self.stopping {
            if (self.awaited.is_empty() || Instant::now() >= ready_by)
                && let Some(ready) = ready.take()
            {
                ready(self.addresses());
            }
            let mut wake = self.wake();
            if ready.is_some() {
                wake = wake.min(ready_by);
            }
            let mut work = Vec::new();
            tokio::select! {
                biased;
                () = stop.asked() => break,
                Some(call) = calls.recv() => work.push(Work::Call(call)),
                Some(from) = inbox.recv() => work.push(Work::Net(from)),
                () = tokio::time::sleep_until(wake) => {}
            }
            while work.len() < ROUND_MAX {
                let Ok(from) = inbox.try_recv() else { break };
                work.push(Work::Net(from));
            }
            while work.len() < ROUND_MAX {
                let Ok(call) = calls.try_recv() else { break };
                work.push(Work::Call(call));
            }
            self.round(work).await;
        }
        self.lock(&mut inbox).await;
    }

    fn addresses(&self) -> Vec<(String, String)> {
        let State::Open(open) = &self.state else { return Vec::new() };
        let of = |view: kinfold_protocol::view::GroupView| {
            let group = view.group.to_hex();
            view.addresses.into_iter().map(move |address| (group.clone(), address.0))
        };
        open.client.groups().into_iter().flat_map(of).collect()
    }

    /// When there is something to do although nothing comes in.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let due = match &self.state {
            State::Open(open) => open.wake(now),
            State::Failed { again, .. } => Some(*again),
            State::Locked => None,
        };
        let join = self.joins.values().flatten().map(|(_, until)| *until).min();
        let founder = self.founders.values().map(|(_, _, until)| *until).min();
        let waiting = self.waiting.iter().map(|waiting| waiting.until).min();
        let unsettled = self.unsettled.as_ref().map(|unsettled| unsettled.until);
        let sleep = now + SLEEP_MAX;
        [due, join, founder, waiting, unsettled, Some(sleep)].into_iter().flatten().min().unwrap_or(sleep)
    }

    async fn round(&mut self, work: Vec<Work>) {
        self.watch_room().await;
        let mut round = Round::default();
        if let State::Open(open) = &mut self.state {
            open.on_time(&mut round);
        }
        let mut locking = None;
        for (done, work) in work.into_iter().enumerate() {
            if done > 0 {
                tracing::trace!(code = "inside_round");
            }
            match work {
                Work::Net(from) => self.on_net(&mut round, from),
                Work::Call(call) => self.on_call(&mut round, call, &mut locking).await,
            }
        }
        self.execute(round).await;
        self.end_patience();
        if let Some(reply) = locking {
            self.lock_now(reply).await;
        }
        if let State::Failed { passphrase, again, .. } = &self.state
            && *again <= Instant::now()
        {
            let passphrase = passphrase.clone();
            self.reopen(passphrase).await;
        }
    }

    fn on_net(&mut self, round: &mut Round, from: FromNet) {
        if matches!(&self.state, State::Open(open) if open.full) {
            // A network that was stopped still had something to say; it comes again.
            return;
        }
        let FromNet { input, verdict, room: _room } = from;
        match &input {
            Input::Connected { net, link, .. } => self.nets.note_link(*net, *link),
            Input::Listening { net, .. } => {
                self.awaited.retain(|awaited| awaited != net);
                if let Some((reply, value, _)) = self.founders.remove(net) {
                    // The group has long been durable: it stands whatever becomes of this round.
                    drop(reply.send(Ok(value)));
                }
            }
            _ => {}
        }
        let listens = if let Input::Listening { net, .. } = &input { Some(*net) } else { None };
        let gone = if let Input::Disconnected { link } = &input { Some(*link) } else { None };
        let source = if let Input::Gossip { net, .. } = &input { Some(*net) } else { None };
        if let State::Open(open) = &mut self.state
            && let Some(outcome) = open.step(round, input)
            && let (Some(ticket), Some(net)) = (verdict, source)
        {
            round.judge(net, ticket, &outcome);
        }
        if let Some(link) = gone {
            self.nets.forget_link(link);
        }
        let now_possible: Vec<Waiting> = self.waiting.extract_if(.., |waiting| Some(waiting.net) == listens).collect();
        for Waiting { request, reply, until, .. } in now_possible {
            self.ask(round, request, reply, until);
        }
    }

    async fn on_call(&mut self, round: &mut Round, call: Call, locking: &mut Option<ReplyTo>) {
        let Call { request, reply } = call;
        match (&mut self.state, request) {
            (_, Request::Down {}) => {
                self.stopping = true;
                round.reply(reply, json(&rows::Done {}));
            }
            (State::Open(_), Request::Lock {}) => *locking = Some(reply),
            (State::Open(open), Request::Unlock { passphrase }) => {
                let same = *open.passphrase == *passphrase.into_inner();
                let answer = if same { json(&rows::Done {}) } else { Err(NodeError::WrongPassphrase.into()) };
                round.reply(reply, answer);
            }
            (State::Open(_), request) => self.ask(round, request, reply, Instant::now() + READY_PATIENCE),
            (State::Locked | State::Failed { .. }, Request::Unlock { passphrase }) => {
                let answer = match self.unlock(passphrase.into_inner()).await {
                    Ok(()) => json(&rows::Done {}),
                    Err(error) => Err(error.into()),
                };
                round.reply(reply, answer);
            }
            (State::Failed { error, .. }, _) => round.reply(reply, Err((*error).into())),
            (State::Locked, request) => round.reply(reply, answer_locked(&request)),
        }
    }

    /// Asks the desk; what can only be answered once a network listens waits until then.
    fn ask(&mut self, round: &mut Round, request: Request, reply: ReplyTo, until: Instant) {
        let State::Open(open) = &mut self.state else { return round.reply(reply, Err(NodeError::Locked.into())) };
        let (now, one_port, lost, full) = (clock::wall(), self.fixed_port, self.lost, open.full);
        let mut desk = Desk { client: &mut open.client, round, now, one_port, lost, full };
        match desk.answer(request) {
            Ok(Answer::Cancelled(nets, value)) => {
                for (waiting, _) in nets.iter().filter_map(|net| self.joins.remove(net)).flatten() {
                    round.reply(waiting, Err(NodeError::JoinCancelled.into()));
                }
                round.reply(reply, Ok(value));
            }
            Ok(Answer::Now(value)) => round.reply(reply, Ok(value)),
            Ok(Answer::OnceListening(net, request)) => self.waiting.push(Waiting { net, request, reply, until }),
            Ok(Answer::WhenListening(net, value)) => {
                self.founders.insert(net, (reply, value, until));
            }
            Ok(Answer::WhenJoined(net)) => {
                let until = Instant::now() + JOIN_PATIENCE;
                self.joins.entry(net).or_default().push((reply, until));
            }
            Err(error) => round.reply(reply, Err(error)),
        }
    }

    async fn execute(&mut self, mut round: Round) {
        let State::Open(open) = &mut self.state else {
            round.answer();
            return;
        };
        if open.full {
            round.keep_to_itself();
        }
        let before = open.store.commit_seq();
        let persisted = round.persist(open.store.as_mut(), &mut open.client).and_then(|()| open.tick());
        if let Err(error) = persisted {
            self.recover(round, &NodeError::from(error), before).await;
            return;
        }
        let events = round.publish(&mut self.nets, &open.client, &self.feed).await;
        self.answer_joins(events);
        if let Some((net, failure)) = self.nets.failure() {
            self.unmake(net, NodeError::from(failure)).await;
        }
    }

    /// A network could not start. A group made just now is taken back with the reason; others stay offline.
    async fn unmake(&mut self, net: NetId, failure: NodeError) {
        let (Some((reply, _, _)), State::Open(open)) = (self.founders.remove(&net), &mut self.state) else { return };
        let mut round = Round::default();
        open.step(&mut round, Input::Command(Command::Forget { net }));
        round.reply(reply, Err(failure.into()));
        Box::pin(self.execute(round)).await;
    }

    fn answer_joins(&mut self, events: Vec<Event>) {
        for event in events {
            let (net, answer) = match event {
                Event::Joined { net, group } => (net, Ok(group)),
                Event::JoinFailed { net, why } => (net, Err(ApiError::from(why))),
                _ => continue,
            };
            for (reply, _) in self.joins.remove(&net).unwrap_or_default() {
                let answer = answer.clone().and_then(|group| {
                    let State::Open(open) = &self.state else { return Err(NodeError::Locked.into()) };
                    let name = crate::tell::group_name(&open.client, group);
                    json(&rows::GroupMade { group_id: group.to_hex(), name })
                });
                drop(reply.send(answer));
            }
        }
    }

    /// Answers faces that have waited long enough: the group stands though it does not listen yet; what needs an address
    /// was not done; nobody answered the join, which goes on.
    fn end_patience(&mut self) {
        let now = Instant::now();
        if self.unsettled.as_ref().is_some_and(|unsettled| unsettled.until <= now) {
            self.settle();
        }
        let late: Vec<NetId> =
            self.founders.iter().filter(|(_, (_, _, until))| *until <= now).map(|(net, _)| *net).collect();
        for net in late {
            if let Some((reply, value, _)) = self.founders.remove(&net) {
                drop(reply.send(Ok(value)));
            }
        }
        for late in self.waiting.extract_if(.., |waiting| waiting.until <= now) {
            drop(late.reply.send(Err(NodeError::NotReachable.into())));
        }
        for waiting in self.joins.values_mut() {
            let (over, rest) = std::mem::take(waiting).into_iter().partition(|(_, until)| *until <= now);
            *waiting = rest;
            let over: Vec<(ReplyTo, Instant)> = over;
            for (reply, _) in over {
                drop(reply.send(Err(NodeError::NobodyAnswered.into())));
            }
        }
        self.joins.retain(|_, waiting| !waiting.is_empty());
    }
}

#[cfg(test)]
mod tests;
