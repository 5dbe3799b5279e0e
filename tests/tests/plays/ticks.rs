//! What a tick promises: that somebody has it who can read it.

use std::time::Duration;

use kinfold_protocol::error::Error;
use kinfold_protocol::id::{GroupId, MsgId};
use kinfold_protocol::limits::OUTBOX_MAX;
use kinfold_protocol::step::{Command, Event, Input, MessageState, Outcome, Reply};
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

const HOUR_MS: u64 = 3_600_000;
/// A guest who comes in later.
const DAN: usize = 3;

fn hours(stage: &mut Stage, hours: u64) {
    for _ in 0..hours {
        stage.pass(HOUR_MS);
    }
}

/// Ana, Ben and Chi; and Dan, who has no group yet.
fn four() -> (Stage, GroupId) {
    let mut stage = Stage::empty(&[0; 4]);
    let group = stage.found(&[BEN, CHI]);
    (stage, group)
}

/// Seals a message of Ben's while somebody is linked, and takes him away before it has left.
fn seal_and_lose(stage: &mut Stage, text: &str) -> MsgId {
    let group = stage.view(BEN).group;
    stage.hold = true;
    let command = Command::Send { group, text: Zeroizing::new(text.into()), expires: None };
    let Ok(Outcome::Applied(Reply::Message { id, .. })) = stage.give(BEN, Input::Command(command)) else {
        panic!("no message")
    };
    stage.lose(BEN);
    stage.hold = false;
    id
}

/// Ben's message is sealed and reaches nobody; Dan comes in; Ben meets nobody but Dan, who can never read it.
fn met_by_a_newcomer_only() -> (Stage, MsgId) {
    let (mut stage, group) = four();
    let id = seal_and_lose(&mut stage, "help");
    stage.join(group, DAN);
    stage.pass(10_000);
    stage.offline(ANA);
    stage.offline(CHI);
    stage.online(BEN);
    hours(&mut stage, 1);
    (stage, id)
}

#[test]
fn a_newcomer_who_cannot_read_a_message_makes_no_tick() {
    let (mut stage, id) = met_by_a_newcomer_only();
    assert_eq!(stage.view(BEN).members, 4);
    let state = stage.state(BEN, id);
    assert!(stage.texts(DAN).is_empty());
    assert_eq!(state, Some(MessageState::Kept), "nobody who has it can read it");
}

/// The others come back when they have dropped what opens it.
#[test]
fn a_message_that_only_a_newcomer_has_is_sealed_anew_in_time() {
    let (mut stage, id) = met_by_a_newcomer_only();
    stage.offline(DAN);
    hours(&mut stage, 80);
    stage.online(ANA);
    stage.online(CHI);
    hours(&mut stage, 2);
    let state = stage.state(BEN, id);
    let waits = state == Some(MessageState::Waiting);
    assert!(waits || !stage.texts(ANA).is_empty(), "Ben is told {state:?}, and nobody can read it");
}

/// Ana has let somebody in three days ago; Ben and Chi know nothing of it, and Ben says something just now.
#[test]
fn what_was_sealed_under_a_state_that_the_others_left_long_ago_is_not_lost_and_ticked() {
    let (mut stage, group) = four();
    stage.lose(BEN);
    stage.lose(CHI);
    stage.join(group, DAN);
    stage.pass(10_000);
    stage.offline(DAN);
    stage.offline(ANA);
    hours(&mut stage, 65);
    stage.online(CHI);
    stage.online(BEN);
    assert_eq!((stage.view(BEN).connected, stage.view(BEN).members), (1, 3));
    let id = seal_and_lose(&mut stage, "help");
    stage.offline(CHI);
    hours(&mut stage, 10);
    stage.online(ANA);
    stage.online(BEN);
    hours(&mut stage, 3);
    assert_eq!(stage.view(BEN).members, 4);
    let state = stage.state(BEN, id);
    let waits = state == Some(MessageState::Waiting);
    assert!(waits || stage.texts(ANA) == ["help"], "Ben is told {state:?}, and Ana can never read it");
}

/// Ben's clock is two hours fast, and nobody can say whose is right: what lives an hour is dropped there unseen.
#[test]
fn what_a_device_dropped_unseen_is_not_held_after_the_next_comparison() {
    let ahead = 2 * i64::try_from(HOUR_MS).unwrap();
    let (mut stage, group) = Stage::group([0, ahead, 0], &[BEN]);
    let expires = Some(Duration::from_secs(3_600));
    let text = Zeroizing::new("anybody there".to_owned());
    let Reply::Message { id, .. } = stage.ask(ANA, Command::Send { group, text, expires }) else { panic!() };
    stage.pass(45 * 60_000);
    assert!(stage.texts(BEN).is_empty() && stage.told(BEN).is_empty());
    assert_eq!(stage.state(ANA, id), Some(MessageState::Kept));
}

/// Only Chi has what Ben said; then Chi is taken out, and Ben comes back when the others have dropped what opens it.
#[test]
fn what_only_a_removed_member_holds_is_not_taken_for_delivered() {
    let (mut stage, group) = Stage::three();
    stage.offline(ANA);
    let id = stage.say(BEN, "help");
    stage.pass(20_000);
    stage.offline(BEN);
    stage.offline(CHI);
    stage.online(ANA);
    let chi = stage.member(CHI);
    stage.ask(ANA, Command::Remove { group, member: chi });
    hours(&mut stage, 80);
    stage.online(BEN);
    hours(&mut stage, 2);
    assert_eq!(stage.names(BEN), ["Ana", "Ben"]);
    let state = stage.state(BEN, id);
    assert_eq!(stage.texts(ANA), ["help"], "Ben is told {state:?}");
}

/// Ana opened it and says so, but not in time: a newcomer keeps the message from being sealed anew.
#[test]
fn a_receipt_counts_although_the_message_waits_to_be_sealed_anew() {
    let (mut stage, group) = four();
    stage.offline(CHI);
    // Ana gets it by gossip; nothing she says comes back.
    let id = stage.say(BEN, "help");
    assert_eq!(stage.texts(ANA), ["help"]);
    stage.lose(BEN);
    stage.join(group, DAN);
    let chi = stage.member(CHI);
    stage.ask(ANA, Command::Remove { group, member: chi });
    stage.pass(30_000);
    stage.online(BEN);
    hours(&mut stage, 1);
    let state = stage.state(BEN, id);
    assert!(matches!(state, Some(MessageState::Held | MessageState::Received { .. })), "{state:?}: Ana has read it");
}

/// Written far ahead of Ana's clock: she marks all as read before it is shown.
#[test]
fn what_was_not_shown_yet_is_not_marked_as_read() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.person(BEN).ahead_ms = 26 * i64::try_from(HOUR_MS).unwrap();
    stage.say(BEN, "tomorrow");
    stage.pass(60_000);
    assert!(stage.texts(ANA).is_empty());
    stage.ask(ANA, Command::MarkRead { group, upto: None });
    hours(&mut stage, 3);
    assert_eq!(stage.texts(ANA), ["tomorrow"]);
    assert_eq!(stage.view(ANA).unread, 1);
}

/// Between showing and marking another line comes.
#[test]
fn what_comes_while_the_rest_is_shown_stays_unread() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.say(BEN, "one");
    stage.pass(60_000);
    let shown = stage.view(ANA);
    assert_eq!(shown.unread, 1);
    stage.say(BEN, "two");
    stage.pass(60_000);
    stage.ask(ANA, Command::MarkRead { group, upto: Some(shown.arrivals) });
    assert_eq!(stage.view(ANA).unread, 1, "the second was not shown");
    stage.ask(ANA, Command::MarkRead { group, upto: None });
    stage.ask(ANA, Command::MarkRead { group, upto: Some(0) });
    assert_eq!(stage.view(ANA).unread, 0, "what is read stays so");
}

/// Ana's clock is forty days fast for a while: what it hides was not seen.
#[test]
fn what_a_wrong_clock_hides_is_not_marked_as_read() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.say(BEN, "are you well");
    stage.pass(60_000);
    stage.offline(ANA);
    stage.person(ANA).ahead_ms = 40 * 24 * i64::try_from(HOUR_MS).unwrap();
    stage.give(ANA, Input::Deadline).unwrap();
    assert!(stage.texts(ANA).is_empty());
    stage.ask(ANA, Command::MarkRead { group, upto: None });
    stage.person(ANA).ahead_ms = 0;
    stage.give(ANA, Input::Deadline).unwrap();
    stage.online(ANA);
    assert_eq!(stage.texts(ANA), ["are you well"]);
    assert_eq!(stage.view(ANA).unread, 1);
}

/// Ana has it, and Ben has not heard so: what he takes back was read.
#[test]
fn who_takes_a_message_back_that_was_read_hears_of_it() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let id = stage.say(BEN, "a slip");
    stage.lose(BEN);
    assert_eq!((stage.texts(ANA).len(), stage.state(BEN, id)), (1, Some(MessageState::Kept)));
    let dropped = stage.give(BEN, Input::Command(Command::Drop { group, id })).is_ok();
    let from = stage.person(BEN).events.len();
    stage.online(BEN);
    let heard =
        |event: &Event| matches!(event, Event::State { id: of, state: MessageState::Received { .. }, .. } if *of == id);
    let told = stage.person(BEN).events[from..].iter().any(heard);
    assert!(stage.texts(BEN).is_empty());
    assert!(dropped && told, "taken back, and Ana goes on reading it");
}

/// Ben took back what Chi, as it turned out, had read. Then Chi goes: Ben is not told that it is kept for the others.
#[test]
fn what_was_taken_back_is_not_kept_again_when_its_reader_goes() {
    let (mut stage, group) = Stage::three();
    stage.offline(ANA);
    let id = stage.say(BEN, "a slip");
    stage.lose(BEN);
    assert_eq!((stage.texts(CHI).len(), stage.state(BEN, id)), (1, Some(MessageState::Kept)));
    assert!(stage.give(BEN, Input::Command(Command::Drop { group, id })).is_ok());
    stage.online(BEN);
    stage.offline(CHI);
    stage.online(ANA);
    let told = |stage: &mut Stage| {
        let of = |event: &Event| if let Event::State { id, state, .. } = event { Some((*id, *state)) } else { None };
        stage.person(BEN).events.iter().filter_map(of).filter(|(of, _)| *of == id).map(|(_, state)| state).next_back()
    };
    let received = told(&mut stage);
    assert!(matches!(received, Some(MessageState::Received { .. })), "{received:?}");
    let chi = stage.member(CHI);
    stage.ask(ANA, Command::Remove { group, member: chi });
    stage.pass(60_000);
    assert_eq!(told(&mut stage), received);
}

/// Ben has read it and is gone before he can say so. When he is back, the others have left the state it was said in.
#[test]
fn a_receipt_waits_for_somebody_who_can_read_it() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let id = stage.say(ANA, "are you well");
    stage.offline(BEN);
    assert_eq!(stage.texts(BEN), ["are you well"]);
    stage.pass(2_000);
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(6 * 86_400) });
    hours(&mut stage, 80);
    stage.online(BEN);
    hours(&mut stage, 1);
    assert!(matches!(stage.state(ANA, id), Some(MessageState::Received { by: 1, .. })));
}

/// Chi's receipt comes when she is out already. Ben has not heard a word yet.
#[test]
fn a_receipt_of_somebody_who_is_out_delivers_nothing() {
    let (mut stage, group) = Stage::three();
    stage.offline(BEN);
    stage.say(ANA, "help");
    stage.hold = true;
    stage.pass(1_200);
    let receipt = stage.published.last().filter(|sent| sent.by == CHI).unwrap().bytes.clone();
    stage.hold = false;
    let chi = stage.member(CHI);
    stage.ask(ANA, Command::Remove { group, member: chi });
    assert!(matches!(stage.gossip(ANA, &receipt), Outcome::Applied(_)));
    stage.online(BEN);
    stage.pass(60_000);
    assert_eq!(stage.texts(BEN), ["help"]);
}

/// Everybody it was for has read it; then they go, and somebody else comes.
#[test]
fn what_all_have_received_stays_received_when_its_readers_go() {
    for later in [0, 80] {
        let mut stage = Stage::empty(&[0; 4]);
        let group = stage.found(&[BEN, CHI]);
        let id = stage.say(ANA, "thank you");
        stage.pass(60_000);
        let received = Some(MessageState::Received { by: 2, of: 2 });
        assert_eq!(stage.state(ANA, id), received);
        // It was said in a state that is long gone when they go.
        stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(8 * 86_400) });
        hours(&mut stage, later);
        for who in [BEN, CHI] {
            let member = stage.member(who);
            stage.ask(ANA, Command::Remove { group, member });
        }
        assert_eq!(stage.state(ANA, id), received, "{later} hours later");
        stage.join(group, DAN);
        stage.pass(60_000);
        assert_eq!(stage.state(ANA, id), received);
        let now = stage.clock(ANA);
        assert!(stage.person(ANA).client.outbox(group, now).unwrap().is_empty());
        let dropped = stage.give(ANA, Input::Command(Command::Drop { group, id }));
        assert!(dropped.is_err() && stage.texts(ANA) == ["thank you"], "nothing that was read can be taken back");
        assert!(stage.texts(DAN).is_empty());
    }
}

/// Ben's device holds it, and he goes before he reads it; nobody else was there when it was said.
#[test]
fn what_was_for_those_who_are_out_does_not_wait_for_others() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let id = stage.say(ANA, "for you, Ben");
    for _ in 0..100 {
        if stage.state(ANA, id) == Some(MessageState::Kept) {
            stage.pass(10);
        }
    }
    let held = stage.state(ANA, id);
    assert_eq!(held, Some(MessageState::Held));
    let ben = stage.member(BEN);
    stage.ask(ANA, Command::Remove { group, member: ben });
    stage.join(group, CHI);
    stage.pass(60_000);
    assert_eq!((stage.state(ANA, id), stage.texts(CHI).len()), (held, 0));
}

/// The bound is for what nobody has, not for what is said.
#[test]
fn a_full_outbox_takes_words_again_when_somebody_has_come() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    let send = || Command::Send { group, text: Zeroizing::new("one more".into()), expires: None };
    for _ in 0..OUTBOX_MAX {
        stage.ask(ANA, send());
    }
    assert_eq!(stage.give(ANA, Input::Command(send())).err(), Some(Error::OutboxFull));
    // What is taken back makes room at once.
    let now = stage.clock(ANA);
    let id = stage.person(ANA).client.outbox(group, now).unwrap()[0].id;
    stage.ask(ANA, Command::Drop { group, id });
    stage.ask(ANA, send());
    assert_eq!(stage.give(ANA, Input::Command(send())).err(), Some(Error::OutboxFull));
    stage.online(BEN);
    hours(&mut stage, 1);
    assert_eq!(stage.texts(BEN).len(), OUTBOX_MAX);
    stage.ask(ANA, send());
    stage.pass(1_000);
    assert_eq!(stage.texts(BEN).len(), OUTBOX_MAX + 1);
}
