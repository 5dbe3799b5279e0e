//! What leads on from a state that was held for days is not judged any more when somebody is met again who may have left it long
//! ago (PROTOCOL H2).

use crate::id::EpochId;

use super::room::{ANA, BEN, CHI, Room};

const HOUR_MS: u64 = 3_600_000;

/// Whether Ben could still judge what comes from the state that he left last.
fn judges(room: &mut Room, state: &EpochId) -> bool {
    room.see(BEN, |group| group.epochs.get(state).unwrap().is_young())
}

/// Ana is away, and Ben and Chi are together; then Ben gives his leaf new keys.
fn leaves(hours: u64) -> (Room, EpochId) {
    let mut room = Room::of(3);
    room.pass(5_000);
    room.lose(ANA);
    (0..hours).for_each(|_| room.pass(HOUR_MS));
    let before = room.stands(BEN).head;
    room.inside(BEN, |group, cx| group.execute(cx, Vec::new()).unwrap());
    room.settle();
    assert_ne!(room.stands(BEN).head, before);
    (room, before)
}

#[test]
fn what_was_held_for_days_is_judged_no_more_when_somebody_is_met_again_after_days() {
    for (hours, after) in [(60, true), (80, false)] {
        let (mut room, left) = leaves(hours);
        assert!(judges(&mut room, &left), "{hours}");
        room.restart(BEN);
        room.connect(BEN, CHI);
        room.settle();
        assert!(judges(&mut room, &left), "Chi was there: {hours}");
        room.connect(BEN, ANA);
        room.settle();
        assert_eq!(judges(&mut room, &left), after, "{hours}");
    }
}
