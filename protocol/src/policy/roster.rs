//! Who is in a state of a group: plain data, read out of the MLS tree once.

use crate::id::MemberId;
use crate::identity::Credential;
use crate::mls;
use crate::wire::Malformed;

/// One member's seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The leaf.
    pub(crate) leaf: u32,
    /// Who sits there.
    pub(crate) member: MemberId,
    /// Under which keys and name.
    pub(crate) credential: Credential,
}

/// The members of a state, by leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    seats: Vec<Seat>,
}

impl Roster {
    /// Reads the leaves of a state. A leaf that is not a credential of ours, or whose signature key is not the
    /// credential's device, makes the whole state malformed (PROTOCOL V4).
    pub(crate) fn read(leaves: &[mls::Leaf]) -> Result<Self, Malformed> {
        let seat = |leaf: &mls::Leaf| {
            let credential = bound_credential(&leaf.credential, &leaf.signature_key)?;
            Ok(Seat { leaf: leaf.index, member: credential.member(), credential })
        };
        let seats = leaves.iter().map(seat).collect::<Result<_, _>>()?;
        Ok(Self { seats })
    }

    /// From seats that were stored.
    pub(crate) const fn from_seats(seats: Vec<Seat>) -> Self {
        Self { seats }
    }

    /// All seats, by leaf.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// How many sit here.
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    /// Who sits at a leaf.
    pub(crate) fn at(&self, leaf: u32) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.leaf == leaf)
    }

    /// Where a member sits.
    pub(crate) fn seat(&self, member: &MemberId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.member == *member)
    }

    /// Whether a member sits here.
    pub(crate) fn has(&self, member: &MemberId) -> bool {
        self.seat(member).is_some()
    }

    /// Who sits here but not there.
    pub(crate) fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Seat> {
        self.seats.iter().filter(|seat| !other.has(&seat.member))
    }
}

/// A credential, if it is well formed and the signature key is the device it names.
pub(crate) fn bound_credential(credential: &[u8], signature_key: &[u8]) -> Result<Credential, Malformed> {
    let credential = Credential::parse(credential)?;
    if credential.device_key == signature_key { Ok(credential) } else { Err(Malformed) }
}
