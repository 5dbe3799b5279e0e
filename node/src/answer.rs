//! The methods of the local API: what a face asks becomes a command or a look.

use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::error::Error;
use kinfold_protocol::id::{GroupId, InviteId, MemberId, MsgId, NetId};
use kinfold_protocol::limits::INVITE_VALID_DEFAULT;
use kinfold_protocol::step::{Address, Command, Input, Outcome, Reply, Standing};
use kinfold_protocol::time::Time;
use kinfold_protocol::view::{GroupView, MemberView};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::control::errors::Named;
use crate::control::resolve::{Candidate, resolve};
use crate::control::{ApiError, ErrorKind, NodeError, Request, rows, show};
use crate::execute::Round;
use crate::net;
use crate::store::OpenReport;

/// What became of a request.
pub(crate) enum Answer {
    /// This, once it is durable.
    Now(Value),
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
}

type Answered = Result<Answer, ApiError>;

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
            Request::GroupLeave { group } => self.leave(&group),
            Request::GroupList {} => value(&rows::Groups { groups: self.group_rows() }),
            Request::GroupShow { group } => {
                let view = self.group(&group)?;
                value(&show::group_detail(&view, &self.people(view.group)))
            }
            Request::History { group, last, mark_read } => self.history(&group, last, mark_read),
            Request::InviteCreate { group, valid_secs } => self.invite(&group, valid_secs),
            Request::InviteList { group } => self.invites(&group),
            Request::InviteRevoke { group, invite_id } => self.revoke(&group, &invite_id),
            Request::Join { invite, name } => self.join(invite.into_inner(), name),
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
            Request::Remove { group, member } => {
                let group = self.group(&group)?.group;
                let member = self.member(group, &member)?.member;
                self.done(Command::Remove { group, member })
            }
            Request::Retention { group, secs } => self.retention(&group, secs),
            Request::Send { group, text, expires_secs } => self.send(&group, text.into_inner(), expires_secs),
            Request::Status {} => {
                let status = status(Some(self.group_rows()));
                value(&rows::StatusAnswer { status, lost: show::lost(self.lost) })
            }
            Request::Subscribe { group } => {
                let group = group.map(|group| self.group(&group)).transpose()?;
                value(&rows::Subscribed { group_id: group.map(|view| view.group.to_hex()) })
            }
            Request::Verify { group, member, confirm } => self.verify(&group, &member, confirm),
            Request::Version {} => value(&rows::Version::current()),
            Request::Down {} | Request::Lock {} | Request::Unlock { .. } => value(&rows::Done {}),
        }
    }

    fn command(&mut self, command: Command) -> Result<Reply, ApiError> {
        let output = self.client.handle(Input::Command(command), self.now)?;
        match self.round.take(output) {
            Outcome::Applied(reply) => Ok(reply),
            Outcome::Duplicate | Outcome::Parked(_) => Ok(Reply::Done),
            Outcome::Refused(refusal) => Err(refusal.into()),
        }
    }

    fn done(&mut self, command: Command) -> Answered {
        self.command(command)?;
        value(&rows::Done {})
    }

    fn create(&mut self, name: String, display_name: String) -> Answered {
        self.check_port()?;
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
        match self.command(Command::Join { invite, display_name: name })? {
            Reply::Joining(net) => Ok(Answer::WhenJoined(net)),
            _ => Err(Error::Broken.into()),
        }
    }

    fn leave(&mut self, group: &str) -> Answered {
        let group = self.group(group)?.group;
        self.command(Command::Leave { group })?;
        let left = self.client.groups().into_iter().find(|view| view.group == group);
        let standing = show::standing(left.map_or(Standing::Left, |view| view.standing));
        value(&rows::Left { group_id: group.to_hex(), standing })
    }

    fn history(&mut self, group: &str, last: Option<u64>, mark_read: bool) -> Answered {
        let view = self.group(group)?;
        let last = last.map(|last| usize::try_from(last).unwrap_or(usize::MAX));
        let lines = self.client.history(view.group, last, self.now)?;
        if mark_read {
            self.command(Command::MarkRead { group: view.group })?;
        }
        let rows = lines.iter().map(|line| show::line(view.group, &view.name, line)).collect();
        value(&rows::History { group_id: view.group.to_hex(), group: view.name, rows })
    }

    fn invite(&mut self, group: &str, valid_secs: Option<u64>) -> Answered {
        let group = self.group(group)?.group;
        let valid = valid_secs.map_or(INVITE_VALID_DEFAULT, Duration::from_secs);
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
        let ids: Vec<InviteId> = self.client.invites(group, self.now)?.iter().map(|view| view.id).collect();
        let names: Vec<String> = ids.iter().map(InviteId::to_hex).collect();
        let candidates: Vec<_> = names.iter().map(|id| Candidate { name: "", id }).collect();
        let at = resolve(query, &candidates).map_err(|why| ApiError::unresolved(Named::Invite, why))?;
        let invite = *ids.get(at).ok_or(Error::Broken)?;
        self.done(Command::RevokeInvite { group, invite })
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
            self.command(Command::SetRetention { group: view.group, retention })?;
        }
        value(&rows::Retention { group_id: view.group.to_hex(), retention_secs: retention.as_secs() })
    }

    fn send(&mut self, group: &str, text: Zeroizing<String>, expires_secs: Option<u64>) -> Answered {
        let group = self.group(group)?.group;
        let expires = expires_secs.map(Duration::from_secs);
        let Reply::Message { id, state } = self.command(Command::Send { group, text, expires })? else {
            return Err(Error::Broken.into());
        };
        value(&rows::Sent { id: id.to_hex(), stand: show::stand(state) })
    }

    fn verify(&mut self, group: &str, member: &str, confirm: bool) -> Answered {
        let group = self.group(group)?.group;
        let member = self.member(group, member)?.member;
        if confirm {
            self.command(Command::Verify { group, member, verified: true })?;
        }
        let code = self.client.safety_code(group, member)?;
        let view = self.people(group).into_iter().find(|view| view.member == member).ok_or(Error::UnknownMember)?;
        value(&show::verification(&view, &code))
    }

    fn group_rows(&self) -> Vec<rows::GroupRow> {
        self.client.groups().iter().map(|view| show::group(view, &self.people(view.group))).collect()
    }

    fn people(&self, group: GroupId) -> Vec<MemberView> {
        self.client.members(group).unwrap_or_default()
    }

    fn group(&self, query: &str) -> Result<GroupView, ApiError> {
        let mut views = self.client.groups();
        let ids: Vec<String> = views.iter().map(|view| view.group.to_hex()).collect();
        let candidates: Vec<_> = views.iter().zip(&ids).map(|(view, id)| Candidate { name: &view.name, id }).collect();
        let at = resolve(query, &candidates).map_err(|why| ApiError::unresolved(Named::Group, why))?;
        Ok(views.swap_remove(at))
    }

    fn member(&self, group: GroupId, query: &str) -> Result<MemberView, ApiError> {
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
    rows::Status { version, locked: groups.is_none(), groups: groups.unwrap_or_default() }
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

/// A row as a value.
pub(crate) fn json<T: Serialize>(row: &T) -> Result<Value, ApiError> {
    serde_json::to_value(row).map_err(|_| ApiError::new(ErrorKind::Bug))
}

fn value<T: Serialize>(row: &T) -> Answered {
    json(row).map(Answer::Now)
}
