//! `join`: comes in by an invite; returns when the group can talk.

use std::io::{self, BufRead, Read};

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::GroupMade;
use zeroize::Zeroizing;

use super::{Context, own_name};
use crate::args::JoinArgs;
use crate::error::{Local, Result};
use crate::{plain, render};

/// Longer than any invite, so that one that is cut is told as such by the node.
const INVITE_BYTES_MAX: u64 = 4_096;

pub(super) fn run(context: &Context, args: JoinArgs) -> Result<()> {
    let mut remote = context.remote()?;
    let from_input = args.invite == "-";
    let invite = if from_input { read_invite()? } else { Zeroizing::new(args.invite) };
    let name = own_name(context.out, args.name)?;
    context
        .out
        .talk("Looking for the group. The person who invited you needs Kinfold running; this can take a minute.")?;
    // A mail program may have broken the string into lines.
    let whole: String = invite.split_whitespace().collect();
    let request = Request::Join { invite: Secret::new(Zeroizing::new(whole)), name };
    let made: GroupMade = remote.call(&request)?;
    context.out.answer(&made, || format!("{}  [{}]", plain::name(&made.name), render::id(&made.group_id)))?;
    context.out.talk(
        "You are in. What was said before is not shown to you; what is said from now on is.\n\
         `kinfold chat GROUP` opens the group.",
    )
}

fn read_invite() -> Result<Zeroizing<String>> {
    let mut invite = Zeroizing::new(String::new());
    io::stdin().lock().take(INVITE_BYTES_MAX).read_line(&mut invite).map_err(|_| Local::BadInput)?;
    Ok(invite)
}
