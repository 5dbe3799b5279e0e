//! The invites that this device made: one person each, until a time, revocable.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use minicbor::{Decode, Encode};

use super::cx::Cx;
use crate::error::Error;
use crate::id::{InviteId, MemberId, NetId};
use crate::journal;
use crate::limits::{INVITES_MAX, READER_KEPT};
use crate::persist::{Key, Table};
use crate::seal::Secret;
use crate::time::Time;
use crate::view::{InviteState, InviteView};
use crate::wire::invite;
use crate::wire::message::{Answerer, JoinRefusal};

/// How long past its time an invite is remembered, so that its holder is told and not left knocking.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(3_600);

#[derive(Clone, Encode, Decode)]
#[cbor(map)]
struct InviteRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    seed: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    answerer: [u8; 32],
    #[n(2)]
    expires: Time,
    #[n(3)]
    revoked: bool,
    /// Who came in by it.
    #[n(4)]
    used: Option<MemberId>,
    /// Until when it is remembered.
    #[n(5)]
    until: Time,
}

/// The invites of one group.
#[derive(Default)]
pub(crate) struct Invites {
    rows: BTreeMap<InviteId, InviteRow>,
}

impl Invites {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let row: InviteRow = journal::parse(bytes)?;
        self.rows.insert(invite::invite_id(&row.seed), row);
        Ok(())
    }

    /// Makes room for one more: what nobody can come in by any more is forgotten first, and of those who came in the
    /// longest ago. Says whether there is room.
    pub(crate) fn make_room(&mut self, cx: &mut Cx<'_>, net: NetId) -> bool {
        let now = cx.now.stamp;
        while self.rows.len() >= INVITES_MAX {
            let spent = self.rows.iter().filter(|(id, _)| self.check(id, now).is_err());
            let Some((id, _)) = spent.min_by_key(|(_, row)| (row.used.is_some(), row.until)) else { return false };
            let id = *id;
            cx.tx.delete(invite_key(net, &id));
            self.rows.remove(&id);
        }
        true
    }

    /// Makes one: its seed, and the hash of the key that will answer it.
    pub(crate) fn make(&mut self, cx: &mut Cx<'_>, net: NetId, expires: Time) -> (InviteId, [u8; 16], [u8; 16]) {
        let (seed, answerer) = (cx.random::<16>(), cx.random::<32>());
        let public = SigningKey::from_bytes(&answerer).verifying_key().to_bytes();
        let row = InviteRow { seed, answerer, expires, revoked: false, used: None, until: expires + REMEMBERED };
        let id = invite::invite_id(&seed);
        self.write(cx, net, id, row);
        (id, seed, invite::answerer_hash(&public))
    }

    fn write(&mut self, cx: &mut Cx<'_>, net: NetId, id: InviteId, row: InviteRow) {
        cx.tx.write(invite_key(net, &id), &row, Some(row.until));
        self.rows.insert(id, row);
    }

    /// Takes one back.
    pub(crate) fn revoke(&mut self, cx: &mut Cx<'_>, net: NetId, id: &InviteId) -> Result<(), Error> {
        let mut row = self.rows.get(id).ok_or(Error::UnknownInvite)?.clone();
        row.revoked = true;
        self.write(cx, net, *id, row);
        Ok(())
    }

    /// Marks one as used by a member, in the batch that lets it in. It leads to the Welcome as long as that is kept.
    pub(crate) fn spend(&mut self, cx: &mut Cx<'_>, net: NetId, id: &InviteId, member: MemberId) {
        if let Some(mut row) = self.rows.get(id).cloned() {
            row.used = Some(member);
            row.until = row.until.max(cx.now.sweep + READER_KEPT);
            self.write(cx, net, *id, row);
        }
    }

    /// Who came in by one.
    pub(crate) fn used_by(&self, id: &InviteId) -> Option<MemberId> {
        self.rows.get(id).and_then(|row| row.used)
    }

    /// Whether one is good for letting somebody in now.
    pub(crate) fn check(&self, id: &InviteId, now: Time) -> Result<(), JoinRefusal> {
        let row = self.rows.get(id).ok_or(JoinRefusal::Expired)?;
        if row.used.is_some() {
            Err(JoinRefusal::Used)
        } else if row.revoked {
            Err(JoinRefusal::Revoked)
        } else if row.expires <= now {
            Err(JoinRefusal::Expired)
        } else {
            Ok(())
        }
    }

    /// What a hello may prove.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (InviteId, Secret)> + '_ {
        self.rows.iter().map(|(id, row)| (*id, invite::invite_key(&row.seed)))
    }

    /// Our word, over a channel, that we may answer an invite.
    pub(crate) fn answer(&self, id: &InviteId, binding: &[u8; 32]) -> Option<Answerer> {
        let key = SigningKey::from_bytes(&self.rows.get(id)?.answerer);
        Some(Answerer { key: key.verifying_key().to_bytes(), signature: key.sign(binding).to_bytes() })
    }

    /// For a list.
    pub(crate) fn views(&self, now: Time) -> Vec<InviteView> {
        let view = |(id, row): (&InviteId, &InviteRow)| {
            let state = match self.check(id, now) {
                Ok(()) => InviteState::Open,
                Err(JoinRefusal::Used) => InviteState::Used,
                Err(JoinRefusal::Revoked) => InviteState::Revoked,
                Err(_) => InviteState::Expired,
            };
            InviteView { id: *id, expires: row.expires, state }
        };
        self.rows.iter().map(view).collect()
    }

    /// Forgets the ones long past their time.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) {
        self.rows.retain(|id, row| {
            let keep = row.until > cx.now.sweep;
            if !keep {
                cx.tx.delete(invite_key(net, id));
            }
            keep
        });
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.rows.values().map(|row| row.until).min()
    }
}

fn invite_key(net: NetId, id: &InviteId) -> Key {
    Key::new(Table::Invite, net, &[id.as_bytes()])
}
