//! `invite`, `invite list`, `invite revoke`.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{GroupDetail, InviteMade, InviteState, Invites, Revoked};

use super::Context;
use crate::args::{InviteArgs, InviteVerb};
use crate::error::Result;
use crate::{plain, qr, render, screen};

/// Rows that the words around a QR code take.
const ROWS_AROUND: usize = 16;

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
    let mut remote = context.remote()?;
    let made: InviteMade = remote.call(&Request::InviteCreate { group: group.clone(), valid_secs })?;
    let out = context.out;
    if out.json {
        return out.answer(&made, String::new);
    }
    // What matters most comes last: it stays on a small screen.
    let room = match screen::size() {
        _ if args.qr => (usize::MAX, usize::MAX),
        Some((columns, rows)) if !args.no_qr => (columns, rows.saturating_sub(ROWS_AROUND)),
        _ => (0, 0),
    };
    let drawn = qr::draw(&made.invite, room);
    if let Some(drawn) = &drawn {
        out.talk(&format!("{drawn}\n"))?;
    }
    out.answer(&made, || plain::name(&made.invite))?;
    let detail: GroupDetail = remote.call(&Request::GroupShow { group })?;
    out.talk(&words(&detail, &made, &context.scroll().moment(made.expires), drawn.is_none() && !args.no_qr))
}

fn words(detail: &GroupDetail, made: &InviteMade, until: &str, no_picture: bool) -> String {
    let (name, group) = (plain::name(&detail.row.name), plain::quoted(&detail.row.name, &detail.row.group_id));
    let picture = if no_picture { "\nWith --qr it is shown as a picture for a camera, too." } else { "" };
    format!(
        "\nThis lets one person into {name}, until {until}. Whoever has it can use it: hand it over in a way that only \
         that person sees. Leave Kinfold running until they have joined.\n\
         They set up Kinfold, type  kinfold join  and paste the invite when asked.\n\
         To take it back:\n  kinfold invite revoke {group} {}{picture}",
        render::id(&made.invite_id)
    )
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
    let revoked: Revoked = context.remote()?.call(&Request::InviteRevoke { group, invite_id })?;
    let words = match revoked.was {
        None | Some(InviteState::Open) => "The invite is taken back; nobody can come in by it any more.",
        Some(InviteState::Revoked) => "The invite was taken back already; nobody can come in by it.",
        Some(InviteState::Used) => "Somebody has come in by this invite already; to undo that, remove the person.",
        Some(InviteState::Expired) => "The invite's time was over already; nobody can come in by it.",
    };
    context.out.done(&revoked, words)
}
