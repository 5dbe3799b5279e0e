//! `kinfold`: private group talk without a server, in a terminal.
//!
//! It talks to a node over the control socket, or is that node (`up`). It holds no keys and no state of a group.

mod args;
mod ask;
mod commands;
mod demo;
mod error;
mod given;
mod local;
mod out;
mod plain;
mod qr;
mod remote;
mod render;
mod screen;
mod scroll;
mod secret;
mod span;
mod watch;
mod window;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::error::{Error, Exit, Local};
use crate::out::Out;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let (out, result) = match Cli::try_parse_from(args::with_text_apart(arguments.clone())) {
        Ok(cli) => (Out { json: cli.global.json }, commands::run(cli)),
        Err(why) if why.exit_code() == 0 => {
            // Help and version were asked for: data, in clap's own form.
            return if why.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Refused as u8) };
        }
        Err(why) => return misunderstood(&why, args::wants_json(&arguments)),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    // A reader that has seen enough is no news: nobody is left to tell.
    if error != Error::from(Local::OutputClosed) && out.error(&error).is_err() && out.json {
        // The answer cannot be written; then at least the words. With nowhere to tell them, the number still does.
        Out { json: false }.error(&error).unwrap_or_default();
    }
    ExitCode::from(error.exit as u8)
}

fn misunderstood(why: &clap::Error, json: bool) -> ExitCode {
    let told = if json { Out { json }.error(&Error::usage(why)) } else { Out { json }.signal(&error::usage(why)) };
    // With nowhere to tell it, the number still does.
    match told {
        Ok(()) | Err(_) => ExitCode::from(Exit::Usage as u8),
    }
}
