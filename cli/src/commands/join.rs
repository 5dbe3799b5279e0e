//! `join`: comes in by an invite; returns when the group can talk, or when nobody was reached in time.

use std::io::{self, Read};
use std::path::Path;
use std::thread;

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::{Done, GroupMade, JoinsCancelled};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::{Context, own_name};
use crate::args::JoinArgs;
use crate::error::{Exit, Local, Result};
use crate::remote::Remote;
use crate::{ask, plain, render};

/// Longer than any invite, so that one that is too long is told as such by the node.
const INVITE_BYTES_MAX: u64 = 4_096;

/// How an invite begins.
const PREFIX: &str = "kinfold:";

pub(super) fn run(context: &Context, args: JoinArgs) -> Result<()> {
    let JoinArgs { invite, name, cancel } = args;
    let mut remote = context.remote()?;
    if cancel {
        return stop(context, &mut remote);
    }
    let invite = match invite.filter(|invite| invite != "-") {
        Some(invite) => whole(&Zeroizing::new(invite)),
        None if ask::can_ask(context.out) => asked(context, &mut remote)?,
        None => whole(&read_invite(io::stdin().lock())?),
    };
    // Before anybody is asked for a name, or told that something goes on.
    remote.call::<Done>(&Request::JoinCheck { invite: Secret::new(invite.clone()) })?;
    let name = own_name(context.out, name)?;
    context.out.talk(
        "Looking for the group. The person who invited you needs Kinfold running; this can take a minute. Ctrl-C stops \
         it.",
    )?;
    stop_when_asked(&context.data_dir, &invite)?;
    let made: GroupMade = remote.call(&Request::Join { invite: Secret::new(invite), name })?;
    context.out.answer(&made, || format!("{}  [{}]", plain::name(&made.name), render::id(&made.group_id)))?;
    let group = plain::quoted(&made.name, &made.group_id);
    context.out.talk(&format!(
        "You are in. What was said before is not shown to you; what is said from now on is.\n\
         `kinfold chat {group}` opens the group."
    ))
}

/// The invite, pasted by a person. A mail program may have broken it into lines.
fn asked(context: &Context, remote: &mut Remote) -> Result<Zeroizing<String>> {
    let mut pasted = Zeroizing::new(ask::line("Paste the invite, then press Enter: ")?);
    loop {
        let invite = whole(&pasted);
        let check: Result<Done> = remote.call(&Request::JoinCheck { invite: Secret::new(invite.clone()) });
        match check {
            Err(error) if error.code == "invite_malformed" && !invite.is_empty() => {
                context.out.talk("That is not all of it yet. Paste the rest, or press Enter to stop.")?;
                let more = Zeroizing::new(ask::line("")?);
                if more.trim().is_empty() {
                    return Err(error);
                }
                pasted.push_str(&more);
            }
            _ => return Ok(invite),
        }
    }
}

fn read_invite(source: impl Read) -> Result<Zeroizing<String>> {
    let mut invite = Zeroizing::new(String::new());
    source.take(INVITE_BYTES_MAX).read_to_string(&mut invite).map_err(|_| Local::BadInput)?;
    Ok(invite)
}

/// An invite without the white space of a mail program, and with its beginning if only that was left out.
fn whole(given: &str) -> Zeroizing<String> {
    let code: String = given.split_whitespace().collect();
    let bare = !code.is_empty() && code.chars().all(|letter| letter.is_ascii_alphanumeric());
    Zeroizing::new(if bare { format!("{PREFIX}{code}") } else { code })
}

fn stop(context: &Context, remote: &mut Remote) -> Result<()> {
    let stopped: JoinsCancelled = remote.call(&Request::JoinCancel { invite: None })?;
    let words = if stopped.cancelled == 0 {
        "Kinfold is not trying to join any group."
    } else {
        "Kinfold has stopped trying to join. If the others' device had just let you in, they may see your name until \
         somebody removes it; you cannot read or write there."
    };
    context.out.done(&stopped, words)
}

/// Takes the join back on Ctrl-C and its like, so that nobody lands in a group that they turned away from. Whoever waits
/// for the join is then told so; a second Ctrl-C does not wait for that.
fn stop_when_asked(data_dir: &Path, invite: &Zeroizing<String>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| Local::NoRuntime)?;
    let inside = runtime.enter();
    let [interrupt, terminate, hang_up] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(|kind| signal(kind).map_err(|_| Local::NoRuntime));
    let (mut interrupt, mut terminate, mut hang_up) = (interrupt?, terminate?, hang_up?);
    drop(inside);
    let (data_dir, invite) = (data_dir.to_owned(), invite.clone());
    thread::spawn(move || {
        let mut asked = || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
            });
        };
        asked();
        let request = Request::JoinCancel { invite: Some(Secret::new(invite)) };
        // Who waits for the join is told what came of it; a node that has gone tries nothing any more.
        drop(Remote::open(&data_dir).and_then(|mut remote| remote.call::<JoinsCancelled>(&request)));
        asked();
        std::process::exit(Exit::Refused as i32);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_made_whole_again_and_nothing_else_becomes_one() {
        assert_eq!(*whole("  kinfold:AB\n CD \n"), "kinfold:ABCD");
        assert_eq!(*whole("ABCD\nEF"), "kinfold:ABCDEF");
        for other in ["", "infold:ABCD", "kinfold:", "https://example.org/x"] {
            assert_eq!(*whole(other), other);
        }
        assert_eq!(*read_invite("kinfold:AB\nCD\n".as_bytes()).expect("reads"), "kinfold:AB\nCD\n");
    }
}
