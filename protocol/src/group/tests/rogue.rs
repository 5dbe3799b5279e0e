//! A changed program with the rows of a member, and what it makes by hand.

use rand_core::RngCore as _;

use super::disk::Disk;
use super::room::{BEN, Room};
use crate::group::Group;
use crate::id::LinkId;
use crate::identity::Identity;
use crate::meet::hello::{Admission, Candidate};
use crate::meet::reconcile::{Session, Step};
use crate::meet::talk::{Heard, Talk};
use crate::step::{Ends, Input, Outcome};
use crate::time::Time;
use crate::wire;
use crate::wire::commit::Commit;
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::message::{Bytes, Greeting, Head, Message, Proof, Push};

/// One link of a changed program to a device of the room.
pub(super) struct Rogue {
    talk: Talk,
    pub(super) link: LinkId,
    victim: usize,
    pub(super) heard: Vec<Message>,
}

impl Rogue {
    /// Links with a device and greets as the member whose rows these are.
    pub(super) fn link(room: &mut Room, rows: &Disk, victim: usize) -> Self {
        let number = rows.group().head().unwrap().number;
        Self::link_at(room, rows, victim, number)
    }

    /// The same, and claims to stand on a head with this number.
    pub(super) fn link_at(room: &mut Room, rows: &Disk, victim: usize, number: u64) -> Self {
        let me = rows.group();
        Self::link_as(room, (&me, &me.me), victim, number)
    }

    /// The same, under any name.
    pub(super) fn link_as(room: &mut Room, who: (&Group, &Identity), victim: usize, number: u64) -> Self {
        let clock = room.now;
        Self::link_by(room, who, victim, number, clock)
    }

    /// The same, by any clock.
    pub(super) fn link_by(
        room: &mut Room,
        (me, name): (&Group, &Identity),
        victim: usize,
        number: u64,
        clock: Time,
    ) -> Self {
        let mut ours = vec![200; 32];
        room.rng.fill_bytes(&mut ours[1..]);
        let theirs = victim.to_be_bytes().to_vec();
        let (talk, frame) = Talk::begin(Ends { local: ours.clone(), remote: theirs.clone() }, &mut room.rng);
        let link = room.plug(victim, Ends { local: theirs, remote: ours });
        let mut rogue = Self { talk, link, victim, heard: Vec::new() };
        rogue.frame(room, frame);
        let candidates = || {
            let generations = me.generations.values();
            let candidate = |rank, key| Candidate { admission: Admission::Member(rank), key };
            generations.map(|generation| candidate(generation.rank(), generation.hello_key())).collect()
        };
        while let Some(bytes) = room.next_frame(link) {
            match rogue.talk.hear(&bytes, candidates, &mut room.rng).ok().unwrap() {
                Heard::Answer(frame) => drop(rogue.frame(room, frame)),
                Heard::Sealed(_) => {
                    let binding = rogue.talk.binding("member", true).unwrap();
                    let proof = Proof { credential: name.credential.encode(), signature: name.sign_hash(&binding) };
                    let head = Head { epoch: me.facts.head, number, since: 0 };
                    let greeting =
                        Greeting { clock, member: Some(proof), head: Some(head), answerer: None, newest: true };
                    rogue.say(room, &Message::Greeting(Box::new(greeting)));
                }
                Heard::Message(message) => rogue.heard.push(*message),
            }
        }
        rogue
    }

    /// Whether the device has not closed the link.
    pub(super) fn is_up(&self, room: &Room) -> bool {
        room.is_plugged(self.link)
    }

    fn frame(&self, room: &mut Room, bytes: Vec<u8>) -> Outcome {
        room.give(self.victim, Input::Frame { link: self.link, bytes })
    }

    /// Says something, and carries nothing that follows.
    pub(super) fn say(&mut self, room: &mut Room, message: &Message) -> Outcome {
        let bytes = self.talk.say(message).unwrap();
        self.frame(room, bytes)
    }

    /// Hears what was said until now.
    pub(super) fn hear(&mut self, room: &mut Room) {
        while let Some(bytes) = room.next_frame(self.link) {
            if let Heard::Message(message) = self.talk.hear(&bytes, Vec::new, &mut room.rng).ok().unwrap() {
                self.heard.push(*message);
            }
        }
    }

    /// Ends the comparison that the device has opened, as one who has nothing. Whether there was one.
    pub(super) fn ends_comparison(&mut self, room: &mut Room) -> bool {
        self.hear(room);
        let opens = |message: &Message| matches!(message, Message::Reconcile(round) if round.opener);
        let opened = self.heard.iter().any(opens);
        for message in std::mem::take(&mut self.heard) {
            if let Message::Reconcile(round) = message {
                let mut session = Session::join(&round, std::iter::empty()).ok().unwrap();
                let Ok(Step::Next(answer)) = session.receive(&round) else { panic!("no answer") };
                self.say(room, &Message::Reconcile(answer));
            }
        }
        self.hear(room);
        self.heard.clear();
        opened
    }

    /// Pushes envelopes in one frame.
    pub(super) fn push(&mut self, room: &mut Room, envelopes: &[Vec<u8>]) -> Outcome {
        let envelopes = envelopes.iter().cloned().map(Bytes).collect();
        self.say(room, &Message::Push(Push { envelopes, more: false }))
    }
}

/// Pushes envelopes a hundred at a time, and links anew whenever the device has closed the link.
pub(super) fn flood(room: &mut Room, rows: &Disk, victim: usize, envelopes: &[Vec<u8>]) {
    let mut rogue = Rogue::link(room, rows, victim);
    for part in envelopes.chunks(100) {
        if !rogue.is_up(room) {
            rogue = Rogue::link(room, rows, victim);
        }
        rogue.push(room, part);
    }
}

/// The outside of an envelope, as anybody with a member's rows can make it.
#[derive(Clone, Copy)]
pub(super) struct Outside(Cover);

impl Outside {
    /// On the lane of that hour.
    pub(super) fn of(rows: &Disk, hour: u32, class: LifetimeClass) -> Self {
        Self(Cover { lane: rows.group().newest().unwrap().lane(hour / 24), hour, class, nonce: [0; 24] })
    }

    /// That of one envelope.
    pub(super) fn cover(self, room: &mut Room) -> Cover {
        let mut nonce = [0; 24];
        room.rng.fill_bytes(&mut nonce);
        Cover { nonce, ..self.0 }
    }

    /// An envelope with this outside.
    pub(super) fn seal(self, room: &mut Room, key: &EnvelopeKey, body: &[u8]) -> Vec<u8> {
        Envelope::seal(key, &self.cover(room), body).unwrap().into_bytes()
    }
}

/// Commits that nobody signed, on the state that a member stood on.
pub(super) fn junk_commits(room: &mut Room, rows: &Disk, version: u16, count: usize) -> Vec<Vec<u8>> {
    let group = rows.group();
    let parent = group.facts.head;
    let key = group.epochs.get(&parent).unwrap().keys.as_ref().unwrap().commit.clone();
    let outside = Outside::of(rows, room.now.hour(), LifetimeClass::Quarter);
    let commit = |n: usize| Commit { version, group: group.id, parent, mls: n.to_be_bytes().to_vec(), tickets: vec![] };
    (0..count).map(|n| outside.seal(room, &key, &wire::encode(&commit(n)))).collect()
}

/// Ben, removed, keeps his rows and a changed program.
pub(super) fn removed() -> (Room, Disk) {
    let mut room = Room::of(2);
    let rows = room.disk(BEN).copy();
    room.lose(BEN);
    room.remove(BEN);
    room.pass(10_000);
    (room, rows)
}
