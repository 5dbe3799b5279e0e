//! From one epoch to the next: tickets that are executed, and commits that are taken.

use std::collections::BTreeSet;

use super::Group;
use super::commits::{Change, Step};
use super::cx::Cx;
use crate::error::Error;
use crate::id::{EpochId, LinkId};
use crate::limits::{CONTROL_KEPT, MEMBERS_MAX, RETENTION_MAX};
use crate::meet::generation::Generation;
use crate::mls::{CommitPlan, Committed, Committer, MlsError, NewLeaf, Signer, StagedView, State};
use crate::policy::judge;
use crate::step::Transmit;
use crate::wire;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::control::{Control, Link, Operation, Ticket};
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::message::Told;
use crate::wire::signed::Signed;

/// A commit that was judged and found good.
pub(crate) struct Taken<'a> {
    /// On which state, and its name.
    pub(crate) step: Step,
    /// The state it makes, unless it takes this person out.
    pub(crate) child: Option<State>,
    /// How it came or goes.
    pub(crate) envelope: &'a Envelope,
    /// What it does.
    pub(crate) change: Change,
}

impl Group {
    /// Commits tickets: on a copy of the head, judged like anybody's, stored with its child in one batch, then
    /// published (PROTOCOL C3). `false` if the rules or MLS refuse it; then nothing has changed.
    pub(super) fn execute(&mut self, cx: &mut Cx<'_>, tickets: Vec<Signed>) -> Result<bool, Error> {
        let head = self.facts.head;
        if tickets.len() > MEMBERS_MAX {
            return Ok(false);
        }
        let opened: Vec<Ticket> =
            tickets.iter().map(|signed| signed.open(self.id).map_err(|_| Error::Broken)).collect::<Result<_, _>>()?;
        let at = self.history.next_pos(cx.now.stamp);
        let plan = self.plan(&opened, CommitBinding::new(head, &tickets, at).encode())?;
        let Some(view) = self.own_view(cx, &plan)? else { return Ok(false) };
        let Ok(verdict) = judge::judge(self.parent(&head)?, &view, &tickets) else { return Ok(false) };
        let signer = Signer::new(&self.me.device_secret());
        let made = self.epochs.with(cx, self.net, self.id, &head, |state, mls| state.commit(mls, &signer, plan))?;
        let Committed { child, commit, welcome } = match made {
            Ok(made) => made,
            Err(MlsError::Broken) => return Err(Error::Broken),
            Err(_) => return Ok(false),
        };
        let (bytes, id) = Commit::new(self.id, head, commit, tickets).encode();
        let key = self.head()?.keys.as_ref().ok_or(Error::Broken)?.commit.clone();
        let cover = self.cover(cx, &self.newest()?.clone())?;
        // Too much for one envelope: less of it may fit.
        let Some(envelope) = Envelope::seal(&key, &cover, &bytes) else { return Ok(false) };
        let topic = self.newest()?.topic(cx.now.stamp.day());
        let links = self.links.iter().filter(|(_, link)| link.member.is_some()).map(|(id, _)| *id).collect();
        self.spread_envelope(cx, &envelope, topic, links)?;
        let change = Change { at, verdict, out: false, swapped: false };
        let taken = Taken { step: (head, id), child: Some(child), envelope: &envelope, change };
        self.begin_period(cx);
        let child_id = self.take_commit(cx, taken)?;
        if let Some(welcome) = welcome {
            self.keep_welcome(cx, welcome, (id, at, child_id), &opened)?;
        }
        let link = Link { parent: head, child: child_id, commit: id, committer: self.me.key() };
        let signed = self.me.sign(self.id, &link);
        self.send_control(cx, &Control::Link(signed))?;
        Ok(true)
    }

    fn plan(&self, tickets: &[Ticket], aad: Vec<u8>) -> Result<CommitPlan, Error> {
        let head = self.head()?;
        let next = head.extension.after(tickets, head.number);
        // Two tickets may ask for one removal.
        let removes: BTreeSet<u32> = tickets
            .iter()
            .filter(|ticket| ticket.operation.removes() || ticket.operation == Operation::Swap)
            .map(|ticket| head.roster.seat(&ticket.target).map(|seat| seat.leaf).ok_or(Error::Broken))
            .collect::<Result<_, _>>()?;
        Ok(CommitPlan {
            adds: tickets.iter().filter_map(|ticket| ticket.key_package.clone()).collect(),
            removes: removes.into_iter().collect(),
            extension: (next != head.extension).then(|| next.encode()),
            aad,
        })
    }

    /// The own commit as others will see it: own commits are judged by the same judge. None if what somebody else signed is
    /// no key package.
    fn own_view(&self, cx: &Cx<'_>, plan: &CommitPlan) -> Result<Option<StagedView>, Error> {
        let head = self.head()?;
        let leaf = head.roster.seat(&self.me.member()).ok_or(Error::Broken)?.leaf;
        let added = |package: &Vec<u8>| crate::mls::key_package_facts(cx.mls, package).ok();
        let Some(adds) = plan.adds.iter().map(added).collect::<Option<_>>() else { return Ok(None) };
        let credential = self.me.credential.encode();
        let signature_key = self.me.credential.device_key.to_vec();
        Ok(Some(StagedView {
            committer: Committer::Member(leaf),
            adds,
            removes: plan.removes.clone(),
            extension: plan.extension.clone(),
            other_extensions_changed: false,
            path_leaf: Some(NewLeaf { credential, signature_key }),
            by_reference: false,
            other_proposals: false,
            removes_self: false,
            aad: plan.aad.clone(),
            number: head.number.saturating_add(1),
            authenticator: None,
        }))
    }

    /// Takes a judged commit: what it makes is one more state of the group, and perhaps the head.
    pub(crate) fn take_commit(&mut self, cx: &mut Cx<'_>, taken: Taken<'_>) -> Result<EpochId, Error> {
        let Taken { step: (parent, commit), child, envelope, change } = taken;
        let epoch = self.epochs.get(&parent).ok_or(Error::Broken)?;
        let (number, mut rank) = (epoch.number, epoch.generation);
        let made = match child {
            Some(child) => {
                if change.verdict.loses_someone() {
                    let secret = child.export(cx.mls, "kinfold net", &[]).map_err(|_| Error::Broken)?;
                    let generation = Generation::new(secret, child.number(), change.at);
                    rank = generation.rank();
                    self.add_generation(cx, generation);
                }
                self.epochs.add(cx, self.net, child, Some(parent), rank)?
            }
            // Where it would lead is not for us.
            None => EpochId::from_bytes(*commit.as_bytes()),
        };
        self.commits.keep(cx, self.net, (parent, commit), (made, change), envelope.as_bytes());
        let end = super::log::end_of(envelope);
        let order = super::log::Order::commit(number, &parent);
        self.log.keep_opened(cx, self.net, envelope, order, Some(end), None);
        cx.tx.urgent();
        self.move_head(cx)?;
        Ok(made)
    }

    /// Seals bytes for the lane of today.
    pub(crate) fn seal_envelope(
        &self,
        cx: &mut Cx<'_>,
        key: &EnvelopeKey,
        generation: &Generation,
        bytes: &[u8],
    ) -> Result<Envelope, Error> {
        let cover = self.cover(cx, generation)?;
        Envelope::seal(key, &cover, bytes).ok_or(Error::Broken)
    }

    /// What the next envelope shows to everybody.
    pub(crate) fn cover(&self, cx: &mut Cx<'_>, generation: &Generation) -> Result<Cover, Error> {
        let retention = std::time::Duration::from_secs(self.extension()?.policy.retention);
        let class = LifetimeClass::of(retention.min(RETENTION_MAX));
        let (hour, lane) = (cx.now.stamp.hour(), generation.lane(cx.now.stamp.day()));
        Ok(Cover { lane, hour, class, nonce: cx.random() })
    }

    /// A ticket, vote or link on its way (PROTOCOL O5).
    pub(super) fn send_control(&mut self, cx: &mut Cx<'_>, control: &Control) -> Result<(), Error> {
        let generation = self.control_generation(cx.now.stamp)?.clone();
        let envelope = self.seal_envelope(cx, &generation.control_key(), &generation, &wire::encode(control))?;
        let end = super::log::end_of(&envelope);
        let said = Some((super::judging::control_id(control), end));
        self.log.keep_opened(cx, self.net, &envelope, super::log::Order::CONTROL, Some(end), said);
        let topic = self.newest()?.topic(cx.now.stamp.day());
        let links = self.member_links();
        self.spread_envelope(cx, &envelope, topic, links)?;
        // Where the net secret is another one nobody can read that.
        if !matches!(control, Control::Link(_)) {
            self.tell_behind(cx, &Told { control: control.clone(), until: cx.now.later() + CONTROL_KEPT });
        }
        Ok(())
    }

    /// The links to members, also those in catch-up.
    fn member_links(&self) -> BTreeSet<LinkId> {
        let member = |link: &super::link::Link| {
            link.member.is_some_and(|member| self.roster().is_ok_and(|roster| roster.has(&member)))
        };
        self.links.iter().filter(|(_, link)| member(link)).map(|(id, _)| *id).collect()
    }

    /// Publishes an own envelope and hands it to those who are linked: changes of the group do not wait for gossip.
    fn spread_envelope(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        topic: crate::id::Topic,
        links: BTreeSet<LinkId>,
    ) -> Result<(), Error> {
        cx.transmit(Transmit::Publish { net: self.net, topic, bytes: envelope.as_bytes().to_vec() });
        for id in links {
            let mut bundle = super::sync::Bundle::default();
            bundle.add(envelope.as_bytes().to_vec());
            self.say(cx, id, &bundle.into_push(false));
            if let Some(link) = self.links.get_mut(&id) {
                link.under_way = link.under_way.saturating_add(1);
            }
        }
        self.spread.begin(envelope.id(), cx.now.wall);
        Ok(())
    }
}
