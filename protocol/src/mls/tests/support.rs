//! People with devices, for the tests.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::mls::join::KeyPackageMade;
use crate::mls::{CommitPlan, Committed, MlsError, Provider, RowChanges, Signer, State, StateRows, Under, key_package};

pub(super) const GROUP: &[u8] = b"a group of sixte";
/// What every message here is bound to.
pub(super) const BINDING: &[u8] = b"an envelope";

/// Opens a message where it says to stand itself.
pub(super) fn open(
    state: &mut State,
    p: &Provider,
    message: &[u8],
    binding: &[u8],
) -> Result<Zeroizing<Vec<u8>>, MlsError> {
    let (leaf, count) = state.sender(p, message).unwrap_or_default();
    state.decrypt(p, message, Under { leaf, count, binding })
}

/// Every row as it would be written now, whether anything says that it changed or not.
pub(super) fn rows_of(state: &mut State) -> StateRows {
    let p = Person::new("nobody", 0).p;
    state.settle(&p).unwrap();
    let mark = state.store.mark();
    state.write_secrets(&p).unwrap();
    let rows = state.store.rows();
    state.store.restore(mark);
    rows
}

/// What changed and was not taken yet.
pub(super) fn changes_of(state: &mut State) -> RowChanges {
    state.changes(&Person::new("nobody", 0).p).unwrap()
}

/// One person's device.
pub(super) struct Person {
    pub(super) p: Provider,
    pub(super) signer: Signer,
    pub(super) name: Vec<u8>,
}

impl Person {
    pub(super) fn new(name: &str, seed: u8) -> Self {
        let rng = ChaCha20Rng::from_seed([seed; 32]);
        Self { p: Provider::new(rng), signer: Signer::new(&[seed; 32]), name: name.into() }
    }

    #[cfg(feature = "sim")]
    pub(super) fn seeded(name: &str, seed: u8) -> Self {
        let rng = ChaCha20Rng::from_seed([seed; 32]);
        Self { p: Provider::seeded(rng), ..Self::new(name, seed) }
    }

    pub(super) fn create(&self) -> State {
        State::create(&self.p, &self.signer, &self.name, GROUP, b"extension 0").unwrap()
    }

    pub(super) fn package(&self) -> KeyPackageMade {
        key_package(&self.p, &self.signer, &self.name).unwrap()
    }

    pub(super) fn add(&self, state: &mut State, packages: &[&KeyPackageMade]) -> Committed {
        let adds = packages.iter().map(|made| made.bytes.clone()).collect();
        self.commit(state, CommitPlan { adds, ..CommitPlan::default() })
    }

    pub(super) fn commit(&self, state: &mut State, plan: CommitPlan) -> Committed {
        state.commit(&self.p, &self.signer, plan).unwrap()
    }

    pub(super) fn join(&self, made: &KeyPackageMade, committed: &Committed) -> State {
        crate::mls::join(&self.p, &made.rows, committed.welcome.as_ref().unwrap()).unwrap()
    }

    /// Stages and applies.
    pub(super) fn follow(&self, state: &mut State, commit: &[u8]) -> State {
        let staged = state.stage(&self.p, commit).unwrap();
        state.apply(&self.p, staged).unwrap()
    }

    pub(super) fn say(&self, state: &mut State, text: &str) -> Vec<u8> {
        state.encrypt(&self.p, &self.signer, text.as_bytes(), BINDING).unwrap()
    }

    pub(super) fn hear(&self, state: &mut State, message: &[u8]) -> (u32, String) {
        let text = open(state, &self.p, message, BINDING).unwrap();
        let (leaf, _) = state.sender(&self.p, message).unwrap();
        (leaf, String::from_utf8(text.to_vec()).unwrap())
    }
}

/// Alice with Bob and Carol in her group, all at the same epoch.
pub(super) struct Three {
    pub(super) alice: Person,
    pub(super) bob: Person,
    pub(super) carol: Person,
    pub(super) a: State,
    pub(super) b: State,
    pub(super) c: State,
}

impl Three {
    pub(super) fn new() -> Self {
        Self::of(Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3))
    }

    pub(super) fn of(alice: Person, bob: Person, carol: Person) -> Self {
        let (for_bob, for_carol) = (bob.package(), carol.package());
        let committed = alice.add(&mut alice.create(), &[&for_bob, &for_carol]);
        let b = bob.join(&for_bob, &committed);
        let c = carol.join(&for_carol, &committed);
        Self { a: committed.child, alice, bob, carol, b, c }
    }
}
