//! `outbox`, `outbox send`, `outbox drop`.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{Done, Outbox};

use super::Context;
use crate::args::{OutboxArgs, OutboxVerb};
use crate::error::Result;
use crate::render;

pub(super) fn run(context: &Context, args: OutboxArgs) -> Result<()> {
    match args.verb {
        Some(OutboxVerb::Drop { id }) => {
            let done: Done = context.remote()?.call(&Request::OutboxDrop { id })?;
            context.out.done(
                &done,
                "Taken back: it goes to nobody from here. Should somebody have it already, `kinfold follow` says so.",
            )
        }
        Some(OutboxVerb::Send { id }) => {
            let done: Done = context.remote()?.call(&Request::OutboxSend { id })?;
            context.out.done(&done, "It goes to everybody who is in the group now, as soon as somebody is connected.")
        }
        None => list(context, args.group),
    }
}

fn list(context: &Context, group: Option<String>) -> Result<()> {
    let all: Outbox = context.remote()?.call(&Request::Outbox { group })?;
    let scroll = context.scroll();
    for message in &all.messages {
        context.out.row(message, || render::outbox(message, &scroll))?;
    }
    if all.messages.is_empty() {
        context.out.talk("Nothing is waiting: another device has each of your messages.")?;
    }
    Ok(())
}
