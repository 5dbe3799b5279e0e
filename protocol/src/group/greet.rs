//! The hello of two members: who each is, where it stands, which generation it holds, and when the two agree (PROTOCOL
//! M2).

use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::link::Link;
use super::links::{INVITED_MAX, REMOVED_MAX};
use crate::clock;
use crate::error::{Error, Refusal};
use crate::id::LinkId;
use crate::identity::Credential;
use crate::meet::hello::Admission;
use crate::step::{Outcome, Reply, Transmit};
use crate::wire::message::{Greeting, Head, Message, Proof};

/// How long own messages wait for the changes that a peer has and we lack: longer than a push takes, and no longer,
/// for a peer may claim what it likes.
pub(super) const CATCH_UP_MAX: Duration = Duration::from_secs(5);

impl Group {
    fn own_head(&self) -> Result<Head, Error> {
        Ok(Head { epoch: self.facts.head, number: self.head()?.number, since: self.facts.since })
    }

    /// The channel of a link is sealed: we greet.
    pub(crate) fn on_sealed(&mut self, cx: &mut Cx<'_>, id: LinkId, admission: Admission) -> Result<(), Error> {
        let (head, newest) = (self.own_head()?, self.newest()?.rank());
        let link = self.links.get_mut(&id).ok_or(Error::Broken)?;
        link.admission = Some(admission);
        let mut greeting =
            Greeting { clock: cx.now.shown_to_peers(), member: None, head: None, answerer: None, newest: true };
        match admission {
            Admission::Invite(invite) => {
                link.keep();
                link.closes.get_or_insert(cx.now.wall + INVITED_MAX);
                cx.transmit(Transmit::Known { link: id });
                let binding = link.talk.binding("answerer", true).ok_or(Error::Broken)?;
                greeting.answerer = self.invites.answer(&invite, &binding);
            }
            Admission::Member(rank) => {
                link.shown = Some(rank);
                link.catch_up = rank != newest;
                let binding = link.talk.binding("member", true).ok_or(Error::Broken)?;
                let credential = self.me.credential.encode();
                greeting.member = Some(Proof { credential, signature: self.me.sign_hash(&binding) });
                greeting.head = Some(head);
                link.greeted_from = Some(head.epoch);
                greeting.newest = rank == newest;
            }
        }
        self.say(cx, id, &Message::Greeting(Box::new(greeting)));
        if matches!(admission, Admission::Invite(_)) {
            self.make_room(cx, id);
        }
        self.prove(cx, id)
    }

    /// Proves our newest generation, if that is newer than what this link has seen of us.
    fn prove(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let newest = self.newest()?;
        let (rank, key) = (newest.rank(), newest.hello_key());
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        if !matches!(link.admission, Some(Admission::Member(_))) || link.shown == Some(rank) {
            return Ok(());
        }
        link.shown = Some(rank);
        let proof = link.talk.proof(&key, true).ok_or(Error::Broken)?;
        self.say(cx, id, &Message::Prove(proof));
        Ok(())
    }

    /// A peer greets.
    pub(crate) fn on_greeting(&mut self, cx: &mut Cx<'_>, id: LinkId, greeting: &Greeting) -> Result<Outcome, Error> {
        let link = self.links.get_mut(&id).ok_or(Error::Broken)?;
        let proved = greeting.member.as_ref().and_then(|proof| {
            let credential = Credential::parse(&proof.credential).ok()?;
            let binding = link.talk.binding("member", false)?;
            credential.member_key.verifies(&binding, &proof.signature).then_some(credential.member())
        });
        let (Some(member), Some(head), Some(Admission::Member(rank))) = (proved, greeting.head, link.admission) else {
            self.close(cx, id);
            return Ok(Outcome::Refused(Refusal::BadSeal));
        };
        link.keep();
        link.member = Some(member);
        link.head = Some(head);
        link.catch_up |= !greeting.newest;
        link.proved = link.proved.max(Some(rank));
        let (address, greeted_from) = (link.address.clone(), link.greeted_from);
        cx.transmit(Transmit::Known { link: id });
        self.make_room(cx, id);
        if self.roster()?.has(&member) {
            // Between the two greetings nobody could tell the peer of a move: it would wait for heads to agree.
            if greeted_from != Some(self.facts.head) {
                let own_head = self.own_head()?;
                self.say(cx, id, &Message::Head(own_head));
            }
            cx.heard_clock(self.net, member, greeting.clock);
            if clock::is_possible(greeting.clock) {
                self.begin_no_later_than(cx, greeting.clock.min(cx.now.stamp));
            }
            if let Some(address) = address {
                self.reach.worked(&address);
            }
            self.settle_welcome(cx, member, &head.epoch)?;
            self.meet(cx, id, member)?;
        }
        // First of all: nothing is sealed while the peer knows of a later head.
        self.ask_after(cx, id);
        self.weigh(cx, id)?;
        // Our own greeting may have left before the latest commit: whoever is behind need not know it.
        if head.number < self.head()?.number {
            self.on_after(cx, id, &head.epoch)?;
        }
        Ok(Outcome::Applied(Reply::Done))
    }

    /// A peer proves a generation.
    pub(crate) fn on_proof(&mut self, cx: &mut Cx<'_>, id: LinkId, proof: [u8; 16]) -> Result<(), Error> {
        if let Some(link) = self.links.get_mut(&id) {
            link.unread_proof = Some(proof);
        }
        self.weigh(cx, id)
    }

    /// A peer has moved on.
    pub(crate) fn on_head(&mut self, cx: &mut Cx<'_>, id: LinkId, head: Head) -> Result<(), Error> {
        if let Some(link) = self.links.get_mut(&id) {
            // What led it there may lead nowhere from where we stand: that is no reason not to ask for more.
            if link.head.replace(head).is_none_or(|before| before.epoch != head.epoch) {
                link.asked_after = None;
            }
        }
        self.compare_again(cx, id);
        self.follow(cx);
        self.weigh(cx, id)?;
        // It may have come over to us: nothing is waited for then.
        self.seal_intents(cx)
    }

    /// Whether a peer stands on a state that we do not know and that is no earlier than ours.
    pub(super) fn is_ahead(&self, link: &Link) -> bool {
        let number = self.head().map_or(u64::MAX, |head| head.number);
        link.head.is_some_and(|theirs| theirs.number >= number && self.epochs.get(&theirs.epoch).is_none())
    }

    /// Asks a peer that is ahead for the commits after our head, once for each head.
    pub(crate) fn ask_after(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let head = self.facts.head;
        let asks = |link: &Link| self.is_ahead(link) && link.asked_after != Some(head);
        if !self.links.get(&id).is_some_and(asks) {
            return;
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.asked_after = Some(head);
            link.catches_up = Some(cx.now.wall + CATCH_UP_MAX);
        }
        self.say(cx, id, &Message::After(head));
    }

    /// Asks a peer how it came to where it stands, once, if that is a shorter branch which is not known here: it may be the
    /// better one all the same. What is from before our time is no branch.
    fn ask_how(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let first = self.epochs.iter().map(|(_, epoch)| epoch.number).min();
        let Some(theirs) = self.links.get(&id).filter(|link| !self.is_ahead(link)).and_then(|link| link.head) else {
            return;
        };
        if self.epochs.get(&theirs.epoch).is_some() || first.is_none_or(|first| theirs.number <= first) {
            return;
        }
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.asked_after != Some(theirs.epoch)) {
            link.asked_after = Some(theirs.epoch);
            self.say(cx, id, &Message::After(theirs.epoch));
        }
    }

    /// Asks a peer who is on a branch of its own for that, once for each head.
    pub(super) fn ask_for_branch(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let head = self.facts.head;
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.asked_after != Some(head)) {
            link.asked_after = Some(head);
            self.say(cx, id, &Message::After(head));
        }
    }

    /// Asks somebody who is ahead for what we lack, one at a time: others will have moved by the same commits.
    pub(crate) fn follow(&mut self, cx: &mut Cx<'_>) {
        let head = self.facts.head;
        let next = self.links.iter().find(|(_, link)| self.is_ahead(link) && link.asked_after != Some(head));
        // Who is no member, or has claimed something in vain, holds nobody up.
        let leads = |member| !self.vain_claims.contains(&member) && self.roster().is_ok_and(|all| all.has(&member));
        let under_way = self.links.values().any(|link| link.catches_up.is_some() && link.member.is_some_and(leads));
        if let Some(next) = next.map(|(next, _)| *next).filter(|_| !under_way) {
            self.ask_after(cx, next);
        }
    }

    /// A peer did not lead us to where it stands in time: the next one that is ahead is asked, and messages wait only
    /// for that.
    pub(crate) fn give_up_on(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        if let Some(link) = self.links.get_mut(&id) {
            link.catches_up = None;
        }
        // What led it there may be of no use here: how it came there is.
        if let Some(theirs) = self.links.get(&id).and_then(|link| link.head) {
            self.say(cx, id, &Message::After(theirs.epoch));
        }
        let member = self.member_at(id);
        self.vain_claims.extend(member.filter(|member| self.roster().is_ok_and(|roster| roster.has(member))));
        self.follow(cx);
        self.seal_intents(cx)
    }

    /// Decides anew what may flow on a link: after its greeting, a proof, or a new head.
    pub(crate) fn weigh(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let (newest, hello_key) = (self.newest()?.rank(), self.newest()?.hello_key());
        let head = self.facts.head;
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let Some(member) = link.member else { return Ok(()) };
        if link.unread_proof.is_some() && link.unread_proof == link.talk.proof(&hello_key, false) {
            link.unread_proof = None;
            link.proved = Some(newest);
        }
        let proved = link.proved == Some(newest);
        link.catch_up |= !proved;
        let agrees = !link.catch_up || link.head.is_some_and(|theirs| theirs.epoch == head);
        let ahead = self.links.get(&id).is_some_and(|link| self.is_ahead(link));
        let known = self.roster()?.has(&member);
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        if !ahead {
            link.catches_up = None;
        }
        if !known {
            // A member who is out is shown its removal, and nothing else; one of whom we do not know yet gets a minute.
            let wait = if ahead { INVITED_MAX } else { REMOVED_MAX };
            link.closes.get_or_insert(cx.now.wall + wait);
            // Whoever was here, or on a branch that was left, sees which way was taken and who stands by that.
            if self.has_a_say(&member) {
                self.tell_controls(cx, id)?;
                self.say_line(cx, id)?;
            }
            return Ok(());
        }
        link.keep();
        self.ask_how(cx, id);
        self.tell_controls(cx, id)?;
        self.offer_welcome(cx, id)?;
        if proved && agrees && !self.conduct.is_muted(&member) {
            self.become_full(cx, id)?;
        }
        self.say_blind(cx, id);
        Ok(())
    }

    /// Tells the tickets and votes, once.
    fn tell_controls(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let told = self.links.get_mut(&id).is_none_or(|link| std::mem::replace(&mut link.has_controls, true));
        if told { Ok(()) } else { self.say_controls(cx, id) }
    }

    /// The head has moved: every member hears of it, and every link is weighed anew.
    pub(crate) fn weigh_all(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let newest = self.newest_rank();
        let own_head = self.own_head()?;
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.links.get(&id) else { continue };
            let member = link.member.is_some_and(|member| self.roster().is_ok_and(|roster| roster.has(&member)));
            if link.full && !(link.proved == newest && member) {
                self.withhold(cx, id);
            }
            self.prove(cx, id)?;
            if member {
                self.say(cx, id, &Message::Head(own_head));
            }
            self.weigh(cx, id)?;
        }
        Ok(())
    }
}
