//! Lists and answers as sentences. Pure: rows in, text out.

use kinfold_node::control::lines::{OutboxRow, State};
use kinfold_node::control::names;
use kinfold_node::control::rows::{
    ClockDoubt, GroupDetail, GroupRow, InviteRow, InviteState, JoinRow, MemberRow, Proposal, Role, Standing, Status,
    Verification,
};

use crate::scroll::{self, Scroll};
use crate::{plain, span};

/// Characters of an id that are shown to people: enough to name one thing among theirs.
const ID_SHOWN: usize = 8;

/// The beginning of an id.
pub(crate) fn id(id: &str) -> &str {
    id.get(..ID_SHOWN).unwrap_or(id)
}

/// What somebody without a group can do.
pub(crate) const NO_GROUP: &str =
    "You are in no group yet: `kinfold group create NAME` makes one, `kinfold join` takes an invite.";

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A group in one line.
pub(crate) fn group(row: &GroupRow) -> String {
    let name = plain::name(&row.name);
    let end = format!("  [{}]", id(&row.group_id));
    if row.standing != Standing::Active {
        return format!("{name}: {}{end}", scroll::standing_in_words(row.standing));
    }
    let present: Vec<String> = row.present.iter().map(|name| plain::name(name)).collect();
    let connected = match present.as_slice() {
        [] => count(row.connected, "connected", "connected"),
        names => format!("{} connected ({})", row.connected, names.join(", ")),
    };
    let mut facts = vec![count(row.members, "person", "people"), connected, format!("{} unread", row.unread)];
    if row.waiting > 0 {
        facts.push(format!("{} waiting for your word", row.waiting));
    }
    if row.unsent > 0 {
        facts.push(format!("{} of yours only on this device so far", row.unsent));
    }
    format!("{name}: {}{end}", facts.join(", "))
}

/// A group, looked at.
pub(crate) fn group_detail(detail: &GroupDetail, scroll: &Scroll) -> String {
    let row = &detail.row;
    let mut lines = vec![
        group(row),
        format!("Messages are gone after {}.", span::in_words(row.retention_secs)),
        newcomer(row, scroll),
    ];
    if row.standing == Standing::Active && row.facilitators == 1 && row.members > 1 {
        lines.push(
            "Only one person can invite or remove; if that device is lost, nobody can. That person can share it: \
             `kinfold facilitator add`."
                .to_owned(),
        );
    }
    let shown = plain::quoted(&row.name, &row.group_id);
    lines.extend(detail.proposals.iter().map(|wanted| proposal(wanted, &shown)));
    lines.push(format!("Id: {}", row.group_id));
    lines.extend(detail.addresses.iter().map(|address| format!("Listens at {}", plain::name(address))));
    lines.join("\n")
}

/// What takes one more facilitator, and how that one says so.
fn proposal(wanted: &Proposal, group: &str) -> String {
    let (by, member, id) = (plain::name(&wanted.by), plain::name(&wanted.member), id(&wanted.member_id));
    if wanted.removal {
        format!("{by} wants to remove {member}, a facilitator. One more must: `kinfold remove {group} {id}`")
    } else {
        let verb = format!("kinfold facilitator remove {group} {id}");
        format!("{by} wants {member} to be a facilitator no longer. One more must: `{verb}`")
    }
}

/// What somebody who came later must know about what they see.
pub(crate) fn newcomer(row: &GroupRow, scroll: &Scroll) -> String {
    format!("You are here since {}; what was said before is not shown.", scroll.moment(row.joined))
}

/// How things stand.
pub(crate) fn status(status: &Status) -> String {
    let mut lines = vec![format!("Kinfold {} is running.", plain::name(&status.version))];
    if status.locked {
        lines.push("It is locked: `kinfold unlock` opens it with your passphrase.".to_owned());
    } else if status.groups.is_empty() && status.joining.is_empty() {
        lines.push(NO_GROUP.to_owned());
    } else {
        lines.extend(status.groups.iter().map(group));
    }
    lines.extend(status.joining.iter().map(joining));
    let (waiting, unsent) = status.groups.iter().fold((0, 0), |sum, row| (sum.0 + row.waiting, sum.1 + row.unsent));
    if waiting + unsent > 0 {
        lines.push("`kinfold outbox` shows the messages that no other device has yet.".to_owned());
    }
    lines.join("\n")
}

/// What speaks against this device's clock, and what to do.
pub(crate) fn clock(doubt: ClockDoubt, scroll: &Scroll) -> String {
    match doubt {
        ClockDoubt::Off { ahead_secs, corrected } => scroll::clock_off(ahead_secs, corrected),
        ClockDoubt::Leapt { says, last } if last < says => format!(
            "This device's clock says that it is {}, and Kinfold last ran on {}. If the clock is not right, set it \
             within a day: until then, messages whose time seems to be over are hidden and not deleted.",
            scroll.moment(says),
            scroll.moment(last)
        ),
        ClockDoubt::Leapt { says, last } => format!(
            "This device's clock says that it is {}, but it is later than {}. Set the clock right: until then, or until \
             somebody of your groups is connected, what was said later is hidden, and what you write carries its time.",
            scroll.moment(says),
            scroll.moment(last)
        ),
    }
}

/// A join that goes on.
fn joining(row: &JoinRow) -> String {
    format!(
        "Waiting to be let in to a group; Kinfold keeps trying while it runs, until the invite ends. \
         `kinfold join --cancel` stops it.  [{}]",
        id(&row.join_id)
    )
}

/// What somebody who leaves a group loses.
pub(crate) fn leaving(row: &GroupRow) -> String {
    let name = plain::name(&row.name);
    match row.standing {
        Standing::Active if row.members > 1 => format!(
            "Leave {name}? You will get nothing that is said there from then on, and everything of the group on this \
             device is deleted once you are out. To come back you need a new invite."
        ),
        Standing::Active => format!(
            "Leave {name}? You are the only one in it: the group and everything said in it are deleted, and nobody can \
             bring them back."
        ),
        Standing::Leaving => format!(
            "You have asked to leave {name} already. Going on deletes everything of the group from this device now; if \
             nobody has heard of your wish yet, the others may go on seeing your name."
        ),
        Standing::Broken | Standing::Left | Standing::Removed => {
            format!("Delete everything of {name} from this device? Nobody can bring it back.")
        }
    }
}

/// A member in one line.
pub(crate) fn member(row: &MemberRow) -> String {
    let mut facts = Vec::new();
    if row.role == Role::Facilitator {
        facts.push("facilitator");
    }
    if row.own {
        facts.push("you");
    } else {
        facts.push(if row.connected { "connected" } else { "not connected" });
        facts.push(if row.verified { "safety code compared" } else { "safety code not compared yet" });
    }
    format!("{}: {}  [{}]", plain::name(&row.name), facts.join(", "), id(&row.member_id))
}

/// An invite in one line.
pub(crate) fn invite(row: &InviteRow, scroll: &Scroll) -> String {
    let until = scroll.moment(row.expires);
    let state = match row.state {
        InviteState::Expired => format!("its time was over on {until}, unused"),
        InviteState::Open => format!("good for one person until {until}"),
        InviteState::Revoked => "taken back".to_owned(),
        InviteState::Used => "used".to_owned(),
    };
    format!("{}: {state}", row.invite_id)
}

/// A message in the outbox.
pub(crate) fn outbox(row: &OutboxRow, scroll: &Scroll) -> String {
    let text = plain::text(&row.text).replace('\n', "\n  ");
    let id = id(&row.id);
    let why = match row.stand.state {
        State::Waiting => format!(
            "People have joined since you wrote it, so it waits for your word:\n  \
             `kinfold outbox send {id}` lets them read it too, `kinfold outbox drop {id}` takes it back."
        ),
        State::Expired => "Its time ended before anybody else had it.".to_owned(),
        State::Held | State::Kept | State::Received => format!(
            "No other device is known to have it yet; it goes out by itself when somebody is connected.\n  \
             `kinfold outbox drop {id}` takes it back."
        ),
    };
    format!(
        "{id} in {}: {text}\n  said {}, gone {}\n  {why}",
        plain::name(&row.group),
        scroll.moment(row.sent),
        scroll.moment(row.expires),
    )
}

/// What to do with a safety code.
pub(crate) fn safety_code_use(code: &Verification, undone: bool) -> String {
    let mut name = plain::name(&code.name);
    if names::is_reserved(&name) {
        name = names::with_id(&name, &code.member_id);
    }
    if code.verified {
        return format!(
            "You have compared this safety code with {name}. If that was a mistake, run this again with --undo."
        );
    }
    if undone {
        return format!("The safety code of {name} counts as not compared.");
    }
    // No command with a name in it: a name can hold what a shell obeys, and people paste.
    format!(
        "{name} sees the same numbers if nobody stands between you. Compare them when you meet, or in a call where \
         you know the voice.\nIf they are the same, run this again with --confirm. If not, do not, and tell the \
         others in another way."
    )
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use kinfold_node::control::lines::{Moment, Stand};

    use super::*;

    fn row() -> GroupRow {
        GroupRow {
            group_id: "0a0b0c0d0e0f".into(),
            name: "Tuesday circle".into(),
            standing: Standing::Active,
            members: 3,
            connected: 1,
            present: vec!["Ana".into()],
            unread: 2,
            waiting: 0,
            unsent: 0,
            retention_secs: 604_800,
            facilitators: 1,
            joined: Moment::from_ms(0),
        }
    }

    fn scroll() -> Scroll {
        Scroll::new(TimeZone::UTC, false)
    }

    #[test]
    fn a_group_says_who_is_there_and_what_is_unread() {
        let expected = "Tuesday circle: 3 people, 1 connected (Ana), 2 unread  [0a0b0c0d]";
        assert_eq!(group(&row()), expected);
        let alone = GroupRow { members: 1, connected: 0, present: vec![], unread: 0, waiting: 1, ..row() };
        assert_eq!(
            group(&alone),
            "Tuesday circle: 1 person, 0 connected, 0 unread, 1 waiting for your word  [0a0b0c0d]"
        );
        let kept = GroupRow { unsent: 2, ..row() };
        let expected =
            "Tuesday circle: 3 people, 1 connected (Ana), 2 unread, 2 of yours only on this device so far  [0a0b0c0d]";
        assert_eq!(group(&kept), expected);
        let removed = GroupRow { standing: Standing::Removed, ..row() };
        let expected = "Tuesday circle: You are no longer in this group. A facilitator can tell you more.  [0a0b0c0d]";
        assert_eq!(group(&removed), expected);
    }

    #[test]
    fn a_newcomer_is_told_what_is_not_shown_and_a_lone_facilitator_is_named_as_a_risk() {
        let detail =
            GroupDetail { row: row(), addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()], proposals: Vec::new() };
        let expected = "Tuesday circle: 3 people, 1 connected (Ana), 2 unread  [0a0b0c0d]\n\
            Messages are gone after 7 days.\n\
            You are here since Thursday 1 January 1970 at 00:00; what was said before is not shown.\n\
            Only one person can invite or remove; if that device is lost, nobody can. That person can share it: \
            `kinfold facilitator add`.\n\
            Id: 0a0b0c0d0e0f\n\
            Listens at /ip4/127.0.0.1/tcp/4001";
        assert_eq!(group_detail(&detail, &scroll()), expected);
    }

    #[test]
    fn status_says_what_to_do_next() {
        let empty = Status { version: "0.1.0".into(), locked: false, groups: vec![], joining: vec![] };
        let expected = "Kinfold 0.1.0 is running.\n\
            You are in no group yet: `kinfold group create NAME` makes one, `kinfold join` takes an invite.";
        assert_eq!(status(&empty), expected);
        let waits = Status { joining: vec![JoinRow { join_id: "0a0b0c0d0e0f0a0b".into() }], ..empty.clone() };
        let expected = "Kinfold 0.1.0 is running.\n\
            Waiting to be let in to a group; Kinfold keeps trying while it runs, until the invite ends. \
            `kinfold join --cancel` stops it.  [0a0b0c0d]";
        assert_eq!(status(&waits), expected);
        let kept = Status { groups: vec![GroupRow { unsent: 1, ..row() }], ..empty.clone() };
        assert!(status(&kept).ends_with("\n`kinfold outbox` shows the messages that no other device has yet."));
        let locked = Status { locked: true, ..empty };
        let expected = "Kinfold 0.1.0 is running.\nIt is locked: `kinfold unlock` opens it with your passphrase.";
        assert_eq!(status(&locked), expected);
    }

    #[test]
    fn a_member_is_told_by_role_presence_and_safety_code() {
        let ana = MemberRow {
            member_id: "0a0b0c0d0e0f".into(),
            name: "A\x1bna".into(),
            role: Role::Facilitator,
            own: false,
            connected: true,
            verified: false,
        };
        assert_eq!(member(&ana), "A␛na: facilitator, connected, safety code not compared yet  [0a0b0c0d]");
        let you = MemberRow { own: true, ..ana };
        assert_eq!(member(&you), "A␛na: facilitator, you  [0a0b0c0d]");
    }

    #[test]
    fn invites_and_waiting_messages_say_until_when() {
        let open = InviteRow { invite_id: "ab12".into(), expires: Moment::from_ms(0), state: InviteState::Open };
        assert_eq!(invite(&open, &scroll()), "ab12: good for one person until Thursday 1 January 1970 at 00:00");
        let waiting = OutboxRow {
            id: "0a0b0c0d0e0f".into(),
            group_id: "bb".into(),
            group: "Circle".into(),
            text: "one\ntwo".into(),
            stand: Stand { state: State::Waiting, received_by: None, received_of: None },
            sent: Moment::from_ms(0),
            expires: Moment::from_ms(60_000),
        };
        let head = "0a0b0c0d in Circle: one\n  two\n  said Thursday 1 January 1970 at 00:00, gone Thursday 1 January \
            1970 at 00:01\n";
        let expected = "  People have joined since you wrote it, so it waits for your word:\n  \
            `kinfold outbox send 0a0b0c0d` lets them read it too, `kinfold outbox drop 0a0b0c0d` takes it back.";
        assert_eq!(outbox(&waiting, &scroll()), format!("{head}{expected}"));
        let stand = Stand { state: State::Kept, ..waiting.stand };
        let expected = "  No other device is known to have it yet; it goes out by itself when somebody is connected.\n  \
            `kinfold outbox drop 0a0b0c0d` takes it back.";
        assert_eq!(outbox(&OutboxRow { stand, ..waiting }, &scroll()), format!("{head}{expected}"));
    }

    #[test]
    fn who_leaves_reads_first_what_is_lost() {
        let of = |standing, members| leaving(&GroupRow { standing, members, ..row() });
        assert!(of(Standing::Active, 3).starts_with("Leave Tuesday circle? You will get nothing that is said there"));
        assert!(of(Standing::Active, 1).contains("You are the only one in it"));
        assert!(of(Standing::Removed, 3).starts_with("Delete everything of Tuesday circle from this device?"));
    }
}
