//! `history`: what was said, oldest first.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{GroupDetail, History};

use super::Context;
use crate::args::HistoryArgs;
use crate::error::Result;
use crate::render;

pub(super) fn run(context: &Context, args: HistoryArgs) -> Result<()> {
    let HistoryArgs { group, last, keep_unread } = args;
    let mut remote = context.remote()?;
    let mut scroll = context.scroll();
    if !context.out.json && last.is_none() {
        let detail: GroupDetail = remote.call(&Request::GroupShow { group: group.clone() })?;
        context.out.talk(&render::newcomer(&detail.row, &scroll))?;
    }
    let history: History = remote.call(&Request::History { group, last, mark_read: !keep_unread })?;
    for row in &history.rows {
        context.out.row(row, || scroll.line(row))?;
    }
    if history.rows.is_empty() {
        context.out.talk("Nothing is here: nothing was said, or its time is over.")?;
    }
    Ok(())
}
