//! `history`: what was said, oldest first.

use kinfold_node::control::Request;
use kinfold_node::control::rows::{ClockDoubt, GroupDetail, History, Members, Standing, StatusAnswer};

use super::{Context, earlier_unread};
use crate::args::HistoryArgs;
use crate::error::Result;
use crate::{render, watch};

pub(super) fn run(context: &Context, args: HistoryArgs) -> Result<()> {
    let HistoryArgs { group, last, keep_unread } = args;
    let out = context.out;
    let mut remote = context.remote()?;
    let mut scroll = context.scroll();
    if !out.json {
        let detail: GroupDetail = remote.call(&Request::GroupShow { group: group.clone() })?;
        if last.is_none() {
            out.talk(&render::newcomer(&detail.row, &scroll))?;
        }
        // A group that cannot be read has nobody to tell apart.
        if let Ok(people) = remote.call::<Members>(&Request::Members { group: detail.row.group_id.clone() }) {
            scroll.meet(&detail.row.group_id, &people.members);
            if detail.row.standing == Standing::Removed {
                scroll.may_be_removed(&detail.row.group_id, &people.members);
            }
        }
    }
    let request = Request::History { group, last, all_unread: false, mark_read: false };
    let history: History = remote.call(&request)?;
    for row in &history.rows {
        out.row(row, || scroll.line(row))?;
    }
    if !keep_unread && history.read_mark.is_some() {
        out.taken()?;
        watch::mark_read(&mut remote, &history)?;
    }
    if history.rows.is_empty() {
        out.talk("Nothing is here: nothing was said, or its time is over.")?;
    }
    if history.unread_earlier > 0 {
        out.talk(&earlier_unread(history.unread_earlier, &history.group, &history.group_id))?;
    }
    if !out.json
        && let Ok(status) = remote.call::<StatusAnswer>(&Request::Status {})
        && let Some(doubt @ (ClockDoubt::Leapt { .. } | ClockDoubt::Off { corrected: false, .. })) = status.clock
    {
        // It may be why something is not shown.
        out.talk(&render::clock(doubt, &scroll))?;
    }
    Ok(())
}
