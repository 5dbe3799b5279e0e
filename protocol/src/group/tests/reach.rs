//! What one member says of the addresses of another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::group::Cx;
use crate::group::reach::{Reach, Ties};
use crate::id::MemberId;
use crate::limits::ADDRESSES_MAX;
use crate::step::{Address, Input, Transmit};
use crate::wire::message::{self, Message};

use super::room::{ANA, CHI, DAN, EVE, Room};

/// Tells Chi where a member is said to be.
fn tell(room: &mut Room, by: usize, member: MemberId, addresses: &[&str]) {
    let chi = room.see(CHI, |group| group.me.member());
    let reach = addresses.iter().map(|address| message::Reach { member, address: (*address).to_owned() }).collect();
    let (link, transmits) = room.inside(by, |group, cx| {
        let link = group.link_to(&chi).unwrap();
        group.say(cx, link, &Message::Addresses(reach));
        link
    });
    let Some(Transmit::Frame { bytes, .. }) = transmits.into_iter().last() else { panic!("no frame") };
    room.give(CHI, Input::Frame { link, bytes });
    room.settle();
}

fn knows(room: &mut Room, member: MemberId, address: &str) -> bool {
    room.see(CHI, |group| group.reach.all().any(|known| known == (&Address(address.to_owned()), member)))
}

/// Dan is away, and will be at another address. Eve has named as many for him as anybody has.
#[test]
fn what_was_made_up_makes_room_for_what_is_so_and_takes_no_place_from_it() {
    let mut room = Room::of(5);
    let dan = room.see(DAN, |group| group.me.member());
    assert!(knows(&mut room, dan, "3"));
    room.lose(DAN);
    let lies = ["03", "003", "0003", "00003", "000003", "0000003", "00000003", "000000003"];
    tell(&mut room, EVE, dan, &lies);
    room.pass(30_000);
    tell(&mut room, ANA, dan, &["+3"]);
    assert!(knows(&mut room, dan, "+3"));
    room.pass(120_000);
    for _ in 0..20 {
        tell(&mut room, EVE, dan, &lies);
        room.pass(30_000);
    }
    assert!(knows(&mut room, dan, "3"), "what he said himself stays until he says otherwise");
}

/// Of all whom a newcomer is told of, the inviter is dialled: else nothing tells it that the Welcome has come, and there
/// are only so many that it can keep.
#[test]
fn whoever_came_in_goes_to_their_inviter_first() {
    let mut room = Room::of(12);
    assert!(room.see(ANA, |group| group.welcomes.is_empty()));
}

/// Twenty are known: a few are dialled at a time, those first that were not tried in vain, until enough of them are
/// linked. Whoever dialled us is not dialled, and takes no place.
#[test]
fn some_are_dialled_at_a_time_until_there_are_enough() {
    let mut room = Room::of(1);
    room.inside(ANA, |group, cx| {
        let mut reach = Reach::default();
        let members: BTreeMap<String, MemberId> =
            (0..20).map(|n| (n.to_string(), MemberId::from_bytes([n; 32]))).collect();
        for (address, member) in &members {
            assert!(reach.learn(cx, group.net, Address(address.clone()), Some(*member)));
        }
        let mut ties = Ties { members: BTreeSet::new(), dialled: 0, own: BTreeSet::new() };
        let mut tried = Vec::new();
        let mut dial = |reach: &mut Reach, cx: &mut Cx<'_>, ties: &Ties| {
            cx.transmits.clear();
            reach.dial(cx, group.net, ties);
            let to = |transmit: Transmit| match transmit {
                Transmit::Dial { address, .. } => members[&address.0],
                _ => panic!("no dial"),
            };
            let dialled: Vec<MemberId> = std::mem::take(&mut cx.transmits).into_iter().map(to).collect();
            tried.extend(dialled.clone());
            dialled
        };
        let first = dial(&mut reach, cx, &ties);
        assert_eq!(first.len(), 4);
        assert!(dial(&mut reach, cx, &ties).is_empty());
        assert_eq!(reach.deadline(&ties, cx.now.wall), Some(cx.now.wall + Duration::from_secs(2)));
        // Two answer; the others do not in time, and others still are dialled. Ten have dialled us.
        ties.members.extend(&first[..2]);
        ties.members.extend((0..10).map(|n| MemberId::from_bytes([100 + n; 32])));
        ties.dialled = 2;
        assert!(dial(&mut reach, cx, &ties).is_empty());
        cx.now.wall = cx.now.wall + Duration::from_secs(2);
        let second = dial(&mut reach, cx, &ties);
        assert_eq!(second.len(), 2);
        ties.members.extend(&second[..1]);
        ties.dialled = 3;
        cx.now.wall = cx.now.wall + Duration::from_secs(2);
        // There is room for one more; where nobody answers, the next is dialled at once.
        for _ in 0..3 {
            let one = dial(&mut reach, cx, &ties);
            assert_eq!((one.len(), dial(&mut reach, cx, &ties).len()), (1, 0));
            members.iter().filter(|(_, member)| one.contains(member)).for_each(|(address, _)| {
                reach.failed(&Address(address.clone()));
            });
        }
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), 9);
    });
}

/// Nobody else has room for the address of a member who says it: one that led to somebody is kept as long as others did not.
#[test]
fn what_leads_nowhere_makes_room_for_what_a_member_says() {
    let mut room = Room::of(1);
    room.inside(ANA, |group, cx| {
        let mut reach = Reach::default();
        let member = |n: usize| MemberId::from_bytes([u8::try_from(n).unwrap(); 32]);
        let address = |n: usize| Address(n.to_string());
        for n in 0..ADDRESSES_MAX {
            assert!(reach.announce(cx, group.net, member(n), vec![address(n)]));
        }
        let ties = Ties { members: BTreeSet::new(), dialled: 0, own: BTreeSet::new() };
        for _ in 0..200 {
            reach.dial(cx, group.net, &ties);
            cx.now.wall = cx.now.wall + Duration::from_secs(2);
        }
        (0..ADDRESSES_MAX).filter(|n| *n != 7).for_each(|n| reach.worked(&address(n)));
        assert!(reach.announce(cx, group.net, member(200), vec![address(200)]));
        let kept: BTreeSet<MemberId> = reach.all().map(|(_, member)| member).collect();
        assert!(kept.contains(&member(200)) && !kept.contains(&member(7)));
        assert_eq!(kept.len(), ADDRESSES_MAX);
    });
}
