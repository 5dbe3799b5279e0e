//! Where the other members can be reached, and whom to dial next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};
use rand_core::RngCore as _;

use super::cx::Cx;
use crate::error::Error;
use crate::id::{MemberId, NetId};
use crate::journal;
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, GENERATION_KEPT};
use crate::persist::{Key, Table};
use crate::seal;
use crate::step::{Address, Transmit};
use crate::time::Time;

/// Links that a device dials and keeps: as many dial it, and gossip reaches the others through these. However many dial
/// it, these are of its own choice.
pub(crate) const DIALLED: usize = 4;
/// How long a dial may take before another is made in its place: a hello on a slow line.
const DIAL_MAX: Duration = Duration::from_secs(2);
/// How often somebody else is dialled in place of one of them: a large group that fell apart into halves, each with links
/// enough of its own, would never meet again.
const WANDER_EVERY: Duration = Duration::from_secs(600);
/// The wait after a first failed dial; doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait: a member that comes back is found within it.
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Addresses of one member: so many does a device name of itself.
const EACH_MAX: usize = crate::wire::message::OWN_ADDRESSES_MAX;

struct Known {
    /// Whose it is, by their own word or by hearsay. Nobody can take it from another.
    members: BTreeSet<MemberId>,
    /// Those of them who have said so themselves.
    sure: BTreeSet<MemberId>,
    next: Time,
    wait: Duration,
    /// Until when it may be on its way to becoming a link.
    dialled: Time,
    /// Whether somebody greeted there when it was last dialled.
    answers: bool,
}

/// Whom there is no need to dial.
pub(crate) struct Ties {
    /// Who is linked, or has no business here now.
    pub(crate) members: BTreeSet<MemberId>,
    /// How many of them were dialled.
    pub(crate) dialled: usize,
    /// Where this device listens.
    pub(crate) own: BTreeSet<Address>,
}

impl Ties {
    fn wants(&self, address: &Address, known: &Known) -> bool {
        let elsewhere = known.members.is_empty() || known.members.iter().any(|member| !self.members.contains(member));
        elsewhere && !self.own.contains(address)
    }

    fn are_enough(&self) -> bool {
        self.dialled >= DIALLED
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AddressRow {
    #[n(0)]
    address: String,
    #[n(1)]
    members: Vec<MemberId>,
    #[n(2)]
    sure: Option<Vec<MemberId>>,
}

/// The addresses of one group.
#[derive(Default)]
pub(crate) struct Reach {
    known: BTreeMap<Address, Known>,
    /// When somebody is dialled although there are enough links.
    wander: Time,
}

impl Reach {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let row: AddressRow = journal::parse(bytes)?;
        let members: BTreeSet<_> = row.members.into_iter().collect();
        let sure = row.sure.map_or_else(|| members.clone(), |sure| sure.into_iter().collect());
        self.known.insert(Address(row.address), Known::new(members, sure, Time::ZERO));
        Ok(())
    }

    /// Learns an address by hearsay, or from the own person, to be dialled soon. It takes no place from what a member
    /// said itself, and what was heard and has not led anywhere makes room for it.
    pub(crate) fn learn(&mut self, cx: &mut Cx<'_>, net: NetId, address: Address, member: Option<MemberId>) -> bool {
        let known = self.known.get(&address);
        if known.is_some_and(|known| member.is_none_or(|member| known.members.contains(&member))) {
            return false;
        }
        if let Some(member) = member
            && self.count(&member) >= EACH_MAX
        {
            let Some(vain) = self.in_vain(|known| known.members.contains(&member) && !known.sure.contains(&member))
            else {
                return false;
            };
            self.disown(cx, net, &vain, &member);
        }
        self.add(cx, net, address, member, false)
    }

    /// How many addresses a member has.
    fn count(&self, member: &MemberId) -> usize {
        self.known.values().filter(|known| known.members.contains(member)).count()
    }

    /// Of some addresses, the one that was tried in vain for the longest.
    fn in_vain(&self, of: impl Fn(&Known) -> bool) -> Option<Address> {
        let vain = |known: &Known| known.wait > RETRY_FIRST && !known.answers;
        let tried = self.known.iter().filter(|(_, known)| vain(known) && of(known));
        tried.max_by_key(|(_, known)| known.wait).map(|(address, _)| address.clone())
    }

    fn add(&mut self, cx: &mut Cx<'_>, net: NetId, address: Address, member: Option<MemberId>, sure: bool) -> bool {
        let fits = !address.0.is_empty() && address.0.len() <= ADDRESS_BYTES_MAX;
        // Nobody has more than a few.
        if !fits || member.is_some_and(|member| self.count(&member) >= EACH_MAX) {
            return false;
        }
        if !self.known.contains_key(&address) && self.known.len() >= ADDRESSES_MAX {
            // What was only heard goes first; and what is only heard drives out nothing else.
            let heard = self.in_vain(Known::is_heard);
            let vain = |(_, known): &(&Address, &Known)| (!known.answers, known.wait);
            let longest = || self.known.iter().max_by_key(vain).map(|(address, _)| address.clone());
            let worst = if sure || member.is_none() { heard.or_else(longest) } else { heard };
            let Some(worst) = worst else { return false };
            self.forget(cx, net, &worst);
        }
        let fresh = Known::new(BTreeSet::new(), BTreeSet::new(), cx.now.wall);
        let known = self.known.entry(address.clone()).or_insert(fresh);
        known.members.extend(member);
        known.sure.extend(member.filter(|_| sure));
        (known.next, known.wait) = (cx.now.wall, RETRY_FIRST);
        keep(cx, net, &address, known);
        true
    }

    /// An address is a member's no longer.
    fn disown(&mut self, cx: &mut Cx<'_>, net: NetId, address: &Address, member: &MemberId) {
        let Some(known) = self.known.get_mut(address) else { return };
        known.members.remove(member);
        known.sure.remove(member);
        if known.members.is_empty() {
            self.forget(cx, net, address);
        } else {
            keep(cx, net, address, known);
        }
    }

    /// A member says where it listens: its other addresses are history.
    /// Whether any of them is new.
    pub(crate) fn announce(&mut self, cx: &mut Cx<'_>, net: NetId, member: MemberId, addresses: Vec<Address>) -> bool {
        let stale: Vec<_> = self
            .known
            .iter()
            .filter(|(address, known)| known.members.contains(&member) && !addresses.contains(address))
            .map(|(address, _)| address.clone())
            .collect();
        for address in stale {
            self.disown(cx, net, &address, &member);
        }
        let mut new = false;
        for address in addresses {
            match self.known.get_mut(&address) {
                Some(known) if known.members.contains(&member) => {
                    known.sure.insert(member);
                    keep(cx, net, &address, known);
                }
                _ => new |= self.add(cx, net, address, Some(member), true),
            }
        }
        new
    }

    /// Forgets every address of a member who is out.
    pub(crate) fn forget_member(&mut self, cx: &mut Cx<'_>, net: NetId, member: MemberId) {
        self.announce(cx, net, member, Vec::new());
    }

    fn forget(&mut self, cx: &mut Cx<'_>, net: NetId, address: &Address) {
        self.known.remove(address);
        cx.tx.delete(address_key(net, address));
    }

    /// A link over this address is up.
    pub(crate) fn worked(&mut self, address: &Address) {
        if let Some(known) = self.known.get_mut(address) {
            known.answers = true;
        }
    }

    /// Everything may be tried again at once: a link is down, or a person asks.
    pub(crate) fn retry(&mut self, now: Time, member: Option<MemberId>) {
        self.wander = self.wander.min(now + WANDER_EVERY);
        let of = |known: &Known| member.is_none_or(|member| known.members.contains(&member));
        for known in self.known.values_mut().filter(|known| of(known)) {
            (known.next, known.wait, known.dialled) = (now, RETRY_FIRST, Time::ZERO);
        }
    }

    /// All addresses with their members, for a newcomer or a peer.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Address, MemberId)> {
        self.known.iter().flat_map(|(address, known)| known.members.iter().map(move |member| (address, *member)))
    }

    /// Dials what is due, but nobody who is linked, and hardly anybody once there are enough links.
    pub(crate) fn dial(&mut self, cx: &mut Cx<'_>, net: NetId, ties: &Ties) {
        let now = cx.now.wall;
        let enough = ties.are_enough();
        if enough && self.wander > now {
            return;
        }
        let room = if enough { 1 } else { self.room(ties, now) };
        self.wander = now + WANDER_EVERY;
        let due = self.known.iter_mut().filter(|(address, known)| ties.wants(address, known));
        let mut due: Vec<_> = due
            .filter(|(_, known)| enough || known.next <= now)
            .map(|(address, known)| (cx.rng.next_u32(), address, known))
            .collect();
        // Hearsay last, and who was tried in vain after the others; these in no order: else all would dial the same.
        due.sort_by_key(|(random, _, known)| match enough {
            true => (false, RETRY_FIRST, *random),
            false => (known.is_heard(), known.wait, *random),
        });
        for (random, address, known) in due.into_iter().take(room) {
            known.next = now + known.wait + Duration::from_millis(u64::from(random % 500));
            known.wait = known.wait.saturating_mul(2).min(RETRY_LAST);
            (known.dialled, known.answers) = (now + DIAL_MAX, false);
            cx.transmits.push(Transmit::Dial { net, address: address.clone() });
        }
    }

    /// A dial has come to nothing: another may be made in its place.
    pub(crate) fn failed(&mut self, address: &Address) {
        if let Some(known) = self.known.get_mut(address) {
            known.dialled = Time::ZERO;
        }
    }

    /// How many more may be dialled now.
    fn room(&self, ties: &Ties, now: Time) -> usize {
        DIALLED.saturating_sub(ties.dialled).saturating_sub(self.under_way(ties, now).count())
    }

    /// When what was dialled, and is no link yet, is waited for no longer.
    fn under_way(&self, ties: &Ties, now: Time) -> impl Iterator<Item = Time> {
        let dialled = self.known.iter().filter(|(address, known)| ties.wants(address, known));
        dialled.map(|(_, known)| known.dialled).filter(move |until| *until > now)
    }

    /// When [`Self::dial`] has something to do.
    pub(crate) fn deadline(&self, ties: &Ties, now: Time) -> Option<Time> {
        if ties.are_enough() {
            return Some(self.wander);
        }
        if self.room(ties, now) == 0 {
            return self.under_way(ties, now).min();
        }
        self.known.iter().filter(|(address, known)| ties.wants(address, known)).map(|(_, known)| known.next).min()
    }
}

impl Known {
    const fn new(members: BTreeSet<MemberId>, sure: BTreeSet<MemberId>, next: Time) -> Self {
        Self { members, sure, next, wait: RETRY_FIRST, dialled: Time::ZERO, answers: false }
    }

    /// Whether nobody has said of themselves that they are there, nor the own person.
    fn is_heard(&self) -> bool {
        self.sure.is_empty() && !self.members.is_empty()
    }
}

/// What was heard of again lives on.
fn keep(cx: &mut Cx<'_>, net: NetId, address: &Address, known: &Known) {
    let all = |members: &BTreeSet<MemberId>| members.iter().copied().collect();
    let row = AddressRow { address: address.0.clone(), members: all(&known.members), sure: Some(all(&known.sure)) };
    cx.tx.write(address_key(net, address), &row, Some(cx.now.later() + GENERATION_KEPT));
}

fn address_key(net: NetId, address: &Address) -> Key {
    Key::new(Table::Address, net, &[&seal::digest("kinfold address", &[address.0.as_bytes()])])
}
