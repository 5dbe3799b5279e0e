//! `demo`: shows what Kinfold does, with three people on this computer, and checks it.

use crate::demo;
use crate::error::Result;
use crate::out::Out;

pub(super) fn run(out: Out) -> Result<()> {
    demo::run(out)
}
