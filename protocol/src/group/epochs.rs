//! The epoch states that this device holds: rows keyed by E, one mutable state each (PROTOCOL O1, D2, E).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zeroize::Zeroizing;

use super::cx::Cx;
use super::gaps::Sender;
use super::heard::Heard;
use super::log::Order;
use crate::error::Error;
use crate::id::{EpochId, GroupId, NetId};
use crate::journal;
use crate::limits::{CONTROL_KEPT, READER_KEPT};
use crate::meet::generation::Rank;
use crate::mls::{MlsError, State, Under};
use crate::persist::{Key, Table, Value};
use crate::policy::extension::Extension;
use crate::policy::roster::Roster;
use crate::seal;
use crate::time::Time;
use crate::wire::envelope::EnvelopeKey;
use crate::wire::message::GenerationWire;

mod row;

use self::row::{HEARD, SENT, counts_key, mls_key, split_epoch};

/// MLS states held in memory beside the head: late messages come for a few epochs at a time.
const LOADED_MAX: usize = 4;

/// How long a state that the head has left can still be gone on from, once that is settled: by votes, or because nobody else
/// was in it.
const REPLAY_KEPT: Duration = Duration::from_secs(600);

/// What is known of an epoch. Outlives the state itself.
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) parent: Option<EpochId>,
    pub(crate) roster: Roster,
    pub(crate) extension: Extension,
    /// The generation of the net secret that it stands in.
    pub(crate) generation: Rank,
    /// What seals its messages and its children; gone with the state.
    pub(crate) keys: Option<EpochKeys>,
    /// When the head left it.
    pub(crate) left: Option<Time>,
    /// The own calls of MLS encryption in it (PROTOCOL M4).
    pub(crate) sent: u32,
    /// Whether its replay half is gone: it opens late messages and nothing else.
    pub(crate) closed: bool,
    /// Generations of the net secret that came with the Welcome that leads here: another's word until the head is here.
    pub(crate) handed: Vec<GenerationWire>,
    /// Whether more than half of its members have voted for one way on from it.
    settled: bool,
    /// What was opened of each sender, by leaf.
    heard: BTreeMap<u32, Heard>,
}

impl Epoch {
    /// Whether commits on it can still be judged here.
    pub(crate) const fn is_young(&self) -> bool {
        self.keys.is_some() && !self.closed
    }

    /// Whether others may build on it at the same time: then heads are voted for.
    pub(crate) fn is_shared(&self) -> bool {
        self.roster.len() > 1
    }

    /// Whether anything was said in it, here or by others.
    pub(crate) fn is_talked_in(&self) -> bool {
        self.sent > 0 || !self.heard.is_empty()
    }

    /// How long its replay half is kept after the head has left it.
    fn replay_kept(&self) -> Duration {
        if self.settled || !self.is_shared() { REPLAY_KEPT } else { READER_KEPT }
    }

    /// Whether its keys have had their time.
    fn dies(&self, now: Time) -> bool {
        self.keys.is_some() && self.left.is_some_and(|left| now >= left + READER_KEPT)
    }
}

/// The keys of an epoch's envelopes.
#[derive(Clone)]
pub(crate) struct EpochKeys {
    secrets: (seal::Secret, seal::Secret),
    /// Seals its messages.
    pub(crate) content: EnvelopeKey,
    /// Seals the commits made on it.
    pub(crate) commit: EnvelopeKey,
}

impl EpochKeys {
    fn new(content: seal::Secret, commit: seal::Secret) -> Self {
        let (content_key, commit_key) = (EnvelopeKey::new(&content), EnvelopeKey::new(&commit));
        Self { secrets: (content, commit), content: content_key, commit: commit_key }
    }
}

/// All epochs of one group.
#[derive(Default)]
pub(crate) struct Epochs {
    all: BTreeMap<EpochId, Epoch>,
    names: BTreeMap<EpochId, BTreeSet<Vec<u8>>>,
    loaded: BTreeMap<EpochId, State>,
}

impl Epochs {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let (epoch, rest) = split_epoch(key)?;
        match key.table {
            Table::Mls => {
                self.names.entry(epoch).or_default().insert(rest.to_vec());
            }
            Table::Epoch if rest.is_empty() => {
                let restored = row::read(journal::parse(bytes)?)?;
                let sent = self.all.get(&epoch).map_or(0, |known| known.sent);
                self.all.insert(epoch, Epoch { sent, ..restored });
            }
            Table::Used => {}
            _ => return Err(Error::Broken),
        }
        Ok(())
    }

    /// Takes a row of counts met while opening, after all others: the own ones, or those of who was heard.
    pub(crate) fn restore_counts(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let (epoch, which) = split_epoch(key)?;
        let Some(epoch) = self.all.get_mut(&epoch) else { return Ok(()) };
        if which == HEARD {
            let next: BTreeMap<u32, u32> = journal::parse(bytes)?;
            epoch.heard = next.into_iter().map(|(leaf, next)| (leaf, Heard::up_to(next))).collect();
        } else {
            epoch.sent = journal::parse(bytes)?;
        }
        Ok(())
    }

    /// What is known of an epoch.
    pub(crate) fn get(&self, epoch: &EpochId) -> Option<&Epoch> {
        self.all.get(epoch)
    }

    /// All, in no meaningful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&EpochId, &Epoch)> {
        self.all.iter()
    }

    /// A state and those that it came from, as far back as is known.
    pub(crate) fn back(&self, from: EpochId) -> impl Iterator<Item = EpochId> {
        std::iter::successors(Some(from), |id| self.all.get(id)?.parent)
    }

    /// Adds a fresh state with all its rows.
    pub(crate) fn add(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        mut state: State,
        parent: Option<EpochId>,
        generation: Rank,
    ) -> Result<EpochId, Error> {
        let group = GroupId::from_slice(state.group_id()).ok_or(Error::Broken)?;
        let authenticator = state.authenticator().map_err(|_| Error::Broken)?;
        let id = epoch_id(group, state.number(), &authenticator);
        if self.all.contains_key(&id) {
            // Built a second time, it would go through the same keys again (PROTOCOL O1).
            return Ok(id);
        }
        let export = |label: &str| state.export(cx.mls, label, &[]).map_err(|_| Error::Broken);
        let keys = EpochKeys::new(export("kinfold content")?, export("kinfold commit")?);
        let epoch = Epoch {
            number: state.number(),
            parent,
            roster: Roster::read(&state.leaves()).map_err(|_| Error::Broken)?,
            extension: Extension::parse(&state.extension()).map_err(|_| Error::Broken)?,
            generation,
            keys: Some(keys),
            // Until the head is there, if it ever is.
            left: Some(cx.now.sweep),
            sent: 0,
            closed: false,
            handed: Vec::new(),
            settled: false,
            heard: BTreeMap::new(),
        };
        for (name, value) in state.rows(cx.mls).map_err(|_| Error::Broken)? {
            self.names.entry(id).or_default().insert(name.clone());
            cx.tx.put(mls_key(net, &id, &name), Value { bytes: value, dies: None });
        }
        row::write(cx, net, &id, &epoch);
        self.make_room(cx, net)?;
        self.all.insert(id, epoch);
        self.loaded.insert(id, state);
        Ok(id)
    }

    /// Keeps what came with the Welcome that leads to a state.
    pub(crate) fn hand(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EpochId, handed: Vec<GenerationWire>) {
        if let Some(epoch) = self.all.get_mut(id) {
            epoch.handed = handed;
            row::write(cx, net, id, epoch);
        }
    }

    /// The head is where that leads: what came with it is used now.
    pub(crate) fn take_handed(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EpochId) -> Vec<GenerationWire> {
        let Some(epoch) = self.all.get_mut(id) else { return Vec::new() };
        let handed = std::mem::take(&mut epoch.handed);
        row::write(cx, net, id, epoch);
        handed
    }

    /// Nothing leads to a state any more, nor from it: its keys die with those of states that were left long ago, and all
    /// that is known of it.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EpochId) {
        if let Some(epoch) = self.all.get_mut(id) {
            epoch.left = Some(cx.now.sweep - READER_KEPT);
        }
        self.destroy_keys(cx, net);
        if !self.all.values().any(|epoch| epoch.parent == Some(*id)) {
            self.all.remove(id);
            cx.tx.delete(Key::new(Table::Epoch, net, &[id.as_bytes()]));
        }
    }

    /// The head goes from one state to another; or to the first.
    pub(crate) fn go(&mut self, cx: &mut Cx<'_>, net: NetId, from: EpochId, to: EpochId) {
        for (id, left) in [(from, Some(cx.now.sweep)), (to, None)] {
            if let Some(epoch) = self.all.get_mut(&id) {
                epoch.left = left;
                row::write(cx, net, &id, epoch);
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Which states are settled now.
    pub(crate) fn settle_on(&mut self, settled: &BTreeSet<EpochId>) {
        for (id, epoch) in &mut self.all {
            epoch.settled = settled.contains(id);
        }
    }

    /// What was opened of a sender; `None` before anything was.
    pub(crate) fn heard_of(&self, (epoch, leaf): &Sender) -> Option<&Heard> {
        self.all.get(epoch)?.heard.get(leaf)
    }

    /// A message of a sender was opened.
    pub(crate) fn heard(&mut self, (epoch, leaf): Sender, count: u32, burnt: u32, now: Time) {
        if let Some(epoch) = self.all.get_mut(&epoch) {
            epoch.heard.entry(leaf).or_default().opened(count, burnt, now);
        }
    }

    /// Messages were opened before this run, at these places of the chain, in their order; each had been sealed by then.
    /// What is missing before one may be on its way, if that is not long ago.
    pub(crate) fn heard_at(&mut self, orders: impl Iterator<Item = (Order, Time)>, now: Time) {
        let with_keys = self.all.iter().filter(|(_, epoch)| epoch.keys.is_some());
        let mut by_number: BTreeMap<u64, Vec<EpochId>> = BTreeMap::new();
        with_keys.for_each(|(id, epoch)| by_number.entry(epoch.number).or_default().push(*id));
        for (order, sealed) in orders {
            let of_it = by_number.get(&order.number).into_iter().flatten().find(|id| order.is_in(id, order.number));
            if let Some(id) = of_it {
                self.heard((*id, order.leaf), order.count, 0, now.min(sealed));
            }
        }
    }

    /// The log forgets messages of epochs with these numbers: how far their senders had come is kept.
    pub(crate) fn keep_heard(&self, cx: &mut Cx<'_>, net: NetId, numbers: &BTreeSet<u64>) {
        let of = |epoch: &&Epoch| epoch.keys.is_some() && numbers.contains(&epoch.number);
        for (id, epoch) in self.all.iter().filter(|(_, epoch)| of(epoch)) {
            let next: BTreeMap<u32, u32> = epoch.heard.iter().map(|(leaf, heard)| (*leaf, heard.next())).collect();
            cx.tx.write(counts_key(net, id, HEARD), &next, None);
        }
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        let heard = self.all.values_mut().flat_map(|epoch| epoch.heard.values_mut());
        heard.for_each(|heard| heard.clock_went_back(now));
    }

    /// Counts own calls of MLS encryption, in the batch that made them.
    pub(crate) fn count_sent(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EpochId, calls: u32) {
        if let Some(epoch) = self.all.get_mut(id) {
            epoch.sent = epoch.sent.saturating_add(calls);
            cx.tx.write(counts_key(net, id, SENT), &epoch.sent, None);
        }
    }

    /// Works with a state, and puts what changed into the batch. An error leaves it as it was.
    pub(crate) fn with<T>(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        group: GroupId,
        id: &EpochId,
        act: impl FnOnce(&mut State, &crate::mls::Provider) -> Result<T, MlsError>,
    ) -> Result<Result<T, MlsError>, Error> {
        let state = self.load(cx, net, group, id)?;
        let done = act(state, cx.mls);
        self.put_changes(cx, net, id)?;
        Ok(done)
    }

    /// Opens a message. What that changes goes into the batch with [`Self::settle`], once for all messages of a step.
    pub(crate) fn decrypt(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        group: GroupId,
        (id, bytes, under): (&EpochId, &[u8], Under<'_>),
    ) -> Result<Result<Zeroizing<Vec<u8>>, MlsError>, Error> {
        Ok(self.load(cx, net, group, id)?.decrypt(cx.mls, bytes, under))
    }

    /// Puts into the batch what opening messages changed.
    pub(crate) fn settle(&mut self, cx: &mut Cx<'_>, net: NetId) -> Result<(), Error> {
        let loaded: Vec<EpochId> = self.loaded.keys().copied().collect();
        loaded.iter().try_for_each(|id| self.put_changes(cx, net, id))
    }

    fn put_changes(&mut self, cx: &mut Cx<'_>, net: NetId, id: &EpochId) -> Result<(), Error> {
        let state = self.loaded.get_mut(id).ok_or(Error::Broken)?;
        let names = self.names.entry(*id).or_default();
        for (name, value) in state.changes(cx.mls).map_err(|_| Error::Broken)? {
            let key = mls_key(net, id, &name);
            match value {
                Some(bytes) => {
                    names.insert(name);
                    cx.tx.put(key, Value { bytes, dies: None });
                }
                None => {
                    names.remove(&name);
                    cx.tx.delete(key);
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, cx: &mut Cx<'_>, net: NetId, group: GroupId, id: &EpochId) -> Result<&mut State, Error> {
        if !self.loaded.contains_key(id) {
            let mut rows = BTreeMap::new();
            for name in self.names.get(id).into_iter().flatten() {
                let value = cx.tx.get(&mls_key(net, id, name))?.ok_or(Error::Broken)?;
                rows.insert(name.clone(), value);
            }
            let state = State::load(group.as_bytes(), rows).map_err(|_| Error::Broken)?;
            self.make_room(cx, net)?;
            self.loaded.insert(*id, state);
        }
        self.loaded.get_mut(id).ok_or(Error::Broken)
    }

    /// The epochs whose keys [`Self::destroy_keys`] is about to destroy.
    pub(crate) fn dying(&self, now: Time) -> BTreeSet<EpochId> {
        self.all.iter().filter(|(_, epoch)| epoch.dies(now)).map(|(id, _)| *id).collect()
    }

    /// Whether an epoch is one of them: nothing new of it is taken.
    pub(crate) fn is_dying(&self, id: &EpochId, now: Time) -> bool {
        self.all.get(id).is_some_and(|epoch| epoch.dies(now))
    }

    /// Whether messages of an epoch can still be opened.
    pub(crate) fn has_keys(&self, id: &EpochId) -> bool {
        self.all.get(id).is_some_and(|epoch| epoch.keys.is_some())
    }

    fn make_room(&mut self, cx: &mut Cx<'_>, net: NetId) -> Result<(), Error> {
        if self.loaded.len() >= LOADED_MAX {
            self.settle(cx, net)?;
            // The head is asked for all the time, whatever others seal under states that it left.
            let all = &self.all;
            self.loaded.retain(|id, _| all.get(id).is_some_and(|epoch| epoch.left.is_none()));
        }
        Ok(())
    }

    /// Destroys the replay half of states that the head left, and at last what is known of them (PROTOCOL E).
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId, group: GroupId) -> Result<(), Error> {
        let now = cx.now.sweep;
        // The mark may have restarted from an earlier time.
        for (id, epoch) in self.all.iter_mut().filter(|(_, epoch)| epoch.left.is_some_and(|left| left > now)) {
            epoch.left = Some(now);
            row::write(cx, net, id, epoch);
        }
        let passed = |epoch: &Epoch, kept| epoch.left.is_some_and(|left| now >= left + kept);
        let closing: Vec<EpochId> = self
            .all
            .iter()
            .filter(|(_, epoch)| !epoch.closed && !passed(epoch, READER_KEPT) && passed(epoch, epoch.replay_kept()))
            .map(|(id, _)| *id)
            .collect();
        for id in closing {
            self.close(cx, net, group, &id)?;
        }
        self.all.retain(|id, epoch| {
            let keep = epoch.keys.is_some() || !passed(epoch, CONTROL_KEPT);
            if !keep {
                cx.tx.delete(Key::new(Table::Epoch, net, &[id.as_bytes()]));
            }
            keep
        });
        Ok(())
    }

    /// Destroys a state's replay half: nothing that leads on from it is judged here any more.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>, net: NetId, group: GroupId, id: &EpochId) -> Result<(), Error> {
        self.with(cx, net, group, id, |state, mls| state.close(mls))?.map_err(|_| Error::Broken)?;
        if let Some(epoch) = self.all.get_mut(id) {
            epoch.closed = true;
            row::write(cx, net, id, epoch);
        }
        cx.tx.urgent();
        Ok(())
    }

    /// Destroys the states 72 h after the head left them (PROTOCOL E).
    pub(crate) fn destroy_keys(&mut self, cx: &mut Cx<'_>, net: NetId) {
        let now = cx.now.sweep;
        for (id, epoch) in self.all.iter_mut().filter(|(_, epoch)| epoch.dies(now)) {
            epoch.keys = None;
            epoch.handed = Vec::new();
            self.loaded.remove(id);
            for name in self.names.remove(id).into_iter().flatten() {
                cx.tx.delete(mls_key(net, id, &name));
            }
            [SENT, HEARD].into_iter().for_each(|which| cx.tx.delete(counts_key(net, id, which)));
            row::write(cx, net, id, epoch);
            let until = epoch.left.map(|left| left + CONTROL_KEPT);
            cx.tx.write(Key::new(Table::Used, net, &[id.as_bytes()]), &epoch.number, until);
            cx.tx.urgent();
        }
    }

    /// How many states are in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> usize {
        self.loaded.len()
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let due = |epoch: &Epoch| {
            let kept = match (&epoch.keys, epoch.closed) {
                (Some(_), false) => epoch.replay_kept(),
                (Some(_), true) => READER_KEPT,
                (None, _) => CONTROL_KEPT,
            };
            epoch.left.map(|left| left + kept)
        };
        self.all.values().filter_map(due).min()
    }
}

/// `E` (PROTOCOL O1).
fn epoch_id(group: GroupId, number: u64, authenticator: &[u8]) -> EpochId {
    EpochId::from_bytes(seal::digest("kinfold epoch", &[group.as_bytes(), &number.to_be_bytes(), authenticator]))
}
