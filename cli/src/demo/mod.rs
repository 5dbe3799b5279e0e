//! `demo`: three people, three processes of this program, one evening in a minute. Every numbered line is printed
//! after the check that it tells of; the first that does not hold ends the demo.

mod check;
mod house;
mod person;
mod story;
mod vault;

use std::time::Instant;

use serde_json::json;

use self::house::House;
use self::story::{STEPS, Stage};
use crate::error::Result;
use crate::out::Out;

/// How to start for real.
const FOR_REAL: &str = "\
To start for real, on your own computer:
  kinfold init                                   set Kinfold up, with a passphrase
  kinfold up                                     start it, and leave it running in a window of its own
  kinfold group create \"Evening circle\"          make a group
  kinfold invite \"Evening circle\"                invite one person, who types  kinfold join  and pastes it
  kinfold chat \"Evening circle\"                  read and write";

/// Shows what Kinfold does.
pub(crate) fn run(out: Out) -> Result<()> {
    let mut house = House::open().map_err(|failure| failure.told("At the start"))?;
    let report = Report { out, made: 0, begun: Instant::now() };
    report.note("Three people on this computer, each with a Kinfold of their own. Every numbered line was checked.")?;
    let mut stage = Stage::new(&house, report);
    for (doing, step) in STEPS {
        if let Err(failure) = step(&mut stage) {
            let error = house.ended().unwrap_or_else(|| failure.told(doing));
            for (name, words) in stage.last_words() {
                out.talk(&format!("What {name}'s Kinfold said last: {words}"))?;
            }
            return Err(error);
        }
    }
    let mut report = stage.end();
    let folder = house.close().map_err(|failure| failure.told("While tidying up"))?;
    let gone = check::holds(!folder.exists(), "the demo's folder is gone", "it is still there");
    gone.map_err(|failure| failure.told("While tidying up"))?;
    report.seen("Everybody has stopped, and the folder in which all this took place is removed.")?;
    report.note(&format!("That was {} checks in {} seconds.", report.made, report.begun.elapsed().as_secs()))?;
    report.note(FOR_REAL)
}

/// Says what was checked, and counts it.
#[derive(Debug)]
struct Report {
    out: Out,
    made: u32,
    begun: Instant,
}

impl Report {
    /// A check that was made just now, and held.
    fn seen(&mut self, text: &str) -> Result<()> {
        self.made += 1;
        let row = json!({ "check": self.made, "text": text, "after_ms": self.begun.elapsed().as_millis() });
        self.out.row(&row, || format!("{:>2}. {text}", self.made))
    }

    /// Words for people only, about the checks; no fact of their own.
    fn note(&self, text: &str) -> Result<()> {
        if self.out.json { Ok(()) } else { self.out.data(&format!("\n{text}")) }
    }
}
