//! A Kinfold node.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub mod control;

pub use control::NodeError;

/// What a node is started with.
#[derive(Debug)]
pub struct Options {
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// Interfaces to listen on, as multiaddrs; all without one.
    pub listen: Vec<String>,
    /// What opens the vault.
    pub passphrase: Zeroizing<String>,
    /// Whether others may be looked for on the local network.
    pub lan: bool,
}

/// Whether a node was set up in this directory.
#[must_use]
pub fn is_set_up(data_dir: &Path) -> bool {
    data_dir.join("keyring").exists()
}

/// Sets a node up.
///
/// # Errors
/// Always: this stands in for the node.
pub fn init(_data_dir: &Path, _passphrase: &str) -> Result<(), NodeError> {
    Err(NodeError::Internal)
}

/// Runs a node until it is stopped.
///
/// # Errors
/// Always: this stands in for the node.
pub async fn run(_options: Options, ready: impl FnOnce(Vec<(String, String)>)) -> Result<(), NodeError> {
    ready(Vec::new());
    std::future::ready(Err(NodeError::Internal)).await
}
