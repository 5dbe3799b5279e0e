//! The protocol's events in the words of the local API.

use kinfold_protocol::Client;
use kinfold_protocol::id::{GroupId, MemberId};
use kinfold_protocol::step::Event;

use crate::control::lines::Notice;
use crate::control::show;

/// What subscribers are told of an event, if it is for them.
pub(crate) fn notice(client: &Client, event: Event) -> Option<Notice> {
    Some(match event {
        Event::ClockOff { ahead_ms, corrected } => Notice::ClockOff { ahead_secs: ahead_ms / 1_000, corrected },
        Event::Connected { group, member, up } => Notice::Connected {
            group_id: group.to_hex(),
            member_id: member.to_hex(),
            name: member_name(client, group, member),
            connected: up,
        },
        Event::Gone { group, ids } => {
            Notice::Gone { group_id: group.to_hex(), ids: ids.iter().map(|id| id.to_hex()).collect() }
        }
        Event::Line { group, line } => Notice::Line(show::line(group, &group_name(client, group), &line)),
        Event::Standing { group, standing } => {
            Notice::Standing { group_id: group.to_hex(), standing: show::standing(standing) }
        }
        Event::State { group, id, state } => {
            Notice::State { group_id: group.to_hex(), id: id.to_hex(), stand: show::stand(state) }
        }
        // The one who asked to join gets these as the answer.
        Event::Joined { .. } | Event::JoinFailed { .. } => return None,
    })
}

/// A group's name.
pub(crate) fn group_name(client: &Client, group: GroupId) -> String {
    client.groups().into_iter().find(|view| view.group == group).map(|view| view.name).unwrap_or_default()
}

fn member_name(client: &Client, group: GroupId, member: MemberId) -> String {
    let members = client.members(group).unwrap_or_default();
    members.into_iter().find(|view| view.member == member).map(|view| view.name).unwrap_or_default()
}
