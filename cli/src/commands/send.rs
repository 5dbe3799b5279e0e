//! `send`: says something to a group; returns when it is kept.

use std::io::{self, Read};

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::rows::Sent;
use zeroize::Zeroizing;

use super::Context;
use crate::args::SendArgs;
use crate::error::{Local, Result};
use crate::{render, scroll};

/// The longest message.
const TEXT_BYTES_MAX: u64 = 16 * 1024;

pub(super) fn run(context: &Context, args: SendArgs) -> Result<()> {
    let SendArgs { group, text, expires } = args;
    let text = Zeroizing::new(text.join(" "));
    let text = if *text == "-" { read_text(io::stdin().lock())? } else { text };
    let request = Request::Send { group, text: Secret::new(text), expires_secs: expires.map(|span| span.as_secs()) };
    let sent: Sent = context.remote()?.call(&request)?;
    context.out.answer(&sent, || format!("Sent; {}.  [{}]", scroll::stand(sent.stand), render::id(&sent.id)))
}

fn read_text(source: impl Read) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    // Two more than the longest: one for the line end, one to see that there was too much.
    source.take(TEXT_BYTES_MAX + 2).read_to_string(&mut text).map_err(|_| Local::BadInput)?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.len() as u64 > TEXT_BYTES_MAX { Err(Local::InputTooLong.into()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_piped_text_keeps_its_lines_and_loses_one_end() {
        assert_eq!(*read_text("one\ntwo\n".as_bytes()).expect("text"), "one\ntwo");
    }

    #[test]
    fn too_much_is_refused_and_never_cut() {
        let longest = "x".repeat(16 * 1024);
        assert_eq!(read_text(format!("{longest}\n").as_bytes()).expect("text").len(), 16 * 1024);
        let more = format!("{longest}x\n");
        assert_eq!(read_text(more.as_bytes()).expect_err("refused"), Error::from(Local::InputTooLong));
        assert!(read_text(&[0xff][..]).is_err(), "not text");
    }
}
