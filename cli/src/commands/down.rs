//! `down`: stops the node, and returns when it has stopped.

use kinfold_node::NodeError;
use kinfold_node::control::Request;
use kinfold_node::control::rows::Done;

use super::Context;
use crate::error::Result;

pub(super) fn run(context: &Context) -> Result<()> {
    let mut remote = match context.remote() {
        Err(error) if error == NodeError::NotRunning.into() => {
            return context.out.done(&Done {}, "Kinfold was not running.");
        }
        remote => remote?,
    };
    let done: Done = remote.call(&Request::Down {})?;
    remote.wait_for_end()?;
    context
        .out
        .done(&done, "Kinfold has stopped. Others in your groups hold messages for you until their time is over.")
}
