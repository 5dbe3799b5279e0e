//! Names of things. Each is its own type, so that one cannot be taken for another; none shows itself in a log.

use std::fmt;

use minicbor::{Decode, Encode};

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; $len]);

        impl $name {
            /// Bytes of the name.
            pub const LEN: usize = $len;

            /// Takes the bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Takes a slice of exactly the right length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Lower-case hexadecimal, as people and scripts see it.
            #[must_use]
            pub fn to_hex(&self) -> String {
                data_encoding::HEXLOWER.encode(&self.0)
            }

            /// Reads what [`Self::to_hex`] wrote.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
                Self::from_slice(&bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

bytes_id!(
    /// A support group. Random; never on the wire outside encryption.
    GroupId, 16
);
bytes_id!(
    /// A member of one group: SHA-256 of the member's public key (DESIGN 4).
    MemberId, 32
);
bytes_id!(
    /// One epoch state: `SHA-256(domain, group id, epoch number, epoch_authenticator)` (PROTOCOL O1).
    EpochId, 32
);
bytes_id!(
    /// One commit: SHA-256 of its encoding (PROTOCOL O2).
    CommitId, 32
);
bytes_id!(
    /// One envelope: BLAKE3 of all its bytes (PROTOCOL M3).
    EnvelopeId, 32
);
bytes_id!(
    /// One thing said: BLAKE3 of the signed inner bytes (PROTOCOL O6).
    MsgId, 32
);
bytes_id!(
    /// The beginning of a [`MsgId`], enough for the author to know its own message by: another that begins like it
    /// takes 2^96 attempts to find.
    MsgStem, 12
);
bytes_id!(
    /// A generation of the net secret, named by its hash (PROTOCOL M1).
    GenerationId, 32
);
bytes_id!(
    /// An invite, as its maker lists it: hash of its seed, cut.
    InviteId, 8
);
bytes_id!(
    /// A gossip topic: changes with the net secret and the UTC day (PROTOCOL M1).
    Topic, 16
);

impl MsgId {
    /// Its beginning.
    #[must_use]
    pub fn stem(&self) -> MsgStem {
        let mut stem = [0; MsgStem::LEN];
        stem.iter_mut().zip(self.0).for_each(|(room, byte)| *room = byte);
        MsgStem(stem)
    }
}

/// A network of one group on this device: what the node runs a swarm for. Local, never on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct NetId(#[n(0)] pub u64);

/// One stream to one peer, from `Connected` to `Disconnected`. Given by the node, never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debugged_id_shows_none_of_its_bytes() {
        assert_eq!(format!("{:?}", MemberId::from_bytes([0xab; 32])), "MemberId(..)");
    }

    #[test]
    fn hex_goes_both_ways_and_refuses_other_lengths() {
        let id = GroupId::from_bytes([7; 16]);
        assert_eq!(GroupId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(GroupId::from_hex("07"), None);
    }
}
