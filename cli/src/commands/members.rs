//! `members`: who is in a group.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Members;

use super::Context;
use crate::args::InGroup;
use crate::error::Result;
use crate::render;

pub(super) fn run(context: &Context, args: InGroup) -> Result<()> {
    let all: Members = context.remote()?.call(&Request::Members { group: args.group })?;
    for member in &all.members {
        context.out.row(member, || render::member(member))?;
    }
    Ok(())
}
