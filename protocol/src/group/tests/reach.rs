//! What one member says of the addresses of another.

use crate::id::MemberId;
use crate::step::{Address, Input, Transmit};
use crate::wire::message::{Message, Reach};

use super::room::{ANA, CHI, DAN, EVE, Room};

/// Tells Chi where a member is said to be.
fn tell(room: &mut Room, by: usize, member: MemberId, addresses: &[&str]) {
    let chi = room.see(CHI, |group| group.me.member());
    let reach = addresses.iter().map(|address| Reach { member, address: (*address).to_owned() }).collect();
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
