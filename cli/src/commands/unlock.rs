//! `unlock`: with the passphrase.

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::Done;

use super::Context;
use crate::error::Result;
use crate::secret;

pub(super) fn run(context: &Context) -> Result<()> {
    // Before anybody is asked for a passphrase: is there a node at all?
    let mut remote = context.remote()?;
    let passphrase = Secret::new(secret::passphrase(&context.global)?);
    let done: Done = remote.call(&Request::Unlock { passphrase })?;
    context.out.done(&done, "Unlocked.")
}
