//! Parts of a group that do not hear of each other for days: what each did and said there is kept, and nobody is left out when
//! they meet again (PROTOCOL H2, H5, D2).

use std::collections::BTreeSet;
use std::time::Duration;

use kinfold_protocol::step::{Command, LineKind, Standing};

use crate::branches::{DAY, agree, heal, inside, retention, shared};
use crate::stage::{ANA, BEN, CHI, Stage};

const DAN: usize = 3;
const EVE: usize = 4;
const FAY: usize = 5;
const HOUR_MS: u64 = 3_600_000;

fn hours(stage: &mut Stage, hours: u64) {
    (0..hours).for_each(|_| stage.pass(HOUR_MS));
}

/// Two and two, and each part goes on by itself; or one does nothing until shortly before they meet.
#[test]
fn two_and_two_who_were_apart_for_four_days_meet_again() {
    for idle in [false, true] {
        let (mut stage, _) = shared(4, &[CHI]);
        stage.split(2);
        retention(&mut stage, ANA, 30);
        if !idle {
            retention(&mut stage, CHI, 20);
        }
        stage.say(BEN, "here");
        hours(&mut stage, 95);
        if idle {
            retention(&mut stage, CHI, 20);
        }
        stage.say(DAN, "there");
        hours(&mut stage, 1);
        heal(&mut stage);
        stage.pass(1_200_000);
        let all = [ANA, BEN, CHI, DAN];
        agree(&mut stage, &all);
        assert_eq!(stage.texts(ANA), ["here", "there"], "{idle}");
        stage.say(CHI, "together");
        stage.pass(10_000);
        assert!(all.into_iter().all(|who| stage.texts(who).len() == 3), "{idle}");
    }
}

/// Each part has taken somebody out, so that neither can read what the other publishes, and nobody can walk to where the others
/// are: they are linked, and that is told by link.
#[test]
fn two_parts_that_each_took_somebody_out_days_ago_meet_again() {
    let (mut stage, group) = shared(6, &[DAN]);
    let (chi, fay) = (stage.member(CHI), stage.member(FAY));
    stage.split(3);
    stage.ask(ANA, Command::Remove { group, member: fay });
    stage.ask(DAN, Command::Remove { group, member: chi });
    stage.pass(5_000);
    stage.say(BEN, "here");
    stage.say(EVE, "there");
    hours(&mut stage, 80);
    heal(&mut stage);
    stage.pass(1_500_000);
    let all = [ANA, BEN, DAN, EVE];
    agree(&mut stage, &all);
    assert_eq!(stage.names(ANA).len(), 4);
    assert_eq!(BTreeSet::from_iter(stage.texts(ANA)), BTreeSet::from(["here", "there"].map(str::to_owned)));
    for who in [CHI, FAY] {
        assert_eq!(stage.view(who).standing, Standing::Removed);
    }
}

/// Dan's device was off while two were taken out, for a night or for days, and comes back to those who are left.
#[test]
fn who_sleeps_through_two_removals_comes_back() {
    for away in [10, 80] {
        let (mut stage, group) = shared(6, &[BEN]);
        stage.offline(DAN);
        for (by, who) in [(ANA, EVE), (BEN, FAY)] {
            let member = stage.member(who);
            stage.ask(by, Command::Remove { group, member });
            stage.say(by, "gone");
            hours(&mut stage, away / 2);
        }
        stage.online(DAN);
        stage.pass(1_200_000);
        agree(&mut stage, &[ANA, BEN, CHI, DAN]);
        assert_eq!(stage.names(DAN).len(), 4, "{away}");
        assert_eq!(stage.texts(DAN), ["gone", "gone"], "{away}");
        assert_eq!(stage.texts(FAY), ["gone"], "{away}");
        assert!(stage.texts(EVE).is_empty(), "{away}");
    }
}

/// Chi is away for days, is let in anew, and is away again for as long.
#[test]
fn who_is_away_for_days_time_and_again_is_let_in_each_time() {
    let (mut stage, _) = shared(3, &[BEN]);
    for turn in 1..=3 {
        stage.offline(CHI);
        retention(&mut stage, ANA, 30 + turn);
        stage.say(BEN, &format!("{turn}"));
        hours(&mut stage, 90);
        stage.online(CHI);
        stage.pass(1_200_000);
        agree(&mut stage, &[ANA, BEN, CHI]);
        stage.say(CHI, &format!("{turn} again"));
        stage.pass(10_000);
        assert_eq!(stage.texts(ANA).len() as u64, 2 * turn);
        agree(&mut stage, &[ANA, BEN, CHI]);
    }
}

/// However much each side has done, they meet again in one history, and soon.
#[test]
fn two_parts_that_each_changed_much_meet_again_soon() {
    for changes in [1, 10, 100] {
        let (mut stage, _) = shared(4, &[CHI]);
        stage.split(2);
        for n in 0..changes {
            retention(&mut stage, ANA, 1 + n % 2);
            retention(&mut stage, CHI, 3 + n % 2);
            stage.pass(60_000);
        }
        stage.say(BEN, "here");
        stage.say(DAN, "there");
        stage.pass(5_000);
        stage.wall = None;
        let all = [ANA, BEN, CHI, DAN];
        // Nobody waits for the next time that somebody dials.
        all.into_iter().for_each(|who| stage.meet(who));
        let mut waited = 0;
        while waited < 300 && all.map(|who| inside(&mut stage, who).head) != [inside(&mut stage, ANA).head; 4] {
            stage.pass(1_000);
            waited += 1;
        }
        println!("{changes} changes on each side: one head after {waited} s");
        assert!(waited <= 20, "{changes} {waited}");
        stage.pass(60_000);
        agree(&mut stage, &all);
        assert_eq!(stage.texts(ANA).len(), 2, "{changes}");
    }
}

/// PROTOCOL H2, H5: after more than 72 hours nobody can judge the other branch any more.
#[test]
fn who_was_away_too_long_to_walk_back_is_let_in_anew() {
    let (mut stage, _) = shared(3, &[CHI]);
    stage.split(2);
    retention(&mut stage, ANA, 30);
    retention(&mut stage, CHI, 20);
    stage.say(ANA, "while Chi was away");
    for _ in 0..80 {
        stage.pass(3_600_000);
    }
    stage.say(CHI, "alone");
    heal(&mut stage);
    stage.pass(240_000);
    agree(&mut stage, &[ANA, BEN, CHI]);
    assert_eq!(stage.view(CHI).retention, Duration::from_secs(30 * DAY));
    assert_eq!(stage.texts(CHI), ["while Chi was away", "alone"]);
    for who in [ANA, BEN, CHI] {
        let back = |line: &kinfold_protocol::step::Line| line.kind == LineKind::Back("Chi".into());
        assert_eq!(stage.lines(who).iter().filter(|line| back(line)).count(), 1, "{who}");
    }
    stage.say(CHI, "again");
    stage.say(BEN, "hello");
    stage.pass(10_000);
    agree(&mut stage, &[ANA, BEN, CHI]);
    assert_eq!(stage.texts(ANA).len(), 4);
}

/// PROTOCOL D2: the same where the branch that is left had taken Ben out and meets elsewhere. Whether its author can still say so
/// or not, what was said there reaches everybody whom it was for, and who takes part.
#[test]
fn what_was_said_on_a_branch_of_other_keys_is_handed_on_though_nobody_can_walk_there() {
    for author_lost in [false, true] {
        let (mut stage, group) = shared(6, &[EVE]);
        let ben = stage.member(BEN);
        stage.split(4);
        retention(&mut stage, ANA, 30);
        stage.ask(EVE, Command::Remove { group, member: ben });
        stage.pass(10_000);
        stage.say(EVE, "for those who are left");
        for _ in 0..80 {
            stage.pass(3_600_000);
        }
        if author_lost {
            stage.lose(EVE);
        }
        heal(&mut stage);
        stage.pass(1_200_000);
        let all = [ANA, CHI, DAN, FAY, EVE];
        agree(&mut stage, &all[..all.len() - usize::from(author_lost)]);
        assert_eq!(stage.texts(ANA), ["for those who are left"], "{author_lost}");
        assert_eq!((stage.view(BEN).standing, stage.texts(BEN)), (Standing::Removed, vec![]), "{author_lost}");
    }
}

/// PROTOCOL H2: Ana alone takes Chi out and goes on by herself, and is on the longer branch; Chi stood by Ben's, which Ana cannot
/// judge any more, and is not heard of again.
#[test]
fn whose_branch_is_shorter_is_asked_for_it_and_who_stood_by_it_counts() {
    let (mut stage, group) = shared(3, &[BEN]);
    stage.split(1);
    let member = stage.member(CHI);
    stage.ask(ANA, Command::Remove { group, member });
    (10..15).for_each(|days| retention(&mut stage, ANA, days));
    for _ in 0..80 {
        stage.pass(3_600_000);
    }
    retention(&mut stage, BEN, 20);
    stage.pass(30_000);
    stage.lose(CHI);
    heal(&mut stage);
    stage.pass(1_200_000);
    agree(&mut stage, &[ANA, BEN]);
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
}

/// PROTOCOL H2, H5: all who may change the group are in the smaller part, and nobody else there may let anybody in.
#[test]
fn facilitators_who_were_all_in_the_smaller_part_are_let_in_anew() {
    let (mut stage, group) = shared(6, &[BEN]);
    stage.split(2);
    stage.ask(FAY, Command::Leave { group });
    stage.pass(30_000);
    assert_eq!(stage.names(CHI).len(), 5);
    retention(&mut stage, ANA, 30);
    stage.say(BEN, "among the two");
    for _ in 0..80 {
        stage.pass(3_600_000);
    }
    stage.say(CHI, "among the three");
    heal(&mut stage);
    stage.pass(1_200_000);
    let all = [ANA, BEN, CHI, DAN, EVE];
    agree(&mut stage, &all);
    assert_eq!(stage.texts(DAN), ["among the two", "among the three"]);
    retention(&mut stage, BEN, 20);
    stage.pass(10_000);
    agree(&mut stage, &all);
    assert_eq!(stage.view(EVE).retention, Duration::from_secs(20 * DAY));
}
