//! Where members can be reached: told to each other, and dialled.

use std::collections::BTreeSet;

use super::Group;
use super::cx::Cx;
use super::reach::Ties;
use crate::error::Error;
use crate::id::{LinkId, MemberId};
use crate::limits::ADDRESS_BYTES_MAX;
use crate::step::{Address, Transmit};
use crate::time::Time;
use crate::wire::message::{Message, Reach};

impl Group {
    pub(super) fn on_addresses(&mut self, cx: &mut Cx<'_>, id: LinkId, reach: &[Reach]) {
        let from = self.member_at(id);
        let mine = |entry: &&Reach| entry.member == self.me.member();
        let known = |entry: &&Reach| self.roster().is_ok_and(|roster| roster.has(&entry.member));
        let (own, others): (Vec<_>, Vec<_>) = reach
            .iter()
            .filter(|entry| !mine(entry) && known(entry))
            .cloned()
            .partition(|entry| from == Some(entry.member));
        for Reach { member, address } in others {
            self.reach.learn(cx, self.net, Address(address), Some(member));
        }
        // At first hand only: passed on once, an address cannot go round in circles.
        let addresses: Vec<_> = own.iter().map(|entry| Address(entry.address.clone())).collect();
        let mut news = Vec::new();
        if let Some(member) = from.filter(|_| !addresses.is_empty())
            && self.reach.announce(cx, self.net, member, addresses)
        {
            news = own;
        }
        self.pass_on(cx, id, &news);
        self.dial(cx);
    }

    /// Who was linked here before has heard nothing of a member that came only now.
    fn pass_on(&mut self, cx: &mut Cx<'_>, from: LinkId, news: &[Reach]) {
        for other in self.full_links().into_iter().filter(|other| *other != from && !news.is_empty()) {
            self.say(cx, other, &Message::Addresses(news.to_vec()));
        }
    }

    pub(super) fn say_addresses(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let reach = self.known_reach()?;
        self.say(cx, id, &Message::Addresses(reach));
        Ok(())
    }

    /// Where members can be reached, this device first.
    pub(crate) fn known_reach(&self) -> Result<Vec<Reach>, Error> {
        let roster = self.roster()?;
        let own = self.listening.iter().map(|address| (address, self.me.member()));
        let entry = |(address, member): (&Address, MemberId)| Reach { member, address: address.0.clone() };
        let known = own.chain(self.reach.all()).filter(|(_, member)| roster.has(member));
        Ok(known.map(entry).take(crate::limits::ADDRESSES_MAX).collect())
    }

    /// Whom not to dial; whoever is muted comes back by itself.
    pub(crate) fn ties(&self, now: Time) -> Ties {
        let ties = self.links.values().filter(|link| link.full || link.withheld_until().is_some_and(|at| at > now));
        let linked: Vec<(MemberId, bool)> =
            ties.filter_map(|link| Some((link.member?, link.address.is_some()))).collect();
        let dialled: BTreeSet<_> = linked.iter().filter(|(_, dialled)| *dialled).map(|(member, _)| *member).collect();
        let members = linked.iter().map(|(member, _)| *member).chain(self.conduct.muted()).collect();
        Ties { members, dialled: dialled.len(), own: self.listening.iter().cloned().collect() }
    }

    /// Dials what is due.
    pub(crate) fn dial(&mut self, cx: &mut Cx<'_>) {
        let ties = self.ties(cx.now.wall);
        self.reach.dial(cx, self.net, &ties);
    }

    /// Nobody answered there: another is dialled.
    pub(crate) fn on_dial_failed(&mut self, cx: &mut Cx<'_>, address: &Address) {
        self.reach.failed(address);
        self.dial(cx);
    }

    /// An address typed by hand.
    pub(crate) fn connect(&mut self, cx: &mut Cx<'_>, address: Address) -> Result<(), Error> {
        self.require_active()?;
        if address.0.is_empty() || address.0.len() > ADDRESS_BYTES_MAX {
            return Err(Error::BadAddress);
        }
        cx.transmit(Transmit::Dial { net: self.net, address: address.clone() });
        self.reach.learn(cx, self.net, address, None);
        Ok(())
    }
}
