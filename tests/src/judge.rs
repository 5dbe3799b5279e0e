//! The end of a run: the network is whole, everybody is up, and what must have come about has.

use std::collections::{BTreeMap, BTreeSet};
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
const SWEPT_WITHIN: Duration = Duration::from_secs(2);

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

/// Whether no disk holds a word of what is past its deadline. Devices have had time to sweep.
///
/// # Errors
/// The first disk that does.
pub fn erased(world: &World) -> Result<(), String> {
    for (id, sent) in &world.oracle.sent {
        for node in 0..world.len() {
            let dead = sent.expires + SWEPT_WITHIN <= world.clock.alive_after(node);
            // The filler is the same in all messages.
            let words = sent.text.trim_end();
            if dead && world.disk(node).is_some_and(|disk| disk.holds(words.as_bytes())) {
                return Err(format!("the disk of n{node} still holds the words of {}", short(id.as_bytes())));
            }
        }
    }
    Ok(())
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
                if standing.is_some_and(|standing| !matches!(standing, Standing::Left | Standing::Removed)) {
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

/// Whether a message is past its deadline, or nearly, on any clock that ever was right or wrong.
fn dies_soon(world: &World, expires: Time) -> bool {
    (0..world.len()).any(|node| expires < world.clock.mark(node) + TOO_LATE)
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
