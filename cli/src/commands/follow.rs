//! `follow`: lines as they come, of one group or of all.

use std::sync::mpsc;
use std::time::Duration;

use jiff::tz::TimeZone;
use kinfold_node::control::Request;
use kinfold_node::control::lines::Notice;
use kinfold_node::control::rows::{GroupDetail, Groups};

use super::Context;
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
    }
    let feed = context.remote()?.subscribe(only)?;
    let mut follow = Follow {
        context,
        remote,
        scroll,
        groups: rows.into_iter().map(|row| row.group_id).collect(),
        events: args.events,
        unread: Vec::new(),
    };
    follow.look_back()?;
    // Also a signal for scripts: what happens from here on is shown.
    context.out.signal("Following. New lines appear here as they come; Ctrl-C ends.")?;

    let (heard, hears) = mpsc::sync_channel(watch::HEARD_MAX);
    watch::listen(feed, heard);
    loop {
        match hears.recv_timeout(READ_PAUSE) {
            Ok(Heard::Notice(notice)) => follow.show(&notice)?,
            Ok(Heard::Ended(error)) => return Err(error),
            Ok(Heard::InputEnded | Heard::Typed(_)) => {}
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
                }
                if !self.scroll.remember(row) {
                    return Ok(());
                }
                if !row.own && !self.unread.contains(&row.group_id) {
                    self.unread.push(row.group_id.clone());
                }
                out.row(row, || self.scroll.line(row))
            }
            Notice::Lagged { missed } => self.catch_up(*missed),
            _ if out.json && !self.events => Ok(()),
            notice => out.row(&notice_json(notice), || self.scroll.notice(notice)),
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
                watch::mark_read(&mut self.remote, &group)?;
            }
        }
        Ok(())
    }
}
