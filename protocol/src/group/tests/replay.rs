//! What was heard is heard again: each thing said is shown once, whatever brings it and however late.

use std::time::Duration;

use zeroize::Zeroizing;

use super::disk::Disk;
use super::rogue::Rogue;
use super::room::{ANA, BEN, CHI, Room};
use crate::error::{Refusal, Why};
use crate::group::history::{self, History};
use crate::persist::{Rows as _, Value, WriteBatch};
use crate::step::{Command, Input, Outcome};
use crate::wire::content::Content;
use crate::wire::envelope::Envelope;

/// Different messages.
const SAID: usize = 100;

fn rows(disk: &Disk) -> usize {
    disk.all().len()
}

/// All of them so many times on one road, five times a second.
fn replay(
    room: &mut Room,
    times: usize,
    said: &[Vec<u8>],
    road: impl Fn(&mut Room, &[Vec<u8>]) -> Vec<Outcome>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for _ in 0..times {
        outcomes.extend(road(room, said));
        room.now = room.now + Duration::from_millis(200);
    }
    outcomes
}

/// PROTOCOL D3: the gossip cache of a node forgets after half an hour, and its log when a class ends.
#[test]
fn ten_thousand_replays_on_every_road_show_nothing_again() {
    let mut room = Room::of(3);
    let from = room.published.len();
    for n in 0..SAID {
        let text = Zeroizing::new(format!("m{n}"));
        let expires = Some(Duration::from_secs(2 * 3_600));
        room.ask(ANA, Command::Send { group: room.group, text, expires });
    }
    let said = room.published[from..].to_vec();
    assert_eq!(room.texts(BEN).len(), SAID);
    let of_chi = room.disk(CHI).copy();
    room.lose(CHI);
    let gossip = |room: &mut Room, said: &[Vec<u8>]| {
        let net = room.net(BEN);
        said.iter().map(|bytes| room.give(BEN, Input::Gossip { net, link: None, bytes: bytes.clone() })).collect()
    };
    let push = |room: &mut Room, said: &[Vec<u8>]| {
        let mut rogue = Rogue::link(room, &of_chi, BEN);
        let outcome = rogue.push(room, said);
        vec![outcome]
    };
    // At once; when a node's gossip cache has forgotten; after a restart; while the lines are gone and the ids are not.
    for (hours, restarts) in [(0, false), (1, false), (0, true), (2, false)] {
        room.skip_hours(hours);
        room.pass(1_000);
        if restarts {
            room.restart(BEN);
            room.pass(5_000);
        }
        let before = rows(room.disk(BEN));
        for outcomes in [replay(&mut room, 100, &said, gossip), replay(&mut room, 10, &said, push)] {
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Duplicate), "{hours} {restarts}");
        }
        assert!(rows(room.disk(BEN)) <= before, "{hours} {restarts}");
        assert_eq!(room.told(BEN).len(), SAID, "{hours} {restarts}");
    }
    assert!(room.texts(BEN).is_empty(), "their time is over");
    // The log has forgotten their ids.
    room.skip_hours(8 * 24);
    room.pass(1_000);
    let ids = said.iter().filter(|bytes| {
        let id = Envelope::parse(bytes.to_vec()).unwrap().id();
        room.see(BEN, |group| group.log.has(&id))
    });
    assert_eq!(ids.count(), 0);
    let outcomes = replay(&mut room, 100, &said, gossip);
    let dead = |outcome: &Outcome| matches!(outcome, Outcome::Refused(Refusal::Expired | Refusal::WrongLane));
    assert!(outcomes.iter().all(dead), "{:?}", outcomes.first());
    assert_eq!(room.told(BEN).len(), SAID);
    assert!(room.texts(BEN).is_empty());
}

/// PROTOCOL D3: Ben seals again, in new envelopes, what Ana signed: it is known by what it is.
#[test]
fn what_is_sealed_anew_by_somebody_else_is_shown_to_nobody() {
    let mut room = Room::of(3);
    let text = Zeroizing::new("once".to_owned());
    room.ask(ANA, Command::Send { group: room.group, text, expires: None });
    let envelope = Envelope::parse(room.published.last().unwrap().clone()).unwrap().id();
    let signed = room.inside(BEN, |group, cx| {
        let id = group.log.message(&envelope).unwrap();
        History::row(cx, group.net, &id).unwrap().unwrap().signed.clone().unwrap()
    });
    for _ in 0..100 {
        let bytes = super::content::seal(&mut room, BEN, &signed.0, None);
        assert_eq!(room.gossip(CHI, bytes), Outcome::Refused(Refusal::Malformed));
    }
    assert_eq!(room.told(CHI), ["once"]);
}

/// Ben stamps one thing 89 days ahead; what others say after it is receipted once, whatever restarts.
#[test]
fn what_is_hidden_for_months_does_not_have_the_rest_receipted_again() {
    let mut room = Room::of(3);
    far_ahead(&mut room, 89 * 24);
    room.says(CHI, "today");
    room.pass(20_000);
    let before = room.published.len();
    room.restart(ANA);
    room.pass(60_000);
    assert_eq!(room.texts(ANA), ["today"]);
    assert_eq!(room.published.len(), before, "nothing is owed to anybody");
}

/// PROTOCOL D3: what Ben stamps far ahead takes no room in the marks of Ana's device, however much it is. It comes to
/// light after a restart too, and is unread then.
#[test]
fn nobody_fills_a_mark_with_what_is_not_shown_yet() {
    let mut room = Room::of(3);
    let rows = |room: &mut Room| {
        room.says(CHI, "today");
        room.pass(20_000);
        room.inside(ANA, |group, cx| group.mark_read(cx, None));
        let keys = [history::receipted_key(room.net(ANA)), history::read_key(room.net(ANA))];
        keys.map(|key| room.disk(ANA).get(&key).unwrap().unwrap().len())
    };
    let before = rows(&mut room);
    for _ in 0..20 {
        room.pass(1_000);
        far_ahead(&mut room, 48);
    }
    assert_eq!(rows(&mut room), before);
    room.restart(ANA);
    room.skip_hours(25);
    room.pass(1_000);
    assert_eq!(room.texts(ANA).len(), 22);
    assert_eq!(room.told(ANA).iter().filter(|text| *text == "far ahead").count(), 20);
    assert_eq!(room.inside(ANA, |group, cx| group.view(cx.now)).0.unread, 20);
}

/// An earlier program wrote the mark as a number.
#[test]
fn a_mark_that_cannot_be_read_costs_nobody_the_group() {
    let mut room = Room::of(2);
    room.says(BEN, "hello");
    room.pass(20_000);
    let key = history::receipted_key(room.net(ANA));
    let mut batch = WriteBatch::default();
    batch.rows.insert(key, Some(Value::lasting(crate::wire::encode(&7_u64))));
    room.disk(ANA).write(batch);
    room.restart(ANA);
    assert_eq!(room.texts(ANA), ["hello"]);
}

/// A face showed Ana what there was, and says so only after a line from far ahead has come to light.
#[test]
fn what_comes_to_light_is_not_read_by_who_was_shown_the_rest() {
    let mut room = Room::of(3);
    far_ahead(&mut room, 48);
    room.says(CHI, "today");
    let now = |room: &mut Room| room.inside(ANA, |group, cx| group.view(cx.now)).0;
    let shown = now(&mut room);
    assert_eq!(shown.unread, 1);
    room.skip_hours(25);
    room.pass(1_000);
    assert_eq!(room.texts(ANA), ["today", "far ahead"]);
    room.inside(ANA, |group, cx| group.mark_read(cx, Some(shown.arrivals)));
    assert_eq!(now(&mut room).unread, 1);
    room.inside(ANA, |group, cx| group.mark_read(cx, None));
    assert_eq!(now(&mut room).unread, 0);
}

/// Ben says something that he stamps so many hours ahead.
fn far_ahead(room: &mut Room, hours: u64) {
    let author = room.see(BEN, |group| group.me.key());
    let content = super::content::words(room, author, "far ahead");
    let ahead = Duration::from_secs(hours * 3_600);
    let content = Content { pos: content.pos + ahead, deadline: content.deadline + ahead, ..content };
    let signed = room.see(BEN, |group| group.me.sign(group.id, &content));
    let bytes = super::content::seal(room, BEN, &signed, None);
    assert_eq!(room.gossip(ANA, bytes), Outcome::Parked(Why::Ahead));
}
