//! What is told of other branches is a peer's word, and a Welcome can be made by anybody: neither takes a device from where
//! it stands (PROTOCOL H2, H5, J1).

use std::time::Duration;

use crate::error::Refusal;
use crate::id::{CommitId, EpochId, MemberId};
use crate::identity::Identity;
use crate::meet::generation::Generation;
use crate::mls::{CommitPlan, Signer, State};
use crate::persist::{Key, Table, WriteBatch};
use crate::policy::extension::Extension;
use crate::seal;
use crate::step::{Command, Input, Outcome, Reply};
use crate::time::Time;
use crate::wire;
use crate::wire::control::{Control, Operation, Policy, Ticket, Vote};
use crate::wire::message::{Bundle, Bytes, CommitWire, Moves, Told};

use super::room::{ANA, BEN, CHI, DAN, Room};
use crate::group::StandingRow;

/// What MLS's store calls the keys that a commit's path is read with.
const EPOCH_KEY_PAIRS: u8 = 11;
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

/// PROTOCOL O4: Ben says of each state in turn that it came about in another way than it did, by what sorts first.
#[test]
fn a_made_up_way_to_a_state_takes_no_votes_away() {
    let mut room = Room::of(3);
    for _ in 0..3 {
        room.change_rules();
        room.pass(2_000);
    }
    room.pass(800_000);
    let (link, before) = (room.link(BEN, CHI), room.stands(CHI).head);
    let line = room.see(CHI, |group| group.commits.back_from(group.facts.head));
    assert!(line.len() >= 3);
    let aside = step(NOWHERE, (9, 99), Vec::new());
    for made in line {
        let (parent, commit, envelope) = (NOWHERE, CommitId::from_bytes([0; 32]), Bytes(Vec::new()));
        let lie = CommitWire { parent, commit, child: made.child, envelope, moves: None };
        room.inside(CHI, |group, cx| group.on_line(cx, link, vec![lie, aside.clone()]).unwrap());
        let voters = room.see(CHI, |group| {
            let wide = group.wide_shape();
            (wide.shape.voters_from(wide.root).len(), group.commits.are_one_way())
        });
        assert_eq!(voters, (3, false));
    }
    assert_eq!(room.stands(CHI).head, before);
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

/// PROTOCOL J1, E: neither are its generations of the net secret taken, nor does it stay longer than any state that was left,
/// nor take the room of a true one.
#[test]
fn what_comes_with_a_welcome_that_nobody_stands_by_is_used_for_nothing() {
    let mut room = shared();
    let link = room.link(BEN, CHI);
    let generations = |room: &mut Room| room.see(CHI, |group| group.generations.keys().copied().collect::<Vec<_>>());
    let begins = |room: &mut Room| {
        let begins = |group: &crate::group::Group| {
            group.epochs.iter().filter(|(_, epoch)| epoch.parent.is_none() && epoch.keys.is_some()).count()
        };
        room.see(CHI, begins)
    };
    let before = generations(&mut room);
    for n in 1..12 {
        let bundle = welcome(&mut room, true);
        let (outcome, _) = room.inside(CHI, |group, cx| group.on_welcome(cx, link, bundle).unwrap());
        assert_eq!(outcome, Outcome::Applied(Reply::Done), "{n}");
        assert!((2..=8).contains(&begins(&mut room)), "{n}");
    }
    assert_eq!(generations(&mut room), before);
    room.skip_hours(73);
    room.give(CHI, Input::Deadline);
    assert_eq!((begins(&mut room), generations(&mut room)), (0, before));
}

/// Somebody's wish to be let in anew where all stand, asked for at a moment.
fn wish(room: &mut Room, who: usize, at: Time) -> Ticket {
    let (ticket, _) = room.inside(who, |group, cx| {
        let package = group.make_package(cx).unwrap();
        let ticket = group.ticket(Operation::Swap, group.me.member()).unwrap();
        Ticket { sequence: at.ms(), key_package: Some(package), ..ticket }
    });
    ticket
}

/// Ana hears of it, while its issuer is away.
fn hears(room: &mut Room, who: usize, ticket: &Ticket) {
    let control = room.see(who, |group| Control::Ticket(group.me.sign(group.id, ticket)));
    let until = room.now + crate::limits::CONTROL_KEPT;
    room.inside(ANA, |group, cx| group.take_control(cx, Told { control, until }).unwrap());
    room.pass(20_000);
}

/// A key package that is none, or another's; and then what somebody else wants.
#[test]
fn a_wish_that_cannot_be_fulfilled_breaks_nothing_and_holds_nobody_up() {
    let mut room = Room::of(4);
    room.lose(CHI);
    let before = room.stands(ANA).head;
    let now = room.now;
    let wish = wish(&mut room, CHI, now);
    let (other, _) = room.inside(BEN, |group, cx| group.make_package(cx).unwrap());
    for package in [vec![1, 2, 3], other] {
        let bad = Ticket { key_package: Some(package), ..wish.clone() };
        hears(&mut room, CHI, &bad);
        let signed = room.see(CHI, |group| group.me.sign(group.id, &bad));
        // Nor if it comes to be carried out.
        let (done, _) = room.inside(BEN, |group, cx| group.execute(cx, vec![signed]));
        assert_eq!(done, Ok(false));
        assert_eq!(room.stands(ANA).head, before);
        assert!(room.see(ANA, |group| group.facts.standing == StandingRow::Active));
    }
    room.ask(DAN, Command::Leave { group: room.group });
    room.pass(20_000);
    assert_eq!(room.stands(ANA).people.len(), 3);
}

/// PROTOCOL H5: what would let it in may be gone by the time that somebody hears of the wish.
#[test]
fn nobody_is_let_in_anew_for_an_old_wish_nor_time_and_again() {
    let mut room = Room::of(3);
    room.lose(CHI);
    let before = room.stands(ANA).head;
    for (hours, done) in [(49, false), (1, true)] {
        let at = room.now - Duration::from_secs(hours * 3_600);
        let wish = wish(&mut room, CHI, at);
        hears(&mut room, CHI, &wish);
        assert_eq!(room.stands(ANA).head != before, done, "{hours}");
    }
    let once = room.stands(ANA).head;
    for (minutes, done) in [(3, false), (11, true)] {
        room.pass(minutes * 60_000);
        let now = room.now;
        let wish = Ticket { epoch: once, ..wish(&mut room, CHI, now) };
        hears(&mut room, CHI, &wish);
        assert_eq!(room.stands(ANA).head != once, done, "{minutes}");
    }
}

/// A step of a line: from one state to another by a commit with a name, and whom it brought in.
fn step(parent: EpochId, (commit, child): (u8, u8), came: Vec<MemberId>) -> CommitWire {
    let (commit, child) = (CommitId::from_bytes([commit; 32]), EpochId::from_bytes([child; 32]));
    let moves = Some(Moves { came, went: Vec::new(), at: None });
    CommitWire { parent, commit, child, envelope: Bytes(Vec::new()), moves }
}

/// Chi hears that somebody votes for a state.
fn votes(room: &mut Room, who: usize, epoch: EpochId) {
    let control = room.see(who, |group| {
        let (commit, counter) = (CommitId::from_bytes([2; 32]), u64::MAX - 1);
        let vote = Vote { group: group.id, epoch, number: 99, commit, counter, voter: group.me.key() };
        Control::Vote(group.me.sign(group.id, &vote))
    });
    let until = room.now + crate::limits::CONTROL_KEPT;
    room.inside(CHI, |group, cx| group.take_control(cx, Told { control, until }).unwrap());
}

/// PROTOCOL H5: Chi cannot judge what the others have done. Ben says first, and falsely, where it leads.
#[test]
fn of_two_who_say_different_things_the_liar_hides_nothing() {
    let mut room = shared();
    let head = room.stands(CHI).head;
    let (by_ben, by_ana) = (room.link(BEN, CHI), room.link(ANA, CHI));
    let there = EpochId::from_bytes([12; 32]);
    room.inside(CHI, |group, cx| {
        group.note_unjudged((head, CommitId::from_bytes([1; 32])));
        group.on_line(cx, by_ben, vec![step(head, (1, 99), Vec::new())]).unwrap();
        let first = EpochId::from_bytes([11; 32]);
        let truth = vec![step(first, (2, 12), Vec::new()), step(head, (1, 11), Vec::new())];
        group.on_line(cx, by_ana, truth).unwrap();
    });
    for who in [ANA, BEN] {
        votes(&mut room, who, there);
    }
    assert_eq!(room.see(CHI, |group| group.stray.map(|stray| stray.beyond)), Some(there));
    // Nor by saying that it goes on from there.
    room.inside(CHI, |group, cx| group.on_line(cx, by_ben, vec![step(there, (3, 98), Vec::new())]).unwrap());
    assert_eq!(room.see(CHI, |group| group.stray.map(|stray| stray.beyond)), Some(there));
}

/// PROTOCOL H5: one voter may be a liar, or the only one who is left: Chi asks, and not soon.
#[test]
fn where_only_one_stands_nobody_hurries() {
    for (voters, soon) in [(&[BEN][..], false), (&[ANA, BEN], true)] {
        let mut room = shared();
        let head = room.stands(CHI).head;
        let by_ben = room.link(BEN, CHI);
        let there = EpochId::from_bytes([11; 32]);
        room.inside(CHI, |group, cx| {
            group.note_unjudged((head, CommitId::from_bytes([1; 32])));
            group.on_line(cx, by_ben, vec![step(head, (1, 11), Vec::new())]).unwrap();
        });
        for who in voters {
            votes(&mut room, *who, there);
        }
        let (now, due) = (room.now, room.see(CHI, |group| group.stray.map(|stray| stray.due)));
        assert_eq!(due, Some(now + Duration::from_secs(if soon { 10 } else { 660 })));
    }
}

/// Ben tells where the others are, and not who was there on the way. Chi has been in for long.
#[test]
fn nobody_is_out_for_what_a_peer_does_not_say() {
    let mut room = shared();
    for _ in 0..4 {
        room.pass(24 * 3_600_000);
    }
    let (head, there) = (room.stands(CHI).head, EpochId::from_bytes([11; 32]));
    let by_ben = room.link(BEN, CHI);
    let silent = CommitWire { moves: None, ..step(head, (1, 11), Vec::new()) };
    room.inside(CHI, |group, cx| group.on_line(cx, by_ben, vec![silent]).unwrap());
    for who in [ANA, BEN] {
        votes(&mut room, who, there);
    }
    assert_eq!(room.see(CHI, |group| group.stray.map(|stray| stray.beyond)), Some(there));
    room.lose(ANA);
    room.lose(BEN);
    room.pass(1_500_000);
    assert!(room.see(CHI, |group| group.facts.standing == StandingRow::Active && group.stray.is_some()));
}

/// PROTOCOL J1: nor where Ben says that the ways parted before she came, and that she came by what he made up.
#[test]
fn nobody_is_out_for_a_past_that_a_peer_makes_up() {
    let mut room = shared();
    for _ in 0..4 {
        room.pass(24 * 3_600_000);
    }
    let by_ben = room.link(BEN, CHI);
    let (chi, began) = room.see(CHI, |group| {
        let line = group.commits.back_from(group.facts.head);
        (group.me.member(), line.iter().rev().find(|made| made.is_judged()).unwrap().step.0)
    });
    let there = EpochId::from_bytes([11; 32]);
    let into = CommitWire { child: began, ..step(NOWHERE, (0, 0), vec![chi]) };
    let aside = step(NOWHERE, (1, 11), Vec::new());
    room.inside(CHI, |group, cx| group.on_line(cx, by_ben, vec![into, aside]).unwrap());
    for who in [ANA, BEN] {
        votes(&mut room, who, there);
    }
    assert_eq!(room.see(CHI, |group| group.stray.map(|stray| stray.beyond)), Some(there));
    room.lose(ANA);
    room.lose(BEN);
    room.pass(1_500_000);
    assert!(room.see(CHI, |group| group.facts.standing == StandingRow::Active && group.stray.is_some()));
}

/// PROTOCOL H5: Ana has signed that Chi goes. Ben tells where the others are, and does not know who went on the way; Ana, if she
/// is there, does.
#[test]
fn whoever_was_signed_out_is_out_where_the_others_are_whether_a_line_says_so_or_not() {
    for told in [true, false] {
        let mut room = shared();
        let (head, there) = (room.stands(CHI).head, EpochId::from_bytes([11; 32]));
        room.lose(ANA);
        room.lose(BEN);
        let chi = room.see(CHI, |group| group.me.member());
        let (signed, _) = room.inside(ANA, |group, _| {
            let ticket = group.ticket(Operation::Remove, chi).unwrap();
            Control::Ticket(group.me.sign(group.id, &ticket))
        });
        let until = room.now + crate::limits::CONTROL_KEPT;
        let silent = CommitWire { moves: None, ..step(head, (1, 11), Vec::new()) };
        let moves = Some(Moves { came: Vec::new(), went: vec![chi], at: None });
        let lines = [Some(silent.clone()), told.then_some(CommitWire { moves, ..silent })];
        let members = [BEN, ANA].map(|who| room.see(who, |group| group.me.member()));
        room.inside(CHI, |group, cx| {
            group.note_unjudged((head, CommitId::from_bytes([1; 32])));
            group.take_control(cx, Told { control: signed, until }).unwrap();
            for (line, by) in lines.into_iter().zip(members) {
                group.keep_told(cx, line.into_iter().collect(), by).unwrap();
            }
        });
        for who in [ANA, BEN] {
            votes(&mut room, who, there);
        }
        for (ms, out) in [(15_000, told), (1_500_000, true)] {
            room.pass(ms);
            let standing = room.see(CHI, |group| group.facts.standing == StandingRow::Removed);
            assert_eq!(standing, out, "{told} {ms}");
        }
    }
}

/// PROTOCOL H2: what Ana does is spoilt for Chi alone, whose device cannot read it. All others have gone there.
#[test]
fn whoever_alone_cannot_read_a_commit_is_let_in_anew() {
    let mut room = Room::of(4);
    room.pass(20_000);
    let mut batch = WriteBatch::default();
    let path_keys = |key: &Key| key.table == Table::Mls && key.name.get(40) == Some(&EPOCH_KEY_PAIRS);
    let rows: Vec<Key> = room.disk(CHI).all().into_keys().filter(path_keys).collect();
    assert!(!rows.is_empty());
    rows.into_iter().for_each(|key| drop(batch.rows.insert(key, None)));
    room.disk(CHI).write(batch);
    room.restart(CHI);
    for who in [ANA, BEN, DAN] {
        room.connect(CHI, who);
    }
    room.change_rules();
    room.pass(600_000);
    assert_ne!(room.stands(CHI).head, room.stands(ANA).head);
    room.pass(120_000);
    assert_eq!(room.stands(CHI).head, room.stands(ANA).head);
    room.says(CHI, "here again");
    assert_eq!(room.texts(BEN), ["here again"]);
}

/// PROTOCOL H5: a past that leads nowhere is not kept, and one that leads here as far as its teller has room.
#[test]
fn one_who_makes_up_a_long_past_takes_its_own_room_only() {
    let mut room = shared();
    let head = room.stands(CHI).head;
    let (by_ben, by_ana) = (room.link(BEN, CHI), room.link(ANA, CHI));
    let (ben, ana) = [BEN, ANA].map(|who| room.see(who, |group| group.me.member())).into();
    let size = |room: &mut Room, by| room.see(CHI, |group| group.commits.size_of(&by));
    let nobody =
        |n: u8| (0..140).map(move |m| MemberId::from_bytes(std::array::from_fn(|at| if at == 0 { n } else { m })));
    let before = size(&mut room, ben);
    room.inside(CHI, |group, cx| {
        group.on_line(cx, by_ben, vec![step(NOWHERE, (1, 1), Vec::new())]).unwrap();
    });
    assert_eq!(size(&mut room, ben), before);
    let mut from = head;
    for n in 0..100 {
        let lie = step(from, (n, n + 100), nobody(n).collect());
        from = lie.child;
        room.inside(CHI, |group, cx| group.on_line(cx, by_ben, vec![lie]).unwrap());
    }
    let taken = size(&mut room, ben);
    assert!((1_000..=2_048).contains(&taken), "{taken}");
    let before = size(&mut room, ana);
    room.inside(CHI, |group, cx| group.on_line(cx, by_ana, vec![step(head, (200, 250), Vec::new())]).unwrap());
    assert_eq!(size(&mut room, ana), before + 1);
    // Nobody can be in there. However much is made up, what is here is known.
    let asked = [from, EpochId::from_bytes([101; 32])];
    assert!(room.see(CHI, |group| group.rosters(asked.into_iter()).is_empty()));
    let many = (0..200).map(|n| EpochId::from_bytes([n; 32])).chain([head]);
    assert!(room.see(CHI, |group| group.rosters(many).contains_key(&head)));
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
