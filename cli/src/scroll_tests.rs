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
    assert_eq!(scroll.accepted(&own, stand), "13:00  Sent; another device has it.  (gone Sun 29 Nov at 13:00)");
    let kept = "13:00  Kept on this device; it goes out when somebody is connected.  (gone Sun 29 Nov at 13:00)";
    assert_eq!(scroll.accepted(&own, stood(State::Kept)), kept);
    assert_eq!(super::stand(stood(State::Kept)), "on this device only so far");
}

/// Ben had it, and went; then Chi has it.
#[test]
fn that_nobody_has_a_message_any_more_is_told_and_that_somebody_has_it_again() {
    let mut scroll = scroll();
    let own = Row { own: true, stand: stood(State::Kept), ..row(Kind::Text) };
    assert!(scroll.remember(&own));
    let mut told = |state| {
        let notice = Notice::State { group_id: own.group_id.clone(), id: own.id.clone(), stand: stood(state) };
        scroll.notice(&notice).map(|text| text.rsplit(": ").next().expect("words").to_owned())
    };
    assert_eq!(told(State::Kept), None);
    assert_eq!(told(State::Held).as_deref(), Some("another device has it."));
    assert_eq!(told(State::Kept).as_deref(), Some("on this device only so far."));
    assert_eq!(told(State::Held).as_deref(), Some("another device has it."));
}

#[test]
fn who_came_and_went_and_what_was_set_is_told() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let about = |kind, own| Row { member: Some("Ben".into()), own, ..row(kind) };
    let by_ben = |kind, own| Row { author: "Ben".into(), author_id: "bb".into(), ..about(kind, own) };
    assert_eq!(scroll.line(&by_ben(Kind::Joined, false)), "13:00  Ben joined.");
    assert_eq!(scroll.line(&by_ben(Kind::Joined, true)), "13:00  You joined.");
    assert_eq!(scroll.line(&by_ben(Kind::Left, false)), "13:00  Ben left.");
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
    assert_eq!(scroll.notice(&left).as_deref(), Some("[Circle] You have left this group."));
}

#[test]
fn no_line_is_shown_twice_and_a_change_of_state_names_the_message_and_is_told_once() {
    let mut scroll = scroll();
    let own = Row { own: true, stand: stood(State::Kept), ..row(Kind::Text) };
    assert!(scroll.remember(&own));
    assert!(!scroll.remember(&own));
    let now = |id: &str, state| Notice::State { group_id: "bb".into(), id: id.into(), stand: stood(state) };
    let told = "Your message of 13:00 “How is everyone?”: another device has it.";
    assert_eq!(scroll.notice(&now("01", State::Held)).as_deref(), Some(told));
    assert_eq!(scroll.notice(&now("01", State::Received)), None, "once is enough");
    let told = "Your message of 13:00 “How is everyone?”: waiting for your word, see `kinfold outbox`.";
    assert_eq!(scroll.notice(&now("01", State::Waiting)).as_deref(), Some(told));
    let told = "An earlier message of yours [02020202]: its time ended before anybody else had it.";
    assert_eq!(scroll.notice(&now("0202020202", State::Expired)).as_deref(), Some(told));
    assert!(scroll.notice(&now("03", State::Held)).is_some());
    assert_eq!(scroll.notice(&now("03", State::Received)), None);
}

#[test]
fn a_message_that_others_were_known_to_have_is_not_told_of_again() {
    let mut scroll = scroll();
    let long = "A long story that takes its time to come to its point";
    let own = Row { own: true, text: Some(long.into()), stand: stood(State::Kept), ..row(Kind::Text) };
    assert!(scroll.remember(&own));
    scroll.accepted(&own, stood(State::Held));
    let now = |state| Notice::State { group_id: "bb".into(), id: "01".into(), stand: stood(state) };
    assert_eq!(scroll.notice(&now(State::Received)), None);
    let told = "Your message of 13:00 “A long story that takes…”: its time ended before anybody else had it.";
    assert_eq!(scroll.notice(&now(State::Expired)).as_deref(), Some(told));
}

fn member(id: &str, name: &str, own: bool) -> MemberRow {
    let role = kinfold_node::control::rows::Role::Member;
    MemberRow { member_id: id.into(), name: name.into(), role, own, connected: true, verified: false }
}

#[test]
fn two_of_the_same_name_are_told_apart_wherever_they_are_named() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    assert!(scroll.line(&row(Kind::Text)).contains("  Ana: "));
    scroll.meet("bb", &[member("aa", "Ana", false), member("cc01cc01cc", "aNa\u{200b}", false)]);
    assert!(scroll.line(&row(Kind::Text)).contains("  Ana [aa]: "));
    let other = Row { author: "aNa".into(), author_id: "cc01cc01cc".into(), ..row(Kind::Joined) };
    assert_eq!(scroll.line(&other), "13:00  aNa [cc01cc01] joined.");
    let here = Notice::Connected { group_id: "bb".into(), member_id: "aa".into(), name: "Ana".into(), connected: true };
    assert_eq!(scroll.notice(&here).as_deref(), Some("Ana [aa] is now connected."));
}

#[test]
fn a_name_that_looks_like_anothers_or_like_a_word_of_ours_has_its_id_beside_it() {
    for (name, others) in [("\u{410}n\u{430}", "Ana"), ("Ana\u{fe01}", "Ana"), ("You", "Ben"), ("y\u{43e}u", "Ben")] {
        let mut scroll = scroll();
        scroll.meet("bb", &[member("aa01", others, true), member("cc01cc01cc", name, false)]);
        let said = Row { author: name.into(), author_id: "cc01cc01cc".into(), ..row(Kind::Text) };
        let line = scroll.line(&said);
        assert!(line.contains(&format!("  {} [cc01cc01]: ", plain::name(name))), "{line}");
    }
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let removed = Row { member: Some("You".into()), ..row(Kind::Removed) };
    assert_eq!(scroll.line(&removed), "13:00  Ana removed somebody called \u{201c}You\u{201d}.");
}

#[test]
fn who_is_removed_reads_so() {
    let mut scroll = scroll();
    scroll.line(&row(Kind::Text));
    let removed = Row { member: Some("Ben".into()), ..row(Kind::Removed) };
    assert_eq!(scroll.line(&removed), "13:00  Ana removed Ben.", "nothing is known of the reader");
    scroll.may_be_removed("bb", &[member("aa", "Ana", false), member("dd", "Ben", true)]);
    assert_eq!(scroll.line(&removed), "13:00  Ana removed you.");
    scroll.meet("bb", &[member("dd", "Ben", true), member("ee", "ben", false)]);
    assert_eq!(scroll.line(&removed), "13:00  Ana removed Ben.", "it may have been the other one");
}

#[test]
fn notices_are_sentences() {
    let mut scroll = scroll();
    let gone =
        |ids: &[&str]| Notice::Gone { group_id: "bb".into(), ids: ids.iter().map(|id| (*id).to_owned()).collect() };
    let mut told = |notice: &Notice| scroll.notice(notice).expect("news");
    assert_eq!(told(&gone(&["01"])), "1 message reached its time and is gone.");
    assert_eq!(told(&gone(&["01", "02"])), "2 messages reached their time and are gone.");
    let mut off = |ahead_secs, corrected| told(&Notice::ClockOff { ahead_secs, corrected });
    let expected = "This device's clock is 2 hours behind the others'. Messages carry the corrected time.";
    assert_eq!(off(-7_200, true), expected);
    let expected = "This device's clock is 1 day 1 hour ahead of the others'. Whose is right cannot be known here: look at \
                    it, and set the wrong one right. Until then some messages may be hidden, and some go too early or \
                    too late.";
    assert_eq!(off(90_000, false), expected);
    assert_eq!(off(0, false), "This device's clock and the others' agree again.");
    let here =
        |connected| Notice::Connected { group_id: "bb".into(), member_id: "aa".into(), name: "Ana".into(), connected };
    assert_eq!(told(&here(true)), "Ana is now connected.");
    assert_eq!(told(&here(false)), "Ana is no longer connected.");
}
