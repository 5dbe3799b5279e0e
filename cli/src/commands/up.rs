//! `up`: runs the node in this window until it is stopped.

use std::env;
use std::io::{self, IsTerminal};

use kinfold_node::control::socket;
use kinfold_node::{NodeError, Options};
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Context;
use crate::error::{Local, Result};
use crate::secret;

/// The variable that says what goes to the log on stderr; codes only, never names, ids or content.
const LOG_VARIABLE: &str = "KINFOLD_LOG";

/// How the modules that may log are called: ours, which name nothing. Libraries log names, keys' owners and addresses.
const OURS: &str = "kinfold";

pub(super) fn run(context: &Context) -> Result<()> {
    kinfold_node::check_set_up(&context.data_dir)?;
    kinfold_node::check_files()?;
    // Before anybody is asked for a passphrase.
    if socket::connect(&context.data_dir).is_ok() {
        return Err(NodeError::InUse.into());
    }
    let options = Options {
        data_dir: context.data_dir.clone(),
        listen: context.global.listen.clone(),
        passphrase: secret::passphrase(&context.global)?,
        lan: !context.global.no_lan,
    };
    context.out.talk("Opening...")?;
    let asked = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    // A filter of its own: among the directives of one filter, a more detailed one of the variable's would win.
    let ours = filter_fn(|metadata| metadata.target().starts_with(OURS));
    let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(io::stderr);
    tracing_subscriber::registry().with(asked).with(ours).with(lines).init();

    super::hush_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|_| Local::NoRuntime)?;
    runtime.block_on(kinfold_node::run(options, |addresses| {
        if ready(context, addresses).is_err() {
            // Whoever started us does not listen; the node serves its groups all the same.
            tracing::debug!(code = "output_closed", "nobody was told that the node is ready");
        }
    }))?;
    context.out.talk("Kinfold has stopped.")
}

fn ready(context: &Context, addresses: Vec<(String, String)>) -> Result<()> {
    if context.out.json {
        let address = |(group, address)| json!({ "group": group, "address": address });
        let addresses: Vec<_> = addresses.into_iter().map(address).collect();
        return context.out.data(&json!({ "event": "ready", "addresses": addresses }).to_string());
    }
    context.out.talk(
        "Kinfold is running. Leave this window open: closing it stops Kinfold. In another one, `kinfold status` shows \
         how things stand, and `kinfold help` what can be done.\n\
         Ctrl-C or `kinfold down` stops it.",
    )
}
