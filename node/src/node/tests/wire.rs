//! Two cores in one process and the wire between their networks: every input is carried by hand, so that nothing happens
//! by luck.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use kinfold_protocol::id::LinkId;
use kinfold_protocol::persist::{Rows, WriteBatch};
use kinfold_protocol::step::{Address, Ends};
use kinfold_protocol::time::Time;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::net::{NetCommand, NetHandle};
use crate::store::{MemoryDisk, MemoryStore, StoreError};

/// No two networks are at one address.
static PORTS: AtomicU16 = AtomicU16::new(4_001);

/// A network that a core has started: what it is told to do waits in the queue.
struct Played {
    net: NetId,
    port: u16,
    listens: bool,
    orders: mpsc::Receiver<NetCommand>,
    waiting: VecDeque<NetCommand>,
}

/// How much had been sent, told and answered at each commit.
#[derive(Default)]
struct Commits {
    watched: bool,
    seen: Vec<(usize, usize, bool)>,
}

/// What the store of a person can look at, and is told to do.
#[derive(Default)]
struct Shared {
    networks: Vec<Played>,
    feed: Option<broadcast::Receiver<Notice>>,
    asked: Option<Answering>,
    commits: Commits,
    openings: u64,
    refusals: u64,
    /// What is due finds no files, once.
    gone: bool,
}

/// One person: a core that a test turns.
pub(super) struct Person {
    core: Core,
    pub(super) disk: MemoryDisk,
    shared: Arc<Mutex<Shared>>,
}

/// A memory store that looks around before it makes anything durable.
struct Looking {
    store: MemoryStore,
    shared: Arc<Mutex<Shared>>,
    made: std::time::Instant,
}

impl Store for Looking {
    fn commit(&mut self, batch: &WriteBatch) -> Result<(), StoreError> {
        let mut guard = self.shared.lock().unwrap();
        let shared = &mut *guard;
        if shared.commits.watched {
            let sent = shared.networks.iter().map(|played| played.orders.len()).sum();
            let told = shared.feed.as_ref().map_or(0, broadcast::Receiver::len);
            let answered = shared.asked.as_ref().is_some_and(|asked| !asked.is_empty());
            shared.commits.seen.push((sent, told, answered));
        }
        drop(guard);
        self.store.commit(batch)
    }

    fn report(&self) -> OpenReport {
        self.store.report()
    }

    fn reader(&self) -> Box<dyn Rows> {
        self.store.reader()
    }

    fn commit_seq(&self) -> u64 {
        self.store.commit_seq()
    }

    fn set_now(&mut self, wall: Time) {
        self.store.set_now(wall);
    }

    fn restart_clock(&mut self, at: Time) {
        self.store.restart_clock(at);
    }

    fn now(&self) -> Time {
        self.store.now()
    }

    fn due(&self) -> Option<Time> {
        self.store.due()
    }

    fn chores(&self) -> Option<std::time::Instant> {
        let gone = self.shared.lock().unwrap().gone;
        if gone { Some(self.made) } else { self.store.chores() }
    }

    fn has_room(&mut self) -> bool {
        self.store.has_room()
    }

    fn tick(&mut self, now: std::time::Instant) -> Result<(), StoreError> {
        let gone = std::mem::take(&mut self.shared.lock().unwrap().gone);
        if gone { Err(StoreError::Misplaced) } else { self.store.tick(now) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Box::new(self.store).close()
    }
}

impl Person {
    async fn new() -> Self {
        // Nothing comes in by itself: the wire gives each input to the core.
        let (to_core, _) = mpsc::channel(1);
        let (feed, heard) = broadcast::channel(FEED_MAX);
        let shared = Arc::new(Mutex::new(Shared { feed: Some(heard), ..Shared::default() }));
        let disk = MemoryDisk::new();
        let (opening, at) = (Arc::clone(&shared), disk.clone());
        let open_store: OpenStore = Box::new(move |_| {
            let mut shared = opening.lock().unwrap();
            shared.openings += 1;
            if shared.refusals > 0 {
                shared.refusals -= 1;
                return Err(StoreError::DiskFull);
            }
            let (shared, made) = (Arc::clone(&opening), Instant::now().into_std());
            Ok(Box::new(Looking { store: MemoryStore::open(&at)?, shared, made }) as Box<dyn Store>)
        });
        let starting = Arc::clone(&shared);
        let start = Box::new(move |config: net::NetConfig, _: mpsc::Sender<FromNet>| {
            let (commands, orders) = mpsc::channel(INBOX_MAX);
            let mut shared = starting.lock().unwrap();
            let port = PORTS.fetch_add(1, Ordering::Relaxed);
            shared.networks.push(Played { net: config.net, port, listens: false, orders, waiting: VecDeque::new() });
            Ok(NetHandle { commands, task: tokio::spawn(async {}) })
        });
        let mut core = Core::new(open_store, Nets::new(Vec::new(), to_core, start), false, feed);
        core.unlock(Zeroizing::new("four words".to_owned())).await.expect("opens");
        Self { core, disk, shared }
    }

    /// The texts that faces were told of since this was last asked.
    pub(super) fn told_lines(&self) -> Vec<String> {
        let mut shared = self.shared.lock().unwrap();
        let feed = shared.feed.as_mut().unwrap();
        let mut told = Vec::new();
        while let Ok(notice) = feed.try_recv() {
            if let Notice::Line(row) = notice {
                told.extend(row.text);
            }
        }
        told
    }

    /// From now on every commit notes what has left before it.
    pub(super) fn watch_commits(&self) {
        self.told_lines();
        self.shared.lock().unwrap().commits.watched = true;
    }

    pub(super) fn seen_at_commits(&self) -> Vec<(usize, usize, bool)> {
        let mut shared = self.shared.lock().unwrap();
        shared.commits.watched = false;
        std::mem::take(&mut shared.commits.seen)
    }

    /// How often the store was opened, or tried to be.
    pub(super) fn openings(&self) -> u64 {
        self.shared.lock().unwrap().openings
    }

    /// The store does not open again for so many times.
    pub(super) fn refuse_openings(&self, times: u64) {
        self.shared.lock().unwrap().refusals = times;
    }

    /// The files are away for a moment, when the next round has been made durable.
    pub(super) fn move_files_away(&self) {
        self.shared.lock().unwrap().gone = true;
    }

    /// The pause before the next try is over.
    pub(super) fn time_to_try_again(&mut self) {
        let State::Failed { again, .. } = &mut self.core.state else { panic!("the store is open") };
        *again = Instant::now();
    }

    /// How many frames and envelopes the networks that were stopped had been given to carry.
    pub(super) fn given_to_stopped_networks(&self) -> usize {
        let mut shared = self.shared.lock().unwrap();
        let mut given = 0;
        for played in &mut shared.networks {
            played.take();
            let bytes = |order: &&NetCommand| matches!(order, NetCommand::Frame { .. } | NetCommand::Publish { .. });
            let stopped = played.waiting.iter().any(|order| matches!(order, NetCommand::Stop));
            given += if stopped { played.waiting.iter().filter(bytes).count() } else { 0 };
        }
        given
    }
}

impl Played {
    fn take(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.waiting.push_back(order);
        }
    }

    fn address(&self) -> Address {
        Address(format!("/ip4/127.0.0.1/tcp/{}", self.port))
    }
}

/// One end of a link: whose it is, and on which network.
type End = (usize, NetId);

/// The people, and what is on its way between them.
pub(super) struct Wire {
    pub(super) people: Vec<Person>,
    links: BTreeMap<u64, [End; 2]>,
    on_the_way: VecDeque<(usize, Input)>,
    made: u64,
}

impl Wire {
    pub(super) async fn new(count: usize) -> Self {
        let mut people = Vec::new();
        for _ in 0..count {
            people.push(Person::new().await);
        }
        Self { people, links: BTreeMap::new(), on_the_way: VecDeque::new(), made: 0 }
    }

    /// Asks a core; the answer that it gives in the same round.
    pub(super) async fn ask(&mut self, who: usize, method: &str, params: &Value) -> Result<Value, ApiError> {
        let mut answer = self.begin(who, method, params).await;
        answer.try_recv().expect("an answer at once")
    }

    /// Asks a core, and carries what follows; the answer that it has given by then.
    pub(super) async fn ask_and_carry(&mut self, who: usize, method: &str, params: &Value) -> Result<Value, ApiError> {
        let mut answer = self.begin(who, method, params).await;
        self.carry().await;
        answer.try_recv().expect("an answer in the end")
    }

    /// Asks a core; the answer may come later.
    pub(super) async fn begin(&mut self, who: usize, method: &str, params: &Value) -> Answering {
        let request = serde_json::from_value(json!({ "method": method, "params": params })).expect("a request");
        let (reply, answer) = oneshot::channel();
        let person = &mut self.people[who];
        person.shared.lock().unwrap().asked = Some(answer);
        person.core.round(vec![Work::Call(Call { request, reply })]).await;
        let answer = person.shared.lock().unwrap().asked.take();
        answer.expect("it was put there")
    }

    pub(super) async fn say(&mut self, who: usize, text: &str) -> Result<Value, ApiError> {
        self.ask_and_carry(who, "send", &json!({ "group": "Circle", "text": text })).await
    }

    /// The texts that somebody shows, in order.
    pub(super) async fn said(&mut self, who: usize) -> Vec<String> {
        let history = self.ask_and_carry(who, "history", &json!({ "group": "Circle" })).await.expect("a history");
        let rows = history["rows"].as_array().expect("rows");
        rows.iter().filter_map(|row| row["text"].as_str().map(str::to_owned)).collect()
    }

    /// A round in which nothing comes in.
    pub(super) async fn turn(&mut self, who: usize) {
        self.people[who].core.round(Vec::new()).await;
    }

    /// Carries everything until nothing is on its way.
    pub(super) async fn carry(&mut self) {
        loop {
            for who in 0..self.people.len() {
                self.collect(who);
            }
            let Some((who, input)) = self.on_the_way.pop_front() else { return };
            let work = vec![Work::Net(FromNet::plain(input))];
            self.people[who].core.round(work).await;
        }
    }

    /// Takes what the networks of one person were told to do.
    fn collect(&mut self, who: usize) {
        let shared = Arc::clone(&self.people[who].shared);
        let mut shared = shared.lock().unwrap();
        for played in &mut shared.networks {
            let net = played.net;
            if !std::mem::replace(&mut played.listens, true) {
                let addresses = vec![played.address()];
                self.on_the_way.push_back((who, Input::Listening { net, port: played.port, addresses }));
            }
            played.take();
            for order in std::mem::take(&mut played.waiting) {
                self.carry_out((who, net), played.port, order);
            }
        }
        shared.networks.retain(|played| !played.orders.is_closed());
    }

    fn carry_out(&mut self, from: End, port: u16, order: NetCommand) {
        match order {
            NetCommand::Dial { address } => self.dial(from, port, address),
            NetCommand::Disconnect { link } => self.cut(link.0),
            NetCommand::Frame { link, bytes } => {
                if let Some((who, _)) = self.other_end(link.0, from) {
                    self.on_the_way.push_back((who, Input::Frame { link, bytes }));
                }
            }
            NetCommand::Publish { bytes, .. } => {
                let links: Vec<u64> = self.links.keys().copied().collect();
                for id in links {
                    if let Some((who, net)) = self.other_end(id, from) {
                        let link = Some(LinkId(id));
                        self.on_the_way.push_back((who, Input::Gossip { net, link, bytes: bytes.clone() }));
                    }
                }
            }
            NetCommand::Stop => {
                let of_it = |(id, ends): (&u64, &[End; 2])| ends.contains(&from).then_some(*id);
                let links: Vec<u64> = self.links.iter().filter_map(of_it).collect();
                links.into_iter().for_each(|id| self.cut(id));
            }
            // Who may gossip about what: nobody is to be kept out here.
            NetCommand::Admit { .. }
            | NetCommand::Known { .. }
            | NetCommand::PassOn { .. }
            | NetCommand::Topics(_)
            | NetCommand::Verdict { .. }
            | NetCommand::Withhold { .. } => {}
        }
    }

    fn dial(&mut self, from: End, port: u16, address: Address) {
        let found = (0..self.people.len()).find_map(|who| {
            if who == from.0 {
                return None;
            }
            let shared = self.people[who].shared.lock().unwrap();
            let played = shared.networks.iter().find(|played| played.address() == address)?;
            Some(((who, played.net), played.port))
        });
        let Some((to, there)) = found else {
            return self.on_the_way.push_back((from.0, Input::DialFailed { net: from.1, address }));
        };
        self.made += 1;
        self.links.insert(self.made, [from, to]);
        let link = LinkId(self.made);
        let [here, there] = [port, there].map(|port| port.to_be_bytes().to_vec());
        let ends = Ends { local: here.clone(), remote: there.clone() };
        self.on_the_way.push_back((from.0, Input::Connected { net: from.1, link, ends, address: Some(address) }));
        let ends = Ends { local: there, remote: here };
        self.on_the_way.push_back((to.0, Input::Connected { net: to.1, link, ends, address: None }));
    }

    fn cut(&mut self, id: u64) {
        for (who, _) in self.links.remove(&id).into_iter().flatten() {
            self.on_the_way.push_back((who, Input::Disconnected { link: LinkId(id) }));
        }
    }

    fn other_end(&self, id: u64, from: End) -> Option<End> {
        let [one, other] = self.links.get(&id)?;
        if *one == from { Some(*other) } else { (*other == from).then_some(*one) }
    }
}

type Answering = oneshot::Receiver<Result<Value, ApiError>>;
