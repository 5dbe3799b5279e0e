//! `outbox`, `outbox send`, `outbox drop`.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{Done, Outbox};

use super::Context;
use crate::args::{OutboxArgs, OutboxVerb};
use crate::error::Result;
use crate::{ask, render};

pub(super) fn run(context: &Context, args: OutboxArgs) -> Result<()> {
    match args.verb {
        Some(OutboxVerb::Drop { id, yes }) => drop_message(context, id, yes),
        Some(OutboxVerb::Send { id }) => {
            let done: Done = context.remote()?.call(&Request::OutboxSend { id })?;
            context.out.done(&done, "It goes to everybody who is in the group now, as soon as somebody is connected.")
        }
        None => list(context, args.group),
    }
}

fn drop_message(context: &Context, id: String, yes: bool) -> Result<()> {
    let mut remote = context.remote()?;
    if ask::must_ask(context.out, yes)? {
        let all: Outbox = remote.call(&Request::Outbox { group: None })?;
        let scroll = context.scroll();
        // One that is not there, or more than one: dropping says so.
        for message in all.messages.iter().filter(|message| message.id.starts_with(&id.to_lowercase())) {
            context.out.talk(&render::outbox(message, &scroll))?;
        }
        ask::sure("Drop it? Its words go from this device; nobody can bring them back.")?;
    }
    let done: Done = remote.call(&Request::OutboxDrop { id })?;
    context.out.done(
        &done,
        "Taken back: it goes to nobody from here. Should somebody have it already, `kinfold follow` says so.",
    )
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
