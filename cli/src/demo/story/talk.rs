//! A short round of how everybody is, and a message that goes.

use std::sync::mpsc::{Receiver, sync_channel};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kinfold_node::control::Request;
use kinfold_node::control::lines::{Moment, Notice};
use kinfold_node::control::rows::Outbox;

use super::words::{ANA_ASKS, ANA_BRIEFLY, BEN_ANSWERS, BRIEFLY_SECS, CHI_ANSWERS};
use super::{Stage, all_show};
use crate::demo::check::{self, Checked, Said, until};
use crate::demo::person::Person;
use crate::error::{Local, Result};
use crate::watch::{self, Heard};

pub(super) fn round(stage: &mut Stage) -> Checked {
    let group = stage.group.clone();
    let ears: Result<Vec<Ear>> = stage.everybody().into_iter().map(|person| Ear::open(person)).collect();
    let mut ears = ears?;

    let asked = stage.ana.say(&group, ANA_ASKS, None)?;
    let ben = stage.ben.say(&group, BEN_ANSWERS, None)?;
    let chi = stage.chi.say(&group, CHI_ANSWERS, None)?;
    stage.said.extend([asked, ben, chi]);
    let said = stage.said.clone();
    all_show(&mut stage.everybody(), &group, &said)?;
    for ear in &mut ears {
        ear.told_once(&said)?;
    }
    stage.seen("Each of them said something. All three show every message exactly once, in the same order.")?;

    let briefly = stage.ana.say(&group, ANA_BRIEFLY, Some(BRIEFLY_SECS))?;
    let with_it: Vec<Said> = said.into_iter().chain([briefly.clone()]).collect();
    all_show(&mut stage.everybody(), &group, &with_it)?;
    let mut ends = Vec::new();
    for person in stage.everybody() {
        let row = person.line(&group, &briefly)?;
        check::lives(&row, i64::try_from(BRIEFLY_SECS).unwrap_or_default())?;
        ends.push(row.expires);
    }
    let end = check::same_end(&ends)?;
    stage.gone = Some(briefly);
    let clock = end.timestamp().to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
    stage.seen(&format!(
        "Ana said one thing more, for {BRIEFLY_SECS} seconds only. All three show it, and that it is gone at {clock}."
    ))?;
    goes(stage, &mut ears, end)
}

/// The message goes from what everybody shows, at its time and not before, and everybody is told.
fn goes(stage: &mut Stage, ears: &mut [Ear], end: Moment) -> Checked {
    let group = stage.group.clone();
    let Some(briefly) = stage.gone.clone() else { return Err(Local::BadAnswer.into()) };
    for person in stage.everybody() {
        until(|| check::not_shown(&person.shown(&group)?, &briefly))?;
        check::not_early(person.name, end, now())?;
    }
    for ear in ears {
        ear.told_gone(&briefly)?;
    }
    stage.seen("Its time came: nobody shows it any more, and nobody's device had let it go before.")
}

/// Nothing that can be asked for has it.
pub(super) fn gone(stage: &mut Stage) -> Checked {
    let (group, said) = (stage.group.clone(), stage.said.clone());
    let Some(briefly) = stage.gone.clone() else { return Err(Local::BadAnswer.into()) };
    all_show(&mut stage.everybody(), &group, &said)?;
    for person in stage.everybody() {
        let waiting: Outbox = person.ask(&Request::Outbox { group: Some(group.clone()) })?;
        let found = waiting.messages.iter().any(|message| message.id == briefly.id || message.text == briefly.text);
        check::holds(!found, &format!("the message waits nowhere at {}'s", person.name), "it does")?;
        let groups = person.groups()?;
        let everything = serde_json::to_string(&(groups, person.history(&group)?)).unwrap_or_default();
        let words = everything.contains(&briefly.text) || everything.contains(&briefly.id) || everything.is_empty();
        check::holds(!words, &format!("no answer of {}'s Kinfold has its words", person.name), "one does")?;
    }
    stage.seen("No answer of any of the three Kinfolds has its words, and the other messages are all there.")
}

fn now() -> Moment {
    Moment::from_ms(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default())
}

/// Hears what one person is told as it happens.
struct Ear {
    person: &'static str,
    heard: Receiver<Heard>,
    lines: Vec<String>,
    gone: Vec<String>,
}

impl Ear {
    fn open(person: &Person) -> Result<Self> {
        let (into, heard) = sync_channel(watch::HEARD_MAX);
        watch::listen(person.connection()?.subscribe(None)?, into);
        Ok(Self { person: person.name, heard, lines: Vec::new(), gone: Vec::new() })
    }

    fn listen(&mut self) {
        for heard in self.heard.try_iter() {
            match heard {
                Heard::Notice(Notice::Line(row)) => self.lines.push(row.id),
                Heard::Notice(Notice::Gone { ids, .. }) => self.gone.extend(ids),
                Heard::Notice(_) | Heard::Ended(_) | Heard::InputEnded | Heard::Typed(_) | Heard::Unreadable(_) => {}
            }
        }
    }

    fn told_once(&mut self, said: &[Said]) -> Checked {
        until(|| {
            self.listen();
            check::told_once(self.person, &self.lines, said)
        })
    }

    fn told_gone(&mut self, message: &Said) -> Checked {
        until(|| {
            self.listen();
            let told = self.gone.contains(&message.id);
            check::holds(told, &format!("{} is told that the message is gone", self.person), "nothing was told")
        })
    }
}
