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
pub(super) const SETTLED: Duration = Duration::from_secs(10);
/// What is under way on the other is waited for no longer: whoever never ends keeps no place.
const BUSY_MAX: Duration = Duration::from_secs(60);

impl Group {
    /// The link to close next, and when.
    pub(crate) fn spare(&self) -> Option<(LinkId, Time)> {
        [self.second(), self.beyond()].into_iter().flatten().min_by_key(|(_, at)| *at)
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
        let seconds = full.windows(2).filter_map(|pair| {
            let [(of, a, first), (same, b, other)] = pair else { return None };
            let since = first.full_since.max(other.full_since);
            let id = if is_worse(first, other) { a } else { b };
            (of == same).then(|| (*id, self.closes(*id, since)))
        });
        seconds.min_by_key(|(_, at)| *at)
    }

    /// Of too many that were dialled, the one that has been there for the longest: each has its turn.
    fn beyond(&self) -> Option<(LinkId, Time)> {
        let mut dialled: Vec<_> = self.full().filter(|(_, _, link)| link.address.is_some()).collect();
        dialled.sort_by_key(|(_, id, link)| (link.full_since, *id));
        let [(_, oldest, _), .., (_, _, newest)] = dialled[..] else { return None };
        (dialled.len() > DIALLED).then(|| (oldest, self.closes(oldest, newest.full_since)))
    }

    /// When a link goes that another took the place of.
    fn closes(&self, id: LinkId, since: Time) -> Time {
        let idle = self.links.get(&id).is_none_or(Link::is_idle) && !self.delivery.is_by(id);
        since + if idle { SETTLED } else { BUSY_MAX }
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
