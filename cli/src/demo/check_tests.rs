//! Each check is shown something on which it must fail, and something on which it must not.

use std::cell::Cell;

use kinfold_node::control::lines::Stand;
use kinfold_node::control::rows::Role;

use super::*;

fn said(id: &str) -> Said {
    Said { id: id.to_owned(), text: format!("text of {id}") }
}

fn shown(person: &'static str, ids: &[&str]) -> Shown {
    Shown { person, lines: ids.iter().map(|id| said(id)).collect() }
}

fn row(id: &str, kind: Kind, expires: Option<u64>, stand: Stand) -> Row {
    Row {
        id: id.to_owned(),
        kind,
        author: "Ana".into(),
        author_id: "aa".into(),
        text: (kind == Kind::Text).then(|| format!("text of {id}")),
        sent: Moment::from_ms(1_000),
        expires: expires.map(Moment::from_ms),
        stand,
        own: true,
        late: false,
        group_id: "bb".into(),
        group: "Circle".into(),
        member: None,
        retention_secs: None,
    }
}

fn kept() -> Stand {
    Stand { state: State::Kept, received_by: None, received_of: None }
}

fn received(by: usize, of: usize) -> Stand {
    Stand { state: State::Received, received_by: Some(by), received_of: Some(of) }
}

fn member(name: &str, connected: bool, own: bool) -> MemberRow {
    MemberRow { member_id: "aa".into(), name: name.into(), role: Role::Member, own, connected, verified: false }
}

fn differs(checked: Checked) -> String {
    match checked {
        Err(Failure::Differs { expected, seen }) => format!("{expected}; {seen}"),
        other => panic!("the check passes what it must not: {other:?}"),
    }
}

#[test]
fn one_talk_is_every_message_once_in_one_order_and_nothing_else() {
    let all = [said("1"), said("2")];
    assert_eq!(same_talk(&[shown("Ana", &["1", "2"]), shown("Ben", &["1", "2"])], &all), Ok(()));
    for wrong in [&["1"][..], &["1", "2", "2"], &["2", "1"], &["1", "2", "3"], &[]] {
        differs(same_talk(&[shown("Ana", &["1", "2"]), shown("Ben", wrong)], &all));
    }
    let mut changed = shown("Ben", &["1", "2"]);
    changed.lines[1].text = "something else".into();
    assert_eq!(
        differs(same_talk(&[changed], &all)),
        "Ben shows \"text of 2\" exactly once; Ben was shown \"text of 1\", \"something else\""
    );
}

#[test]
fn only_messages_are_counted_not_who_came() {
    let rows = [row("1", Kind::Joined, None, kept()), row("2", Kind::Text, None, kept())];
    assert_eq!(same_talk(&[Shown::new("Ana", &rows)], &[said("2")]), Ok(()));
}

#[test]
fn a_message_is_told_of_neither_twice_nor_never() {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(told_once("Ana", &ids(&["1", "9"]), &[said("1")]), Ok(()));
    differs(told_once("Ana", &ids(&["1", "1"]), &[said("1")]));
    differs(told_once("Ana", &ids(&["9"]), &[said("1")]));
}

#[test]
fn a_message_that_went_is_missed_under_its_id_and_with_its_words() {
    assert_eq!(not_shown(&shown("Ana", &["1"]), &said("2")), Ok(()));
    differs(not_shown(&shown("Ana", &["1", "2"]), &said("2")));
    let mut renamed = said("2");
    renamed.id = "3".into();
    differs(not_shown(&shown("Ana", &["2"]), &renamed));
}

#[test]
fn a_message_may_go_at_its_time_and_not_before() {
    let at = Moment::from_ms;
    assert_eq!(not_early("Ana", at(5), at(5)), Ok(()));
    differs(not_early("Ana", at(5), at(4)));
}

#[test]
fn a_life_is_as_long_as_said_and_ends_at_one_moment_for_all() {
    assert_eq!(lives(&row("1", Kind::Text, Some(6_000), kept()), 5), Ok(()));
    differs(lives(&row("1", Kind::Text, Some(7_000), kept()), 5));
    differs(lives(&row("1", Kind::Text, None, kept()), 5));
    let at = |ms| Some(Moment::from_ms(ms));
    assert_eq!(same_end(&[at(5), at(5)]), Ok(Moment::from_ms(5)));
    for wrong in [&[at(5), at(6)][..], &[at(5), None], &[None, None], &[]] {
        differs(same_end(wrong).map(|_| ()));
    }
}

#[test]
fn people_are_these_and_connected_are_those() {
    let seen = [member("Ben", true, false), member("Ana", true, true), member("Chi", false, false)];
    assert_eq!(people("Ana", &seen, &["Ana", "Ben", "Chi"], &["Ben"]), Ok(()));
    differs(people("Ana", &seen, &["Ana", "Ben"], &["Ben"]));
    differs(people("Ana", &seen, &["Ana", "Ben", "Chi"], &["Ben", "Chi"]));
    assert_eq!(
        differs(people("Ana", &seen, &["Ana", "Ben", "Chi"], &[])),
        "Ana is connected with nobody; is connected with Ben"
    );
}

#[test]
fn a_group_stands_as_it_should() {
    assert_eq!(stands("Ben", Some(Standing::Removed), Standing::Removed), Ok(()));
    differs(stands("Ben", Some(Standing::Active), Standing::Removed));
    differs(stands("Ben", None, Standing::Removed));
}

#[test]
fn received_means_by_all() {
    assert_eq!(received_by_all(Some(&row("1", Kind::Text, None, received(2, 2))), 2), Ok(()));
    for stand in [kept(), received(1, 2), received(1, 1)] {
        differs(received_by_all(Some(&row("1", Kind::Text, None, stand)), 2));
    }
    differs(received_by_all(None, 2));
}

#[test]
fn a_refusal_has_its_reason() {
    let error = |code: &str| Error { exit: Exit::Refused, code: code.into(), message: "no".into(), hint: None };
    assert_eq!(refused::<()>(Err(error("group_removed")), "group_removed"), Ok(()));
    differs(refused::<()>(Err(error("bug")), "group_removed"));
    differs(refused(Ok(()), "group_removed"));
}

#[test]
fn a_state_is_waited_for_and_its_absence_ends() {
    let looks = Cell::new(0);
    let third = || {
        looks.set(looks.get() + 1);
        holds(looks.get() == 3, "three", looks.get().to_string())
    };
    assert_eq!(until(third), Ok(()));
    let never = || holds(false, "it comes", "it does not");
    assert_eq!(differs(until_within(Duration::from_millis(60), never)), "it comes; it does not");
    let broken = Failure::Failed(Local::LostContact.into());
    let looks = Cell::new(0);
    let fails = || {
        looks.set(looks.get() + 1);
        Err::<(), _>(Failure::Failed(Local::LostContact.into()))
    };
    assert_eq!((until(fails), looks.get()), (Err(broken), 1), "what cannot be done is not tried again");
}

#[test]
fn a_failure_says_what_was_expected_and_what_was_seen() {
    let failure = holds(false, "Ben sees Ana", "saw nobody").expect_err("fails");
    let told = failure.told("While everybody met");
    assert_eq!(told.message, "While everybody met, the demo expected that Ben sees Ana; but saw nobody");
    assert_eq!(told.exit, Exit::Refused);
    let told = Failure::from(Local::LostContact).told("While Chi came back");
    assert_eq!(told.exit, Exit::NotRunning);
}
