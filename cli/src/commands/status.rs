//! `status`: how things stand.

use kinfold_node::control::Request;
use kinfold_node::control::rows::StatusAnswer;

use super::Context;
use crate::error::Result;
use crate::render;

pub(super) fn run(context: &Context) -> Result<()> {
    let answer: StatusAnswer = context.remote()?.call(&Request::Status {})?;
    context.out.answer(&answer, || {
        let lost = answer.lost.iter().map(|lost| lost.message.clone());
        [render::status(&answer.status)].into_iter().chain(lost).collect::<Vec<_>>().join("\n")
    })
}
