//! What must have come about at the end of a run, when the network is whole and everybody is up, and what must be gone
//! at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use kinfold_protocol::id::{GroupId, MemberId, MsgId};
use kinfold_protocol::step::{MessageState, Standing};
use kinfold_protocol::time::Time;
use kinfold_protocol::view::GroupView;

use crate::facts::{Circle, Role};
use crate::oracle::Sent;
use crate::trace::short;
use crate::world::World;

/// A message this close to its deadline need not arrive any more.
const TOO_LATE: Duration = Duration::from_secs(600);

/// How long after a deadline a device that is up may take to sweep.
const SWEPT_WITHIN_MS: u64 = 2_000;

/// How everything begins that is said in a run.
pub const WORDS_BEGIN: &str = "said-";
/// How it ends, but for a filler of spaces.
const WORDS_END: u8 = b'.';

/// What all members must agree on.
#[derive(Debug, PartialEq, Eq)]
struct Common {
    name: String,
    retention: Duration,
    members: BTreeMap<MemberId, (String, bool)>,
}

/// Whether everything has come about that must.
///
/// # Errors
/// The first thing that has not.
pub fn settled(world: &World) -> Result<(), String> {
    for circle in &world.facts.circles {
        if let Some(group) = circle.group {
            agreed(world, circle, group)?;
        }
    }
    for (id, sent) in &world.oracle.sent {
        delivered(world, id, sent)?;
    }
    Ok(())
}

/// Looks for words past their deadline on the disks of devices that are up and have had time to sweep.
#[derive(Debug, Default)]
pub struct Erasure {
    /// How many messages were dead when a disk was last searched.
    searched: BTreeMap<usize, usize>,
}

impl Erasure {
    /// Searches the disks on which something new must be gone.
    ///
    /// # Errors
    /// The first disk that holds what must be gone.
    pub fn look(&mut self, world: &World) -> Result<(), String> {
        for node in 0..world.len() {
            let steady = world.steady_since(node).is_some_and(|since| since + SWEPT_WITHIN_MS <= world.clock.now_ms());
            let Some(disk) = world.disk(node).filter(|_| steady) else { continue };
            let must = world.clock.alive_after(node);
            let gone = |sent: &Sent| sent.expires + Duration::from_millis(SWEPT_WITHIN_MS) <= must;
            let dead: Vec<_> = world.oracle.sent.iter().filter(|(_, sent)| gone(sent)).collect();
            if self.searched.insert(node, dead.len()) == Some(dead.len()) {
                continue;
            }
            let held = disk.found(WORDS_BEGIN.as_bytes(), WORDS_END);
            // The filler is the same in all messages.
            if let Some((id, _)) = dead.into_iter().find(|(_, sent)| held.contains(sent.text.trim_end().as_bytes())) {
                return Err(format!("the disk of n{node} still holds the words of {}", short(id.as_bytes())));
            }
        }
        Ok(())
    }
}

/// How every device stands inside, to read when it never settles.
#[must_use]
pub fn inside(world: &World) -> String {
    let mut text = String::new();
    for (node, client) in (0..world.len()).filter_map(|node| Some((node, world.client(node)?))) {
        for view in client.groups() {
            let Ok(inside) = client.examine(view.group) else { continue };
            let _ = writeln!(
                text,
                "n{node} {} {} at {} {}, voted {:?}, beyond {:?}",
                view.name,
                short(view.group.as_bytes()),
                inside.number,
                short(inside.head.as_bytes()),
                inside.voted.map(|epoch| short(epoch.as_bytes())),
                inside.beyond.map(|epoch| short(epoch.as_bytes())),
            );
            for state in inside.states {
                let _ = writeln!(
                    text,
                    "  {} {} after {:?}: {} people, {} votes, {} ways{}{}",
                    state.number,
                    short(state.state.as_bytes()),
                    state.parent.map(|epoch| short(epoch.as_bytes())),
                    state.people,
                    state.votes,
                    state.ways,
                    if state.on_line { ", on line" } else { "" },
                    if state.open { ", open" } else { "" },
                );
            }
            for ticket in inside.tickets {
                let (by, about) = (short(ticket.by.as_bytes()), short(ticket.member.as_bytes()));
                let _ = writeln!(text, "  {by} wants {:?} {about}, two {}", ticket.wish, ticket.takes_two);
            }
            for (member, state) in inside.votes {
                let _ = writeln!(text, "  {} votes {}", short(member.as_bytes()), short(state.as_bytes()));
            }
            for peer in inside.peers {
                let (member, state) = (short(peer.member.as_bytes()), short(peer.state.as_bytes()));
                let _ =
                    writeln!(text, "  {member} at {} {state}{}", peer.number, if peer.full { ", full" } else { "" });
            }
        }
    }
    text
}

/// Messages that wait for their author's word, and their authors.
#[must_use]
pub fn waiting(world: &mut World) -> Vec<(usize, GroupId, MsgId)> {
    let mut found = Vec::new();
    for node in 0..world.len() {
        // What the clock shows and nothing else: a client that is asked about another time takes its clock for set.
        let now = world.clock.local(node);
        let Some(client) = world.client_mut(node) else { continue };
        for view in client.groups() {
            let entries = client.outbox(view.group, now).unwrap_or_default();
            let waits = entries.into_iter().filter(|entry| entry.state == MessageState::Waiting);
            found.extend(waits.map(|entry| (node, view.group, entry.id)));
        }
    }
    found
}

fn agreed(world: &World, circle: &Circle, group: GroupId) -> Result<(), String> {
    let (truth, _) = seen(world, circle.founder, group)?;
    for (node, role) in &circle.roles {
        match role {
            Role::Asked | Role::Invited { .. } => {}
            Role::Joining { expires, .. } => {
                return Err(format!("n{node} is still joining; its invite is good until {expires}"));
            }
            Role::In { member } => {
                if !truth.members.contains_key(member) {
                    return Err(format!("n{node} believes to be in, and the founder does not"));
                }
                let (theirs, view) = seen(world, *node, group)?;
                if theirs != truth {
                    return Err(format!("n{node} sees another group than its founder: {theirs:?} and not {truth:?}"));
                }
                if view.standing != Standing::Active {
                    return Err(format!("n{node} is in and stands at {:?}", view.standing));
                }
            }
            Role::Forgot { .. } => {
                if view_of(world, *node, group).is_some() {
                    return Err(format!("n{node} has forgotten the group and shows it"));
                }
            }
            Role::Out { member } => {
                if truth.members.contains_key(member) {
                    return Err(format!("n{node} is out and still in the founder's roster"));
                }
                let standing = view_of(world, *node, group).map(|view| view.standing);
                // Whoever leaves waits for a second one to stand by that, and there may be none.
                let waits = standing == Some(Standing::Leaving) && circle.inside().len() < 2;
                if !waits && standing.is_some_and(|standing| !matches!(standing, Standing::Left | Standing::Removed)) {
                    return Err(format!("n{node} is out and stands at {standing:?}"));
                }
            }
        }
    }
    let known: BTreeSet<MemberId> = circle.roles.values().filter_map(Role::member).collect();
    let strangers = truth.members.keys().filter(|member| !known.contains(*member)).count();
    let unknown = circle.roles.values().filter(|role| matches!(role, Role::Forgot { member: None })).count();
    // The founder is no guest of the circle. Who gave up a join may have been let in without ever hearing of it.
    if !(1..=1 + unknown).contains(&strangers) {
        Err(format!("{strangers} people are in the roster and none of the circle"))
    } else {
        Ok(())
    }
}

fn delivered(world: &World, id: &MsgId, sent: &Sent) -> Result<(), String> {
    let Some(circle) = world.facts.circle_of(sent.group) else { return Ok(()) };
    let name = short(id.as_bytes());
    for node in 0..world.len() {
        let shows = world.oracle.shows(node, sent.group, *id);
        let Some(member) = member_at(world, circle, node) else { continue };
        let entitled = sent.roster.contains(&member.0);
        if shows && !entitled {
            return Err(format!("n{node} shows {name}, which was not for it"));
        }
        let required = entitled && member.1 && is_inside(world, circle, sent.node) && !sent.dropped;
        if required && !shows && !dies_soon(world, sent.expires) {
            return Err(format!("n{node} does not show {name} of n{}", sent.node));
        }
    }
    Ok(())
}

/// Whether a message is past its deadline, or nearly, on any clock that ever was right or wrong, or is misled by having
/// been set.
fn dies_soon(world: &World, expires: Time) -> bool {
    (0..world.len()).any(|node| expires < world.clock.dead_before(node) + TOO_LATE)
}

fn seen(world: &World, node: usize, group: GroupId) -> Result<(Common, GroupView), String> {
    let view = view_of(world, node, group).ok_or_else(|| format!("n{node} does not know the group"))?;
    let members = world.client(node).and_then(|client| client.members(group).ok()).unwrap_or_default();
    let members = members.into_iter().map(|member| (member.member, (member.name, member.facilitator))).collect();
    Ok((Common { name: view.name.clone(), retention: view.retention, members }, view))
}

fn view_of(world: &World, node: usize, group: GroupId) -> Option<GroupView> {
    world.client(node)?.groups().into_iter().find(|view| view.group == group)
}

/// As whom a node takes part, and whether it still does.
fn member_at(world: &World, circle: &Circle, node: usize) -> Option<(MemberId, bool)> {
    if node == circle.founder {
        let members = world.client(node)?.members(circle.group?).ok()?;
        return members.iter().find(|member| member.own).map(|member| (member.member, true));
    }
    match circle.roles.get(&node)? {
        Role::In { member } => Some((*member, true)),
        Role::Out { member } => Some((*member, false)),
        Role::Asked | Role::Forgot { .. } | Role::Invited { .. } | Role::Joining { .. } => None,
    }
}

fn is_inside(world: &World, circle: &Circle, node: usize) -> bool {
    member_at(world, circle, node).is_some_and(|(_, inside)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Watch;
    use kinfold_protocol::id::NetId;
    use kinfold_protocol::persist::{Key, Table, Value, WriteBatch};

    /// A world of one device that has been up for a while, and a message that everybody must have swept in half a minute.
    fn world() -> World {
        let mut world = World::new(1, 1, Watch::default());
        world.advance(world.clock.now_ms() + 10_000).unwrap();
        let sent = Sent {
            group: GroupId::from_bytes([1; 16]),
            node: 0,
            author: MemberId::from_bytes([2; 32]),
            text: format!("{WORDS_BEGIN}1-by-n0-in-0.   "),
            roster: BTreeSet::new(),
            expires: world.clock.alive_after(0) + Duration::from_millis(30_000 - SWEPT_WITHIN_MS),
            dropped: false,
        };
        let row = Value::lasting([b"\0", sent.text.as_bytes()].concat());
        world.oracle.sent.insert(MsgId::from_bytes([3; 32]), sent);
        let rows = BTreeMap::from([(Key::new(Table::Line, NetId(1), &[]), Some(row))]);
        world.disk(0).unwrap().stage(WriteBatch { rows, urgent: false });
        world.disk(0).unwrap().flush();
        world
    }

    fn pass(world: &mut World, ms: u64) {
        world.advance(world.clock.now_ms() + ms).unwrap();
    }

    #[test]
    fn it_sees_words_that_were_not_swept_as_soon_as_they_must_be_gone() {
        let (mut world, mut erasure) = (world(), Erasure::default());
        pass(&mut world, 29_999);
        assert_eq!(erasure.look(&world), Ok(()));
        pass(&mut world, 1);
        assert!(erasure.look(&world).is_err());
    }

    #[test]
    fn who_sleeps_or_is_down_or_has_just_come_up_is_given_time_to_sweep() {
        let (mut world, mut erasure) = (world(), Erasure::default());
        world.clock.leap(60_000);
        assert_eq!(erasure.look(&world), Ok(()));
        pass(&mut world, 1_000);
        world.restart_clean(0, 60_000).unwrap();
        for ms in [1_000, 58_000, 2_999] {
            pass(&mut world, ms);
            assert_eq!(erasure.look(&world), Ok(()), "after {ms}");
        }
        pass(&mut world, 1_000);
        assert!(erasure.look(&world).is_err());
    }
}
