//! Somebody is removed; everybody stops, is looked at, and starts again.

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::{Done, Sent, Standing, Status};
use zeroize::Zeroizing;

use super::words::{ANA_AGAIN, ANA_WITHOUT_BEN, CHI_AGAIN, CHI_WITHOUT_BEN};
use super::{Stage, all_show, sees};
use crate::demo::check::{self, Checked, Said, Shown, until};
use crate::demo::person::Person;
use crate::demo::vault;

const LEFT: [&str; 2] = ["Ana", "Chi"];

pub(super) fn ana_removes_ben(stage: &mut Stage) -> Checked {
    stage.for_ben = stage.said.len();
    let group = stage.group.clone();
    stage.ana.ask::<Done>(&Request::Remove { group: group.clone(), member: "Ben".to_owned() })?;
    sees(&mut stage.ana, &group, &LEFT, &["Chi"])?;
    sees(&mut stage.chi, &group, &LEFT, &["Ana"])?;
    let ben = &mut stage.ben;
    until(|| check::stands(ben.name, ben.groups()?.first().map(|row| row.standing), Standing::Removed))?;
    stage.seen("Ana removed Ben. Ana and Chi see two people, and Ben's Kinfold tells him.")
}

pub(super) fn talk_without_ben(stage: &mut Stage) -> Checked {
    talk(stage, CHI_WITHOUT_BEN, ANA_WITHOUT_BEN)?;
    stage.seen("Ana and Chi talk on; each has what the other said.")?;

    let status: Status = stage.ben.ask(&Request::Status {})?;
    check::holds(!status.locked && stage.ben.number().is_some(), "Ben's Kinfold still runs", "it does not")?;
    ben_has_nothing_new(stage)?;
    let text = Secret::new(Zeroizing::new("Can anybody hear me?".to_owned()));
    let answer = stage.ben.ask::<Sent>(&Request::Send { group: stage.group.clone(), text, expires_secs: None });
    check::refused(answer, "group_removed")?;
    stage.seen("Ben's Kinfold still runs. It shows him what he was part of, nothing that followed, and sends nothing.")
}

/// Both say something, and both know that the other has opened it.
fn talk(stage: &mut Stage, chi_says: &str, ana_says: &str) -> Checked {
    let group = stage.group.clone();
    let chi = stage.chi.say(&group, chi_says, None)?;
    stage.said.push(chi.clone());
    all_show(&mut [&mut stage.ana, &mut stage.chi], &group, &stage.said)?;
    let ana = stage.ana.say(&group, ana_says, None)?;
    stage.said.push(ana.clone());
    all_show(&mut [&mut stage.ana, &mut stage.chi], &group, &stage.said)?;
    opened(&mut stage.chi, &group, &chi)?;
    opened(&mut stage.ana, &group, &ana)
}

fn opened(author: &mut Person, group: &str, message: &Said) -> Checked {
    until(|| check::received_by_all(Some(&author.line(group, message)?), 1))
}

/// Ben shows what was said up to his removal, and nothing else.
fn ben_has_nothing_new(stage: &mut Stage) -> Checked {
    let shown: Shown = stage.ben.shown(&stage.group)?;
    let (before, after) = stage.said.split_at(stage.for_ben.min(stage.said.len()));
    for message in after {
        check::not_shown(&shown, message)?;
    }
    check::same_talk(&[shown], before)?;
    let standing = stage.ben.groups()?.first().map(|row| row.standing);
    check::stands("Ben", standing, Standing::Removed)
}

pub(super) fn all_stop(stage: &mut Stage) -> Checked {
    for person in stage.everybody() {
        person.stop()?;
        check::holds(person.number().is_none(), &format!("{}'s process has ended", person.name), "it runs")?;
    }
    stage.seen("All three have stopped.")
}

/// With the passphrase, as the node itself would.
pub(super) fn look_inside(stage: &mut Stage) -> Checked {
    let (said, gone) = (stage.said.clone(), stage.gone.clone());
    let (before, after) = said.split_at(stage.for_ben.min(said.len()));
    for person in stage.everybody() {
        let store = vault::open(person)?;
        for message in before {
            store.has(person.name, message)?;
        }
        if let Some(message) = &gone {
            store.has_not(person.name, message)?;
        }
        for message in after {
            if person.name == "Ben" {
                store.has_not(person.name, message)?;
            } else {
                store.has(person.name, message)?;
            }
        }
    }
    stage.seen(
        "Each store was opened with its passphrase: the messages that stay are there; the one that went opens in none.",
    )?;
    stage.seen("In Ben's store nothing opens that was said after his removal.")?;
    Ok(stage.report.note(
        "    A limit: what was deleted no longer opens, but its sealed bytes and the keys to them are not yet erased\n    \
         from the files. Whoever copies the files and learns the passphrase might still get at them.",
    )?)
}

pub(super) fn again(stage: &mut Stage) -> Checked {
    stage.chi.begin_start()?;
    stage.chi.started()?;
    stage.ben.start()?;
    stage.ana.start()?;
    talk(stage, CHI_AGAIN, ANA_AGAIN)?;
    ben_has_nothing_new(stage)?;
    stage.seen(
        "They started again in another order. Ana and Chi talk at once, without any new invite; Ben hears nothing.",
    )?;
    for person in stage.everybody() {
        person.stop()?;
    }
    Ok(())
}
