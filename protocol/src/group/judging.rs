//! What would change the group: control and commits as they came, brought before the judge.

use std::collections::BTreeSet;
use std::time::Duration;

use super::advance::Taken;
use super::commits::{Change, Known, Step};
use super::cx::Cx;
use super::log::{Order, end_of};
use super::receive::Origin;
use super::waiting::Placed;
use super::{Epoch, Group};
use crate::error::{Error, Refusal, Why};
use crate::id::{EpochId, MsgId};
use crate::limits::{CONTROL_KEPT, PROTOCOL_VERSION};
use crate::meet::generation::Rank;
use crate::mls::MlsError;
use crate::policy::judge::{self, Parent, Verdict};
use crate::seal;
use crate::step::{Outcome, Reply};
use crate::time::Time;
use crate::wire;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::control::Control;
use crate::wire::envelope::Envelope;
use crate::wire::message::Told;

/// States at a time on which commits are judged, of whoever makes one beside another: enough for the longest quarrel of
/// honest people that the rule was tried with.
const YOUNG_MAX: usize = 48;
/// As many more for commits that take somebody out: whoever fills the room does not keep itself in by that.
const YOUNG_WITH_REMOVALS: usize = 2 * YOUNG_MAX;
/// Of one committer beside the head's line: nobody fills the room of the others.
const SIDE_OF_ONE: usize = 12;
/// Commits that cannot be judged and are remembered as such.
const UNJUDGED_MAX: usize = 64;

impl Group {
    /// A ticket, vote or link in its envelope.
    pub(crate) fn open_control(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        rank: &Rank,
        origin: &Origin,
    ) -> Result<Outcome, Error> {
        let key = self.generations.get(rank).ok_or(Error::Broken)?.control_key();
        let Ok(body) = envelope.open(&key) else { return Ok(Outcome::Refused(Refusal::BadSeal)) };
        let Ok(control) = wire::decode::<Control>(&body, Control::BYTES_MAX) else {
            return Ok(Outcome::Refused(Refusal::Malformed));
        };
        let Some(signer) = self.signer(&control) else {
            // A member to come may have signed it.
            self.missed = true;
            if !origin.gossiped {
                self.log.note_vain(cx, self.net, envelope, (origin.member, false));
            }
            return Ok(Outcome::Refused(Refusal::NotAMember));
        };
        let until = Time::ZERO + Duration::from_secs(u64::from(envelope.hour()).saturating_mul(3_600)) + CONTROL_KEPT;
        // Its signer could seal it as often as it likes; it is carried once.
        let said = control_id(&control);
        if self.log.has_message(&said, cx.now.sweep) {
            self.log.note_vain(cx, self.net, envelope, (origin.member, true));
            self.take_control(cx, Told { control, until })?;
            return Ok(Outcome::Duplicate);
        }
        if origin.gossiped && !self.may_sign(cx, signer) {
            return Ok(Outcome::Refused(Refusal::OverBudget));
        }
        let end = end_of(envelope);
        self.log.keep_opened(cx, self.net, envelope, Order::CONTROL, Some(end), Some((said, end)));
        self.take_control(cx, Told { control, until })?;
        Ok(Outcome::Applied(Reply::Done))
    }

    /// A commit in its envelope: taken if it can be judged and the rules allow it, kept if it may be of use later.
    pub(crate) fn open_commit(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        parent: &EpochId,
        origin: &Origin,
    ) -> Result<Outcome, Error> {
        let keys = self.epochs.get(parent).and_then(|epoch| epoch.keys.clone()).ok_or(Error::Broken)?;
        let Ok(body) = envelope.open(&keys.commit) else { return Ok(Outcome::Refused(Refusal::BadSeal)) };
        let Ok((commit, id)) = Commit::parse(&body) else { return Ok(Outcome::Refused(Refusal::Malformed)) };
        if commit.group != self.id || commit.parent != *parent {
            return Ok(Outcome::Refused(Refusal::Malformed));
        }
        let young = self.epochs.get(parent).is_some_and(Epoch::is_young);
        // What is only said to be a commit on a state that is here is looked at.
        if self.commits.judged(&(*parent, id)).is_some() || (!young && self.commits.is_known(&(*parent, id))) {
            // Whoever knows the keys could seal it as often as it likes; it is carried once.
            self.log.note_vain(cx, self.net, envelope, (origin.member, true));
            return Ok(Outcome::Duplicate);
        }
        // What changes nothing here is kept on the account of a member who brings it, and of nobody else's.
        let newer = commit.version.max(self.extension()?.version_min) > PROTOCOL_VERSION;
        if newer || !young {
            let why = if newer { Why::NewerProtocol } else { Why::Rival };
            return self.park_commit(cx, envelope, parent, (origin, why));
        }
        let staged = self.epochs.with(cx, self.net, self.id, parent, |state, mls| state.stage(mls, &commit.mls))?;
        let staged = match staged {
            Ok(staged) => staged,
            Err(error) => {
                // Of before this device was set back, or of a copy of it: the others can read it.
                if error == MlsError::Own {
                    self.note_unjudged((*parent, id));
                    return self.park_commit(cx, envelope, parent, (origin, Why::Rival));
                }
                return Ok(Outcome::Refused(Refusal::InvalidCommit));
            }
        };
        let Ok(binding) = CommitBinding::check(&staged.view.aad, *parent, &commit.tickets) else {
            return Ok(Outcome::Refused(Refusal::InvalidCommit));
        };
        let Ok(verdict) = judge::judge(self.parent(parent)?, &staged.view, &commit.tickets) else {
            return Ok(Outcome::Refused(Refusal::InvalidCommit));
        };
        self.keep_tickets(cx, &commit.tickets);
        self.wanted = true;
        if self.is_crowded(parent, &verdict) {
            self.note_unjudged((*parent, id));
            return self.park_commit(cx, envelope, parent, (origin, Why::Rival));
        }
        let me = self.me.member();
        let swapped = staged.view.removes_self && verdict.back.iter().any(|(member, _)| *member == me);
        let change = Change { at: binding.at, verdict, out: staged.view.removes_self, swapped };
        let child = if change.out {
            None
        } else {
            let made = self.epochs.with(cx, self.net, self.id, parent, |state, mls| state.apply(mls, staged))?;
            let Ok(child) = made else { return Ok(Outcome::Refused(Refusal::InvalidCommit)) };
            Some(child)
        };
        self.take_commit(cx, Taken { step: (*parent, id), child, envelope, change })?;
        Ok(Outcome::Applied(Reply::Done))
    }

    /// A commit on a state that is here cannot be judged here. The others may be able to, and go there.
    pub(super) fn note_unjudged(&mut self, step: Step) {
        if self.unjudged.len() >= UNJUDGED_MAX {
            let (commits, epochs) = (&self.commits, &self.epochs);
            let young = |id: &EpochId| epochs.get(id).is_some_and(Epoch::is_young);
            self.unjudged.retain(|step| commits.is_known(step) && young(&step.0));
        }
        if self.unjudged.len() < UNJUDGED_MAX {
            self.unjudged.insert(step);
        }
    }

    /// Whether there are so many states beside the head's line that one more has to wait.
    fn is_crowded(&self, parent: &EpochId, verdict: &Verdict) -> bool {
        if *parent == self.facts.head {
            return false;
        }
        let young = |id: &EpochId| self.epochs.get(id).is_some_and(Epoch::is_young);
        let by_it = |known: &&Known| known.committer == verdict.committer;
        let of_one = self.commits.all_judged().filter(by_it).filter(|known| young(&known.child));
        let beside = of_one.filter(|known| !self.is_on_line(&known.child)).count();
        let most = if verdict.removed.is_empty() { YOUNG_MAX } else { YOUNG_WITH_REMOVALS };
        // However long the head's line is.
        let line: BTreeSet<EpochId> = self.epochs.back(self.facts.head).collect();
        let sides = self.epochs.iter().filter(|(id, epoch)| epoch.is_young() && !line.contains(id)).count();
        beside >= SIDE_OF_ONE || sides >= most
    }

    /// Keeps a commit that cannot be taken now, or never. What is looked at again stays where it is, and on the account that
    /// it is on.
    fn park_commit(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        parent: &EpochId,
        (origin, why): (&Origin, Why),
    ) -> Result<Outcome, Error> {
        if !self.log.has(&envelope.id()) {
            let outsider = origin.member.is_some_and(|from| self.roster().is_ok_and(|roster| !roster.has(&from)));
            let number = self.epochs.get(parent).ok_or(Error::Broken)?.number;
            let placed = Placed { order: Order::commit(number, parent), spot: None };
            if outsider || !self.keep_waiting(cx, envelope, origin, placed) {
                return Ok(Outcome::Refused(Refusal::NoRoom));
            }
        }
        Ok(Outcome::Parked(why))
    }

    /// A state as the judge sees it.
    pub(crate) fn parent(&self, id: &EpochId) -> Result<Parent<'_>, Error> {
        let epoch = self.epochs.get(id).ok_or(Error::Broken)?;
        Ok(Parent { group: self.id, number: epoch.number, roster: &epoch.roster, extension: &epoch.extension })
    }
}

/// The name of a ticket, vote or link, whatever it is sealed in and whenever it was signed.
pub(crate) fn control_id(control: &Control) -> MsgId {
    let (Control::Ticket(signed) | Control::Vote(signed) | Control::Link(signed)) = control;
    MsgId::from_bytes(seal::digest("kinfold control", &[&signed.body]))
}
