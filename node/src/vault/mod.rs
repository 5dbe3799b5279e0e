//! Keys and encryption at rest: what the disk sees is ciphertext, and what is gone has lost its key.
//!
//! ```text
//! passphrase -> Argon2id -> KEK -> keyring { names, headers, trees T M S } -> row key -> row
//! ```
//!
//! The database never forgets: a deleted value stays in its log. So each version of each row is sealed under a
//! key that is derived from leaves of key trees (`tree`), and the trees live in one small file that is
//! overwritten in place (`keyring`, `ringfile`). A row that may be read has its leaves; to erase the row is
//! to take a leaf away.

mod bytes;
mod kdf;
pub(crate) mod keyring;
pub(crate) mod ringfile;
pub(crate) mod row;
pub(crate) mod tree;

pub use kdf::KdfCost;

/// The operating system gave no randomness; nothing can be sealed without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness")]
pub(crate) struct NoEntropy;

/// Fills an array from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer from the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), NoEntropy> {
    getrandom::fill(bytes).map_err(|_| NoEntropy)
}
