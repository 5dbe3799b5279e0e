//! Two commits on one state: whoever knows both stands on the same one, in whatever order they came, and nothing that was
//! said is lost by it (PROTOCOL H1, H3, O1). As if Ana's device had gone back to what it was before the first.

use zeroize::Zeroizing;

use crate::error::Why;
use crate::group::StandingRow;
use crate::id::{CommitId, EpochId};
use crate::step::{Command, LineKind, Outcome, Transmit};
use crate::wire::commit::Commit;
use crate::wire::control::Operation;
use crate::wire::envelope::Envelope;

use super::commits::{TAKEN, forge, forge_by};
use super::disk::Disk;
use super::room::{ANA, BEN, CHI, DAN, EVE, Room};

/// So many commits of Ana's on the state that all stand on, the one before which none stands first.
fn rivals(room: &mut Room, count: usize) -> Vec<Vec<u8>> {
    let key = room.see(ANA, |group| group.head().unwrap().keys.as_ref().unwrap().commit.clone());
    let commit = |bytes: &Vec<u8>| -> CommitId {
        Commit::parse(&Envelope::parse(bytes.clone()).unwrap().open(&key).unwrap()).unwrap().1
    };
    let mut all: Vec<_> = (0..count).map(|_| forge(room, None)).collect();
    all.sort_by_key(commit);
    all
}

/// Ana takes somebody out, from where her device stood with these rows. She does nothing after that.
fn removal(room: &mut Room, rows: &Disk, who: usize) -> Vec<u8> {
    let (member, mut ana) = (room.see(who, |group| group.me.member()), rows.group());
    let (_, transmits) = room.inside(ANA, |_, cx| ana.remove(cx, member).unwrap());
    let published = |transmit| if let Transmit::Publish { bytes, .. } = transmit { Some(bytes) } else { None };
    transmits.into_iter().find_map(published).unwrap()
}

/// A change of the rules, and a removal of Eve, which stands before that although some have voted for it.
fn changes_and_removal(room: &mut Room) -> [Vec<u8>; 2] {
    let rows = room.disk(ANA).copy();
    let rules = rivals(room, 1).remove(0);
    [rules, removal(room, &rows, EVE)]
}

/// People who do not hear of each other any more. The last of them may change the group, as Ana may.
fn alone(people: usize) -> Room {
    let mut room = Room::of(people);
    let last = room.see(people - 1, |group| group.me.member());
    room.ask(ANA, Command::SetFacilitator { group: room.group, member: last, may: true });
    room.pass(1_000);
    (0..people).for_each(|who| room.lose(who));
    room
}

fn head(room: &mut Room, who: usize) -> EpochId {
    room.see(who, |group| group.facts.head)
}

/// How often a device tells that the rules were changed.
fn changes(room: &mut Room, who: usize) -> usize {
    room.lines(who).iter().filter(|line| matches!(line.kind, LineKind::Retention(_))).count()
}

#[test]
fn of_two_commits_all_take_the_same_whichever_came_first() {
    for restarts in [false, true] {
        let mut room = alone(4);
        let (before, both) = (head(&mut room, BEN), rivals(&mut room, 2));
        for (who, order) in [(BEN, [0, 1]), (CHI, [1, 0])] {
            for n in order {
                assert_eq!(room.hear(who, both[n].clone()), TAKEN);
                if restarts {
                    room.restart(who);
                }
            }
            assert_eq!(room.hear(who, both[0].clone()), Outcome::Duplicate);
        }
        assert_eq!(room.hear(DAN, both[0].clone()), TAKEN);
        let end = head(&mut room, DAN);
        assert_ne!(end, before);
        for who in [BEN, CHI, DAN] {
            assert_eq!((head(&mut room, who), changes(&mut room, who)), (end, 1), "{who}");
        }
    }
}

/// Everybody hears five changes of the rules, and of Dan's removal: who is first in anything else does not matter.
#[test]
fn a_removal_stands_before_anything_else() {
    let mut room = alone(4);
    let rows = room.disk(ANA).copy();
    let rules = rivals(&mut room, 5);
    let out = removal(&mut room, &rows, DAN);
    assert_eq!(room.hear(CHI, out.clone()), TAKEN);
    let end = head(&mut room, CHI);
    for who in [BEN, CHI, DAN] {
        for bytes in &rules {
            assert_eq!(room.hear(who, bytes.clone()), TAKEN);
        }
    }
    for who in [BEN, DAN] {
        assert_ne!(head(&mut room, who), end);
        assert_eq!(room.hear(who, out.clone()), TAKEN);
    }
    for who in [BEN, CHI] {
        assert_eq!((head(&mut room, who), changes(&mut room, who)), (end, 0), "{who}");
    }
    assert!(room.see(DAN, |group| group.facts.standing == StandingRow::Removed));
}

/// PROTOCOL D1: Ben said one thing that Chi has read, and one that nobody has, before he heard of the better one.
#[test]
fn what_was_said_on_a_branch_that_is_left_reaches_everybody_once() {
    let mut room = alone(5);
    let [worse, better] = changes_and_removal(&mut room);
    for who in [BEN, CHI] {
        assert_eq!(room.hear(who, worse.clone()), TAKEN);
    }
    let left = head(&mut room, BEN);
    let link = room.connect(BEN, CHI);
    room.pass(1_000);
    room.says(BEN, "read");
    assert_eq!(room.texts(CHI), ["read"]);
    room.deaf = Some(CHI);
    let from = room.published.len();
    room.inside(BEN, |group, cx| group.send(cx, &Zeroizing::new("not read".to_owned()), None).unwrap());
    assert!(room.see(BEN, |group| group.outbox.iter().all(|(_, entry)| entry.sealed().is_some())));
    room.deaf = None;
    room.hang_up(link);
    assert_eq!(room.published.len(), from);
    for who in [CHI, BEN, DAN] {
        assert_eq!(room.hear(who, better.clone()), TAKEN);
        assert_ne!(head(&mut room, who), left);
    }
    room.says(BEN, "later");
    room.connect(BEN, CHI);
    room.connect(BEN, DAN);
    room.pass(120_000);
    for who in [BEN, CHI] {
        assert_eq!(room.texts(who), ["read", "not read", "later"], "{who}");
    }
    assert_eq!(room.told(CHI), ["read", "not read", "later"]);
    // He was never where the first was sealed.
    assert_eq!(room.texts(DAN), ["read", "not read", "later"]);
}

/// Each has heard of one only, and then they meet.
#[test]
fn two_who_went_two_ways_find_each_other() {
    let mut room = alone(3);
    let both = rivals(&mut room, 2);
    assert_eq!(room.hear(BEN, both[1].clone()), TAKEN);
    assert_eq!(room.hear(CHI, both[0].clone()), TAKEN);
    room.says(BEN, "of Ben");
    room.says(CHI, "of Chi");
    let end = head(&mut room, CHI);
    room.connect(BEN, CHI);
    room.pass(120_000);
    assert_eq!((head(&mut room, BEN), head(&mut room, CHI)), (end, end));
    for who in [BEN, CHI] {
        let mut texts = room.texts(who);
        texts.sort();
        assert_eq!(texts, ["of Ben", "of Chi"], "{who}");
    }
}

/// PROTOCOL M2: on each side somebody else was taken out, so that they hold no key in common but that of before. What is
/// said to those who are there then is not said to one more, until its author says so (D1).
#[test]
fn two_sides_that_each_took_somebody_out_find_each_other() {
    let mut room = alone(5);
    let rows = room.disk(ANA).copy();
    for (who, out) in [(BEN, DAN), (CHI, EVE)] {
        let bytes = removal(&mut room, &rows, out);
        assert_eq!(room.hear(who, bytes), TAKEN);
        room.says(who, "are you there");
    }
    let before = [BEN, CHI].map(|who| head(&mut room, who));
    assert_ne!(before[0], before[1]);
    room.connect(BEN, CHI);
    room.pass(120_000);
    let after = head(&mut room, BEN);
    assert_eq!(head(&mut room, CHI), after);
    // Ana signed both, and whoever is there carries out the other one.
    let out = [DAN, EVE].map(|who| room.see(who, |group| group.me.member()));
    for (who, other) in [(BEN, CHI), (CHI, BEN)] {
        assert_eq!(room.texts(other).len(), 2, "{who}");
        let roster = room.see(who, |group| group.roster().unwrap().clone());
        assert!(roster.len() == 3 && !out.iter().any(|member| roster.has(member)), "{who}");
    }
}

/// PROTOCOL M4: counts are those of one epoch each, though two have one number.
#[test]
fn what_was_heard_on_each_branch_is_known_apart_after_a_restart() {
    let mut room = alone(5);
    let [worse, better] = changes_and_removal(&mut room);
    let mut ends = Vec::new();
    for (bytes, count) in [(&worse, 3), (&better, 2)] {
        for who in [BEN, CHI] {
            assert_eq!(room.hear(who, bytes.clone()), TAKEN);
        }
        let link = room.connect(BEN, CHI);
        // What is wanted on the other branch is carried out here.
        room.pass(20_000);
        (0..count).for_each(|n| room.says(CHI, &n.to_string()));
        // Ben says that he holds them.
        room.pass(1_000);
        room.hang_up(link);
        ends.push((head(&mut room, BEN), count));
    }
    room.restart(BEN);
    let leaf = room.see(CHI, |group| group.roster().unwrap().seat(&group.me.member()).unwrap().leaf);
    for (epoch, count) in ends {
        assert_eq!(room.see(BEN, |group| group.next_count(&(epoch, leaf))), count);
    }
}

/// PROTOCOL H1: a member can make any number of them. It fills its own room, and then all that there is; a removal has room
/// whatever else is there.
#[test]
fn so_many_rivals_are_looked_at_and_no_more() {
    let mut room = alone(6);
    let rows = room.disk(ANA).copy();
    let all = rivals(&mut room, 60);
    let outcomes: Vec<_> = all.iter().rev().map(|bytes| room.hear(BEN, bytes.clone())).collect();
    let count = |outcomes: &[Outcome], which: Outcome| outcomes.iter().filter(|outcome| **outcome == which).count();
    // One for the head's line, and twelve beside it.
    assert_eq!((count(&outcomes, TAKEN), count(&outcomes, Outcome::Parked(Why::Rival))), (13, 47));
    let mut others = Vec::new();
    for who in [CHI, EVE, EVE + 1, DAN] {
        others.extend((0..if who == DAN { 11 } else { 12 }).map(|_| forge_by(&mut room, who, None)));
    }
    let outcomes: Vec<_> = others.into_iter().map(|bytes| room.hear(BEN, bytes)).collect();
    let parked = count(&outcomes, Outcome::Parked(Why::Rival));
    assert!(parked > 0 && count(&outcomes, TAKEN) + parked == 47, "{parked}");
    let beside = |group: &crate::group::Group| {
        group.epochs.iter().filter(|(id, epoch)| epoch.is_young() && !group.is_on_line(id)).count()
    };
    assert_eq!(room.see(BEN, beside), 48);
    let out = room.see(EVE, |group| group.me.member());
    let ana = rows.group();
    let ticket = ana.me.sign(ana.id, &ana.ticket(Operation::Remove, out).unwrap());
    let (_, transmits) = room.inside(DAN, |group, cx| assert!(group.execute(cx, vec![ticket]).unwrap()));
    let published = |transmit| if let Transmit::Publish { bytes, .. } = transmit { Some(bytes) } else { None };
    let removal = transmits.into_iter().find_map(published).unwrap();
    assert_eq!(room.hear(BEN, removal), TAKEN);
    assert!(room.see(BEN, |group| !group.roster().unwrap().has(&out)));
}
