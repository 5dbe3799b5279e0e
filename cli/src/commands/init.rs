//! `init`: sets Kinfold up on this device.

use kinfold_node::NodeError;
use serde_json::json;

use super::Context;
use crate::error::Result;
use crate::secret;

/// Fewer letters than this can be tried out.
const SHORT: usize = 8;

pub(super) fn run(context: &Context) -> Result<()> {
    kinfold_node::check_can_set_up(&context.data_dir)?;
    kinfold_node::check_files()?;
    context.out.talk(
        "A passphrase will seal everything Kinfold keeps on this device. Nobody can reset it, and nobody can read your \
         messages without it, not even we. If it is forgotten, what is on this device is gone, and you will need new \
         invites to your groups. Write it down and keep it in a safe place.\n\
         Four or more unrelated words make a good one.",
    )?;
    let passphrase = secret::new_passphrase(&context.global)?;
    if passphrase.is_empty() {
        return Err(NodeError::EmptyPassphrase.into());
    }
    if passphrase.chars().count() < SHORT {
        context.out.talk(
            "That passphrase is short: whoever gets hold of this device's data can find it by trying. It is taken all \
             the same; Ctrl-C and `kinfold init` start again with another one.",
        )?;
    }
    super::hush_panics();
    kinfold_node::init(&context.data_dir, &passphrase)?;
    let answer = json!({ "data_dir": context.data_dir.display().to_string() });
    context.out.done(&answer, "Kinfold is set up. Start it with `kinfold up` in a window of its own.")
}
