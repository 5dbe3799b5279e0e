//! Lines and notices as plain appended text, one after the other, that a screen reader can follow: no colour, no
//! cursor movement, nothing that is drawn over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use kinfold_node::control::lines::{Kind, Moment, Notice, Row, Stand, State};
use kinfold_node::control::names;
use kinfold_node::control::rows::{MemberRow, Standing};

use crate::{plain, render, span};

/// Lines remembered, so that none is shown twice and a change of state can say which message it is about.
const REMEMBERED_MAX: usize = 20_000;

/// A life up to here is told to the second.
const SHORT_LIFE_SECS: i64 = 120;

/// Under the time and two spaces.
const INDENT: &str = "       ";

/// Letters of an own message that tell it from the others.
const WORDS_SHOWN: usize = 24;

/// An own message, as far as notices about it need it.
#[derive(Debug)]
struct Own {
    sent: Moment,
    /// Its first words.
    words: String,
    /// Whether the person knows that another device has it.
    told: bool,
}

/// The ids of those whose names look the same.
type Namesakes = BTreeMap<String, BTreeSet<String>>;

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
    /// Own messages.
    own: BTreeMap<String, Own>,
    /// Who goes by which name, by group.
    people: BTreeMap<String, Namesakes>,
    /// This person's name, by group, where a removal can be their own.
    me: BTreeMap<String, String>,
}

impl Scroll {
    pub(crate) fn new(zone: TimeZone, name_groups: bool) -> Self {
        let (seen, order, own) = (BTreeSet::new(), VecDeque::new(), BTreeMap::new());
        let (groups, people, me) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { zone, name_groups, groups, day: None, seen, order, own, people, me }
    }

    /// Learns who is in a group, so that two of the same name can be told apart.
    pub(crate) fn meet(&mut self, group: &str, members: &[MemberRow]) {
        for member in members {
            self.learn(group, &member.member_id, &member.name);
        }
    }

    /// Learns under which name a removal can be this person's own.
    pub(crate) fn may_be_removed(&mut self, group: &str, members: &[MemberRow]) {
        let own = members.iter().find(|member| member.own);
        self.me.extend(own.map(|member| (group.to_owned(), member.name.clone())));
    }

    fn learn(&mut self, group: &str, id: &str, name: &str) {
        let people = self.people.entry(group.to_owned()).or_default();
        for look in names::looks(name) {
            people.entry(look).or_default().insert(id.to_owned());
        }
    }

    /// How many people go by names that look like this one.
    fn namesakes(&self, group: &str, name: &str) -> usize {
        let Some(people) = self.people.get(group) else { return 0 };
        let alike = names::looks(name).into_iter().filter_map(|look| people.get(&look)).flatten();
        alike.collect::<BTreeSet<_>>().len()
    }

    /// A name, with the beginning of the id where it is not the only one that looks like it, or reads as our own word.
    fn named(&self, group: &str, id: &str, name: &str) -> String {
        let shown = plain::name(name);
        let doubtful = self.namesakes(group, name) > 1 || names::is_reserved(name);
        if doubtful { format!("{shown} [{}]", render::id(id)) } else { shown }
    }

    /// Learns the name of a group.
    pub(crate) fn name_group(&mut self, id: &str, name: &str) {
        if !self.groups.contains_key(id) {
            self.groups.insert(id.to_owned(), plain::name(name));
        }
    }

    /// Remembers a line as shown; false if it was already.
    pub(crate) fn remember(&mut self, row: &Row) -> bool {
        if !self.note(row.id.clone()) {
            return false;
        }
        if row.own && row.kind == Kind::Text {
            let words = first_words(row.text.as_deref().unwrap_or_default());
            let told = matches!(row.stand.state, State::Held | State::Received);
            self.own.insert(row.id.clone(), Own { sent: row.sent, words, told });
        }
        true
    }

    /// Notes that something was shown; false if it was already. The oldest is forgotten.
    fn note(&mut self, what: String) -> bool {
        if !self.seen.insert(what.clone()) {
            return false;
        }
        self.order.push_back(what);
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
        self.learn(&row.group_id, &row.author_id, &row.author);
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
        let named = || self.named(&row.group_id, &row.author_id, &row.author);
        let author = if row.own { "You".to_owned() } else { named() };
        match row.kind {
            // Who came or went is who did it.
            Kind::Joined => format!("{author} joined."),
            Kind::Left => format!("{author} left."),
            Kind::Removed => format!("{author} removed {}.", self.whom(row)),
            Kind::Back if row.own => "Your device had lost touch with the group, and has been let back in.".to_owned(),
            Kind::Back => format!("{author}'s device was away a long time, and has been let back in."),
            Kind::Appointed => format!("{author} made {} a facilitator.", self.whom(row)),
            Kind::Dismissed if self.is_own_role(row) => format!("{author} gave up being a facilitator."),
            Kind::Dismissed => format!("{author} let {} be a facilitator no longer.", self.whom(row)),
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

    /// Whether somebody changed the own role.
    fn is_own_role(&self, row: &Row) -> bool {
        row.member.as_deref() == Some(&row.author) && self.namesakes(&row.group_id, &row.author) < 2
    }

    /// Who was removed, or has another role. The line carries no id: the name is this person's if nobody else is known to go by it.
    fn whom(&self, row: &Row) -> String {
        let name = row.member.as_deref().unwrap_or_default();
        let me = self.me.get(&row.group_id).is_some_and(|me| names::looks(me) == names::looks(name));
        if me && !row.own && self.namesakes(&row.group_id, name) < 2 {
            "you".to_owned()
        } else if names::is_reserved(name) {
            format!("somebody called \u{201c}{}\u{201d}", plain::name(name))
        } else {
            plain::name(name)
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

    /// What the author of a line that was typed here reads instead of their own words again, once it is known whether
    /// another device has it.
    pub(crate) fn accepted(&mut self, row: &Row, now: Stand) -> String {
        if let Some(own) = self.own.get_mut(&row.id) {
            own.told = matches!(now.state, State::Held | State::Received);
        }
        let sent = row.sent.timestamp().to_zoned(self.zone.clone());
        let expires = row.expires.map(|expires| format!("  (gone {})", self.deadline(row.sent, expires)));
        format!("{}  {}{}", sent.strftime("%H:%M"), sent_in_words(now), expires.unwrap_or_default())
    }

    /// Day and time, as "Sunday 22 November 2026 at 14:00".
    pub(crate) fn moment(&self, moment: Moment) -> String {
        moment.timestamp().to_zoned(self.zone.clone()).strftime("%A %-d %B %Y at %H:%M").to_string()
    }

    /// A notice as a sentence, a line as a line; nothing if it would tell nothing new.
    pub(crate) fn notice(&mut self, notice: &Notice) -> Option<String> {
        if let Notice::Line(row) = notice {
            return Some(self.line(row));
        }
        if let Notice::Connected { group_id, member_id, name, .. } = notice {
            self.learn(group_id, member_id, name);
        }
        if let Notice::Gone { ids, .. } = notice {
            // Their words go too.
            self.own.retain(|id, _| !ids.contains(id));
        }
        if let Notice::State { id, stand, .. } = notice
            && !self.is_news(id, *stand)
        {
            return None;
        }
        Some(format!("{}{}", self.prefix(notice.group_id()), self.sentence(notice)))
    }

    /// That another device has a message is told once; what the person must act on, always.
    fn is_news(&mut self, id: &str, now: Stand) -> bool {
        match now.state {
            // It had been sent, and whoever had it is out: that is taken back.
            State::Kept => self.own.get_mut(id).is_some_and(|own| std::mem::take(&mut own.told)),
            State::Expired | State::Waiting => true,
            State::Held | State::Received => match self.own.get_mut(id) {
                Some(own) => !std::mem::replace(&mut own.told, true),
                None => self.note(format!("held {id}")),
            },
        }
    }

    fn sentence(&self, notice: &Notice) -> String {
        match notice {
            Notice::ClockOff { ahead_secs, corrected } => clock_off(*ahead_secs, *corrected),
            Notice::Connected { group_id, member_id, name, connected } => {
                let name = self.named(group_id, member_id, name);
                format!("{name} is {} connected.", if *connected { "now" } else { "no longer" })
            }
            Notice::Gone { ids, .. } if ids.len() == 1 => "1 message reached its time and is gone.".to_owned(),
            Notice::Gone { ids, .. } => format!("{} messages reached their time and are gone.", ids.len()),
            Notice::Lagged { missed } => format!("{missed} notices came too fast to show; reading them again."),
            Notice::Line(row) => self.told(row),
            Notice::Locked {} => "Kinfold was locked. `kinfold unlock` opens it again.".to_owned(),
            Notice::Standing { standing, .. } => standing_in_words(*standing).to_owned(),
            Notice::State { id, stand: now, .. } => match self.own.get(id) {
                Some(own) => {
                    let sent = own.sent.timestamp().to_zoned(self.zone.clone());
                    format!(
                        "Your message of {} \u{201c}{}\u{201d}: {}.",
                        sent.strftime("%H:%M"),
                        own.words,
                        stand(*now)
                    )
                }
                None => format!("An earlier message of yours [{}]: {}.", render::id(id), stand(*now)),
            },
            Notice::Unlocked {} => "Kinfold was unlocked.".to_owned(),
        }
    }
}

/// That this device's clock disagrees with the others', or does so no more.
pub(crate) fn clock_off(ahead_secs: i64, corrected: bool) -> String {
    if ahead_secs == 0 {
        return "This device's clock and the others' agree again.".to_owned();
    }
    let side = if ahead_secs < 0 { "behind" } else { "ahead of" };
    // The others' clocks are known to a few seconds.
    let span = span::in_words(ahead_secs.unsigned_abs().saturating_add(30) / 60 * 60);
    let then = if corrected {
        "Messages carry the corrected time."
    } else {
        "Whose is right cannot be known here: look at it, and set the wrong one right. Until then some messages may be \
         hidden, and some go too early or too late."
    };
    format!("This device's clock is {span} {side} the others'. {then}")
}

/// What becomes of a message that was just said. Each is a fact.
pub(crate) fn sent_in_words(stand: Stand) -> &'static str {
    match stand.state {
        State::Held | State::Received => "Sent; another device has it.",
        State::Kept => "Kept on this device; it goes out when somebody is connected.",
        State::Waiting => "Kept on this device; it waits for your word, see `kinfold outbox`.",
        State::Expired => "Its time ended before anybody else had it.",
    }
}

/// The beginning of a text, on one line.
fn first_words(text: &str) -> String {
    let line = plain::name(text);
    let mut words: String = line.chars().take(WORDS_SHOWN).collect();
    if words.len() < line.len() {
        words.truncate(words.trim_end().len());
        words.push('\u{2026}');
    }
    words
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
        Standing::Leaving => "You asked to leave. Another member's device has yet to carry it out.",
        Standing::Left => "You have left this group.",
        Standing::Removed => "You are no longer in this group. A facilitator can tell you more.",
    }
}

#[cfg(test)]
#[path = "scroll_tests.rs"]
mod tests;
