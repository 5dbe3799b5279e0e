//! What is told of other branches is a peer's word, and a Welcome can be made by anybody: neither takes a device from where
//! it stands (PROTOCOL H2, H5, J1).

use crate::error::Refusal;
use crate::id::{CommitId, EpochId};
use crate::identity::Identity;
use crate::meet::generation::Generation;
use crate::mls::{CommitPlan, Signer, State};
use crate::policy::extension::Extension;
use crate::seal;
use crate::step::{Command, Outcome, Reply};
use crate::wire;
use crate::wire::control::{Control, Operation, Policy, Ticket, Vote};
use crate::wire::message::{Bundle, Bytes, CommitWire, Moves, Told};

use super::room::{ANA, BEN, CHI, Room};
use crate::group::StandingRow;

const NOWHERE: EpochId = EpochId::from_bytes([7; 32]);

/// Three people, two of whom may change the group.
fn shared() -> Room {
    let mut room = Room::of(3);
    let member = room.see(BEN, |group| group.me.member());
    let made = room.ask(ANA, Command::SetFacilitator { group: room.group, member, may: true });
    assert_eq!(made, Reply::Done);
    room.pass(5_000);
    room
}

/// Ben votes for a state that there is not, at all others.
fn votes_for_nothing(room: &mut Room) {
    let (control, _) = room.inside(BEN, |group, cx| {
        let (number, counter) = (99, cx.now.stamp.ms() + 1);
        let commit = CommitId::from_bytes([0; 32]);
        let vote = Vote { group: group.id, epoch: NOWHERE, number, commit, counter, voter: group.me.key() };
        Control::Vote(group.me.sign(group.id, &vote))
    });
    let until = room.now + crate::limits::CONTROL_KEPT;
    room.inside(CHI, |group, cx| group.take_control(cx, Told { control, until }).unwrap());
}

/// That Chi was taken out long ago, where nobody else was; or that others went another way than she.
#[test]
fn whoever_is_told_lies_about_the_past_stays_where_it_is() {
    for alone in [true, false] {
        let mut room = if alone { Room::of(3) } else { shared() };
        for _ in 0..3 {
            room.change_rules();
            room.pass(2_000);
        }
        // Nothing of that can be judged any more.
        room.pass(800_000);
        let link = room.link(BEN, CHI);
        let before = room.stands(CHI).head;
        votes_for_nothing(&mut room);
        let (chi, line) = room.see(CHI, |group| (group.me.member(), group.commits.back_from(group.facts.head)));
        let moves = Some(Moves { came: Vec::new(), went: vec![chi], at: None });
        for made in line {
            let (parent, _) = made.step;
            let (commit, envelope) = (CommitId::from_bytes([0; 32]), Bytes(Vec::new()));
            let lie = CommitWire { parent, commit, child: NOWHERE, envelope, moves: moves.clone() };
            room.inside(CHI, |group, cx| group.on_line(cx, link, vec![lie]).unwrap());
        }
        room.pass(300_000);
        assert!(room.see(CHI, |group| group.facts.standing == StandingRow::Active), "{alone}");
        assert_eq!(room.stands(CHI).head, before, "{alone}");
        room.says(ANA, "as before");
        assert_eq!(room.texts(CHI), ["as before"], "{alone}");
    }
}

/// Somebody makes a group of the same name, whose key package is Chi's, and rules of its own or none.
fn welcome(room: &mut Room, rules: bool) -> Bundle {
    let package = room.inside(CHI, |group, cx| group.make_package(cx).unwrap()).0;
    let made = room.inside(BEN, |group, cx| {
        let mallory =
            Identity::new("Mallory", &mut <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([3; 32]));
        let signer = Signer::new(&mallory.device_secret());
        let policy = Policy { name: "Circle".to_owned(), retention: 86_400 };
        let extension = if rules { Extension::new(mallory.member(), policy).encode() } else { vec![1, 2, 3] };
        let credential = mallory.credential.encode();
        let mut state = State::create(cx.mls, &signer, &credential, group.id.as_bytes(), &extension).unwrap();
        let plan = CommitPlan { adds: vec![package.clone()], ..CommitPlan::default() };
        let made = state.commit(cx.mls, &signer, plan).unwrap();
        let generation = Generation::new(seal::Secret::new([5; 32]), 0, cx.now.stamp);
        let (commit, at, inviter) = (CommitId::from_bytes([1; 32]), cx.now.stamp, mallory.key());
        let (generations, reach, commits) = (vec![generation.to_wire()], Vec::new(), Vec::new());
        Bundle { welcome: made.welcome.unwrap(), commit, generations, at, inviter, reach, commits }
    });
    made.0
}

#[test]
fn a_welcome_that_nobody_stands_by_moves_nobody() {
    for rules in [true, false] {
        let mut room = shared();
        let (before, bundle) = (room.stands(CHI).head, welcome(&mut room, rules));
        let link = room.link(BEN, CHI);
        let (outcome, _) = room.inside(CHI, |group, cx| group.on_welcome(cx, link, bundle).unwrap());
        assert_eq!(outcome == Outcome::Refused(Refusal::Malformed), !rules);
        room.pass(60_000);
        assert_eq!(room.stands(CHI).head, before, "{rules}");
        room.restart(CHI);
        room.connect(ANA, CHI);
        room.pass(5_000);
        room.says(CHI, "still here");
        room.pass(5_000);
        assert_eq!(room.texts(ANA), ["still here"], "{rules}");
    }
}

/// A member's device that is where the others are is not let in anew, however often it asks.
#[test]
fn nobody_has_the_group_changed_by_asking_to_come_back() {
    let mut room = Room::of(3);
    let before = room.stands(ANA).head;
    let until = room.now + crate::limits::CONTROL_KEPT;
    for n in 0..5 {
        let (control, _) = room.inside(CHI, |group, cx| {
            let package = group.make_package(cx).unwrap();
            let ticket = group.ticket(Operation::Swap, group.me.member()).unwrap();
            let (sequence, key_package) = (cx.now.stamp.ms() + n, Some(package));
            Control::Ticket(group.me.sign(group.id, &Ticket { sequence, key_package, ..ticket }))
        });
        assert!(wire::encode(&control).len() < Control::BYTES_MAX);
        room.inside(ANA, |group, cx| group.take_control(cx, Told { control, until }).unwrap());
        room.pass(10_000);
    }
    assert_eq!(room.stands(ANA).head, before);
}
