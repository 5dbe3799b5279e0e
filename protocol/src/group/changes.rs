//! The lines by which the history tells what a commit changed. Their names are the same on every device.

use super::line::RowKind;
use crate::id::{CommitId, MemberId, MsgId};
use crate::policy::judge::Verdict;
use crate::policy::roster::Roster;
use crate::seal;

/// A line about a change.
pub(super) struct Told {
    pub(super) id: MsgId,
    pub(super) author: MemberId,
    pub(super) author_name: String,
    pub(super) kind: RowKind,
}

/// The name of the n-th other line about a commit.
pub(crate) fn line_id(commit: &CommitId, n: u32) -> MsgId {
    MsgId::from_bytes(seal::digest("kinfold line", &[commit.as_bytes(), &n.to_be_bytes()]))
}

/// The name of the line that somebody came in by a commit, or was let in anew.
pub(crate) fn joined_id(commit: &CommitId, member: &MemberId) -> MsgId {
    MsgId::from_bytes(seal::digest("kinfold line", &[commit.as_bytes(), member.as_bytes()]))
}

/// What a commit did; `roster` names those who were there before it.
pub(super) fn changes(commit: &CommitId, verdict: &Verdict, roster: &Roster) -> Vec<Told> {
    let name = |member: &MemberId| roster.seat(member).map(|seat| seat.credential.name.clone()).unwrap_or_default();
    let joined = verdict.joined.iter().map(|(member, joined)| Told {
        id: joined_id(commit, member),
        author: *member,
        author_name: joined.clone(),
        kind: RowKind::Joined(joined.clone()),
    });
    let back = verdict.back.iter().map(|(member, name)| Told {
        id: joined_id(commit, member),
        author: *member,
        author_name: name.clone(),
        kind: RowKind::Back(name.clone()),
    });
    let left = verdict.left.iter().map(|member| (*member, RowKind::Left(name(member))));
    let removed = verdict.removed.iter().map(|(member, by)| (*by, RowKind::Removed(name(member))));
    let policy = verdict.policy.iter().map(|(policy, by)| (*by, RowKind::Retention(policy.retention)));
    let roles = verdict.roles.iter().map(|(member, appointed, by)| {
        let kind = if *appointed { RowKind::Appointed(name(member)) } else { RowKind::Dismissed(name(member)) };
        (*by, kind)
    });
    let others = left.chain(removed).chain(policy).chain(roles);
    let others = (0_u32..).zip(others).map(|(n, (author, kind))| Told {
        id: line_id(commit, n),
        author,
        author_name: name(&author),
        kind,
    });
    joined.chain(back).chain(others).collect()
}
