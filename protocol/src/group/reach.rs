//! Where the other members can be reached, and whom to dial next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use crate::error::Error;
use crate::id::{MemberId, NetId};
use crate::journal;
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, GENERATION_KEPT};
use crate::persist::{Key, Table};
use crate::seal;
use crate::step::{Address, Transmit};
use crate::time::Time;

/// Members that a device keeps links to: gossip reaches the others through these.
const DEGREE: usize = 8;
/// How often somebody beyond them is dialled: a large group that fell apart into halves, each with links enough of its
/// own, would never meet again.
const WANDER_EVERY: Duration = Duration::from_secs(600);
/// The wait after a first failed dial; doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait: a member that comes back is found within it.
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Addresses of one member: so many does a device name of itself.
const EACH_MAX: usize = crate::wire::message::OWN_ADDRESSES_MAX;

struct Known {
    /// Whose it is, by their own word, or by hearsay if nobody has said so. Nobody can take it from another.
    members: BTreeSet<MemberId>,
    next: Time,
    wait: Duration,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AddressRow {
    #[n(0)]
    address: String,
    #[n(1)]
    members: Vec<MemberId>,
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
        let members = row.members.into_iter().collect();
        self.known.insert(Address(row.address), Known { members, next: Time::ZERO, wait: RETRY_FIRST });
        Ok(())
    }

    /// Learns an address by hearsay, to be dialled soon: what is known to be somebody's is nobody else's then.
    pub(crate) fn learn(&mut self, cx: &mut Cx<'_>, net: NetId, address: Address, member: Option<MemberId>) -> bool {
        let known = self.known.get(&address);
        let taken = known.is_some_and(|known| !known.members.is_empty() || member.is_none());
        !taken && self.add(cx, net, address, member)
    }

    fn add(&mut self, cx: &mut Cx<'_>, net: NetId, address: Address, member: Option<MemberId>) -> bool {
        let fits = !address.0.is_empty() && address.0.len() <= ADDRESS_BYTES_MAX;
        let of = |member: &MemberId| self.known.values().filter(|known| known.members.contains(member)).count();
        let known = self.known.get(&address);
        // Nobody has more than a few.
        if !fits || member.is_some_and(|member| of(&member) >= EACH_MAX) {
            return false;
        }
        let mut members = known.map(|known| known.members.clone()).unwrap_or_default();
        members.extend(member);
        if known.is_none() && self.known.len() >= ADDRESSES_MAX {
            let Some(worst) = self.known.iter().max_by_key(|(_, known)| known.wait).map(|(worst, _)| worst.clone())
            else {
                return false;
            };
            self.forget(cx, net, &worst);
        }
        keep(cx, net, &address, &members);
        self.known.insert(address, Known { members, next: cx.now.wall, wait: RETRY_FIRST });
        true
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
            let Some(known) = self.known.get_mut(&address) else { continue };
            known.members.remove(&member);
            if known.members.is_empty() {
                self.forget(cx, net, &address);
            } else {
                keep(cx, net, &address, &known.members);
            }
        }
        let mut new = false;
        for address in addresses {
            match self.known.get(&address) {
                Some(known) if known.members.contains(&member) => keep(cx, net, &address, &known.members),
                _ => new |= self.add(cx, net, address, Some(member)),
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
            known.wait = RETRY_FIRST;
        }
    }

    /// Everything may be tried again at once: a link is down, or a person asks.
    pub(crate) fn retry(&mut self, now: Time, member: Option<MemberId>) {
        self.wander = self.wander.min(now + WANDER_EVERY);
        let of = |known: &Known| member.is_none_or(|member| known.members.contains(&member));
        for known in self.known.values_mut().filter(|known| of(known)) {
            known.next = now;
            known.wait = RETRY_FIRST;
        }
    }

    /// All addresses with their members, for a newcomer or a peer.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Address, MemberId)> {
        self.known.iter().flat_map(|(address, known)| known.members.iter().map(move |member| (address, *member)))
    }

    /// Dials what is due, but nobody who is linked, and nobody once there are enough links.
    pub(crate) fn dial(&mut self, cx: &mut Cx<'_>, net: NetId, linked: &BTreeSet<MemberId>, own: &[Address]) {
        let wanted = |address: &Address, known: &Known| known.is_elsewhere(linked) && !own.contains(address);
        let enough = linked.len() >= DEGREE;
        let mut one = None;
        if enough {
            if self.wander > cx.now.wall {
                return;
            }
            self.wander = cx.now.wall + WANDER_EVERY;
            let others: Vec<_> = self.known.iter().filter(|(address, known)| wanted(address, known)).collect();
            let pick = usize::try_from(rand_core::RngCore::next_u32(cx.rng)).unwrap_or(0).checked_rem(others.len());
            one = pick.and_then(|at| others.get(at)).map(|(address, _)| (*address).clone());
        }
        for (address, known) in &mut self.known {
            let chosen = if enough { one.as_ref() == Some(address) } else { known.next <= cx.now.wall };
            if chosen && wanted(address, known) {
                let jitter = Duration::from_millis(u64::from(rand_core::RngCore::next_u32(cx.rng) % 500));
                known.next = cx.now.wall + known.wait + jitter;
                known.wait = known.wait.saturating_mul(2).min(RETRY_LAST);
                cx.transmits.push(Transmit::Dial { net, address: address.clone() });
            }
        }
    }

    /// When [`Self::dial`] has something to do.
    pub(crate) fn deadline(&self, linked: &BTreeSet<MemberId>, own: &[Address]) -> Option<Time> {
        if linked.len() >= DEGREE {
            return Some(self.wander);
        }
        let wanted = |(address, known): &(&Address, &Known)| known.is_elsewhere(linked) && !own.contains(address);
        self.known.iter().filter(wanted).map(|(_, known)| known.next).min()
    }
}

impl Known {
    /// Whether somebody may be there who is not linked.
    fn is_elsewhere(&self, linked: &BTreeSet<MemberId>) -> bool {
        self.members.is_empty() || self.members.iter().any(|member| !linked.contains(member))
    }
}

/// What was heard of again lives on.
fn keep(cx: &mut Cx<'_>, net: NetId, address: &Address, members: &BTreeSet<MemberId>) {
    let row = AddressRow { address: address.0.clone(), members: members.iter().copied().collect() };
    cx.tx.write(address_key(net, address), &row, Some(cx.now.later() + GENERATION_KEPT));
}

fn address_key(net: NetId, address: &Address) -> Key {
    Key::new(Table::Address, net, &[&seal::digest("kinfold address", &[address.0.as_bytes()])])
}
