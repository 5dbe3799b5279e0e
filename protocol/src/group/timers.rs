//! What time brings: sweeping, topics that change with the day, and when to come back.

use std::time::Duration;

use super::cx::Cx;
use super::link::Link;
use super::{Group, StandingRow, TOPICS_KEPT};
use crate::error::Error;
use crate::meet::generation::Generation;
use crate::step::{Event, MessageState, Transmit};
use crate::time::Time;

impl Group {
    /// Subscribes to the topics of today and its neighbours, and for a while to those of the generation before.
    pub(crate) fn refresh_topics(&mut self, cx: &mut Cx<'_>) {
        let (day, now) = (cx.now.stamp.day(), cx.now.stamp);
        let Ok(newest) = self.newest() else { return };
        let recent = self.handovers().find(|(_, at)| *at > now).map(|(generation, _)| generation);
        let topics: Vec<_> = std::iter::once(newest)
            .chain(recent)
            .flat_map(|generation| [day.saturating_sub(1), day, day.saturating_add(1)].map(|day| generation.topic(day)))
            .collect();
        if topics != self.topics {
            self.topics.clone_from(&topics);
            cx.transmit(Transmit::Topics { net: self.net, topics });
        }
    }

    /// The other generations of late, the newest first, and until when some members may still stand there.
    fn handovers(&self) -> impl Iterator<Item = (&Generation, Time)> {
        let newest = self.newest().ok();
        let others = self.generations.values().rev().take(2);
        others.filter_map(move |other| {
            let newest = newest.filter(|newest| newest.rank() != other.rank())?;
            Some((other, newest.at.max(other.at) + TOPICS_KEPT))
        })
    }

    /// When the topics change by themselves.
    fn topics_deadline(&self, now: Time) -> Option<Time> {
        let midnight = Time::ZERO + Duration::from_secs(u64::from(now.day()).saturating_add(1).saturating_mul(86_400));
        let handover = self.handovers().map(|(_, at)| at).filter(|at| *at > now).min();
        Some(handover.map_or(midnight, |at| at.min(midnight)))
    }

    /// The wall clock went back: what waits for it must not wait longer than it ever would.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        self.reach.retry(now, None);
        self.spread.clock_went_back(now);
        self.receipts.last = None;
        self.receipts.due = self.receipts.due.map(|_| now);
        for link in self.links.values_mut() {
            link.clock_went_back(now);
        }
        self.conduct.clock_went_back(now);
        self.delivery.clock_went_back(now);
        self.blind_due = self.blind_due.map(|_| now);
        self.commit_due = self.commit_due.map(|_| now);
        self.voting.clock_went_back(now);
        self.hold.clock_went_back(now);
        if let Some(stray) = &mut self.stray {
            stray.due = now;
        }
        self.gaps.values_mut().for_each(|gap| gap.clock_went_back(now));
        self.epochs.clock_went_back(now);
    }

    /// Everything that is due.
    pub(crate) fn on_deadline(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if self.facts.standing == StandingRow::Broken {
            return Ok(());
        }
        self.sweep(cx)?;
        if !self.talks() {
            return Ok(());
        }
        self.refresh_topics(cx);
        self.look_on(cx)?;
        self.skip_gaps(cx)?;
        self.say_blind_around(cx);
        self.unmute(cx)?;
        self.vote(cx)?;
        if self.goes && self.talks() {
            self.move_head(cx)?;
        }
        self.seek_way(cx)?;
        if !self.talks() {
            return Ok(());
        }
        if self.is_period_lost(cx.now) {
            self.begin_period(cx);
        }
        let update = self.commit_due.is_none() && self.is_update_due(cx.now);
        if std::mem::take(&mut self.wanted) || update || self.commit_due.is_some_and(|due| due <= cx.now.wall) {
            self.tend_tickets(cx)?;
        }
        self.hold_no_more(cx)?;
        self.flush_receipts(cx)?;
        self.push_lacking(cx)?;
        self.tend_links(cx)?;
        self.note_linked(cx);
        self.dial(cx);
        Ok(())
    }

    /// Destroys what is past its time: lines, envelopes, outbox, states, generations, invites, commits. Tells what was
    /// ahead of it.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let gone = self.history.sweep(cx, self.net);
        for (id, envelope) in &gone {
            if let Some(envelope) = envelope {
                self.log.withdraw(cx, self.net, envelope);
                self.spread.stop(envelope);
            }
            let unheld = self.outbox.remove(cx, self.net, id).is_some_and(|entry| !entry.is_held() && !entry.dropped);
            if unheld {
                cx.tell(Event::State { group: self.id, id: *id, state: MessageState::Expired });
            }
        }
        if !gone.is_empty() {
            let ids = gone.into_iter().map(|(id, _)| id).collect();
            cx.tell(Event::Gone { group: self.id, ids });
        }
        self.outbox.sweep(cx, self.net);
        let forgotten = self.log.sweep(cx, self.net);
        self.epochs.keep_heard(cx, self.net, &forgotten);
        if self.open_before_keys_die(cx)? {
            self.epochs.destroy_keys(cx, self.net);
        }
        self.epochs.sweep(cx, self.net, self.id)?;
        self.commits.sweep(cx, self.net);
        self.controls.sweep(cx, self.net);
        self.invites.sweep(cx, self.net);
        self.sweep_generations(cx);
        self.surface(cx)
    }

    /// When to come back, by the wall clock, for things that the mark or the wall clock brings. `shift` is what to add
    /// to the mark or stamp to get the wall clock.
    pub(crate) fn deadline(&self, now: crate::clock::Now) -> Option<Time> {
        if self.facts.standing == StandingRow::Broken {
            return None;
        }
        let by_mark = [
            self.history.deadline(),
            self.log.deadline(),
            self.epochs.deadline(),
            self.commits.deadline(),
            self.controls.deadline(),
            self.invites.deadline(),
        ];
        let by_mark = by_mark.into_iter().flatten().filter_map(|at| now.comes(at));
        let surfaces = self.history.arrives().map(|at| now.wall + at.since(now.stamp));
        let by_mark = by_mark.chain(surfaces);
        if !self.talks() {
            return by_mark.min();
        }
        let waits = self.commit_due.is_none() && self.require_active().is_ok() && self.may_seal();
        let update = self.update_due().filter(|_| waits).and_then(|at| now.comes(at));
        let topics = self.topics_deadline(now.stamp).map(|at| now.wall + at.since(now.stamp));
        let topics = if self.topics.is_empty() { Some(now.wall) } else { topics };
        let by_wall = [
            self.receipts.due,
            self.spread.deadline(),
            self.links_deadline(),
            self.gaps_deadline(now.wall),
            self.blind_due,
            self.commit_due,
            self.hold.deadline(),
            self.wanted.then_some(now.wall),
            update,
            self.voting.deadline(),
            self.stray.map(|stray| stray.due),
            self.conduct.deadline(),
            self.look_from.map(|_| now.wall),
            self.reach.deadline(&self.ties(now.wall), now.wall),
            self.links.values().filter_map(Link::withheld_until).filter(|at| *at > now.wall).min(),
            self.spare().map(|(_, at)| at),
            topics,
        ];
        by_mark.chain(by_wall.into_iter().flatten()).min()
    }
}
