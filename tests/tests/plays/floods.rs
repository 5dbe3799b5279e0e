//! What one peer may cost the others.

use kinfold_protocol::error::{Refusal, Why};
use kinfold_protocol::limits::{WAITING_BY_PEER_MAX, WAITING_MAX};
use kinfold_protocol::step::{Input, Outcome};

use crate::stage::{ANA, BEN, CHI, Stage};

/// Where the nonce of an envelope begins (docs/wire.md).
const NONCE: usize = 22;

/// PROTOCOL M5, M6: a peer that brings envelopes under tags that nobody knows fills its own share, and no more.
#[test]
fn a_peer_that_floods_unknown_tags_leaves_room_for_the_others() {
    let (mut stage, _) = Stage::three();
    stage.say(ANA, "sample");
    let sample = stage.published.last().unwrap().bytes.clone();
    let mut number = 0_u64;
    let mut bring = |stage: &mut Stage, by: usize| {
        number += 1;
        let mut bytes = sample.clone();
        bytes[NONCE..NONCE + 8].copy_from_slice(&number.to_be_bytes());
        let link = Some(stage.link(ANA, by));
        let now = stage.clock(ANA);
        let net = stage.net(ANA);
        let output = stage.person(ANA).client.handle(Input::Gossip { net, link, bytes }, now).unwrap();
        stage.make_true(ANA, output)
    };
    for _ in 0..WAITING_BY_PEER_MAX {
        assert_eq!(bring(&mut stage, BEN), Outcome::Parked(Why::UnknownEpoch));
    }
    assert_eq!(bring(&mut stage, BEN), Outcome::Refused(Refusal::NoRoom));
    assert_eq!(bring(&mut stage, CHI), Outcome::Parked(Why::UnknownEpoch));
    const { assert!(2 * WAITING_BY_PEER_MAX < WAITING_MAX) };
    // What can be opened has a budget of its own.
    stage.say(BEN, "still here");
    stage.pass(2_000);
    assert_eq!(stage.texts(ANA), ["sample", "still here"]);
}
