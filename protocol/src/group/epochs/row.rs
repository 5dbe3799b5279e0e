//! An epoch's rows.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use zeroize::Zeroize as _;

use super::{Epoch, EpochKeys};
use crate::error::Error;
use crate::group::cx::Cx;
use crate::id::{EpochId, NetId};
use crate::identity::Credential;
use crate::meet::generation::Rank;
use crate::persist::{Key, Table};
use crate::policy::extension::Extension;
use crate::policy::roster::{Roster, Seat};
use crate::seal;
use crate::time::Time;
use crate::wire::message::{Bytes, GenerationWire};

/// Own calls of MLS encryption in an epoch; and the count that is expected next of each other sender, by leaf, of whom
/// the log has forgotten something.
pub(super) const SENT: &[u8] = b"sent";
pub(super) const HEARD: &[u8] = b"heard";

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct EpochRow {
    #[n(0)]
    number: u64,
    #[n(1)]
    parent: Option<EpochId>,
    #[n(2)]
    leaves: Vec<u32>,
    #[n(3)]
    credentials: Vec<Bytes>,
    #[n(4)]
    extension: Extension,
    #[n(5)]
    generation: Rank,
    #[n(6)]
    keys: Option<Bytes>,
    #[n(7)]
    left: Option<Time>,
    #[n(8)]
    closed: bool,
    #[n(9)]
    #[cbor(default)]
    handed: Vec<GenerationWire>,
}

/// A part of the state.
pub(super) fn mls_key(net: NetId, id: &EpochId, name: &[u8]) -> Key {
    Key::new(Table::Mls, net, &[id.as_bytes(), name])
}

/// Counts of an epoch.
pub(super) fn counts_key(net: NetId, id: &EpochId, which: &[u8]) -> Key {
    Key::new(Table::Epoch, net, &[id.as_bytes(), which])
}

/// The epoch of a row, and which part of it the row is.
pub(super) fn split_epoch(key: &Key) -> Result<(EpochId, &[u8]), Error> {
    let (_, rest) = key.name.split_first_chunk::<8>().ok_or(Error::Broken)?;
    let (id, rest) = rest.split_first_chunk::<32>().ok_or(Error::Broken)?;
    Ok((EpochId::from_bytes(*id), rest))
}

/// Puts what is known of an epoch into the batch.
pub(super) fn write(cx: &mut Cx<'_>, net: NetId, id: &EpochId, epoch: &Epoch) {
    let row = EpochRow {
        number: epoch.number,
        parent: epoch.parent,
        leaves: epoch.roster.seats().iter().map(|seat| seat.leaf).collect(),
        credentials: epoch.roster.seats().iter().map(|seat| Bytes(seat.credential.encode())).collect(),
        extension: epoch.extension.clone(),
        generation: epoch.generation,
        keys: epoch.keys.as_ref().map(|keys| Bytes([*keys.secrets.0, *keys.secrets.1].concat())),
        left: epoch.left,
        closed: epoch.closed,
        handed: epoch.handed.clone(),
    };
    cx.tx.write(Key::new(Table::Epoch, net, &[id.as_bytes()]), &row, None);
}

impl Drop for EpochRow {
    fn drop(&mut self) {
        if let Some(Bytes(keys)) = &mut self.keys {
            keys.zeroize();
        }
        self.handed.iter_mut().for_each(|generation| generation.secret.zeroize());
    }
}

/// What a row knows of an epoch, without its counts.
pub(super) fn read(row: EpochRow) -> Result<Epoch, Error> {
    let seat = |(leaf, bytes): (&u32, &Bytes)| {
        let credential = Credential::parse(&bytes.0).map_err(|_| Error::Broken)?;
        Ok(Seat { leaf: *leaf, member: credential.member(), credential })
    };
    let seats = row.leaves.iter().zip(&row.credentials).map(seat).collect::<Result<_, Error>>()?;
    let keys = row.keys.as_ref().map(|Bytes(bytes)| {
        let (content, commit) = bytes.split_at_checked(32).ok_or(Error::Broken)?;
        let secret = |part: &[u8]| part.try_into().map(seal::Secret::new).map_err(|_| Error::Broken);
        Ok::<_, Error>(EpochKeys::new(secret(content)?, secret(commit)?))
    });
    Ok(Epoch {
        number: row.number,
        parent: row.parent,
        roster: Roster::from_seats(seats),
        extension: row.extension.clone(),
        generation: row.generation,
        keys: keys.transpose()?,
        left: row.left,
        sent: 0,
        closed: row.closed,
        handed: row.handed.clone(),
        settled: false,
        heard: BTreeMap::new(),
    })
}
