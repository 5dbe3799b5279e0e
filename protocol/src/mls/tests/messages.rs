//! Sending and opening, in order and out of it.

use super::support::{BINDING, Three, changes_of, open, rows_of};
use crate::limits;
use crate::mls::{CommitPlan, MlsError};

/// PROTOCOL M4: the window is wide enough for a batch that comes newest first.
#[test]
fn messages_open_newest_first() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let sent: Vec<_> = (0..250).map(|n| alice.say(&mut a, &format!("message {n}"))).collect();
    for (n, message) in sent.iter().enumerate().rev() {
        assert_eq!(bob.hear(&mut b, message), (0, format!("message {n}")));
    }
}

/// PROTOCOL M4: no step is so wide that it loses a key of what it passes.
#[test]
fn the_widest_step_keeps_every_key_that_it_passes() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let first = alice.say(&mut a, "first");
    for _ in 1..limits::RATCHET_WINDOW {
        alice.say(&mut a, "on the way");
    }
    let last = alice.say(&mut a, "last");
    assert_eq!(open(&mut b, &bob.p, &last, BINDING).unwrap_err(), MlsError::TooFarAhead);
    bob.hear(&mut b, &first);
    bob.hear(&mut b, &last);
}

/// PROTOCOL M4: what a message is bound to is looked at before its key is used.
#[test]
fn a_message_is_good_for_what_it_is_bound_to_only() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let message = alice.say(&mut a, "once");
    let rows = rows_of(&mut b);
    assert_eq!(open(&mut b, &bob.p, &message, b"another").unwrap_err(), MlsError::BadSeal);
    assert!(rows_of(&mut b) == rows);
    bob.hear(&mut b, &message);
    assert_eq!(open(&mut b, &bob.p, &message, b"another").unwrap_err(), MlsError::BadSeal);
}

#[test]
fn a_message_opens_once() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let message = alice.say(&mut a, "once");
    bob.hear(&mut b, &message);
    let rows = rows_of(&mut b);
    assert_eq!(open(&mut b, &bob.p, &message, BINDING).unwrap_err(), MlsError::Reused);
    assert!(rows_of(&mut b) == rows);
}

#[test]
fn too_far_ahead_is_told_from_a_bad_seal() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    bob.hear(&mut b, &alice.say(&mut a, "so that the ratchet is there"));
    assert_eq!(changes_of(&mut b).len(), 1);
    let early = alice.say(&mut a, "early");
    for _ in 0..=limits::RATCHET_WINDOW {
        alice.say(&mut a, "on the way");
    }
    let late = alice.say(&mut a, "late");
    let rows = rows_of(&mut b);
    assert_eq!(open(&mut b, &bob.p, &late, BINDING).unwrap_err(), MlsError::TooFarAhead);
    assert!(rows_of(&mut b) == rows && changes_of(&mut b).is_empty());
    bob.hear(&mut b, &early);
}

/// PROTOCOL G1: a message that does not open changes nothing, and the state goes on.
#[test]
fn a_message_that_does_not_open_changes_nothing() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    bob.hear(&mut b, &alice.say(&mut a, "so that the ratchet is there"));
    assert_eq!(changes_of(&mut b).len(), 1);
    bob.say(&mut b, "something untaken");
    let rows = rows_of(&mut b);
    let good = alice.say(&mut a, "good");
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(open(&mut b, &bob.p, &bad, BINDING).unwrap_err(), MlsError::BadSeal);
    assert!(rows_of(&mut b) == rows);
    assert_eq!(changes_of(&mut b).len(), 1, "what was untaken before still is");
    bob.hear(&mut b, &good);
    let answer = bob.say(&mut b, "and back");
    alice.hear(&mut a, &answer);
}

#[test]
fn a_message_of_another_branch_with_the_same_number_has_a_bad_seal() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let mut one = alice.commit(&mut a, CommitPlan::default()).child;
    let mut other = bob.commit(&mut b, CommitPlan::default()).child;
    let message = alice.say(&mut one, "over here");
    let rows = rows_of(&mut other);
    assert_eq!(open(&mut other, &bob.p, &message, BINDING).unwrap_err(), MlsError::BadSeal);
    assert!(rows_of(&mut other) == rows);
    // One epoch further it is told by the number.
    let mut further = bob.commit(&mut other, CommitPlan::default()).child;
    assert_eq!(open(&mut further, &bob.p, &message, BINDING).unwrap_err(), MlsError::WrongEpoch);
}

#[test]
fn plaintexts_are_bounded() {
    let Three { alice, mut a, .. } = Three::new();
    let rows = rows_of(&mut a);
    let long = vec![0; limits::ENVELOPE_BYTES_MAX + 1];
    assert_eq!(a.encrypt(&alice.p, &alice.signer, &long, BINDING).unwrap_err(), MlsError::Oversize);
    assert!(rows_of(&mut a) == rows);
}

#[test]
fn a_commit_is_no_message_and_a_message_no_commit() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let committed = alice.commit(&mut a, CommitPlan::default());
    let message = alice.say(&mut a, "hello");
    assert_eq!(open(&mut b, &bob.p, &committed.commit, BINDING).unwrap_err(), MlsError::Malformed);
    assert!(matches!(b.stage(&bob.p, &message), Err(MlsError::Malformed)));
}
