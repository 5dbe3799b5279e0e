//! `status`: how things stand.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Status;

use super::Context;
use crate::error::Result;
use crate::render;

pub(super) fn run(context: &Context) -> Result<()> {
    let status: Status = context.remote()?.call(&Request::Status {})?;
    context.out.answer(&status, || render::status(&status))
}
