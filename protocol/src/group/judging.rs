//! What would change the group: control and commits as they came, brought before the judge.

use std::time::Duration;

use super::Group;
use super::advance::Advance;
use super::cx::Cx;
use super::log::{Order, end_of};
use super::receive::Origin;
use super::waiting::Placed;
use crate::error::{Error, Refusal, Why};
use crate::id::{EpochId, MsgId};
use crate::limits::{CONTROL_KEPT, PROTOCOL_VERSION};
use crate::meet::generation::Rank;
use crate::policy::judge::{self, Parent};
use crate::seal;
use crate::step::{Outcome, Reply};
use crate::time::Time;
use crate::wire;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::control::Control;
use crate::wire::envelope::Envelope;
use crate::wire::message::Told;

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

    /// A commit in its envelope: taken if it follows the head and the rules allow it, kept if it may be of use later.
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
        if *parent != self.facts.head && self.commits.on(parent) == Some(id) {
            // Whoever knows the keys could seal it as often as it likes; it is carried once.
            self.log.note_vain(cx, self.net, envelope, (origin.member, true));
            return Ok(Outcome::Duplicate);
        }
        // What changes nothing here is kept on the account of a member who brings it, and of nobody else's.
        let newer = commit.version.max(self.extension()?.version_min) > PROTOCOL_VERSION;
        if newer || *parent != self.facts.head {
            // What is looked at again stays where it is, and on the account that it is on.
            if !self.log.has(&envelope.id()) {
                let outsider = origin.member.is_some_and(|from| self.roster().is_ok_and(|roster| !roster.has(&from)));
                let number = self.epochs.get(parent).ok_or(Error::Broken)?.number;
                let placed = Placed { order: Order::commit(number), spot: None };
                if outsider || !self.keep_waiting(cx, envelope, origin, placed) {
                    return Ok(Outcome::Refused(Refusal::NoRoom));
                }
            }
            return Ok(Outcome::Parked(if newer { Why::NewerProtocol } else { Why::Rival }));
        }
        let staged = self.epochs.with(cx, self.net, self.id, parent, |state, mls| state.stage(mls, &commit.mls))?;
        let Ok(staged) = staged else { return Ok(Outcome::Refused(Refusal::InvalidCommit)) };
        let Ok(binding) = CommitBinding::check(&staged.view.aad, *parent, &commit.tickets) else {
            return Ok(Outcome::Refused(Refusal::InvalidCommit));
        };
        let Ok(verdict) = judge::judge(self.parent(parent)?, &staged.view, &commit.tickets) else {
            return Ok(Outcome::Refused(Refusal::InvalidCommit));
        };
        if staged.view.removes_self {
            self.go(cx, id, &binding, &verdict)?;
            return Ok(Outcome::Applied(Reply::Done));
        }
        let child = self.epochs.with(cx, self.net, self.id, parent, |state, mls| state.apply(mls, staged))?;
        let Ok(child) = child else { return Ok(Outcome::Refused(Refusal::InvalidCommit)) };
        self.advance(cx, Advance { child, commit: id, envelope, at: binding.at, verdict: &verdict })?;
        Ok(Outcome::Applied(Reply::Done))
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
