//! Links more than are of use.

use std::collections::BTreeSet;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::group::link::Link;
use crate::id::{InviteId, LinkId};
use crate::meet::hello::Admission;
use crate::meet::talk::Talk;
use crate::step::{Address, Command, Ends, Input};

use super::room::{ANA, BEN, CHI, EVE, Room};

fn links(room: &mut Room, who: usize) -> Vec<LinkId> {
    room.see(who, |group| group.links.keys().copied().collect())
}

/// Both ends choose by themselves, and choose the same; until then and afterwards they are connected.
#[test]
fn of_two_that_dialled_each_other_at_once_one_link_stays() {
    let mut room = Room::of(2);
    for _ in 0..6 {
        let both = [room.connect(ANA, BEN), room.connect(BEN, ANA)];
        room.settle();
        assert_eq!(links(&mut room, ANA), both);
        let [at_ana, at_ben] = [ANA, BEN].map(|who| room.see(who, |group| group.spare()));
        assert_eq!(at_ana, at_ben);
        let (spare, at) = at_ana.unwrap();
        assert_eq!(at, room.now + Duration::from_secs(10));
        room.pass(9_000);
        assert_eq!(links(&mut room, BEN), both, "one of them may not know the other link yet");
        room.pass(2_000);
        for who in [ANA, BEN] {
            let left: Vec<_> = both.into_iter().filter(|link| *link != spare).collect();
            assert_eq!(links(&mut room, who), left);
            assert_eq!(room.see(who, |group| group.linked().len()), 1);
        }
        room.pass(60_000);
    }
    room.says(ANA, "hello");
    assert_eq!(room.texts(BEN), ["hello"]);
}

/// The older one may be dead, and only this end believe in it.
#[test]
fn of_two_links_a_while_apart_the_later_stays() {
    let mut room = Room::of(2);
    for _ in 0..4 {
        room.pass(11_000);
        let later = room.connect(BEN, ANA);
        room.pass(11_000);
        assert_eq!(links(&mut room, ANA), [later]);
        assert_eq!(links(&mut room, BEN), [later]);
    }
}

/// Whoever dials in takes nobody's place; of those dialled the oldest goes, so that a group in two halves finds together.
#[test]
fn beyond_four_that_were_dialled_the_oldest_goes() {
    let mut room = Room::of(7);
    let others = [0, 1, 2, 3, 5, 6];
    for other in others {
        room.connect(EVE, other);
        room.pass(11_000);
    }
    let dialled = |group: &crate::group::Group| {
        let dialled = group.links.values().filter_map(|link| link.address.clone());
        dialled.collect::<BTreeSet<Address>>()
    };
    let last = others[2..].iter().map(|other| Address(other.to_string())).collect();
    assert_eq!(room.see(EVE, dialled), last);
    let now = room.now;
    assert_eq!(room.see(EVE, |group| group.ties(now).dialled), 4);
}

/// Four that Eve dialled never answer what she pushes; a fifth does.
#[test]
fn who_never_ends_keeps_no_place() {
    let mut room = Room::of(7);
    let others = [0, 1, 2, 3];
    for other in others {
        room.connect(EVE, other);
        room.pass(11_000);
    }
    let busy = |group: &mut crate::group::Group| {
        group.links.values_mut().filter(|link| link.address.is_some()).for_each(|link| link.under_way = 1);
    };
    room.inside(EVE, |group, _| busy(group));
    let fifth = room.connect(EVE, 5);
    for (ms, dialled) in [(59_000, 5), (2_000, 4)] {
        room.pass(ms);
        let now = room.now;
        assert_eq!(room.see(EVE, |group| group.ties(now).dialled), dialled);
    }
    assert!(links(&mut room, EVE).contains(&fifth));
}

/// One removal, and no link carries anything for a moment.
#[test]
fn nobody_is_dialled_in_place_of_a_link_that_is_withheld_for_a_moment() {
    let mut room = Room::of(3);
    let link = room.link(ANA, BEN);
    let ben = room.see(BEN, |group| group.me.member());
    let (then, _) = room.inside(ANA, |group, cx| {
        group.withhold(cx, link);
        let at = |ms| group.ties(cx.now.wall + Duration::from_millis(ms)).members.contains(&ben);
        assert_eq!(group.links[&link].withheld_until(), Some(cx.now.wall + Duration::from_secs(10)));
        [at(9_999), at(10_000)]
    });
    assert_eq!(then, [true, false]);
}

/// Chi has gone after she spoke; of what she said Ben has nothing, and one of his two links to Ana ends.
#[test]
fn what_one_link_did_not_bring_comes_on_the_other() {
    let mut room = Room::of(3);
    let first = room.link(ANA, BEN);
    room.connect(ANA, BEN);
    room.pass(1_000);
    let text = Zeroizing::new("good night".to_owned());
    room.give(CHI, Input::Command(Command::Send { group: room.group, text, expires: None }));
    room.drop_frames_to(BEN);
    room.lose(CHI);
    assert_eq!((room.texts(ANA).len(), room.texts(BEN).len()), (1, 0));
    room.hang_up(first);
    room.pass(6_000);
    assert_eq!(room.texts(BEN), ["good night"]);
}

/// Invites are many, and whoever holds one may give it on: together they leave room for members.
#[test]
fn all_who_are_invited_have_so_many_links_and_the_newest_stay() {
    let mut room = Room::of(1);
    let mut rng = room.rng.clone();
    room.inside(ANA, |group, cx| {
        for n in 0..80_u8 {
            let (talk, _) = Talk::begin(Ends { local: vec![0], remote: vec![1, n] }, &mut rng);
            let mut link = Link::new(talk, None, cx.now.wall);
            link.admission = Some(Admission::Invite(InviteId::from_bytes([n; 8])));
            let id = LinkId(1_000 + u64::from(n));
            group.links.insert(id, link);
            group.make_room(cx, id);
        }
        let left: Vec<u64> = group.links.keys().map(|id| id.0).collect();
        assert_eq!(left, (1_016..1_080).collect::<Vec<_>>());
    });
}
