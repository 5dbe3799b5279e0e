//! What one received message costs in the protocol alone, with every member active, beside OpenMLS alone.

use std::time::Duration;

use kinfold_protocol::step::{Input, Outcome};
use kinfold_tests::stage::{BEN, Stage};

use crate::machine::cpu_of_this_thread;
use crate::raw_mls;
use crate::table::{Table, micros, ratio};

/// Members of the groups: the largest is the largest that Kinfold has.
const SIZES: [usize; 4] = [3, 20, 50, 150];
/// Messages of one measurement: some 20 of each member in the largest group.
const MESSAGES: usize = 3_200;
/// Inputs that share a durable write: a round of the node.
const BATCH: usize = 64;
/// 256 bytes, as in every measurement here.
pub(crate) const TEXT: &str = "How are you today? I slept better than on Sunday, the new tablets help a little, and my \
    sister comes by in the afternoon. The doctor says to drink more and to walk a few steps every day. Tell me how it went \
    at the hospital, if you feel like it. I think of you, take it slow";

/// The table.
pub(crate) fn run() -> String {
    let mut table = Table::new(&["members", "one by one", "in rounds of 64", "OpenMLS alone", "rounds / alone"]);
    let mut batched = Vec::new();
    for size in SIZES {
        let (single, round) = ours(size);
        let alone = raw_mls::received(size, MESSAGES);
        table.row(&[size.to_string(), micros(single), micros(round), micros(alone), ratio(round, alone)]);
        batched.push(round);
    }
    let [least, .., most] = batched.as_slice() else { unreachable!("there are several sizes") };
    format!("{table}\nIn rounds, 150 members cost {} of 3.\n", ratio(*most, *least))
}

/// One by one, and in rounds.
fn ours(size: usize) -> (Duration, Duration) {
    let (mut stage, _) = Stage::star(size);
    stage.hold = true;
    let mut measure = |messages, round| {
        let from = stage.published.len();
        talk(&mut stage, messages);
        receive(&mut stage, from, round)
    };
    // Everybody has spoken, so that OpenMLS keeps a ratchet of each.
    measure(size, 1);
    (measure(MESSAGES, 1), measure(MESSAGES, BATCH))
}

/// Everybody but Ben says something in turn; nobody hears it.
fn talk(stage: &mut Stage, messages: usize) {
    let others: Vec<usize> = (0..stage.people.len()).filter(|who| *who != BEN).collect();
    for who in others.iter().cycle().take(messages) {
        stage.say(*who, TEXT);
    }
}

/// Ben hears what was published from there on; the mean processor time of a message, the disk in memory.
fn receive(stage: &mut Stage, from: usize, round: usize) -> Duration {
    let (net, now) = (stage.net(BEN), stage.clock(BEN));
    let heard = stage.published.iter().skip(from).filter(|sent| sent.by != BEN);
    let heard: Vec<_> = heard.map(|sent| Input::Gossip { net, link: None, bytes: sent.bytes.clone() }).collect();
    let person = stage.person(BEN);
    let count = heard.len();
    let begin = cpu_of_this_thread();
    let mut inputs = heard.into_iter().peekable();
    while inputs.peek().is_some() {
        for input in inputs.by_ref().take(round) {
            let output = person.client.handle(input, now).expect("bytes of a peer are no error");
            assert!(matches!(output.outcome, Outcome::Applied(_)), "{:?}", output.outcome);
            person.disk.stage(output.batch);
        }
        person.disk.flush();
        person.client.durable();
    }
    (cpu_of_this_thread() - begin) / u32::try_from(count).expect("few")
}
