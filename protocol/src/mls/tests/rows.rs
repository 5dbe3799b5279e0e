//! What a state is stored as.

use super::support::{BINDING, GROUP, Person, Three};
use crate::mls::stage::Staged;
use crate::mls::store::Label;
use crate::mls::{CommitPlan, MlsError, Provider, Signer, State, StateRows};

fn size(rows: &StateRows) -> usize {
    rows.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[test]
fn a_state_comes_back_from_its_rows() {
    let Three { alice, bob, mut a, b, .. } = Three::new();
    let first = alice.say(&mut a, "before");
    let mut a = State::load(GROUP, a.rows()).unwrap();
    let mut b = State::load(GROUP, b.rows()).unwrap();
    assert!(State::load(GROUP, a.rows()).unwrap().rows() == a.rows());
    let second = alice.say(&mut a, "after");
    bob.hear(&mut b, &second);
    bob.hear(&mut b, &first);
    let committed = bob.commit(&b, CommitPlan::default());
    let child = alice.follow(&mut a, &committed.commit);
    assert_eq!(child.authenticator().unwrap(), committed.child.authenticator().unwrap());
}

#[test]
fn changes_written_over_rows_are_the_rows() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let mut stored = b.rows();
    assert!(b.changes().is_empty(), "a fresh state is written whole");
    for n in 0..3 {
        let message = alice.say(&mut a, &format!("{n}"));
        bob.hear(&mut b, &message);
        bob.say(&mut b, "answer");
        let changes = b.changes();
        let names: Vec<_> = changes.iter().map(|(name, _)| name[0]).collect();
        assert_eq!(names, [Label::MessageSecrets as u8]);
        for (name, value) in changes {
            match value {
                Some(value) => drop(stored.insert(name, value)),
                None => drop(stored.remove(&name)),
            }
        }
        assert!(stored == b.rows());
    }
}

/// PROTOCOL G1: a step that is not written is undone wholly.
#[test]
fn rows_that_are_no_state_are_refused() {
    let Three { a, .. } = Three::new();
    assert!(matches!(State::load(GROUP, StateRows::new()), Err(MlsError::Broken)));
    assert!(matches!(State::load(b"another group", a.rows()), Err(MlsError::Broken)));
    for name in a.rows().keys() {
        let mut rows = a.rows();
        rows.get_mut(name).unwrap().pop();
        // Read only where it is needed.
        let lazily = name[0] == Label::EpochKeyPairs as u8;
        assert_eq!(State::load(GROUP, rows).is_err(), !lazily);
    }
}

/// PROTOCOL E: nothing of an epoch is carried over into the rows of the next.
#[test]
fn rows_do_not_pile_up_over_epochs() {
    let Three { alice, bob, a, mut b, .. } = Three::new();
    let sizes = |state: &State| state.rows().iter().map(|(name, row)| (name[0], row.len())).collect::<Vec<_>>();
    let mut state = a;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let committed = alice.commit(&state, CommitPlan::default());
        b = bob.follow(&mut b, &committed.commit);
        state = committed.child;
        seen.push((sizes(&state), sizes(&b)));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

/// PROTOCOL E: without its replay half a state still opens what comes late, and leads to no other state.
#[test]
fn a_closed_state_opens_messages_and_nothing_else() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let message = alice.say(&mut a, "late");
    let committed = alice.commit(&a, CommitPlan::default());
    let staged = b.stage(&bob.p, &committed.commit).unwrap();
    let before = b.rows();
    b.close(&bob.p).unwrap();
    assert_eq!(b.changes().len(), 2);
    let rows = b.rows();
    for label in [Label::EpochSecrets, Label::EpochKeyPairs] {
        let of = |rows: &StateRows| rows.iter().find(|(name, _)| name[0] == label as u8).map(|(_, row)| row.clone());
        assert!(of(&before) != of(&rows));
    }
    let mut b = State::load(GROUP, rows).unwrap();
    assert!(b.is_closed() && !a.is_closed());
    assert!(matches!(b.stage(&bob.p, &committed.commit), Err(MlsError::Closed)));
    assert!(matches!(b.apply(&bob.p, staged), Err(MlsError::Closed)));
    assert!(matches!(b.commit(&bob.p, &bob.signer, CommitPlan::default()), Err(MlsError::Closed)));
    assert_eq!(b.encrypt(&bob.p, &bob.signer, b"no", BINDING).unwrap_err(), MlsError::Closed);
    assert_eq!(b.export(&bob.p, "x", b"").unwrap_err(), MlsError::Closed);
    assert_eq!(b.authenticator(), Err(MlsError::Closed));
    assert_eq!((b.number(), b.leaves().len()), (1, 3));
    assert_eq!(bob.hear(&mut b, &message), (0, "late".into()));
    assert!(b.is_closed());
}

#[test]
fn a_group_of_fifty_is_small_and_a_message_rewrites_little() {
    let alice = Person::new("alice", 1);
    let people: Vec<_> = (2..=50).map(|n| Person::new(&format!("person {n}"), n)).collect();
    let packages: Vec<_> = people.iter().map(Person::package).collect();
    let committed = alice.add(&alice.create(), &packages.iter().collect::<Vec<_>>());
    let mut a = committed.child;
    assert_eq!(a.leaves().len(), 50);
    assert!(size(&a.rows()) < 40 * 1024, "{}", size(&a.rows()));
    alice.say(&mut a, "hello");
    let rewritten: usize = a.changes().iter().map(|(_, value)| value.as_ref().unwrap().len()).sum();
    assert!(rewritten < 2 * 1024, "{rewritten}");
}

#[test]
fn states_and_providers_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<State>();
    is_send::<Staged>();
    is_send::<Provider>();
    is_send::<Signer>();
}
