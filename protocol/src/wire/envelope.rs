//! The envelope: what peers carry and keep. A fixed header, a tag by which members find the key, a padded ciphertext
//! (PROTOCOL M3).

use std::time::Duration;

use zeroize::Zeroizing;

use crate::id::EnvelopeId;
use crate::limits::{ENVELOPE_BYTES_MAX, ENVELOPE_BYTES_MIN};
use crate::seal::{self, SEAL_OVERHEAD};
use crate::wire::Malformed;

/// The first byte of every envelope.
const VERSION: u8 = 1;
/// version 1, lane 16, hour 4, lifetime class 1, nonce 24, tag 8.
const HEADER: usize = 54;
/// The header less nonce and tag.
const PLACE: usize = 22;
/// Another cover with the same binding is as hard to find as a key.
const BINDING: usize = 16;

/// How long everyone keeps a group's envelopes: its retention, rounded up. One class for all envelopes of a group, so
/// that a single message's lifetime does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LifetimeClass {
    Week = 7,
    Month = 30,
    Quarter = 90,
}

impl LifetimeClass {
    /// The class of a group with this retention.
    pub(crate) fn of(retention: Duration) -> Self {
        match retention.as_secs() {
            0..=604_800 => Self::Week,
            604_801..=2_592_000 => Self::Month,
            _ => Self::Quarter,
        }
    }

    /// Its length.
    pub(crate) const fn duration(self) -> Duration {
        Duration::from_secs((self as u64).saturating_mul(86_400))
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Week, Self::Month, Self::Quarter].into_iter().find(|class| *class as u8 == byte)
    }
}

/// A key that seals envelopes, and the key of the tags by which its envelopes are found.
#[derive(Clone)]
pub(crate) struct EnvelopeKey {
    seal: seal::Secret,
    tag: seal::Secret,
}

impl EnvelopeKey {
    /// Both keys from one secret.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self { seal: seal::derive(secret, "envelope seal", &[]), tag: seal::derive(secret, "envelope tag", &[]) }
    }

    fn tag_of(&self, nonce: &[u8]) -> [u8; 8] {
        let hash = seal::keyed(&self.tag, "tag", &[nonce]);
        *hash.first_chunk().expect("a hash is longer than a tag")
    }
}

/// What an envelope shows to everybody, but for the tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cover {
    /// Where it lies.
    pub(crate) lane: [u8; 16],
    /// When it was sealed, in hours since 1970.
    pub(crate) hour: u32,
    /// How long it is kept.
    pub(crate) class: LifetimeClass,
    /// Of the outer seal.
    pub(crate) nonce: [u8; 24],
}

impl Cover {
    /// Binds a message to this cover and to its place among its sender's, in the authenticated data of MLS: nobody but
    /// the sender can put it into another envelope, which ends sooner or claims another place.
    pub(crate) fn binding(&self, leaf: u32, count: u32, burnt: u32) -> [u8; BINDING] {
        let numbers = [self.hour, u32::from(self.class as u8), leaf, count, burnt].map(u32::to_be_bytes);
        let digest = seal::digest("kinfold cover", &[&self.lane, &self.nonce, numbers.as_flattened()]);
        *digest.first_chunk().expect("a digest is longer than a binding")
    }
}

/// An envelope whose header is well formed. Its ciphertext may still be anything.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    bytes: Vec<u8>,
    /// The class that its sender's group had.
    pub(crate) class: LifetimeClass,
}

impl Envelope {
    /// Seals `body` into the smallest size class that holds it.
    pub(crate) fn seal(key: &EnvelopeKey, cover: &Cover, body: &[u8]) -> Option<Self> {
        let Cover { lane, hour, class, nonce } = cover;
        let size = seal::size_class(size_for(body.len())?, ENVELOPE_BYTES_MIN, ENVELOPE_BYTES_MAX)?;
        let plain = seal::pad(body, size.checked_sub(HEADER)?.checked_sub(SEAL_OVERHEAD)?)?;
        let mut bytes = Vec::with_capacity(size);
        bytes.push(VERSION);
        bytes.extend_from_slice(lane);
        bytes.extend_from_slice(&hour.to_be_bytes());
        bytes.push(*class as u8);
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(&key.tag_of(nonce));
        let sealed = seal::seal(&key.seal, nonce, &bytes, &plain);
        bytes.extend_from_slice(&sealed);
        Some(Self { bytes, class: *class })
    }

    /// Reads the header; the size must be one of the classes.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let sized = bytes.len().is_power_of_two() && (ENVELOPE_BYTES_MIN..=ENVELOPE_BYTES_MAX).contains(&bytes.len());
        if !sized || bytes.first() != Some(&VERSION) {
            return Err(Malformed);
        }
        let class = bytes.get(PLACE - 1).and_then(|byte| LifetimeClass::from_byte(*byte)).ok_or(Malformed)?;
        Ok(Self { bytes, class })
    }

    /// Its name.
    pub(crate) fn id(&self) -> EnvelopeId {
        EnvelopeId::from_bytes(*blake3::hash(&self.bytes).as_bytes())
    }

    /// Which lane it lies on.
    pub(crate) fn lane(&self) -> [u8; 16] {
        self.field(1)
    }

    /// The hour its sender stamped, in hours since 1970.
    pub(crate) fn hour(&self) -> u32 {
        u32::from_be_bytes(self.field(17))
    }

    /// What it shows.
    pub(crate) fn cover(&self) -> Cover {
        Cover { lane: self.lane(), hour: self.hour(), class: self.class, nonce: self.field(PLACE) }
    }

    /// Whether `key` sealed it, as far as the tag tells: wrong once in 2^64.
    pub(crate) fn is_under(&self, key: &EnvelopeKey) -> bool {
        self.field::<8>(46) == key.tag_of(&self.field::<24>(PLACE))
    }

    /// The body, if `key` sealed it.
    pub(crate) fn open(&self, key: &EnvelopeKey) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        let (header, sealed) = self.bytes.split_at_checked(HEADER).ok_or(Malformed)?;
        let plain = seal::open(&key.seal, &self.field(PLACE), header, sealed).map_err(|_| Malformed)?;
        seal::unpad(&plain).map(|body| Zeroizing::new(body.to_vec())).ok_or(Malformed)
    }

    /// All its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All its bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.bytes.get(at..).and_then(|rest| rest.first_chunk()).expect("parse and seal make at least 512 bytes")
    }
}

/// Bytes of an envelope that just holds a body of `len`.
fn size_for(len: usize) -> Option<usize> {
    len.checked_add(HEADER + SEAL_OVERHEAD + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COVER: Cover = Cover { lane: [2; 16], hour: 3, class: LifetimeClass::Week, nonce: [4; 24] };

    fn sealed(body: &[u8]) -> Envelope {
        Envelope::seal(&EnvelopeKey::new(&[1; 32]), &COVER, body).unwrap()
    }

    #[test]
    fn an_envelope_has_one_of_seven_sizes_and_opens_again() {
        for (len, size) in [(0, 512), (438, 512), (439, 1_024), (32_694, 32_768)] {
            let body = vec![7; len];
            let envelope = sealed(&body);
            assert_eq!(envelope.as_bytes().len(), size);
            let read = Envelope::parse(envelope.into_bytes()).unwrap();
            assert!(read.cover() == COVER && (read.lane(), read.hour()) == (COVER.lane, COVER.hour));
            assert!(read.is_under(&EnvelopeKey::new(&[1; 32])) && !read.is_under(&EnvelopeKey::new(&[9; 32])));
            assert_eq!(read.open(&EnvelopeKey::new(&[1; 32])).unwrap().as_slice(), body);
        }
        let key = EnvelopeKey::new(&[1; 32]);
        assert!(Envelope::seal(&key, &COVER, &[0; 32_695]).is_none());
    }

    #[test]
    fn every_byte_of_the_header_is_bound_to_the_ciphertext() {
        let envelope = sealed(b"hello").into_bytes();
        for at in 0..HEADER {
            let mut bad = envelope.clone();
            bad[at] ^= 1;
            let opened = Envelope::parse(bad).map(|envelope| envelope.open(&EnvelopeKey::new(&[1; 32])));
            assert!(!matches!(opened, Ok(Ok(_))), "byte {at}");
        }
    }

    #[test]
    fn whatever_is_another_about_a_cover_or_a_place_is_another_binding() {
        let covers = [
            COVER,
            Cover { lane: [3; 16], ..COVER },
            Cover { hour: 4, ..COVER },
            Cover { class: LifetimeClass::Month, ..COVER },
            Cover { nonce: [5; 24], ..COVER },
        ];
        let places = [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4)];
        let all = covers.iter().flat_map(|cover| places.map(|(leaf, count, burnt)| cover.binding(leaf, count, burnt)));
        assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), covers.len() * places.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..1_100)) {
            let key = EnvelopeKey::new(&[1; 32]);
            let sized = bytes.len() == 512 || bytes.len() == 1_024;
            if let Ok(envelope) = Envelope::parse(bytes) {
                prop_assert!(sized && envelope.open(&key).is_err());
            }
        }
    }
}
