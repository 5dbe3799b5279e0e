//! The envelope log: what this device keeps and serves, and the ids of what it had (PROTOCOL M5, M6).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use super::waiting::{Came, Placed, Waiting};
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, MemberId, MsgId, NetId};
use crate::journal;
use crate::meet::reconcile::Listed;
use crate::persist::{Key, Table, Value};
use crate::time::Time;
use crate::wire::envelope::Envelope;

/// Where an envelope stands: epoch, leaf, count; commits after all messages of their parent. Unopened ones come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Order {
    #[n(0)]
    pub(crate) number: u64,
    /// Which of the epochs with that number; rows of before there were several have none.
    #[n(3)]
    #[cbor(default)]
    branch: u32,
    #[n(1)]
    pub(crate) leaf: u32,
    #[n(2)]
    pub(crate) count: u32,
}

impl Order {
    /// Of an envelope that nobody here could open.
    pub(crate) const UNKNOWN: Self = Self { number: u64::MAX, branch: u32::MAX, leaf: u32::MAX, count: u32::MAX };
    /// Of a message in an epoch with this number.
    pub(crate) fn said(number: u64, epoch: &EpochId, leaf: u32, count: u32) -> Self {
        Self { number, branch: branch(epoch), leaf, count }
    }

    /// Of tickets, votes and links: before everything, for they help to judge it.
    pub(crate) const CONTROL: Self = Self { number: 0, branch: 0, leaf: 0, count: 0 };

    /// Of a commit on the epoch with this number.
    pub(crate) fn commit(number: u64, epoch: &EpochId) -> Self {
        Self { number, branch: branch(epoch), leaf: u32::MAX, count: 0 }
    }

    /// Whether it is in an epoch, whose number this is.
    pub(crate) fn is_in(&self, epoch: &EpochId, number: u64) -> bool {
        self.number == number && (self.branch == 0 || self.branch == branch(epoch))
    }

    /// Whether it is a commit's.
    pub(crate) const fn is_commit(&self) -> bool {
        self.leaf == u32::MAX && self.count == 0
    }
}

/// Enough to tell apart the few epochs of one number.
fn branch(epoch: &EpochId) -> u32 {
    epoch.as_bytes().first_chunk().map_or(0, |first| u32::from_be_bytes(*first))
}

struct Item {
    hour: u32,
    /// When it leaves the reconciled set.
    end: Time,
    /// Whether its bytes are here; otherwise "gone".
    held: bool,
    order: Order,
    /// What it said, once that is known.
    msg: Option<MsgId>,
}

/// What outlives an opened envelope: its id, the id of what it said, and until when both count.
#[derive(Encode, Decode)]
#[cbor(map)]
struct SeenRow {
    #[n(0)]
    hour: u32,
    #[n(1)]
    end: Time,
    #[n(2)]
    order: Order,
    #[n(3)]
    msg: Option<MsgId>,
    #[n(4)]
    msg_until: Time,
}

/// How long what was nobody's is remembered: as long as what most groups keep is listed.
const VAIN_KEPT: Duration = Duration::from_secs(8 * 86_400);
/// Begins the names of rows of what came without its envelope; an envelope's has the length of its id.
const SAID: &[u8] = b"said";

/// The log of one group.
#[derive(Default)]
pub(crate) struct Log {
    items: BTreeMap<EnvelopeId, Item>,
    orders: BTreeSet<(Order, EnvelopeId)>,
    ends: BTreeSet<(Time, EnvelopeId)>,
    /// Those of them that are not opened.
    pub(crate) waiting: Waiting,
    messages: BTreeMap<MsgId, Time>,
}

impl Log {
    /// Takes an envelope's row met while opening.
    pub(crate) fn restore_envelope(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let id = envelope_id(key)?;
        let envelope = Envelope::parse(bytes.to_vec()).map_err(|_| Error::Broken)?;
        let end = end_of(&envelope);
        if let Some(item) = self.items.get_mut(&id) {
            item.held = true;
        } else {
            self.insert(id, Item { hour: envelope.hour(), end, held: true, order: Order::UNKNOWN, msg: None });
            self.waiting.put(id, Came::default(), Placed::NOWHERE);
        }
        Ok(())
    }

    /// Takes the row of an id met while opening.
    pub(crate) fn restore_seen(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        if let Some(said) = key.name.get(8..).and_then(|name| name.strip_prefix(SAID)).and_then(MsgId::from_slice) {
            self.remember(said, journal::parse(bytes)?);
            return Ok(());
        }
        let id = envelope_id(key)?;
        let row: SeenRow = journal::parse(bytes)?;
        let held = self.items.get(&id).is_some_and(|item| item.held);
        self.waiting.remove(&id);
        self.insert(id, Item { hour: row.hour, end: row.end, held, order: row.order, msg: row.msg });
        if let Some(msg) = row.msg {
            self.remember(msg, row.msg_until);
        }
        Ok(())
    }

    /// Of several rows of one thing said the longest counts, whichever is met first.
    fn remember(&mut self, msg: MsgId, until: Time) {
        let known = self.messages.entry(msg).or_insert(until);
        *known = until.max(*known);
    }

    fn insert(&mut self, id: EnvelopeId, item: Item) {
        self.ends.insert((item.end, id));
        self.orders.insert((item.order, id));
        let order = item.order;
        if let Some(before) = self.items.insert(id, item).filter(|before| before.order != order) {
            self.orders.remove(&(before.order, id));
        }
    }

    /// Where an envelope stands along the chain.
    pub(crate) fn order(&self, id: &EnvelopeId) -> Option<Order> {
        self.items.get(id).map(|item| item.order)
    }

    /// Where the envelopes stand that were ever opened here, in that order, and when each had been sealed.
    pub(crate) fn orders(&self) -> impl Iterator<Item = (Order, Time)> + '_ {
        let sealed = |id| self.items.get(id).map_or(Time::ZERO, |item| end_of_hour(item.hour));
        let opened = self.orders.iter().filter(|(order, _)| *order != Order::UNKNOWN);
        opened.map(move |(order, id)| (*order, sealed(id)))
    }

    /// What is held from one place up to another.
    pub(crate) fn between(&self, from: Order, to: Order) -> impl Iterator<Item = EnvelopeId> + '_ {
        let (from, to) = ((from, EnvelopeId::from_bytes([0; 32])), (to, EnvelopeId::from_bytes([0; 32])));
        let range = (from < to).then(|| self.orders.range(from..to)).into_iter().flatten();
        range.map(|(_, id)| *id).filter(|id| self.holds(id))
    }

    /// What an envelope said.
    pub(crate) fn message(&self, id: &EnvelopeId) -> Option<MsgId> {
        self.items.get(id)?.msg
    }

    /// Whether an envelope was here, whatever became of it.
    pub(crate) fn has(&self, id: &EnvelopeId) -> bool {
        self.items.contains_key(id)
    }

    /// The hour it was sealed in.
    pub(crate) fn hour(&self, id: &EnvelopeId) -> Option<u32> {
        self.items.get(id).map(|item| item.hour)
    }

    /// Whether its bytes are here.
    pub(crate) fn holds(&self, id: &EnvelopeId) -> bool {
        self.items.get(id).is_some_and(|item| item.held)
    }

    /// Whether its bytes are here, and were opened.
    pub(crate) fn has_read(&self, id: &EnvelopeId) -> bool {
        self.items.get(id).is_some_and(|item| item.held && item.order != Order::UNKNOWN)
    }

    /// Whether something said was met before, in whatever envelope (PROTOCOL D3).
    pub(crate) fn has_message(&self, id: &MsgId, now: Time) -> bool {
        self.messages.get(id).is_some_and(|until| *until > now)
    }

    /// Remembers something said that came without its envelope, until every copy of that is past its time.
    pub(crate) fn note_said(&mut self, cx: &mut Cx<'_>, net: NetId, msg: MsgId, in_: &EnvelopeId, until: Time) {
        let until = self.items.get(in_).map_or(until, |item| item.end.max(until));
        cx.tx.write(Key::new(Table::Tombstone, net, &[SAID, msg.as_bytes()]), &until, Some(until));
        self.messages.insert(msg, until);
    }

    /// How many envelopes the reconciled set has.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The reconciled set, everything that is or was here; told to a peer is what it can open, unless it is nobody's.
    pub(crate) fn reconciled(&self, opens: impl Fn(&Order) -> bool) -> impl Iterator<Item = Listed> {
        let told = move |id: &EnvelopeId, item| self.is_told(id, item, &opens);
        self.items.iter().map(move |(id, item)| Listed { hour: item.hour, id: *id, told: told(id, item) })
    }

    /// Whether a peer is told of one.
    pub(crate) fn tells(&self, id: &EnvelopeId, opens: impl Fn(&Order) -> bool) -> bool {
        self.items.get(id).is_some_and(|item| self.is_told(id, item, opens))
    }

    fn is_told(&self, id: &EnvelopeId, item: &Item, opens: impl Fn(&Order) -> bool) -> bool {
        let order = if item.order == Order::UNKNOWN { self.waiting.placed(id).order } else { item.order };
        // Of what cannot be placed here a peer is told all the same: it may have the keys, or ask for the words.
        !self.waiting.is_vain(id) && opens(&order)
    }

    /// Keeps an envelope that cannot be opened yet, on the account of the peer that brought it.
    pub(crate) fn keep_waiting(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        envelope: &Envelope,
        (came, placed): (Came, Placed),
    ) {
        let (id, end) = (envelope.id(), end_of(envelope));
        cx.tx.put(envelope_key(net, &id), Value::dying(envelope.as_bytes().to_vec(), end));
        self.insert(id, Item { hour: envelope.hour(), end, held: true, order: Order::UNKNOWN, msg: None });
        self.waiting.put(id, came, placed);
    }

    /// Keeps an envelope whose content is settled: its bytes until `dies`, its id until the class ends.
    pub(crate) fn keep_opened(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        envelope: &Envelope,
        order: Order,
        dies: Option<Time>,
        msg: Option<(MsgId, Time)>,
    ) {
        let (id, end) = (envelope.id(), end_of(envelope));
        self.waiting.remove(&id);
        match dies {
            Some(dies) => {
                cx.tx.put(envelope_key(net, &id), Value::dying(envelope.as_bytes().to_vec(), dies.min(end)));
            }
            None => cx.tx.delete(envelope_key(net, &id)),
        }
        self.write_seen(cx, net, id, Item { hour: envelope.hour(), end, held: dies.is_some(), order, msg: None }, msg);
    }

    /// Takes an envelope's bytes away and answers "gone" from now on.
    pub(crate) fn withdraw(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EnvelopeId) {
        let Some(item) = self.items.get(id) else { return };
        let gone = Item { hour: item.hour, end: item.end, held: false, order: item.order, msg: None };
        let said = item.msg.and_then(|msg| Some((msg, *self.messages.get(&msg)?)));
        cx.tx.delete(envelope_key(net, id));
        self.waiting.remove(id);
        self.write_seen(cx, net, *id, gone, said);
    }

    /// An envelope turned out to be nobody's: it is not taken again for a while, if there is room to remember it.
    pub(crate) fn note_vain(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        envelope: &Envelope,
        how: (Option<MemberId>, bool),
    ) {
        let id = envelope.id();
        if self.has(&id) {
            self.forget(cx, net, &id);
        }
        if self.waiting.note_vain(id, how) {
            // Whoever makes such says itself when they end.
            let (hour, end) = (envelope.hour(), end_of(envelope).min(cx.now.sweep + VAIN_KEPT));
            self.insert(id, Item { hour, end, held: false, order: Order::UNKNOWN, msg: None });
        }
    }

    /// The head has moved: what was nobody's so far is taken again.
    pub(crate) fn take_again(&mut self, cx: &mut Cx<'_>, net: NetId) {
        for id in self.waiting.vain_so_far() {
            self.forget(cx, net, &id);
        }
    }

    /// Forgets an envelope, as if it had never come.
    pub(crate) fn forget(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EnvelopeId) {
        if let Some(item) = self.items.remove(id) {
            self.orders.remove(&(item.order, *id));
            self.ends.remove(&(item.end, *id));
        }
        self.waiting.remove(id);
        self.waiting.forget_vain(id);
        cx.tx.delete(envelope_key(net, id));
        cx.tx.delete(seen_key(net, id));
    }

    fn write_seen(&mut self, cx: &mut Cx<'_>, net: NetId, id: EnvelopeId, item: Item, msg: Option<(MsgId, Time)>) {
        let msg_until = msg.map_or(Time::ZERO, |(_, until)| until);
        let row = SeenRow { hour: item.hour, end: item.end, order: item.order, msg: msg.map(|(id, _)| id), msg_until };
        cx.tx.write(seen_key(net, &id), &row, Some(item.end.max(msg_until)));
        if let Some((msg, until)) = msg {
            self.messages.insert(msg, until);
        }
        self.insert(id, Item { msg: msg.map(|(id, _)| id), ..item });
    }

    /// An envelope's bytes.
    pub(crate) fn read(&self, cx: &Cx<'_>, net: NetId, id: &EnvelopeId) -> Result<Option<Envelope>, Error> {
        if !self.holds(id) {
            return Ok(None);
        }
        let bytes = cx.tx.get(&envelope_key(net, id))?;
        Ok(bytes.and_then(|bytes| Envelope::parse(bytes.to_vec()).ok()))
    }

    /// Sorts ids into the order in which a peer can best open them: oldest first (PROTOCOL M4).
    pub(crate) fn sort(&self, ids: &mut [EnvelopeId]) {
        ids.sort_by_key(|id| (self.items.get(id).map(|item| (item.order, item.hour)), *id));
    }

    /// Forgets what every copy must be past, and names the epochs of what was opened, by their numbers.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) -> BTreeSet<u64> {
        let mut opened = BTreeSet::new();
        while let Some((_, id)) = self.ends.first().copied().filter(|(end, _)| *end <= cx.now.sweep) {
            self.ends.pop_first();
            if let Some(order) = self.items.get(&id).filter(|item| item.end <= cx.now.sweep).map(|item| item.order) {
                self.items.remove(&id);
                self.orders.remove(&(order, id));
                self.waiting.remove(&id);
                self.waiting.forget_vain(&id);
                cx.tx.delete(envelope_key(net, &id));
                cx.tx.delete(seen_key(net, &id));
                opened.insert(order.number);
            }
        }
        self.messages.retain(|_, until| *until > cx.now.sweep);
        opened
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.ends.first().map(|(end, _)| *end)
    }
}

/// When an envelope's class ends.
pub(crate) fn end_of(envelope: &Envelope) -> Time {
    end_of_hour(envelope.hour()) + envelope.class.duration()
}

fn end_of_hour(hour: u32) -> Time {
    Time::ZERO + Duration::from_secs(u64::from(hour).saturating_add(1).saturating_mul(3_600))
}

fn envelope_key(net: NetId, id: &EnvelopeId) -> Key {
    Key::new(Table::Envelope, net, &[id.as_bytes()])
}

fn seen_key(net: NetId, id: &EnvelopeId) -> Key {
    Key::new(Table::Tombstone, net, &[id.as_bytes()])
}

fn envelope_id(key: &Key) -> Result<EnvelopeId, Error> {
    key.name.get(8..).and_then(EnvelopeId::from_slice).ok_or(Error::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It came by hand and in an envelope, and their rows end at different times.
    #[test]
    fn a_thing_said_is_known_for_as_long_as_its_longest_row_says() {
        let (net, said, [early, late]) = (NetId(1), MsgId::from_bytes([3; 32]), [5, 9].map(Time::from_ms));
        for turns in [false, true] {
            for (of_envelope, by_hand) in [(early, late), (late, early)] {
                let row =
                    SeenRow { hour: 1, end: Time::MAX, order: Order::CONTROL, msg: Some(said), msg_until: of_envelope };
                let seen = (Key::new(Table::Tombstone, net, &[&[7; 32]]), crate::wire::encode(&row));
                let came = (Key::new(Table::Tombstone, net, &[SAID, said.as_bytes()]), crate::wire::encode(&by_hand));
                let mut rows = [seen, came];
                if turns {
                    rows.reverse();
                }
                let mut log = Log::default();
                rows.iter().for_each(|(key, bytes)| log.restore_seen(key, bytes).unwrap());
                assert!(log.has_message(&said, Time::from_ms(8)) && !log.has_message(&said, late));
            }
        }
    }

    /// Whoever makes an envelope may try until its id begins as it likes.
    #[test]
    fn an_envelope_whose_id_begins_like_another_row_is_an_envelope() {
        let row = SeenRow { hour: 1, end: Time::MAX, order: Order::CONTROL, msg: None, msg_until: Time::ZERO };
        for first in [SAID, b"saic"] {
            let (mut log, id) = (Log::default(), [first, &[0; 28]].concat());
            log.restore_seen(&Key::new(Table::Tombstone, NetId(1), &[&id]), &crate::wire::encode(&row)).unwrap();
            assert!(log.has(&EnvelopeId::from_slice(&id).unwrap()));
        }
    }
}
