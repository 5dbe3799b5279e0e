//! When each member was met last. Whoever meets somebody again after days may hold a state for good to go on from that the others
//! have left long ago, and cannot judge any more: it does not judge what leads on from there either (PROTOCOL H2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Group;
use super::cx::Cx;
use crate::error::Error;
use crate::id::{EpochId, LinkId, MemberId, NetId};
use crate::journal;
use crate::limits::READER_KEPT;
use crate::persist::{Key, Table};
use crate::time::Time;

/// How exactly that is kept.
const COARSE: Duration = Duration::from_secs(3_600);

/// When each member was met last, by the mark.
#[derive(Default)]
pub(crate) struct Met(BTreeMap<MemberId, Time>);

impl Met {
    /// Takes the row met while opening.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let all: Vec<(MemberId, Time)> = journal::parse(bytes)?;
        self.0.extend(all);
        Ok(())
    }
}

impl Group {
    /// A member is here on a link.
    pub(super) fn meet(&mut self, cx: &mut Cx<'_>, id: LinkId, member: MemberId) -> Result<(), Error> {
        let now = cx.now.sweep;
        let here = self.links.iter().any(|(other, link)| *other != id && link.member == Some(member));
        let last = self.met.0.get(&member).copied().unwrap_or(self.facts.joined);
        self.note_met(cx, member);
        if here || last + READER_KEPT > now {
            return Ok(());
        }
        let long = |epoch: &EpochId| self.held_since(epoch) + READER_KEPT <= now;
        let left = self.epochs.iter().filter(|(_, epoch)| epoch.is_young() && epoch.left.is_some());
        let old: Vec<EpochId> = left.map(|(epoch, _)| *epoch).filter(long).collect();
        for epoch in &old {
            self.epochs.close(cx, self.net, self.id, epoch)?;
        }
        if old.is_empty() { Ok(()) } else { self.move_head(cx) }
    }

    /// Notes who is here: the power may go at any time.
    pub(super) fn note_linked(&mut self, cx: &mut Cx<'_>) {
        self.linked().into_iter().for_each(|member| self.note_met(cx, member));
    }

    /// Notes that a member is here, or was until now.
    pub(super) fn note_met(&mut self, cx: &mut Cx<'_>, member: MemberId) {
        let now = cx.now.sweep;
        if self.met.0.get(&member).is_some_and(|last| *last <= now && now < *last + COARSE) {
            return;
        }
        let Ok(roster) = self.roster().cloned() else { return };
        if !roster.has(&member) {
            return;
        }
        self.met.0.insert(member, now);
        self.met.0.retain(|member, _| roster.has(member));
        let all: Vec<(MemberId, Time)> = self.met.0.iter().map(|(member, at)| (*member, *at)).collect();
        cx.tx.write(met_key(self.net), &all, None);
    }
}

/// The row of when members were met.
pub(super) fn met_key(net: NetId) -> Key {
    Key::new(Table::Group, net, &[b"met"])
}
