//! Two commits on one parent, and inputs that fail in the middle of a round.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::error::Error;
use kinfold_protocol::id::{GroupId, LinkId};
use kinfold_protocol::persist::{Key, ReadError, Value};
use kinfold_protocol::step::{Command, Input, Outcome, Reply, Standing, Transmit};
use kinfold_tests::disk::Trouble;
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

/// What a second device on a copy of Ana's rows commits after Ana has changed the rules, and the group has voted for that.
fn rival(of: impl Fn(&Stage, GroupId) -> Command) -> (Stage, Vec<Vec<u8>>) {
    let (mut stage, group) = Stage::three();
    stage.say(ANA, "before");
    let (copy, seed, now) = (stage.person(ANA).disk.copy(), stage.seed(), stage.clock(ANA));
    let command = of(&stage, group);
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(86_400) });
    stage.pass(10_000);
    let (mut twin, _) = Client::open_seeded(Box::new(copy), seed, now).unwrap();
    let output = twin.handle(Input::Command(command), now).unwrap();
    let publish = |transmit| if let Transmit::Publish { bytes, .. } = transmit { Some(bytes) } else { None };
    (stage, output.transmits.into_iter().filter_map(publish).collect())
}

/// PROTOCOL H1: more than half stand by the first. The rules of both have one number, so that the other ones are spent.
#[test]
fn a_rival_change_of_the_rules_moves_nobody_who_has_voted() {
    let (mut stage, published) =
        rival(|_, group| Command::SetRetention { group, retention: Duration::from_secs(3 * 86_400) });
    let seen = |stage: &mut Stage| (stage.view(BEN), stage.names(BEN), stage.lines(BEN));
    let before = seen(&mut stage);
    assert_eq!(before.0.retention, Duration::from_secs(86_400));
    assert_eq!(stage.gossip(BEN, &published[0]), Outcome::Applied(Reply::Done));
    assert_eq!(stage.gossip(BEN, &published[0]), Outcome::Duplicate);
    // The link beside it is only the shape of the history.
    assert_eq!(stage.gossip(BEN, &published[1]), Outcome::Applied(Reply::Done));
    assert!(seen(&mut stage) == before);
    stage.pass(30_000);
    stage.say(ANA, "after");
    stage.say(BEN, "heard");
    stage.restart(BEN);
    stage.pass(30_000);
    stage.say(CHI, "all of it");
    for who in [ANA, BEN, CHI] {
        assert_eq!(stage.texts(who), ["before", "after", "heard", "all of it"]);
        assert_eq!(stage.names(who), ["Ana", "Ben", "Chi"]);
        assert_eq!(stage.view(who).retention, Duration::from_secs(86_400));
    }
}

/// PROTOCOL O3, H1: its branch is not taken, but what Ana's key has signed is carried out all the same.
#[test]
fn a_rival_removal_takes_its_member_out_of_the_branch_that_stands() {
    let (mut stage, published) = rival(|stage, group| Command::Remove { group, member: stage.member(BEN) });
    assert_eq!(stage.gossip(CHI, &published[0]), Outcome::Applied(Reply::Done));
    stage.pass(30_000);
    assert_eq!(stage.view(BEN).standing, Standing::Removed);
    stage.say(CHI, "still here");
    stage.pass(5_000);
    for who in [ANA, CHI] {
        assert_eq!(stage.names(who), ["Ana", "Chi"]);
        assert_eq!(stage.view(who).retention, Duration::from_secs(86_400));
        assert_eq!(stage.texts(who), ["before", "still here"]);
    }
    assert_eq!(stage.texts(BEN), ["before"]);
}

/// What goes wrong in a round.
#[derive(Clone, Copy, Debug)]
enum Bad {
    EmptyText,
    UnknownGroup,
    NotFacilitator,
    GarbageFrame,
    UnknownLink,
    GarbageGossip,
    FlippedEnvelope,
}

impl Bad {
    const ALL: [Self; 7] = [
        Self::EmptyText,
        Self::UnknownGroup,
        Self::NotFacilitator,
        Self::GarbageFrame,
        Self::UnknownLink,
        Self::GarbageGossip,
        Self::FlippedEnvelope,
    ];

    fn input(self, stage: &Stage, group: GroupId, sample: &[u8]) -> Input {
        let send = |group, text: &str| {
            Input::Command(Command::Send { group, text: Zeroizing::new(text.into()), expires: None })
        };
        let gossip = |bytes| Input::Gossip { net: stage.net(BEN), link: None, bytes };
        match self {
            Self::EmptyText => send(group, " "),
            Self::UnknownGroup => send(GroupId::from_bytes([9; 16]), "words"),
            Self::NotFacilitator => Input::Command(Command::Invite { group, valid: Duration::from_secs(60) }),
            Self::GarbageFrame => Input::Frame { link: stage.link(BEN, CHI), bytes: vec![7; 100] },
            Self::UnknownLink => Input::Frame { link: LinkId(u64::MAX), bytes: vec![7; 100] },
            Self::GarbageGossip => gossip(vec![1; 512]),
            Self::FlippedEnvelope => {
                let mut bytes = sample.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                gossip(bytes)
            }
        }
    }

    fn fails(self, done: &Result<Outcome, Error>) -> bool {
        match self {
            Self::EmptyText => *done == Err(Error::BadText),
            Self::UnknownGroup => *done == Err(Error::UnknownGroup),
            Self::NotFacilitator => *done == Err(Error::NotFacilitator),
            _ => matches!(done, Ok(Outcome::Refused(_))),
        }
    }
}

/// Ben's rows after one round of 16 inputs, written at once, with something bad before one of them.
fn round(bad: Option<(usize, Bad)>) -> BTreeMap<Key, Value> {
    let (mut stage, group) = Stage::three();
    let from = stage.published.len();
    stage.hold = true;
    for n in 0..9 {
        stage.say(ANA, &format!("Ana {n}"));
    }
    stage.hold = false;
    let heard: Vec<_> = stage.published[from..].iter().map(|sent| sent.bytes.clone()).collect();
    let mut transmits = Vec::new();
    for n in 0..16 {
        let input = if n % 2 == 0 {
            Input::Gossip { net: stage.net(BEN), link: None, bytes: heard[n / 2].clone() }
        } else {
            Input::Command(Command::Send { group, text: Zeroizing::new(format!("Ben {n}")), expires: None })
        };
        let now = stage.clock(BEN);
        if let Some((_, bad)) = bad.filter(|(at, _)| *at == n) {
            let input = bad.input(&stage, group, &heard[8]);
            let done = stage.person(BEN).client.handle(input, now);
            let outcome = done.map(|output| {
                stage.person(BEN).disk.stage(output.batch);
                output.outcome
            });
            assert!(bad.fails(&outcome), "{bad:?} at {n}: {outcome:?}");
        }
        let output = stage.person(BEN).client.handle(input, now).unwrap();
        assert!(matches!(output.outcome, Outcome::Applied(_)));
        stage.person(BEN).disk.stage(output.batch);
        transmits.push((output.transmits, output.events));
    }
    stage.person(BEN).disk.flush();
    stage.person(BEN).client.durable();
    let rows = stage.person(BEN).disk.rows();
    for (transmits, events) in transmits {
        stage.carry_out(BEN, transmits, events);
    }
    stage.pass(10_000);
    stage.say(BEN, "goes on");
    stage.pass(10_000);
    let texts = stage.texts(BEN);
    assert_eq!((texts.len(), texts.last().unwrap().as_str()), (18, "goes on"));
    assert_eq!(stage.texts(ANA), texts);
    rows
}

/// PROTOCOL G1.
#[test]
fn an_input_that_fails_anywhere_in_a_round_leaves_no_mark_on_the_rows() {
    let right = round(None);
    for bad in Bad::ALL {
        for at in 0..16 {
            assert!(round(Some((at, bad))) == right, "{bad:?} at {at}");
        }
    }
}

/// Sixty-four inputs written at once, of which Ben says every other; before one of them his disk fails him, so that his
/// memory is built again in the middle. Says what everybody shows then.
fn round_with_read_error(at: usize) {
    let (mut stage, group) = Stage::three();
    let (from, now) = (stage.published.len(), stage.clock(BEN));
    stage.hold = true;
    for n in 0..32 {
        stage.say(ANA, &format!("Ana {n}"));
    }
    stage.hold = false;
    let heard: Vec<_> = stage.published[from..].iter().map(|sent| sent.bytes.clone()).collect();
    let (net, mut produced) = (stage.net(BEN), Vec::new());
    for n in 0..64 {
        if n == at {
            stage.person(BEN).disk.trouble(Trouble { after: 0, times: 1, failed: 0 });
            let forget = Input::Command(Command::Forget { net });
            assert_eq!(stage.person(BEN).client.handle(forget, now).unwrap_err(), Error::Read(ReadError));
            assert_eq!(stage.person(BEN).disk.heal().unwrap().failed, 1);
        }
        let input = if n % 2 == 0 {
            Input::Gossip { net, link: None, bytes: heard[n / 2].clone() }
        } else {
            Input::Command(Command::Send { group, text: Zeroizing::new(format!("Ben {n}")), expires: None })
        };
        let output = stage.person(BEN).client.handle(input, now).unwrap();
        assert!(matches!(output.outcome, Outcome::Applied(_)), "{n} of {at}");
        stage.person(BEN).disk.stage(output.batch);
        produced.push((output.transmits, output.events));
    }
    stage.person(BEN).disk.flush();
    stage.person(BEN).client.durable();
    for (transmits, events) in produced {
        stage.carry_out(BEN, transmits, events);
    }
    stage.pass(120_000);
    stage.say(BEN, "goes on");
    stage.pass(120_000);
    let texts = stage.texts(BEN);
    let once: BTreeSet<_> = texts.iter().cloned().collect();
    assert_eq!((texts.len(), once.len(), texts.last().unwrap().as_str()), (65, 65, "goes on"), "{at}");
    // A key that was used twice opens one of its two messages and never the other.
    assert_eq!((stage.texts(ANA), stage.texts(CHI)), (texts.clone(), texts), "{at}");
}

/// PROTOCOL G1.
#[test]
fn memory_built_again_in_the_middle_of_a_round_forgets_nothing_of_the_round() {
    for at in [0, 1, 2, 31, 32, 47, 62, 63] {
        round_with_read_error(at);
    }
}
