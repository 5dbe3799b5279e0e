use super::*;

const NOON: u64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z, a Sunday

fn scroll() -> Scroll {
    Scroll::new(TimeZone::fixed(jiff::tz::offset(1)), false)
}

fn row(kind: Kind) -> Row {
    Row {
        id: "01".into(),
        kind,
        author: "Ana".into(),
        author_id: "aa".into(),
        text: (kind == Kind::Text).then(|| "How is everyone?".into()),
        sent: Moment::from_ms(NOON),
        expires: (kind == Kind::Text).then(|| Moment::from_ms(NOON + 7 * 86_400_000)),
        stand: stood(State::Held),
        own: false,
        late: false,
        group_id: "bb".into(),
        group: "Circle".into(),
        member: None,
        retention_secs: None,
    }
}

const fn stood(state: State) -> Stand {
    Stand { state, received_by: None, received_of: None }
}

#[test]
fn a_message_shows_its_day_local_time_and_when_it_goes() {
    let mut scroll = scroll();
    let expected = "Sunday 22 November 2026\n13:00  Ana: How is everyone?  (gone Sun 29 Nov at 13:00)";
    assert_eq!(scroll.line(&row(Kind::Text)), expected);
    assert_eq!(scroll.line(&row(Kind::Text)), "13:00  Ana: How is everyone?  (gone Sun 29 Nov at 13:00)");
    let late = Row { sent: Moment::from_ms(NOON + 11 * 3_600_000), late: true, ..row(Kind::Text) };
    let expected = "Monday 23 November 2026\n00:00  Ana: How is everyone?  (gone Sun 29 Nov at 13:00; came late)";
    assert_eq!(scroll.line(&late), expected, "the day is the local one");
}

#[test]
fn a_short_life_is_told_to_the_second() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let short = Row { expires: Some(Moment::from_ms(NOON + 5_000)), ..row(Kind::Text) };
    assert_eq!(scroll.line(&short), "13:00  Ana: How is everyone?  (gone at 13:00:05)");
    let hour = Row { expires: Some(Moment::from_ms(NOON + 3_600_000)), ..row(Kind::Text) };
    assert_eq!(scroll.line(&hour), "13:00  Ana: How is everyone?  (gone at 14:00)");
}

#[test]
fn an_own_message_shows_where_it_stands() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let stand = Stand { state: State::Received, received_by: Some(2), received_of: Some(3) };
    let own = Row { own: true, stand, ..row(Kind::Text) };
    assert_eq!(scroll.line(&own), "13:00  You: How is everyone?  (gone Sun 29 Nov at 13:00; 2 of 3 have it)");
    assert_eq!(scroll.accepted(&own), "13:00  Sent.  (gone Sun 29 Nov at 13:00; 2 of 3 have it)");
    assert_eq!(super::stand(stood(State::Kept)), "on this device only so far");
}

#[test]
fn who_came_and_went_and_what_was_set_is_told() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let about = |kind, own| Row { member: Some("Ben".into()), own, ..row(kind) };
    assert_eq!(scroll.line(&about(Kind::Joined, false)), "13:00  Ben joined.");
    assert_eq!(scroll.line(&about(Kind::Left, false)), "13:00  Ben left.");
    assert_eq!(scroll.line(&about(Kind::Removed, false)), "13:00  Ana removed Ben.");
    assert_eq!(scroll.line(&about(Kind::Removed, true)), "13:00  You removed Ben.");
    let set = Row { retention_secs: Some(86_400), ..row(Kind::Retention) };
    assert_eq!(scroll.line(&set), "13:00  Ana set messages to be gone after 1 day.");
}

#[test]
fn a_message_cannot_pass_for_another_line() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let posing = Row {
        author: "Eve\n13:00  Ana".into(),
        text: Some("hi\n13:01  Ana removed Ben.\x1b[2J".into()),
        ..row(Kind::Text)
    };
    let expected = "13:00  Eve 13:00  Ana: hi\n       13:01  Ana removed Ben.␛[2J  (gone Sun 29 Nov at 13:00)";
    assert_eq!(scroll.line(&posing), expected);
}

#[test]
fn lines_of_several_groups_name_theirs() {
    let mut scroll = Scroll::new(TimeZone::UTC, true);
    scroll.line(&row(Kind::Text));
    assert!(scroll.line(&row(Kind::Text)).starts_with("12:00  [Circle] Ana: "));
    let left = Notice::Standing { group_id: "bb".into(), standing: Standing::Left };
    assert_eq!(scroll.notice(&left), "[Circle] You have left this group.");
}

#[test]
fn no_line_is_shown_twice_and_a_change_of_state_names_the_message() {
    let mut scroll = scroll();
    let own = Row { own: true, ..row(Kind::Text) };
    assert!(scroll.remember(&own));
    assert!(!scroll.remember(&own));
    let now = Notice::State { group_id: "bb".into(), id: "01".into(), stand: stood(State::Held) };
    assert_eq!(scroll.notice(&now), "Your message of 13:00: another device has it.");
    let other = Notice::State { group_id: "bb".into(), id: "02".into(), stand: stood(State::Expired) };
    assert_eq!(scroll.notice(&other), "An earlier message of yours: its time ended before anybody else had it.");
}

#[test]
fn notices_are_sentences() {
    let mut scroll = scroll();
    let gone =
        |ids: &[&str]| Notice::Gone { group_id: "bb".into(), ids: ids.iter().map(|id| (*id).to_owned()).collect() };
    assert_eq!(scroll.notice(&gone(&["01"])), "1 message reached its time and is gone.");
    assert_eq!(scroll.notice(&gone(&["01", "02"])), "2 messages reached their time and are gone.");
    let slow = Notice::ClockOff { ahead_secs: -7_200 };
    let expected = "This device's clock is 2 hours behind the others'. Messages carry the corrected time.";
    assert_eq!(scroll.notice(&slow), expected);
    let here =
        |connected| Notice::Connected { group_id: "bb".into(), member_id: "aa".into(), name: "Ana".into(), connected };
    assert_eq!(scroll.notice(&here(true)), "Ana is connected now.");
    assert_eq!(scroll.notice(&here(false)), "Ana is no longer connected.");
}
