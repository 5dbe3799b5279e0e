//! Whoever carries out changes of the group dies: the founder, while it lets somebody in, and while it puts somebody out.

use std::time::Duration;

use serde_json::json;

use crate::ledger::{Death, Share};
use crate::node::Node;
use crate::room::{GROUP, ROOM_DEATHS, Room, no_wrong, timed};
use crate::wait::until;

/// Where to die while somebody comes in, and again while somebody goes.
const POINTS: [&str; 12] = [
    "during_join:1",
    "during_join:1>before_durable:1",
    "during_join:1>after_durable:1",
    "during_join:1>inside_keyring:2",
    "during_join:1>after_transmit:1+30",
    "before_durable:1",
    "after_durable:1",
    "inside_keyring:1",
    "inside_keyring:3",
    "after_keyring:1",
    "after_transmit:1",
    "after_transmit:2+30",
];

pub(crate) fn play(share: &mut Share<'_>) {
    for deaths in share.deaths(&POINTS).chunks(ROOM_DEATHS) {
        in_a_room(share, deaths);
    }
}

fn in_a_room(share: &Share<'_>, deaths: &[Death]) {
    let mut room = Room::new();
    let (mut ana, [ben]) = room.group("Ana", ["Ben"]);
    let (usual, guest) = come(&room, &ana, 0);
    let usual = (usual, timed(|| remove(&ana, &guest.name)));
    drop(guest);
    for (number, death) in (1..).zip(deaths) {
        // A point of a join has no place in a removal.
        let of_join = matches!(death, Death::At(chain) if chain.point() == "during_join");
        if number % 2 == 0 || of_join {
            ben_and_ana_talk(&mut room, &ana, &ben);
            let guest = die_letting_in(&mut room, share, (&mut ana, &ben), death, (number, usual.0));
            remove(&ana, &guest.name);
            gone(&[&ana, &ben], &guest);
        } else {
            let (_, guest) = come(&room, &ana, number);
            ben_and_ana_talk(&mut room, &ana, &ben);
            die_putting_out(&mut room, share, &mut ana, &guest, death, usual.1);
            gone(&[&ana, &ben], &guest);
        }
    }
    room.end(share, vec![ana, ben], None);
}

fn ben_and_ana_talk(room: &mut Room, ana: &Node, ben: &Node) {
    room.said.say(ben, 2);
    room.said.say(ana, 1);
}

/// Somebody new comes in at leisure; how long that took.
fn come(room: &Room, ana: &Node, number: usize) -> (Duration, Node) {
    let guest = room.node(&format!("Guest {number:04}"));
    let invite = ana.invite(GROUP);
    let took = timed(|| drop(guest.call("join", &json!({ "invite": invite, "name": guest.name }))));
    (took, guest)
}

fn remove(ana: &Node, name: &str) {
    ana.call("remove", &json!({ "group": GROUP, "member": name }));
}

fn die_letting_in(
    room: &mut Room,
    share: &Share<'_>,
    (ana, ben): (&mut Node, &Node),
    death: &Death,
    (number, usual): (usize, Duration),
) -> Node {
    let guest = room.node(&format!("Guest {number:04}"));
    let (mut waits, invite) = (guest.api(), ana.invite(GROUP));
    let died = ana.dies(share, death, usual, || {
        waits.ask("join", &json!({ "invite": invite, "name": guest.name }));
    });
    if died {
        room.look(share, ana);
        ana.up();
    }
    let answer = waits.hear().expect("the join ends by itself");
    assert_eq!(answer["result"]["name"], GROUP, "{death:?}: {answer}");
    let names = [&ana.name, &ben.name, &guest.name].map(Clone::clone);
    let all: [&Node; 3] = [ana, ben, &guest];
    until(&format!("{names:?} everywhere, each once"), || {
        let people = all.map(|node| node.people(GROUP));
        let right = people.iter().all(|found| found.iter().map(|(name, _)| name).eq(&names));
        (right && people.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
    });
    room.said.say(ana, 1);
    let last = room.said.last_of(&ana.name);
    until(&format!("{last} at {}", guest.name), || {
        guest.texts(GROUP).iter().any(|(_, text)| *text == last).then_some(())
    });
    guest
}

fn die_putting_out(room: &mut Room, share: &Share<'_>, ana: &mut Node, guest: &Node, death: &Death, usual: Duration) {
    let mut waits = ana.api();
    let died = ana.dies(share, death, usual, || {
        waits.ask("remove", &json!({ "group": GROUP, "member": guest.name }));
    });
    let answer = waits.hear();
    if died {
        room.look(share, ana);
        ana.up();
    }
    let is_in = ana.people(GROUP).iter().any(|(name, _)| *name == guest.name);
    match answer {
        Some(answer) => {
            assert!(answer["error"].is_null(), "{death:?}: {answer}");
            assert!(!is_in, "{} is back although the removal was answered: {death:?}", guest.name);
        }
        None if is_in => remove(ana, &guest.name),
        None => {}
    }
}

/// Everybody who remains sees that somebody is out, and so does who was put out.
fn gone(rest: &[&Node], guest: &Node) {
    for node in rest {
        until(&format!("{} out at {}", guest.name, node.name), || {
            (node.people(GROUP).len() == rest.len()).then_some(())
        });
    }
    until("a removal is told", || (guest.standing(GROUP).as_deref() == Some("removed")).then_some(()));
    no_wrong(guest);
}
