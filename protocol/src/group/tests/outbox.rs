//! What the outbox keeps, and for how long.

use zeroize::Zeroizing;

use crate::step::{Command, Input, Reply};

use super::room::{ANA, BEN, Room};

/// PROTOCOL D1: what its author took back is forgotten at its deadline.
#[test]
fn what_was_taken_back_is_forgotten_at_its_deadline() {
    let mut room = Room::of(2);
    room.lose(BEN);
    let (group, text) = (room.group, Zeroizing::new("a slip".to_owned()));
    let Reply::Message { id, .. } = room.ask(ANA, Command::Send { group, text, expires: None }) else { panic!() };
    room.ask(ANA, Command::Drop { group, id });
    assert_eq!(room.see(ANA, |group| group.outbox.iter().count()), 1);
    room.skip_hours(8 * 24);
    room.give(ANA, Input::Deadline);
    assert_eq!(room.see(ANA, |group| group.outbox.iter().count()), 0);
}
