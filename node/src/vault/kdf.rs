//! From a passphrase to the key that opens the keyring.

use std::fmt;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

/// How much work one guess of the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfCost {
    /// The least that a person's keyring is given.
    pub const FLOOR: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

    /// Exactly this cost. People's keyrings take [`calibrated`](Self::calibrated); a test takes a cheap one.
    /// `None` outside what a keyring may ask for.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let cost = Self { memory_kib, passes, lanes };
        let bounded = memory_kib <= MEMORY_KIB_MAX && passes <= PASSES_MAX && lanes <= LANES_MAX;
        (bounded && cost.params().is_some()).then_some(cost)
    }

    /// The cost that takes this machine between half a second and a second, never below [`FLOOR`](Self::FLOOR).
    #[must_use]
    pub fn calibrated() -> Self {
        let start = Instant::now();
        match stretch(b"calibration", &[0; 32], Self::FLOOR) {
            Some(_) => Self::scaled(start.elapsed()),
            // The floor itself is out of this machine's reach; creating the keyring will say so.
            None => Self::FLOOR,
        }
    }

    /// What to ask of a machine that needs `floor_takes` for the floor: memory first, as it costs an attacker
    /// most, then passes.
    fn scaled(floor_takes: Duration) -> Self {
        let takes_ms = u32::try_from(floor_takes.as_millis()).unwrap_or(u32::MAX).max(1);
        let memory_kib = (Self::FLOOR.memory_kib / 1024).saturating_mul(AIM_MS) / takes_ms * 1024;
        let memory_kib = memory_kib.clamp(Self::FLOOR.memory_kib, MEMORY_KIB_MAX);
        let floor_work = u64::from(Self::FLOOR.memory_kib) * u64::from(Self::FLOOR.passes);
        let pass_ms = (u64::from(takes_ms) * u64::from(memory_kib) / floor_work).max(1);
        let passes = u32::try_from(u64::from(AIM_MS) / pass_ms).unwrap_or(PASSES_MAX);
        let passes = passes.clamp(Self::FLOOR.passes, PASSES_MAX);
        Self { memory_kib, passes, lanes: Self::FLOOR.lanes }
    }

    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()
    }

    pub(super) fn to_bytes(self) -> [u8; COST_LEN] {
        let mut out = [0; COST_LEN];
        for (room, number) in out.chunks_exact_mut(4).zip([self.memory_kib, self.passes, self.lanes]) {
            room.copy_from_slice(&number.to_be_bytes());
        }
        out
    }
}

/// The key that seals the keyring and nothing else.
#[derive(Clone)]
pub(crate) struct Kek(pub(super) Zeroizing<[u8; 32]>);

impl Kek {
    /// Derives the key. `None` when the memory for it is not there.
    pub(crate) fn derive(passphrase: &[u8], salt: &[u8; 32], cost: KdfCost) -> Option<Self> {
        let stretched = stretch(passphrase, salt, cost)?;
        Some(Self(Zeroizing::new(blake3::derive_key(KEK_CONTEXT, &stretched[..]))))
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek(..)")
    }
}

fn stretch(passphrase: &[u8], salt: &[u8; 32], cost: KdfCost) -> Option<Zeroizing<[u8; 32]>> {
    let params = cost.params()?;
    let count = params.block_count();
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).ok()?;
    blocks.resize(count, Block::default());
    let mut out = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let done = argon.hash_password_into_with_memory(passphrase, salt, &mut out[..], &mut blocks);
    // The crate wipes only what it allocates itself.
    blocks.iter_mut().for_each(Zeroize::zeroize);
    done.ok().map(|()| out)
}

const KEK_CONTEXT: &str = "kinfold 2026-01 keyring key v1";
/// Bytes of a cost in a slot's header.
pub(super) const COST_LEN: usize = 12;
/// The middle of the wait that people accept.
const AIM_MS: u32 = 750;
/// The default on a good machine, and the most that a changed file can make us allocate.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// A changed file must not keep a node busy for minutes.
const PASSES_MAX: u32 = 16;
/// Twice what we write; lanes beyond it gain nobody anything.
const LANES_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_grows_with_the_machine_between_floor_and_ceiling() {
        let at = |ms| KdfCost::scaled(Duration::from_millis(ms));
        assert_eq!(at(5_000), KdfCost::FLOOR);
        assert_eq!(at(155), KdfCost { memory_kib: 256 * 1024, passes: 3, lanes: 4 });
        assert_eq!(at(375).memory_kib, 128 * 1024);
        assert!(at(40).passes > 3);
        assert_eq!(at(0).passes, PASSES_MAX);
    }

    #[test]
    fn a_key_depends_on_passphrase_salt_and_cost() {
        let key = |pass: &[u8], salt, m| *Kek::derive(pass, &[salt; 32], KdfCost::new(m, 1, 1).unwrap()).unwrap().0;
        assert_eq!(key(b"a", 1, 8), key(b"a", 1, 8));
        assert_ne!(key(b"a", 1, 8), key(b"b", 1, 8));
        assert_ne!(key(b"a", 1, 8), key(b"a", 2, 8));
        assert_ne!(key(b"a", 1, 8), key(b"a", 1, 16));
    }

    #[test]
    fn a_cost_out_of_bounds_is_refused() {
        assert!(KdfCost::new(256 * 1024, 16, 8).is_some());
        assert!(KdfCost::new(256 * 1024 + 1, 3, 4).is_none());
        assert!(KdfCost::new(64, 17, 4).is_none());
        assert!(KdfCost::new(128, 1, 9).is_none());
        assert!(KdfCost::new(64, 0, 4).is_none());
        assert!(KdfCost::new(7, 1, 1).is_none());
    }
}
