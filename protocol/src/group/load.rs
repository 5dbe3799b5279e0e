//! Building the groups of a device from its rows, in one scan.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::history::{History, Mark};
use super::log::Log;
use super::outbox::Outbox;
use super::rescan::BEGIN;
use super::{Facts, Group, Own, generation_from_row};
use crate::error::Error;
use crate::id::{MemberId, NetId};
use crate::identity::Identity;
use crate::journal;
use crate::persist::{Key, Table};
use crate::time::Time;

/// A row met in a scan.
pub(crate) type LoadedRow = (Key, Zeroizing<Vec<u8>>);

/// What a scan brings, by network. It has no order: what many rows say is noted at once, and the few that a group is built
/// on are kept until they are all there.
#[derive(Default)]
pub(crate) struct Loader {
    nets: BTreeMap<NetId, Loaded>,
}

/// The rows of one network.
pub(crate) struct Loaded {
    log: Log,
    history: History,
    outbox: Outbox,
    pub(crate) rows: Vec<LoadedRow>,
    /// Whether one of them could be read.
    noted: Result<(), Error>,
}

impl Loader {
    /// Takes one row of the scan.
    pub(crate) fn take(&mut self, key: &Key, bytes: &[u8]) {
        if let Some((net, _)) = key.name.split_first_chunk::<8>() {
            let net = NetId(u64::from_be_bytes(*net));
            self.nets.entry(net).or_default().take(key, bytes);
        }
    }

    /// The networks met, with their rows.
    pub(crate) fn into_nets(self) -> impl Iterator<Item = (NetId, Loaded)> {
        self.nets.into_iter()
    }
}

impl Default for Loaded {
    fn default() -> Self {
        let (log, history, outbox) = (Log::default(), History::default(), Outbox::default());
        Self { log, history, outbox, rows: Vec::new(), noted: Ok(()) }
    }
}

impl Loaded {
    fn take(&mut self, key: &Key, bytes: &[u8]) {
        let noted = match key.table {
            Table::Envelope => self.log.restore_envelope(key, bytes),
            Table::Tombstone => self.log.restore_seen(key, bytes),
            Table::Line => self.history.restore(key, bytes),
            Table::Outbox => self.outbox.restore(key, bytes),
            // Read when they are needed.
            Table::Mls => {
                self.rows.push((key.clone(), Zeroizing::default()));
                Ok(())
            }
            _ => {
                self.rows.push((key.clone(), Zeroizing::new(bytes.to_vec())));
                Ok(())
            }
        };
        if self.noted.is_ok() {
            self.noted = noted;
        }
    }
}

impl Group {
    /// A group from its rows; `None` if these are not a group's.
    pub(crate) fn load(net: NetId, loaded: Loaded, now: Time) -> Result<Option<Self>, Error> {
        let Loaded { log, history, outbox, rows, noted } = loaded;
        let find = |suffix: &[u8]| {
            let key = Key::new(Table::Group, net, &[suffix]);
            rows.iter().find(|(found, _)| *found == key).map(|(_, bytes)| bytes)
        };
        let (Some(own), Some(facts)) = (find(b"identity"), find(b"facts")) else { return Ok(None) };
        noted?;
        let own: Own = journal::parse(own)?;
        let facts: Facts = journal::parse(facts)?;
        let group = Self::empty(net, own.group, Identity::from_row(&own.identity), facts);
        let mut group = Self { log, history, outbox, ..group };
        for (key, bytes) in &rows {
            group.restore(key, bytes)?;
        }
        // What refers to other rows comes when these are in place.
        for (key, bytes) in rows.iter().filter(|(key, _)| key.table == Table::Epoch && key.name.len() > 40) {
            group.epochs.restore_counts(key, bytes)?;
        }
        if let Some(met) = find(b"met") {
            group.met.restore(met)?;
        }
        if let Some(read) = find(b"read") {
            group.history.restore_read(read)?;
        }
        // What arrived before a crash and was not receipted yet.
        // Written as a number once; without it all are told again, which is no reason to lose the group.
        let receipted: Option<Mark> = find(b"receipted").and_then(|bytes| journal::parse(bytes).ok());
        group.receipts.owe(group.history.beyond(&receipted.unwrap_or_default()));
        group.epochs.heard_at(group.log.orders(), now);
        group.look_from = (!group.log.waiting.is_empty()).then_some(BEGIN);
        group.head()?;
        group.newest()?;
        group.voting.look();
        group.note_settled();
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
            Table::Invite => self.invites.restore(bytes)?,
            Table::Welcome => {
                self.welcomes.insert(member_of(key)?);
            }
            Table::Control => self.controls.restore(bytes)?,
            Table::Member => {
                self.verified.insert(member_of(key)?, journal::parse::<minicbor::bytes::ByteArray<32>>(bytes)?.into());
            }
            Table::Address => self.reach.restore(bytes)?,
            Table::Joining => drop(self.package.insert(key.clone())),
            Table::Device | Table::Envelope | Table::Group | Table::Line | Table::Outbox | Table::Tombstone => {}
        }
        Ok(())
    }
}

fn member_of(key: &Key) -> Result<MemberId, Error> {
    key.name.get(8..).and_then(MemberId::from_slice).ok_or(Error::Broken)
}
