//! `log`: how a group was changed, and by whom, oldest first.

use kinfold_node::control::Request;
use kinfold_node::control::lines::Kind;
use kinfold_node::control::rows::{History, Members};

use super::Context;
use crate::args::InGroup;
use crate::error::Result;

pub(super) fn run(context: &Context, args: InGroup) -> Result<()> {
    let (out, mut remote, mut scroll) = (context.out, context.remote()?, context.scroll());
    let request = Request::History { group: args.group, last: None, all_unread: false, mark_read: false };
    let history: History = remote.call(&request)?;
    // A group that cannot be read has nobody to tell apart.
    if let Ok(people) = remote.call::<Members>(&Request::Members { group: history.group_id.clone() }) {
        scroll.meet(&history.group_id, &people.members);
    }
    for row in history.rows.iter().filter(|row| row.kind != Kind::Text) {
        out.row(row, || scroll.line(row))?;
    }
    Ok(())
}
