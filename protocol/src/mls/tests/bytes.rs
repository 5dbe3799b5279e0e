//! Bytes that nobody of ours made: an error, never a panic, and the state as it was.

use proptest::prelude::*;

use super::support::{BINDING, Person, Three, open, rows_of};
use crate::mls::join::KeyPackageMade;
use crate::mls::{CommitPlan, MlsError, State, StateRows, join, key_package_facts};

/// One of each kind of bytes, and who is to read them.
struct Wire {
    bob: Person,
    b: State,
    rows: StateRows,
    dave: Person,
    package: KeyPackageMade,
    commit: Vec<u8>,
    welcome: Vec<u8>,
    message: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        let Three { alice, bob, mut a, mut b, .. } = Three::new();
        bob.hear(&mut b, &alice.say(&mut a, "so that the ratchet is there"));
        let dave = Person::new("dave", 4);
        let package = dave.package();
        let plan = CommitPlan { adds: vec![package.bytes.clone()], removes: vec![2], ..CommitPlan::default() };
        let committed = alice.commit(&mut a, plan);
        let message = alice.say(&mut a, "hello");
        let (commit, welcome) = (committed.commit, committed.welcome.unwrap());
        Self { rows: rows_of(&mut b), bob, b, dave, package, commit, welcome, message }
    }

    fn refuses_commit(&mut self, bytes: &[u8]) {
        assert!(self.b.stage(&self.bob.p, bytes).is_err());
        assert!(rows_of(&mut self.b) == self.rows);
    }

    fn refuses_message(&mut self, bytes: &[u8]) {
        open(&mut self.b, &self.bob.p, bytes, BINDING).unwrap_err();
        assert!(rows_of(&mut self.b) == self.rows);
    }

    fn refuses_welcome(&self, bytes: &[u8]) {
        assert!(join(&self.dave.p, &self.package.rows, bytes).is_err());
    }

    fn refuses_package(&self, bytes: &[u8]) {
        assert!(key_package_facts(&self.bob.p, bytes).is_err());
    }

    /// What was refused damaged is taken whole.
    fn takes_the_whole(mut self) {
        self.b.stage(&self.bob.p, &self.commit).map(drop).unwrap();
        open(&mut self.b, &self.bob.p, &self.message, BINDING).map(drop).unwrap();
        join(&self.dave.p, &self.package.rows, &self.welcome).map(drop).unwrap();
        key_package_facts(&self.bob.p, &self.package.bytes).map(drop).unwrap();
    }
}

#[test]
fn bytes_cut_at_any_length_are_refused() {
    let mut wire = Wire::new();
    for len in 0..wire.commit.len() {
        wire.refuses_commit(&wire.commit.clone()[..len]);
    }
    for len in 0..wire.message.len() {
        wire.refuses_message(&wire.message.clone()[..len]);
    }
    for len in 0..wire.welcome.len() {
        wire.refuses_welcome(&wire.welcome[..len]);
    }
    for len in 0..wire.package.bytes.len() {
        wire.refuses_package(&wire.package.bytes[..len]);
    }
    wire.takes_the_whole();
}

#[test]
fn bytes_with_one_more_are_refused() {
    let mut wire = Wire::new();
    let more = |bytes: &[u8]| [bytes, &[0]].concat();
    wire.refuses_commit(&more(&wire.commit.clone()));
    wire.refuses_message(&more(&wire.message.clone()));
    wire.refuses_welcome(&more(&wire.welcome));
    wire.refuses_package(&more(&wire.package.bytes));
    wire.takes_the_whole();
}

#[test]
fn lengths_are_bounded_before_anything_is_read() {
    let mut wire = Wire::new();
    let long = vec![0; 1024 * 1024];
    assert!(matches!(wire.b.stage(&wire.bob.p, &long), Err(MlsError::Oversize)));
    assert_eq!(open(&mut wire.b, &wire.bob.p, &long, BINDING).unwrap_err(), MlsError::Oversize);
    assert!(matches!(join(&wire.dave.p, &wire.package.rows, &long), Err(MlsError::Oversize)));
    assert!(matches!(key_package_facts(&wire.bob.p, &long), Err(MlsError::Oversize)));
    let mut oversize = |plan| wire.b.commit(&wire.bob.p, &wire.bob.signer, plan).map(drop);
    let adds = vec![long.clone()];
    assert_eq!(oversize(CommitPlan { adds, ..CommitPlan::default() }), Err(MlsError::Oversize));
    assert_eq!(oversize(CommitPlan { aad: long.clone(), ..CommitPlan::default() }), Err(MlsError::Oversize));
    assert_eq!(oversize(CommitPlan { extension: Some(long), ..CommitPlan::default() }), Err(MlsError::Oversize));
}

#[test]
fn one_kind_of_bytes_is_not_taken_for_another() {
    let mut wire = Wire::new();
    for bytes in [wire.welcome.clone(), wire.message.clone(), wire.package.bytes.clone()] {
        wire.refuses_commit(&bytes);
    }
    for bytes in [wire.welcome.clone(), wire.commit.clone(), wire.package.bytes.clone()] {
        wire.refuses_message(&bytes);
    }
    for bytes in [&wire.commit, &wire.message, &wire.package.bytes] {
        wire.refuses_welcome(bytes);
    }
    for bytes in [&wire.commit, &wire.message, &wire.welcome] {
        wire.refuses_package(bytes);
    }
}

fn damage(bytes: &[u8], at: prop::sample::Index, with: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    bytes[at] ^= with;
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn damaged_bytes_are_refused(damages in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 64)) {
        let mut wire = Wire::new();
        for (at, with) in damages {
            wire.refuses_commit(&damage(&wire.commit, at, with));
            wire.refuses_message(&damage(&wire.message, at, with));
            wire.refuses_welcome(&damage(&wire.welcome, at, with));
            wire.refuses_package(&damage(&wire.package.bytes, at, with));
        }
        wire.takes_the_whole();
    }

    #[test]
    fn bytes_from_nowhere_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let mut wire = Wire::new();
        wire.refuses_commit(&bytes);
        wire.refuses_message(&bytes);
        wire.refuses_welcome(&bytes);
        wire.refuses_package(&bytes);
    }
}
