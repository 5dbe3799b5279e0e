//! `group create|list|show|leave`.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{GroupDetail, GroupMade, Groups, Left, Standing};

use super::{Context, own_name};
use crate::args::GroupVerb;
use crate::error::Result;
use crate::{plain, render};

pub(super) fn run(context: &Context, verb: GroupVerb) -> Result<()> {
    match verb {
        GroupVerb::Create { name, own } => create(context, name, own),
        GroupVerb::Leave(args) => leave(context, args.group),
        GroupVerb::List => list(context),
        GroupVerb::Show(args) => show(context, args.group),
    }
}

fn create(context: &Context, name: String, own: Option<String>) -> Result<()> {
    // Before anybody is asked for a name: is there a node at all?
    let mut remote = context.remote()?;
    let display_name = own_name(context.out, own)?;
    let made: GroupMade = remote.call(&Request::GroupCreate { name, display_name })?;
    context.out.answer(&made, || format!("{}  [{}]", plain::name(&made.name), render::id(&made.group_id)))?;
    context.out.talk("The group is there, with you in it. `kinfold invite GROUP` makes an invite for one person.")
}

fn list(context: &Context) -> Result<()> {
    let all: Groups = context.remote()?.call(&Request::GroupList {})?;
    for group in &all.groups {
        context.out.row(group, || render::group(group))?;
    }
    if all.groups.is_empty() {
        context.out.talk("You are in no group yet: `kinfold group create NAME`, or `kinfold join INVITE`.")?;
    }
    Ok(())
}

fn show(context: &Context, group: String) -> Result<()> {
    let detail: GroupDetail = context.remote()?.call(&Request::GroupShow { group })?;
    context.out.answer(&detail, || render::group_detail(&detail, &context.scroll()))
}

fn leave(context: &Context, group: String) -> Result<()> {
    let left: Left = context.remote()?.call(&Request::GroupLeave { group })?;
    let words = if left.standing == Standing::Left {
        "You have left the group."
    } else {
        "You asked to leave. It is done when a facilitator's device has carried it out; keep Kinfold running until then."
    };
    context.out.done(&left, words)
}
