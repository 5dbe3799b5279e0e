//! Lines and notices as plain appended text, one after the other, that a screen reader can follow: no colour, no
//! cursor movement, nothing that is drawn over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use kinfold_node::control::lines::{Kind, Moment, Notice, Row, Stand, State};
use kinfold_node::control::rows::Standing;

use crate::{plain, span};

/// Lines remembered, so that none is shown twice and a change of state can say which message it is about.
const REMEMBERED_MAX: usize = 20_000;

/// A life up to here is told to the second.
const SHORT_LIFE_SECS: i64 = 120;

/// Under the time and two spaces.
const INDENT: &str = "       ";

/// Turns what happens into lines.
#[derive(Debug)]
pub(crate) struct Scroll {
    zone: TimeZone,
    /// Whether lines of several groups mix, so that each names its own.
    name_groups: bool,
    /// The names of groups by id, for notices, which carry ids only.
    groups: BTreeMap<String, String>,
    day: Option<Date>,
    seen: BTreeSet<String>,
    order: VecDeque<String>,
    /// When own messages were sent.
    own: BTreeMap<String, Moment>,
}

impl Scroll {
    pub(crate) fn new(zone: TimeZone, name_groups: bool) -> Self {
        let (seen, order, own) = (BTreeSet::new(), VecDeque::new(), BTreeMap::new());
        Self { zone, name_groups, groups: BTreeMap::new(), day: None, seen, order, own }
    }

    /// Learns the name of a group.
    pub(crate) fn name_group(&mut self, id: &str, name: &str) {
        if !self.groups.contains_key(id) {
            self.groups.insert(id.to_owned(), plain::name(name));
        }
    }

    /// Remembers a line as shown; false if it was already.
    pub(crate) fn remember(&mut self, row: &Row) -> bool {
        if !self.seen.insert(row.id.clone()) {
            return false;
        }
        self.order.push_back(row.id.clone());
        if row.own && row.kind == Kind::Text {
            self.own.insert(row.id.clone(), row.sent);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
            self.own.remove(&oldest);
        }
        true
    }

    /// Whether a line was shown.
    pub(crate) fn has_seen(&self, id: &str) -> bool {
        self.seen.contains(id)
    }

    /// A line of history, under a line with the day when that has changed.
    pub(crate) fn line(&mut self, row: &Row) -> String {
        self.name_group(&row.group_id, &row.group);
        let sent = row.sent.timestamp().to_zoned(self.zone.clone());
        let mut shown = String::new();
        if self.day != Some(sent.date()) {
            self.day = Some(sent.date());
            shown.push_str(&sent.strftime("%A %-d %B %Y").to_string());
            shown.push('\n');
        }
        shown.push_str(&sent.strftime("%H:%M").to_string());
        shown.push_str("  ");
        shown.push_str(&self.prefix(Some(&row.group_id)));
        shown.push_str(&self.told(row));
        shown
    }

    /// The group's name where lines of several mix.
    fn prefix(&self, group: Option<&str>) -> String {
        let name = group.filter(|_| self.name_groups).and_then(|group| self.groups.get(group));
        name.map_or_else(String::new, |name| format!("[{name}] "))
    }

    fn told(&self, row: &Row) -> String {
        let author = if row.own { "You".to_owned() } else { plain::name(&row.author) };
        let member = plain::name(row.member.as_deref().unwrap_or_default());
        match row.kind {
            Kind::Joined => format!("{member} joined."),
            Kind::Left => format!("{member} left."),
            Kind::Removed => format!("{author} removed {member}."),
            Kind::Retention => {
                let span = span::in_words(row.retention_secs.unwrap_or_default());
                format!("{author} set messages to be gone after {span}.")
            }
            Kind::Text => {
                let text = plain::text(row.text.as_deref().unwrap_or_default());
                let text = text.replace('\n', &format!("\n{INDENT}"));
                format!("{author}: {text}{}", self.tail(row))
            }
        }
    }

    /// When a message goes, and where it stands if it is an own one.
    fn tail(&self, row: &Row) -> String {
        let mut facts = Vec::new();
        if let Some(expires) = row.expires {
            facts.push(format!("gone {}", self.deadline(row.sent, expires)));
        }
        if row.own {
            facts.push(stand(row.stand));
        }
        if row.late {
            facts.push("came late".to_owned());
        }
        if facts.is_empty() { String::new() } else { format!("  ({})", facts.join("; ")) }
    }

    fn deadline(&self, sent: Moment, expires: Moment) -> String {
        let life = expires.timestamp().as_second().saturating_sub(sent.timestamp().as_second());
        let clock = if life <= SHORT_LIFE_SECS { "%H:%M:%S" } else { "%H:%M" };
        let (sent, expires) =
            (sent.timestamp().to_zoned(self.zone.clone()), expires.timestamp().to_zoned(self.zone.clone()));
        let time = expires.strftime(clock);
        if sent.date() == expires.date() {
            format!("at {time}")
        } else {
            format!("{} at {time}", expires.strftime("%a %-d %b"))
        }
    }

    /// What the author of a line that was typed here reads instead of their own words again.
    pub(crate) fn accepted(&self, row: &Row) -> String {
        let sent = row.sent.timestamp().to_zoned(self.zone.clone());
        format!("{}  Sent.{}", sent.strftime("%H:%M"), self.tail(row))
    }

    /// Day and time, as "Sunday 22 November 2026 at 14:00".
    pub(crate) fn moment(&self, moment: Moment) -> String {
        moment.timestamp().to_zoned(self.zone.clone()).strftime("%A %-d %B %Y at %H:%M").to_string()
    }

    /// A notice as a sentence, a line as a line.
    pub(crate) fn notice(&mut self, notice: &Notice) -> String {
        if let Notice::Line(row) = notice {
            return self.line(row);
        }
        format!("{}{}", self.prefix(notice.group_id()), self.sentence(notice))
    }

    fn sentence(&self, notice: &Notice) -> String {
        match notice {
            Notice::ClockOff { ahead_secs } => {
                let side = if *ahead_secs < 0 { "behind" } else { "ahead of" };
                let span = span::in_words(ahead_secs.unsigned_abs());
                format!("This device's clock is {span} {side} the others'. Messages carry the corrected time.")
            }
            Notice::Connected { name, connected: true, .. } => format!("{} is connected now.", plain::name(name)),
            Notice::Connected { name, connected: false, .. } => {
                format!("{} is no longer connected.", plain::name(name))
            }
            Notice::Gone { ids, .. } if ids.len() == 1 => "1 message reached its time and is gone.".to_owned(),
            Notice::Gone { ids, .. } => format!("{} messages reached their time and are gone.", ids.len()),
            Notice::Lagged { missed } => format!("{missed} notices came too fast to show; reading them again."),
            Notice::Line(row) => self.told(row),
            Notice::Locked {} => "Kinfold was locked. `kinfold unlock` opens it again.".to_owned(),
            Notice::Standing { standing, .. } => standing_in_words(*standing).to_owned(),
            Notice::State { id, stand: now, .. } => match self.own.get(id) {
                Some(sent) => {
                    let sent = sent.timestamp().to_zoned(self.zone.clone());
                    format!("Your message of {}: {}.", sent.strftime("%H:%M"), stand(*now))
                }
                None => format!("An earlier message of yours: {}.", stand(*now)),
            },
            Notice::Unlocked {} => "Kinfold was unlocked.".to_owned(),
        }
    }
}

/// Where an own message stands.
pub(crate) fn stand(stand: Stand) -> String {
    match (stand.state, stand.received_by, stand.received_of) {
        (State::Expired, ..) => "its time ended before anybody else had it".to_owned(),
        (State::Held, ..) => "another device has it".to_owned(),
        (State::Kept, ..) => "on this device only so far".to_owned(),
        (State::Received, Some(by), Some(of)) => format!("{by} of {of} have it"),
        (State::Received, ..) => "some have it".to_owned(),
        (State::Waiting, ..) => "waiting for your word, see `kinfold outbox`".to_owned(),
    }
}

/// A group's lifecycle.
pub(crate) const fn standing_in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "The group can talk.",
        Standing::Broken => "This group's data cannot be read here, so it was set aside. Your other groups go on.",
        Standing::Leaving => "You asked to leave. A facilitator's device has yet to carry it out.",
        Standing::Left => "You have left this group.",
        Standing::Removed => "You are no longer in this group. A facilitator can tell you more.",
    }
}

#[cfg(test)]
#[path = "scroll_tests.rs"]
mod tests;
