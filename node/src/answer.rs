//! The methods of the local API: what a face asks becomes a command or a look.

use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::error::Error;
use kinfold_protocol::id::{GroupId, InviteId, MemberId, MsgId, NetId};
use kinfold_protocol::limits::{
    EXPIRY_MIN, INVITE_VALID_DEFAULT, INVITE_VALID_MAX, RETENTION_MAX, RETENTION_MIN, TEXT_BYTES_MAX,
};
use kinfold_protocol::step::{Address, Command, Input, Line, LineKind, Outcome, Reply, Standing};
use kinfold_protocol::time::Time;
use kinfold_protocol::view::{GroupView, InviteState, MemberView};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::control::api::Secret;
use crate::control::errors::Named;
use crate::control::resolve::{Candidate, Unresolved, resolve, resolve_whole};
use crate::control::{ApiError, ErrorKind, NodeError, Request, inside, rows, show};
use crate::execute::Round;
use crate::store::OpenReport;
use crate::{limited, net};

/// What became of a request.
pub(crate) enum Answer {
    /// This, once it is durable; whoever waits for these joins learns that they were given up.
    Cancelled(Vec<NetId>, Value),
    /// This, once it is durable.
    Now(Value),
    /// The same request again, once the network listens.
    OnceListening(NetId, Request),
    /// The join under way will answer.
    WhenJoined(NetId),
    /// This, once the network listens: an invite made next must say where.
    WhenListening(NetId, Value),
}

/// The client, for one request.
pub(crate) struct Desk<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) round: &'a mut Round,
    pub(crate) now: Time,
    /// Whether only one group can listen: its port was fixed by hand.
    pub(crate) one_port: bool,
    /// What the store was found to have lost.
    pub(crate) lost: OpenReport,
    /// The disk has no room for anything new.
    pub(crate) full: bool,
}

type Answered = Result<Answer, ApiError>;

/// How strictly a name is taken.
type Resolve = fn(&str, &[Candidate<'_>]) -> Result<usize, Unresolved>;

impl Desk<'_> {
    /// Answers one request.
    pub(crate) fn answer(&mut self, request: Request) -> Answered {
        match request {
            Request::Connect { group, address } => {
                let group = self.group(&group)?.group;
                if !net::can_dial(&address) {
                    return Err(Error::BadAddress.into());
                }
                self.done(Command::Connect { group, address: Address(address) })
            }
            Request::GroupCreate { name, display_name } => self.create(name, display_name),
            Request::GroupDoctor { group } => self.doctor(&group),
            Request::GroupLeave { group } => self.leave(&group),
            Request::GroupList {} => value(&rows::Groups { groups: self.group_rows() }),
            Request::GroupShow { group } => self.show(&group),
            Request::History { group, last, all_unread, mark_read } => {
                self.history(&group, last, all_unread, mark_read)
            }
            Request::InviteCreate { group, valid_secs } => self.invite(&group, valid_secs),
            Request::InviteList { group } => self.invites(&group),
            Request::InviteRevoke { group, invite_id } => self.revoke(&group, &invite_id),
            Request::Join { invite, name } => self.join(invite.into_inner(), name),
            Request::JoinCancel { invite } => self.cancel(invite.map(Secret::into_inner)),
            Request::JoinCheck { invite } => self.check(invite.into_inner()),
            Request::Members { group } => {
                let group = self.group(&group)?.group;
                let members = self.client.members(group)?.iter().map(show::member).collect();
                value(&rows::Members { members })
            }
            Request::Outbox { group } => self.outbox(group.as_deref()),
            Request::OutboxDrop { id } => {
                let (group, id) = self.message(&id)?;
                self.done(Command::Drop { group, id })
            }
            Request::OutboxSend { id } => {
                let (group, id) = self.message(&id)?;
                self.done(Command::Release { group, id })
            }
            Request::Read { group, mark } => {
                let group = self.group(&group)?.group;
                // With no room for the mark the lines stay unread, and were shown all the same.
                if self.full { value(&rows::Done {}) } else { self.done(Command::MarkRead { group, upto: Some(mark) }) }
            }
            Request::FacilitatorAdd { group, member } => self.role(&group, &member, true),
            Request::FacilitatorRemove { group, member } => self.role(&group, &member, false),
            Request::Remove { group, member } => {
                let group = self.group(&group)?.group;
                let member = self.member(group, &member, resolve_whole)?.member;
                self.changed(Command::Remove { group, member })
            }
            Request::Retention { group, secs } => self.retention(&group, secs),
            Request::Send { group, text, expires_secs } => self.send(&group, text.into_inner(), expires_secs),
            Request::Status {} => {
                let join = |net: NetId| rows::JoinRow { join_id: format!("{:016x}", net.0) };
                let joining = self.client.joins().into_iter().map(join).collect();
                let status = rows::Status { joining, ..status(Some(self.group_rows())) };
                let (full, clock) = (show::full(self.full), self.client.clock(self.now).map(show::clock));
                value(&rows::StatusAnswer { status, lost: show::lost(self.lost), full, clock })
            }
            Request::Subscribe { group } => {
                let group = group.map(|group| self.group(&group)).transpose()?;
                value(&rows::Subscribed { group_id: group.map(|view| view.group.to_hex()) })
            }
            Request::Verify { group, member, confirm, undo } => self.verify(&group, &member, confirm, undo),
            Request::Version {} => value(&rows::Version::current()),
            Request::Down {} | Request::Lock {} | Request::Unlock { .. } => value(&rows::Done {}),
        }
    }

    fn command(&mut self, command: Command) -> Result<Reply, ApiError> {
        if self.full {
            return Err(NodeError::DiskFull.into());
        }
        let output = self.client.handle(Input::Command(command), self.now)?;
        match self.round.take(output) {
            Outcome::Applied(reply) => Ok(reply),
            Outcome::Duplicate | Outcome::Parked(_) => Ok(Reply::Done),
            Outcome::Refused(refusal) => Err(refusal.into()),
        }
    }

    fn changed(&mut self, command: Command) -> Answered {
        let proposed = self.command(command)? == Reply::Proposed;
        value(&rows::Changed { proposed })
    }

    fn show(&mut self, group: &str) -> Answered {
        let view = self.group(group)?;
        let row = self.row(&view);
        // Of a group that was left nobody is known.
        let members = self.client.members(view.group).unwrap_or_default();
        value(&show::group_detail(&view, row, &members))
    }

    fn doctor(&self, group: &str) -> Answered {
        let group = self.group(group)?.group;
        value(&inside::inside(group, &self.client.examine(group)?, self.now))
    }

    fn role(&mut self, group: &str, member: &str, may: bool) -> Answered {
        let group = self.group(group)?.group;
        let member = self.member(group, member, resolve_whole)?.member;
        self.changed(Command::SetFacilitator { group, member, may })
    }

    fn done(&mut self, command: Command) -> Answered {
        self.command(command)?;
        value(&rows::Done {})
    }

    fn create(&mut self, name: String, display_name: String) -> Answered {
        self.check_port()?;
        limited::name("the group's name", &name)?;
        limited::own_name(&display_name)?;
        let reply = self.command(Command::CreateGroup { name: name.clone(), display_name })?;
        let Reply::Group(group) = reply else { return Err(Error::Broken.into()) };
        let net = self.group(&group.to_hex())?.net;
        Ok(Answer::WhenListening(net, json(&rows::GroupMade { group_id: group.to_hex(), name })?))
    }

    fn check_port(&self) -> Result<(), ApiError> {
        let busy = !self.client.groups().is_empty() || !self.client.joins().is_empty();
        if self.one_port && busy { Err(NodeError::PortShared.into()) } else { Ok(()) }
    }

    fn join(&mut self, invite: Zeroizing<String>, name: String) -> Answered {
        if self.client.joins().is_empty() {
            self.check_port()?;
        }
        limited::own_name(&name)?;
        match self.command(Command::Join { invite, display_name: name })? {
            Reply::Joining(net) => Ok(Answer::WhenJoined(net)),
            _ => Err(Error::Broken.into()),
        }
    }

    /// A join without a name is refused only after the invite was read: so nothing changes, and the refusal tells.
    fn check(&mut self, invite: Zeroizing<String>) -> Answered {
        match self.client.handle(Input::Command(Command::Join { invite, display_name: String::new() }), self.now) {
            Err(Error::BadName) => value(&rows::Done {}),
            Err(error) => Err(error.into()),
            // A join by this invite is under way, and goes on.
            Ok(output) => {
                self.round.take(output);
                value(&rows::Done {})
            }
        }
    }

    fn cancel(&mut self, invite: Option<Zeroizing<String>>) -> Answered {
        let mut nets = self.client.joins();
        let mut given_up = nets.clone();
        if let (Some(invite), false) = (invite, nets.is_empty()) {
            // The same invite again names the join that it began, or takes its place; that one ends here as well.
            let reply = self.command(Command::Join { invite, display_name: "?".to_owned() })?;
            let Reply::Joining(net) = reply else { return Err(Error::Broken.into()) };
            given_up = vec![net];
        }
        for net in given_up {
            self.command(Command::Forget { net })?;
        }
        let left = self.client.joins();
        nets.retain(|net| !left.contains(net));
        let answer = json(&rows::JoinsCancelled { cancelled: nets.len() })?;
        Ok(Answer::Cancelled(nets, answer))
    }

    fn leave(&mut self, group: &str) -> Answered {
        let group = self.group_by(group, resolve_whole)?.group;
        self.command(Command::Leave { group })?;
        let left = self.client.groups().into_iter().find(|view| view.group == group);
        let standing = show::standing(left.map_or(Standing::Left, |view| view.standing));
        value(&rows::Left { group_id: group.to_hex(), standing })
    }

    fn history(&mut self, group: &str, last: Option<u64>, all_unread: bool, mark_read: bool) -> Answered {
        let view = self.group(group)?;
        let last = last.map(|last| usize::try_from(last).unwrap_or(usize::MAX));
        let mut lines = self.client.history(view.group, last, self.now)?;
        let mut hidden = unread_before(&lines, last, view.unread);
        if let (true, 1.., Some(last)) = (all_unread, hidden, last) {
            lines = self.client.history(view.group, None, self.now)?;
            let keep = reaching(&lines, view.unread).max(last);
            lines.drain(..lines.len().saturating_sub(keep));
            hidden = 0;
        }
        if mark_read && !self.full && (hidden == 0 || last == Some(0)) {
            self.command(Command::MarkRead { group: view.group, upto: None })?;
        }
        let read_mark = (view.unread > 0 && hidden == 0 && !mark_read).then_some(view.arrivals);
        let rows = lines.iter().map(|line| show::line(view.group, &view.name, line)).collect();
        value(&rows::History {
            group_id: view.group.to_hex(),
            group: view.name,
            rows,
            unread_earlier: hidden,
            read_mark,
        })
    }

    fn invite(&mut self, group: &str, valid_secs: Option<u64>) -> Answered {
        let view = self.group(group)?;
        let group = view.group;
        if view.standing == Standing::Active && view.addresses.is_empty() {
            // An invite that names no address leads nowhere.
            return Ok(Answer::OnceListening(view.net, Request::InviteCreate { group: group.to_hex(), valid_secs }));
        }
        let valid = valid_secs.map_or(INVITE_VALID_DEFAULT, Duration::from_secs);
        limited::span("an invite can be good", valid, Duration::from_secs(1), INVITE_VALID_MAX)?;
        let Reply::Invite { text, id, expires } = self.command(Command::Invite { group, valid })? else {
            return Err(Error::Broken.into());
        };
        let expires = show::moment(expires);
        value(&rows::InviteMade { invite: text.to_string(), invite_id: id.to_hex(), expires })
    }

    fn invites(&mut self, group: &str) -> Answered {
        let group = self.group(group)?.group;
        let mut views = self.client.invites(group, self.now)?;
        views.sort_by_key(|view| std::cmp::Reverse(view.expires));
        value(&rows::Invites { invites: views.iter().map(show::invite).collect() })
    }

    fn revoke(&mut self, group: &str, query: &str) -> Answered {
        let group = self.group(group)?.group;
        let views = self.client.invites(group, self.now)?;
        let ids: Vec<InviteId> = views.iter().map(|view| view.id).collect();
        let names: Vec<String> = ids.iter().map(InviteId::to_hex).collect();
        let candidates: Vec<_> = names.iter().map(|id| Candidate { name: "", id }).collect();
        let at = resolve(query, &candidates).map_err(|why| ApiError::unresolved(Named::Invite, why))?;
        let view = views.get(at).ok_or(Error::Broken)?;
        if view.state == InviteState::Open {
            self.command(Command::RevokeInvite { group, invite: view.id })?;
        }
        let was = (view.state != InviteState::Open).then(|| show::invite_state(view.state));
        value(&rows::Revoked { was })
    }

    fn outbox(&mut self, group: Option<&str>) -> Answered {
        let groups = match group {
            Some(group) => vec![self.group(group)?],
            None => self.client.groups(),
        };
        let mut messages = Vec::new();
        for view in groups {
            let entries = self.client.outbox(view.group, self.now)?;
            messages.extend(entries.iter().map(|entry| show::outbox(view.group, &view.name, entry)));
        }
        value(&rows::Outbox { messages })
    }

    fn message(&mut self, query: &str) -> Result<(GroupId, MsgId), ApiError> {
        let mut found = Vec::new();
        for view in self.client.groups() {
            let entries = self.client.outbox(view.group, self.now)?;
            found.extend(entries.iter().map(|entry| (view.group, entry.id)));
        }
        let ids: Vec<String> = found.iter().map(|(_, id)| id.to_hex()).collect();
        let candidates: Vec<_> = ids.iter().map(|id| Candidate { name: "", id }).collect();
        let at = resolve(query, &candidates).map_err(|why| ApiError::unresolved(Named::Message, why))?;
        Ok(*found.get(at).ok_or(Error::Broken)?)
    }

    fn retention(&mut self, group: &str, secs: Option<u64>) -> Answered {
        let view = self.group(group)?;
        let retention = secs.map_or(view.retention, Duration::from_secs);
        if secs.is_some() {
            limited::span("messages of a group can live", retention, RETENTION_MIN, RETENTION_MAX)?;
            self.command(Command::SetRetention { group: view.group, retention })?;
        }
        let unchanged = secs.is_some() && retention == view.retention;
        value(&rows::Retention { group_id: view.group.to_hex(), retention_secs: retention.as_secs(), unchanged })
    }

    fn send(&mut self, group: &str, text: Zeroizing<String>, expires_secs: Option<u64>) -> Answered {
        let view = self.group(group)?;
        let group = view.group;
        let expires = expires_secs.map(Duration::from_secs);
        limited::text(&text, TEXT_BYTES_MAX)?;
        if let (Some(life), Standing::Active) = (expires, view.standing) {
            limited::span("a message of this group can live", life, EXPIRY_MIN, view.retention)?;
        }
        let Reply::Message { id, state } = self.command(Command::Send { group, text, expires })? else {
            return Err(Error::Broken.into());
        };
        value(&rows::Sent { id: id.to_hex(), stand: show::stand(state) })
    }

    fn verify(&mut self, group: &str, member: &str, confirm: bool, undo: bool) -> Answered {
        let group = self.group(group)?.group;
        // A mark on the wrong person would be worse than none.
        let view = self.member(group, member, if confirm { resolve_whole } else { resolve })?;
        if view.own {
            return Err(ApiError::new(ErrorKind::VerifySelf));
        }
        let member = view.member;
        if confirm || undo {
            self.command(Command::Verify { group, member, verified: !undo })?;
        }
        let code = self.client.safety_code(group, member)?;
        let view = self.people(group).into_iter().find(|view| view.member == member).ok_or(Error::UnknownMember)?;
        value(&show::verification(&view, &code))
    }

    fn group_rows(&mut self) -> Vec<rows::GroupRow> {
        self.client.groups().iter().map(|view| self.row(view)).collect()
    }

    fn row(&mut self, view: &GroupView) -> rows::GroupRow {
        let outbox = self.client.outbox(view.group, self.now).unwrap_or_default();
        show::group(view, &self.people(view.group), &outbox)
    }

    fn people(&self, group: GroupId) -> Vec<MemberView> {
        self.client.members(group).unwrap_or_default()
    }

    fn group(&self, query: &str) -> Result<GroupView, ApiError> {
        self.group_by(query, resolve)
    }

    fn group_by(&self, query: &str, resolve: Resolve) -> Result<GroupView, ApiError> {
        let mut views = self.client.groups();
        let ids: Vec<String> = views.iter().map(|view| view.group.to_hex()).collect();
        let candidates: Vec<_> = views.iter().zip(&ids).map(|(view, id)| Candidate { name: &view.name, id }).collect();
        let at = resolve(query, &candidates).map_err(|why| ApiError::unresolved(Named::Group, why))?;
        Ok(views.swap_remove(at))
    }

    fn member(&self, group: GroupId, query: &str, resolve: Resolve) -> Result<MemberView, ApiError> {
        let mut views = self.client.members(group)?;
        let ids: Vec<String> = views.iter().map(|view| MemberId::to_hex(&view.member)).collect();
        let candidates: Vec<_> = views.iter().zip(&ids).map(|(view, id)| Candidate { name: &view.name, id }).collect();
        let at = resolve(query, &candidates).map_err(|why| ApiError::unresolved(Named::Member, why))?;
        Ok(views.swap_remove(at))
    }
}

/// How things stand; without groups the node is locked.
pub(crate) fn status(groups: Option<Vec<rows::GroupRow>>) -> rows::Status {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    rows::Status { version, locked: groups.is_none(), groups: groups.unwrap_or_default(), joining: Vec::new() }
}

/// The answers of a locked node: few.
pub(crate) fn answer_locked(request: &Request) -> Result<Value, ApiError> {
    match request {
        Request::Status {} => json(&status(None)),
        Request::Version {} => json(&rows::Version::current()),
        Request::Lock {} | Request::Down {} => json(&rows::Done {}),
        _ => Err(NodeError::Locked.into()),
    }
}

fn is_message_of_others(line: &Line) -> bool {
    !line.own && matches!(line.kind, LineKind::Text(_))
}

/// How many unread messages the last lines leave out.
fn unread_before(lines: &[Line], last: Option<usize>, unread: usize) -> usize {
    let all = last.is_none_or(|last| lines.len() < last);
    if all { 0 } else { unread.saturating_sub(lines.iter().filter(|line| is_message_of_others(line)).count()) }
}

/// How many of the last lines have so many messages of others among them.
fn reaching(lines: &[Line], messages: usize) -> usize {
    let places = lines.iter().rev().enumerate().filter(|(_, line)| is_message_of_others(line));
    let mut places = places.map(|(place, _)| place.saturating_add(1));
    messages.checked_sub(1).map_or(0, |before| places.nth(before).unwrap_or(lines.len()))
}

/// A row as a value.
pub(crate) fn json<T: Serialize>(row: &T) -> Result<Value, ApiError> {
    serde_json::to_value(row).map_err(|_| ApiError::new(ErrorKind::Bug))
}

fn value<T: Serialize>(row: &T) -> Answered {
    json(row).map(Answer::Now)
}

#[cfg(test)]
mod tests {
    use kinfold_protocol::step::MessageState;

    use super::*;

    fn line(own: bool, kind: LineKind) -> Line {
        Line {
            id: MsgId::from_bytes([1; 32]),
            kind,
            author: MemberId::from_bytes([2; 32]),
            author_name: "Ana".into(),
            own,
            sent: Time::from_ms(0),
            expires: None,
            state: MessageState::Held,
            late: false,
        }
    }

    fn said(own: bool) -> Line {
        line(own, LineKind::Text(Zeroizing::new("hello".into())))
    }

    #[test]
    fn lines_that_leave_out_something_unread_are_told_from_those_that_do_not() {
        let lines = [said(false), said(true), line(false, LineKind::Left("Ben".into()))];
        assert_eq!(unread_before(&lines, Some(3), 5), 4);
        assert_eq!(unread_before(&lines, Some(3), 1), 0);
        assert_eq!(unread_before(&lines, Some(9), 5), 0, "fewer than asked for are all there are");
        assert_eq!(unread_before(&lines, None, 5), 0);
    }

    #[test]
    fn lines_are_counted_back_to_the_first_unread_message() {
        let lines = [said(false), said(false), said(true), said(false), said(true)];
        assert_eq!(reaching(&lines, 0), 0);
        assert_eq!(reaching(&lines, 1), 2);
        assert_eq!(reaching(&lines, 2), 4);
        assert_eq!(reaching(&lines, 9), 5, "all, if there are not so many");
    }
}
