//! `up`: runs the node in this window until it is stopped.

use std::env;
use std::io::{self, IsTerminal};

use kinfold_node::control::socket;
use kinfold_node::{NodeError, Options};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::Context;
use crate::error::{Local, Result};
use crate::secret;

/// The variable that says what goes to the log on stderr; codes only, never names, ids or content.
const LOG_VARIABLE: &str = "KINFOLD_LOG";

/// Libraries that log addresses, transport ids or what they store, whatever the variable asks for.
const SILENT: &[&str] = &[
    "libp2p=off",
    "libp2p_core=off",
    "libp2p_gossipsub=off",
    "libp2p_noise=off",
    "libp2p_ping=off",
    "libp2p_swarm=off",
    "libp2p_tcp=off",
    "libp2p_yamux=off",
    "multistream_select=off",
    "sled=off",
    "yamux=off",
];

pub(super) fn run(context: &Context) -> Result<()> {
    kinfold_node::check_set_up(&context.data_dir)?;
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
    let filter = SILENT.iter().filter_map(|directive| directive.parse().ok()).fold(
        EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn")),
        EnvFilter::add_directive,
    );
    let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(io::stderr).init();

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
