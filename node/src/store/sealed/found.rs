//! What opening finds, beside what was last known to be durable.

use std::ops::RangeInclusive;

use super::many::on_two_threads;
use crate::store::StoreError;
use crate::store::index::{Fact, Index};
use crate::store::meta::{META_NAME, META_TABLE};
use crate::store::sled::Engine;
use crate::vault::keyring::Keyring;
use crate::vault::row::{Header, Name, Part};

/// What opening, and reading everything since, found to differ from what was last known to be durable. Anything but zeros
/// means that the disk lost or changed data: groups must be synced again, and joined again where their state is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Commits that the keyring knows of and the database does not.
    pub commits_lost: u64,
    /// Rows that the database counted and does not have.
    pub rows_missing: u64,
    /// Stored values that belong to no row that can be read.
    pub values_unreadable: u64,
}

impl OpenReport {
    /// Whether everything was as it was left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// What is in the database, counted while opening.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    commits_lost: u64,
    /// Rows that the last commit counted.
    rows_then: u64,
    /// Rows that are there.
    rows: u64,
    /// Stored values, and how many of them belong to these rows.
    values: u64,
    in_rows: u64,
}

impl Found {
    /// The same, beside what was known of it: commits that are not here, and how many rows the last one counted.
    pub(super) fn beside(self, commits_lost: u64, rows_then: u64) -> Self {
        Self { commits_lost, rows_then, ..self }
    }

    /// What differs.
    pub(super) fn report(self) -> OpenReport {
        OpenReport {
            commits_lost: self.commits_lost,
            rows_missing: self.rows_then.saturating_sub(self.rows),
            values_unreadable: self.values.saturating_sub(self.in_rows),
        }
    }

    /// A row is none.
    pub(super) fn give_up(&mut self, fact: Fact) {
        self.rows = self.rows.saturating_sub(1);
        self.in_rows = self.in_rows.saturating_sub(fact.values());
    }
}

/// What every row says of itself. Whether that is true shows when it is read.
pub(super) fn index_rows(engine: &Engine, keyring: &Keyring) -> Result<(Index, Found), StoreError> {
    let meta_name = keyring.row_name(META_TABLE, META_NAME);
    let (mut index, mut found, mut failed) = (Index::default(), Found::default(), None);
    // A name begins with any byte as often as with any other.
    let parts: Vec<u8> = (0..=u8::MAX).step_by(16).collect();
    let one = |first: &u8, (): &mut ()| facts(engine, keyring, *first..=first.saturating_add(15));
    on_two_threads(&parts, one, |facts| match facts {
        Ok(facts) => {
            for (name, fact) in facts.into_iter().filter(|(name, _)| *name != meta_name) {
                found.values += 1;
                if let Some(fact) = fact {
                    found.rows += 1;
                    found.in_rows += fact.values();
                    index.insert(name, fact);
                }
            }
        }
        Err(err) => drop(failed.get_or_insert(err)),
    });
    failed.map_or(Ok((index, found)), Err)
}

/// What the stored values say of themselves whose names begin with one of some bytes; nothing, if they are no row's heads.
fn facts(
    engine: &Engine,
    keyring: &Keyring,
    first: RangeInclusive<u8>,
) -> Result<Vec<(Name, Option<Fact>)>, StoreError> {
    let mut facts = Vec::new();
    let begins = |byte: &u8, rest: u8| {
        let mut name = [rest; size_of::<Name>()];
        name[0] = *byte;
        name
    };
    engine.scan(begins(first.start(), 0)..=begins(first.end(), u8::MAX), |name, stored| {
        let Ok(name) = Name::try_from(name) else { return Ok(()) };
        let head = stored.len().try_into().unwrap_or(u16::MAX);
        facts.push((
            name,
            match keyring.header(stored) {
                Ok(Header { part: Part::Head(chunks), leaves }) => Some(Fact { dies: leaves.time, chunks, head }),
                Ok(_) | Err(_) => None,
            },
        ));
        Ok(())
    })?;
    Ok(facts)
}
