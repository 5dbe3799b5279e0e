//! What time it is, as far as this device can know: a wall clock that may be wrong, the peers' clocks, and a mark that
//! never goes back (PROTOCOL D4, E1).

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::id::{MemberId, NetId};
use crate::limits::{AHEAD_MAX, CLOCK_JUMP, CLOCK_OFF};
use crate::policy::allowance::{Allowance, Used};
use crate::time::Time;
use crate::view::ClockView;

/// After how long a clock that jumped far ahead is believed although no peer agrees.
const JUMP_BELIEVED: Duration = Duration::from_secs(24 * 3_600);
/// Clocks of peers that are remembered: enough for a median, small in the row.
const PEERS_MAX: usize = 32;
/// No clock that is of any use shows a time before this program was written (2026), or a century later.
const EARLIEST: Time = Time::from_ms(1_767_225_600_000);
const LATEST: Time = Time::from_ms(EARLIEST.ms() + 100 * 366 * 86_400_000);
/// By how much a correction must change to be told again: peers' clocks are heard to ten seconds, and drift.
const TOLD: Duration = Duration::from_secs(60);
/// How often a person is told: a few times at once, for clocks are looked at and set right, and then once an hour. A peer
/// whose clock is another each time it comes does not fill the window of anybody.
const TELLING: Allowance = Allowance { per_second: 1, burst: 4 * A_TELLING };
/// What one costs of it.
const A_TELLING: u64 = 3_600;
/// How often the wall clock is read at the least: a leap is more than [`CLOCK_OFF`] between two readings.
const READ_EVERY: Duration = Duration::from_secs(CLOCK_OFF.as_secs() / 2);
/// To how many milliseconds a peer is told the time.
const SHOWN: u64 = 10_000;
/// How far the wall clock may lie behind the mark before it says nothing any more: twice as far as peers can lead the
/// mark ahead of it, so that they cannot bring it into this discredit.
const LOST: Duration = Duration::from_secs(2 * AHEAD_MAX.as_secs());

/// The moments that a step may use, each for one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// The wall clock as handed in: for waiting, never for anything that others see.
    pub(crate) wall: Time,
    /// The wall clock, corrected when the peers say that it is off: for stamps and for what is shown.
    pub(crate) stamp: Time,
    /// Never goes back, never jumps unconfirmed: what is past it is destroyed.
    pub(crate) sweep: Time,
    /// What the mark follows: it moves again when this has come up to it. Nothing, while a jump is not believed.
    pub(crate) follows: Option<Time>,
}

impl Now {
    /// What is to be kept for a while from now on is kept by the later of the two: the mark may have to catch up.
    pub(crate) fn later(&self) -> Time {
        self.stamp.max(self.sweep)
    }

    /// When the mark comes up to a moment, by the wall clock: when what it follows does.
    pub(crate) fn comes(&self, at: Time) -> Option<Time> {
        if at <= self.sweep { Some(self.wall) } else { Some(self.wall + at.since(self.follows?)) }
    }

    /// What a greeting says of this device's clock: enough for [`CLOCK_OFF`], too little to know a device again by.
    pub(crate) fn shown_to_peers(&self) -> Time {
        let nearest = self.wall.ms().saturating_add(SHOWN / 2);
        Time::from_ms(nearest.saturating_sub(nearest % SHOWN))
    }
}

/// The persisted part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ClockRow {
    /// The never-decreasing mark.
    #[n(0)]
    mark: Time,
    /// The last known offset to the peers' median: what to add to the wall clock.
    #[n(1)]
    offset: i64,
    /// The wall clock when a jump was first seen, while it is not believed.
    #[n(2)]
    jumped: Option<Time>,
}

impl ClockRow {
    /// Whether more than the mark's steady advance separates two rows: then it is worth a write of its own.
    pub(crate) fn differs_beyond_ticking(&self, before: &Self) -> bool {
        (self.offset, self.jumped.is_some()) != (before.offset, before.jumped.is_some())
    }
}

/// How far the others' clocks are from the own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Off {
    /// What to add to the own clock, in milliseconds; nothing, when they agree.
    pub(crate) offset: i64,
    /// Whether it is added.
    pub(crate) corrected: bool,
}

/// The device's clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    row: ClockRow,
    peers: BTreeMap<(NetId, MemberId), i64>,
    /// The last reading of the wall clock in this run.
    last: Option<Time>,
    /// Whether the reading before it was far from it.
    leapt: bool,
    /// What the person was told last, or knew when this run began.
    told: Off,
    tellings: Used,
}

impl Clock {
    /// As stored.
    pub(crate) fn from_row(row: ClockRow) -> Self {
        let mut clock = Self { row, ..Self::default() };
        clock.told = clock.off();
        clock
    }

    /// To be stored.
    pub(crate) const fn row(&self) -> &ClockRow {
        &self.row
    }

    /// Reads the wall clock, and moves the mark as far as it may go.
    pub(crate) fn tick(&mut self, wall: Time) -> Now {
        self.notice_setting(wall);
        let (stamp, target) = (self.corrected(wall), self.target(wall));
        if self.row.mark == Time::ZERO || !self.has_jumped(target) {
            self.row.mark = self.row.mark.max(target);
            self.row.jumped = None;
        } else {
            let first = *self.row.jumped.get_or_insert(wall);
            if wall < first {
                self.row.jumped = Some(wall);
            } else if wall.since(first) >= JUMP_BELIEVED {
                self.row.mark = target;
                self.row.jumped = None;
            }
        }
        self.now(wall, stamp)
    }

    /// The moments at a reading of the wall clock, for a look: nothing is learnt from it.
    pub(crate) fn peek(&self, wall: Time) -> Now {
        self.now(wall, self.corrected(wall))
    }

    fn now(&self, wall: Time, stamp: Time) -> Now {
        let follows = self.row.jumped.is_none().then(|| self.target(wall));
        Now { wall, stamp, sweep: self.row.mark, follows }
    }

    /// What speaks against the wall clock: the peers' clocks, or without them what this device has lived through.
    pub(crate) fn doubt(&self, wall: Time) -> Option<ClockView> {
        let Off { offset, corrected } = self.off();
        if offset != 0 {
            return Some(ClockView::Off { ahead_ms: offset.saturating_neg(), corrected });
        }
        let last = self.row.mark.max(EARLIEST);
        let jumped = self.row.mark != Time::ZERO && self.has_jumped(wall);
        (jumped || wall + LOST < last).then_some(ClockView::Leapt { says: wall, last })
    }

    /// Whether the wall clock was set since this was last asked, or the device has slept: what was heard of the peers'
    /// clocks is forgotten, and they must be asked anew.
    pub(crate) const fn take_leap(&mut self) -> bool {
        std::mem::replace(&mut self.leapt, false)
    }

    /// When the clock must be read again at the latest, so that a quiet hour does not look like a leap.
    pub(crate) fn next_reading(&self) -> Option<Time> {
        self.last.map(|last| if self.leapt { last } else { last + READ_EVERY })
    }

    /// Where the mark would be. Stamps and what is shown can be put right again, what is destroyed cannot: so peers who
    /// lie, and greet first, lead the mark at most a day ahead of an own clock, unless that lies far behind the mark. One
    /// that is far past it may be right: nobody leads the mark beyond it.
    fn target(&self, wall: Time) -> Time {
        let astray = self.row.mark != Time::ZERO && wall + LOST < self.row.mark;
        if astray { self.corrected(wall) } else { self.corrected(wall).min(wall + AHEAD_MAX) }
    }

    /// When an unbelieved jump will be believed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.row.jumped.map(|first| first + JUMP_BELIEVED)
    }

    /// Takes a peer's clock. The answer is how far the clocks differ now, if that changed by enough to tell the person.
    pub(crate) fn heard(&mut self, net: NetId, member: MemberId, peer: Time, wall: Time) -> Option<Off> {
        if !is_possible(peer) {
            return None;
        }
        // It contradicts the own clock and what this device has lived through: one against two is not heard.
        if self.row.mark != Time::ZERO && self.has_jumped(wall) && peer + AHEAD_MAX < self.row.mark {
            return None;
        }
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&(net, member)) {
            self.peers.pop_first();
        }
        self.peers.insert((net, member), difference(peer, wall));
        self.row.offset = self.median(!self.own_is_suspect(wall));
        let stamp = self.corrected(wall);
        // Back goes the mark only as far as the own clock, suspect or not, is outvoted.
        let restart = stamp.max(wall.shifted(self.median(true)));
        if self.has_jumped(stamp) && self.correction().unsigned_abs() <= milliseconds(AHEAD_MAX) {
            // The peers agree with the wall clock, but for an error of hours: the time has really passed.
            self.row.mark = stamp.min(wall);
            self.row.jumped = None;
        } else if self.row.mark > restart + AHEAD_MAX {
            // The mark followed a clock that was wrong; what died stays dead, but life goes on.
            self.row.mark = restart;
        }
        if !self.has_jumped(self.target(wall)) {
            self.row.jumped = None;
        }
        self.news(wall)
    }

    /// How far the clocks differ, if the person was told something else last and may be told again.
    fn news(&mut self, wall: Time) -> Option<Off> {
        let (off, told) = (self.off(), self.told);
        let differs = off.corrected != told.corrected || off.offset.abs_diff(told.offset) > milliseconds(TOLD);
        // Whether its own time is believed a person hears in any case: one peer cannot bring that about at will.
        let news = differs && (self.tellings.take(TELLING, A_TELLING, wall) || off.corrected != told.corrected);
        news.then(|| {
            self.told = off;
            off
        })
    }

    /// A member is out: its clock does not count when the next one is heard.
    pub(crate) fn forget(&mut self, net: NetId, member: MemberId) {
        self.peers.remove(&(net, member));
    }

    /// The median over the peers' clocks, and over the own one unless the own one contradicts what this device has
    /// lived through. Between two equally good ones the nearer to the own clock.
    fn median(&self, own_counts: bool) -> i64 {
        let mut offsets: Vec<i64> = self.peers.values().copied().collect();
        if own_counts {
            offsets.push(0);
        }
        offsets.sort_unstable();
        let middle = offsets.len() / 2;
        let upper = offsets.get(middle).copied().unwrap_or(0);
        let lower = if offsets.len().is_multiple_of(2) {
            middle.checked_sub(1).and_then(|at| offsets.get(at)).copied().unwrap_or(upper)
        } else {
            upper
        };
        if lower.unsigned_abs() < upper.unsigned_abs() { lower } else { upper }
    }

    /// Somebody may have set the wall clock: then the correction for the old setting is wrong. Of the corrected and the
    /// bare clock, the one that is nearer to the mark is believed until a peer is heard.
    fn notice_setting(&mut self, wall: Time) {
        let leap = self.last.replace(wall).map(|last| difference(wall, last));
        let leapt = leap.is_none_or(|leap| leap.unsigned_abs() > milliseconds(CLOCK_OFF));
        if !leapt {
            return;
        }
        // What the peers' clocks differed by was measured against the old setting.
        self.peers.clear();
        self.leapt = leap.is_some();
        if self.correction() == 0 || self.row.mark == Time::ZERO {
            return;
        }
        let right = match leap {
            // Set by as much as it was off. A sleep is longer or shorter, and leaves it as wrong as it was.
            Some(leap) => leap.abs_diff(self.correction()) <= milliseconds(CLOCK_OFF),
            // How long the device was off nobody knows.
            None => {
                let distance = |time: Time| difference(time, self.row.mark).unsigned_abs();
                distance(wall) < distance(self.corrected(wall))
            }
        };
        if right {
            self.row.offset = 0;
        }
    }

    fn own_is_suspect(&self, wall: Time) -> bool {
        let mark = self.row.mark;
        mark != Time::ZERO && (self.has_jumped(wall) || wall + CLOCK_OFF < mark)
    }

    fn has_jumped(&self, time: Time) -> bool {
        time > self.row.mark + CLOCK_JUMP
    }

    /// How far the others' clocks are from the own, when that is too far to go unsaid.
    fn off(&self) -> Off {
        let believed = self.correction();
        if believed != 0 {
            return Off { offset: believed, corrected: true };
        }
        let theirs = self.median(false);
        let far = theirs.unsigned_abs() > milliseconds(CLOCK_OFF);
        Off { offset: if far { theirs } else { 0 }, corrected: false }
    }

    fn correction(&self) -> i64 {
        if self.row.offset.unsigned_abs() > milliseconds(CLOCK_OFF) { self.row.offset } else { 0 }
    }

    fn corrected(&self, wall: Time) -> Time {
        wall.shifted(self.correction())
    }
}

/// Whether a clock may say that: others are broken.
pub(crate) fn is_possible(clock: Time) -> bool {
    (EARLIEST..=LATEST).contains(&clock)
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn difference(peer: Time, wall: Time) -> i64 {
    let ahead = i64::try_from(peer.since(wall).as_millis()).unwrap_or(i64::MAX);
    let behind = i64::try_from(wall.since(peer).as_millis()).unwrap_or(i64::MAX);
    ahead.saturating_sub(behind)
}

#[cfg(test)]
mod tests;
