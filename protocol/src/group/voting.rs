//! Votes: each member's word which state is its head, so that what most have taken stays (PROTOCOL O4, C4). Whoever is alone
//! has nothing to vote for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cx::Cx;
use super::{Epoch, Group};
use crate::error::Error;
use crate::id::{EpochId, MemberId};
use crate::limits::CONTROL_KEPT;
use crate::time::Time;
use crate::wire::control::{Control, Vote};
use crate::wire::message::Told;

/// How long the head must have stood still.
pub(super) const STABLE: Duration = Duration::from_millis(500);
/// The time in which the votes for one head spread, for each member.
const SPREAD: Duration = Duration::from_millis(20);
/// A head that never stands still is voted for after so long, and up to as much again.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// When this device votes.
#[derive(Default)]
pub(crate) struct Voting {
    /// When the head will have stood still.
    due: Option<Time>,
    /// By when at the latest, since the last vote and the head began to differ.
    by: Option<Time>,
}

impl Voting {
    /// The next vote.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.due.map(|due| self.by.map_or(due, |by| by.min(due)))
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        self.due = self.due.map(|_| now);
    }

    /// After a start the head may be another than the one that was voted for.
    pub(crate) fn look(&mut self) {
        self.due = Some(Time::ZERO);
    }
}

impl Group {
    /// Whether others may have built on what the head was built on.
    pub(super) fn is_contested(&self) -> bool {
        let before = |head: &Epoch| head.parent.and_then(|parent| self.epochs.get(&parent)).map(Epoch::is_shared);
        self.head().is_ok_and(|head| before(head).unwrap_or_else(|| head.is_shared()))
    }

    /// The head has moved: it is voted for when it stands still.
    pub(super) fn vote_soon(&mut self, cx: &mut Cx<'_>) {
        let voted = self.controls.vote_of(&self.me.member()).is_some_and(|(epoch, _)| epoch == self.facts.head);
        if voted || !self.is_contested() {
            self.voting = Voting::default();
            return;
        }
        let now = cx.now.wall;
        let members = self.roster().map_or(0, |roster| u32::try_from(roster.len()).unwrap_or(u32::MAX));
        let part = |most: Duration, draw: [u8; 2]| {
            let parts = most.saturating_mul(u32::from(u16::from_be_bytes(draw)));
            parts.checked_div(u32::from(u16::MAX)).unwrap_or_default()
        };
        self.voting.due = Some(now + STABLE + part(SPREAD.saturating_mul(members), cx.random()));
        if self.voting.by.is_none() {
            self.voting.by = Some(now + PATIENCE + part(PATIENCE, cx.random()));
        }
    }

    /// Votes for the head, if that is due.
    pub(super) fn vote(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if !self.talks() || self.voting.deadline().is_none_or(|due| due > cx.now.wall) {
            return Ok(());
        }
        self.voting = Voting::default();
        // After a start nothing is news, and others may stand elsewhere all the same.
        self.move_head(cx)?;
        let (head, me) = (self.facts.head, self.me.member());
        let last = self.controls.vote_of(&me);
        if self.require_active().is_err() || last.is_some_and(|(epoch, _)| epoch == head) || !self.is_contested() {
            return Ok(());
        }
        let Some(made) = self.commits.back_from(head).first().copied() else { return Ok(()) };
        let (_, commit) = made.step;
        // Of a device that was set back, too, the next word is its last.
        let counter = last.map_or(0, |(_, counter)| counter).max(cx.now.stamp.ms()).saturating_add(1);
        let vote =
            Vote { group: self.id, epoch: head, number: self.head()?.number, commit, counter, voter: self.me.key() };
        let control = Control::Vote(self.me.sign(self.id, &vote));
        self.send_control(cx, &control)?;
        self.controls.keep(cx, self.net, Told { control, until: cx.now.later() + CONTROL_KEPT });
        self.weigh_votes(cx)
    }

    /// A vote has come or gone: the head may be another.
    pub(super) fn weigh_votes(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        self.move_head(cx)?;
        self.note_settled();
        Ok(())
    }

    /// What most have taken need not be judged anew for long.
    pub(super) fn note_settled(&mut self) {
        let settled = self.shape().settled(self.root());
        self.epochs.settle_on(&settled);
    }

    /// Every member's latest vote.
    pub(super) fn votes(&self) -> BTreeMap<MemberId, EpochId> {
        self.controls.votes().map(|(voter, epoch, _)| (voter, epoch)).collect()
    }

    /// Whether a vote of somebody counts anywhere: on a state that was left, too, others may be in, and old forks are decided by
    /// those who were there. What a Welcome led to that nobody stands by is no such state.
    pub(super) fn has_a_say(&self, member: &MemberId) -> bool {
        let begin = self.epochs.back(self.facts.head).last();
        let ours = |id: &EpochId| self.epochs.back(*id).last() == begin;
        self.epochs.iter().any(|(id, epoch)| epoch.roster.has(member) && ours(id))
    }
}
