//! `status`: how things stand.

use kinfold_node::control::Request;
use kinfold_node::control::rows::StatusAnswer;

use super::Context;
use crate::error::Result;
use crate::render;

pub(super) fn run(context: &Context) -> Result<()> {
    let answer: StatusAnswer = context.remote()?.call(&Request::Status {})?;
    context.out.answer(&answer, || {
        let lost = answer.lost.iter().map(|lost| sentence(&lost.message));
        let full = answer.full.iter().map(|full| sentence(&full.message));
        let clock = answer.clock.iter().map(|doubt| render::clock(*doubt, &context.scroll()));
        [render::status(&answer.status)].into_iter().chain(lost).chain(full).chain(clock).collect::<Vec<_>>().join("\n")
    })
}

/// Words of the node, by themselves.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
