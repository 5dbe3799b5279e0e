//! `lock`: the keys leave memory.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Done;

use super::Context;
use crate::error::Result;

pub(super) fn run(context: &Context) -> Result<()> {
    let done: Done = context.remote()?.call(&Request::Lock {})?;
    context.out.done(
        &done,
        "Locked. This device is offline now; others in your groups hold messages for you until their time is over.",
    )
}
