//! `remove`: takes somebody out of a group.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{Changed, GroupDetail, Verification};

use super::Context;
use crate::args::RemoveArgs;
use crate::error::Result;
use crate::remote::Remote;
use crate::{ask, plain, render};

/// What becomes of something that takes two.
pub(super) fn proposed(group: &str) -> String {
    format!(
        "Asked for. Where there are three or more facilitators it takes the word of two: nothing changes until another of \
         them runs the same command. `kinfold group show {group}` shows what is asked for."
    )
}

pub(super) fn run(context: &Context, args: RemoveArgs) -> Result<()> {
    let RemoveArgs { group, member, yes } = args;
    let mut remote = context.remote()?;
    let (group, member) = if ask::must_ask(context.out, yes)? {
        meant(&mut remote, group, member, |name, of| {
            format!(
                "Remove {name} from {of}? They will not read what is said from then on; what they have read already \
                 stays with them. To come back they need a new invite."
            )
        })?
    } else {
        (group, member)
    };
    let shown = plain::quoted(&group, "GROUP");
    let done: Changed = remote.call(&Request::Remove { group, member })?;
    let words = if done.proposed {
        proposed(&shown)
    } else {
        "Removed. They cannot read what is said from now on; what they have read already stays with them.".to_owned()
    };
    context.out.done(&done, &words)
}

/// Asks whether that person is meant, by name and group; both by id then, so that it is that one.
pub(super) fn meant(
    remote: &mut Remote,
    group: String,
    member: String,
    question: impl FnOnce(&str, &str) -> String,
) -> Result<(String, String)> {
    let detail: GroupDetail = remote.call(&Request::GroupShow { group })?;
    let group = detail.row.group_id;
    let look = Request::Verify { group: group.clone(), member: member.clone(), confirm: false, undo: false };
    let who: Verification = match remote.call(&look) {
        Ok(who) => who,
        // That is the person who asks, and knows who that is.
        Err(error) if error.code == "verify_self" => return Ok((group, member)),
        Err(error) => return Err(error),
    };
    let name = format!("{} [{}]", plain::name(&who.name), render::id(&who.member_id));
    ask::sure(&question(&name, &plain::name(&detail.row.name)))?;
    Ok((group, who.member_id))
}
