//! What a state is stored as.

use super::support::{BINDING, GROUP, Person, Three, changes_of, rows_of};
use crate::mls::stage::Staged;
use crate::mls::store::Label;
use crate::mls::{CommitPlan, MlsError, Provider, Signer, State, StateRows};

fn size(rows: &StateRows) -> usize {
    rows.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[test]
fn a_state_comes_back_from_its_rows() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let first = alice.say(&mut a, "before");
    let mut a = State::load(GROUP, rows_of(&mut a)).unwrap();
    let mut b = State::load(GROUP, rows_of(&mut b)).unwrap();
    assert!(rows_of(&mut State::load(GROUP, rows_of(&mut a)).unwrap()) == rows_of(&mut a));
    let second = alice.say(&mut a, "after");
    bob.hear(&mut b, &second);
    bob.hear(&mut b, &first);
    let committed = bob.commit(&mut b, CommitPlan::default());
    let child = alice.follow(&mut a, &committed.commit);
    assert_eq!(child.authenticator().unwrap(), committed.child.authenticator().unwrap());
}

#[test]
fn changes_written_over_rows_are_the_rows() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let mut stored = rows_of(&mut b);
    assert!(changes_of(&mut b).is_empty(), "a fresh state is written whole");
    for n in 0..3 {
        let message = alice.say(&mut a, &format!("{n}"));
        bob.hear(&mut b, &message);
        bob.say(&mut b, "answer");
        let changes = changes_of(&mut b);
        let names: Vec<_> = changes.iter().map(|(name, _)| name[0]).collect();
        assert_eq!(names, [Label::MessageSecrets as u8]);
        for (name, value) in changes {
            match value {
                Some(value) => drop(stored.insert(name, value)),
                None => drop(stored.remove(&name)),
            }
        }
        assert!(stored == rows_of(&mut b));
    }
}

/// PROTOCOL G1: a step that is not written is undone wholly.
#[test]
fn rows_that_are_no_state_are_refused() {
    let Three { mut a, .. } = Three::new();
    assert!(matches!(State::load(GROUP, StateRows::new()), Err(MlsError::Broken)));
    assert!(matches!(State::load(b"another group", rows_of(&mut a)), Err(MlsError::Broken)));
    for name in rows_of(&mut a).keys() {
        let mut rows = rows_of(&mut a);
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
    let sizes = |state: &mut State| rows_of(state).iter().map(|(name, row)| (name[0], row.len())).collect::<Vec<_>>();
    let mut state = a;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let committed = alice.commit(&mut state, CommitPlan::default());
        b = bob.follow(&mut b, &committed.commit);
        state = committed.child;
        seen.push((sizes(&mut state), sizes(&mut b)));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

/// PROTOCOL E: without its replay half a state still opens what comes late, and leads to no other state.
#[test]
fn a_closed_state_opens_messages_and_nothing_else() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let message = alice.say(&mut a, "late");
    let committed = alice.commit(&mut a, CommitPlan::default());
    let staged = b.stage(&bob.p, &committed.commit).unwrap();
    let before = rows_of(&mut b);
    b.close(&bob.p).unwrap();
    assert_eq!(changes_of(&mut b).len(), 2);
    let rows = rows_of(&mut b);
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
    let committed = alice.add(&mut alice.create(), &packages.iter().collect::<Vec<_>>());
    let mut a = committed.child;
    assert_eq!(a.leaves().len(), 50);
    assert!(size(&rows_of(&mut a)) < 40 * 1024, "{}", size(&rows_of(&mut a)));
    alice.say(&mut a, "hello");
    let rewritten: usize = changes_of(&mut a).iter().map(|(_, value)| value.as_ref().unwrap().len()).sum();
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
