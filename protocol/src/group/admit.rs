//! Letting somebody in: the invite, the request on a direct link, the commit, the Welcome until it is known to have
//! arrived (PROTOCOL J).

use std::time::Duration;

use zeroize::Zeroizing;

use super::Group;
use super::commits::{CommitRow, Commits};
use super::cx::Cx;
use crate::error::{Error, Refusal};
use crate::id::{CommitId, EpochId, InviteId, LinkId, MemberId};
use crate::identity::Credential;
use crate::journal;
use crate::limits::{EXPIRY_MIN, INVITE_ADDRESSES_MAX, INVITE_VALID_MAX, MEMBERS_MAX, PUSH_BYTES_MAX, READER_KEPT};
use crate::meet::generation::Generation;
use crate::meet::hello::Admission;
use crate::mls;
use crate::persist::{Key, Table};
use crate::step::{Outcome, Reply};
use crate::time::Time;
use crate::wire::control::{Operation, Ticket};
use crate::wire::invite::{self, Invite};
use crate::wire::message::{Bundle, CommitWire, JoinRefusal, Message};

impl Group {
    /// Makes an invite for one person.
    pub(crate) fn invite(&mut self, cx: &mut Cx<'_>, valid: Duration) -> Result<Reply, Error> {
        self.require_active()?;
        self.require_facilitator()?;
        if valid < EXPIRY_MIN || valid > INVITE_VALID_MAX {
            return Err(Error::BadLifetime);
        }
        if self.roster()?.len() >= MEMBERS_MAX || !self.invites.make_room(cx, self.net, &self.welcomes) {
            return Err(Error::Full);
        }
        let expires = cx.now.stamp + valid;
        let (id, seed, answerer) = self.invites.make(cx, self.net, expires);
        let text = Invite {
            seed: Zeroizing::new(seed),
            commitment: invite::commitment(self.id, &self.me.key()),
            answerer,
            // Rounded up: the maker's own clock decides to the second.
            expiry_hour: expires.hour().saturating_add(1),
            hints: self.listening.iter().take(INVITE_ADDRESSES_MAX).cloned().collect(),
        }
        .to_text();
        Ok(Reply::Invite { text, id, expires })
    }

    /// Takes an invite back.
    pub(crate) fn revoke_invite(&mut self, cx: &mut Cx<'_>, id: &InviteId) -> Result<(), Error> {
        self.invites.revoke(cx, self.net, id)
    }

    /// Somebody with an invite wants to come in. The same request gets the same answer, however often it comes.
    pub(crate) fn on_join_request(&mut self, cx: &mut Cx<'_>, id: LinkId, package: &[u8]) -> Result<Outcome, Error> {
        let link = self.links.get(&id).ok_or(Error::Broken)?;
        let Some(Admission::Invite(invite)) = link.admission else {
            return Ok(Outcome::Refused(Refusal::OutOfTurn));
        };
        match self.admit(cx, &invite, package)? {
            Ok(bundle) => {
                self.say(cx, id, &Message::Welcome(Box::new(bundle)));
                Ok(Outcome::Applied(Reply::Done))
            }
            Err(refusal) => {
                self.say(cx, id, &Message::JoinRefused(refusal));
                Ok(Outcome::Refused(refusal.into()))
            }
        }
    }

    fn admit(
        &mut self,
        cx: &mut Cx<'_>,
        invite: &InviteId,
        package: &[u8],
    ) -> Result<Result<Bundle, JoinRefusal>, Error> {
        let Some(credential) = requester(cx, package) else { return Ok(Err(JoinRefusal::Malformed)) };
        let member = credential.member();
        if self.invites.used_by(invite) == Some(member) {
            let key = welcome_key(self, &member);
            return match cx.tx.get(&key)? {
                Some(bytes) => Ok(Ok(journal::parse(&bytes)?)),
                None => Ok(Err(JoinRefusal::Used)),
            };
        }
        // Somebody who was let in by an earlier invite, and whose answer was lost, asks by a new one.
        if self.welcomes.contains(&member)
            && let Some(bytes) = cx.tx.get(&welcome_key(self, &member))?
        {
            return Ok(Ok(journal::parse(&bytes)?));
        }
        if let Err(refusal) = self.invites.check(invite, cx.now.stamp) {
            return Ok(Err(refusal));
        }
        let closed = self.require_active().is_err() || self.require_facilitator().is_err();
        if closed || self.roster()?.len() >= MEMBERS_MAX {
            return Ok(Err(JoinRefusal::Full));
        }
        if self.roster()?.has(&member) {
            return Ok(Err(JoinRefusal::Malformed));
        }
        // Two of one name could not be told apart where it counts; whoever makes its own program can still do it.
        let name = credential.name.to_lowercase();
        if self.roster()?.seats().iter().any(|seat| seat.credential.name.to_lowercase() == name) {
            return Ok(Err(JoinRefusal::NameTaken));
        }
        Ok(self.let_in(cx, invite, member, package)?.ok_or(JoinRefusal::Malformed))
    }

    /// One batch: the invite is spent, the member is in, the Welcome is kept.
    fn let_in(
        &mut self,
        cx: &mut Cx<'_>,
        invite: &InviteId,
        member: MemberId,
        package: &[u8],
    ) -> Result<Option<Bundle>, Error> {
        let mut ticket = self.ticket(Operation::Add, member)?;
        ticket.key_package = Some(package.to_vec());
        let signed = self.me.sign(self.id, &ticket);
        self.execute_with(cx, &ticket, signed)?;
        if !self.roster()?.has(&member) || !self.welcomes.contains(&member) {
            return Ok(None);
        }
        self.invites.spend(cx, self.net, invite, member);
        tracing::trace!(code = "during_join");
        cx.tx.read(&welcome_key(self, &member))
    }

    /// Keeps what those need whom a commit of this device has let in, until they are known to have it; whoever has come
    /// by another branch before, and is here, gets it at once (PROTOCOL J2).
    pub(super) fn keep_welcome(
        &mut self,
        cx: &mut Cx<'_>,
        welcome: Vec<u8>,
        (commit, at, child): (CommitId, Time, EpochId),
        tickets: &[Ticket],
    ) -> Result<(), Error> {
        // The last one that a newcomer is told of is that in which it begins, wherever we stand by now.
        let begins = self.epochs.get(&child).ok_or(Error::Broken)?.generation;
        let bundle = Bundle {
            welcome,
            commit,
            generations: self
                .own_generations()
                .into_iter()
                .filter(|generation| generation.rank() <= begins)
                .map(Generation::to_wire)
                .collect(),
            at,
            inviter: self.me.key(),
            reach: self.known_reach()?,
            commits: self.latest_commits(cx)?,
        };
        for ticket in tickets.iter().filter(|ticket| ticket.operation.adds()) {
            cx.tx.write(welcome_key(self, &ticket.target), &bundle, Some(cx.now.later() + READER_KEPT));
            self.welcomes.insert(ticket.target);
            if ticket.operation == Operation::Swap {
                self.returned.retain(|member, _| self.welcomes.contains(member));
                self.returned.insert(ticket.target, cx.now.wall);
            }
        }
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        links.into_iter().try_for_each(|link| self.offer_welcome(cx, link))
    }

    /// The latest commits, newest first, as many as fit beside a Welcome: with them a newcomer can bring back somebody
    /// who was away when it came, though the founder be gone.
    fn latest_commits(&self, cx: &Cx<'_>) -> Result<Vec<CommitWire>, Error> {
        let (mut commits, mut size) = (Vec::new(), 0_usize);
        for made in self.commits.back_from(self.facts.head) {
            let Some(row) = Commits::row(cx, self.net, &made)? else { continue };
            let moves = row.moves();
            let CommitRow { envelope, .. } = row;
            if envelope.0.is_empty() {
                break;
            }
            size = size.saturating_add(envelope.0.len());
            if size > PUSH_BYTES_MAX {
                break;
            }
            let (parent, commit) = made.step;
            commits.push(CommitWire { parent, commit, child: made.child, envelope, moves });
        }
        Ok(commits)
    }

    /// A newcomer stands where our head comes from: its Welcome is not needed any more.
    pub(crate) fn settle_welcome(&mut self, cx: &mut Cx<'_>, member: MemberId, head: &EpochId) -> Result<(), Error> {
        if !self.is_on_line(head) || !self.welcomes.contains(&member) {
            return Ok(());
        }
        let bundle: Option<Bundle> = cx.tx.read(&welcome_key(self, &member))?;
        if bundle.is_none_or(|bundle| self.has_come_by(&bundle, head)) {
            self.welcomes.remove(&member);
            cx.tx.delete(welcome_key(self, &member));
        }
        Ok(())
    }
}

/// Whom a key package is for, if it is well formed.
pub(super) fn requester(cx: &Cx<'_>, package: &[u8]) -> Option<Credential> {
    let facts = mls::key_package_facts(cx.mls, package).ok()?;
    let credential = Credential::parse(&facts.credential).ok()?;
    (facts.signature_key == credential.device_key).then_some(credential)
}

pub(super) fn welcome_key(group: &Group, member: &MemberId) -> Key {
    Key::new(Table::Welcome, group.net, &[member.as_bytes()])
}

impl From<JoinRefusal> for Refusal {
    fn from(refusal: JoinRefusal) -> Self {
        match refusal {
            JoinRefusal::Expired => Self::InviteExpired,
            JoinRefusal::Full => Self::GroupFull,
            JoinRefusal::Malformed => Self::Malformed,
            JoinRefusal::NameTaken => Self::NameTaken,
            JoinRefusal::Revoked => Self::InviteRevoked,
            JoinRefusal::Used => Self::InviteUsed,
        }
    }
}
