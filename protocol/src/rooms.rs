//! The rooms of a device, one for each network, and which input goes to which.

use std::collections::BTreeMap;

use crate::error::{Error, Refusal};
use crate::group::{Cx, Group};
use crate::id::{GroupId, LinkId, NetId};
use crate::identity::is_name;
use crate::joining::{Arrival, Joining};
use crate::limits::{GROUPS_MAX, RETENTION_DEFAULT};
use crate::step::{Command, Event, Input, Outcome, Reply, Transmit};
use crate::wire::invite::Invite;

/// What a network is for.
pub(crate) enum Room {
    Group(Box<Group>),
    Joining(Box<Joining>),
}

/// All rooms.
pub(crate) type Rooms = BTreeMap<NetId, Room>;

/// The groups among them.
pub(crate) fn groups_of(rooms: &Rooms) -> impl Iterator<Item = &Group> {
    rooms.values().filter_map(|room| match room {
        Room::Group(group) => Some(&**group),
        Room::Joining(_) => None,
    })
}

/// The groups among the rooms, to change them.
pub(crate) fn groups_of_mut(rooms: &mut Rooms) -> impl Iterator<Item = &mut Group> {
    rooms.values_mut().filter_map(|room| match room {
        Room::Group(group) => Some(&mut **group),
        Room::Joining(_) => None,
    })
}

/// The group with this id.
pub(crate) fn find(rooms: &Rooms, id: GroupId) -> Result<&Group, Error> {
    groups_of(rooms).find(|group| group.id == id).ok_or(Error::UnknownGroup)
}

fn find_mut(rooms: &mut Rooms, id: GroupId) -> Result<&mut Group, Error> {
    let mut groups = rooms.values_mut().filter_map(|room| match room {
        Room::Group(group) => Some(&mut **group),
        Room::Joining(_) => None,
    });
    groups.find(|group| group.id == id).ok_or(Error::UnknownGroup)
}

/// Brings an input to the room that it is for.
pub(crate) fn route(
    rooms: &mut Rooms,
    links: &BTreeMap<LinkId, NetId>,
    cx: &mut Cx<'_>,
    input: Input,
) -> Result<Outcome, Error> {
    let done = Ok(Outcome::Applied(Reply::Done));
    let unknown = Ok(Outcome::Refused(Refusal::UnknownLink));
    cx.at = match &input {
        Input::Frame { link, .. } | Input::Flooded { link } | Input::Disconnected { link } => links.get(link).copied(),
        Input::Connected { net, .. }
        | Input::DialFailed { net, .. }
        | Input::Gossip { net, .. }
        | Input::Listening { net, .. } => Some(*net),
        Input::Command(_) | Input::Deadline => None,
    };
    // Before what was on its way all the time is read. A person's mistake is undone whole, and would swallow it.
    if !matches!(input, Input::Command(_)) && cx.clock.take_leap() {
        leap(rooms, cx);
    }
    match input {
        Input::Command(command) => on_command(rooms, cx, command).map(Outcome::Applied),
        Input::Connected { net, link, ends, address } => {
            match rooms.get_mut(&net) {
                Some(Room::Group(group)) => group.on_connected(cx, link, ends, address),
                Some(Room::Joining(joining)) => joining.on_connected(cx, link, ends, address),
                None => cx.transmit(Transmit::Disconnect { link }),
            }
            done
        }
        Input::Deadline => on_deadline(rooms, cx),
        // The next try is scheduled when a dial is made.
        Input::DialFailed { net, address } => {
            if let Some(Room::Group(group)) = rooms.get_mut(&net) {
                group.on_dial_failed(cx, &address);
            }
            done
        }
        Input::Disconnected { link } => {
            match links.get(&link).and_then(|net| rooms.get_mut(net)) {
                Some(Room::Group(group)) => group.on_disconnected(cx, link),
                Some(Room::Joining(joining)) => joining.on_disconnected(link),
                None => return unknown,
            }
            done
        }
        Input::Flooded { link } => {
            match links.get(&link).and_then(|net| rooms.get_mut(net)) {
                Some(Room::Group(group)) => group.on_flooded(cx, link),
                Some(Room::Joining(_)) => cx.transmit(Transmit::Disconnect { link }),
                None => return unknown,
            }
            done
        }
        Input::Frame { link, bytes } => match links.get(&link).copied() {
            Some(net) => on_frame(rooms, cx, net, link, &bytes),
            None => unknown,
        },
        Input::Gossip { net, link, bytes } => match rooms.get_mut(&net) {
            Some(Room::Group(group)) if group.talks() => group.on_gossip(cx, link, bytes),
            Some(Room::Group(_) | Room::Joining(_)) | None => unknown,
        },
        Input::Listening { net, port, addresses } => {
            match rooms.get_mut(&net) {
                Some(Room::Group(group)) => group.on_listening(cx, port, addresses)?,
                Some(Room::Joining(joining)) => joining.on_listening(cx, port, addresses),
                None => cx.transmit(Transmit::Close { net }),
            }
            done
        }
    }
}

fn on_frame(rooms: &mut Rooms, cx: &mut Cx<'_>, net: NetId, link: LinkId, bytes: &[u8]) -> Result<Outcome, Error> {
    let told = (cx.transmits.len(), cx.events.len());
    let arrival = match rooms.get_mut(&net) {
        Some(Room::Group(group)) => {
            return group.on_frame(cx, link, bytes);
        }
        Some(Room::Joining(joining)) => joining.on_frame(cx, link, bytes)?,
        None => return Ok(Outcome::Refused(Refusal::UnknownLink)),
    };
    match arrival {
        Arrival::Waiting(outcome) => Ok(outcome),
        Arrival::Joined(group) => joined(rooms, cx, net, group, told),
        Arrival::Failed(why) => {
            give_up(rooms, cx, net, why)?;
            Ok(Outcome::Refused(why))
        }
    }
}

/// One group has one room. Whoever comes back after it was removed finds what it had; what claims to be a group that
/// this device is in already is another one under its name.
fn joined(
    rooms: &mut Rooms,
    cx: &mut Cx<'_>,
    net: NetId,
    mut group: Box<Group>,
    told: (usize, usize),
) -> Result<Outcome, Error> {
    let before = groups_of(rooms).find(|other| other.id == group.id).map(|other| (other.net, other.talks()));
    match before {
        Some((_, true)) => {
            // Nothing of it is told as if it were of the one that is there.
            cx.transmits.truncate(told.0);
            cx.events.truncate(told.1);
            give_up(rooms, cx, net, Refusal::WrongGroup)?;
            return Ok(Outcome::Refused(Refusal::WrongGroup));
        }
        Some((old, false)) => {
            if let Some(Room::Group(before)) = rooms.remove(&old) {
                group.succeed(cx, *before)?;
            }
        }
        None => {}
    }
    cx.tell(Event::Joined { net, group: group.id });
    rooms.insert(net, Room::Group(group));
    Ok(Outcome::Applied(Reply::Done))
}

/// The wall clock was set, or the device has slept: links may be dead, and say nothing of the peers' clocks.
fn leap(rooms: &mut Rooms, cx: &mut Cx<'_>) {
    for room in rooms.values_mut() {
        if let Room::Group(group) = room {
            group.close_all(cx);
        }
    }
}

/// A join that will not come to anything is taken away whole.
fn give_up(rooms: &mut Rooms, cx: &mut Cx<'_>, net: NetId, why: Refusal) -> Result<(), Error> {
    if let Some(Room::Joining(joining)) = rooms.get(&net) {
        joining.wipe(cx)?;
        rooms.remove(&net);
        cx.tell(Event::JoinFailed { net, why });
    }
    Ok(())
}

fn on_deadline(rooms: &mut Rooms, cx: &mut Cx<'_>) -> Result<Outcome, Error> {
    let nets: Vec<NetId> = rooms.keys().copied().collect();
    for net in nets {
        cx.at = Some(net);
        match rooms.get_mut(&net) {
            Some(Room::Group(group)) => group.on_deadline(cx)?,
            Some(Room::Joining(joining)) => {
                if let Some(why) = joining.on_deadline(cx) {
                    give_up(rooms, cx, net, why)?;
                }
            }
            None => {}
        }
    }
    Ok(Outcome::Applied(Reply::Done))
}

fn on_command(rooms: &mut Rooms, cx: &mut Cx<'_>, command: Command) -> Result<Reply, Error> {
    match command {
        Command::CreateGroup { name, display_name } => {
            let net = new_net(rooms, cx)?;
            if !is_name(&name) || !is_name(&display_name) {
                return Err(Error::BadName);
            }
            let mut group = Group::create(cx, net, &name, &display_name, RETENTION_DEFAULT)?;
            group.start(cx);
            let id = group.id;
            rooms.insert(net, Room::Group(Box::new(group)));
            return Ok(Reply::Group(id));
        }
        Command::Join { invite, display_name } => return join(rooms, cx, &invite, &display_name),
        Command::Forget { net } => {
            match rooms.get_mut(&net) {
                Some(Room::Group(group)) => group.wipe(cx)?,
                Some(Room::Joining(joining)) => joining.wipe(cx)?,
                None => return Err(Error::UnknownGroup),
            }
            rooms.remove(&net);
        }
        Command::Leave { group } => {
            let group = find_mut(rooms, group)?;
            let net = group.net;
            if group.leave(cx)? {
                rooms.remove(&net);
            }
        }
        Command::Invite { group, valid } => return find_mut(rooms, group)?.invite(cx, valid),
        Command::RevokeInvite { group, invite } => find_mut(rooms, group)?.revoke_invite(cx, &invite)?,
        Command::Send { group, text, expires } => return find_mut(rooms, group)?.send(cx, &text, expires),
        Command::Release { group, id } => find_mut(rooms, group)?.release(cx, id)?,
        Command::Drop { group, id } => find_mut(rooms, group)?.drop_message(cx, id)?,
        Command::Remove { group, member } => return find_mut(rooms, group)?.remove(cx, member),
        Command::SetFacilitator { group, member, may } => {
            return find_mut(rooms, group)?.set_facilitator(cx, member, may);
        }
        Command::SetRetention { group, retention } => return find_mut(rooms, group)?.set_retention(cx, retention),
        Command::Verify { group, member, verified } => find_mut(rooms, group)?.verify(cx, member, verified)?,
        Command::MarkRead { group, upto } => find_mut(rooms, group)?.mark_read(cx, upto),
        Command::Connect { group, address } => find_mut(rooms, group)?.connect(cx, address)?,
    }
    Ok(Reply::Done)
}

fn join(rooms: &mut Rooms, cx: &mut Cx<'_>, invite: &str, name: &str) -> Result<Reply, Error> {
    let invite = Invite::parse(invite).map_err(|_| Error::InviteMalformed)?;
    if invite.expires() <= cx.now.stamp {
        return Err(Error::InviteExpired);
    }
    if !is_name(name) {
        return Err(Error::BadName);
    }
    for (net, room) in &mut *rooms {
        // Who may have been let in already goes on with the same join: nobody comes in twice.
        if let Room::Joining(joining) = room
            && joining.goes_on_with(cx, &invite)
        {
            return Ok(Reply::Joining(*net));
        }
    }
    let replaced = rooms.iter().find(|(_, room)| matches!(room, Room::Joining(joining) if joining.is_like(&invite)));
    if let Some((net, Room::Joining(joining))) = replaced.map(|(net, room)| (*net, room)) {
        // It stays in its place until nothing can fail any more, and keeps what lives in memory only.
        joining.wipe(cx)?;
        rooms.remove(&net);
    }
    let net = new_net(rooms, cx)?;
    if groups_of(rooms).any(|group| group.talks() && group.is_committed(&invite.commitment)) {
        return Err(Error::AlreadyMember);
    }
    let joining = Joining::begin(cx, net, invite, name)?;
    joining.start(cx);
    rooms.insert(net, Room::Joining(Box::new(joining)));
    Ok(Reply::Joining(net))
}

fn new_net(rooms: &Rooms, cx: &mut Cx<'_>) -> Result<NetId, Error> {
    if rooms.len() >= GROUPS_MAX {
        return Err(Error::Full);
    }
    Ok(NetId(u64::from_be_bytes(cx.random())))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, Now};
    use crate::journal::{Stack, Tx};
    use crate::mls::Provider;
    use crate::persist::{Key, ReadError, Rows as Disk};
    use crate::time::Time;
    use zeroize::Zeroizing;

    struct Empty;

    impl Disk for Empty {
        fn get(&self, _: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
            Ok(None)
        }

        fn scan(&self, _: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
            Ok(())
        }
    }

    /// A group made under the id of one that the guest is in would catch what is meant for that one.
    #[test]
    fn what_comes_under_the_id_of_a_group_that_talks_is_refused() {
        let stack = Stack::new(Box::new(Empty));
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let provider = Provider::new(ChaCha20Rng::from_seed([2; 32]));
        let (mut clock, at) = (Clock::default(), Time::from_ms(1_790_000_000_000));
        let now = Now { wall: at, stamp: at, sweep: at, follows: Some(at) };
        let mut cx = Cx::new(Tx::new(&stack), &provider, &mut rng, &mut clock, now);
        let make = |cx: &mut Cx<'_>, net| {
            Box::new(Group::create(cx, NetId(net), "Circle", "Ana", Duration::from_secs(86_400)).unwrap())
        };
        let (own, mut other) = (make(&mut cx, 1), make(&mut cx, 2));
        other.id = own.id;
        let id = own.id;
        let mut rooms = Rooms::from([(NetId(1), Room::Group(own))]);
        let arrival = crate::group::Arrival {
            commit: crate::id::CommitId::from_bytes([7; 32]),
            at,
            inviter: crate::id::MemberId::from_bytes([8; 32]),
            reach: Vec::new(),
            commits: Vec::new(),
            listening: None,
        };
        let told = (cx.transmits.len(), cx.events.len());
        other.arrive(&mut cx, arrival).unwrap();
        let done = joined(&mut rooms, &mut cx, NetId(2), other, told).unwrap();
        assert!(done == Outcome::Refused(Refusal::WrongGroup));
        assert_eq!(rooms.keys().copied().collect::<Vec<_>>(), [NetId(1)]);
        assert!(!cx.events.iter().any(|event| matches!(event, Event::Joined { .. } | Event::Line { .. })));
        assert_eq!(find(&rooms, id).unwrap().net, NetId(1));
    }
}
