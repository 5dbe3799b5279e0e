//! `invite`, `invite list`, `invite revoke`.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{Done, InviteMade, Invites};

use super::Context;
use crate::args::{InviteArgs, InviteVerb};
use crate::error::Result;
use crate::{plain, qr, render};

pub(super) fn run(context: &Context, args: InviteArgs) -> Result<()> {
    match args.verb {
        Some(InviteVerb::List(args)) => list(context, args.group),
        Some(InviteVerb::Revoke { group, id }) => revoke(context, group, id),
        None => create(context, args),
    }
}

fn create(context: &Context, args: InviteArgs) -> Result<()> {
    let group = args.group.unwrap_or_default();
    let valid_secs = args.valid.map(|span| span.as_secs());
    let made: InviteMade = context.remote()?.call(&Request::InviteCreate { group, valid_secs })?;
    let out = context.out;
    out.answer(&made, || plain::name(&made.invite))?;
    if out.json {
        return Ok(());
    }
    if !args.no_qr {
        match qr::draw(&made.invite, qr::columns()) {
            Some(drawn) => out.talk(&format!("\n{drawn}"))?,
            None => out.talk("\nThis window is too narrow for the QR code; a wider one shows it.")?,
        }
    }
    out.talk(&format!(
        "\nThis lets one person into the group, until {}. Whoever has it can use it:\n\
         hand it over in a way that only that person sees. Leave Kinfold running until they have joined.\n\
         They set up Kinfold and type:  kinfold join INVITE\n\
         To take it back:  kinfold invite revoke GROUP {}",
        context.scroll().moment(made.expires),
        plain::name(&made.invite_id)
    ))
}

fn list(context: &Context, group: String) -> Result<()> {
    let all: Invites = context.remote()?.call(&Request::InviteList { group })?;
    let scroll = context.scroll();
    for invite in &all.invites {
        context.out.row(invite, || render::invite(invite, &scroll))?;
    }
    if all.invites.is_empty() {
        context.out.talk("No invite to this group was made on this device.")?;
    }
    Ok(())
}

fn revoke(context: &Context, group: String, invite_id: String) -> Result<()> {
    let done: Done = context.remote()?.call(&Request::InviteRevoke { group, invite_id })?;
    context.out.done(&done, "The invite is taken back; nobody can come in by it any more.")
}
