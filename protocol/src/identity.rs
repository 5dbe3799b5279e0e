//! Who a member is: a key of its own for each group, a device key under it, a chosen name (DESIGN 4).

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use minicbor::{Decode, Encode};
use rand_core::RngCore;
use zeroize::Zeroizing;

use crate::id::{GroupId, MemberId};
use crate::limits::NAME_BYTES_MAX;
use crate::seal;
use crate::view::SafetyCode;
use crate::wire::signed::{Body, MemberKey, Signed};
use crate::wire::{Malformed, bounded, decode, encode};

/// The secret half of a membership: only on this device, one for each group.
pub(crate) struct Identity {
    member: SigningKey,
    device: SigningKey,
    /// What an MLS leaf says of it.
    pub(crate) credential: Credential,
}

impl Identity {
    /// Makes fresh keys.
    pub(crate) fn new(name: &str, rng: &mut impl RngCore) -> Self {
        let mut secrets = Zeroizing::new([0; 64]);
        rng.fill_bytes(secrets.as_mut_slice());
        let (member, device) = secrets.split_at(32);
        Self::from_keys(key(member), key(device), name)
    }

    fn from_keys(member: SigningKey, device: SigningKey, name: &str) -> Self {
        let member_key = MemberKey(member.verifying_key().to_bytes());
        let device_key = device.verifying_key().to_bytes();
        let signature = member.sign(&statement(&device_key, name)).to_bytes();
        let credential = Credential { member_key, device_key, name: name.to_owned(), signature };
        Self { member, device, credential }
    }

    /// The member.
    pub(crate) fn member(&self) -> MemberId {
        self.credential.member_key.member()
    }

    /// The public member key.
    pub(crate) const fn key(&self) -> MemberKey {
        self.credential.member_key
    }

    /// The device key's secret, for signing MLS messages.
    pub(crate) fn device_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.device.to_bytes())
    }

    /// Signs a body as this member.
    pub(crate) fn sign<T: Body>(&self, group: GroupId, body: &T) -> Signed {
        Signed::new(group, body, &self.member)
    }

    /// Signs a hash as this member; the domain is in the hash.
    pub(crate) fn sign_hash(&self, hash: &[u8; 32]) -> [u8; 64] {
        self.member.sign(hash).to_bytes()
    }

    /// For a row of the store.
    pub(crate) fn to_row(&self) -> IdentityRow {
        IdentityRow {
            member: self.member.to_bytes(),
            device: self.device.to_bytes(),
            name: self.credential.name.clone(),
        }
    }

    /// From a row of the store.
    pub(crate) fn from_row(row: &IdentityRow) -> Self {
        Self::from_keys(SigningKey::from_bytes(&row.member), SigningKey::from_bytes(&row.device), &row.name)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

fn key(secret: &[u8]) -> SigningKey {
    SigningKey::from_bytes(secret.first_chunk().expect("half of 64 bytes"))
}

/// [`Identity`] as stored.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct IdentityRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    member: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    device: [u8; 32],
    #[n(2)]
    name: String,
}

impl Drop for IdentityRow {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.member.zeroize();
        self.device.zeroize();
    }
}

/// What an MLS leaf carries: the member's key, the device's key, and the member's word that the device is its own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Credential {
    /// The member.
    #[n(0)]
    pub(crate) member_key: MemberKey,
    /// The device; the leaf's signature key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) device_key: [u8; 32],
    /// The chosen name.
    #[n(2)]
    pub(crate) name: String,
    #[cbor(n(3), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Credential {
    /// The longest encoding.
    pub(crate) const BYTES_MAX: usize = 256;

    /// Reads one and checks the member's word.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let credential: Self = decode(bytes, Self::BYTES_MAX)?;
        bounded(credential.name.as_bytes(), NAME_BYTES_MAX)?;
        let statement = statement(&credential.device_key, &credential.name);
        let holds = is_name(&credential.name) && credential.member_key.verifies(&statement, &credential.signature);
        if holds { Ok(credential) } else { Err(Malformed) }
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The member.
    pub(crate) fn member(&self) -> MemberId {
        self.member_key.member()
    }
}

/// Whether a text can be a name: 1 to [`NAME_BYTES_MAX`] bytes without control characters, without such as nobody sees
/// (but those that make up emoji), and without blank ends.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || is_hidden(c))
}

/// Characters that have no width, or turn others round: two names would look the same.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn statement(device_key: &[u8; 32], name: &str) -> [u8; 32] {
    seal::digest("kinfold device", &[device_key, name.as_bytes()])
}

/// The code two people compare: the same on both sides, new when a key of either is new.
pub(crate) fn safety_code(group: GroupId, one: &Credential, other: &Credential) -> SafetyCode {
    let mut keys = [(one.member_key.0, one.device_key), (other.member_key.0, other.device_key)];
    keys.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("kinfold 1 safety code");
    hasher.update(group.as_bytes());
    for (member, device) in keys {
        hasher.update(&member);
        hasher.update(&device);
    }
    let mut bytes = [0; 48];
    hasher.finalize_xof().fill(&mut bytes);
    let digits = bytes
        .chunks_exact(8)
        .map(|chunk| {
            let number = chunk.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        })
        .collect::<Vec<_>>()
        .join(" ");
    SafetyCode { digits, qr: bytes.get(..32).unwrap_or_default().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng as _;

    fn identity(seed: u64, name: &str) -> Identity {
        Identity::new(name, &mut rand_chacha::ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_credential_is_bound_to_its_name_and_device() {
        let ana = identity(1, "Ana");
        assert_eq!(Credential::parse(&ana.credential.encode()), Ok(ana.credential.clone()));
        let mut renamed = ana.credential.clone();
        renamed.name = "Ben".into();
        assert_eq!(Credential::parse(&renamed.encode()), Err(Malformed));
        let mut moved = ana.credential.clone();
        moved.device_key = identity(2, "Ana").credential.device_key;
        assert_eq!(Credential::parse(&moved.encode()), Err(Malformed));
    }

    #[test]
    fn a_stored_identity_is_the_same_member() {
        let ana = identity(1, "Ana");
        assert_eq!(Identity::from_row(&ana.to_row()).credential, ana.credential);
    }

    #[test]
    fn both_sides_see_one_code_and_a_new_key_changes_it() {
        let (ana, ben, mallory) = (identity(1, "Ana"), identity(2, "Ben"), identity(3, "Ben"));
        let group = GroupId::from_bytes([1; 16]);
        let code = safety_code(group, &ana.credential, &ben.credential);
        assert_eq!(code, safety_code(group, &ben.credential, &ana.credential));
        assert_ne!(code, safety_code(group, &ana.credential, &mallory.credential));
        let groups: Vec<_> = code.digits.split(' ').collect();
        assert!(groups.len() == 6 && groups.iter().all(|g| g.len() == 5 && g.bytes().all(|b| b.is_ascii_digit())));
    }

    #[test]
    fn names_that_could_deceive_a_terminal_are_no_names() {
        assert!(is_name("Ana María") && is_name("阿娜"));
        for bad in ["", " Ana", "A\u{1b}[2J", "a\nb", "x\u{202e}y", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
