//! Moving on from one epoch to the next: executing tickets, taking a commit, and what follows from either.

use super::cx::Cx;
use super::line::{LineRow, RowKind};
use super::{Group, StandingRow};
use crate::error::Error;
use crate::id::{CommitId, EpochId, LinkId, MemberId, MsgId};
use crate::limits::{CONTROL_KEPT, RETENTION_MAX};
use crate::meet::generation::Generation;
use crate::mls::{CommitPlan, Committed, Committer, MlsError, NewLeaf, Signer, StagedView, State};
use crate::persist::{Key, Table};
use crate::policy::judge::{self, Verdict};
use crate::seal;
use crate::step::Transmit;
use crate::time::Time;
use crate::wire;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::control::{Control, Link, Operation, Policy, Ticket};
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::message::Told;
use crate::wire::signed::Signed;

/// The name of the n-th line that a commit makes: the same on every device.
pub(crate) fn line_id(commit: &CommitId, n: u32) -> MsgId {
    MsgId::from_bytes(seal::digest("kinfold line", &[commit.as_bytes(), &n.to_be_bytes()]))
}

/// What executing tickets made.
pub(crate) struct Executed {
    /// The commit, and when it was made.
    pub(crate) commit: CommitId,
    pub(crate) at: Time,
    /// For those who came in.
    pub(crate) welcome: Option<Vec<u8>>,
}

/// A judged commit about to take effect.
pub(crate) struct Advance<'a> {
    /// The state it makes.
    pub(crate) child: State,
    /// Its name.
    pub(crate) commit: CommitId,
    /// How it came or goes.
    pub(crate) envelope: &'a Envelope,
    /// When, on the committer's clock.
    pub(crate) at: Time,
    /// What it does.
    pub(crate) verdict: &'a Verdict,
}

impl Group {
    /// A ticket of this person about somebody.
    pub(crate) fn ticket(&self, operation: Operation, target: MemberId) -> Result<Ticket, Error> {
        let head = self.head()?;
        Ok(Ticket {
            group: self.id,
            operation,
            target,
            sequence: head.extension.spent(operation, &target).saturating_add(1),
            epoch: self.facts.head,
            number: head.number,
            issuer: self.me.key(),
            key_package: None,
            policy: None,
        })
    }

    /// Whether this person may change the group. Until heads are voted for, that is the founder alone.
    pub(crate) fn require_facilitator(&self) -> Result<(), Error> {
        let may = self.extension()?.is_facilitator(&self.me.member());
        if may { Ok(()) } else { Err(Error::NotFacilitator) }
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, cx: &mut Cx<'_>, member: MemberId) -> Result<(), Error> {
        self.require_active()?;
        self.require_facilitator()?;
        if member == self.me.member() {
            return Err(Error::RemoveSelf);
        }
        if !self.roster()?.has(&member) {
            return Err(Error::UnknownMember);
        }
        let ticket = self.ticket(Operation::Remove, member)?;
        self.execute(cx, vec![self.me.sign(self.id, &ticket)])?.map(drop).ok_or(Error::Broken)
    }

    /// Sets how long messages live.
    pub(crate) fn set_retention(&mut self, cx: &mut Cx<'_>, retention: std::time::Duration) -> Result<(), Error> {
        self.require_active()?;
        self.require_facilitator()?;
        let mut ticket = self.ticket(Operation::Policy, self.me.member())?;
        let policy = Policy { retention: retention.as_secs(), ..self.extension()?.policy.clone() };
        policy.check().map_err(|_| Error::BadLifetime)?;
        if policy == self.extension()?.policy {
            return Ok(());
        }
        ticket.policy = Some(policy);
        self.execute(cx, vec![self.me.sign(self.id, &ticket)])?.map(drop).ok_or(Error::Broken)
    }

    /// Leaves, or forgets what cannot be left any more. `true` when the group is gone from this device.
    pub(crate) fn leave(&mut self, cx: &mut Cx<'_>) -> Result<bool, Error> {
        let alone = self.roster().is_ok_and(|roster| roster.len() == 1);
        if self.facts.standing != StandingRow::Active || alone {
            self.wipe(cx)?;
            return Ok(true);
        }
        if self.require_facilitator().is_ok() && self.extension()?.facilitators.len() == 1 {
            return Err(Error::LastFacilitator);
        }
        let ticket = self.ticket(Operation::Leave, self.me.member())?;
        let control = Control::Ticket(self.me.sign(self.id, &ticket));
        self.send_control(cx, &control)?;
        let until = cx.now.later() + CONTROL_KEPT;
        self.controls.keep(cx, self.net, Told { control, until });
        self.set_standing(cx, StandingRow::Leaving);
        Ok(false)
    }

    /// Executes the tickets that wait, if this device may.
    pub(crate) fn execute_pending(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if self.require_active().is_err() || self.require_facilitator().is_err() {
            return Ok(());
        }
        let good = |group: &Self, signed: &Signed| {
            group.parent(&group.facts.head).is_ok_and(|parent| judge::open_ticket(parent, signed).is_ok())
        };
        let tickets: Vec<Signed> = self.controls.tickets().filter(|signed| good(self, signed)).cloned().collect();
        // Together if that can be; otherwise one that cannot must not hold up the others.
        if tickets.is_empty() || self.execute(cx, tickets.clone())?.is_some() {
            return Ok(());
        }
        for ticket in tickets {
            if good(self, &ticket) {
                self.execute(cx, vec![ticket])?;
            }
        }
        Ok(())
    }

    /// Commits tickets: on a copy of the head, judged like anybody's, stored with its child in one batch, then
    /// published (PROTOCOL C3). `None` if the rules or MLS refuse it; then nothing has changed.
    pub(crate) fn execute(&mut self, cx: &mut Cx<'_>, tickets: Vec<Signed>) -> Result<Option<Executed>, Error> {
        let head = self.facts.head;
        let opened: Vec<Ticket> =
            tickets.iter().map(|signed| signed.open(self.id).map_err(|_| Error::Broken)).collect::<Result<_, _>>()?;
        let at = self.history.next_pos(cx.now.stamp);
        let plan = self.plan(&opened, CommitBinding::new(head, &tickets, at).encode())?;
        let view = self.own_view(cx, &plan)?;
        let Ok(verdict) = judge::judge(self.parent(&head)?, &view, &tickets) else { return Ok(None) };
        let signer = Signer::new(&self.me.device_secret());
        let made = self.epochs.with(cx, self.net, self.id, &head, |state, mls| state.commit(mls, &signer, plan))?;
        let Committed { child, commit, welcome } = match made {
            Ok(made) => made,
            Err(MlsError::Broken) => return Err(Error::Broken),
            Err(_) => return Ok(None),
        };
        let (bytes, id) = Commit::new(self.id, head, commit, tickets).encode();
        let key = self.head()?.keys.as_ref().ok_or(Error::Broken)?.commit.clone();
        let envelope = self.seal_envelope(cx, &key, &self.newest()?.clone(), &bytes)?;
        let topic = self.newest()?.topic(cx.now.stamp.day());
        let links = self.links.iter().filter(|(_, link)| link.member.is_some()).map(|(id, _)| *id).collect();
        self.spread_envelope(cx, &envelope, topic, links)?;
        let child_id = self.advance(cx, Advance { child, commit: id, envelope: &envelope, at, verdict: &verdict })?;
        let link = Link { parent: head, child: child_id, commit: id, committer: self.me.key() };
        let signed = self.me.sign(self.id, &link);
        self.send_control(cx, &Control::Link(signed))?;
        Ok(Some(Executed { commit: id, at, welcome }))
    }

    fn plan(&self, tickets: &[Ticket], aad: Vec<u8>) -> Result<CommitPlan, Error> {
        let head = self.head()?;
        let next = head.extension.after(tickets, head.number);
        let removes = tickets
            .iter()
            .filter(|ticket| matches!(ticket.operation, Operation::Remove | Operation::Leave))
            .map(|ticket| head.roster.seat(&ticket.target).map(|seat| seat.leaf).ok_or(Error::Broken))
            .collect::<Result<_, _>>()?;
        Ok(CommitPlan {
            adds: tickets.iter().filter_map(|ticket| ticket.key_package.clone()).collect(),
            removes,
            extension: (next != head.extension).then(|| next.encode()),
            aad,
        })
    }

    /// The own commit as others will see it: own commits are judged by the same judge.
    fn own_view(&self, cx: &Cx<'_>, plan: &CommitPlan) -> Result<StagedView, Error> {
        let head = self.head()?;
        let leaf = head.roster.seat(&self.me.member()).ok_or(Error::Broken)?.leaf;
        let added = |package: &Vec<u8>| crate::mls::key_package_facts(cx.mls, package).map_err(|_| Error::Broken);
        let credential = self.me.credential.encode();
        let signature_key = self.me.credential.device_key.to_vec();
        Ok(StagedView {
            committer: Committer::Member(leaf),
            adds: plan.adds.iter().map(added).collect::<Result<_, Error>>()?,
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
        })
    }

    /// Takes a judged commit: the child becomes the head.
    pub(crate) fn advance(&mut self, cx: &mut Cx<'_>, step: Advance<'_>) -> Result<EpochId, Error> {
        let parent = self.facts.head;
        let number = self.head()?.number;
        self.tell_changes(cx, step.commit, step.at, step.verdict)?;
        let mut rank = self.newest_rank().ok_or(Error::Broken)?;
        if step.verdict.loses_someone() {
            let secret = step.child.export(cx.mls, "kinfold net", &[]).map_err(|_| Error::Broken)?;
            let generation = Generation::new(secret, step.child.number(), step.at);
            rank = generation.rank();
            self.add_generation(cx, generation);
        }
        self.epochs.leave(cx, self.net, &parent);
        let child = self.epochs.add(cx, self.net, step.child, Some(parent), rank)?;
        self.facts.head = child;
        self.write_facts(cx);
        self.commits.keep(cx, self.net, parent, (step.commit, child), step.envelope.as_bytes());
        let end = super::log::end_of(step.envelope);
        let order = super::log::Order::commit(number);
        self.log.keep_opened(cx, self.net, step.envelope, order, Some(end), None);
        cx.tx.urgent();
        let gone = step.verdict.left.iter().chain(step.verdict.removed.iter().map(|(member, _)| member));
        for member in gone.copied().collect::<Vec<_>>() {
            self.reach.forget_member(cx, self.net, member);
            cx.clock.forget(self.net, member);
            self.welcomes.remove(&member);
            cx.tx.delete(Key::new(Table::Welcome, self.net, &[member.as_bytes()]));
        }
        self.vain_claims.clear();
        self.log.take_again(cx, self.net);
        if std::mem::take(&mut self.missed) {
            self.ask_around(cx);
        }
        self.unseal_unheld(cx, step.verdict.loses_someone(), step.at)?;
        self.refresh_topics(cx);
        self.weigh_all(cx)?;
        self.seal_intents(cx)?;
        Ok(child)
    }

    /// The commit takes this person out: by its own wish, then the group goes; or not, then what was said stays until
    /// its time, and nothing more comes.
    pub(crate) fn go(
        &mut self,
        cx: &mut Cx<'_>,
        commit: CommitId,
        binding: &CommitBinding,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        if verdict.left.contains(&self.me.member()) {
            cx.tell(crate::step::Event::Standing { group: self.id, standing: crate::step::Standing::Left });
            return self.wipe(cx);
        }
        self.tell_changes(cx, commit, binding.at, verdict)?;
        self.set_standing(cx, StandingRow::Removed);
        cx.tx.urgent();
        self.links.clear();
        cx.transmit(Transmit::Close { net: self.net });
        Ok(())
    }

    fn tell_changes(&mut self, cx: &mut Cx<'_>, commit: CommitId, at: Time, verdict: &Verdict) -> Result<(), Error> {
        let roster = self.roster()?;
        let name = |member: &MemberId| roster.seat(member).map(|seat| seat.credential.name.clone()).unwrap_or_default();
        let mut lines = Vec::new();
        for (member, joined) in &verdict.joined {
            lines.push((*member, joined.clone(), RowKind::Joined(joined.clone())));
        }
        for member in &verdict.left {
            lines.push((*member, name(member), RowKind::Left(name(member))));
        }
        for (member, by) in &verdict.removed {
            lines.push((*by, name(by), RowKind::Removed(name(member))));
        }
        if let Some((policy, by)) = &verdict.policy {
            lines.push((*by, name(by), RowKind::Retention(policy.retention)));
        }
        for (n, (author, author_name, kind)) in (0_u32..).zip(lines) {
            let id = line_id(&commit, n);
            let own = author == self.me.member();
            self.show(cx, id, LineRow::of_change(at, author, author_name, kind, own));
        }
        Ok(())
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
    fn send_control(&mut self, cx: &mut Cx<'_>, control: &Control) -> Result<(), Error> {
        let generation = self.control_generation(cx.now.stamp)?.clone();
        let envelope = self.seal_envelope(cx, &generation.control_key(), &generation, &wire::encode(control))?;
        let end = super::log::end_of(&envelope);
        let said = Some((super::judging::control_id(control), end));
        self.log.keep_opened(cx, self.net, &envelope, super::log::Order::CONTROL, Some(end), said);
        let topic = self.newest()?.topic(cx.now.stamp.day());
        let links = self.member_links();
        self.spread_envelope(cx, &envelope, topic, links)
    }

    /// The links to members, also those in catch-up.
    fn member_links(&self) -> std::collections::BTreeSet<LinkId> {
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
        links: std::collections::BTreeSet<LinkId>,
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
