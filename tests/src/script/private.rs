//! What a person does with the own device alone, and a disk that cannot be read for a while.

use kinfold_protocol::id::NetId;
use kinfold_protocol::step::{Address, Command, Standing};

use super::inside;
use crate::dice::Dice;
use crate::disk::Trouble;
use crate::facts::{Ask, Role};
use crate::network;
use crate::world::World;

/// Somebody takes everything so far as read.
pub(super) fn read(dice: &mut Dice, world: &mut World, circle: usize) {
    let Some((group, inside)) = inside(world, circle) else { return };
    let Some(node) = dice.pick(&inside).copied() else { return };
    world.ask(node, Ask::Read { circle }, Command::MarkRead { group, upto: None });
}

/// Somebody has compared a safety code, or doubts it.
pub(super) fn verify(dice: &mut Dice, world: &mut World, circle: usize) {
    let Some((group, inside)) = inside(world, circle) else { return };
    let Some(node) = dice.pick(&inside).copied() else { return };
    let members = world.client(node).and_then(|client| client.members(group).ok()).unwrap_or_default();
    let Some(member) = dice.pick(&members).map(|member| member.member) else { return };
    let verified = dice.chance(700);
    let ask = Ask::Verify { circle, member, verified };
    world.ask(node, ask, Command::Verify { group, member, verified });
}

/// Somebody takes back an own invite that nobody has used.
pub(super) fn revoke(dice: &mut Dice, world: &mut World, circle: usize) {
    let Some(known) = world.facts.circles.get(circle) else { return };
    let Some(group) = known.group else { return };
    let open = known.roles.iter().filter_map(|(guest, role)| match role {
        Role::Invited { id, revoked: false, by, .. } => Some((*guest, *id, *by)),
        _ => None,
    });
    let open: Vec<_> = open.collect();
    let Some((guest, invite, by)) = dice.pick(&open).copied() else { return };
    world.ask(by, Ask::Revoke { circle, guest }, Command::RevokeInvite { group, invite });
}

/// Somebody who does not lead throws the group away, or the way into it.
pub(super) fn forget(dice: &mut Dice, world: &mut World, circle: usize) {
    let Some(known) = world.facts.circles.get(circle) else { return };
    let nets = known.roles.iter().filter_map(|(node, role)| {
        let of_group = || net_of(world, *node, circle);
        let net = match role {
            Role::In { .. } | Role::Out { .. } => of_group(),
            Role::Joining { net, .. } => Some(*net),
            Role::Asked | Role::Forgot { .. } | Role::Invited { .. } => None,
        };
        net.filter(|_| !known.leaders.contains(node)).map(|net| (*node, net))
    });
    let nets: Vec<_> = nets.collect();
    let Some((node, net)) = dice.pick(&nets).copied() else { return };
    world.ask(node, Ask::Forget { circle, net }, Command::Forget { net });
}

/// Somebody types the address of another, or one where nobody is.
pub(super) fn connect(dice: &mut Dice, world: &mut World, circle: usize) {
    let Some((group, inside)) = inside(world, circle) else { return };
    let (Some(from), Some(to)) = (dice.pick(&inside).copied(), dice.pick(&inside).copied()) else { return };
    let address = match net_of(world, to, circle) {
        Some(net) if dice.chance(700) => network::address(to, net),
        _ => Address("sim:99:1".to_owned()),
    };
    let active = world.client(from).is_some_and(|client| {
        client.groups().iter().any(|view| view.group == group && view.standing == Standing::Active)
    });
    if active {
        world.ask(from, Ask::Connect, Command::Connect { group, address });
    }
}

/// Some of the next reads of a node fail.
pub(super) fn trouble(dice: &mut Dice, world: &mut World, node: usize) {
    world.trouble(node, Trouble { after: dice.below(3), times: dice.between(1, 4), failed: 0 });
}

pub(super) fn net_of(world: &World, node: usize, circle: usize) -> Option<NetId> {
    let group = world.facts.circles.get(circle)?.group?;
    world.client(node)?.groups().into_iter().find(|view| view.group == group).map(|view| view.net)
}
