//! What a person sees: lines in one order on every device, each once, none past its time (PROTOCOL D3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use super::line::{LineRow, Stored};
use crate::error::Error;
use crate::id::{EnvelopeId, MemberId, MsgId, NetId};
use crate::journal;
use crate::limits::{AHEAD_MAX, CONTROL_KEPT, POS_AHEAD_MAX};
use crate::persist::{Key, Table};
use crate::time::Time;

/// How far before the newest line a new one must stand to be marked as late.
const LATE: Duration = Duration::from_secs(60);

/// Causal parents that we name: the format allows eight, but each costs 34 bytes of a message.
const OWN_PARENTS: usize = 2;

/// Lines that a mark leaves out one by one: more than are said in a day, and small in the row.
const UNSEEN_MAX: usize = 4_096;

/// Where a line stands: never recomputed, the same on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) pos: Time,
    pub(crate) member: MemberId,
    pub(crate) id: MsgId,
}

struct Facts {
    expires: Option<Time>,
    arrival: Option<u64>,
    own: bool,
    envelope: Option<EnvelopeId>,
}

/// Up to where lines were read, or their authors told, in the order of arrival.
#[derive(Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Mark {
    #[n(0)]
    upto: u64,
    /// What was below it and was hidden by a wrong clock.
    #[n(1)]
    unseen: BTreeSet<u64>,
}

impl Mark {
    /// Up to here, but for these. Beyond a bound it ends before the first that there is no room for: what is told or
    /// read twice costs little, and a mark that cannot be read costs the group.
    fn but(upto: u64, mut unseen: BTreeSet<u64>) -> Self {
        let first = unseen.iter().nth(UNSEEN_MAX).copied();
        let Some(first) = first else { return Self { upto, unseen } };
        unseen.split_off(&first);
        Self { upto: first.saturating_sub(1), unseen }
    }

    fn has(&self, arrival: Option<u64>) -> bool {
        arrival.is_some_and(|arrival| arrival <= self.upto && !self.unseen.contains(&arrival))
    }
}

/// The history of one group, as an index over its rows.
#[derive(Default)]
pub(crate) struct History {
    lines: BTreeMap<Place, Facts>,
    places: BTreeMap<MsgId, Place>,
    expiries: BTreeSet<(Time, MsgId)>,
    /// Written far ahead of the clock, and not seen yet.
    ahead: BTreeSet<Place>,
    arrivals: u64,
    read: Mark,
}

impl History {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let id = key.name.get(8..).and_then(MsgId::from_slice).ok_or(Error::Broken)?;
        let row = journal::parse::<Stored>(bytes)?.into_row()?;
        self.index(id, &row);
        Ok(())
    }

    /// Takes the read mark met while opening.
    pub(crate) fn restore_read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.read = journal::parse(bytes)?;
        self.arrivals = self.arrivals.max(self.read.upto);
        Ok(())
    }

    /// What others said that is not marked. What comes from now on is not marked either, however much has gone.
    pub(crate) fn beyond(&mut self, mark: &Mark) -> Vec<MsgId> {
        self.arrivals = self.arrivals.max(mark.upto);
        let beyond = |facts: &Facts| !facts.own && facts.expires.is_some() && !mark.has(facts.arrival);
        self.lines.iter().filter(|(_, facts)| beyond(facts)).map(|(place, _)| place.id).collect()
    }

    /// What a member said, the latest of it.
    pub(crate) fn latest_of(&self, member: &MemberId, most: usize) -> Vec<MsgId> {
        let said = |(place, facts): &(&Place, &Facts)| place.member == *member && !facts.own && facts.expires.is_some();
        self.lines.iter().rev().filter(said).take(most).map(|(place, _)| place.id).collect()
    }

    /// The authors have been told of all lines so far but these, which are not shown yet.
    pub(crate) fn mark_receipted(&self, cx: &mut Cx<'_>, net: NetId, but: &[MsgId]) {
        let facts = but.iter().filter_map(|id| self.lines.get(self.places.get(id)?));
        let unseen = facts.filter_map(|facts| facts.arrival).collect();
        cx.tx.write(receipted_key(net), &Mark::but(self.arrivals, unseen), None);
    }

    /// When, by the stamps' clock, a line that is far ahead of it can be seen.
    pub(crate) fn comes(&self, id: &MsgId, now: Time) -> Option<Time> {
        self.place(id).map(|place| place.pos - AHEAD_MAX).filter(|at| *at > now)
    }

    /// The lines that were written far ahead of the clock and whose time has come: they arrive now.
    pub(crate) fn arrive(&mut self, cx: &mut Cx<'_>, net: NetId) -> Result<Vec<(MsgId, LineRow)>, Error> {
        let mut come = Vec::new();
        while let Some(Place { id, .. }) =
            self.ahead.first().copied().filter(|place| !is_ahead(place.pos, cx.now.stamp))
        {
            let Some(mut row) = Self::row(cx, net, &id)? else {
                self.ahead.pop_first();
                continue;
            };
            row.arrival = Some(self.arrivals.saturating_add(1));
            self.write(cx, net, id, &row);
            self.index(id, &row);
            come.push((id, row));
        }
        Ok(come)
    }

    /// When, by the stamps' clock, [`Self::arrive`] has something to do.
    pub(crate) fn arrives(&self) -> Option<Time> {
        self.ahead.first().map(|place| place.pos - AHEAD_MAX)
    }

    /// Whether a line is here and may be seen.
    pub(crate) fn is_visible(&self, id: &MsgId, now: Time) -> bool {
        let place = self.places.get(id);
        place.and_then(|place| self.lines.get(place).map(|facts| visible(place, facts, now))).unwrap_or(false)
    }

    fn index(&mut self, id: MsgId, row: &LineRow) {
        let place = Place { pos: row.pos, member: row.author, id };
        let facts = Facts { expires: row.expires, arrival: row.arrival, own: row.own, envelope: row.envelope };
        self.lines.insert(place, facts);
        self.places.insert(id, place);
        match row.arrival {
            Some(arrival) => {
                self.ahead.remove(&place);
                self.arrivals = self.arrivals.max(arrival);
            }
            None => {
                self.ahead.insert(place);
            }
        }
        if let Some(expires) = row.expires {
            self.expiries.insert((expires, id));
        }
    }

    /// Where a line stands.
    pub(crate) fn place(&self, id: &MsgId) -> Option<Place> {
        self.places.get(id).copied()
    }

    /// Whether a line is here.
    pub(crate) fn has(&self, id: &MsgId) -> bool {
        self.places.contains_key(id)
    }

    /// Puts a line in its place, and returns it as it is there. `arrival` and `late` are set here.
    pub(crate) fn insert(&mut self, cx: &mut Cx<'_>, net: NetId, id: MsgId, mut row: LineRow) -> LineRow {
        row.arrival = self.arrival_of(&row, cx.now.stamp);
        let newest = self.shown(cx.now.stamp).next_back().map(|place| place.pos);
        row.late = !row.own && newest.is_some_and(|newest| row.pos + LATE < newest);
        self.write(cx, net, id, &row);
        self.index(id, &row);
        row
    }

    fn arrival_of(&self, row: &LineRow, now: Time) -> Option<u64> {
        (row.own || !is_ahead(row.pos, now)).then(|| self.arrivals.saturating_add(1))
    }

    /// All lines, in the order of their arrival.
    pub(crate) fn by_arrival(&self) -> Vec<MsgId> {
        let mut ids: Vec<_> = self.lines.iter().map(|(place, facts)| (facts.arrival, place.id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether a line is below the read mark.
    pub(crate) fn is_read(&self, id: &MsgId) -> bool {
        let facts = self.places.get(id).and_then(|place| self.lines.get(place));
        facts.is_some_and(|facts| self.read.has(facts.arrival))
    }

    /// Takes a line over from an earlier time in the group; in the order of arrival, so that the read mark still holds.
    pub(crate) fn adopt(&mut self, cx: &mut Cx<'_>, net: NetId, id: MsgId, mut row: LineRow, read: bool) {
        row.arrival = self.arrival_of(&row, cx.now.stamp);
        row.envelope = None;
        self.write(cx, net, id, &row);
        self.index(id, &row);
        if read {
            self.mark_read(cx, net, None);
        }
    }

    /// Notes the envelope that carries a line.
    pub(crate) fn set_envelope(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        id: MsgId,
        envelope: EnvelopeId,
    ) -> Result<(), Error> {
        let mut row = Self::row(cx, net, &id)?.ok_or(Error::Broken)?;
        row.envelope = Some(envelope);
        self.write(cx, net, id, &row);
        self.index(id, &row);
        Ok(())
    }

    fn write(&self, cx: &mut Cx<'_>, net: NetId, id: MsgId, row: &LineRow) {
        let dies = row.expires.unwrap_or(row.pos + CONTROL_KEPT);
        cx.tx.write(line_key(net, &id), &Stored::of(row), Some(dies));
    }

    /// A line's row.
    pub(crate) fn row(cx: &Cx<'_>, net: NetId, id: &MsgId) -> Result<Option<LineRow>, Error> {
        cx.tx.read::<Stored>(&line_key(net, id))?.map(Stored::into_row).transpose()
    }

    /// The next own order stamp: never before what was shown, unless that is far ahead of the clock.
    pub(crate) fn next_pos(&self, now: Time) -> Time {
        let limit = now + POS_AHEAD_MAX;
        let shown = self.lines.keys().rev().map(|place| place.pos).find(|pos| *pos <= limit);
        shown.map_or(now, |pos| now.max(pos + Duration::from_millis(1)))
    }

    /// The last things seen, as causal parents of the next.
    pub(crate) fn tips(&self) -> Vec<MsgId> {
        self.lines
            .iter()
            .rev()
            .filter(|(_, facts)| facts.expires.is_some())
            .take(OWN_PARENTS)
            .map(|(place, _)| place.id)
            .collect()
    }

    /// Lines that may be shown: none past its time, none from far ahead.
    pub(crate) fn shown(&self, now: Time) -> impl DoubleEndedIterator<Item = &Place> {
        self.lines.iter().filter(move |(place, facts)| visible(place, facts, now)).map(|(place, _)| place)
    }

    /// What others said that is not yet marked as read; that somebody came or went is no message.
    pub(crate) fn unread(&self, now: Time) -> usize {
        let said = |facts: &Facts| !facts.own && facts.expires.is_some();
        let unread = |(place, facts): &(&Place, &Facts)| {
            said(facts) && !self.read.has(facts.arrival) && visible(place, facts, now)
        };
        self.lines.iter().filter(unread).count()
    }

    /// How many lines have come: what a reader of them was shown, at most.
    pub(crate) const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Marks everything that can be seen as read, or only what had come when so many lines had. What is read stays so.
    pub(crate) fn mark_read(&mut self, cx: &mut Cx<'_>, net: NetId, upto: Option<u64>) {
        let upto = upto.map_or(self.arrivals, |upto| upto.min(self.arrivals)).max(self.read.upto);
        let hidden = self.lines.iter().filter(|(place, facts)| !visible(place, facts, cx.now.stamp));
        let unseen = hidden.map(|(_, facts)| facts.arrival).filter(|arrival| !self.read.has(*arrival));
        let mark = Mark::but(upto, unseen.flatten().filter(|arrival| *arrival <= upto).collect());
        if mark != self.read && mark.upto >= self.read.upto {
            self.read = mark;
            cx.tx.write(read_key(net), &self.read, None);
        }
    }

    /// Takes one line away, and names the envelope that goes with it.
    pub(crate) fn drop_line(&mut self, cx: &mut Cx<'_>, net: NetId, id: &MsgId) -> Option<EnvelopeId> {
        cx.tx.delete(line_key(net, id));
        let place = self.places.remove(id)?;
        let facts = self.lines.remove(&place)?;
        self.ahead.remove(&place);
        if let Some(expires) = facts.expires {
            self.expiries.remove(&(expires, *id));
        }
        facts.envelope
    }

    /// Destroys the lines past their time; names them and their envelopes.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) -> Vec<(MsgId, Option<EnvelopeId>)> {
        let mut gone = Vec::new();
        while let Some((_, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= cx.now.sweep) {
            let envelope = self.drop_line(cx, net, &id);
            gone.push((id, envelope));
            cx.tx.urgent();
        }
        gone
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.expiries.first().map(|(at, _)| *at)
    }
}

/// Whether a line was written so far ahead that it is not shown yet.
fn is_ahead(pos: Time, now: Time) -> bool {
    pos > now + AHEAD_MAX
}

fn visible(place: &Place, facts: &Facts, now: Time) -> bool {
    facts.arrival.is_some()
        && (facts.own || !is_ahead(place.pos, now))
        && facts.expires.is_none_or(|expires| expires > now)
}

/// The row of a line.
pub(crate) fn line_key(net: NetId, id: &MsgId) -> Key {
    Key::new(Table::Line, net, &[id.as_bytes()])
}

/// The row of the mark up to which receipts have left.
pub(crate) fn receipted_key(net: NetId) -> Key {
    Key::new(Table::Group, net, &[b"receipted"])
}

/// The row of the read mark.
pub(crate) fn read_key(net: NetId) -> Key {
    Key::new(Table::Group, net, &[b"read"])
}
