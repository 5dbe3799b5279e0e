//! `connect`: tries an address typed by hand.

use kinfold_node::control::rows::Done;
use kinfold_node::control::{ApiError, ErrorKind, Request};

use super::Context;
use crate::args::ConnectArgs;
use crate::error::Result;
use crate::given;

pub(super) fn run(context: &Context, args: ConnectArgs) -> Result<()> {
    let ConnectArgs { group, address } = args;
    // A slip is told at once, also where nothing runs that could try it.
    if !given::is_address(&address) {
        return Err(ApiError::new(ErrorKind::BadAddress).into());
    }
    let done: Done = context.remote()?.call(&Request::Connect { group, address })?;
    context.out.done(&done, "Trying that address. `kinfold status` shows who is connected.")
}
