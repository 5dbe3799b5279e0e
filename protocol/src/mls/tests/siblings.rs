//! One parent, many children.

use super::support::{BINDING, Person, Three, changes_of, open, rows_of};
use crate::mls::{CommitPlan, Committer, MlsError};

/// PROTOCOL C3: building a commit leaves nothing behind in the state it is built on.
#[test]
fn a_commit_leaves_its_parent_as_it_was() {
    let Three { alice, mut a, .. } = Three::new();
    let before = rows_of(&mut a);
    let committed = alice.commit(&mut a, CommitPlan { removes: vec![1], ..CommitPlan::default() });
    assert!(rows_of(&mut a) == before);
    assert!(changes_of(&mut a).is_empty());
    assert_eq!(committed.child.number(), 2);
    alice.say(&mut a, "the parent still sends");
}

#[test]
fn siblings_are_tried_in_any_order_and_leave_the_parent_as_it_was() {
    let Three { alice, bob, carol, mut a, mut b, mut c } = Three::new();
    let before = rows_of(&mut c);
    let removal = alice.commit(&mut a, CommitPlan { removes: vec![1], ..CommitPlan::default() });
    let update = bob.commit(&mut b, CommitPlan::default());
    for pair in [[&removal, &update], [&update, &removal]] {
        let staged: Vec<_> = pair.iter().map(|made| c.stage(&carol.p, &made.commit).unwrap()).collect();
        assert!(rows_of(&mut c) == before && changes_of(&mut c).is_empty());
        for (made, staged) in pair.iter().zip(staged) {
            let child = c.apply(&carol.p, staged).unwrap();
            assert_eq!(child.authenticator().unwrap(), made.child.authenticator().unwrap());
            assert!(rows_of(&mut c) == before && changes_of(&mut c).is_empty());
        }
    }
}

#[test]
fn whose_own_commit_lost_follows_the_other() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let lost = alice.commit(&mut a, CommitPlan::default());
    let won = bob.commit(&mut b, CommitPlan::default());
    let mut a = alice.follow(&mut a, &won.commit);
    let mut b = won.child;
    let text = bob.say(&mut b, "after the fork");
    assert_eq!(alice.hear(&mut a, &text).1, "after the fork");
    assert_ne!(lost.child.authenticator().unwrap(), a.authenticator().unwrap());
}

#[test]
fn a_commit_fits_its_own_parent_only() {
    let Three { alice, bob, carol, mut a, mut b, mut c } = Three::new();
    let mut first = alice.commit(&mut a, CommitPlan::default());
    let rival = bob.commit(&mut b, CommitPlan::default());
    let second = alice.commit(&mut first.child, CommitPlan::default());
    assert!(matches!(b.stage(&bob.p, &second.commit), Err(MlsError::WrongEpoch)));
    let mut on_rival = carol.follow(&mut c, &rival.commit);
    // The same number, another branch.
    assert!(matches!(on_rival.stage(&carol.p, &second.commit), Err(MlsError::Rejected)));
    let staged = c.stage(&carol.p, &first.commit).unwrap();
    assert!(matches!(on_rival.apply(&carol.p, staged), Err(MlsError::WrongEpoch)));
}

#[test]
fn own_commits_and_messages_are_never_processed() {
    let Three { alice, mut a, .. } = Three::new();
    let committed = alice.commit(&mut a, CommitPlan::default());
    assert!(matches!(a.stage(&alice.p, &committed.commit), Err(MlsError::Own)));
    let text = alice.say(&mut a, "to the others");
    assert_eq!(open(&mut a, &alice.p, &text, BINDING).unwrap_err(), MlsError::Own);
}

/// PROTOCOL J1: a Welcome is tried without consequence, so that another for the same key package can be tried too.
#[test]
fn a_key_package_is_good_for_more_than_one_welcome() {
    let Three { alice, bob, carol: _, mut a, mut b, .. } = Three::new();
    let dave = Person::new("dave", 4);
    let package = dave.package();
    let kept = package.rows.clone();
    let by_alice = alice.add(&mut a, &[&package]);
    let by_bob = bob.add(&mut b, &[&package]);
    let mut one = dave.join(&package, &by_alice);
    let other = dave.join(&package, &by_bob);
    assert!(package.rows == kept);
    assert_eq!(one.authenticator().unwrap(), by_alice.child.authenticator().unwrap());
    assert_eq!(other.authenticator().unwrap(), by_bob.child.authenticator().unwrap());
    assert_eq!(one.number(), other.number());
    assert!(rows_of(&mut one).keys().all(|name| !package.rows.contains_key(name)));
}

#[test]
fn the_committer_is_the_member_at_the_leaf() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let committed = bob.commit(&mut b, CommitPlan::default());
    let staged = a.stage(&alice.p, &committed.commit).unwrap();
    assert_eq!(staged.view.committer, Committer::Member(1));
}
