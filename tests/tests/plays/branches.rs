//! Several who may change a group do so without hearing of each other: all end in one history, and nothing that was said or
//! wanted is lost (PROTOCOL H, C, J, D).

use std::collections::BTreeSet;
use std::time::Duration;

use kinfold_protocol::id::GroupId;
use kinfold_protocol::step::{Command, LineKind, Reply, Standing};
use kinfold_protocol::view::DoctorView;

use crate::stage::{ANA, BEN, CHI, Stage};

const DAN: usize = 3;
const EVE: usize = 4;

pub(crate) const DAY: u64 = 86_400;

/// People in one group, some of whom may change it beside Ana.
pub(crate) fn shared(people: usize, leaders: &[usize]) -> (Stage, GroupId) {
    let mut stage = Stage::empty(&vec![0; people]);
    let guests: Vec<usize> = (1..people).collect();
    let group = stage.found(&guests);
    for leader in leaders {
        let member = stage.member(*leader);
        assert_eq!(stage.ask(ANA, Command::SetFacilitator { group, member, may: true }), Reply::Done);
    }
    stage.pass(10_000);
    (stage, group)
}

pub(crate) fn retention(stage: &mut Stage, who: usize, days: u64) {
    let group = stage.view(who).group;
    stage.ask(who, Command::SetRetention { group, retention: Duration::from_secs(days * DAY) });
}

pub(crate) fn heal(stage: &mut Stage) {
    stage.wall = None;
    stage.pass(240_000);
}

pub(crate) fn inside(stage: &mut Stage, who: usize) -> DoctorView {
    let group = stage.view(who).group;
    stage.person(who).client.examine(group).unwrap()
}

/// That all of them stand on one state, and see one group and one history.
pub(crate) fn agree(stage: &mut Stage, who: &[usize]) {
    let heads: BTreeSet<_> = who.iter().map(|who| inside(stage, *who).head).collect();
    assert_eq!(heads.len(), 1);
    let seen = |stage: &mut Stage, who: usize| (stage.names(who), stage.view(who).retention, stage.texts(who));
    let first = seen(stage, who[0]);
    for who in &who[1..] {
        assert_eq!(seen(stage, *who), first, "{who}");
    }
}

#[test]
fn both_sides_change_the_rules_and_talk_and_meet_again() {
    let (mut stage, _) = shared(4, &[CHI]);
    stage.split(2);
    retention(&mut stage, ANA, 1);
    retention(&mut stage, CHI, 2);
    for who in [ANA, BEN, CHI, DAN] {
        stage.say(who, &format!("of {who}"));
    }
    stage.pass(10_000);
    assert_ne!(inside(&mut stage, ANA).head, inside(&mut stage, CHI).head);
    heal(&mut stage);
    agree(&mut stage, &[ANA, BEN, CHI, DAN]);
    assert_eq!(stage.texts(BEN).len(), 4);
    // Which rule holds is anybody's guess; that it is told once, of the one that holds, is not.
    let told = |stage: &mut Stage, who| {
        let rules = stage.lines(who).into_iter().filter_map(|line| match line.kind {
            LineKind::Retention(life) => Some(life),
            _ => None,
        });
        rules.collect::<Vec<_>>()
    };
    for who in [ANA, DAN] {
        assert_eq!(told(&mut stage, who).last(), Some(&stage.view(who).retention), "{who}");
    }
    stage.say(CHI, "as before");
    stage.pass(5_000);
    agree(&mut stage, &[ANA, BEN, CHI, DAN]);
}

/// PROTOCOL V, M2: a removal that stood on the branch that was left is carried out on the other.
#[test]
fn each_side_takes_somebody_out_and_both_stay_out() {
    let (mut stage, group) = shared(5, &[CHI]);
    let (ben, eve) = (stage.member(BEN), stage.member(EVE));
    stage.split(2);
    stage.ask(ANA, Command::Remove { group, member: eve });
    stage.ask(CHI, Command::Remove { group, member: ben });
    stage.pass(10_000);
    heal(&mut stage);
    stage.say(ANA, "for those who are left");
    stage.pass(10_000);
    agree(&mut stage, &[ANA, CHI, DAN]);
    assert_eq!(stage.names(ANA), ["Ana", "Chi", "Guest 3"]);
    for who in [BEN, EVE] {
        assert_eq!(stage.view(who).standing, Standing::Removed, "{who}");
        assert!(stage.texts(who).is_empty(), "{who}");
    }
}

/// PROTOCOL J1, J2.
#[test]
fn who_came_in_by_a_branch_that_was_left_is_let_in_once_more() {
    let mut stage = Stage::empty(&[0; 4]);
    let group = stage.found(&[BEN, CHI]);
    let member = stage.member(CHI);
    stage.ask(ANA, Command::SetFacilitator { group, member, may: true });
    stage.pass(10_000);
    stage.split(2);
    retention(&mut stage, ANA, 1);
    stage.pass(5_000);
    let valid = Duration::from_secs(DAY);
    let Reply::Invite { text, .. } = stage.ask(CHI, Command::Invite { group, valid }) else { panic!("no invite") };
    stage.try_join(DAN, text);
    stage.say(DAN, "here I am");
    stage.pass(10_000);
    assert_eq!(stage.texts(CHI), ["here I am"]);
    let before = inside(&mut stage, DAN).head;
    heal(&mut stage);
    agree(&mut stage, &[ANA, BEN, CHI, DAN]);
    assert_ne!(inside(&mut stage, DAN).head, before);
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi", "Guest 3"]);
    assert_eq!(stage.texts(ANA), ["here I am"]);
    stage.say(ANA, "welcome");
    stage.pass(5_000);
    assert_eq!(stage.texts(DAN), ["here I am", "welcome"]);
    let came = |stage: &mut Stage, who| {
        let joined = |line: &kinfold_protocol::step::Line| line.kind == LineKind::Joined("Guest 3".into());
        stage.lines(who).into_iter().filter(joined).map(|line| line.id).collect::<Vec<_>>()
    };
    assert_eq!(came(&mut stage, DAN).len(), 1);
    assert_eq!(came(&mut stage, DAN), came(&mut stage, ANA));
}

/// PROTOCOL J1: Chi lets Dan in where nobody else is, and Ana takes that part from her meanwhile.
#[test]
fn who_was_let_in_by_whom_nobody_stands_by_is_out() {
    let mut stage = Stage::empty(&[0; 4]);
    let group = stage.found(&[BEN, CHI]);
    let member = stage.member(CHI);
    let part = |may| Command::SetFacilitator { group, member, may };
    assert_eq!(stage.ask(ANA, part(true)), Reply::Done);
    stage.pass(10_000);
    stage.split(2);
    assert_eq!(stage.ask(ANA, part(false)), Reply::Done);
    let invite = stage.ask(CHI, Command::Invite { group, valid: Duration::from_secs(DAY) });
    let Reply::Invite { text, .. } = invite else { panic!("no invite") };
    stage.try_join(DAN, text);
    assert_eq!(stage.view(DAN).standing, Standing::Active);
    heal(&mut stage);
    assert_eq!(stage.view(DAN).standing, Standing::Active, "he may be let in again");
    stage.pass(1_200_000);
    agree(&mut stage, &[ANA, BEN, CHI]);
    assert_eq!(stage.names(ANA).len(), 3);
    assert_eq!(stage.view(DAN).standing, Standing::Removed);
}

/// PROTOCOL J1: the same, and all others were on the branch that let Eve in before they left it.
#[test]
fn who_was_let_in_on_a_branch_that_all_have_left_is_out() {
    let mut stage = Stage::empty(&[0; 5]);
    let group = stage.found(&[BEN, CHI, DAN]);
    let (chi, dan) = (stage.member(CHI), stage.member(DAN));
    let part = |may| Command::SetFacilitator { group, member: chi, may };
    assert_eq!(stage.ask(ANA, part(true)), Reply::Done);
    stage.pass(10_000);
    stage.split(2);
    stage.ask(ANA, Command::Remove { group, member: dan });
    assert_eq!(stage.ask(ANA, part(false)), Reply::Done);
    let invite = stage.ask(CHI, Command::Invite { group, valid: Duration::from_secs(DAY) });
    let Reply::Invite { text, .. } = invite else { panic!("no invite") };
    stage.try_join(EVE, text);
    assert_eq!(stage.view(EVE).standing, Standing::Active);
    heal(&mut stage);
    stage.pass(1_200_000);
    agree(&mut stage, &[ANA, BEN, CHI]);
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi"]);
    for who in [DAN, EVE] {
        assert_eq!(stage.view(who).standing, Standing::Removed);
    }
}

/// PROTOCOL C2: whoever's turn it is carries out what others want, and the others need not.
#[test]
fn a_leave_is_carried_out_once_by_one_of_several() {
    let (mut stage, group) = shared(4, &[BEN, CHI]);
    let before = inside(&mut stage, ANA).number;
    stage.ask(DAN, Command::Leave { group });
    stage.pass(30_000);
    agree(&mut stage, &[ANA, BEN, CHI]);
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi"]);
    let inside = inside(&mut stage, ANA);
    assert_eq!(inside.number, before + 1);
    assert!(inside.states.iter().all(|state| state.ways <= 1), "nobody else did the same");
}

/// PROTOCOL O4, E: what more than half have voted for can be judged anew for ten minutes; what has no majority, for 72 hours.
#[test]
fn votes_settle_what_was_done_and_its_keys_die_soon() {
    let open = |stage: &mut Stage| inside(stage, ANA).states.iter().filter(|state| state.open).count();
    let (mut stage, _) = shared(4, &[CHI]);
    retention(&mut stage, ANA, 1);
    stage.pass(10_000);
    let head = inside(&mut stage, ANA);
    let votes: BTreeSet<_> = head.votes.iter().map(|(_, state)| *state).collect();
    assert_eq!((head.votes.len(), votes), (4, BTreeSet::from([head.head])));
    stage.pass(700_000);
    assert_eq!(open(&mut stage), 1);
    stage.split(1);
    retention(&mut stage, ANA, 2);
    for _ in 0..70 {
        stage.pass(3_600_000);
    }
    assert_eq!(open(&mut stage), 2);
    for _ in 0..3 {
        stage.pass(3_600_000);
    }
    assert_eq!(open(&mut stage), 1);
}

/// PROTOCOL H5, V2: the same with Ana, and nobody else may let anybody in.
#[test]
fn the_only_facilitator_is_let_in_anew_by_anybody() {
    let (mut stage, _) = shared(3, &[]);
    let copy = stage.person(ANA).disk.copy();
    retention(&mut stage, ANA, 3);
    stage.pass(30_000);
    stage.offline(ANA);
    stage.person(ANA).disk = copy;
    stage.meet(ANA);
    stage.pass(400_000);
    stage.say(ANA, "here");
    retention(&mut stage, ANA, 5);
    stage.pass(30_000);
    agree(&mut stage, &[ANA, BEN, CHI]);
    assert_eq!(stage.texts(CHI), ["here"]);
    assert_eq!(stage.view(CHI).retention, Duration::from_secs(5 * DAY));
}

/// PROTOCOL H5: Chi changes the group, and her device is set back to a copy of before. MLS does not read what was made by it,
/// so that it cannot follow the others where it led them itself.
#[test]
fn a_device_that_was_set_back_is_let_in_anew() {
    for leaders in [&[CHI][..], &[]] {
        let (mut stage, group) = shared(4, leaders);
        let copy = stage.person(CHI).disk.copy();
        let joined = |stage: &mut Stage| {
            let joined = |line: &&kinfold_protocol::step::Line| !line.own && matches!(line.kind, LineKind::Joined(_));
            stage.lines(CHI).iter().filter(joined).map(|line| line.id).collect::<Vec<_>>()
        };
        let before = joined(&mut stage);
        if leaders.is_empty() {
            // What Dan wants is carried out by Chi, who alone is there.
            stage.offline(ANA);
            stage.offline(BEN);
            stage.ask(DAN, Command::Leave { group });
            stage.pass(30_000);
            stage.online(ANA);
            stage.online(BEN);
        } else {
            retention(&mut stage, CHI, 3);
        }
        stage.pass(30_000);
        retention(&mut stage, ANA, 5);
        stage.pass(30_000);
        stage.say(ANA, "where is Chi");
        stage.offline(CHI);
        stage.person(CHI).disk = copy;
        stage.meet(CHI);
        stage.pass(400_000);
        stage.say(CHI, "here");
        stage.pass(10_000);
        let all: &[usize] = if leaders.is_empty() { &[ANA, BEN, CHI] } else { &[ANA, BEN, CHI, DAN] };
        agree(&mut stage, all);
        assert_eq!(stage.texts(ANA), ["where is Chi", "here"], "{leaders:?}");
        let back = stage.lines(ANA).iter().filter(|line| matches!(line.kind, LineKind::Back(_))).count();
        assert_eq!(back, 1, "{leaders:?}");
        assert_eq!(stage.view(CHI).standing, Standing::Active);
        assert!(before.iter().all(|id| joined(&mut stage).contains(id)) && !before.is_empty(), "{leaders:?}");
    }
}
