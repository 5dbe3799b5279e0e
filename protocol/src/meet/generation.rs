//! The net secret: where a group's members meet (PROTOCOL M1).

use crate::id::{GenerationId, Topic};
use crate::seal;
use crate::time::Time;
use crate::wire::envelope::EnvelopeKey;
use crate::wire::message::GenerationWire;

/// A generation of the net secret: from one departure of an identity to the next.
#[derive(Clone)]
pub(crate) struct Generation {
    secret: seal::Secret,
    /// The number of the epoch that it began with.
    pub(crate) number: u64,
    /// When it began, on its maker's clock.
    pub(crate) at: Time,
}

impl Generation {
    /// Begins one.
    pub(crate) const fn new(secret: seal::Secret, number: u64, at: Time) -> Self {
        Self { secret, number, at }
    }

    /// Its name: says nothing to who does not hold it.
    pub(crate) fn id(&self) -> GenerationId {
        GenerationId::from_bytes(seal::digest("kinfold generation", &[self.secret.as_slice()]))
    }

    /// The gossip topic of a UTC day.
    pub(crate) fn topic(&self, day: u32) -> Topic {
        let hash = seal::keyed(&self.secret, "topic", &[&day.to_be_bytes()]);
        Topic::from_bytes(*hash.first_chunk().expect("a hash is longer than a topic"))
    }

    /// The lane of a UTC day.
    pub(crate) fn lane(&self, day: u32) -> [u8; 16] {
        let hash = seal::keyed(&self.secret, "lane", &[&day.to_be_bytes()]);
        *hash.first_chunk().expect("a hash is longer than a lane")
    }

    /// Whether a lane is this generation's on a day or on its neighbours.
    pub(crate) fn has_lane(&self, lane: &[u8; 16], day: u32) -> bool {
        [day, day.saturating_sub(1), day.saturating_add(1)].into_iter().any(|day| self.lane(day) == *lane)
    }

    /// The key of tickets, votes and links (PROTOCOL O5).
    pub(crate) fn control_key(&self) -> EnvelopeKey {
        EnvelopeKey::new(&seal::derive(&self.secret, "control", &[]))
    }

    /// The key that a hello proves.
    pub(crate) fn hello_key(&self) -> seal::Secret {
        seal::derive(&self.secret, "hello", &[])
    }

    /// For a newcomer or a row.
    pub(crate) fn to_wire(&self) -> GenerationWire {
        GenerationWire { secret: *self.secret, number: self.number, at: self.at }
    }

    /// From a bundle or a row.
    pub(crate) fn from_wire(wire: &GenerationWire) -> Self {
        Self::new(seal::Secret::new(wire.secret), wire.number, wire.at)
    }
}

/// The rank of a generation among those of a group: later ones are greater, for everybody.
pub(crate) type Rank = (u64, GenerationId);

impl Generation {
    /// Its rank.
    pub(crate) fn rank(&self) -> Rank {
        (self.number, self.id())
    }
}
