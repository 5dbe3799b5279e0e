//! Whoever receives dies.

use crate::ledger::{Death, Share, each};
use crate::room::{Feed, GROUP, ROOM_DEATHS, Room, die_unlocking, timed};
use crate::wait::until;

/// Texts of one burst, of each of two people.
const BURST: usize = 4;
/// Where to die while others send.
const POINTS: [&str; 10] = [
    "before_durable:1",
    "before_durable:3",
    "after_durable:1",
    "after_durable:2",
    "after_transmit:1",
    "after_transmit:3+30",
    "after_keyring:1",
    "inside_keyring:2",
    "inside_round:1",
    "inside_round:2",
];

pub(crate) fn play(share: &mut Share<'_>) {
    for deaths in share.deaths(&POINTS).chunks(ROOM_DEATHS) {
        in_a_room(share, deaths);
    }
    die_unlocking(share);
}

fn in_a_room(share: &Share<'_>, deaths: &[Death]) {
    let mut room = Room::new();
    let (ana, [ben, mut chi]) = room.group("Ana", ["Ben", "Chi"]);
    let feed = Feed::of(&ana);
    let took = timed(|| {
        room.said.say(&ben, BURST);
        until("a burst", || (chi.texts(GROUP).len() >= BURST).then_some(()));
    });
    each(deaths, |number, death| {
        // Every other burst comes while it still asks what it has missed.
        if number % 2 == 0 {
            chi.until_linked(GROUP, 2);
        }
        let talks = [&ana, &ben].map(|from| room.said.talk(from, BURST));
        let mut talking = Vec::new();
        let died = chi.dies(share, death, took, || talking.extend(talks.map(|talk| talk.begin())));
        talking.into_iter().for_each(|talk| room.said.hear(talk));
        if died {
            room.look(share, &chi);
            chi.up();
        }
        died
    });
    room.end(share, vec![ana, ben, chi], Some(feed));
}
