//! `group create|list|show|leave`.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{GroupDetail, GroupMade, Groups, Left, Standing};

use super::{Context, own_name};
use crate::args::{GroupVerb, LeaveArgs};
use crate::error::Result;
use crate::remote::Remote;
use crate::{ask, plain, render};

pub(super) fn run(context: &Context, verb: GroupVerb) -> Result<()> {
    match verb {
        GroupVerb::Create { name, own } => create(context, name, own),
        GroupVerb::Leave(args) => leave(context, args),
        GroupVerb::List => list(context),
        GroupVerb::Show(args) => show(context, args.group),
    }
}

fn create(context: &Context, name: String, own: Option<String>) -> Result<()> {
    // Before anybody is asked for a name: is there a node at all?
    let mut remote = context.remote()?;
    ask_about_namesakes(context, &mut remote, &name)?;
    let display_name = own_name(context.out, own)?;
    let made: GroupMade = remote.call(&Request::GroupCreate { name, display_name })?;
    context.out.answer(&made, || format!("{}  [{}]", plain::name(&made.name), render::id(&made.group_id)))?;
    let group = plain::quoted(&made.name, &made.group_id);
    context
        .out
        .talk(&format!("The group is there, with you in it. `kinfold invite {group}` makes an invite for one person."))
}

/// Two groups of one name can only be told apart by their ids: perhaps that is not what is wanted.
fn ask_about_namesakes(context: &Context, remote: &mut Remote, name: &str) -> Result<()> {
    let folded = |name: &str| plain::name(name).to_lowercase();
    let groups = remote.call::<Groups>(&Request::GroupList {})?.groups;
    let same = groups.iter().filter(|group| folded(&group.name) == folded(name));
    let ids: Vec<&str> = same.map(|group| render::id(&group.group_id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let words = format!(
        "You are in a group called {} already [{}]. With a second one of that name, only the beginning of an id tells \
         which one is meant.",
        plain::name(name),
        ids.join(", ")
    );
    if ask::can_ask(context.out) {
        ask::sure(&format!("{words} Make it all the same?"))
    } else {
        context.out.signal(&words)
    }
}

fn list(context: &Context) -> Result<()> {
    let all: Groups = context.remote()?.call(&Request::GroupList {})?;
    for group in &all.groups {
        context.out.row(group, || render::group(group))?;
    }
    if all.groups.is_empty() {
        context.out.talk(render::NO_GROUP)?;
    }
    Ok(())
}

fn show(context: &Context, group: String) -> Result<()> {
    let detail: GroupDetail = context.remote()?.call(&Request::GroupShow { group })?;
    context.out.answer(&detail, || render::group_detail(&detail, &context.scroll()))
}

fn leave(context: &Context, args: LeaveArgs) -> Result<()> {
    let LeaveArgs { mut group, yes } = args;
    let mut remote = context.remote()?;
    if ask::must_ask(context.out, yes)? {
        let detail: GroupDetail = remote.call(&Request::GroupShow { group })?;
        ask::sure(&render::leaving(&detail.row))?;
        group = detail.row.group_id;
    }
    let left: Left = remote.call(&Request::GroupLeave { group })?;
    let words = if left.standing == Standing::Left {
        "You have left the group."
    } else {
        "You asked to leave. It is done when another member's device has carried it out; keep Kinfold running until then."
    };
    context.out.done(&left, words)
}
