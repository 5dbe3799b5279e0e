//! What dies when: under the very keys under which it stood, on every disk.

use std::collections::BTreeSet;
use std::time::Duration;

use kinfold_protocol::error::{Refusal, Why};
use kinfold_protocol::id::MsgId;
use kinfold_protocol::limits::BURN;
use kinfold_protocol::persist::{Key, Table};
use kinfold_protocol::step::{Command, Event, Outcome, Reply};
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

const HOUR_MS: u64 = 3_600_000;
const LIFE_MS: u64 = 60_000;
/// Messages that a device may lose with the power and never notice.
const LOST_MAX: usize = 64;

/// The keys of a disk's rows in some tables.
fn keys(stage: &mut Stage, who: usize, tables: &[Table]) -> BTreeSet<Key> {
    stage.person(who).disk.rows().into_keys().filter(|key| tables.contains(&key.table)).collect()
}

/// Somebody says something that lives a minute.
fn say_briefly(stage: &mut Stage, who: usize) -> MsgId {
    let (group, expires) = (stage.view(who).group, Some(Duration::from_millis(LIFE_MS)));
    let command = Command::Send { group, text: Zeroizing::new("soon gone".into()), expires };
    let Reply::Message { id, .. } = stage.ask(who, command) else { panic!("no message") };
    id
}

/// The states of which a disk holds rows of MLS.
fn states(stage: &mut Stage, who: usize) -> BTreeSet<Vec<u8>> {
    keys(stage, who, &[Table::Mls]).into_iter().map(|key| key.name[8..40].to_vec()).collect()
}

/// PROTOCOL E.
#[test]
fn the_rows_of_a_message_are_gone_from_every_disk_at_its_deadline() {
    const OF_A_MESSAGE: [Table; 3] = [Table::Line, Table::Envelope, Table::Outbox];
    let (mut stage, _) = Stage::three();
    stage.pass(2 * LIFE_MS);
    let before = [ANA, BEN, CHI].map(|who| keys(&mut stage, who, &OF_A_MESSAGE));
    let id = say_briefly(&mut stage, ANA);
    let sealed = stage.published.last().unwrap().bytes.clone();
    let of_message = [ANA, BEN, CHI].map(|who| {
        let now = keys(&mut stage, who, &OF_A_MESSAGE);
        now.difference(&before[who]).cloned().collect::<Vec<_>>()
    });
    assert_eq!(of_message.each_ref().map(Vec::len), [3, 2, 2]);
    let alive = |stage: &mut Stage| {
        [ANA, BEN, CHI].map(|who| {
            let now = keys(stage, who, &OF_A_MESSAGE);
            of_message[who].iter().filter(|key| now.contains(key)).count()
        })
    };
    stage.pass(LIFE_MS - 1);
    assert_eq!((alive(&mut stage), stage.state(ANA, id).is_some()), ([3, 2, 2], true));
    stage.pass(1);
    assert_eq!((alive(&mut stage), stage.state(ANA, id).is_some()), ([0; 3], false));
    for who in [ANA, BEN, CHI] {
        assert!(!stage.person(who).disk.holds(b"soon gone") && stage.texts(who).is_empty(), "{who}");
        assert_eq!(stage.gossip(who, &sealed), Outcome::Duplicate);
        assert!(stage.texts(who).is_empty() && alive(&mut stage) == [0; 3], "{who}");
    }
}

/// PROTOCOL E: it is opened so that its key dies, and then dropped.
#[test]
fn an_envelope_that_comes_after_its_deadline_shows_nothing_and_is_not_kept() {
    let (mut stage, _) = Stage::three();
    stage.lose(CHI);
    say_briefly(&mut stage, ANA);
    let sealed = stage.published.last().unwrap().bytes.clone();
    stage.pass(LIFE_MS);
    assert_eq!(stage.gossip(CHI, &sealed), Outcome::Refused(Refusal::Expired));
    assert_eq!(stage.gossip(CHI, &sealed), Outcome::Duplicate);
    assert!(stage.texts(CHI).is_empty() && stage.told(CHI).is_empty());
    assert!(!stage.person(CHI).disk.rows().values().any(|row| row.bytes.as_slice() == sealed));
}

/// PROTOCOL D2, E.
#[test]
fn a_state_opens_late_messages_for_72_hours_after_the_head_left_it_and_its_rows_are_gone_then() {
    let (mut stage, group) = Stage::three();
    let old = states(&mut stage, CHI);
    assert_eq!(old.len(), 1);
    let from = stage.published.len();
    stage.hold = true;
    stage.say(BEN, "in time");
    stage.say(BEN, "too late");
    stage.hold = false;
    stage.lose(BEN);
    let held: Vec<_> = stage.published[from..].iter().map(|sent| sent.bytes.clone()).collect();
    // Later than a minute after what was said.
    stage.pass(2 * LIFE_MS);
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(6 * 86_400) });
    stage.lose(CHI);
    for _ in 0..71 {
        stage.pass(HOUR_MS);
    }
    for who in [ANA, CHI] {
        assert!(old.is_subset(&states(&mut stage, who)));
        assert_eq!(stage.gossip(who, &held[0]), Outcome::Applied(Reply::Done));
        let lines = stage.lines(who);
        let late: Vec<_> = lines.iter().filter(|line| line.expires.is_some()).map(|line| line.late).collect();
        let told = stage.person(who).events.last();
        let told = matches!(told, Some(Event::Line { line, .. }) if line.late);
        assert!(late == [true] && told, "{who}");
    }
    stage.pass(HOUR_MS);
    for who in [ANA, CHI] {
        assert!(old.is_disjoint(&states(&mut stage, who)), "{who}");
        assert_eq!(stage.gossip(who, &held[1]), Outcome::Parked(Why::UnknownEpoch));
        assert_eq!(stage.texts(who), ["in time"]);
    }
}

/// PROTOCOL J1.
#[test]
fn the_private_key_of_a_joiner_is_gone_after_72_hours() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    let private = keys(&mut stage, BEN, &[Table::Joining]);
    assert!(!private.is_empty());
    stage.lose(BEN);
    for _ in 0..71 {
        stage.pass(HOUR_MS);
    }
    assert_eq!(keys(&mut stage, BEN, &[Table::Joining]), private);
    stage.pass(HOUR_MS);
    assert!(keys(&mut stage, BEN, &[Table::Joining]).is_empty());
}

/// How many messages Ana has sealed in the one state that she is in.
fn sealed(stage: &mut Stage) -> u32 {
    let rows = stage.person(ANA).disk.rows();
    let counts = rows.iter().filter(|(key, _)| key.table == Table::Epoch && key.name.len() > 40);
    let newest = counts.map(|(_, value)| minicbor::decode::<u32>(&value.bytes).unwrap()).collect::<Vec<_>>();
    assert_eq!(newest.len(), 1);
    newest[0]
}

/// PROTOCOL G3: after a clean stop none is burnt.
#[test]
fn the_first_message_after_an_unclean_stop_goes_past_all_that_a_lost_batch_may_have_used() {
    let (mut stage, _) = Stage::three();
    stage.say(ANA, "one");
    assert_eq!(sealed(&mut stage), 1);
    stage.restart(ANA);
    stage.pass(60_000);
    assert_eq!(sealed(&mut stage), 1);
    stage.say(ANA, "two");
    assert_eq!(sealed(&mut stage), 2 + BURN);
    stage.say(ANA, "three");
    assert_eq!(sealed(&mut stage), 3 + BURN);
    let now = stage.clock(ANA);
    let output = stage.person(ANA).client.close(now).unwrap();
    stage.make_true(ANA, output);
    stage.restart(ANA);
    stage.pass(60_000);
    stage.say(ANA, "four");
    assert_eq!(sealed(&mut stage), 4 + BURN);
    stage.pass(60_000);
    assert_eq!(stage.texts(BEN), ["one", "two", "three", "four"]);
}

/// PROTOCOL G3: the drive said that it kept what Ana's device had sent, and did not. Her device does not know which keys
/// it has used, and the others open nothing under a key that they have used.
#[test]
fn no_key_of_a_message_is_used_twice_when_a_drive_lied_about_the_last_batches() {
    for lost in [1, LOST_MAX] {
        let (mut stage, _) = Stage::three();
        stage.say(ANA, "kept");
        stage.person(ANA).disk.lie();
        for n in 0..lost {
            stage.say(ANA, &format!("lost {n}"));
        }
        assert_eq!([BEN, CHI].map(|who| stage.texts(who).len()), [1 + lost; 2]);
        assert!(stage.person(ANA).disk.lose() >= lost as u64);
        stage.restart(ANA);
        stage.say(ANA, "again");
        stage.pass(2 * LIFE_MS);
        // The others hand back to Ana what her drive lost.
        for who in [ANA, BEN, CHI] {
            let texts = stage.texts(who);
            assert_eq!((texts.len(), texts.contains(&"again".to_owned())), (2 + lost, true), "{who}, {lost} lost");
        }
    }
}
