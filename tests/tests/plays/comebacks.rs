//! Joins and addresses when a clock leaps, a disk fails, or a member lies.

use kinfold_protocol::step::{Address, Command, Event, Input, Transmit};
use kinfold_tests::disk::Trouble;

use crate::stage::{ANA, BEN, CHI, Stage};

const DAY_MS: i64 = 24 * 3_600_000;

/// Ben is in, and the answer that says so was lost; then his clock leaps ten years ahead for a moment.
#[test]
fn a_clock_that_leaps_for_a_moment_ends_no_join_that_was_answered() {
    let (mut stage, group) = Stage::group([0; 3], &[CHI]);
    let invite = stage.invite(group, 86_400);
    stage.give(BEN, Input::Command(Command::Join { invite, display_name: "Ben".into() })).unwrap();
    stage.settle_until(|stage| stage.names(ANA).len() == 3);
    stage.lose(BEN);
    stage.person(BEN).ahead_ms = 3_650 * DAY_MS;
    stage.give(BEN, Input::Deadline).unwrap();
    stage.person(BEN).ahead_ms = 0;
    stage.give(BEN, Input::Deadline).unwrap();
    stage.online(BEN);
    stage.pass(60_000);
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi"]);
    assert_eq!(stage.person(BEN).client.groups().len(), 1, "Ben is a ghost: {:?}", stage.person(BEN).events);
}

/// Ben takes another invite while Ana is away; his disk cannot be read just then, and he is told so.
#[test]
fn a_join_whose_successor_failed_goes_on() {
    let mut failures = 0;
    for after in 0..10 {
        let (mut stage, group) = Stage::group([0; 3], &[CHI]);
        let (one, two) = (stage.invite(group, 86_400), stage.invite(group, 86_400));
        stage.offline(ANA);
        stage.ask(BEN, Command::Join { invite: one, display_name: "Ben".into() });
        stage.pass(5_000);
        stage.person(BEN).disk.trouble(Trouble { after, times: 1, failed: 0 });
        let failed =
            stage.give(BEN, Input::Command(Command::Join { invite: two, display_name: "Ben".into() })).is_err();
        stage.person(BEN).disk.heal();
        stage.settle();
        stage.online(ANA);
        stage.pass(120_000);
        let joined = stage.person(BEN).events.iter().any(|event| matches!(event, Event::Joined { .. }));
        assert!(joined, "after {after} reads, failed {failed}");
        if !failed {
            break;
        }
        failures += 1;
    }
    assert!(failures > 0);
}

/// Somebody dials everything that is due; says whether that address was among it.
pub(crate) fn dials(stage: &mut Stage, who: usize, place: &Address) -> bool {
    let mut dialled = false;
    for _ in 0..60 {
        let Some(due) = stage.person(who).client.deadline() else { break };
        let now = stage.clock(who);
        stage.person(who).ahead_ms += i64::try_from(due.since(now).as_millis()).unwrap();
        let now = stage.clock(who);
        let output = stage.person(who).client.handle(Input::Deadline, now).unwrap();
        let found = |transmit: &Transmit| matches!(transmit, Transmit::Dial { address, .. } if address == place);
        dialled |= output.transmits.iter().any(found);
        stage.make_true(who, output);
    }
    dialled
}

/// Ben is at another address. Chi, whom he has not reached yet, hears of it from Ana; but Eve was there first, and has
/// named it as her own.
#[test]
fn who_hears_of_an_address_from_others_dials_it_although_somebody_claims_it() {
    const EVE: usize = 3;
    for claimed in [false, true] {
        let mut stage = Stage::empty(&[0; 4]);
        stage.found(&[BEN, CHI, EVE]);
        stage.offline(BEN);
        let place = Address(format!("{BEN}/9"));
        let net = stage.net(EVE);
        let own = Address(format!("{EVE}/{}", net.0));
        let addresses = if claimed { vec![own, place.clone()] } else { vec![own] };
        stage.give(EVE, Input::Listening { net, port: 1, addresses }).unwrap();
        stage.settle();
        // Ben reaches Ana only, and she passes on where he is.
        stage.star = true;
        stage.online(BEN);
        let net = stage.net(BEN);
        stage.give(BEN, Input::Listening { net, port: 1, addresses: vec![place.clone()] }).unwrap();
        stage.settle();
        stage.offline(BEN);
        stage.star = false;
        assert!(dials(&mut stage, CHI, &place), "Chi never dials Ben, claimed {claimed}");
    }
}

/// The disk cannot be read for a moment, just when the network of Ben's join begins to listen.
#[test]
fn a_join_whose_network_began_to_listen_while_the_disk_could_not_be_read_goes_on() {
    let (mut stage, group) = Stage::group([0; 3], &[CHI]);
    let (one, two) = (stage.invite(group, 86_400), stage.invite(group, 86_400));
    let join = |invite| Input::Command(Command::Join { invite, display_name: "Ben".into() });
    stage.give(BEN, join(one)).unwrap();
    stage.person(BEN).disk.trouble(Trouble { after: 0, times: 100, failed: 0 });
    stage.give(BEN, join(two)).unwrap_err();
    stage.settle_through();
    stage.person(BEN).disk.heal();
    for _ in 0..3 {
        stage.pass(60_000);
    }
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi"]);
}
