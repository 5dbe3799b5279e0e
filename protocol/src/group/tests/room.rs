//! People with linked devices, for the tests: what one sends is carried at once, and a test reaches inside a group to do
//! what no command does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

use super::disk::Disk;
use crate::Client;
use crate::group::{Cx, Group};
use crate::id::{EnvelopeId, EpochId, GroupId, LinkId, MemberId, NetId};
use crate::persist::{Key, Table, Value};
use crate::step::{Address, Command, Ends, Event, Input, Line, LineKind, Outcome, Output, Reply, Transmit};
use crate::time::Time;

pub(super) const ANA: usize = 0;
pub(super) const BEN: usize = 1;
pub(super) const CHI: usize = 2;
pub(super) const DAN: usize = 3;
pub(super) const EVE: usize = 4;
const NAMES: [&str; 12] = ["Ana", "Ben", "Chi", "Dan", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon", "Kim", "Leo"];

struct Person {
    client: Client,
    disk: Disk,
    net: Option<NetId>,
    away: bool,
    told: Vec<String>,
}

/// Where a device stands: its head, its people, and its rows but for the log and the clock.
#[derive(PartialEq, Eq)]
pub(super) struct Stands {
    pub(super) head: EpochId,
    pub(super) people: Vec<MemberId>,
    rows: BTreeMap<Key, Value>,
}

/// The other end of a link that no device of the room has.
struct Plug {
    of: usize,
    frames: VecDeque<Vec<u8>>,
}

/// Everything there is.
pub(super) struct Room {
    people: Vec<Person>,
    pub(super) group: GroupId,
    pub(super) now: Time,
    /// For what is made by hand.
    pub(super) rng: ChaCha20Rng,
    way: VecDeque<(usize, Input)>,
    cables: BTreeMap<LinkId, [usize; 2]>,
    plugs: BTreeMap<LinkId, Plug>,
    links: u64,
    changes: u64,
    /// Every envelope that anybody published, in order.
    pub(super) published: Vec<Vec<u8>>,
    /// What a device passed on by gossip only later.
    pub(super) passed_on: Vec<(usize, EnvelopeId)>,
    /// Somebody whom no frame reaches.
    pub(super) deaf: Option<usize>,
    carried: BTreeMap<usize, usize>,
}

impl Room {
    /// Ana's group with so many people in it.
    pub(super) fn of(people: usize) -> Self {
        Self::open(people, people)
    }

    /// So many devices, and Ana's group with the first of them in it.
    pub(super) fn open(devices: usize, people: usize) -> Self {
        let now = Time::from_ms(1_790_000_000_000);
        let mut room = Self {
            people: Vec::new(),
            group: GroupId::from_bytes([0; 16]),
            now,
            rng: ChaCha20Rng::from_seed([9; 32]),
            way: VecDeque::new(),
            cables: BTreeMap::new(),
            plugs: BTreeMap::new(),
            links: 0,
            changes: 0,
            published: Vec::new(),
            passed_on: Vec::new(),
            deaf: None,
            carried: BTreeMap::new(),
        };
        for who in 0..devices {
            let disk = Disk::default();
            let seed = [u8::try_from(who).unwrap() + 1; 32];
            let (client, output) = Client::open(Box::new(disk.clone()), seed, now).unwrap();
            room.people.push(Person { client, disk, net: None, away: false, told: Vec::new() });
            room.make_true(who, output);
        }
        let create = Command::CreateGroup { name: "Circle".into(), display_name: "Ana".into() };
        let Reply::Group(group) = room.ask(ANA, create) else { panic!("no group") };
        room.group = group;
        for guest in 1..people {
            room.join(guest);
        }
        room.pass(5_000);
        for who in 0..people {
            assert_eq!(room.stands(who).people.len(), people);
        }
        room
    }

    /// Ana lets somebody in.
    pub(super) fn join(&mut self, guest: usize) {
        let invite = Command::Invite { group: self.group, valid: Duration::from_secs(3_600) };
        let Reply::Invite { text, .. } = self.ask(ANA, invite) else { panic!("no invite") };
        let display_name = NAMES.get(guest).map_or_else(|| format!("Guest {guest}"), |name| (*name).to_owned());
        self.ask(guest, Command::Join { invite: text, display_name });
        self.pass(3_000);
    }

    /// Gives a device one input, and makes true what follows, but carries nothing yet.
    pub(super) fn give(&mut self, who: usize, input: Input) -> Outcome {
        let output = self.people[who].client.handle(input, self.now).unwrap();
        self.make_true(who, output)
    }

    /// Gives a device an envelope as gossip brings it, but carries nothing yet.
    pub(super) fn hear(&mut self, who: usize, bytes: Vec<u8>) -> Outcome {
        let net = self.people[who].net.unwrap();
        self.give(who, Input::Gossip { net, link: None, bytes })
    }

    /// Gives a device an envelope as gossip brings it, and everything that follows at once happens.
    pub(super) fn gossip(&mut self, who: usize, bytes: Vec<u8>) -> Outcome {
        let outcome = self.hear(who, bytes);
        self.settle();
        outcome
    }

    /// A person asks, and everything that follows at once happens.
    pub(super) fn ask(&mut self, who: usize, command: Command) -> Reply {
        let Outcome::Applied(reply) = self.give(who, Input::Command(command)) else { panic!("not applied") };
        self.settle();
        reply
    }

    /// Somebody says something for as long as the group keeps it.
    pub(super) fn says(&mut self, who: usize, text: &str) {
        let text = Zeroizing::new(text.to_owned());
        self.ask(who, Command::Send { group: self.group, text, expires: None });
    }

    /// The same, of a device that goes on in one epoch however much it has said (PROTOCOL C7).
    pub(super) fn says_on(&mut self, who: usize, text: &str) {
        let text = Zeroizing::new(text.to_owned());
        let Outcome::Applied(Reply::Message { id, .. }) =
            self.give(who, Input::Command(Command::Send { group: self.group, text, expires: None }))
        else {
            panic!("not applied")
        };
        let act = |group: &mut Group, cx: &mut Cx<'_>| {
            super::gaps::rests_never(group);
            group.seal_message(cx, id).unwrap();
        };
        let (_, output) = self.people[who].client.inside(self.now, act);
        self.make_true(who, output);
    }

    /// Ana changes the rules as she may.
    pub(super) fn change_rules(&mut self) {
        self.changes += 1;
        let retention = Duration::from_secs(86_400 + self.changes);
        self.ask(ANA, Command::SetRetention { group: self.group, retention });
    }

    /// Ana takes somebody out.
    pub(super) fn remove(&mut self, who: usize) {
        let member = self.see(who, |group| group.me.member());
        self.ask(ANA, Command::Remove { group: self.group, member });
    }

    /// Does something inside a device's group, as a step of its own; says what that sends, and sends nothing.
    pub(super) fn inside<T>(
        &mut self,
        who: usize,
        act: impl FnOnce(&mut Group, &mut Cx<'_>) -> T,
    ) -> (T, Vec<Transmit>) {
        let (made, output) = self.people[who].client.inside(self.now, act);
        self.people[who].disk.write(output.batch);
        self.people[who].client.durable();
        (made, output.transmits)
    }

    /// The network of a device.
    pub(super) fn net(&self, who: usize) -> NetId {
        self.people[who].net.unwrap()
    }

    /// The bytes of all frames that were carried to a device.
    pub(super) fn carried_to(&self, who: usize) -> usize {
        self.carried.get(&who).copied().unwrap_or(0)
    }

    /// The stream between two devices.
    pub(super) fn link(&self, one: usize, other: usize) -> LinkId {
        let between = |ends: &[usize; 2]| ends.contains(&one) && ends.contains(&other);
        self.cables.iter().find(|(_, ends)| between(ends)).map(|(link, _)| *link).unwrap()
    }

    /// The power of a device goes and comes back.
    pub(super) fn restart(&mut self, who: usize) {
        self.unlink(who);
        let (disk, seed) = (self.people[who].disk.clone(), [100 + u8::try_from(who).unwrap(); 32]);
        let (client, output) = Client::open(Box::new(disk), seed, self.now).unwrap();
        self.people[who].client = client;
        self.way.retain(|(to, _)| *to != who);
        self.make_true(who, output);
    }

    /// Looks inside a device's group.
    pub(super) fn see<T>(&mut self, who: usize, look: impl FnOnce(&Group) -> T) -> T {
        self.inside(who, |group, _| look(group)).0
    }

    /// A device's rows.
    pub(super) fn disk(&self, who: usize) -> &Disk {
        &self.people[who].disk
    }

    /// Where a device stands.
    pub(super) fn stands(&mut self, who: usize) -> Stands {
        let (head, people) = self.see(who, |group| {
            let seats = group.roster().unwrap().seats().iter();
            (group.facts.head, seats.map(|seat| seat.member).collect())
        });
        let mut rows = self.people[who].disk.all();
        rows.retain(|key, _| !matches!(key.table, Table::Device | Table::Envelope | Table::Tombstone));
        Stands { head, people, rows }
    }

    /// What a device shows.
    pub(super) fn lines(&mut self, who: usize) -> Vec<Line> {
        let (group, now) = (self.group, self.now);
        self.people[who].client.history(group, None, now).unwrap()
    }

    /// The lines of text that a device shows.
    pub(super) fn texts(&mut self, who: usize) -> Vec<String> {
        let lines = self.lines(who);
        let text = |line: Line| match line.kind {
            LineKind::Text(text) => Some(text.to_string()),
            _ => None,
        };
        lines.into_iter().filter_map(text).collect()
    }

    /// What a device told its person, in the order of telling.
    pub(super) fn told(&self, who: usize) -> Vec<String> {
        self.people[who].told.clone()
    }

    fn make_true(&mut self, who: usize, output: Output) -> Outcome {
        for event in &output.events {
            if let Event::Line { line, .. } = event
                && let LineKind::Text(text) = &line.kind
            {
                self.people[who].told.push(text.to_string());
            }
        }
        self.people[who].disk.write(output.batch);
        self.people[who].client.durable();
        for transmit in output.transmits {
            self.carry(who, transmit);
        }
        output.outcome
    }

    fn carry(&mut self, from: usize, transmit: Transmit) {
        match transmit {
            Transmit::Open { net, .. } => {
                self.people[from].net = Some(net);
                let addresses = vec![Address(from.to_string())];
                self.way.push_back((from, Input::Listening { net, port: 1, addresses }));
            }
            Transmit::Dial { net, address } => {
                let to: usize = address.0.parse().unwrap();
                let away = self.people[from].away || self.people[to].away || self.people[to].net.is_none();
                if from == to || away {
                    self.way.push_back((from, Input::DialFailed { net, address }));
                } else {
                    self.connect(from, to);
                }
            }
            Transmit::Close { .. } => {
                self.people[from].net = None;
                self.unlink(from);
            }
            Transmit::Disconnect { link } => {
                self.cut(|cable, _| *cable == link);
                self.unplug(|plug, _| *plug == link);
            }
            Transmit::Frame { link, bytes } => {
                if let Some(plug) = self.plugs.get_mut(&link) {
                    plug.frames.push_back(bytes);
                    return;
                }
                let ends = self.cables.get(&link).into_iter().flatten();
                if let Some(to) = ends.copied().find(|end| *end != from && self.deaf != Some(*end)) {
                    *self.carried.entry(to).or_default() += bytes.len();
                    self.way.push_back((to, Input::Frame { link, bytes }));
                }
            }
            Transmit::PassOn { id, .. } => self.passed_on.push((from, id)),
            Transmit::Publish { bytes, .. } => {
                let linked = self.cables.values().filter(|ends| ends.contains(&from)).flatten();
                let others: Vec<usize> = linked.copied().filter(|to| *to != from).collect();
                for to in others {
                    let Some(net) = self.people[to].net else { continue };
                    self.way.push_back((to, Input::Gossip { net, link: None, bytes: bytes.clone() }));
                }
                self.published.push(bytes);
            }
            Transmit::Admit { .. } | Transmit::Known { .. } | Transmit::Topics { .. } | Transmit::Withhold { .. } => {}
        }
    }

    /// A stream opens between two devices.
    pub(super) fn connect(&mut self, one: usize, other: usize) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.cables.insert(link, [one, other]);
        for (end, peer, address) in [(one, other, Some(Address(other.to_string()))), (other, one, None)] {
            let ends = Ends { local: end.to_be_bytes().to_vec(), remote: peer.to_be_bytes().to_vec() };
            let net = self.people[end].net.unwrap();
            self.way.push_back((end, Input::Connected { net, link, ends, address }));
        }
        link
    }

    /// A stream opens between a device and whoever calls this.
    pub(super) fn plug(&mut self, of: usize, ends: Ends) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.plugs.insert(link, Plug { of, frames: VecDeque::new() });
        let net = self.people[of].net.unwrap();
        self.give(of, Input::Connected { net, link, ends, address: None });
        link
    }

    /// The next frame for whoever plugged in.
    pub(super) fn next_frame(&mut self, plug: LinkId) -> Option<Vec<u8>> {
        self.plugs.get_mut(&plug)?.frames.pop_front()
    }

    /// Whether the stream is still open.
    pub(super) fn is_plugged(&self, plug: LinkId) -> bool {
        self.plugs.contains_key(&plug)
    }

    fn unplug(&mut self, which: impl Fn(&LinkId, &Plug) -> bool) {
        let gone: Vec<_> = self.plugs.iter().filter(|(link, plug)| which(link, plug)).map(|(link, _)| *link).collect();
        for link in gone {
            let plug = self.plugs.remove(&link).unwrap();
            self.way.push_back((plug.of, Input::Disconnected { link }));
        }
    }

    fn unlink(&mut self, who: usize) {
        self.cut(|_, ends| ends.contains(&who));
        self.unplug(|_, plug| plug.of == who);
    }

    fn cut(&mut self, which: impl Fn(&LinkId, &[usize; 2]) -> bool) {
        let gone: Vec<_> = self.cables.iter().filter(|(link, ends)| which(link, ends)).map(|(link, _)| *link).collect();
        for link in gone {
            let ends = self.cables.remove(&link).unwrap();
            self.way.extend(ends.map(|who| (who, Input::Disconnected { link })));
        }
    }

    /// A stream between two devices breaks.
    pub(super) fn hang_up(&mut self, link: LinkId) {
        self.cut(|cable, _| *cable == link);
        self.settle();
    }

    /// Takes a device from the network.
    pub(super) fn lose(&mut self, who: usize) {
        self.people[who].away = true;
        self.unlink(who);
        self.settle();
    }

    /// What is on its way to somebody is lost.
    pub(super) fn drop_frames_to(&mut self, who: usize) {
        self.way.retain(|(to, _)| *to != who);
    }

    /// Carries one thing. Whether there was any.
    pub(super) fn step(&mut self) -> bool {
        let next = self.way.pop_front();
        next.map(|(to, input)| self.give(to, input)).is_some()
    }

    /// Carries until nothing is on its way.
    pub(super) fn settle(&mut self) {
        let rested = (0..10_000).any(|_| !self.step());
        assert!(rested, "the clients never rest");
    }

    /// Time passes; deadlines are kept.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        self.settle();
        for _ in 0..10_000 {
            let due = (0..self.people.len()).filter_map(|who| Some((self.people[who].client.deadline()?, who)));
            let Some((at, who)) = due.min().filter(|(at, _)| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.give(who, Input::Deadline);
            self.settle();
        }
        panic!("the clients never rest");
    }

    /// Everybody sleeps for so many hours.
    pub(super) fn skip_hours(&mut self, hours: u64) {
        self.now = self.now + Duration::from_secs(hours * 3_600);
    }
}
