//! A member with a changed program, by hand, and what it may cost the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use zeroize::Zeroizing;

use super::*;
use crate::Client;
use crate::limits::{UNKNOWN_BY_PEER_MAX, UNKNOWN_MAX};
use crate::meet::hello::{Admission, Candidate};
use crate::meet::talk::{Heard, Talk};
use crate::persist::{ReadError, Rows, Value, WriteBatch};
use crate::step::{Command, Ends, Input, Outcome, Output, Reply};
use crate::wire::commit::Commit;
use crate::wire::control::{Control, Operation, Ticket};
use crate::wire::envelope::{EnvelopeKey, LifetimeClass};
use crate::wire::message::{Bytes, Greeting, Head, Message, Proof, Push};

#[derive(Clone, Default)]
struct Mem(Arc<Mutex<BTreeMap<Key, Value>>>, Arc<std::sync::atomic::AtomicUsize>);

impl Mem {
    fn write(&self, batch: WriteBatch) {
        let mut rows = self.0.lock().unwrap();
        for (key, value) in batch.rows {
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
    }

    fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())), Arc::default())
    }

    fn reads(&self) -> usize {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn group(&self) -> Group {
        let rows = self.0.lock().unwrap();
        let facts = rows.keys().find(|key| key.table == Table::Group && key.name.ends_with(b"facts")).unwrap();
        let net = NetId(u64::from_be_bytes(*facts.name.first_chunk().unwrap()));
        let loaded: Vec<LoadedRow> = rows
            .iter()
            .filter(|(key, _)| key.table != Table::Device && key.name.starts_with(&net.0.to_be_bytes()))
            .map(|(key, value)| (key.clone(), value.bytes.clone()))
            .collect();
        Group::load(net, &loaded).unwrap().unwrap()
    }

    fn bytes(&self) -> usize {
        self.0.lock().unwrap().values().map(|value| value.bytes.len()).sum()
    }
}

impl Rows for Mem {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(self.0.lock().unwrap().get(key).map(|value| value.bytes.clone()))
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        let rows = self.0.lock().unwrap().clone();
        for (key, value) in &rows {
            visit(key, &value.bytes);
        }
        Ok(())
    }
}

type End = (usize, NetId);

struct World {
    clients: Vec<Client>,
    disks: Vec<Mem>,
    now: Time,
    queue: VecDeque<(usize, Input)>,
    stations: BTreeSet<End>,
    cables: BTreeMap<LinkId, [End; 2]>,
    raws: BTreeMap<LinkId, Option<VecDeque<Vec<u8>>>>,
    links: u64,
    rng: ChaCha20Rng,
    hold: bool,
}

const ANA: usize = 0;
const BEN: usize = 1;

impl World {
    fn new(people: usize) -> (Self, GroupId) {
        let now = Time::from_ms(1_790_000_000_000);
        let mut world = Self {
            clients: Vec::new(),
            disks: Vec::new(),
            now,
            queue: VecDeque::new(),
            stations: BTreeSet::new(),
            cables: BTreeMap::new(),
            raws: BTreeMap::new(),
            links: 0,
            rng: ChaCha20Rng::from_seed([9; 32]),
            hold: false,
        };
        for n in 0..people {
            let disk = Mem::default();
            let (client, output) = Client::open(Box::new(disk.clone()), [u8::try_from(n).unwrap(); 32], now).unwrap();
            world.clients.push(client);
            world.disks.push(disk);
            world.done(n, output);
        }
        let create = Command::CreateGroup { name: "Circle".into(), display_name: "P0".into() };
        let Outcome::Applied(Reply::Group(group)) = world.ask(ANA, create) else { panic!() };
        for n in 1..people {
            let invite = Command::Invite { group, valid: Duration::from_secs(86_400) };
            let Outcome::Applied(Reply::Invite { text, .. }) = world.ask(ANA, invite) else { panic!() };
            world.ask(n, Command::Join { invite: text, display_name: format!("P{n}") });
            world.pass(3);
            assert_eq!(world.clients[n].groups().len(), 1);
        }
        world.pass(5);
        (world, group)
    }

    fn give(&mut self, who: usize, input: Input) -> Outcome {
        let output = self.clients[who].handle(input, self.now).unwrap();
        self.done(who, output)
    }

    fn ask(&mut self, who: usize, command: Command) -> Outcome {
        let outcome = self.give(who, Input::Command(command));
        self.settle();
        outcome
    }

    fn done(&mut self, who: usize, output: Output) -> Outcome {
        self.disks[who].write(output.batch);
        self.clients[who].durable();
        for transmit in output.transmits {
            self.carry(who, transmit);
        }
        output.outcome
    }

    fn settle(&mut self) {
        while let Some((who, input)) = self.queue.pop_front() {
            self.give(who, input);
        }
    }

    /// Seconds pass.
    fn pass(&mut self, secs: u64) {
        self.settle();
        for _ in 0..secs * 10 {
            self.now = self.now + Duration::from_millis(100);
            for who in 0..self.clients.len() {
                if self.clients[who].deadline().is_some_and(|due| due <= self.now) {
                    self.give(who, Input::Deadline);
                    self.settle();
                }
            }
        }
    }

    fn carry(&mut self, from: usize, transmit: Transmit) {
        match transmit {
            Transmit::Open { net, .. } => {
                self.stations.insert((from, net));
                let addresses = vec![Address(format!("{from}/{}", net.0))];
                self.queue.push_back((from, Input::Listening { net, port: 1, addresses }));
            }
            Transmit::Close { net } => {
                self.stations.remove(&(from, net));
                let gone: Vec<_> =
                    self.cables.iter().filter(|(_, ends)| ends.contains(&(from, net))).map(|(id, _)| *id).collect();
                for link in gone {
                    self.carry(from, Transmit::Disconnect { link });
                }
            }
            Transmit::Dial { net, address } => {
                let (who, to) = address.0.split_once('/').unwrap();
                let to: End = (who.parse().unwrap(), NetId(to.parse().unwrap()));
                let from: End = (from, net);
                if !self.stations.contains(&to) || !self.stations.contains(&from) || from.0 == to.0 {
                    return;
                }
                self.links += 1;
                let link = LinkId(self.links);
                self.cables.insert(link, [from, to]);
                for (end, other, address) in [(from, to, Some(address)), (to, from, None)] {
                    let name = |end: End| vec![u8::try_from(end.0).unwrap()];
                    let ends = Ends { local: name(end), remote: name(other) };
                    self.queue.push_back((end.0, Input::Connected { net: end.1, link, ends, address }));
                }
            }
            Transmit::Disconnect { link } => {
                if let Some(ends) = self.cables.remove(&link) {
                    for (who, _) in ends {
                        self.queue.push_back((who, Input::Disconnected { link }));
                    }
                } else if let Some(raw) = self.raws.get_mut(&link) {
                    *raw = None;
                    self.queue.push_back((from, Input::Disconnected { link }));
                }
            }
            Transmit::Frame { link, bytes } => {
                if let Some(ends) = self.cables.get(&link) {
                    let to = ends.iter().find(|end| end.0 != from).unwrap().0;
                    self.queue.push_back((to, Input::Frame { link, bytes }));
                } else if let Some(Some(raw)) = self.raws.get_mut(&link) {
                    raw.push_back(bytes);
                }
            }
            Transmit::Publish { bytes, .. } => {
                if self.hold {
                    return;
                }
                let ends: Vec<_> = self.cables.values().filter(|ends| ends.iter().any(|end| end.0 == from)).collect();
                for ends in ends {
                    let to = ends.iter().find(|end| end.0 != from).unwrap();
                    self.queue.push_back((to.0, Input::Gossip { net: to.1, link: None, bytes: bytes.clone() }));
                }
            }
            Transmit::Admit { .. } | Transmit::Topics { .. } | Transmit::Withhold { .. } => {}
        }
    }

    /// Takes a device from the network.
    fn unplug(&mut self, who: usize) {
        let stations: Vec<_> = self.stations.iter().filter(|end| end.0 == who).copied().collect();
        for (who, net) in stations {
            self.carry(who, Transmit::Close { net });
        }
        self.settle();
    }

    fn net(&self, who: usize) -> NetId {
        self.clients[who].groups()[0].net
    }
}

/// A changed program with the rows of a member.
struct Raw {
    talk: Talk,
    link: LinkId,
    heard: Vec<Message>,
}

impl Raw {
    /// Links with Ana and greets as the member whose rows these are.
    fn link(world: &mut World, rows: &Mem) -> Self {
        let me = rows.group();
        world.links += 1;
        let link = LinkId(world.links);
        world.raws.insert(link, Some(VecDeque::new()));
        let (ours, hers) = (vec![200, u8::try_from(link.0 % 200).unwrap()], vec![0]);
        let (talk, frame) = Talk::begin(Ends { local: ours.clone(), remote: hers.clone() }, &mut world.rng);
        let mut raw = Self { talk, link, heard: Vec::new() };
        let net = world.net(ANA);
        let ends = Ends { local: hers, remote: ours };
        world.give(ANA, Input::Connected { net, link, ends, address: None });
        world.give(ANA, Input::Frame { link, bytes: frame });
        let candidates: Vec<Candidate> = me
            .generations
            .values()
            .map(|generation| Candidate {
                admission: Admission::Member(generation.rank()),
                key: generation.hello_key(),
            })
            .collect();
        while let Some(bytes) = raw.next(world) {
            match raw.talk.hear(&bytes, || candidates.clone(), &mut world.rng).ok().unwrap() {
                Heard::Answer(frame) => drop(world.give(ANA, Input::Frame { link, bytes: frame })),
                Heard::Sealed(_) => {
                    let binding = raw.talk.binding("member", true).unwrap();
                    let proof = Proof { credential: me.me.credential.encode(), signature: me.me.sign_hash(&binding) };
                    let head = Head { epoch: me.facts.head, number: me.head().unwrap().number, since: 0 };
                    let greeting = Greeting { clock: world.now, member: Some(proof), head: Some(head), answerer: None };
                    raw.say(world, &Message::Greeting(Box::new(greeting)));
                }
                Heard::Message(message) => raw.heard.push(*message),
            }
        }
        raw
    }

    fn next(&self, world: &mut World) -> Option<Vec<u8>> {
        world.raws.get_mut(&self.link)?.as_mut()?.pop_front()
    }

    fn up(&self, world: &World) -> bool {
        world.raws[&self.link].is_some()
    }

    fn say(&mut self, world: &mut World, message: &Message) -> Outcome {
        let bytes = self.talk.say(message).unwrap();
        world.give(ANA, Input::Frame { link: self.link, bytes })
    }

    fn hear(&mut self, world: &mut World) {
        while let Some(bytes) = self.next(world) {
            if let Heard::Message(message) = self.talk.hear(&bytes, Vec::new, &mut world.rng).ok().unwrap() {
                self.heard.push(*message);
            }
        }
    }

    fn push(&mut self, world: &mut World, envelopes: Vec<Vec<u8>>) -> Outcome {
        self.say(world, &Message::Push(Push { envelopes: envelopes.into_iter().map(Bytes).collect(), more: false }))
    }
}

/// An envelope as anybody with these keys can make it.
fn forge(world: &mut World, rows: &Mem, hour: u32, key: &EnvelopeKey, body: &[u8]) -> Vec<u8> {
    let lane = rows.group().newest().unwrap().lane(hour / 24);
    let mut nonce = [0; 24];
    world.rng.fill_bytes(&mut nonce);
    Envelope::seal(key, &lane, hour, LifetimeClass::Week, &nonce, body).unwrap().as_bytes().to_vec()
}

/// Commits that nobody signed, on the state that a member stood on.
fn junk_commits(world: &mut World, rows: &Mem, version: u16, count: usize) -> Vec<Vec<u8>> {
    let group = rows.group();
    let parent = group.facts.head;
    let key = group.epochs.get(&parent).unwrap().keys.as_ref().unwrap().commit.clone();
    let generation = group.newest().unwrap().clone();
    let hour = world.now.hour();
    let lane = generation.lane(hour / 24);
    (0..count)
        .map(|n| {
            let commit =
                Commit { version, group: group.id, parent, mls: n.to_be_bytes().to_vec(), tickets: Vec::new() };
            let mut nonce = [0; 24];
            world.rng.fill_bytes(&mut nonce);
            let body = crate::wire::encode(&commit);
            Envelope::seal(&key, &lane, hour, LifetimeClass::Quarter, &nonce, &body).unwrap().as_bytes().to_vec()
        })
        .collect()
}

/// Ben, removed, keeps his rows and a changed program.
fn removed(people: usize) -> (World, GroupId, Mem) {
    let (mut world, group) = World::new(people);
    let rows = world.disks[BEN].copy();
    let member = rows.group().me.member();
    world.unplug(BEN);
    world.ask(ANA, Command::Remove { group, member });
    world.pass(10);
    (world, group, rows)
}

#[test]
fn a_removed_member_cannot_fill_what_waits_beyond_its_bound() {
    let (mut world, _, rows) = removed(2);
    let mut left: Vec<_> = junk_commits(&mut world, &rows, 2, UNKNOWN_MAX + 1);
    let mut raw = Raw::link(&mut world, &rows);
    while !left.is_empty() {
        if !raw.up(&world) {
            raw = Raw::link(&mut world, &rows);
        }
        let part = left.split_off(left.len().saturating_sub(100));
        raw.push(&mut world, part);
    }
    let ana = world.disks[ANA].group();
    assert!(ana.log.unknown().len() <= UNKNOWN_BY_PEER_MAX, "{} wait", ana.log.unknown().len());
}

#[test]
fn unsigned_rival_commits_of_a_removed_member_are_not_kept_for_ever() {
    let (mut world, _, rows) = removed(2);
    let before = (world.disks[ANA].group().log.reconciled().count(), world.disks[ANA].bytes());
    let junk = junk_commits(&mut world, &rows, 1, UNKNOWN_BY_PEER_MAX + 1_000);
    let mut raw = Raw::link(&mut world, &rows);
    for part in junk.chunks(100) {
        raw.push(&mut world, part.to_vec());
    }
    // A hundred days later.
    world.now = world.now + Duration::from_secs(20 * 86_400);
    for _ in 0..6 {
        world.pass(1);
        world.now = world.now + Duration::from_secs(20 * 86_400);
    }
    world.pass(10);
    let after = (world.disks[ANA].group().log.reconciled().count(), world.disks[ANA].bytes());
    assert!(after.0 <= before.0 + 10, "{before:?} {after:?}");
}

#[test]
fn tickets_of_a_removed_member_have_a_bound() {
    let (mut world, _, rows) = removed(2);
    let me = rows.group();
    let key = me.newest().unwrap().control_key();
    let hour = world.now.hour();
    let before = world.disks[ANA].group().log.reconciled().count();
    let mut raw = Raw::link(&mut world, &rows);
    for n in 0..60_u64 {
        let mut part = Vec::new();
        for m in 0..100 {
            let ticket = Ticket {
                group: me.id,
                operation: Operation::Leave,
                target: me.me.member(),
                sequence: 1 + n * 100 + m,
                epoch: me.facts.head,
                number: 0,
                issuer: me.me.key(),
                key_package: None,
                policy: None,
            };
            let signed = me.me.sign(me.id, &ticket);
            part.push(forge(&mut world, &rows, hour, &key, &crate::wire::encode(&Control::Ticket(signed))));
        }
        raw.push(&mut world, part);
    }
    let after = world.disks[ANA].group().log.reconciled().count();
    assert!(after - before <= UNKNOWN_BY_PEER_MAX, "{before} {after}");
}

/// A removed member's changed program keeps its link open; no comparison of logs may reach it.
#[test]
fn who_is_removed_hears_no_reconciliation() {
    let (mut world, group) = World::new(2);
    let rows = world.disks[BEN].copy();
    let member = rows.group().me.member();
    world.unplug(BEN);
    let mut raw = Raw::link(&mut world, &rows);
    raw.hear(&mut world);
    assert!(raw.heard.iter().any(|message| matches!(message, Message::Reconcile(_))), "ana opens");
    world.pass(597);
    raw.hear(&mut world);
    world.ask(ANA, Command::Remove { group, member });
    raw.hear(&mut world);
    assert!(raw.up(&world));
    raw.heard.clear();
    world.pass(4);
    raw.hear(&mut world);
    assert!(!raw.heard.iter().any(|message| matches!(message, Message::Reconcile(_))));
}

/// A removed member asks for what was committed after its removal, by the heads that greetings show.
#[test]
fn who_is_removed_is_shown_no_later_commit() {
    let (mut world, group, rows) = removed(2);
    let raw = Raw::link(&mut world, &rows);
    let head = raw.heard.iter().find_map(|message| match message {
        Message::Greeting(greeting) => greeting.head,
        _ => None,
    });
    let head = head.unwrap();
    world.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(86_400) });
    world.pass(30);
    let mut raw = Raw::link(&mut world, &rows);
    raw.heard.clear();
    raw.say(&mut world, &Message::After(head.epoch));
    raw.hear(&mut world);
    let pushed = raw.heard.iter().filter(|message| matches!(message, Message::Push(_))).count();
    assert_eq!(pushed, 0, "head {} shown", head.number);
}

/// One message from too far ahead, and junk up to the bound: what does each honest message cost from then on?
#[test]
fn a_gap_that_never_closes_does_not_make_every_message_read_everything() {
    let (mut world, group) = World::new(3);
    world.pass(5);
    world.hold = true;
    let text = |n: usize| Command::Send { group, text: Zeroizing::new(format!("m{n}")), expires: None };
    // Ben encrypts far ahead; only the last one is given away.
    let mut last = Vec::new();
    let mut frames = Vec::new();
    for n in 0..1_005 {
        let output = world.clients[BEN].handle(Input::Command(text(n)), world.now).unwrap();
        for transmit in output.transmits {
            match transmit {
                Transmit::Publish { bytes, .. } => last = bytes,
                other => frames.push(other),
            }
        }
        world.disks[BEN].write(output.batch);
        world.clients[BEN].durable();
    }
    world.unplug(BEN);
    let net = world.net(ANA);
    let outcome = world.give(ANA, Input::Gossip { net, link: None, bytes: last });
    assert_eq!(outcome, Outcome::Parked(crate::error::Why::Gap));
    let rows = world.disks[BEN].copy();
    let hour = world.now.hour();
    let key = EnvelopeKey::new(&[3; 32]);
    for n in 0..2_000_u32 {
        let bytes = forge(&mut world, &rows, hour, &key, &n.to_be_bytes());
        world.give(ANA, Input::Gossip { net, link: None, bytes });
    }
    world.hold = false;
    for n in 0..3 {
        let before = world.disks[ANA].reads();
        let outcome = world.ask(2, text(n));
        let cost = world.disks[ANA].reads() - before;
        assert!(cost < 100, "{cost} reads for one honest message: {outcome:?}");
    }
}

/// A flood under newer versions: the honest envelope of an epoch that is not known yet is turned away.
#[test]
fn a_flood_of_newer_versions_leaves_room_for_the_others() {
    let (mut world, _, rows) = removed(2);
    let mut raw = Raw::link(&mut world, &rows);
    let junk = junk_commits(&mut world, &rows, 2, UNKNOWN_MAX);
    for part in junk.chunks(100) {
        if !raw.up(&world) {
            raw = Raw::link(&mut world, &rows);
        }
        raw.push(&mut world, part.to_vec());
    }
    let own = world.disks[ANA].copy();
    let (hour, net) = (world.now.hour(), world.net(ANA));
    let bytes = forge(&mut world, &own, hour, &EnvelopeKey::new(&[3; 32]), b"of an epoch to come");
    let outcome = world.give(ANA, Input::Gossip { net, link: None, bytes });
    assert_eq!(outcome, Outcome::Parked(crate::error::Why::UnknownEpoch));
}

/// What a member leaves in the log is gone when its class ends: no stamp of an hour makes it stay.
#[test]
fn no_hour_keeps_an_id_for_ever() {
    let (mut world, _) = World::new(2);
    let rows = world.disks[BEN].copy();
    world.unplug(BEN);
    let me = rows.group();
    let parent = me.facts.head;
    let key = me.epochs.get(&parent).unwrap().keys.as_ref().unwrap().content.clone();
    let hour = u32::MAX;
    // An MLS message of Ben's under the outer seal of an hour in the year 491,936.
    let net = world.net(ANA);
    let before = world.disks[ANA].group().log.reconciled().count();
    let stack = crate::journal::Stack::new(Box::new(rows.copy()));
    let provider = crate::mls::Provider::new(ChaCha20Rng::from_seed([5; 32]));
    let mut rng = ChaCha20Rng::from_seed([6; 32]);
    let mut clock = crate::clock::Clock::default();
    let now = crate::clock::Now { wall: world.now, stamp: world.now, sweep: world.now, follows: Some(world.now) };
    let mut cx = Cx::new(crate::journal::Tx::new(&stack), &provider, &mut rng, &mut clock, now);
    let mut me = rows.group();
    let content = crate::wire::content::Content {
        version: 1,
        author: me.me.key(),
        pos: world.now,
        parents: Vec::new(),
        deadline: world.now + Duration::from_secs(60),
        class: crate::wire::content::Class::Talk,
        kind: crate::wire::content::Kind::Text("short".into()),
    };
    let signed = me.me.sign(me.id, &content);
    let plain = crate::wire::encode(&signed);
    let signer = Signer::new(&me.me.device_secret());
    let (net_b, id) = (me.net, me.id);
    let mls =
        me.epochs.with(&mut cx, net_b, id, &parent, |state, mls| state.encrypt(mls, &signer, &plain)).unwrap().unwrap();
    let leaf = me.roster().unwrap().seat(&me.me.member()).unwrap().leaf;
    let body = crate::wire::encode(&crate::wire::content::Numbered { leaf, count: 0, burnt: 0, mls });
    let bytes = forge(&mut world, &rows, hour, &key, &body);
    let outcome = world.give(ANA, Input::Gossip { net, link: None, bytes });
    assert_eq!(outcome, Outcome::Refused(crate::error::Refusal::WrongLane));
    assert_eq!(world.disks[ANA].group().log.reconciled().count(), before);
}
