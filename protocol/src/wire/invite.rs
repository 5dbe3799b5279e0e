//! The invite: the string or QR code that one person hands to another (notes of docs/wire.md, "Invite").

use std::time::Duration;

use zeroize::Zeroizing;

use super::Malformed;
use crate::id::{GroupId, InviteId};
use crate::limits::{ADDRESS_BYTES_MAX, INVITE_ADDRESSES_MAX, INVITE_TEXT_MAX};
use crate::seal;
use crate::step::Address;
use crate::time::Time;
use crate::wire::signed::MemberKey;

const PREFIX: &str = "kinfold:";
const VERSION: u8 = 1;
const CHECK: usize = 4;

/// What an invite says. Neither the group's name nor the inviter's is in it: both come only after the first
/// encrypted answer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Invite {
    /// The secret that opens the door, once.
    pub(crate) seed: Zeroizing<[u8; 16]>,
    /// Binds the group and the inviter: see [`commitment`].
    pub(crate) commitment: [u8; 16],
    /// Hash of the key with which the one who answers proves that it may.
    pub(crate) answerer: [u8; 16],
    /// First hour since 1970 at which it is no longer good.
    pub(crate) expiry_hour: u32,
    /// Where to go.
    pub(crate) hints: Vec<Address>,
}

impl Invite {
    /// As text, upper case so that a QR code stays small.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![VERSION]);
        bytes.extend_from_slice(self.seed.as_slice());
        bytes.extend_from_slice(&self.commitment);
        bytes.extend_from_slice(&self.answerer);
        bytes.extend_from_slice(&self.expiry_hour.to_be_bytes());
        bytes.push(1); // uses
        for hint in self.hints.iter().take(INVITE_ADDRESSES_MAX) {
            bytes.push(u8::try_from(hint.0.len()).unwrap_or(0));
            bytes.extend_from_slice(hint.0.as_bytes());
        }
        let check = checksum(&bytes);
        bytes.extend_from_slice(&check);
        Zeroizing::new(format!("{PREFIX}{}", data_encoding::BASE32_NOPAD.encode(&bytes)))
    }

    /// Reads what a person typed, pasted or scanned: case and white space do not matter.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > INVITE_TEXT_MAX {
            return Err(Malformed);
        }
        let text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
        let (prefix, code) = text.split_at_checked(PREFIX.len()).ok_or(Malformed)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(Malformed);
        }
        let code = Zeroizing::new(code.to_ascii_uppercase());
        let bytes = Zeroizing::new(data_encoding::BASE32_NOPAD.decode(code.as_bytes()).map_err(|_| Malformed)?);
        let (body, check) = bytes.split_last_chunk::<CHECK>().ok_or(Malformed)?;
        if checksum(body) != *check {
            return Err(Malformed);
        }
        Self::from_body(body)
    }

    pub(crate) fn from_body(body: &[u8]) -> Result<Self, Malformed> {
        let (version, rest) = body.split_first_chunk::<1>().ok_or(Malformed)?;
        let (seed, rest) = rest.split_first_chunk::<16>().ok_or(Malformed)?;
        let (commitment, rest) = rest.split_first_chunk::<16>().ok_or(Malformed)?;
        let (answerer, rest) = rest.split_first_chunk::<16>().ok_or(Malformed)?;
        let (expiry, rest) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let (uses, mut rest) = rest.split_first_chunk::<1>().ok_or(Malformed)?;
        if *version != [VERSION] || *uses != [1] {
            return Err(Malformed);
        }
        let mut hints = Vec::new();
        while let Some((len, after)) = rest.split_first() {
            let (hint, after) = after.split_at_checked(usize::from(*len)).ok_or(Malformed)?;
            let hint = std::str::from_utf8(hint).map_err(|_| Malformed)?;
            if hint.is_empty() || hint.len() > ADDRESS_BYTES_MAX || hints.len() == INVITE_ADDRESSES_MAX {
                return Err(Malformed);
            }
            hints.push(Address(hint.to_owned()));
            rest = after;
        }
        Ok(Self {
            seed: Zeroizing::new(*seed),
            commitment: *commitment,
            answerer: *answerer,
            expiry_hour: u32::from_be_bytes(*expiry),
            hints,
        })
    }

    /// The moment from which it is no longer good.
    pub(crate) fn expires(&self) -> Time {
        Time::ZERO + Duration::from_secs(u64::from(self.expiry_hour).saturating_mul(3_600))
    }

    /// How its maker lists it.
    pub(crate) fn id(&self) -> InviteId {
        invite_id(&self.seed)
    }
}

/// The name of the invite with this seed.
pub(crate) fn invite_id(seed: &[u8; 16]) -> InviteId {
    let hash = seal::digest("kinfold invite", &[seed]);
    InviteId::from_bytes(*hash.first_chunk().expect("a hash is longer than an id"))
}

/// The key that a hello between the two ends of an invite proves.
pub(crate) fn invite_key(seed: &[u8; 16]) -> seal::Secret {
    Zeroizing::new(seal::digest("kinfold invite key", &[seed]))
}

/// What binds an invite to a group and to the person who made it.
pub(crate) fn commitment(group: GroupId, inviter: &MemberKey) -> [u8; 16] {
    let hash = seal::digest("kinfold invite group", &[group.as_bytes(), &inviter.0]);
    *hash.first_chunk().expect("a hash is longer than a commitment")
}

/// What binds an invite to the key of the one who may answer it.
pub(crate) fn answerer_hash(key: &[u8; 32]) -> [u8; 16] {
    let hash = seal::digest("kinfold invite answerer", &[key]);
    *hash.first_chunk().expect("a hash is longer than its half")
}

fn checksum(bytes: &[u8]) -> [u8; CHECK] {
    let hash = seal::digest("kinfold invite checksum", &[bytes]);
    *hash.first_chunk().expect("a hash is longer than a checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            seed: Zeroizing::new([1; 16]),
            commitment: [2; 16],
            answerer: [3; 16],
            expiry_hour: 500_000,
            hints: vec![Address("/ip4/127.0.0.1/tcp/4001".into()), Address("/ip6/::1/tcp/4001".into())],
        }
    }

    #[test]
    fn an_invite_survives_a_messenger_and_a_keyboard() {
        let text = invite().to_text();
        assert!(text.starts_with("kinfold:") && text.len() < 250);
        assert!(Invite::parse(&text) == Ok(invite()));
        let (a, b) = text.split_at(40);
        assert!(Invite::parse(&format!(" {}\n {} ", a.to_lowercase(), b)) == Ok(invite()));
    }

    #[test]
    fn a_truncated_or_mistyped_invite_is_refused() {
        let text = invite().to_text();
        for len in 0..text.len() {
            assert!(Invite::parse(text.get(..len).unwrap()) == Err(Malformed), "cut at {len}");
        }
        for at in 8..text.len() {
            let mut typed = text.as_bytes().to_vec();
            typed[at] = if typed[at] == b'A' { b'B' } else { b'A' };
            assert!(Invite::parse(std::str::from_utf8(&typed).unwrap()) == Err(Malformed), "typo at {at}");
        }
        assert!(Invite::parse(&"k".repeat(3_000)) == Err(Malformed));
    }
}
