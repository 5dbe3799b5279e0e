//! With one seed two runs are one.

use std::thread;

use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::SignatureScheme;
use proptest::prelude::*;

use super::support::{Person, Three, rows_of};
use crate::mls::{CommitPlan, profile};

/// Everything that a small group's life puts on the wire and on disk.
fn life() -> Vec<Vec<u8>> {
    let Three { alice, bob, carol, mut a, mut b, mut c } =
        Three::of(Person::seeded("alice", 1), Person::seeded("bob", 2), Person::seeded("carol", 3));
    let mut bytes = Vec::new();
    let others: Vec<_> = (4..8).map(|n| Person::seeded("another", n)).collect();
    let packages: Vec<_> = others.iter().map(Person::package).collect();
    bytes.extend(packages.iter().map(|made| made.bytes.clone()));
    let added = bob.add(&mut b, &packages.iter().collect::<Vec<_>>());
    bytes.push(carol.say(&mut c, "hello"));
    a = alice.follow(&mut a, &added.commit);
    b = added.child;
    let plan = CommitPlan { removes: vec![5, 2, 4], extension: Some(b"next".to_vec()), ..CommitPlan::default() };
    let mut removed = alice.commit(&mut a, plan);
    let removes = b.stage(&bob.p, &removed.commit).unwrap().view.removes;
    assert_eq!(removes, [2, 4, 5]);
    b = bob.follow(&mut b, &removed.commit);
    bytes.push(bob.say(&mut b, "fewer"));
    bytes.extend([added.commit, added.welcome.unwrap(), removed.commit]);
    for state in [&mut a, &mut b, &mut c, &mut removed.child] {
        bytes.extend(rows_of(state).into_iter().flat_map(|(name, value)| [name, value.to_vec()]));
    }
    bytes
}

#[test]
fn two_runs_of_one_seed_give_the_same_bytes() {
    // On threads of their own, because the standard library seeds its hash maps by thread.
    let runs: Vec<_> = (0..3).map(|_| thread::spawn(life)).collect();
    let runs: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn two_seeds_give_other_bytes() {
    let (one, other) = (Person::seeded("alice", 1), Person::seeded("alice", 2));
    assert_ne!(one.package().bytes, one.package().bytes);
    assert_ne!(one.package().bytes, other.package().bytes);
    let keys = |person: &Person| person.p.crypto().signature_key_gen(SignatureScheme::ED25519).unwrap();
    assert_ne!(keys(&one), keys(&one));
    assert_ne!(keys(&one), keys(&other));
}

#[test]
fn seeded_and_unseeded_devices_understand_each_other() {
    let Three { alice, bob, mut a, mut b, .. } =
        Three::of(Person::seeded("alice", 1), Person::new("bob", 2), Person::seeded("carol", 3));
    let committed = alice.commit(&mut a, CommitPlan::default());
    b = bob.follow(&mut b, &committed.commit);
    a = committed.child;
    let message = alice.say(&mut a, "hello");
    bob.hear(&mut b, &message);
}

#[test]
fn seeded_sealing_refuses_what_the_other_refuses() {
    let alice = Person::seeded("alice", 1);
    for key in [&[0; 32][..], &[9; 31][..], &[][..]] {
        assert!(profile::check_sealable(&alice.p, key).is_err());
    }
}

proptest! {
    #[test]
    fn what_is_sealed_from_a_seed_opens(
        ikm: [u8; 32],
        info in prop::collection::vec(any::<u8>(), 0..100),
        aad in prop::collection::vec(any::<u8>(), 0..100),
        text in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (seeded, plain) = (Person::seeded("alice", 1), Person::new("bob", 2));
        let config = || profile::CIPHERSUITE.hpke_config();
        let keys = plain.p.crypto().derive_hpke_keypair(config(), &ikm).unwrap();
        let sealed = seeded.p.crypto().hpke_seal(config(), &keys.public, &info, &aad, &text).unwrap();
        let opened = plain.p.crypto().hpke_open(config(), &sealed, &keys.private, &info, &aad).unwrap();
        prop_assert_eq!(opened, text);
    }
}
