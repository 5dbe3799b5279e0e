//! `lock`: the keys leave memory.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{Done, Status};

use super::Context;
use crate::error::Result;

pub(super) fn run(context: &Context) -> Result<()> {
    let mut remote = context.remote()?;
    // A node that cannot say how it stands can still be told to lock.
    let locked = remote.call::<Status>(&Request::Status {}).is_ok_and(|status| status.locked);
    let done: Done = remote.call(&Request::Lock {})?;
    let words = if locked {
        "Kinfold was locked already."
    } else {
        "Locked. This device is offline now; others in your groups hold messages for you until their time is over."
    };
    context.out.done(&done, words)
}
