//! Turns the protocol's views into rows of the local API. Pure; nothing here decides anything.

use kinfold_protocol::id::{GroupId, MemberId};
use kinfold_protocol::step::{Line, LineKind, MessageState, Standing as Lifecycle};
use kinfold_protocol::time::Time;
use kinfold_protocol::view::{
    self, ClockView, GroupView, InviteView, MemberView, OutboxView, ProposalView, SafetyCode,
};

use super::lines::{Kind, Moment, OutboxRow, Row, Stand, State};
use super::names;
use super::rows::{
    ClockDoubt, Full, GroupDetail, GroupRow, InviteRow, InviteState, Lost, MemberRow, Proposal, Role, Standing,
    Verification,
};
use crate::store::OpenReport;

/// What it means that the store has lost something.
pub(crate) const LOST_WORDS: &str = "this device has lost something that Kinfold had stored on it: its files were \
    damaged, or an older copy of them was put back. What the others in your groups still have comes again by itself. \
    What only this device had may be gone. A group that no longer works here can be joined again with a new invite";

/// What it means that the disk is full.
pub(crate) const FULL_WORDS: &str = "the disk is full. What is here can be read; nothing is sent, and nothing new comes \
    in, until there is room. Free some space; nothing else needs to be done";

/// That the clock is not to be trusted.
pub(crate) const CLOCK_WORDS: &str = "this device's clock may be far off; `kinfold status` says more";

/// A moment as the API writes it.
#[must_use]
pub fn moment(time: Time) -> Moment {
    Moment::from_ms(time.ms())
}

/// What the store was found to have lost, if it has lost anything.
pub(crate) fn lost(report: OpenReport) -> Option<Lost> {
    let OpenReport { commits_lost: commits, rows_missing: rows, values_unreadable: values } = report;
    (!report.is_clean()).then(|| Lost { commits, rows, values, message: LOST_WORDS.to_owned() })
}

/// That the disk is full, if it is.
pub(crate) fn full(full: bool) -> Option<Full> {
    full.then(|| Full { message: FULL_WORDS.to_owned() })
}

/// What speaks against this device's clock.
pub(crate) fn clock(doubt: ClockView) -> ClockDoubt {
    match doubt {
        ClockView::Off { ahead_ms, corrected } => ClockDoubt::Off { ahead_secs: ahead_ms / 1_000, corrected },
        ClockView::Leapt { says, last } => ClockDoubt::Leapt { says: moment(says), last: moment(last) },
    }
}

/// A group for a list; `members` names those who are connected, `outbox` is what others are not known to have.
#[must_use]
pub fn group(view: &GroupView, members: &[MemberView], outbox: &[OutboxView]) -> GroupRow {
    let present = members.iter().filter(|member| member.connected && !member.own);
    GroupRow {
        group_id: view.group.to_hex(),
        name: view.name.clone(),
        standing: standing(view.standing),
        members: view.members,
        connected: view.connected,
        present: present.map(|member| told_apart(member, members)).collect(),
        unread: view.unread,
        waiting: view.waiting,
        unsent: outbox.iter().filter(|entry| entry.state == MessageState::Kept).count(),
        retention_secs: view.retention.as_secs(),
        facilitators: view.facilitators,
        joined: moment(view.joined),
    }
}

/// A name where no id stands beside it: with one, if it could be taken for somebody else's.
fn told_apart(member: &MemberView, all: &[MemberView]) -> String {
    let others = all.iter().filter(|other| other.member != member.member).map(|other| other.name.as_str());
    if names::is_ambiguous(&member.name, others) {
        names::with_id(&member.name, &member.member.to_hex())
    } else {
        member.name.clone()
    }
}

/// A group, looked at.
#[must_use]
pub fn group_detail(view: &GroupView, row: GroupRow, members: &[MemberView]) -> GroupDetail {
    let addresses = view.addresses.iter().map(|address| address.0.clone()).collect();
    let name = |id: MemberId| {
        let member = members.iter().find(|member| member.member == id);
        member.map_or_else(|| id.to_hex(), |member| told_apart(member, members))
    };
    let proposal = |wanted: &ProposalView| Proposal {
        by: name(wanted.by),
        by_id: wanted.by.to_hex(),
        member: name(wanted.member),
        member_id: wanted.member.to_hex(),
        removal: wanted.removal,
    };
    let proposals = view.proposals.iter().map(proposal).collect();
    GroupDetail { row, addresses, proposals }
}

/// A member for a list.
#[must_use]
pub fn member(view: &MemberView) -> MemberRow {
    MemberRow {
        member_id: view.member.to_hex(),
        name: view.name.clone(),
        role: if view.facilitator { Role::Facilitator } else { Role::Member },
        own: view.own,
        connected: view.connected,
        verified: view.verified,
    }
}

/// The safety code shared with a member.
#[must_use]
pub fn verification(view: &MemberView, code: &SafetyCode) -> Verification {
    Verification {
        member_id: view.member.to_hex(),
        name: view.name.clone(),
        safety_code: code.digits.clone(),
        qr: code.qr.iter().map(|byte| format!("{byte:02X}")).collect(),
        verified: view.verified,
    }
}

/// An invite for a list.
#[must_use]
pub fn invite(view: &InviteView) -> InviteRow {
    InviteRow { invite_id: view.id.to_hex(), expires: moment(view.expires), state: invite_state(view.state) }
}

/// Where an invite stands.
#[must_use]
pub const fn invite_state(state: view::InviteState) -> InviteState {
    match state {
        view::InviteState::Expired => InviteState::Expired,
        view::InviteState::Open => InviteState::Open,
        view::InviteState::Revoked => InviteState::Revoked,
        view::InviteState::Used => InviteState::Used,
    }
}

/// A message that waits.
#[must_use]
pub fn outbox(group: GroupId, name: &str, view: &OutboxView) -> OutboxRow {
    OutboxRow {
        id: view.id.to_hex(),
        group_id: group.to_hex(),
        group: name.to_owned(),
        text: view.text.to_string(),
        stand: stand(view.state),
        sent: moment(view.sent),
        expires: moment(view.expires),
    }
}

/// A line of history.
#[must_use]
pub fn line(group: GroupId, name: &str, line: &Line) -> Row {
    let (kind, text, member, retention_secs) = match &line.kind {
        LineKind::Joined(member) => (Kind::Joined, None, Some(member.clone()), None),
        LineKind::Left(member) => (Kind::Left, None, Some(member.clone()), None),
        LineKind::Removed(member) => (Kind::Removed, None, Some(member.clone()), None),
        LineKind::Back(member) => (Kind::Back, None, Some(member.clone()), None),
        LineKind::Appointed(member) => (Kind::Appointed, None, Some(member.clone()), None),
        LineKind::Dismissed(member) => (Kind::Dismissed, None, Some(member.clone()), None),
        LineKind::Retention(span) => (Kind::Retention, None, None, Some(span.as_secs())),
        LineKind::Text(text) => (Kind::Text, Some(text.to_string()), None, None),
    };
    Row {
        id: line.id.to_hex(),
        kind,
        author: line.author_name.clone(),
        author_id: line.author.to_hex(),
        text,
        sent: moment(line.sent),
        expires: line.expires.map(moment),
        stand: stand(line.state),
        own: line.own,
        late: line.late,
        group_id: group.to_hex(),
        group: name.to_owned(),
        member,
        retention_secs,
    }
}

/// Where a message stands.
#[must_use]
pub fn stand(state: MessageState) -> Stand {
    let plain = |state| Stand { state, received_by: None, received_of: None };
    match state {
        MessageState::Expired => plain(State::Expired),
        MessageState::Held => plain(State::Held),
        MessageState::Kept => plain(State::Kept),
        MessageState::Received { by, of } => {
            Stand { state: State::Received, received_by: Some(by), received_of: Some(of) }
        }
        MessageState::Waiting => plain(State::Waiting),
    }
}

/// A group's lifecycle.
#[must_use]
pub const fn standing(standing: Lifecycle) -> Standing {
    match standing {
        Lifecycle::Active => Standing::Active,
        Lifecycle::Broken => Standing::Broken,
        Lifecycle::Leaving => Standing::Leaving,
        Lifecycle::Left => Standing::Left,
        Lifecycle::Removed => Standing::Removed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kinfold_protocol::id::MsgId;
    use zeroize::Zeroizing;

    use super::*;

    fn said(kind: LineKind) -> Row {
        let said = Line {
            id: MsgId::from_bytes([1; 32]),
            kind,
            author: MemberId::from_bytes([2; 32]),
            author_name: "Ana".into(),
            own: false,
            sent: Time::from_ms(1_000),
            expires: Some(Time::from_ms(6_000)),
            state: MessageState::Held,
            late: true,
        };
        line(GroupId::from_bytes([3; 16]), "Circle", &said)
    }

    #[test]
    fn only_a_text_line_has_text_and_only_the_others_name_a_member() {
        let row = said(LineKind::Text(Zeroizing::new("hello".into())));
        assert_eq!((row.kind, row.text.as_deref(), row.member), (Kind::Text, Some("hello"), None));
        let row = said(LineKind::Removed("Ben".into()));
        assert_eq!((row.kind, row.text, row.member.as_deref()), (Kind::Removed, None, Some("Ben")));
        let row = said(LineKind::Retention(Duration::from_secs(3_600)));
        assert_eq!((row.kind, row.retention_secs), (Kind::Retention, Some(3_600)));
        assert_eq!(row.group_id, "03".repeat(16));
        assert!(row.late);
    }

    #[test]
    fn a_safety_code_travels_as_digits_and_as_dense_text() {
        let view = MemberView {
            member: MemberId::from_bytes([2; 32]),
            name: "Ana".into(),
            facilitator: true,
            own: false,
            connected: true,
            verified: false,
        };
        let code = SafetyCode { digits: "12345 67890".into(), qr: vec![0x0a, 0xff] };
        assert_eq!(verification(&view, &code).qr, "0AFF");
        assert_eq!(member(&view).role, Role::Facilitator);
    }

    #[test]
    fn received_alone_carries_numbers() {
        let received = stand(MessageState::Received { by: 1, of: 2 });
        assert_eq!((received.received_by, received.received_of), (Some(1), Some(2)));
        assert_eq!(stand(MessageState::Waiting).received_by, None);
    }
}
