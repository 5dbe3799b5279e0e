use super::*;
use zeroize::Zeroizing;

const GROUP: GroupId = GroupId::from_bytes([1; 16]);
const ALICE: MemberId = MemberId::from_bytes([2; 32]);
const NOW: Time = Time::from_ms(1_000);

fn line(number: u8, expires: u64) -> Line {
    Line {
        id: MsgId::from_bytes([number; 32]),
        kind: LineKind::Text(Zeroizing::new("text".to_owned())),
        author: ALICE,
        author_name: "alice".to_owned(),
        own: false,
        sent: Time::from_ms(1),
        expires: Some(Time::from_ms(expires)),
        state: MessageState::Held,
        late: false,
    }
}

fn oracle(lines: &[Line]) -> Oracle {
    let mut oracle = Oracle::default();
    for line in lines {
        let sent = Sent {
            group: GROUP,
            node: 9,
            author: ALICE,
            text: "text".to_owned(),
            roster: BTreeSet::new(),
            expires: line.expires.unwrap(),
            dropped: false,
        };
        oracle.sent.insert(line.id, sent);
    }
    oracle
}

fn show(oracle: &mut Oracle, node: usize, lines: &[Line], now: Time) -> Result<(), String> {
    let order: Vec<MsgId> = lines.iter().map(|line| line.id).collect();
    oracle.lines(node, GROUP, lines, now)?;
    oracle.order(node, GROUP, &order)?;
    oracle.replace(node, GROUP, lines, order, now, &mut Levers::default())
}

#[test]
fn it_passes_what_is_right() {
    let lines = [line(1, 2_000), line(2, 3_000)];
    let mut oracle = oracle(&lines);
    assert_eq!(show(&mut oracle, 0, &lines, NOW), Ok(()));
    assert_eq!(show(&mut oracle, 1, &lines[1..], NOW), Ok(()));
    assert_eq!(show(&mut oracle, 0, &lines[1..], Time::from_ms(2_000)), Ok(()));
    assert!(oracle.shows(1, GROUP, lines[1].id) && !oracle.shows(1, GROUP, lines[0].id));
}

#[test]
fn it_sees_a_line_past_its_deadline_and_a_line_shown_twice() {
    let lines = [line(1, 2_000)];
    assert!(show(&mut oracle(&lines), 0, &lines, Time::from_ms(2_000)).is_err());
    assert!(show(&mut oracle(&lines), 0, &[line(1, 2_000), line(1, 2_000)], NOW).is_err());
}

#[test]
fn it_sees_a_line_that_comes_back_and_a_line_that_goes_too_early() {
    let lines = [line(1, 2_000)];
    let mut oracle = oracle(&lines);
    show(&mut oracle, 0, &lines, NOW).unwrap();
    assert!(show(&mut oracle, 0, &[], Time::from_ms(1_999)).is_err());
    show(&mut oracle, 0, &[], Time::from_ms(2_000)).unwrap();
    assert!(show(&mut oracle, 0, &lines, NOW).is_err());
}

#[test]
fn it_sees_two_orders_and_words_that_nobody_said() {
    let lines = [line(1, 2_000), line(2, 2_000)];
    let mut oracle = oracle(&lines);
    show(&mut oracle, 0, &lines, NOW).unwrap();
    assert!(show(&mut oracle, 1, &[line(2, 2_000), line(1, 2_000)], NOW).is_err());
    assert!(show(&mut oracle, 1, &[line(3, 2_000)], NOW).is_err());
    assert!(show(&mut oracle, 1, &[line(1, 2_001)], NOW).is_err());
    let mut changed = line(1, 2_000);
    changed.kind = LineKind::Text(Zeroizing::new("other".to_owned()));
    assert!(show(&mut oracle, 1, &[changed], NOW).is_err());
}
