//! `follow`: lines as they come, of one group or of all.

use std::sync::mpsc;
use std::time::Duration;

use jiff::tz::TimeZone;
use kinfold_node::control::Request;
use kinfold_node::control::lines::Notice;
use kinfold_node::control::rows::{GroupDetail, Groups, Members};

use super::{Context, earlier_unread};
use crate::args::FollowArgs;
use crate::error::Result;
use crate::remote::{Remote, notice_json};
use crate::scroll::Scroll;
use crate::watch::{self, Heard};

/// How long after the last line everything counts as read: one mark for a burst.
const READ_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context, args: FollowArgs) -> Result<()> {
    let mut remote = context.remote()?;
    let (rows, only) = match args.group {
        Some(group) => {
            let detail: GroupDetail = remote.call(&Request::GroupShow { group })?;
            let only = detail.row.group_id.clone();
            (vec![detail.row], Some(only))
        }
        None => (remote.call::<Groups>(&Request::GroupList {})?.groups, None),
    };
    let mut scroll = Scroll::new(TimeZone::system(), only.is_none());
    for row in &rows {
        scroll.name_group(&row.group_id, &row.name);
        meet(&mut remote, &mut scroll, &row.group_id);
    }
    let feed = context.remote()?.subscribe(only)?;
    let mut follow = Follow {
        context,
        remote,
        scroll,
        groups: rows.iter().map(|row| row.group_id.clone()).collect(),
        events: args.events,
        unread: Vec::new(),
        behind: rows.iter().filter(|row| row.unread > 0).map(|row| row.group_id.clone()).collect(),
    };
    follow.look_back()?;
    for row in rows.iter().filter(|row| row.unread > 0) {
        context.out.talk(&earlier_unread(row.unread, &row.name, &row.group_id))?;
    }
    // Also a signal for scripts: what happens from here on is shown.
    context.out.signal("Following. New lines appear here as they come; Ctrl-C ends.")?;

    let (heard, hears) = mpsc::sync_channel(watch::HEARD_MAX);
    watch::listen(feed, heard);
    loop {
        match hears.recv_timeout(READ_PAUSE) {
            Ok(Heard::Notice(notice)) => follow.show(&notice)?,
            Ok(Heard::Ended(error)) => return Err(error),
            Ok(Heard::InputEnded | Heard::Typed(_) | Heard::Unreadable(_)) => {}
            Err(_) => follow.mark_read()?,
        }
    }
}

struct Follow<'a> {
    context: &'a Context,
    remote: Remote,
    scroll: Scroll,
    groups: Vec<String>,
    events: bool,
    unread: Vec<String>,
    /// Groups with something unread from before, which this window does not show: nothing of theirs is marked.
    behind: Vec<String>,
}

/// Learns who is in a group.
fn meet(remote: &mut Remote, scroll: &mut Scroll, group: &str) {
    // A group that was left or cannot be read has nobody to tell apart.
    if let Ok(people) = remote.call::<Members>(&Request::Members { group: group.to_owned() }) {
        scroll.meet(group, &people.members);
        scroll.may_be_removed(group, &people.members);
    }
}

impl Follow<'_> {
    /// Remembers the newest lines without showing them, so that a gap can be told from what was before.
    fn look_back(&mut self) -> Result<()> {
        for group in self.groups.clone() {
            for row in watch::newest(&mut self.remote, &group, 0)?.rows {
                self.scroll.remember(&row);
            }
        }
        Ok(())
    }

    fn show(&mut self, notice: &Notice) -> Result<()> {
        let out = self.context.out;
        match notice {
            Notice::Line(row) => {
                if !self.groups.contains(&row.group_id) {
                    self.groups.push(row.group_id.clone());
                    meet(&mut self.remote, &mut self.scroll, &row.group_id);
                }
                if !self.scroll.remember(row) {
                    return Ok(());
                }
                let marked = self.unread.contains(&row.group_id) || self.behind.contains(&row.group_id);
                if !row.own && !marked {
                    self.unread.push(row.group_id.clone());
                }
                out.row(row, || self.scroll.line(row))
            }
            Notice::Lagged { missed } => self.catch_up(*missed),
            _ if out.json && !self.events => Ok(()),
            notice if out.json => out.data(&notice_json(notice).to_string()),
            notice => self.scroll.notice(notice).map_or(Ok(()), |text| out.data(&text)),
        }
    }

    /// Reads what came too fast to be told.
    fn catch_up(&mut self, missed: u64) -> Result<()> {
        for group in self.groups.clone() {
            for row in watch::missed(&mut self.remote, &self.scroll, &group, missed)? {
                self.show(&Notice::Line(row))?;
            }
        }
        Ok(())
    }

    /// A person has seen the lines; a script has only got them, and marks them itself with `history`.
    fn mark_read(&mut self) -> Result<()> {
        for group in std::mem::take(&mut self.unread) {
            if !self.context.out.json {
                watch::mark_shown(&mut self.remote, &self.scroll, &group)?;
            }
        }
        Ok(())
    }
}
