//! `remove`: takes somebody out of a group.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{Done, GroupDetail, Verification};

use super::Context;
use crate::args::RemoveArgs;
use crate::error::Result;
use crate::remote::Remote;
use crate::{ask, plain, render};

pub(super) fn run(context: &Context, args: RemoveArgs) -> Result<()> {
    let RemoveArgs { group, member, yes } = args;
    let mut remote = context.remote()?;
    let (group, member) =
        if ask::must_ask(context.out, yes)? { asked(&mut remote, group, member)? } else { (group, member) };
    let done: Done = remote.call(&Request::Remove { group, member })?;
    context
        .out
        .done(&done, "Removed. They cannot read what is said from now on; what they have read already stays with them.")
}

/// Asks whether that person is meant; both by id, so that it is that one.
fn asked(remote: &mut Remote, group: String, member: String) -> Result<(String, String)> {
    let detail: GroupDetail = remote.call(&Request::GroupShow { group })?;
    let group = detail.row.group_id;
    let look = Request::Verify { group: group.clone(), member: member.clone(), confirm: false, undo: false };
    let who: Verification = match remote.call(&look) {
        Ok(who) => who,
        // That is the person who asks: removing says what to do instead.
        Err(error) if error.code == "verify_self" => return Ok((group, member)),
        Err(error) => return Err(error),
    };
    ask::sure(&format!(
        "Remove {} [{}] from {}? They will not read what is said from then on; what they have read already stays with \
         them. To come back they need a new invite.",
        plain::name(&who.name),
        render::id(&who.member_id),
        plain::name(&detail.row.name)
    ))?;
    Ok((group, who.member_id))
}
