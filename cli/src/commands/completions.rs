//! `completions`: for a shell, on stdout.

use clap::CommandFactory;

use crate::args::Cli;
use crate::error::Result;
use crate::out::Out;

pub(super) fn run(out: Out, shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kinfold", &mut script);
    out.data(String::from_utf8_lossy(&script).trim_end())
}
