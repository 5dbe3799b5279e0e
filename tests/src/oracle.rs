//! Sees all devices at once and knows what each may show.

mod marks;
mod states;

use std::collections::{BTreeMap, BTreeSet};

use kinfold_protocol::Client;
use kinfold_protocol::id::{GroupId, MemberId, MsgId};
use kinfold_protocol::persist::{Key, Table, WriteBatch};
use kinfold_protocol::step::{Line, LineKind, MessageState, Standing};
use kinfold_protocol::time::Time;

use crate::clock::Clock;
use crate::levers::{self, Levers};
use crate::trace::short;
pub use marks::Marks;

/// A message that a device accepted from its person.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Into which group.
    pub group: GroupId,
    /// By whose device.
    pub node: usize,
    /// As whom.
    pub author: MemberId,
    /// What it says.
    pub text: String,
    /// Who was in, as the author knew.
    pub roster: BTreeSet<MemberId>,
    /// When it must be gone.
    pub expires: Time,
    /// Whether its author took it back.
    pub dropped: bool,
}

/// What one device shows of one group.
#[derive(Debug, Default)]
struct Shown {
    order: Vec<MsgId>,
    expires: BTreeMap<MsgId, Option<Time>>,
    gone: BTreeSet<MsgId>,
    /// The lines that say that the device's own person came in.
    joined: BTreeSet<MsgId>,
}

/// The oracle.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Everything accepted.
    pub sent: BTreeMap<MsgId, Sent>,
    /// What devices were told to remember.
    pub marks: Marks,
    shown: BTreeMap<(usize, GroupId), Shown>,
    commits: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    states: states::States,
}

/// Bytes of a net id and of an epoch id before the commit's id in the name of its row.
const PARENT_BYTES: (usize, usize) = (8, 40);
/// Those of one that was judged: the network, the state, the commit.
const COMMIT_NAME_BYTES: usize = 72;

impl Oracle {
    /// What an accepted message was, asked of its author's device at once.
    ///
    /// # Errors
    /// When the device does not show what it has just accepted.
    pub fn accepted(
        node: usize,
        client: &mut Client,
        group: GroupId,
        id: MsgId,
        now: Time,
        text: &str,
    ) -> Result<Sent, String> {
        let members =
            client.members(group).map_err(|error| format!("n{node} accepted a message, but has no roster: {error}"))?;
        let author = members.iter().find(|member| member.own).map(|member| member.member);
        let author = author.ok_or_else(|| format!("n{node} accepted a message from somebody outside"))?;
        let lines = client.history(group, None, now).map_err(|error| format!("n{node} has no history: {error}"))?;
        let line = lines.iter().find(|line| line.id == id);
        let line = line.ok_or_else(|| format!("n{node} does not show the message that it accepted"))?;
        let expires = line.expires.ok_or_else(|| format!("n{node} accepted a message that never dies"))?;
        let roster = members.iter().map(|member| member.member).collect();
        Ok(Sent { group, node, author, text: text.to_owned(), roster, expires, dropped: false })
    }

    /// A message was released to those who had come since.
    pub fn released(&mut self, id: MsgId, client: &Client) {
        if let Some(sent) = self.sent.get_mut(&id) {
            let members = client.members(sent.group).unwrap_or_default();
            sent.roster.extend(members.iter().map(|member| member.member));
        }
    }

    /// A message was taken back by its author.
    pub fn dropped(&mut self, id: MsgId) {
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.dropped = true;
        }
    }

    /// Counts commits that have become durable, by the names of their rows, and forks.
    pub fn written(&mut self, commits: &[Key], levers: &mut Levers) {
        for key in commits {
            let (Some(parent), Some(commit)) =
                (key.name.get(PARENT_BYTES.0..PARENT_BYTES.1), key.name.get(PARENT_BYTES.1..))
            else {
                continue;
            };
            let children = self.commits.entry(parent.to_vec()).or_default();
            if children.insert(commit.to_vec()) {
                levers.pull(levers::COMMITS);
                if children.len() == 2 {
                    levers.pull(levers::FORKS);
                }
            }
        }
    }

    /// Holds the states of groups that a batch writes against those of the same name that other devices wrote.
    ///
    /// # Errors
    /// When two devices stand in one state and differ in its roster, its extension or its keys.
    pub fn states(&mut self, node: usize, batch: &WriteBatch) -> Result<(), String> {
        self.states.written(node, batch)
    }

    /// Looks at everything that a device shows.
    ///
    /// # Errors
    /// When it shows what it must not, or no longer shows what it must.
    pub fn look(
        &mut self,
        node: usize,
        client: &mut Client,
        clock: &Clock,
        now: Time,
        levers: &mut Levers,
    ) -> Result<(), String> {
        for view in client.groups() {
            let group = view.group;
            if view.standing == Standing::Broken {
                return Err(format!("n{node}: the group is broken"));
            }
            let lines = client.history(group, None, now).map_err(|error| format!("n{node}: no history: {error}"))?;
            self.lines(node, group, &lines, clock.alive_after(node))?;
            let order: Vec<MsgId> = lines.iter().map(|line| line.id).collect();
            let changed = self.shown.get(&(node, group)).is_none_or(|shown| shown.order != order);
            if changed {
                self.order(node, group, &order)?;
                self.replace(node, group, &lines, order, clock.dead_before(node), levers)?;
            }
        }
        Ok(())
    }

    /// Whether a device shows a message, exactly once.
    #[must_use]
    pub fn shows(&self, node: usize, group: GroupId, id: MsgId) -> bool {
        self.shown.get(&(node, group)).is_some_and(|shown| shown.order.contains(&id))
    }

    fn lines(&self, node: usize, group: GroupId, lines: &[Line], now: Time) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for line in lines {
            let name = short(line.id.as_bytes());
            if !seen.insert(line.id) {
                return Err(format!("n{node} shows {name} twice"));
            }
            if line.expires.is_some_and(|expires| expires <= now) {
                return Err(format!("n{node} shows {name} past its deadline {:?} at {now}", line.expires));
            }
            if self.shown.get(&(node, group)).is_some_and(|shown| shown.gone.contains(&line.id)) {
                return Err(format!("n{node} shows {name} again after it was gone"));
            }
            if let LineKind::Text(text) = &line.kind {
                let sent = self.sent.get(&line.id).ok_or_else(|| format!("n{node} shows {name}, which nobody said"))?;
                if sent.text != **text || sent.author != line.author || sent.group != group {
                    return Err(format!("n{node} shows {name} other than it was said"));
                }
                if line.expires != Some(sent.expires) {
                    return Err(format!("n{node} keeps {name} until {:?} and not {}", line.expires, sent.expires));
                }
                if line.own != (sent.node == node) || (line.own && line.state == MessageState::Expired) {
                    return Err(format!("n{node} shows {name} in a wrong state"));
                }
            }
        }
        Ok(())
    }

    /// Any two devices show what both show in the same order.
    fn order(&self, node: usize, group: GroupId, order: &[MsgId]) -> Result<(), String> {
        let places: BTreeMap<MsgId, usize> = order.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        for ((other, _), shown) in self.shown.iter().filter(|((_, theirs), _)| *theirs == group) {
            let common: Vec<usize> = shown.order.iter().filter_map(|id| places.get(id).copied()).collect();
            if !common.is_sorted() {
                return Err(format!("n{node} and n{other} show common lines in different orders"));
            }
        }
        Ok(())
    }

    fn replace(
        &mut self,
        node: usize,
        group: GroupId,
        lines: &[Line],
        order: Vec<MsgId>,
        now: Time,
        levers: &mut Levers,
    ) -> Result<(), String> {
        let expires: BTreeMap<MsgId, Option<Time>> = lines.iter().map(|line| (line.id, line.expires)).collect();
        let shown = self.shown.entry((node, group)).or_default();
        for (id, dies) in &shown.expires {
            if expires.contains_key(id) {
                continue;
            }
            // What a commit changed on a branch that was left is not so.
            if dies.is_none() {
                let own = shown.joined.contains(id);
                levers.pull(if own { levers::WELCOMED_AGAIN } else { levers::ROLLBACKS });
                continue;
            }
            let dead = dies.is_some_and(|dies| dies <= now);
            let dropped = self.sent.get(id).is_some_and(|sent| sent.dropped);
            if !dead && !dropped {
                return Err(format!("n{node} lost {} at {now}, before its deadline {dies:?}", short(id.as_bytes())));
            }
            if dead {
                levers.pull(levers::EXPIRED);
                shown.gone.insert(*id);
            }
        }
        let back = |line: &&Line| line.own && matches!(line.kind, LineKind::Back(_));
        let back = lines.iter().filter(back).filter(|line| !shown.expires.contains_key(&line.id)).count();
        levers.add(levers::SWAPS, back as u64);
        let joined = lines.iter().filter(|line| line.own && matches!(line.kind, LineKind::Joined(_)));
        shown.joined = joined.map(|line| line.id).collect();
        shown.order = order;
        shown.expires = expires;
        Ok(())
    }
}

/// The names of the commits that a batch writes, without what others say of some.
#[must_use]
pub fn commits_in(batch: &WriteBatch) -> Vec<Key> {
    let of_commit = |key: &Key| key.table == Table::Commit && key.name.len() == COMMIT_NAME_BYTES;
    let written = batch.rows.iter().filter(|(key, value)| of_commit(key) && value.is_some());
    written.map(|(key, _)| key.clone()).collect()
}

#[cfg(test)]
mod tests;
