//! `retention`: how long messages of a group live.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Retention;

use super::Context;
use crate::args::RetentionArgs;
use crate::error::Result;
use crate::span;

pub(super) fn run(context: &Context, args: RetentionArgs) -> Result<()> {
    let secs = args.span.map(|span| span.as_secs());
    let set = secs.is_some();
    let retention: Retention = context.remote()?.call(&Request::Retention { group: args.group, secs })?;
    context.out.answer(&retention, || {
        let span = span::in_words(retention.retention_secs);
        if retention.unchanged {
            format!("Messages are gone after {span}; it was so already.")
        } else if set {
            format!("From now on, messages are gone after {span}. What was said before keeps its own time.")
        } else {
            format!("Messages are gone after {span}.")
        }
    })
}
