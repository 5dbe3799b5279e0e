//! `unlock`: with the passphrase.

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::{Done, Status};

use super::Context;
use crate::error::Result;
use crate::secret;

pub(super) fn run(context: &Context) -> Result<()> {
    // Before anybody is asked for a passphrase: is there a node at all, and is it locked?
    let mut remote = context.remote()?;
    let passphrase = match secret::given(&context.global)? {
        Some(passphrase) => passphrase,
        None if remote.call::<Status>(&Request::Status {}).is_ok_and(|status| !status.locked) => {
            return context.out.done(&Done {}, "Kinfold is not locked.");
        }
        None => secret::passphrase(&context.global)?,
    };
    let done: Done = remote.call(&Request::Unlock { passphrase: Secret::new(passphrase) })?;
    context.out.done(&done, "Unlocked.")
}
