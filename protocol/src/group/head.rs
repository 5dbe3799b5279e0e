//! Where the head is, and going over to it: pointers move, no state is lost (PROTOCOL O1, H).

use std::collections::BTreeSet;

use super::changes::{changes, joined_id};
use super::commits::{Change, Commits, Known, Made, Step};
use super::cx::Cx;
use super::line::{LineRow, RowKind};
use super::ordering::{Child, Head, Judged, Parent, Shape, turn};
use super::{Epoch, Group, StandingRow};
use crate::error::Error;
use crate::id::{CommitId, EpochId, MemberId, MsgId};
use crate::limits::READER_KEPT;
use crate::persist::{Key, Table};
use crate::policy::roster::Roster;
use crate::step::{Event, Standing, Transmit};
use crate::wire::message::Moves;

impl Group {
    /// Goes to where the rule says that the head is.
    pub(crate) fn move_head(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if !self.talks() {
            return Ok(());
        }
        let from = self.facts.head;
        let wide = self.wide_shape();
        let head @ Head { here: to, .. } = wide.shape.head(wide.root);
        self.note_beyond(cx, &wide, head);
        if to == from {
            return Ok(());
        }
        let (old, new) = (self.line(from), self.commits.back_from(to));
        if let Some((step, change)) = self.way_out(cx, to)? {
            return self.go(cx, &step, &change);
        }
        let stays: BTreeSet<Step> = new.iter().map(|made| made.step).collect();
        for made in old.iter().filter(|made| !stays.contains(&made.step)) {
            self.untell_changes(cx, made)?;
            if self.commits.judged(&made.step).is_some_and(|known| known.committer == self.me.member()) {
                self.update_again(cx);
            }
        }
        let undone = !new.iter().any(|made| made.step.0 == from);
        let mut at = cx.now.stamp;
        let was: BTreeSet<Step> = old.iter().map(|made| made.step).collect();
        for made in self.line(to).iter().rev().filter(|made| !was.contains(&made.step)) {
            let row = Commits::row(cx, self.net, made)?.ok_or(Error::Broken)?;
            let change = row.change.ok_or(Error::Broken)?;
            self.tell_changes(cx, &made.step, &change)?;
            at = change.at;
        }
        self.retell_entry(cx, from, to);
        self.go_over(cx, to, undone, at)
    }

    /// The commit on the way to a state that takes this person out, if one does.
    fn way_out(&self, cx: &Cx<'_>, to: EpochId) -> Result<Option<(Step, Change)>, Error> {
        let out = |made: &&Made| self.commits.judged(&made.step).is_some_and(|known| known.out && !known.swapped);
        let line = self.line(to);
        let Some(made) = line.iter().rev().find(out) else { return Ok(None) };
        let row = Commits::row(cx, self.net, made)?.ok_or(Error::Broken)?;
        Ok(Some((made.step, row.change.ok_or(Error::Broken)?)))
    }

    /// A state becomes the head that was made by a commit of some moment, perhaps on another branch.
    fn go_over(&mut self, cx: &mut Cx<'_>, to: EpochId, undone: bool, at: crate::time::Time) -> Result<(), Error> {
        let before = self.roster()?.clone();
        if !undone && self.epochs.get(&to).is_some_and(|next| next.roster.without(&before).next().is_some()) {
            // What waits was said to those who are here, and goes before somebody comes.
            self.hold_no_longer();
            self.seal_intents(cx)?;
        }
        self.take_generations(cx, to);
        self.epochs.go(cx, self.net, self.facts.head, to);
        self.facts.head = to;
        self.write_facts(cx);
        cx.tx.urgent();
        let gone: Vec<MemberId> = before.without(self.roster()?).map(|seat| seat.member).collect();
        for member in &gone {
            self.reach.forget_member(cx, self.net, *member);
            cx.clock.forget(self.net, *member);
            self.welcomes.remove(member);
            cx.tx.delete(Key::new(Table::Welcome, self.net, &[member.as_bytes()]));
        }
        self.vain_claims.clear();
        self.log.take_again(cx, self.net);
        if std::mem::take(&mut self.missed) {
            self.ask_around(cx);
        }
        // What was sealed on a branch that is left is for those who have gone along it.
        self.unseal_unheld(cx, undone || !gone.is_empty(), at)?;
        self.refresh_topics(cx);
        self.weigh_all(cx)?;
        if self.is_contested() {
            self.hold_back(cx.now.wall);
        }
        self.seal_intents(cx)?;
        self.vote_soon(cx);
        self.note_settled();
        self.tend_tickets(cx)
    }

    /// The states and commits from which one may choose, as plain data.
    pub(super) fn shape(&self) -> Shape {
        let young = self.epochs.iter().filter(|(_, epoch)| epoch.is_young());
        let parents = young.map(|(id, epoch)| {
            let children = self.commits.on(id).map(|(commit, known)| Child {
                epoch: known.child,
                commit: *commit,
                turn: turn(&self.id, epoch.number, &known.committer),
                judged: match known {
                    // Where this device is let in anew it goes to what the Welcome brings.
                    Known { swapped: true, .. } => Judged::Closed,
                    Known { removes, .. } => Judged::Good { removes: *removes },
                },
            });
            let children: Vec<Child> = children.collect();
            // Where there is nothing to choose nobody is counted.
            let counts = children.len() > 1 || epoch.is_shared();
            let seats = if counts { epoch.roster.seats() } else { &[] };
            let members = seats.iter().map(|seat| seat.member).collect();
            (*id, Parent { members, children, ..Parent::default() })
        });
        Shape { parents: parents.collect(), votes: self.votes() }
    }

    /// The state up to which nothing can be changed any more: from there on the rule chooses.
    pub(crate) fn root(&self) -> EpochId {
        let mut at = self.facts.head;
        let led = |parent: &EpochId, at: EpochId| self.commits.on(parent).any(|(_, known)| known.child == at);
        while let Some(parent) = self.epochs.get(&at).and_then(|epoch| epoch.parent)
            && self.epochs.get(&parent).is_some_and(Epoch::is_young)
            && led(&parent, at)
        {
            at = parent;
        }
        at
    }

    /// The commits that led to a state, the latest first, as far back as they were judged here.
    fn line(&self, to: EpochId) -> Vec<Made> {
        self.commits.back_from(to).into_iter().take_while(Made::is_judged).collect()
    }

    /// The commit takes this person out: by its own wish, then the group goes, or not.
    fn go(&mut self, cx: &mut Cx<'_>, step: &Step, change: &Change) -> Result<(), Error> {
        if change.verdict.left.contains(&self.me.member()) {
            self.goes = !self.is_let_go(cx, step, change)?;
            if self.goes {
                return Ok(());
            }
            return self.be_gone(cx);
        }
        self.tell_changes(cx, step, change)?;
        self.be_out(cx);
        Ok(())
    }

    /// This person has left: nothing of the group stays here.
    pub(super) fn be_gone(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        cx.tell(Event::Standing { group: self.id, standing: Standing::Left });
        self.wipe(cx)
    }

    /// Whether two of those who stay stand by a leave, or the only one, or it was carried out long ago. Until then whoever leaves
    /// keeps its wish: the one device that has carried it out may be gone before others hear of it (PROTOCOL O3).
    fn is_let_go(&self, cx: &Cx<'_>, step: &Step, change: &Change) -> Result<bool, Error> {
        let parent = &self.epochs.get(&step.0).ok_or(Error::Broken)?.roster;
        let goes = change.verdict.moves().went;
        let stay: BTreeSet<MemberId> =
            parent.seats().iter().map(|seat| seat.member).filter(|member| !goes.contains(member)).collect();
        let shape = self.wide_shape().shape;
        let after = self.commits.edges().filter(|made| made.step == *step);
        let voters: BTreeSet<MemberId> = after.flat_map(|made| shape.voters_from(made.child)).collect();
        let known = voters.intersection(&stay).count() >= stay.len().min(2);
        Ok(known || self.commits.judged(step).is_some_and(|known| known.since() + READER_KEPT <= cx.now.sweep))
    }

    /// This person was taken out: what was said stays until its time, and nothing more comes.
    pub(super) fn be_out(&mut self, cx: &mut Cx<'_>) {
        self.set_standing(cx, StandingRow::Removed);
        cx.tx.urgent();
        self.links.clear();
        cx.transmit(Transmit::Close { net: self.net });
    }

    /// A device that was let in more than once came in where it stands now, and nowhere else.
    fn retell_entry(&mut self, cx: &mut Cx<'_>, from: EpochId, to: EpochId) {
        let (left, taken) = (self.entry(from), self.entry(to));
        if left == taken {
            return;
        }
        let me = self.me.member();
        if let Some((commit, _)) = left {
            let id = joined_id(&commit, &me);
            self.history.drop_line(cx, self.net, &id);
            cx.tell(Event::Gone { group: self.id, ids: vec![id] });
        }
        if let Some((commit, moves)) = taken.filter(|(commit, _)| !self.history.has(&joined_id(commit, &me))) {
            let name = self.me.credential.name.clone();
            let came = moves.came.contains(&me);
            let kind = if came { RowKind::Joined(name.clone()) } else { RowKind::Back(name.clone()) };
            let at = moves.at.unwrap_or(cx.now.stamp);
            self.show(cx, joined_id(&commit, &me), LineRow::of_change(at, me, name, kind, true));
        }
    }

    /// The commit by which this device came into what a state came from, as it was told.
    fn entry(&self, state: EpochId) -> Option<(CommitId, Moves)> {
        let begin = self.epochs.back(state).last()?;
        let made = *self.commits.back_from(begin).first()?;
        Some((made.step.1, self.commits.told_of(&made)?.clone()))
    }

    /// What a commit changed is told.
    fn tell_changes(&mut self, cx: &mut Cx<'_>, (parent, commit): &Step, change: &Change) -> Result<(), Error> {
        let roster = &self.epochs.get(parent).ok_or(Error::Broken)?.roster;
        for told in changes(commit, &change.verdict, roster) {
            let own = told.author == self.me.member();
            let row = LineRow::of_change(change.at, told.author, told.author_name, told.kind, own);
            self.show(cx, told.id, row);
        }
        change.verdict.back.iter().for_each(|(member, _)| self.receipt_again(cx, member));
        Ok(())
    }

    /// What a commit changed is not so: its lines go.
    fn untell_changes(&mut self, cx: &mut Cx<'_>, made: &Made) -> Result<(), Error> {
        let row = Commits::row(cx, self.net, made)?.ok_or(Error::Broken)?;
        let verdict = row.change.map(|change| change.verdict);
        let told = verdict.map_or(Vec::new(), |verdict| changes(&made.step.1, &verdict, &Roster::default()));
        let told: Vec<MsgId> = told.into_iter().map(|told| told.id).filter(|id| self.history.has(id)).collect();
        for id in &told {
            self.history.drop_line(cx, self.net, id);
        }
        if !told.is_empty() {
            cx.tell(Event::Gone { group: self.id, ids: told });
        }
        Ok(())
    }
}
