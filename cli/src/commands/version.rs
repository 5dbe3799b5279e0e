//! `version`: which version this is. Needs no node.

use kinfold_node::control::rows::Version;

use crate::error::Result;
use crate::out::Out;

pub(super) fn run(out: Out) -> Result<()> {
    let version = Version::current();
    out.answer(&version, || {
        format!("kinfold {} (local API {}, group protocol {})", version.version, version.api, version.protocol)
    })
}
