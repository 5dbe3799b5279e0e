//! What the faces may look at.

use std::time::Duration;

use zeroize::Zeroizing;

use super::Group;
use super::cx::Cx;
use super::history::History;
use super::line::{RowKind, to_line};
use super::outbox::Entry;
use crate::clock::Now;
use crate::error::Error;
use crate::id::MemberId;
use crate::identity::safety_code;
use crate::persist::{Key, Table};
use crate::step::{Line, MessageState};
use crate::view::{GroupView, InviteView, MemberView, OutboxView, SafetyCode};

impl Group {
    /// For a list of groups.
    pub(crate) fn view(&self, now: Now) -> GroupView {
        let head = self.head().ok();
        let policy = head.map(|head| &head.extension.policy);
        GroupView {
            group: self.id,
            net: self.net,
            name: policy.map(|policy| policy.name.clone()).unwrap_or_default(),
            standing: self.standing(),
            retention: Duration::from_secs(policy.map_or(0, |policy| policy.retention)),
            members: head.map_or(0, |head| head.roster.len()),
            connected: self.linked().len(),
            unread: self.history.unread(now.stamp),
            arrivals: self.history.arrivals(),
            waiting: self.outbox.iter().filter(|(_, entry)| entry.waiting).count(),
            facilitators: head.map_or(0, |head| head.extension.facilitators.len()),
            proposals: self.proposals(),
            joined: self.facts.joined,
            addresses: self.listening.clone(),
        }
    }

    /// The last lines in order, or all.
    pub(crate) fn lines(&self, cx: &Cx<'_>, last: Option<usize>) -> Result<Vec<Line>, Error> {
        let shown = self.history.shown(cx.now.stamp).rev().take(last.unwrap_or(usize::MAX));
        let mut lines = Vec::new();
        for place in shown {
            let Some(row) = History::row(cx, self.net, &place.id)? else { continue };
            let state = self.outbox.get(&place.id).map_or(MessageState::Held, Entry::state);
            lines.push(to_line(place.id, &row, state));
        }
        lines.reverse();
        Ok(lines)
    }

    /// The people, in the order of their names.
    pub(crate) fn members(&self) -> Result<Vec<MemberView>, Error> {
        let linked = self.linked();
        let extension = self.extension()?;
        let view = |seat: &crate::policy::roster::Seat| MemberView {
            member: seat.member,
            name: seat.credential.name.clone(),
            facilitator: extension.is_facilitator(&seat.member),
            own: seat.member == self.me.member(),
            connected: seat.member == self.me.member() || linked.contains(&seat.member),
            verified: self.verified.get(&seat.member) == Some(&seat.credential.device_key),
        };
        let mut members: Vec<_> = self.roster()?.seats().iter().map(view).collect();
        members.sort_by(|a, b| (&a.name, a.member).cmp(&(&b.name, b.member)));
        Ok(members)
    }

    /// Own messages that nobody else is known to hold.
    pub(crate) fn outbox(&self, cx: &Cx<'_>) -> Result<Vec<OutboxView>, Error> {
        let mut views = Vec::new();
        let unheld = |entry: &Entry| !entry.is_held() && !entry.dropped && entry.expires > cx.now.stamp;
        for (id, entry) in self.outbox.iter().filter(|(_, entry)| unheld(entry)) {
            let Some(row) = History::row(cx, self.net, id)? else { continue };
            let RowKind::Text(text) = &row.kind else { continue };
            views.push(OutboxView {
                id: *id,
                text: Zeroizing::new(text.clone()),
                state: entry.state(),
                sent: row.pos,
                expires: entry.expires,
            });
        }
        views.sort_by_key(|view| (view.sent, view.id));
        Ok(views)
    }

    /// The invites made here.
    pub(crate) fn invites(&self, now: Now) -> Vec<InviteView> {
        self.invites.views(now.stamp)
    }

    /// The code to compare with a member.
    pub(crate) fn safety_code(&self, member: &MemberId) -> Result<SafetyCode, Error> {
        let seat = self.roster()?.seat(member).ok_or(Error::UnknownMember)?;
        Ok(safety_code(self.id, &self.me.credential, &seat.credential))
    }

    /// Sets or takes away the mark that a code was compared. It is for these keys only.
    pub(crate) fn verify(&mut self, cx: &mut Cx<'_>, member: MemberId, verified: bool) -> Result<(), Error> {
        let device_key = self.roster()?.seat(&member).ok_or(Error::UnknownMember)?.credential.device_key;
        let key = Key::new(Table::Member, self.net, &[member.as_bytes()]);
        if verified {
            self.set_verified(cx, member, device_key);
        } else {
            cx.tx.delete(key);
            self.verified.remove(&member);
        }
        Ok(())
    }

    /// Writes the mark for the keys that were compared.
    pub(crate) fn set_verified(&mut self, cx: &mut Cx<'_>, member: MemberId, device_key: [u8; 32]) {
        let key = Key::new(Table::Member, self.net, &[member.as_bytes()]);
        cx.tx.write(key, &minicbor::bytes::ByteArray::from(device_key), None);
        self.verified.insert(member, device_key);
    }

    /// All lines so far were shown, or those that had come when so many had.
    pub(crate) fn mark_read(&mut self, cx: &mut Cx<'_>, upto: Option<u64>) {
        self.history.mark_read(cx, self.net, upto);
    }

    /// Whether an invite's commitment names this group, through whichever member made it.
    pub(crate) fn is_committed(&self, commitment: &[u8; 16]) -> bool {
        let roster = self.roster().map(crate::policy::roster::Roster::seats).unwrap_or_default();
        roster.iter().any(|seat| crate::wire::invite::commitment(self.id, &seat.credential.member_key) == *commitment)
    }
}
