//! How a device comes to have a group: it is founded, joined, or joined again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::changes::joined_id;
use super::epochs::Epochs;
use super::history::History;
use super::line::{LineRow, RowKind};
use super::{Cx, Facts, Group, Own, SINCE_SLACK, StandingRow};
use crate::error::Error;
use crate::id::{CommitId, EpochId, GroupId, MemberId, NetId};
use crate::identity::Identity;
use crate::meet::generation::Generation;
use crate::mls::{Signer, State};
use crate::persist::{Key, Table};
use crate::policy::extension::Extension;
use crate::step::Address;
use crate::time::Time;
use crate::wire::control::Policy;
use crate::wire::envelope::Envelope;
use crate::wire::message::{CommitWire, Moves};

/// What is kept on one member's word of commits that cannot be judged here, each counted with whom it names: those that came
/// with a Welcome, and some branches. Nobody takes the room of the others.
const TOLD_BY_ONE: usize = 2_048;

impl Group {
    /// A group with this device's person as its only member.
    pub(crate) fn create(
        cx: &mut Cx<'_>,
        net: NetId,
        name: &str,
        display_name: &str,
        retention: Duration,
    ) -> Result<Self, Error> {
        let me = Identity::new(display_name, cx.rng);
        let id = GroupId::from_bytes(cx.random());
        let policy = Policy { name: name.to_owned(), retention: retention.as_secs() };
        let extension = Extension::new(me.member(), policy);
        let signer = Signer::new(&me.device_secret());
        let state = State::create(cx.mls, &signer, &me.credential.encode(), id.as_bytes(), &extension.encode())
            .map_err(|_| Error::Broken)?;
        let generation = first_generation(cx, &state)?;
        Self::begin(cx, net, id, me, state, vec![generation], cx.now.stamp)
    }

    /// A group that this device stands at the beginning of: founded, or joined.
    pub(crate) fn begin(
        cx: &mut Cx<'_>,
        net: NetId,
        id: GroupId,
        me: Identity,
        state: State,
        generations: Vec<Generation>,
        at: Time,
    ) -> Result<Self, Error> {
        let newest = generations.iter().map(Generation::rank).max().ok_or(Error::Broken)?;
        let mut epochs = Epochs::default();
        let head = epochs.add(cx, net, state, None, newest)?;
        epochs.go(cx, net, head, head);
        let since = at.hour().saturating_sub(SINCE_SLACK);
        let standing = StandingRow::Active;
        let facts = Facts { head, joined: at, since, port: None, standing, update_due: None, inviter: None };
        let mut group = Self::empty(net, id, me, facts);
        group.epochs = epochs;
        for generation in generations {
            group.add_generation(cx, generation);
        }
        cx.tx.write(Key::new(Table::Group, net, &[b"identity"]), &Own::of(&group), None);
        group.begin_period(cx);
        Ok(group)
    }

    /// What a newcomer begins with beside its state.
    pub(crate) fn arrive(&mut self, cx: &mut Cx<'_>, arrival: Arrival) -> Result<(), Error> {
        let (own, others): (Vec<_>, Vec<_>) =
            arrival.reach.into_iter().partition(|(_, member)| *member == arrival.inviter);
        // Dialled before all others: it keeps the Welcome until it hears that that has come.
        self.reach.announce(cx, self.net, arrival.inviter, own.into_iter().map(|(address, _)| address).collect());
        for (address, member) in others.into_iter().filter(|(_, member)| *member != self.me.member()) {
            self.reach.learn(cx, self.net, address, Some(member));
        }
        self.keep_told(cx, arrival.commits, arrival.inviter)?;
        self.facts.inviter = Some(arrival.inviter);
        self.write_facts(cx);
        let name = self.me.credential.name.clone();
        let line = LineRow::of_change(arrival.at, self.me.member(), name.clone(), RowKind::Joined(name), true);
        self.show(cx, joined_id(&arrival.commit, &self.me.member()), line);
        self.refresh_topics(cx);
        if let Some((port, listening)) = arrival.listening {
            self.on_listening(cx, port, listening)?;
        }
        Ok(())
    }

    /// Keeps what somebody says of commits, as far as that leads to or from what is known here.
    pub(super) fn keep_told(&mut self, cx: &mut Cx<'_>, mut told: Vec<CommitWire>, by: MemberId) -> Result<(), Error> {
        let mut known: BTreeSet<EpochId> = self.epochs.iter().map(|(id, _)| *id).collect();
        known.extend(self.commits.edges().flat_map(|made| [made.step.0, made.child]));
        let mut room = TOLD_BY_ONE.saturating_sub(self.commits.size_of(&by));
        loop {
            let (leads, rest): (Vec<_>, Vec<_>) =
                told.into_iter().partition(|step| known.contains(&step.parent) || known.contains(&step.child));
            if leads.is_empty() {
                return Ok(());
            }
            for CommitWire { parent, commit, child, envelope, moves } in leads {
                let size = moves.as_ref().map_or(0, Moves::len).saturating_add(1);
                let fits = envelope.0.is_empty() || Envelope::parse(envelope.0.clone()).is_ok();
                if fits && size <= room {
                    room = room.saturating_sub(size);
                    known.extend([parent, child]);
                    self.commits.keep_told(cx, self.net, ((parent, commit), child), (moves, envelope), by)?;
                }
            }
            told = rest;
        }
    }

    /// Takes over what this device had of the group before it was removed, and takes the rest away.
    pub(crate) fn succeed(&mut self, cx: &mut Cx<'_>, mut before: Self) -> Result<(), Error> {
        for id in before.history.by_arrival() {
            let Some(row) = History::row(cx, before.net, &id)? else { continue };
            self.history.adopt(cx, self.net, id, row, before.history.is_read(&id));
            if let Some(entry) = before.outbox.get(&id) {
                // Signed by who this person was then, it can only be kept.
                let mut kept = entry.clone();
                kept.waiting = false;
                kept.unseal();
                self.outbox.set(cx, self.net, id, kept);
            }
        }
        for (member, key) in std::mem::take(&mut before.verified) {
            self.set_verified(cx, member, key);
        }
        before.wipe(cx)
    }
}

/// What a join hands over to its group.
pub(crate) struct Arrival {
    /// The commit that let this person in, and when.
    pub(crate) commit: CommitId,
    pub(crate) at: Time,
    /// Who made the invite.
    pub(crate) inviter: MemberId,
    /// Where members can be reached.
    pub(crate) reach: Vec<(Address, MemberId)>,
    /// Commits to keep for those who were away.
    pub(crate) commits: Vec<CommitWire>,
    /// Where the network of the join listens already.
    pub(crate) listening: Option<(u16, Vec<Address>)>,
}

fn first_generation(cx: &Cx<'_>, state: &State) -> Result<Generation, Error> {
    let secret = state.export(cx.mls, "kinfold net", &[]).map_err(|_| Error::Broken)?;
    Ok(Generation::new(secret, state.number(), cx.now.stamp))
}
