//! What happens, step by step.

mod apart;
mod meet;
mod removed;
mod talk;
mod words;

use super::Report;
use super::check::{self, Checked, Said, Shown, until};
use super::house::{House, last_words};
use super::person::Person;
use crate::error::Result;

/// What is being done, and how.
type Step = (&'static str, fn(&mut Stage) -> Checked);

/// The story. The words say what was going on if a step fails.
pub(crate) const STEPS: [Step; 17] = [
    ("While starting three Kinfolds", meet::start_three),
    ("While Ana made a group", meet::make_group),
    ("While Ben came in", meet::ben_joins),
    ("While Chi came in", meet::chi_joins),
    ("While everybody met", meet::all_meet),
    ("While everybody talked", talk::round),
    ("While a message was about to go", talk::gone),
    ("While Chi went offline", apart::chi_goes),
    ("While Ana and Ben went on", apart::others_go_on),
    ("While Ana went offline", apart::ana_goes),
    ("While Chi came back", apart::chi_returns),
    ("While Ana came back", apart::ana_returns),
    ("While Ana removed Ben", removed::ana_removes_ben),
    ("While Ana and Chi talked without Ben", removed::talk_without_ben),
    ("While everybody stopped", removed::all_stop),
    ("While looking into the stores", removed::look_inside),
    ("While starting again", removed::again),
];

/// Who is there, and what was said so far.
#[derive(Debug)]
pub(crate) struct Stage {
    report: Report,
    ana: Person,
    ben: Person,
    chi: Person,
    /// The group's id.
    group: String,
    /// Messages that stay, in the order in which they were said.
    said: Vec<Said>,
    /// The one that went.
    gone: Option<Said>,
    /// How many messages Ben was sent.
    for_ben: usize,
}

impl Stage {
    pub(crate) fn new(house: &House, report: Report) -> Self {
        let [ana, ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Person::new(name, house));
        Self { report, ana, ben, chi, group: String::new(), said: Vec::new(), gone: None, for_ben: 0 }
    }

    /// Hands the report back.
    pub(crate) fn end(self) -> Report {
        self.report
    }

    /// What each process has said on stderr, for when something went wrong.
    pub(crate) fn last_words(&self) -> Vec<(&'static str, String)> {
        let people = [&self.ana, &self.ben, &self.chi];
        people.into_iter().filter_map(|person| Some((person.name, last_words(person.log())?))).collect()
    }

    fn everybody(&mut self) -> [&mut Person; 3] {
        [&mut self.ana, &mut self.ben, &mut self.chi]
    }

    fn seen(&mut self, text: &str) -> Checked {
        Ok(self.report.seen(text)?)
    }
}

/// Waits until these people show exactly these messages, in one order.
fn all_show(people: &mut [&mut Person], group: &str, said: &[Said]) -> Checked {
    until(|| {
        let shown: Result<Vec<Shown>> = people.iter_mut().map(|person| person.shown(group)).collect();
        check::same_talk(&shown?, said)
    })
}

/// Waits until somebody sees exactly these people, and of them these connected.
fn sees(person: &mut Person, group: &str, all: &[&str], connected: &[&str]) -> Checked {
    until(|| check::people(person.name, &person.members(group)?, all, connected))
}
