//! The symmetric cryptography outside MLS: key derivation, keyed hashes, sealing. One function each.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

/// A symmetric key, wiped from memory when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Bytes that sealing adds.
pub(crate) const SEAL_OVERHEAD: usize = 16;

/// A seal that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSeal;

/// Keyed BLAKE3 over a label and parts, each preceded by its length so that no two lists of parts collide.
pub(crate) fn keyed(key: &[u8; 32], label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [label.as_bytes()].iter().chain(parts) {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A key derived from another for one purpose.
pub(crate) fn derive(key: &[u8; 32], label: &str, parts: &[&[u8]]) -> Secret {
    Zeroizing::new(keyed(key, label, parts))
}

/// SHA-256 over a domain and parts, each preceded by its length.
pub(crate) fn digest(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    for part in [domain.as_bytes()].iter().chain(parts) {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Seals with XChaCha20-Poly1305.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    XChaCha20Poly1305::new(key.into())
        .encrypt(nonce.into(), Payload { msg: plain, aad })
        .expect("sealing fails only past 256 GiB, and every input is bounded")
}

/// Opens what [`seal`] made.
pub(crate) fn open(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadSeal> {
    XChaCha20Poly1305::new(key.into())
        .decrypt(nonce.into(), Payload { msg: sealed, aad })
        .map(Zeroizing::new)
        .map_err(|_| BadSeal)
}

/// Pads `body` to exactly `len` bytes behind its own length; `None` if it does not fit.
pub(crate) fn pad(body: &[u8], len: usize) -> Option<Zeroizing<Vec<u8>>> {
    if body.len().checked_add(4)? > len {
        return None;
    }
    let mut padded = Zeroizing::new(Vec::with_capacity(len));
    padded.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
    padded.extend_from_slice(body);
    padded.resize(len, 0);
    Some(padded)
}

/// What [`pad`] padded. Padding that is not zero is refused: it would be a place to hide bytes in.
pub(crate) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (len, rest) = padded.split_first_chunk::<4>()?;
    let (body, padding) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    padding.iter().all(|byte| *byte == 0).then_some(body)
}

/// The smallest power of two that holds `len`, between `min` and `max`.
pub(crate) fn size_class(len: usize, min: usize, max: usize) -> Option<usize> {
    let class = len.max(min).checked_next_power_of_two()?;
    (class <= max).then_some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_slide_into_each_other() {
        let key = [1; 32];
        assert_ne!(keyed(&key, "a", &[b"bc", b"d"]), keyed(&key, "a", &[b"b", b"cd"]));
        assert_ne!(digest("a", &[b"bc"]), digest("ab", &[b"c"]));
    }

    #[test]
    fn a_changed_byte_anywhere_breaks_the_seal() {
        let sealed = seal(&[1; 32], &[2; 24], b"header", b"hello");
        assert_eq!(open(&[1; 32], &[2; 24], b"header", &sealed).unwrap().as_slice(), b"hello");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_eq!(open(&[1; 32], &[2; 24], b"header", &bad), Err(BadSeal));
        }
        assert_eq!(open(&[1; 32], &[2; 24], b"other", &sealed), Err(BadSeal));
        for len in 0..sealed.len() {
            assert_eq!(open(&[1; 32], &[2; 24], b"header", &sealed[..len]), Err(BadSeal));
        }
    }

    #[test]
    fn padding_goes_both_ways_and_must_be_zero() {
        let padded = pad(b"abc", 16).unwrap();
        assert_eq!((padded.len(), unpad(&padded)), (16, Some(&b"abc"[..])));
        let mut bad = padded.to_vec();
        bad[15] = 1;
        assert_eq!(unpad(&bad), None);
        assert_eq!(pad(&[0; 13], 16), None);
        assert_eq!(unpad(&[0, 0, 0, 9, 1]), None);
        assert_eq!(size_class(513, 512, 1_024), Some(1_024));
        assert_eq!(size_class(1_025, 512, 1_024), None);
    }
}
