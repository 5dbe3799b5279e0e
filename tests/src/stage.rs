//! The stage: clients over disks in memory, and a carrier between them that keeps a copy of every envelope. Where the
//! simulator throws dice, a play on a stage says what happens.

#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests, which fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::error::Error;
use kinfold_protocol::id::{GroupId, LinkId, MemberId, MsgId, NetId};
use kinfold_protocol::step::{
    Address, Command, Ends, Event, Input, Line, LineKind, MessageState, Outcome, Output, Reply, Transmit,
};
use kinfold_protocol::time::Time;
use kinfold_protocol::view::GroupView;
use zeroize::Zeroizing;

use crate::disk::Disk;

/// A day like any other, in the middle of an hour.
const BEGIN_MS: u64 = 1_790_000_000_000;
/// When devices come up over rows of before.
const AGAIN_MS: i64 = 3_600_000;
/// Entropy that was used before then.
const AGAIN_SEEDS: u64 = 1_000;
/// Steps of one device in one stretch of time from which nothing is happening any more but a loop.
const STEPS_MAX: usize = 1_000;

/// The founder of every group.
pub const ANA: usize = 0;
/// Her first guest.
pub const BEN: usize = 1;
/// Her second guest.
pub const CHI: usize = 2;

/// One person's device.
#[derive(Debug)]
pub struct Person {
    /// What the device knows.
    pub client: Client,
    /// What it keeps.
    pub disk: Disk,
    /// Everything that was told.
    pub events: Vec<Event>,
    /// How far the clock is ahead of the truth.
    pub ahead_ms: i64,
    online: bool,
    admitted: BTreeSet<LinkId>,
}

/// What was given to the network.
#[derive(Debug)]
pub struct Sent {
    /// Whose.
    pub by: usize,
    /// What.
    pub bytes: Vec<u8>,
}

type End = (usize, NetId);

/// Something to do before a person's device runs; nothing, unless said otherwise.
#[derive(Default)]
pub struct Before(pub Option<Box<dyn Fn(usize)>>);

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Before({})", self.0.is_some())
    }
}

/// Everything there is.
#[derive(Debug, Default)]
pub struct Stage {
    /// Everybody, by number.
    pub people: Vec<Person>,
    /// Every envelope that anybody published, in order.
    pub published: Vec<Sent>,
    /// Every frame: who sent it to whom, and how long it was.
    pub frames: Vec<(usize, usize, usize)>,
    /// Networks at whose addresses another network answers.
    pub redirects: BTreeMap<NetId, NetId>,
    /// Whether gossip is lost.
    pub hold: bool,
    /// Whether everybody reaches Ana only.
    pub star: bool,
    /// What is done before a person's device runs.
    pub before: Before,
    /// Whether those below a number and the others cannot reach each other.
    pub wall: Option<usize>,
    after_ms: u64,
    stations: BTreeSet<End>,
    cables: BTreeMap<LinkId, [End; 2]>,
    on_the_way: VecDeque<(usize, Input)>,
    links: u64,
    seeds: u64,
}

impl Stage {
    /// Devices with clocks that are so far off, and no group.
    #[must_use]
    pub fn empty(ahead_ms: &[i64]) -> Self {
        let mut stage = Self::default();
        for ahead_ms in ahead_ms.iter().copied() {
            let (disk, seed) = (Disk::default(), stage.seed());
            let now = Time::from_ms(BEGIN_MS).shifted(ahead_ms);
            let (client, output) = Client::open_seeded(Box::new(disk.clone()), seed, now).unwrap();
            let (events, admitted) = (Vec::new(), BTreeSet::new());
            stage.people.push(Person { client, disk, events, ahead_ms, online: true, admitted });
            stage.make_true(stage.people.len() - 1, output);
        }
        stage
    }

    /// Devices over copies of these disks, linked with each other.
    #[must_use]
    pub fn over(disks: &[Disk]) -> Self {
        let mut stage = Self { seeds: AGAIN_SEEDS, ..Self::default() };
        for disk in disks {
            let (disk, seed) = (disk.copy(), stage.seed());
            let now = Time::from_ms(BEGIN_MS).shifted(AGAIN_MS);
            let (client, output) = Client::open_seeded(Box::new(disk.clone()), seed, now).unwrap();
            let (events, admitted) = (Vec::new(), BTreeSet::new());
            stage.people.push(Person { client, disk, events, ahead_ms: AGAIN_MS, online: true, admitted });
            stage.make_true(stage.people.len() - 1, output);
        }
        stage.pass(10_000);
        stage
    }

    /// Ana's group, with these people in it and linked to each other.
    #[must_use]
    pub fn group(ahead_ms: [i64; 3], guests: &[usize]) -> (Self, GroupId) {
        let mut stage = Self::empty(&ahead_ms);
        let group = stage.found(guests);
        (stage, group)
    }

    /// Ana founds her group and lets these people in.
    pub fn found(&mut self, guests: &[usize]) -> GroupId {
        let create = Command::CreateGroup { name: "Circle".into(), display_name: "Ana".into() };
        let Reply::Group(group) = self.ask(ANA, create) else { panic!("no group") };
        for guest in guests {
            self.join(group, *guest);
        }
        self.pass(5_000);
        for who in [ANA].iter().chain(guests) {
            // Everybody in a small group; in a larger one everybody has some links of their own choice.
            assert!(self.view(*who).connected >= guests.len().min(4));
        }
        group
    }

    /// A group of so many people who all reach Ana.
    #[must_use]
    pub fn star(people: usize) -> (Self, GroupId) {
        let mut stage = Self::empty(&vec![0; people]);
        stage.star = true;
        let create = Command::CreateGroup { name: "Circle".into(), display_name: name(ANA) };
        let Reply::Group(group) = stage.ask(ANA, create) else { panic!("no group") };
        for guest in 1..people {
            stage.join(group, guest);
        }
        (stage, group)
    }

    /// Ana, Ben and Chi, with clocks that are right.
    pub fn three() -> (Self, GroupId) {
        Self::group([0; 3], &[BEN, CHI])
    }

    /// Ana lets somebody in.
    pub fn join(&mut self, group: GroupId, guest: usize) {
        let invite = self.invite(group, 86_400);
        self.try_join(guest, invite);
        assert!(self.person(guest).events.iter().any(|event| matches!(event, Event::Joined { .. })));
    }

    /// An invite of Ana's.
    pub fn invite(&mut self, group: GroupId, secs: u64) -> Zeroizing<String> {
        let valid = Duration::from_secs(secs);
        let Reply::Invite { text, .. } = self.ask(ANA, Command::Invite { group, valid }) else { panic!("no invite") };
        text
    }

    /// Somebody tries to come in by an invite.
    pub fn try_join(&mut self, guest: usize, invite: Zeroizing<String>) {
        self.ask(guest, Command::Join { invite, display_name: name(guest) });
        self.pass(3_000);
    }

    /// One person.
    pub fn person(&mut self, who: usize) -> &mut Person {
        &mut self.people[who]
    }

    /// What a device takes the time for.
    #[must_use]
    pub fn clock(&self, who: usize) -> Time {
        Time::from_ms(BEGIN_MS + self.after_ms).shifted(self.people[who].ahead_ms)
    }

    /// The true time.
    #[must_use]
    pub fn truth(&self) -> Time {
        Time::from_ms(BEGIN_MS + self.after_ms)
    }

    /// Entropy that was never used before.
    pub fn seed(&mut self) -> [u8; 32] {
        self.seeds += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seeds.to_be_bytes());
        seed
    }

    /// Gives a device one input and makes true what follows, but carries nothing yet.
    pub fn give(&mut self, who: usize, input: Input) -> Result<Outcome, Error> {
        let now = self.clock(who);
        self.turn_to(who);
        let output = self.people[who].client.handle(input, now)?;
        Ok(self.make_true(who, output))
    }

    fn turn_to(&self, who: usize) {
        if let Some(before) = &self.before.0 {
            before(who);
        }
    }

    /// Gives a device an envelope as gossip brings it.
    pub fn gossip(&mut self, who: usize, bytes: &[u8]) -> Outcome {
        let input = Input::Gossip { net: self.net(who), link: None, bytes: bytes.to_vec() };
        self.give(who, input).unwrap()
    }

    /// A person asks, and everything that follows at once happens.
    pub fn ask(&mut self, who: usize, command: Command) -> Reply {
        let Outcome::Applied(reply) = self.give(who, Input::Command(command)).unwrap() else { panic!("not applied") };
        self.settle();
        reply
    }

    /// Somebody says something in its only group.
    pub fn say(&mut self, who: usize, text: &str) -> MsgId {
        let group = self.view(who).group;
        let command = Command::Send { group, text: Zeroizing::new(text.into()), expires: None };
        let Reply::Message { id, .. } = self.ask(who, command) else { panic!("no message") };
        id
    }

    /// Makes a step durable, then carries it out.
    pub fn make_true(&mut self, who: usize, output: Output) -> Outcome {
        let person = &mut self.people[who];
        person.disk.stage(output.batch);
        person.disk.flush();
        person.disk.sweep(person.client.swept_to());
        person.client.durable();
        self.carry_out(who, output.transmits, output.events);
        output.outcome
    }

    /// What follows once a step is durable.
    pub fn carry_out(&mut self, who: usize, transmits: Vec<Transmit>, events: Vec<Event>) {
        for transmit in transmits {
            self.carry(who, transmit);
        }
        self.people[who].events.extend(events);
    }

    fn steps_max(&self) -> usize {
        STEPS_MAX * self.people.len()
    }

    /// Carries until nothing is on its way.
    pub fn settle(&mut self) {
        for _ in 0..self.steps_max() {
            let Some((to, input)) = self.on_the_way.pop_front() else { return };
            self.give(to, input).unwrap();
        }
        panic!("the clients never rest");
    }

    /// Carries only so much of it.
    pub fn settle_for(&mut self, steps: usize) {
        for _ in 0..steps {
            let Some((to, input)) = self.on_the_way.pop_front() else { return };
            self.give(to, input).unwrap();
        }
    }

    /// Carries only until something is true.
    pub fn settle_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let (to, input) = self.on_the_way.pop_front().unwrap();
            self.give(to, input).unwrap();
        }
    }

    /// Time passes; deadlines are kept.
    pub fn pass(&mut self, ms: u64) {
        let end = self.after_ms + ms;
        self.settle();
        for _ in 0..self.steps_max() {
            let deadlines = (0..self.people.len()).filter_map(|who| {
                let wait = self.people[who].client.deadline()?.since(self.clock(who));
                Some((self.after_ms + u64::try_from(wait.as_millis()).unwrap(), who))
            });
            let Some((at, who)) = deadlines.min().filter(|(at, _)| *at <= end) else {
                self.after_ms = end;
                return;
            };
            self.after_ms = at;
            self.give(who, Input::Deadline).unwrap();
            self.settle();
        }
        panic!("the clients never rest");
    }

    fn carry(&mut self, from: usize, transmit: Transmit) {
        match transmit {
            Transmit::Admit { link } => drop(self.people[from].admitted.insert(link)),
            Transmit::Withhold { link } => drop(self.people[from].admitted.remove(&link)),
            Transmit::Close { net } => {
                self.stations.remove(&(from, net));
                self.cut(|ends| ends.contains(&(from, net)));
            }
            Transmit::Open { net, .. } => {
                self.stations.insert((from, net));
                let addresses = vec![Address(format!("{from}/{}", net.0))];
                self.on_the_way.push_back((from, Input::Listening { net, port: 1, addresses }));
            }
            Transmit::Dial { net, address } => self.dial((from, net), address),
            Transmit::Disconnect { link } => {
                if let Some(ends) = self.cables.remove(&link) {
                    self.on_the_way.extend(ends.map(|(who, _)| (who, Input::Disconnected { link })));
                }
            }
            Transmit::Frame { link, bytes } => {
                if let Some((to, _)) = self.other_end(link, from) {
                    self.frames.push((from, to, bytes.len()));
                    self.on_the_way.push_back((to, Input::Frame { link, bytes }));
                }
            }
            Transmit::Publish { bytes, .. } => {
                let heard = if self.hold { BTreeSet::new() } else { self.people[from].admitted.clone() };
                for link in heard {
                    let Some((to, net)) = self.other_end(link, from) else { continue };
                    if self.people[to].admitted.contains(&link) {
                        self.on_the_way.push_back((to, Input::Gossip { net, link: None, bytes: bytes.clone() }));
                    }
                }
                self.published.push(Sent { by: from, bytes });
            }
            Transmit::Known { .. } | Transmit::PassOn { .. } | Transmit::Topics { .. } => {}
        }
    }

    fn dial(&mut self, from: End, address: Address) {
        let end = address.0.split_once('/').and_then(|(who, net)| Some((who.parse().ok()?, NetId(net.parse().ok()?))));
        // Somebody may have said an address at which there is nobody.
        let Some((who, net)) = end.filter(|(who, _)| *who < self.people.len()) else {
            self.on_the_way.push_back((from.0, Input::DialFailed { net: from.1, address }));
            return;
        };
        let to = (who, self.redirects.get(&net).copied().unwrap_or(net));
        let up = |end: End| self.people[end.0].online && self.stations.contains(&end);
        let apart = self.wall.is_some_and(|wall| (from.0 < wall) != (to.0 < wall));
        if from.0 == to.0 || apart || !up(from) || !up(to) || (self.star && from.0 != ANA && to.0 != ANA) {
            self.on_the_way.push_back((from.0, Input::DialFailed { net: from.1, address }));
            return;
        }
        self.links += 1;
        let link = LinkId(self.links);
        self.cables.insert(link, [from, to]);
        for (end, other, address) in [(from, to, Some(address)), (to, from, None)] {
            let name = |end: End| end.0.to_be_bytes().to_vec();
            let ends = Ends { local: name(end), remote: name(other) };
            self.on_the_way.push_back((end.0, Input::Connected { net: end.1, link, ends, address }));
        }
    }

    fn other_end(&self, link: LinkId, who: usize) -> Option<End> {
        self.cables.get(&link)?.iter().find(|end| end.0 != who).copied()
    }

    fn cut(&mut self, which: impl Fn(&[End; 2]) -> bool) {
        let gone: Vec<_> =
            self.cables.iter().filter(|(_, ends)| which(ends)).map(|(link, ends)| (*link, *ends)).collect();
        for (link, ends) in gone {
            self.cables.remove(&link);
            self.on_the_way.extend(ends.map(|(who, _)| (who, Input::Disconnected { link })));
        }
    }

    /// A link between two people.
    #[must_use]
    pub fn link(&self, one: usize, other: usize) -> LinkId {
        let between = |ends: &[End; 2]| ends.iter().all(|end| end.0 == one || end.0 == other);
        *self.cables.iter().find(|(_, ends)| between(ends)).unwrap().0
    }

    /// Lets a device reach the others again, and nothing else.
    pub fn appear(&mut self, who: usize) {
        self.people[who].online = true;
    }

    /// Carries until nothing is on its way, whatever fails.
    pub fn settle_through(&mut self) -> usize {
        let mut failed = 0;
        for _ in 0..self.steps_max() {
            let Some((to, input)) = self.on_the_way.pop_front() else { return failed };
            failed += usize::from(self.give(to, input).is_err());
        }
        panic!("the clients never rest");
    }

    /// Whether there is a link between two people.
    #[must_use]
    pub fn linked(&self, one: usize, other: usize) -> bool {
        self.cables.values().any(|ends| ends.iter().all(|end| end.0 == one || end.0 == other))
    }

    /// Takes a device from the network, with all that is on its way to it.
    pub fn lose(&mut self, who: usize) {
        self.on_the_way.retain(|(to, _)| *to != who);
        self.offline(who);
    }

    /// Takes a device from the network.
    pub fn offline(&mut self, who: usize) {
        self.people[who].online = false;
        self.cut(|ends| ends.iter().any(|end| end.0 == who));
        self.settle();
    }

    /// The network falls into two parts.
    pub fn split(&mut self, wall: usize) {
        self.wall = Some(wall);
        self.cut(|ends| (ends[0].0 < wall) != (ends[1].0 < wall));
        self.settle();
    }

    /// Brings it back, and lets the others dial it at once, without time passing.
    pub fn meet(&mut self, who: usize) {
        self.people[who].online = true;
        self.restart(who);
    }

    /// Brings it back, and lets it find the others.
    pub fn online(&mut self, who: usize) {
        self.people[who].online = true;
        self.pass(120_000);
    }

    /// The device goes down without a word and comes up over the same rows.
    pub fn restart(&mut self, who: usize) {
        self.cut(|ends| ends.iter().any(|end| end.0 == who));
        let (disk, seed, now) = (self.people[who].disk.clone(), self.seed(), self.clock(who));
        self.turn_to(who);
        let (client, output) = Client::open_seeded(Box::new(disk), seed, now).unwrap();
        self.people[who].client = client;
        self.on_the_way.retain(|(to, _)| *to != who);
        self.make_true(who, output);
        self.settle();
    }

    /// A person's first group.
    #[must_use]
    pub fn view(&self, who: usize) -> GroupView {
        self.people[who].client.groups().remove(0)
    }

    /// Its network.
    #[must_use]
    pub fn net(&self, who: usize) -> NetId {
        self.view(who).net
    }

    /// What a person sees.
    pub fn lines(&mut self, who: usize) -> Vec<Line> {
        let (group, now) = (self.view(who).group, self.clock(who));
        self.people[who].client.history(group, None, now).unwrap()
    }

    /// What stands in a history, in order.
    pub fn texts(&mut self, who: usize) -> Vec<String> {
        self.lines(who).iter().filter_map(text_of).collect()
    }

    /// What was told, in the order of telling.
    #[must_use]
    pub fn told(&self, who: usize) -> Vec<String> {
        let line = |event: &Event| if let Event::Line { line, .. } = event { text_of(line) } else { None };
        self.people[who].events.iter().filter_map(line).collect()
    }

    /// How far a message has come, as its author sees it.
    pub fn state(&mut self, who: usize, id: MsgId) -> Option<MessageState> {
        self.lines(who).into_iter().find(|line| line.id == id).map(|line| line.state)
    }

    /// Who a person is in its first group.
    #[must_use]
    pub fn member(&self, who: usize) -> MemberId {
        let members = self.people[who].client.members(self.view(who).group).unwrap();
        members.iter().find(|member| member.own).unwrap().member
    }

    /// The people that a person sees in its first group.
    #[must_use]
    pub fn names(&self, who: usize) -> Vec<String> {
        let members = self.people[who].client.members(self.view(who).group).unwrap();
        members.into_iter().map(|member| member.name).collect()
    }
}

fn name(who: usize) -> String {
    ["Ana", "Ben", "Chi"].get(who).map_or_else(|| format!("Guest {who}"), |name| (*name).to_owned())
}

fn text_of(line: &Line) -> Option<String> {
    if let LineKind::Text(text) = &line.kind { Some(text.to_string()) } else { None }
}
