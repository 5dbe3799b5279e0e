//! Coming in by an invite: the joiner's side, until there is a group (PROTOCOL J).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::error::{Error, Refusal};
use crate::group::{self, Cx, Group, LoadedRow};
use crate::id::{GroupId, LinkId, NetId};
use crate::identity::{Identity, IdentityRow};
use crate::journal;
use crate::limits::{LINKS_MAX, MEMBERS_MAX, READER_KEPT};
use crate::meet::generation::Generation;
use crate::meet::hello::{Admission, Candidate};
use crate::meet::talk::{Heard, Talk};
use crate::mls::{self, Signer, StateRows};
use crate::persist::{Key, Table, Value};
use crate::policy::roster::Roster;
use crate::step::{Address, Ends, Outcome, Reply, Transmit};
use crate::time::Time;
use crate::wire::invite::{self, Invite};
use crate::wire::message::{Answerer, Bundle, Bytes, Greeting, Message};

/// The wait after a first failed dial; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(15);
/// How long a visit may take before another is tried.
const VISIT_MAX: Duration = Duration::from_secs(60);

/// A join under way.
pub(crate) struct Joining {
    pub(crate) net: NetId,
    invite: Invite,
    me: Identity,
    package: Vec<u8>,
    /// When it was first sent to somebody who may answer.
    asked: Option<Time>,
    /// The private half of the key package.
    rows: StateRows,
    links: BTreeMap<LinkId, Visit>,
    listening: Option<(u16, Vec<Address>)>,
    /// Where somebody answered who does not know the invite.
    strangers: BTreeSet<Address>,
    next_dial: Time,
    wait: Duration,
}

struct Visit {
    talk: Talk,
    /// Whether the other end has proved that it may answer the invite.
    answered: bool,
    closes: Time,
    /// Where we dialled.
    address: Option<Address>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct JoiningRow {
    #[n(0)]
    invite: String,
    #[n(1)]
    identity: IdentityRow,
    #[n(2)]
    package: Bytes,
    #[n(3)]
    asked: Option<Time>,
}

/// The largest Welcome: a leaf with the longest credential takes half of this for each member.
pub(crate) const WELCOME_BYTES_MAX: usize = MEMBERS_MAX * 1_024;

/// What a join has come to.
pub(crate) enum Arrival {
    /// Nothing yet.
    Waiting(Outcome),
    /// The group.
    Joined(Box<Group>),
    /// It will not come.
    Failed(Refusal),
}

impl Joining {
    /// Begins: keys and request are durable before anybody is asked, so that the same request can be made again.
    pub(crate) fn begin(cx: &mut Cx<'_>, net: NetId, invite: Invite, name: &str) -> Result<Self, Error> {
        let me = Identity::new(name, cx.rng);
        let signer = Signer::new(&me.device_secret());
        let made = mls::key_package(cx.mls, &signer, &me.credential.encode()).map_err(|_| Error::Broken)?;
        for (row, value) in &made.rows {
            cx.tx.put(key(net, b"k", row), Value { bytes: value.clone(), dies: None });
        }
        let joining = Self::new(net, invite, me, (made.bytes, None), made.rows);
        joining.write(cx);
        tracing::trace!(code = "during_join");
        Ok(joining)
    }

    fn new(
        net: NetId,
        invite: Invite,
        me: Identity,
        (package, asked): (Vec<u8>, Option<Time>),
        rows: StateRows,
    ) -> Self {
        let (links, next_dial, wait) = (BTreeMap::new(), Time::ZERO, RETRY_FIRST);
        let strangers = BTreeSet::new();
        Self { net, invite, me, package, asked, rows, links, listening: None, strangers, next_dial, wait }
    }

    fn write(&self, cx: &mut Cx<'_>) {
        let row = JoiningRow {
            invite: self.invite.to_text().to_string(),
            identity: self.me.to_row(),
            package: Bytes(self.package.clone()),
            asked: self.asked,
        };
        cx.tx.write(key(self.net, b"j", &[]), &row, None);
    }

    /// From its rows; `None` if these are not a join's.
    pub(crate) fn load(net: NetId, rows: &[LoadedRow]) -> Result<Option<Self>, Error> {
        let of_join = |key: &Key| key.table == Table::Joining;
        let Some((_, bytes)) = rows.iter().find(|(found, _)| *found == key(net, b"j", &[])) else { return Ok(None) };
        let row: JoiningRow = journal::parse(bytes)?;
        let mut private = StateRows::new();
        for (found, value) in rows.iter().filter(|(found, _)| of_join(found)) {
            if let Some((b"k", name)) = found.name.get(8..).and_then(|rest| rest.split_first_chunk::<1>()) {
                private.insert(name.to_vec(), value.clone());
            }
        }
        let invite = Invite::parse(&row.invite).map_err(|_| Error::Broken)?;
        let me = Identity::from_row(&row.identity);
        Ok(Some(Self::new(net, invite, me, (row.package.0.clone(), row.asked), private)))
    }

    /// Starts the network of the join.
    pub(crate) fn start(&self, cx: &mut Cx<'_>) {
        cx.transmit(Transmit::Open { net: self.net, port: None });
    }

    /// Takes over the links of the join as it was before a step that failed.
    pub(crate) fn inherit(&mut self, before: Self) {
        self.links = before.links;
        self.listening = before.listening;
    }

    /// Whether this is the join of an invite, or has asked the same person to be let into the same group: then it
    /// asks on as the same person, by this invite.
    pub(crate) fn goes_on_with(&mut self, cx: &mut Cx<'_>, invite: &Invite) -> bool {
        let asked = self.asked.is_some() && self.is_like(invite);
        if asked {
            self.invite = invite.clone();
            self.strangers.clear();
            self.write(cx);
        }
        asked || invite.seed == self.invite.seed
    }

    /// Whether an invite is by the same person for the same group.
    pub(crate) fn is_like(&self, invite: &Invite) -> bool {
        invite.commitment == self.invite.commitment
    }

    /// The network listens: now dials work.
    pub(crate) fn on_listening(&mut self, cx: &mut Cx<'_>, port: u16, addresses: Vec<Address>) {
        self.listening = Some((port, addresses));
        self.dial(cx);
    }

    /// A link is up.
    pub(crate) fn on_connected(&mut self, cx: &mut Cx<'_>, link: LinkId, ends: Ends, address: Option<Address>) {
        if self.links.len() >= LINKS_MAX {
            cx.transmit(Transmit::Disconnect { link });
            return;
        }
        let (talk, frame) = Talk::begin(ends, cx.rng);
        self.links.insert(link, Visit { talk, answered: false, closes: cx.now.wall + VISIT_MAX, address });
        cx.frame(link, frame);
    }

    /// A link is down.
    pub(crate) fn on_disconnected(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// A frame came.
    pub(crate) fn on_frame(&mut self, cx: &mut Cx<'_>, id: LinkId, bytes: &[u8]) -> Result<Arrival, Error> {
        let Some(visit) = self.links.get_mut(&id) else {
            return Ok(Arrival::Waiting(Outcome::Refused(Refusal::UnknownLink)));
        };
        let candidate =
            Candidate { admission: Admission::Invite(self.invite.id()), key: invite::invite_key(&self.invite.seed) };
        match visit.talk.hear(bytes, || vec![candidate], cx.rng) {
            Ok(Heard::Answer(frame)) => cx.frame(id, frame),
            Ok(Heard::Sealed(_)) => {
                cx.transmit(Transmit::Known { link: id });
                let greeting =
                    Greeting { clock: cx.now.shown_to_peers(), member: None, head: None, answerer: None, newest: true };
                self.say(cx, id, &Message::Greeting(Box::new(greeting)));
            }
            Ok(Heard::Message(message)) => return self.on_message(cx, id, *message),
            Err(Refusal::NotAdmitted) => {
                cx.transmit(Transmit::Disconnect { link: id });
                self.strangers.extend(self.links.remove(&id).and_then(|visit| visit.address));
                // One stranger on an old address says nothing; strangers on all of them say that it leads nowhere.
                let hints = &self.invite.hints;
                let nowhere = !hints.is_empty() && hints.iter().all(|hint| self.strangers.contains(hint));
                return Ok(if nowhere {
                    Arrival::Failed(Refusal::NotAdmitted)
                } else {
                    Arrival::Waiting(Outcome::Refused(Refusal::NotAdmitted))
                });
            }
            Err(refusal) => {
                cx.transmit(Transmit::Disconnect { link: id });
                return Ok(Arrival::Waiting(Outcome::Refused(refusal)));
            }
        }
        Ok(Arrival::Waiting(Outcome::Applied(Reply::Done)))
    }

    fn say(&mut self, cx: &mut Cx<'_>, id: LinkId, message: &Message) {
        if let Some(frame) = self.links.get_mut(&id).and_then(|visit| visit.talk.say(message)) {
            cx.frame(id, frame);
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, id: LinkId, message: Message) -> Result<Arrival, Error> {
        let answered = self.links.get(&id).is_some_and(|visit| visit.answered);
        match message {
            Message::Greeting(greeting) if self.may_answer(id, greeting.answerer.as_ref()) => {
                if let Some(visit) = self.links.get_mut(&id) {
                    visit.answered = true;
                }
                if self.asked.is_none() {
                    self.asked = Some(cx.now.stamp);
                    self.write(cx);
                }
                let request = Message::JoinRequest(self.package.clone());
                self.say(cx, id, &request);
                tracing::trace!(code = "during_join");
                Ok(Arrival::Waiting(Outcome::Applied(Reply::Done)))
            }
            Message::Welcome(bundle) if answered => self.on_welcome(cx, id, &bundle),
            Message::JoinRefused(refusal) if answered => Ok(Arrival::Failed(refusal.into())),
            _ => {
                cx.transmit(Transmit::Disconnect { link: id });
                Ok(Arrival::Waiting(Outcome::Refused(Refusal::OutOfTurn)))
            }
        }
    }

    /// Whether the other end holds the key that the invite names: the holder of a stolen invite does not.
    fn may_answer(&self, id: LinkId, answerer: Option<&Answerer>) -> bool {
        let binding = self.links.get(&id).and_then(|visit| visit.talk.binding("answerer", false));
        let (Some(answerer), Some(binding)) = (answerer, binding) else { return false };
        let key = crate::wire::signed::MemberKey(answerer.key);
        invite::answerer_hash(&answerer.key) == self.invite.answerer && key.verifies(&binding, &answerer.signature)
    }

    fn on_welcome(&self, cx: &mut Cx<'_>, id: LinkId, bundle: &Bundle) -> Result<Arrival, Error> {
        // MLS would look at each of its leaves.
        if bundle.welcome.len() > WELCOME_BYTES_MAX {
            return Ok(Arrival::Failed(Refusal::Oversize));
        }
        let Ok(state) = mls::join(cx.mls, &self.rows, &bundle.welcome) else {
            return Ok(Arrival::Failed(Refusal::Malformed));
        };
        let group = GroupId::from_slice(state.group_id());
        let roster = Roster::read(&state.leaves());
        let (Some(group), Ok(roster)) = (group, roster) else { return Ok(Arrival::Failed(Refusal::Malformed)) };
        // The group and its inviter must be those whom the invite names, and the inviter must really be in it.
        let named = invite::commitment(group, &bundle.inviter) == self.invite.commitment;
        // A group that is larger than any can be has rules that are not ours.
        if roster.len() > MEMBERS_MAX {
            return Ok(Arrival::Failed(Refusal::Malformed));
        }
        if !named || !roster.has(&bundle.inviter.member()) || !roster.has(&self.me.member()) {
            return Ok(Arrival::Failed(Refusal::WrongGroup));
        }
        let generations = bundle.generations.iter().map(Generation::from_wire).collect();
        let me = Identity::from_row(&self.me.to_row());
        let Ok(mut joined) = Group::begin(cx, self.net, group, me, state, generations, bundle.at) else {
            return Ok(Arrival::Failed(Refusal::Malformed));
        };
        let inviter = bundle.inviter.member();
        let known = bundle.reach.iter().map(|entry| (Address(entry.address.clone()), entry.member));
        // The invite's own addresses too: an inviter that has just started may not know its own yet.
        let reach = known.chain(self.invite.hints.iter().map(|hint| (hint.clone(), inviter))).collect();
        let arrival = group::Arrival {
            commit: bundle.commit,
            at: bundle.at,
            inviter,
            reach,
            commits: bundle.commits.clone(),
            listening: self.listening.clone(),
        };
        joined.arrive(cx, arrival)?;
        // The private half outlives the join until it is settled, in case it must be repeated (PROTOCOL J1).
        for (name, value) in &self.rows {
            let (key, dies) = (key(self.net, b"k", name), Some(cx.now.sweep + READER_KEPT));
            cx.tx.put(key.clone(), Value { bytes: value.clone(), dies });
            joined.keep_package(key);
        }
        cx.tx.delete(key(self.net, b"j", &[]));
        // As a member this device says hello anew.
        cx.transmit(Transmit::Disconnect { link: id });
        tracing::trace!(code = "during_join");
        Ok(Arrival::Joined(Box::new(joined)))
    }

    /// Takes every row of the join away.
    pub(crate) fn wipe(&self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let net = self.net.0.to_be_bytes();
        cx.tx.delete_all(&|key| key.table != Table::Device && key.name.starts_with(&net))?;
        cx.tx.urgent();
        cx.transmit(Transmit::Close { net: self.net });
        Ok(())
    }

    /// Tries again what is due; the invite may have ended meanwhile. Who has asked in time may be in already, and waits
    /// for the answer as long as a Welcome is kept: whoever gave up would be a member that nobody ever hears of.
    pub(crate) fn on_deadline(&mut self, cx: &mut Cx<'_>) -> Option<Refusal> {
        let answer = self.asked.map_or(Time::ZERO, |asked| asked + READER_KEPT);
        // A clock that leaps for a moment ends no join: the mark must have come so far, too.
        if self.invite.expires().max(answer) <= cx.now.stamp.min(cx.now.sweep) {
            return Some(Refusal::InviteExpired);
        }
        self.links.retain(|link, visit| {
            let open = visit.closes > cx.now.wall;
            if !open {
                cx.transmits.push(Transmit::Disconnect { link: *link });
            }
            open
        });
        self.dial(cx);
        None
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        self.next_dial = self.next_dial.min(now);
        for visit in self.links.values_mut() {
            visit.closes = visit.closes.min(now + VISIT_MAX);
        }
    }

    fn dial(&mut self, cx: &mut Cx<'_>) {
        // Before the network listens, a greeting could not say where.
        let under_way = self.links.values().any(|visit| visit.address.is_some());
        if self.listening.is_none() || under_way || self.next_dial > cx.now.wall {
            return;
        }
        self.next_dial = cx.now.wall + self.wait;
        self.wait = self.wait.saturating_mul(2).min(RETRY_LAST);
        for address in self.invite.hints.clone() {
            cx.transmit(Transmit::Dial { net: self.net, address });
        }
    }

    /// When to come back.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let visits = self.links.values().map(|visit| visit.closes).min();
        visits.or(self.listening.as_ref().map(|_| self.next_dial))
    }
}

fn key(net: NetId, kind: &[u8; 1], name: &[u8]) -> Key {
    Key::new(Table::Joining, net, &[kind, name])
}
