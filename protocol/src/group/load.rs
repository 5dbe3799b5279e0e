//! Building the groups of a device from its rows, in one scan.

use std::collections::BTreeMap;

use super::history::Mark;
use super::{Facts, Group, Own, generation_from_row};
use crate::error::Error;
use crate::id::{MemberId, NetId};
use crate::identity::Identity;
use crate::journal;
use crate::persist::{Key, Table};

/// A row met in a scan.
pub(crate) type LoadedRow = (Key, zeroize::Zeroizing<Vec<u8>>);

/// Rows by family, sorted out before any group is built: a scan has no order.
#[derive(Default)]
pub(crate) struct Loader {
    rows: BTreeMap<NetId, Vec<LoadedRow>>,
}

impl Loader {
    /// Takes one row of the scan.
    pub(crate) fn take(&mut self, key: &Key, bytes: &[u8]) {
        if let Some((net, _)) = key.name.split_first_chunk::<8>() {
            let net = NetId(u64::from_be_bytes(*net));
            self.rows.entry(net).or_default().push((key.clone(), zeroize::Zeroizing::new(bytes.to_vec())));
        }
    }

    /// The networks met.
    pub(crate) fn nets(&self) -> Vec<NetId> {
        self.rows.keys().copied().collect()
    }

    /// The rows of one network.
    pub(crate) fn rows(&mut self, net: NetId) -> Vec<LoadedRow> {
        self.rows.remove(&net).unwrap_or_default()
    }
}

impl Group {
    /// A group from its rows; `None` if these are not a group's.
    pub(crate) fn load(net: NetId, rows: &[LoadedRow]) -> Result<Option<Self>, Error> {
        let find = |suffix: &[u8]| {
            let key = Key::new(Table::Group, net, &[suffix]);
            rows.iter().find(|(found, _)| *found == key).map(|(_, bytes)| bytes)
        };
        let (Some(own), Some(facts)) = (find(b"identity"), find(b"facts")) else { return Ok(None) };
        let own: Own = journal::parse(own)?;
        let facts: Facts = journal::parse(facts)?;
        let mut group = Self::empty(net, own.group, Identity::from_row(&own.identity), facts);
        for (key, bytes) in rows {
            group.restore(key, bytes)?;
        }
        // What refers to other rows comes when these are in place.
        for (key, bytes) in rows {
            match key.table {
                Table::Epoch if key.name.len() > 40 => group.epochs.restore_sent(key, bytes)?,
                Table::Tombstone => group.log.restore_seen(key, bytes)?,
                _ => {}
            }
        }
        if let Some(read) = find(b"read") {
            group.history.restore_read(read)?;
        }
        // What arrived before a crash and was not receipted yet.
        // Written as a number once; without it all are told again, which is no reason to lose the group.
        let receipted: Option<Mark> = find(b"receipted").and_then(|bytes| journal::parse(bytes).ok());
        group.receipts.owe(group.history.beyond(&receipted.unwrap_or_default()));
        for order in group.log.orders() {
            group.epochs.heard_at(order);
        }
        group.look_again = !group.log.unknown().is_empty();
        group.head()?;
        group.newest()?;
        Ok(Some(group))
    }

    fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        match key.table {
            Table::Epoch | Table::Mls | Table::Used => {
                if key.table != Table::Epoch || key.name.len() == 40 {
                    self.epochs.restore(key, bytes)?;
                }
            }
            Table::Commit => self.commits.restore(key, bytes)?,
            Table::Generation => {
                let generation = generation_from_row(bytes)?;
                self.generations.insert(generation.rank(), generation);
            }
            Table::Envelope => self.log.restore_envelope(key, bytes)?,
            Table::Line => self.history.restore(key, bytes)?,
            Table::Outbox => self.outbox.restore(key, bytes)?,
            Table::Invite => self.invites.restore(bytes)?,
            Table::Welcome => {
                self.welcomes.insert(member_of(key)?);
            }
            Table::Control => self.controls.restore(bytes)?,
            Table::Member => {
                self.verified.insert(member_of(key)?, journal::parse::<minicbor::bytes::ByteArray<32>>(bytes)?.into());
            }
            Table::Address => self.reach.restore(bytes)?,
            Table::Device | Table::Group | Table::Tombstone | Table::Joining => {}
        }
        Ok(())
    }
}

fn member_of(key: &Key) -> Result<MemberId, Error> {
    key.name.get(8..).and_then(MemberId::from_slice).ok_or(Error::Broken)
}
