//! A body with its author's key inside and a signature around it: verifiable by anyone, without any epoch state.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use minicbor::{Decode, Encode};

use super::{Malformed, decode, encode};
use crate::id::{GroupId, MemberId};
use crate::seal;

/// A public key of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct MemberKey(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) [u8; 32]);

impl MemberKey {
    /// The member that this key is.
    pub(crate) fn member(&self) -> MemberId {
        MemberId::from_bytes(seal::digest("kinfold member", &[&self.0]))
    }

    /// Whether `signature` over `bytes` is this key's, strictly checked.
    pub(crate) fn verifies(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
    }
}

/// What can be signed: a value that names its author and its place.
pub(crate) trait Body: Encode<()> + for<'b> Decode<'b, ()> {
    /// Separates the kinds of signatures.
    const DOMAIN: &'static str;
    /// The longest encoding.
    const BYTES_MAX: usize;
    /// Whose signature it takes.
    fn key(&self) -> &MemberKey;
    /// Refuses a body whose inner bounds are exceeded.
    fn check(&self) -> Result<(), Malformed>;
}

/// An encoded body and its signature.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Signed {
    /// The body's bytes, as signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) body: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Signed {
    /// Signs a body that names `key` as its author.
    pub(crate) fn new<T: Body>(group: GroupId, body: &T, key: &SigningKey) -> Self {
        let body = encode(body);
        let signature = key.sign(&statement::<T>(group, &body)).to_bytes();
        Self { body, signature }
    }

    /// The body, if it is well formed and signed by the key inside.
    pub(crate) fn open<T: Body>(&self, group: GroupId) -> Result<T, Malformed> {
        let body: T = decode(&self.body, T::BYTES_MAX)?;
        body.check()?;
        if body.key().verifies(&statement::<T>(group, &self.body), &self.signature) { Ok(body) } else { Err(Malformed) }
    }
}

fn statement<T: Body>(group: GroupId, body: &[u8]) -> [u8; 32] {
    seal::digest(T::DOMAIN, &[group.as_bytes(), body])
}
