//! Whoever joins dies, and is a member just once.

use serde_json::json;

use crate::ledger::{Death, Share};
use crate::node::Node;
use crate::room::{GROUP, ROOM_DEATHS, Room, no_wrong, timed};
use crate::wait::until;

/// Where to die while coming in: keys made, request made, group begun; each before and after it is durable.
const POINTS: [&str; 10] = [
    "during_join:1",
    "during_join:1>after_durable:1",
    "during_join:1>after_transmit:1",
    "during_join:2",
    "during_join:2>after_durable:1",
    "during_join:2>after_transmit:1+30",
    "during_join:3",
    "during_join:3>after_durable:1",
    "during_join:3>inside_keyring:2",
    "during_join:3>after_transmit:1+30",
];

pub(crate) fn play(share: &mut Share<'_>) {
    for deaths in share.deaths(&POINTS).chunks(ROOM_DEATHS) {
        in_a_room(share, deaths);
    }
}

fn in_a_room(share: &Share<'_>, deaths: &[Death]) {
    let mut room = Room::new();
    let (ana, [ben]) = room.group("Ana", ["Ben"]);
    let first = room.node("Guest");
    let invite = ana.invite(GROUP);
    let took = timed(|| drop(first.call("join", &json!({ "invite": invite, "name": first.name }))));
    put_out(&ana, &ben, first);
    for (number, death) in deaths.iter().enumerate() {
        let mut guest = room.node(&format!("Guest {number:04}"));
        let (mut waits, invite) = (guest.api(), ana.invite(GROUP));
        let asked = json!({ "invite": invite, "name": guest.name });
        let died = guest.dies(share, death, took, || {
            waits.ask("join", &asked);
        });
        assert!(died, "{} joins without coming to {death:?}", guest.name);
        let answered = waits.hear();
        room.look(share, &guest);
        guest.up();
        if goes_on(&guest) {
            until("a join ends by itself", || (guest.standing(GROUP).as_deref() == Some("active")).then_some(()));
        } else {
            assert_eq!(answered, None, "a join that was answered is lost: {death:?}");
            guest.call("join", &asked);
        }
        let all = [&ana, &ben, &guest];
        let names = all.map(|node| node.name.clone());
        until(&format!("{names:?} everywhere, each once"), || {
            let people = all.map(|node| node.people(GROUP));
            let right = people.iter().all(|found| found.iter().map(|(name, _)| name).eq(&names));
            (right && people.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
        });
        let again = guest.api().try_call("join", &asked).expect("an answer");
        assert_eq!(again["error"]["data"]["kind"], "already_member", "{death:?}: {again}");
        for from in [&ana, &guest] {
            room.said.say(from, 1);
        }
        let said = room.said.last_of(&ana.name);
        until(&format!("{said} at {}", guest.name), || {
            guest.texts(GROUP).iter().any(|(_, text)| *text == said).then_some(())
        });
        let said = room.said.last_of(&guest.name);
        until(&format!("{said} at {}", ana.name), || {
            ana.texts(GROUP).iter().any(|(_, text)| *text == said).then_some(())
        });
        put_out(&ana, &ben, guest);
    }
    room.end(share, vec![ana, ben], None);
}

/// Whether a join was begun, and is under way or has ended well.
fn goes_on(guest: &Node) -> bool {
    let joining = guest.call("status", &json!({}))["joining"].as_array().is_some_and(|joins| !joins.is_empty());
    joining || guest.standing(GROUP).is_some()
}

fn put_out(ana: &Node, ben: &Node, guest: Node) {
    ana.call("remove", &json!({ "group": GROUP, "member": guest.name }));
    for node in [ana, ben] {
        until(&format!("{} out at {}", guest.name, node.name), || (node.people(GROUP).len() == 2).then_some(()));
    }
    no_wrong(&guest);
}
