//! A founder who was copied: what the copy commits on a state that the group has left breaks nothing. What its key has
//! signed may still be carried out, by all or by nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::id::{GroupId, MemberId, NetId};
use kinfold_protocol::persist::{Key, Table};
use kinfold_protocol::step::{Command, Input, Transmit};

use super::private::net_of;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::world::World;

/// A retention that nobody else sets.
const RETENTION: Duration = Duration::from_secs(12_345);

/// Copies of founders' disks, by circle.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<usize, Disk>);

/// Whom a device sees in each of its groups.
pub(super) type Seen = BTreeMap<(usize, GroupId), Vec<MemberId>>;

impl Copies {
    /// Somebody copies the founder's disk, if the founder alone changes the group.
    pub(super) fn take(&mut self, world: &World, circle: usize) {
        let alone = world.facts.circles.get(circle).filter(|circle| circle.leaders.is_empty());
        let founder = alone.map(|circle| circle.founder);
        if let Some(disk) = founder.and_then(|founder| world.disk(founder)) {
            self.0.insert(circle, disk.copy());
        }
    }

    /// Every copy whose state the group has left changes the group, and everybody hears of it.
    pub(super) fn commit(&self, dice: &mut Dice, world: &mut World) {
        for (circle, copy) in &self.0 {
            let Some(known) = world.facts.circles.get(*circle) else { continue };
            if !known.leaders.is_empty() {
                continue;
            }
            let (founder, group) = (known.founder, known.group);
            let (Some(group), Some(net)) = (group, net_of(world, founder, *circle)) else { continue };
            if world.disk(founder).is_none_or(|disk| commits(disk, net) == commits(copy, net)) {
                continue;
            }
            let now = world.clock.local(founder);
            let Ok((mut twin, _)) = Client::open_seeded(Box::new(copy.copy()), dice.bytes(), now) else { continue };
            let command = Command::SetRetention { group, retention: RETENTION };
            let Ok(output) = twin.handle(Input::Command(command), now) else { continue };
            for transmit in output.transmits {
                let Transmit::Publish { bytes, .. } = transmit else { continue };
                for node in 0..world.len() {
                    if let Some(net) = net_of(world, node, *circle) {
                        world.inject(node, Input::Gossip { net, link: None, bytes: bytes.clone() });
                    }
                }
            }
        }
    }
}

fn commits(disk: &Disk, net: NetId) -> Vec<Key> {
    let of_net = |key: &Key| key.table == Table::Commit && key.name.starts_with(&net.0.to_be_bytes());
    disk.rows().into_keys().filter(of_net).collect()
}

/// What everybody sees now.
pub(super) fn seen(world: &World) -> Seen {
    let mut seen = Seen::new();
    for node in 0..world.len() {
        let Some(client) = world.client(node) else { continue };
        for view in client.groups() {
            let members = client.members(view.group).unwrap_or_default();
            let members = members.into_iter().map(|member| member.member).collect();
            seen.insert((node, view.group), members);
        }
    }
    seen
}
