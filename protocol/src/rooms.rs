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
        Input::Frame { link, .. } | Input::Disconnected { link } => links.get(link).copied(),
        Input::Connected { net, .. }
        | Input::DialFailed { net, .. }
        | Input::Gossip { net, .. }
        | Input::Listening { net, .. } => Some(*net),
        Input::Command(_) | Input::Deadline => None,
    };
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
        // The next try is scheduled when a dial is made; nothing is to be done when it fails.
        Input::DialFailed { .. } => done,
        Input::Disconnected { link } => {
            match links.get(&link).and_then(|net| rooms.get_mut(net)) {
                Some(Room::Group(group)) => group.on_disconnected(cx, link),
                Some(Room::Joining(joining)) => joining.on_disconnected(link),
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
    let arrival = match rooms.get_mut(&net) {
        Some(Room::Group(group)) => {
            return group.on_frame(cx, link, bytes);
        }
        Some(Room::Joining(joining)) => joining.on_frame(cx, link, bytes)?,
        None => return Ok(Outcome::Refused(Refusal::UnknownLink)),
    };
    match arrival {
        Arrival::Waiting(outcome) => Ok(outcome),
        Arrival::Joined(group) => {
            cx.tell(Event::Joined { net, group: group.id });
            rooms.insert(net, Room::Group(group));
            Ok(Outcome::Applied(Reply::Done))
        }
        Arrival::Failed(why) => {
            give_up(rooms, cx, net, why)?;
            Ok(Outcome::Refused(why))
        }
    }
}

/// A join that will not come to anything is taken away whole.
fn give_up(rooms: &mut Rooms, cx: &mut Cx<'_>, net: NetId, why: Refusal) -> Result<(), Error> {
    if let Some(Room::Joining(joining)) = rooms.remove(&net) {
        joining.wipe(cx)?;
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
        Command::Forget { net } => match rooms.remove(&net) {
            Some(Room::Group(mut group)) => group.wipe(cx)?,
            Some(Room::Joining(joining)) => joining.wipe(cx)?,
            None => return Err(Error::UnknownGroup),
        },
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
        Command::Remove { group, member } => find_mut(rooms, group)?.remove(cx, member)?,
        Command::SetRetention { group, retention } => find_mut(rooms, group)?.set_retention(cx, retention)?,
        Command::Verify { group, member, verified } => find_mut(rooms, group)?.verify(cx, member, verified)?,
        Command::MarkRead { group } => find_mut(rooms, group)?.mark_read(cx),
        Command::Connect { group, address } => find_mut(rooms, group)?.connect(cx, address)?,
    }
    Ok(Reply::Done)
}

fn join(rooms: &mut Rooms, cx: &mut Cx<'_>, invite: &str, name: &str) -> Result<Reply, Error> {
    let invite = Invite::parse(invite).map_err(|_| Error::InviteMalformed)?;
    if invite.expires() <= cx.now.stamp {
        return Err(Error::InviteExpired);
    }
    for (net, room) in &*rooms {
        // The same invite again goes on with the same join: nobody comes in twice.
        if matches!(room, Room::Joining(joining) if joining.is_of(&invite)) {
            return Ok(Reply::Joining(*net));
        }
    }
    let net = new_net(rooms, cx)?;
    if !is_name(name) {
        return Err(Error::BadName);
    }
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
