//! Links more than are of use: a second one to the same member, and one dialled beyond those that are kept.

use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::link::Link;
use super::reach::DIALLED;
use crate::id::{LinkId, MemberId};
use crate::time::Time;

/// How long a link that took another's place must have been full before the other is closed: both ends know it then, and
/// nobody seems to be away in between. Two that became full within it of each other came of one cause: both had dialled.
const SETTLED: Duration = Duration::from_secs(10);

impl Group {
    /// The link to close next, and when.
    pub(crate) fn spare(&self) -> Option<(LinkId, Time)> {
        self.second().or_else(|| self.beyond())
    }

    /// Closes it when its time has come.
    pub(crate) fn close_spare(&mut self, cx: &mut Cx<'_>) {
        if let Some((id, _)) = self.spare().filter(|(_, at)| *at <= cx.now.wall) {
            self.close(cx, id);
        }
    }

    /// Of two links to one member, the one that both ends close; what is on its way on it may arrive.
    fn second(&self) -> Option<(LinkId, Time)> {
        let mut full: Vec<(MemberId, LinkId, &Link)> = self.full().collect();
        full.sort_by_key(|(member, id, _)| (*member, *id));
        full.windows(2).find_map(|pair| {
            let [(of, a, first), (same, b, other)] = pair else { return None };
            let later = first.full_since.max(other.full_since);
            let (id, worse) = if is_worse(first, other) { (a, first) } else { (b, other) };
            (of == same && worse.is_idle()).then_some((*id, later + SETTLED))
        })
    }

    /// Of too many that were dialled, the one that has been there for the longest: each has its turn.
    fn beyond(&self) -> Option<(LinkId, Time)> {
        let dialled: Vec<_> = self.full().filter(|(_, _, link)| link.address.is_some()).collect();
        let newest = dialled.iter().map(|(_, _, link)| link.full_since).max()?;
        let idle = dialled.iter().filter(|(_, _, link)| link.is_idle());
        let oldest = idle.min_by_key(|(_, id, link)| (link.full_since, *id))?;
        (dialled.len() > DIALLED).then_some((oldest.1, newest + SETTLED))
    }

    fn full(&self) -> impl Iterator<Item = (MemberId, LinkId, &Link)> {
        self.links.iter().filter(|(_, link)| link.full).filter_map(|(id, link)| Some((link.member?, *id, link)))
    }
}

/// Of two links to one member, whether the first is to go. Both ends see the same, whoever dialled; but where one came
/// much later, the member has left the other.
fn is_worse(link: &Link, other: &Link) -> bool {
    let (a, b) = (link.full_since, other.full_since);
    if a.max(b) < a.min(b) + SETTLED {
        let mark = |link: &Link| link.talk.binding("one of two", link.talk.is_opener());
        return mark(link) > mark(other);
    }
    a < b
}
