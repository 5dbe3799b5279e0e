//! One support group as this device sees it.
//!
//! | operation | Active        | Leaving     | Removed        | Left           | Broken        |
//! |-----------|---------------|-------------|----------------|----------------|---------------|
//! | send      | yes           | `GroupLeft` | `GroupRemoved` | `UnknownGroup` | `GroupBroken` |
//! | receive   | yes           | yes         | `UnknownLink`  | `UnknownLink`  | `UnknownLink` |
//! | commit    | facilitator   | `GroupLeft` | `GroupRemoved` | `UnknownGroup` | `GroupBroken` |
//! | invite    | facilitator   | `GroupLeft` | `GroupRemoved` | `UnknownGroup` | `GroupBroken` |
//! | look      | yes           | yes         | yes            | `UnknownGroup` | yes           |
//! | leave     | member        | forgets     | forgets        | `UnknownGroup` | forgets       |
//!
//! Names in code type are the error or the refusal. A plain member's commit or invite is `NotFacilitator`. The only
//! facilitator's leave is `LastFacilitator` while others remain, and forgets the group when nobody does.
//! A group that was left is wiped at once. A joining device has no `Group` yet: that is [`crate::joining`].

mod addresses;
pub(crate) mod admit;
pub(crate) mod advance;
mod begin;
pub(crate) mod changes;
mod commits;
mod conduct;
mod contact;
mod controls;
pub(crate) mod cx;
mod delivery;
mod doctor;
mod epochs;
#[cfg(feature = "sim")]
mod forge;
mod gaps;
mod greet;
mod handed;
mod head;
mod heard;
mod history;
mod holding;
mod invites;
mod judging;
mod line;
mod link;
mod links;
mod load;
mod log;
mod newcomer;
mod ordering;
mod outbox;
mod place;
mod reach;
mod receive;
mod rescan;
mod returning;
mod rosters;
mod send;
mod spare;
mod spread;
mod sync;
mod tickets;
mod timers;
mod updates;
mod views;
mod voting;
mod waiting;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

pub(crate) use self::begin::Arrival;
use self::commits::{Commits, Step};
use self::conduct::Conduct;
use self::contact::Met;
use self::controls::Controls;
pub(crate) use self::cx::Cx;
use self::delivery::Delivery;
use self::epochs::{Epoch, Epochs};
use self::gaps::{Gap, Sender};
use self::handed::Hand;
use self::history::History;
use self::holding::Hold;
use self::invites::Invites;
use self::link::Link;
pub(crate) use self::load::{LoadedRow, Loader};
use self::log::Log;
use self::outbox::Outbox;
use self::reach::Reach;
use self::returning::Stray;
use self::spread::Spread;
use self::voting::Voting;
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, GroupId, LinkId, MemberId, MsgId, NetId};
use crate::identity::{Identity, IdentityRow};
use crate::limits::{GENERATION_KEPT, READER_KEPT};
use crate::meet::GENERATIONS_MAX;
use crate::meet::generation::{Generation, Rank};
use crate::persist::{Key, Table};
use crate::policy::extension::Extension;
use crate::policy::roster::Roster;
use crate::step::{Address, Event, Standing, Transmit};
use crate::time::Time;
use crate::wire::message::GenerationWire;

/// How long the topics of a generation are listened to after the next one began, so that its last commit still runs.
const TOPICS_KEPT: Duration = Duration::from_secs(600);

/// Hours before the own beginning whose envelopes are still taken: a sender's clock may be as far behind as a message
/// may be ahead, and an envelope that cannot be opened costs little beside one that is missed.
const SINCE_SLACK: u32 = 25;

/// One support group.
pub(crate) struct Group {
    pub(crate) net: NetId,
    pub(crate) id: GroupId,
    me: Identity,
    facts: Facts,
    epochs: Epochs,
    commits: Commits,
    generations: BTreeMap<Rank, Generation>,
    log: Log,
    history: History,
    outbox: Outbox,
    invites: Invites,
    /// Welcomes by newcomer, to be sent again until a receipt.
    welcomes: BTreeSet<MemberId>,
    /// The private half of the key package by which this device came in, as long as it is kept.
    package: BTreeSet<Key>,
    controls: Controls,
    verified: BTreeMap<MemberId, [u8; 32]>,
    reach: Reach,
    links: BTreeMap<LinkId, Link>,
    met: Met,
    conduct: Conduct,
    spread: Spread,
    receipts: Receipts,
    listening: Vec<Address>,
    topics: Vec<crate::id::Topic>,
    delivery: Delivery,
    /// Messages that wait for earlier ones of their sender.
    gaps: BTreeMap<Sender, Gap>,
    /// What was handed over for envelopes that wait, in this run.
    hands: BTreeMap<EnvelopeId, Hand>,
    voting: Voting,
    /// That others stand where this device cannot go.
    stray: Option<Stray>,
    /// Commits on states that are here which cannot be judged here: this device's own of before it was set back, one that
    /// was made so, or one for which there was no room.
    unjudged: BTreeSet<Step>,
    /// Whom this device let in anew, and when.
    returned: BTreeMap<MemberId, Time>,
    /// When it is this device's turn to execute what others want.
    commit_due: Option<Time>,
    hold: Hold,
    /// Whether this person's leave was carried out, and others have yet to stand by that.
    goes: bool,
    /// Whether there may be something to execute that was not looked at yet.
    wanted: bool,
    /// When peers are told what waits and cannot be opened.
    blind_due: Option<Time>,
    /// From where on what waits is to be looked at again.
    look_from: Option<(log::Order, EnvelopeId)>,
    /// Who has claimed a later head than ours and did not lead us there, since our head last moved.
    vain_claims: BTreeSet<MemberId>,
    /// Whether something came, since then, that no member had signed or that there was no room for.
    missed: bool,
    /// Whether generations must be burnt before the next send (PROTOCOL G3).
    burn_due: bool,
}

/// What was opened and not receipted yet.
#[derive(Default)]
struct Receipts {
    ids: Vec<MsgId>,
    due: Option<Time>,
    last: Option<Time>,
}

impl Receipts {
    /// They are due at a moment at the latest.
    fn by(&mut self, at: Time) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Receipts that are due as soon as there is time.
    fn owe(&mut self, ids: Vec<MsgId>) {
        self.due = (!ids.is_empty()).then_some(Time::ZERO);
        self.ids = ids;
    }
}

/// The row of a group: small, rewritten when the group changes.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
struct Facts {
    #[n(0)]
    head: EpochId,
    #[n(1)]
    joined: Time,
    /// The first hour whose envelopes can be of use here.
    #[n(2)]
    since: u32,
    #[n(3)]
    port: Option<u16>,
    #[n(4)]
    standing: StandingRow,
    /// By the mark, when the own leaf is to have new keys.
    #[n(5)]
    update_due: Option<Time>,
    /// Who let this person in, if somebody did.
    #[n(6)]
    inviter: Option<MemberId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum StandingRow {
    #[n(0)]
    Active,
    #[n(1)]
    Leaving,
    #[n(2)]
    Removed,
    #[n(3)]
    Broken,
    /// Only in memory: the rows are gone.
    #[n(4)]
    Left,
}

impl Group {
    fn empty(net: NetId, id: GroupId, me: Identity, facts: Facts) -> Self {
        Self {
            net,
            id,
            me,
            facts,
            epochs: Epochs::default(),
            commits: Commits::default(),
            generations: BTreeMap::new(),
            log: Log::default(),
            history: History::default(),
            outbox: Outbox::default(),
            invites: Invites::default(),
            welcomes: BTreeSet::new(),
            package: BTreeSet::new(),
            controls: Controls::default(),
            verified: BTreeMap::new(),
            reach: Reach::default(),
            links: BTreeMap::new(),
            met: Met::default(),
            conduct: Conduct::default(),
            spread: Spread::default(),
            receipts: Receipts::default(),
            listening: Vec::new(),
            topics: Vec::new(),
            delivery: Delivery::default(),
            gaps: BTreeMap::new(),
            hands: BTreeMap::new(),
            voting: Voting::default(),
            stray: None,
            unjudged: BTreeSet::new(),
            returned: BTreeMap::new(),
            commit_due: None,
            hold: Hold::default(),
            goes: false,
            wanted: false,
            blind_due: None,
            look_from: None,
            vain_claims: BTreeSet::new(),
            missed: false,
            burn_due: false,
        }
    }

    /// Starts the network, if the group has one.
    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        if self.talks() {
            cx.transmit(Transmit::Open { net: self.net, port: self.facts.port });
            self.refresh_topics(cx);
        }
    }

    /// The end of a step: what it changed and did not write yet goes into the batch.
    pub(crate) fn settle(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        cx.at = Some(self.net);
        self.epochs.settle(cx, self.net)
    }

    /// Takes over what lives only while the process does, from the group as it was before a step that failed.
    pub(crate) fn inherit(&mut self, before: Self) {
        if before.facts.standing == StandingRow::Broken {
            self.facts.standing = StandingRow::Broken;
        }
        self.links = before.links;
        // Frames that the step had sealed are lost: no peer may wait for them, or for an answer that never comes.
        for link in self.links.values_mut() {
            link.closes = Some(Time::ZERO);
        }
        self.conduct = before.conduct;
        self.spread = before.spread;
        self.vain_claims = before.vain_claims;
        self.missed = before.missed;
        self.receipts.last = before.receipts.last;
        self.listening = before.listening;
        // The network may not have heard of the topics: they are told anew.
        self.topics.clear();
        // The step that failed may have burnt in memory only; burning again costs nothing.
        self.burn_due = true;
    }

    /// After an unclean stop: more may have been sealed than the rows know (PROTOCOL G3).
    pub(crate) const fn burn_before_sending(&mut self) {
        self.burn_due = true;
    }

    /// Whether the group has a network.
    pub(crate) const fn talks(&self) -> bool {
        matches!(self.facts.standing, StandingRow::Active | StandingRow::Leaving)
    }

    /// The person's standing.
    pub(crate) const fn standing(&self) -> Standing {
        match self.facts.standing {
            StandingRow::Active => Standing::Active,
            StandingRow::Broken => Standing::Broken,
            StandingRow::Leaving => Standing::Leaving,
            StandingRow::Left => Standing::Left,
            StandingRow::Removed => Standing::Removed,
        }
    }

    /// Refuses what only a talking member may do.
    fn require_active(&self) -> Result<(), Error> {
        match self.facts.standing {
            StandingRow::Active => Ok(()),
            StandingRow::Broken => Err(Error::GroupBroken),
            StandingRow::Leaving | StandingRow::Left => Err(Error::GroupLeft),
            StandingRow::Removed => Err(Error::GroupRemoved),
        }
    }

    fn set_standing(&mut self, cx: &mut Cx<'_>, standing: StandingRow) {
        self.facts.standing = standing;
        self.write_facts(cx);
        cx.tell(Event::Standing { group: self.id, standing: self.standing() });
    }

    /// Sets the group aside, in memory only: its rows contradict themselves.
    pub(crate) fn set_aside(&mut self, cx: &mut Cx<'_>) {
        self.facts.standing = StandingRow::Broken;
        self.links.clear();
        cx.transmit(Transmit::Close { net: self.net });
        cx.tell(Event::Standing { group: self.id, standing: self.standing() });
    }

    fn head(&self) -> Result<&Epoch, Error> {
        self.epochs.get(&self.facts.head).ok_or(Error::Broken)
    }

    fn roster(&self) -> Result<&Roster, Error> {
        Ok(&self.head()?.roster)
    }

    fn extension(&self) -> Result<&Extension, Error> {
        Ok(&self.head()?.extension)
    }

    /// The generation that the head stands in.
    fn newest(&self) -> Result<&Generation, Error> {
        self.generations.get(&self.head()?.generation).ok_or(Error::Broken)
    }

    fn newest_rank(&self) -> Option<Rank> {
        self.newest().ok().map(Generation::rank)
    }

    fn write_facts(&self, cx: &mut Cx<'_>) {
        cx.tx.write(Key::new(Table::Group, self.net, &[b"facts"]), &self.facts, None);
    }

    fn add_generation(&mut self, cx: &mut Cx<'_>, generation: Generation) {
        let rank = generation.rank();
        let key = Key::new(Table::Generation, self.net, &[rank.1.as_bytes()]);
        cx.tx.write(key, &generation.to_wire(), None);
        self.generations.insert(rank, generation);
    }

    /// A clock shows that this device began, or a member still is, earlier than its own clock said: envelopes of that
    /// time are not from before.
    pub(crate) fn begin_no_later_than(&mut self, cx: &mut Cx<'_>, time: Time) {
        let since = time.hour().saturating_sub(SINCE_SLACK);
        if since < self.facts.since {
            self.facts.since = since;
            self.write_facts(cx);
        }
    }

    /// Forgets generations that began more than 90 days before the next one took over.
    fn sweep_generations(&mut self, cx: &mut Cx<'_>) {
        while self.generations.len() > 1 {
            let mut oldest = self.generations.iter();
            let (Some((rank, _)), Some((_, next))) = (oldest.next(), oldest.next()) else { return };
            let old = next.at + GENERATION_KEPT <= cx.now.sweep || self.generations.len() > GENERATIONS_MAX;
            if !old {
                return;
            }
            let rank = *rank;
            if self.epochs.iter().any(|(_, epoch)| epoch.is_young() && epoch.generation == rank) {
                return;
            }
            cx.tx.delete(Key::new(Table::Generation, self.net, &[rank.1.as_bytes()]));
            self.generations.remove(&rank);
        }
    }

    /// The generation that seals tickets, votes and links: the one before the oldest unsettled removal, so that those
    /// who have not seen it can read them (PROTOCOL O5).
    fn control_generation(&self, now: Time) -> Result<&Generation, Error> {
        let settled = |generation: &&Generation| generation.at + READER_KEPT <= now;
        let ours = self.own_generations();
        ours.iter().rev().find(|generation| settled(generation)).or(ours.first()).copied().ok_or(Error::Broken)
    }

    /// The generations that the head has come through, the oldest first, without those of branches that were left.
    fn own_generations(&self) -> Vec<&Generation> {
        let line: BTreeSet<EpochId> = self.epochs.back(self.facts.head).collect();
        let (ours, theirs): (Vec<_>, Vec<_>) = self.epochs.iter().partition(|(id, _)| line.contains(id));
        let has = |of: &[(&EpochId, &Epoch)], rank| of.iter().any(|(_, epoch)| epoch.generation == rank);
        let left = |generation: &&Generation| has(&theirs, generation.rank()) && !has(&ours, generation.rank());
        let newest = self.newest_rank();
        let ours = self.generations.values().filter(|generation| !left(generation));
        // Whoever came later cannot tell of every one which branch it is of.
        ours.filter(|generation| Some(generation.rank()) <= newest).collect()
    }

    /// Takes every row of the group away.
    pub(crate) fn wipe(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let net = self.net.0.to_be_bytes();
        cx.tx.delete_all(&|key| key.table != Table::Device && key.name.starts_with(&net))?;
        cx.tx.urgent();
        cx.transmit(Transmit::Close { net: self.net });
        self.links.clear();
        self.facts.standing = StandingRow::Left;
        Ok(())
    }

    /// Whether the rows are gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.facts.standing == StandingRow::Left
    }
}

/// The row of an own membership.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Own {
    #[n(0)]
    group: GroupId,
    #[n(1)]
    identity: IdentityRow,
}

impl Own {
    fn of(group: &Group) -> Self {
        Self { group: group.id, identity: group.me.to_row() }
    }
}

fn generation_from_row(bytes: &[u8]) -> Result<Generation, Error> {
    let wire: GenerationWire = crate::journal::parse(bytes)?;
    Ok(Generation::from_wire(&wire))
}

#[cfg(test)]
mod tests;
