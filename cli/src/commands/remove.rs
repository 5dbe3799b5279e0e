//! `remove`: takes somebody out of a group.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Done;

use super::Context;
use crate::args::RemoveArgs;
use crate::error::Result;

pub(super) fn run(context: &Context, args: RemoveArgs) -> Result<()> {
    let RemoveArgs { group, member } = args;
    let done: Done = context.remote()?.call(&Request::Remove { group, member })?;
    context
        .out
        .done(&done, "Removed. They cannot read what is said from now on; what they have read already stays with them.")
}
