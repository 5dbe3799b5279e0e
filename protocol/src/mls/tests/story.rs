//! Three people: in, talking, out.

use super::support::{BINDING, GROUP, Person, Three, open};
use crate::mls::{CommitPlan, Committer, MlsError, key_package_facts};

#[test]
fn three_talk_and_the_one_removed_hears_no_more() {
    let Three { alice, bob, carol, mut a, mut b, mut c } = Three::new();
    assert_eq!((a.number(), a.group_id()), (1, GROUP));
    assert_eq!(a.authenticator().unwrap(), b.authenticator().unwrap());
    assert_eq!(a.authenticator().unwrap(), c.authenticator().unwrap());
    assert!(a.leaves() == c.leaves());
    assert_eq!(c.extension(), b"extension 0");

    let hello = alice.say(&mut a, "hello");
    assert_eq!(bob.hear(&mut b, &hello), (0, "hello".into()));
    assert_eq!(carol.hear(&mut c, &hello), (0, "hello".into()));
    let answer = carol.say(&mut c, "hello yourself");
    assert_eq!(alice.hear(&mut a, &answer), (2, "hello yourself".into()));

    let removal = bob.commit(&mut b, CommitPlan { removes: vec![2], ..CommitPlan::default() });
    let staged = c.stage(&carol.p, &removal.commit).unwrap();
    assert!(staged.view.removes_self);
    assert_eq!((staged.view.committer, staged.view.authenticator.clone()), (Committer::Member(1), None));
    assert!(matches!(c.apply(&carol.p, staged), Err(MlsError::Rejected)));

    let mut a = alice.follow(&mut a, &removal.commit);
    let mut b = removal.child;
    assert_eq!((a.number(), a.authenticator().unwrap()), (2, b.authenticator().unwrap()));
    let secret = alice.say(&mut a, "without carol");
    assert_eq!(bob.hear(&mut b, &secret), (0, "without carol".into()));
    assert_eq!(open(&mut c, &carol.p, &secret, BINDING).unwrap_err(), MlsError::WrongEpoch);
    assert_ne!(*a.export(&alice.p, "x", b"").unwrap(), *c.export(&carol.p, "x", b"").unwrap());
    assert_eq!(*a.export(&alice.p, "x", b"").unwrap(), *b.export(&bob.p, "x", b"").unwrap());
}

#[test]
fn add_remove_and_extension_go_into_one_commit() {
    let Three { alice, bob, carol: _, mut a, mut b, .. } = Three::new();
    let dave = Person::new("dave", 4);
    let for_dave = dave.package();
    let plan = CommitPlan {
        adds: vec![for_dave.bytes.clone()],
        removes: vec![2],
        extension: Some(b"extension 1".to_vec()),
        aad: b"bound".to_vec(),
    };
    let committed = alice.commit(&mut a, plan);
    let staged = b.stage(&bob.p, &committed.commit).unwrap();
    let view = staged.view.clone();
    assert_eq!(view.removes, [2]);
    assert_eq!(view.extension.as_deref(), Some(b"extension 1".as_slice()));
    assert_eq!((view.aad.as_slice(), view.number), (b"bound".as_slice(), 2));
    assert!(!view.other_extensions_changed && !view.other_proposals && !view.by_reference && !view.removes_self);
    assert!(view.adds == [key_package_facts(&bob.p, &for_dave.bytes).unwrap()]);
    let leaf = view.path_leaf.unwrap();
    assert_eq!((leaf.credential, leaf.signature_key), (b"alice".to_vec(), alice.signer.public().to_vec()));
    assert_eq!(view.authenticator, Some(committed.child.authenticator().unwrap()));

    let b = b.apply(&bob.p, staged).unwrap();
    let d = dave.join(&for_dave, &committed);
    assert_eq!(b.extension(), b"extension 1");
    assert_eq!(b.authenticator().unwrap(), d.authenticator().unwrap());
    let leaves: Vec<_> = d.leaves().iter().map(|leaf| (leaf.index, leaf.credential.clone())).collect();
    assert_eq!(leaves, [(0, b"alice".to_vec()), (1, b"bob".to_vec()), (2, b"dave".to_vec())]);
}
