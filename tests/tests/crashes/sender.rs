//! Whoever sends dies.

use crate::ledger::{Death, Share, each};
use crate::room::{Feed, GROUP, ROOM_DEATHS, Room, die_unlocking, timed};
use crate::wait::until;

/// Texts of one burst.
const BURST: usize = 8;
/// Where to die while sending.
const POINTS: [&str; 14] = [
    "before_durable:1",
    "before_durable:3",
    "after_durable:1",
    "after_durable:3",
    "after_transmit:1",
    "after_transmit:2+30",
    "after_keyring:1",
    "after_keyring:2",
    "inside_keyring:1",
    "inside_keyring:2",
    "inside_keyring:3",
    "inside_round:1",
    "inside_round:2",
    "inside_round:4",
];
pub(crate) fn play(share: &mut Share<'_>) {
    for deaths in share.deaths(&POINTS).chunks(ROOM_DEATHS) {
        in_a_room(share, deaths);
    }
    die_unlocking(share);
}

fn in_a_room(share: &Share<'_>, deaths: &[Death]) {
    let mut room = Room::new();
    let (ana, [mut ben, chi]) = room.group("Ana", ["Ben", "Chi"]);
    let feed = Feed::of(&ana);
    let took = timed(|| {
        room.said.say(&ben, BURST);
        until("a burst", || (ana.texts(GROUP).len() >= BURST).then_some(()));
    });
    each(deaths, |number, death| {
        // Every other burst begins while nobody is connected yet.
        if number % 2 == 0 {
            ben.until_linked(GROUP, 2);
        }
        let talk = room.said.talk(&ben, BURST);
        let mut talking = None;
        let died = ben.dies(share, death, took, || talking = Some(talk.begin()));
        room.said.hear(talking.expect("begun"));
        room.said.say(&chi, 1);
        if died {
            room.look(share, &ben);
            ben.up();
        }
        died
    });
    room.end(share, vec![ana, ben, chi], Some(feed));
}
