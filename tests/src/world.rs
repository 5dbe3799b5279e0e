//! Nodes, their disks and their networks, driven by one clock.

mod round;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use kinfold_protocol::Client;
use kinfold_protocol::step::{Input, Output};
use kinfold_protocol::time::Time;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk::{Disk, Trouble};
use crate::facts::{Ask, Facts};
use crate::levers::{self, Levers};
use crate::network::{Network, Route, Start};
use crate::oracle::{Oracle, commits_in};
use crate::trace::Trace;
use crate::watch::Watch;

/// Steps of one run from which nothing is happening any more but a loop.
const STEPS_MAX: u64 = 100_000;

/// How a node goes down in the middle of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// Before the round's batches are durable: they are lost, and nothing of them has left.
    BeforeFlush,
    /// After that, but with some or all transmits not made, and no event told.
    AfterFlush,
}

/// Everything there is.
pub struct World {
    /// Time.
    pub clock: Clock,
    /// Ways between nodes.
    pub network: Network,
    /// What happened how often.
    pub levers: Levers,
    /// What must hold.
    pub oracle: Oracle,
    /// What people know.
    pub facts: Facts,
    /// What happened.
    pub trace: Trace,
    nodes: Vec<Node>,
    /// Nodes whose steps have failed: what they had sealed for a link and never sent parts the two ends.
    failed: BTreeSet<usize>,
    dice: Dice,
    watch: Watch,
}

/// One device.
#[derive(Default)]
struct Node {
    client: Option<Client>,
    disk: Disk,
    inbox: VecDeque<Letter>,
    /// When the inbox is looked at.
    wake: Option<u64>,
    /// When the client wants to be asked.
    deadline: Option<Time>,
    /// Whether that is in the inbox already.
    due: bool,
    starts: Start,
    /// When it last came up.
    up_ms: u64,
    doom: Option<Doom>,
    /// What is wrong with the reads of its next steps.
    trouble: Option<Trouble>,
    /// When the node comes up, if it is down.
    back_at: Option<u64>,
}

struct Letter {
    input: Input,
    route: Option<Route>,
    ask: Option<Ask>,
}

impl World {
    /// A world of so many nodes, all of which come up at once.
    #[must_use]
    pub fn new(seed: u64, nodes: usize, watch: Watch) -> Self {
        let clock = Clock::new(nodes);
        let now = clock.now_ms();
        let nodes = (0..nodes).map(|_| Node { back_at: Some(now), ..Node::default() }).collect::<Vec<_>>();
        Self {
            network: Network::new(seed, nodes.len()),
            clock,
            levers: Levers::default(),
            oracle: Oracle::default(),
            facts: Facts::default(),
            trace: Trace::default(),
            nodes,
            failed: BTreeSet::new(),
            dice: Dice::new(seed, 1),
            watch,
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node's client, if the node is up.
    #[must_use]
    pub fn client(&self, node: usize) -> Option<&Client> {
        self.nodes.get(node)?.client.as_ref()
    }

    /// A node's client, for views that open what they show.
    pub fn client_mut(&mut self, node: usize) -> Option<&mut Client> {
        self.nodes.get_mut(node)?.client.as_mut()
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, node: usize) -> Option<&Disk> {
        self.nodes.get(node).map(|node| &node.disk)
    }

    /// Since which true time a node has been up and seen nothing but the passing of time, if it is up.
    #[must_use]
    pub fn steady_since(&self, node: usize) -> Option<u64> {
        let up_ms = self.nodes.get(node).filter(|node| node.client.is_some())?.up_ms;
        Some(up_ms.max(self.clock.steady_since(node)))
    }

    /// Whether every node is up.
    #[must_use]
    pub fn all_up(&self) -> bool {
        self.nodes.iter().all(|node| node.client.is_some())
    }

    /// A person asks something of a device that is up.
    pub fn ask(&mut self, node: usize, ask: Ask, command: kinfold_protocol::step::Command) {
        self.deliver(node, Letter { input: Input::Command(command), route: None, ask: Some(ask) });
    }

    /// Gives a node an input that its own world would not make.
    pub fn inject(&mut self, node: usize, input: Input) {
        self.deliver(node, Letter { input, route: None, ask: None });
    }

    /// Lets everything happen that happens until then.
    ///
    /// # Errors
    /// What the oracle saw.
    pub fn advance(&mut self, until_ms: u64) -> Result<(), String> {
        while let Some(at) = self.next().filter(|at| *at <= until_ms) {
            self.clock.advance_to(at);
            self.happen()?;
            if self.levers.count(levers::STEPS) > STEPS_MAX {
                return Err("the clients never rest".to_owned());
            }
        }
        self.clock.advance_to(until_ms);
        Ok(())
    }

    /// Stops a node in order; it comes back after a while.
    ///
    /// # Errors
    /// When its client cannot stop.
    pub fn restart_clean(&mut self, node: usize, away_ms: u64) -> Result<(), String> {
        let local = self.clock.local(node);
        let Some(mut client) = self.nodes.get_mut(node).and_then(|node| node.client.take()) else { return Ok(()) };
        let output = client.close(local).map_err(|error| format!("n{node} cannot stop: {error}"))?;
        self.levers.pull(levers::CLEAN);
        self.trace.step(self.clock.elapsed_ms(), node, "close", Ok(&output));
        self.execute(node, &mut client, output)?;
        drop(client);
        self.down(node, away_ms);
        Ok(())
    }

    /// Dooms a node to go down in the middle of its next round.
    pub fn doom(&mut self, node: usize, doom: Doom) {
        if let Some(node) = self.nodes.get_mut(node).filter(|node| node.client.is_some()) {
            node.doom = Some(doom);
        }
    }

    /// The disk of a node cannot be read for a while.
    pub fn trouble(&mut self, node: usize, trouble: Trouble) {
        if let Some(node) = self.nodes.get_mut(node).filter(|node| node.client.is_some()) {
            node.trouble = Some(trouble);
        }
    }

    /// Somebody sets a node's clock. The node notices soon, as it never sleeps long (node's `on_time`).
    pub fn set_clock(&mut self, node: usize, ahead_ms: i64) {
        self.clock.set_skew(node, ahead_ms);
        if self.client(node).is_some() && !self.node(node).due {
            self.node(node).due = true;
            self.deliver(node, Letter { input: Input::Deadline, route: None, ask: None });
        }
    }

    /// Everything that is down comes up now, and nothing is doomed any more.
    pub fn raise(&mut self) {
        let now = self.clock.now_ms();
        for node in &mut self.nodes {
            node.doom = None;
            node.trouble = None;
            node.back_at = node.back_at.map(|_| now);
        }
    }

    fn next(&self) -> Option<u64> {
        let now = self.clock.now_ms();
        let of_node = |(ix, node): (usize, &Node)| {
            let deadline = node.deadline.filter(|_| !node.due).map(|local| self.clock.true_ms(ix, local));
            [node.wake, node.back_at, deadline].into_iter().flatten().min()
        };
        let nodes = self.nodes.iter().enumerate().filter_map(of_node);
        nodes.chain(self.network.next()).min().map(|at| at.max(now))
    }

    fn happen(&mut self) -> Result<(), String> {
        let now = self.clock.now_ms();
        for arrival in self.network.arrivals(now, &mut self.levers) {
            self.deliver(arrival.node, Letter { input: arrival.input, route: arrival.route, ask: None });
        }
        for ix in 0..self.nodes.len() {
            if self.node(ix).back_at.is_some_and(|at| at <= now) {
                self.boot(ix)?;
            }
            let true_ms = self.node(ix).deadline.map(|local| self.clock.true_ms(ix, local));
            if true_ms.is_some_and(|at| at <= now) && !self.node(ix).due {
                self.node(ix).due = true;
                self.deliver(ix, Letter { input: Input::Deadline, route: None, ask: None });
            }
            if self.node(ix).wake.is_some_and(|at| at <= now) {
                self.round(ix)?;
            }
        }
        let logged = self.watch.take();
        if logged.is_empty() { Ok(()) } else { Err(format!("logged as an error: {}", logged.join("; "))) }
    }

    fn deliver(&mut self, node: usize, letter: Letter) {
        // A few milliseconds go by before a node looks, so that inputs meet in one round.
        let wake = self.clock.now_ms() + self.dice.below(8);
        if self.client(node).is_none() {
            if let Some(ask) = letter.ask {
                self.facts.answered(node, ask, None, &mut self.levers);
            }
            return;
        }
        let node = self.node(node);
        node.inbox.push_back(letter);
        node.wake.get_or_insert(wake);
    }

    /// Starts a node over its disk.
    fn boot(&mut self, ix: usize) -> Result<(), String> {
        let (local, seed, now) = (self.clock.local(ix), self.dice.bytes(), self.clock.now_ms());
        let node = self.node(ix);
        node.back_at = None;
        node.starts += 1;
        let (start, disk) = (node.starts, node.disk.clone());
        self.network.power_on(ix, start);
        let opened = Client::open_seeded(Box::new(disk), seed, local);
        let (mut client, output) = opened.map_err(|error| format!("n{ix} cannot be opened: {error}"))?;
        self.trace.step(self.clock.elapsed_ms(), ix, "open", Ok(&output));
        if start > 1 && self.dice.chance(50) {
            // The power goes again before anything of the start is durable.
            drop(client);
            self.levers.pull(levers::UNCLEAN);
            self.down(ix, 1_000);
            return Ok(());
        }
        self.execute(ix, &mut client, output)?;
        self.look(ix, &mut client, local)?;
        let node = self.node(ix);
        node.deadline = client.deadline();
        node.wake = Some(now);
        node.up_ms = now;
        node.client = Some(client);
        Ok(())
    }

    /// Makes an output true that is not of a round.
    fn execute(&mut self, ix: usize, client: &mut Client, output: Output) -> Result<(), String> {
        self.oracle.written(&commits_in(&output.batch), &mut self.levers);
        self.oracle.states(ix, &output.batch)?;
        let now = self.clock.now_ms();
        let disk = self.node(ix).disk.clone();
        disk.stage(output.batch);
        disk.flush();
        disk.sweep(client.swept_to());
        client.durable();
        for transmit in output.transmits {
            self.network.carry(ix, transmit, now, &mut self.levers);
        }
        for event in &output.events {
            self.tell(ix, client, event)?;
        }
        Ok(())
    }

    /// Looks at everything that a device shows and keeps.
    fn look(&mut self, ix: usize, client: &mut Client, local: Time) -> Result<(), String> {
        let disk = self.node(ix).disk.clone();
        self.oracle.look(ix, client, &self.clock, local, &mut self.levers)?;
        self.oracle.marks.look(ix, client, &disk, local)
    }

    /// A node is down from now on, and comes back after a while. What was in its inbox is gone.
    fn down(&mut self, ix: usize, away_ms: u64) {
        let now = self.clock.now_ms();
        self.network.power_off(ix, now);
        let node = self.node(ix);
        node.client = None;
        node.wake = None;
        node.deadline = None;
        node.due = false;
        node.doom = None;
        node.trouble = None;
        node.back_at = Some(now + away_ms);
        let asks: Vec<Ask> = std::mem::take(&mut node.inbox).into_iter().filter_map(|letter| letter.ask).collect();
        for ask in asks {
            self.facts.answered(ix, ask, None, &mut self.levers);
        }
    }

    fn node(&mut self, ix: usize) -> &mut Node {
        self.nodes.get_mut(ix).expect("the script names only nodes that there are")
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("clock", &self.clock).field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}
