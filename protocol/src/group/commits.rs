//! The commits that this device keeps, by the state they were made on, to be walked by those who were away.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use crate::error::Error;
use crate::id::{CommitId, EpochId, NetId};
use crate::journal;
use crate::limits::CONTROL_KEPT;
use crate::persist::{Key, Table};
use crate::time::Time;
use crate::wire::message::Bytes;

#[derive(Encode, Decode)]
#[cbor(map)]
struct CommitRow {
    #[n(0)]
    envelope: Bytes,
    #[n(1)]
    child: EpochId,
    #[n(2)]
    until: Time,
}

struct Known {
    id: CommitId,
    until: Time,
}

/// The applied commits of one group.
#[derive(Default)]
pub(crate) struct Commits {
    known: BTreeMap<EpochId, Known>,
}

impl Commits {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let row: CommitRow = journal::parse(bytes)?;
        let parent = key.name.get(8..40).and_then(EpochId::from_slice).ok_or(Error::Broken)?;
        let id = key.name.get(40..).and_then(CommitId::from_slice).ok_or(Error::Broken)?;
        self.known.insert(parent, Known { id, until: row.until });
        Ok(())
    }

    /// Keeps an applied commit.
    pub(crate) fn keep(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        parent: EpochId,
        (id, child): (CommitId, EpochId),
        envelope: &[u8],
    ) {
        let until = cx.now.sweep + CONTROL_KEPT;
        let row = CommitRow { envelope: Bytes(envelope.to_vec()), child, until };
        cx.tx.write(commit_key(net, &parent, &id), &row, Some(until));
        self.known.insert(parent, Known { id, until });
    }

    /// The commit taken on a state.
    pub(crate) fn on(&self, parent: &EpochId) -> Option<CommitId> {
        self.known.get(parent).map(|known| known.id)
    }

    /// The envelope of the commit taken on a state, and the state it led to.
    pub(crate) fn after(&self, cx: &Cx<'_>, net: NetId, parent: &EpochId) -> Result<Option<(Vec<u8>, EpochId)>, Error> {
        let Some(known) = self.known.get(parent) else { return Ok(None) };
        let row: Option<CommitRow> = cx.tx.read(&commit_key(net, parent, &known.id))?;
        Ok(row.map(|row| (row.envelope.0, row.child)))
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) {
        self.known.retain(|parent, known| {
            let keep = known.until > cx.now.sweep;
            if !keep {
                cx.tx.delete(commit_key(net, parent, &known.id));
            }
            keep
        });
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.known.values().map(|known| known.until).min()
    }
}

fn commit_key(net: NetId, parent: &EpochId, id: &CommitId) -> Key {
    Key::new(Table::Commit, net, &[parent.as_bytes(), id.as_bytes()])
}
