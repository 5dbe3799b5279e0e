//! `connect`: tries an address typed by hand.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Done;

use super::Context;
use crate::args::ConnectArgs;
use crate::error::Result;

pub(super) fn run(context: &Context, args: ConnectArgs) -> Result<()> {
    let ConnectArgs { group, address } = args;
    let done: Done = context.remote()?.call(&Request::Connect { group, address })?;
    context.out.done(&done, "Trying that address. `kinfold status` shows who is connected.")
}
