//! Three Kinfolds, one group.

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::{GroupDetail, GroupMade, InviteMade, InviteState, Invites, Status};
use zeroize::Zeroizing;

use super::words::GROUP;
use super::{Stage, sees};
use crate::demo::check::{self, Checked, until};
use crate::demo::person::Person;

pub(super) fn start_three(stage: &mut Stage) -> Checked {
    for person in stage.everybody() {
        person.begin_set_up()?;
    }
    for person in stage.everybody() {
        person.set_up()?;
        person.begin_start()?;
    }
    for person in stage.everybody() {
        person.started()?;
        let status: Status = person.ask(&Request::Status {})?;
        let empty = !status.locked && status.groups.is_empty();
        check::holds(empty, &format!("{}'s Kinfold is unlocked and knows no group", person.name), "it does not")?;
    }
    let numbers = stage.everybody().map(|person| person.number());
    let [Some(ana), Some(ben), Some(chi)] = numbers else {
        return check::holds(false, "three processes run", "one has ended");
    };
    check::holds(ana != ben && ben != chi && ana != chi, "the processes are three", "two are one")?;
    stage.seen(&format!(
        "Three Kinfolds run, each with a folder and a passphrase of its own: Ana's (process {ana}), Ben's ({ben}), \
         Chi's ({chi})."
    ))
}

pub(super) fn make_group(stage: &mut Stage) -> Checked {
    let ana = &mut stage.ana;
    let request = Request::GroupCreate { name: GROUP.to_owned(), display_name: ana.name.to_owned() };
    let made: GroupMade = ana.ask(&request)?;
    check::people(ana.name, &ana.members(&made.group_id)?, &["Ana"], &[])?;
    // An invite names the addresses at which the group is listening.
    until(|| {
        let detail: GroupDetail = ana.ask(&Request::GroupShow { group: made.group_id.clone() })?;
        check::holds(!detail.addresses.is_empty(), "Ana's Kinfold listens for the group", "it does not")
    })?;
    stage.group = made.group_id;
    stage.seen(&format!("Ana made the group \"{GROUP}\". She is the only one in it."))
}

pub(super) fn ben_joins(stage: &mut Stage) -> Checked {
    joins(&mut stage.ana, &mut stage.ben, &stage.group)?;
    stage.seen("Ben came in by an invite from Ana: one line of text, the only thing he was given. It is used up now.")
}

pub(super) fn chi_joins(stage: &mut Stage) -> Checked {
    joins(&mut stage.ana, &mut stage.chi, &stage.group)?;
    stage.seen("Chi came in by another one.")
}

/// The guest has nothing but the invite: no address, no name of a group.
fn joins(host: &mut Person, guest: &mut Person, group: &str) -> Checked {
    let made: InviteMade = host.ask(&Request::InviteCreate { group: group.to_owned(), valid_secs: None })?;
    check::holds(guest.groups()?.is_empty(), &format!("{} is in no group yet", guest.name), "there is one")?;
    let invite = Secret::new(Zeroizing::new(made.invite));
    let joined: GroupMade = guest.ask(&Request::Join { invite, name: guest.name.to_owned() })?;
    let same = joined.group_id == group && joined.name == GROUP;
    check::holds(same, &format!("{} is in Ana's group", guest.name), "it is another group")?;
    until(|| {
        let invites: Invites = host.ask(&Request::InviteList { group: group.to_owned() })?;
        let invite = invites.invites.into_iter().find(|invite| invite.invite_id == made.invite_id);
        check::holds(
            invite.is_some_and(|invite| invite.state == InviteState::Used),
            "the invite is used up",
            "it is not",
        )
    })
}

pub(super) fn all_meet(stage: &mut Stage) -> Checked {
    let all = ["Ana", "Ben", "Chi"];
    sees(&mut stage.ana, &stage.group, &all, &["Ben", "Chi"])?;
    sees(&mut stage.ben, &stage.group, &all, &["Ana", "Chi"])?;
    sees(&mut stage.chi, &stage.group, &all, &["Ana", "Ben"])?;
    stage.seen("All three see the same three people, and each is connected with both others.")
}
