//! `facilitator`: who may change a group.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Changed;

use super::Context;
use super::remove::{meant, proposed};
use crate::args::{FacilitatorVerb, RemoveArgs};
use crate::error::Result;
use crate::{ask, plain};

pub(super) fn run(context: &Context, verb: FacilitatorVerb) -> Result<()> {
    let (RemoveArgs { group, member, yes }, add) = match verb {
        FacilitatorVerb::Add(args) => (args, true),
        FacilitatorVerb::Remove(args) => (args, false),
    };
    let question = |name: &str, of: &str| {
        if add {
            format!(
                "Let {name} change {of}? They can then invite and remove people, and you too while you two are the only \
                 ones who can, and set how long messages live."
            )
        } else {
            format!("Let {name} change {of} no longer? They stay in it, and read and write as before.")
        }
    };
    let mut remote = context.remote()?;
    let (group, member) =
        if ask::must_ask(context.out, yes)? { meant(&mut remote, group, member, question)? } else { (group, member) };
    let shown = plain::quoted(&group, "GROUP");
    let request =
        if add { Request::FacilitatorAdd { group, member } } else { Request::FacilitatorRemove { group, member } };
    let done: Changed = remote.call(&request)?;
    let words = match (done.proposed, add) {
        (true, _) => proposed(&shown),
        (false, true) => "Done. They can invite and remove people now, and set how long messages live.".to_owned(),
        (false, false) => "Done. They read and write as before, and change the group no longer.".to_owned(),
    };
    context.out.done(&done, &words)
}
