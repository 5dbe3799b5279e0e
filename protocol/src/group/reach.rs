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
/// The wait after a first failed dial; doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait: a member that comes back is found within it.
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Addresses of one member: so many does a device name of itself.
const EACH_MAX: usize = crate::wire::message::OWN_ADDRESSES_MAX;

struct Known {
    member: Option<MemberId>,
    next: Time,
    wait: Duration,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AddressRow {
    #[n(0)]
    address: String,
    #[n(1)]
    member: Option<MemberId>,
}

/// The addresses of one group.
#[derive(Default)]
pub(crate) struct Reach {
    known: BTreeMap<Address, Known>,
}

impl Reach {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let row: AddressRow = journal::parse(bytes)?;
        self.known.insert(Address(row.address), Known { member: row.member, next: Time::ZERO, wait: RETRY_FIRST });
        Ok(())
    }

    /// Learns an address, to be dialled soon; whether it is new.
    pub(crate) fn learn(&mut self, cx: &mut Cx<'_>, net: NetId, address: Address, member: Option<MemberId>) -> bool {
        let fits = !address.0.is_empty() && address.0.len() <= ADDRESS_BYTES_MAX;
        let known = self.known.get(&address);
        // What is known to be somebody's is nobody else's by hearsay, and nobody has more than a few.
        let taken = known.is_some_and(|known| known.member.is_some() || member.is_none());
        let many = member.is_some() && self.known.values().filter(|known| known.member == member).count() >= EACH_MAX;
        if !fits || taken || many {
            return false;
        }
        if known.is_none() && self.known.len() >= ADDRESSES_MAX {
            let Some(worst) = self.known.iter().max_by_key(|(_, known)| known.wait).map(|(worst, _)| worst.clone())
            else {
                return false;
            };
            self.forget(cx, net, &worst);
        }
        let row = AddressRow { address: address.0.clone(), member };
        cx.tx.write(address_key(net, &address), &row, Some(cx.now.sweep + GENERATION_KEPT));
        self.known.insert(address, Known { member, next: cx.now.wall, wait: RETRY_FIRST });
        true
    }

    /// A member says where it listens: its other addresses are history.
    /// Whether any of them is new.
    pub(crate) fn announce(&mut self, cx: &mut Cx<'_>, net: NetId, member: MemberId, addresses: Vec<Address>) -> bool {
        let stale: Vec<_> = self
            .known
            .iter()
            .filter(|(address, known)| known.member == Some(member) && !addresses.contains(address))
            .map(|(address, _)| address.clone())
            .collect();
        for address in stale {
            self.forget(cx, net, &address);
        }
        let mut new = false;
        for address in addresses {
            new |= self.learn(cx, net, address, Some(member));
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
        for known in self.known.values_mut().filter(|known| member.is_none() || known.member == member) {
            known.next = now;
            known.wait = RETRY_FIRST;
        }
    }

    /// All addresses with their members, for a newcomer or a peer.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Address, MemberId)> {
        self.known.iter().filter_map(|(address, known)| Some((address, known.member?)))
    }

    /// Dials what is due, but nobody who is linked, and nobody once there are enough links.
    pub(crate) fn dial(&mut self, cx: &mut Cx<'_>, net: NetId, linked: &BTreeSet<MemberId>, own: &[Address]) {
        if linked.len() >= DEGREE {
            return;
        }
        for (address, known) in &mut self.known {
            let wanted = known.member.is_none_or(|member| !linked.contains(&member)) && !own.contains(address);
            if wanted && known.next <= cx.now.wall {
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
            return None;
        }
        let wanted = |(address, known): &(&Address, &Known)| {
            known.member.is_none_or(|member| !linked.contains(&member)) && !own.contains(address)
        };
        self.known.iter().filter(wanted).map(|(_, known)| known.next).min()
    }
}

fn address_key(net: NetId, address: &Address) -> Key {
    Key::new(Table::Address, net, &[&seal::digest("kinfold address", &[address.0.as_bytes()])])
}
