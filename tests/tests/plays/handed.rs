//! What a member's device cannot open: it gets it from hand to hand if it was meant for it, and not at all if it was
//! not.

use std::time::Duration;

use kinfold_protocol::persist::Table;
use kinfold_protocol::step::{Command, MessageState};

use crate::stage::{ANA, BEN, CHI, Stage};

const DAN: usize = 3;
const EVE: usize = 4;

/// Which of these envelopes a person's disk keeps.
fn kept(stage: &mut Stage, who: usize, published: std::ops::Range<usize>) -> usize {
    let rows = stage.person(who).disk.rows();
    let rows: Vec<_> = rows.iter().filter(|(key, _)| key.table == Table::Envelope).map(|(_, row)| &row.bytes).collect();
    stage.published[published].iter().filter(|sent| rows.iter().any(|row| row.as_slice() == sent.bytes)).count()
}

/// PROTOCOL D2: for four days Ana and Ben cannot reach Chi and Dan. What Chi said meanwhile was sealed in a state whose
/// keys Ana and Ben have destroyed when they meet again. Eve, who came in meanwhile, was not meant.
#[test]
fn what_was_said_in_a_state_that_is_long_gone_reaches_those_it_was_meant_for() {
    let mut stage = Stage::empty(&[0; 5]);
    let group = stage.found(&[BEN, CHI, DAN]);
    stage.split(2);
    stage.pass(60_000);
    let id = stage.say(CHI, "are you there");
    stage.pass(5_000);
    assert!(stage.texts(DAN).contains(&"are you there".to_owned()));
    let retention = Duration::from_secs(6 * 86_400);
    stage.ask(ANA, Command::SetRetention { group, retention });
    for _ in 0..4 * 24 {
        stage.pass(3_600_000);
    }
    // Eve is on the other side of the wall, next to Ana.
    let wall = stage.wall.take();
    stage.lose(CHI);
    stage.lose(DAN);
    stage.join(group, EVE);
    assert!(wall.is_some() && stage.texts(ANA).is_empty() && stage.texts(BEN).is_empty());
    stage.appear(DAN);
    stage.online(CHI);
    stage.pass(900_000);
    for who in [ANA, BEN] {
        assert_eq!(stage.texts(who), ["are you there"], "{who}");
    }
    assert!(stage.texts(EVE).is_empty());
    assert_eq!(stage.state(CHI, id), Some(MessageState::Received { by: 3, of: 3 }));
}

/// PROTOCOL D2: four days on, Ben alone meets Chi, and then Ana alone meets Ben. He was handed what Chi said, and cannot open
/// its envelope either; that he has it is all that makes Ana ask.
#[test]
fn whoever_was_handed_words_is_a_bridge_to_the_next() {
    let mut stage = Stage::empty(&[0; 4]);
    let group = stage.found(&[BEN, CHI, DAN]);
    stage.split(2);
    stage.pass(60_000);
    stage.say(CHI, "are you there");
    stage.pass(5_000);
    let retention = Duration::from_secs(6 * 86_400);
    stage.ask(ANA, Command::SetRetention { group, retention });
    for _ in 0..4 * 24 {
        stage.pass(3_600_000);
    }
    stage.wall = None;
    stage.lose(ANA);
    stage.lose(DAN);
    stage.online(BEN);
    stage.pass(900_000);
    assert_eq!(stage.texts(BEN), ["are you there"]);
    stage.lose(CHI);
    assert!(stage.texts(ANA).is_empty());
    stage.online(ANA);
    stage.pass(900_000);
    assert_eq!(stage.texts(ANA), ["are you there"]);
}

/// PROTOCOL M6: what was said before Chi came in is of no use to her, and nobody gives it to her.
#[test]
fn a_newcomer_keeps_no_copy_of_what_it_cannot_open() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let from = stage.published.len();
    for n in 0..20 {
        stage.say(ANA, &format!("Ana {n}"));
        stage.say(BEN, &format!("Ben {n}"));
    }
    stage.pass(20_000);
    let before = from..stage.published.len();
    assert_eq!(kept(&mut stage, BEN, before.clone()), before.len());
    stage.join(group, CHI);
    let joined = stage.published.len();
    stage.say(ANA, "welcome");
    stage.pass(3_600_000);
    assert_eq!(stage.texts(CHI), ["welcome"]);
    assert_eq!(kept(&mut stage, CHI, before), 0);
    assert!(kept(&mut stage, CHI, joined..joined + 1) == 1);
}

/// PROTOCOL M4: what was missed is asked for in pages, and comes in the order in which it was said.
#[test]
fn what_was_missed_comes_in_order_however_much_it_is() {
    let (mut stage, _) = Stage::three();
    stage.offline(BEN);
    let mut said = Vec::new();
    for n in 0..650 {
        for who in [ANA, CHI] {
            said.push(format!("{who} says {n}"));
            stage.say(who, &format!("{who} says {n}"));
        }
        stage.pass(1_000);
    }
    stage.online(BEN);
    for who in [ANA, CHI] {
        let of = |texts: &[String]| texts.iter().filter(|text| text.starts_with(&who.to_string())).cloned().collect();
        let (told, said): (Vec<String>, Vec<String>) = (of(&stage.told(BEN)), of(&said));
        assert!(told == said, "{who}");
    }
    assert_eq!(stage.texts(BEN), said);
}
