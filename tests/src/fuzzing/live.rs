//! Inputs of every kind against a client that lives: from a stranger, from the network, from a member with a changed
//! program, and from the person. What is refused changes nothing, and what the others say afterwards is still heard.

#![expect(clippy::unwrap_used, reason = "for tests, which fail by panicking")]

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use kinfold_protocol::fuzz::{Reach, Seal};
use kinfold_protocol::id::{LinkId, MsgId, NetId};
use kinfold_protocol::persist::{Key, Table, Value};
use kinfold_protocol::step::{Command, Input, Line, Outcome};
use kinfold_protocol::view::{GroupView, InviteView, OutboxView};
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::stage::{ANA, BEN, CHI, Sent, Stage};

/// Inputs of one run: room for a few that must come in order.
const INPUTS_MAX: usize = 16;
/// Of a byte's worth of time, so that the longest passes every timer but those of days.
const STEP_MS: u64 = 10_000;
/// What changes with a message that MLS opens and the rules refuse: its key is gone, and its id is known.
const SPENT: [Table; 3] = [Table::Device, Table::Mls, Table::Tombstone];
/// What changes with words that were heard before, in another envelope: that one is known too, and kept for others.
const AGAIN: [Table; 4] = [Table::Device, Table::Envelope, Table::Mls, Table::Tombstone];

/// A group of three that has talked, as it stands on their disks, and every envelope of it.
struct Before {
    disks: Vec<Disk>,
    published: Vec<Vec<u8>>,
}

fn before() -> &'static Before {
    static BEFORE: OnceLock<Before> = OnceLock::new();
    BEFORE.get_or_init(|| {
        let (mut stage, _) = Stage::three();
        for who in [ANA, BEN, CHI] {
            stage.say(who, "good morning");
        }
        stage.pass(5_000);
        let disks = stage.people.iter().map(|person| person.disk.copy()).collect();
        Before { disks, published: stage.published.into_iter().map(|sent| sent.bytes).collect() }
    })
}

/// Each input is a kind, a length and so many bytes. Gossip comes only when an input brings it.
pub(super) fn inputs(bytes: &[u8], reach: Reach<'_>) {
    let mut stage = Stage::over(&before().disks);
    stage.published = before().published.iter().map(|bytes| Sent { by: ANA, bytes: bytes.clone() }).collect();
    stage.hold = true;
    let mut rest = bytes;
    for _ in 0..INPUTS_MAX {
        let Some(([kind, high, low], after)) = rest.split_first_chunk::<3>() else { break };
        let (data, after) = after.split_at(after.len().min(u16::from_be_bytes([*high, *low]).into()));
        rest = after;
        if let Some(input) = made(&mut stage, *kind, data) {
            give(&mut stage, input, reach);
        }
    }
    still_lives(&mut stage);
}

/// What an input is. Others act at once, and nothing is carried until time passes.
fn made(stage: &mut Stage, kind: u8, data: &[u8]) -> Option<Input> {
    let net = stage.net(BEN);
    let gossip = |bytes| Input::Gossip { net, link: None, bytes };
    let link = stage.linked(BEN, CHI).then(|| stage.link(BEN, CHI));
    let first = data.first().copied();
    match kind {
        0 => forged(stage, Seal::Commit, data).map(gossip),
        1 => forged(stage, Seal::Content, data).map(gossip),
        2 => forged(stage, Seal::Control, data).map(gossip),
        3 => {
            let (link, now) = (link?, stage.clock(CHI));
            Some(Input::Frame { link, bytes: stage.person(CHI).client.forge_frame(link, data, now)? })
        }
        4 => Some(Input::Frame { link: link?, bytes: data.to_vec() }),
        5 => Some(gossip(data.to_vec())),
        6 => published(stage, data).map(gossip),
        7 => {
            let mut bytes = published(stage, data)?;
            let [_, high, low, flip] = *data.first_chunk()?;
            *bytes.get_mut(usize::from(u16::from_be_bytes([high, low])))? ^= flip;
            Some(gossip(bytes))
        }
        8 => {
            act(stage, first?);
            None
        }
        9 => command(stage, data).map(Input::Command),
        10 => Some(Input::Frame { link: LinkId(u64::MAX), bytes: data.to_vec() }),
        11 => Some(Input::Gossip { net: NetId(u64::MAX), link, bytes: data.to_vec() }),
        12 => Some(Input::Flooded { link: link? }),
        13 => {
            let (bytes, now) = (published(stage, data)?, stage.clock(CHI));
            stage.person(CHI).client.groups().first()?;
            stage.person(CHI).client.forge_again(bytes, data.get(1..)?, now).map(gossip)
        }
        14 => {
            let (plain, now) = (push(stage, data), stage.clock(CHI));
            Some(Input::Frame { link: link?, bytes: stage.person(CHI).client.forge_frame(link?, &plain, now)? })
        }
        _ => {
            stage.pass(u64::from(first?) * STEP_MS);
            None
        }
    }
}

fn forged(stage: &mut Stage, seal: Seal, data: &[u8]) -> Option<Vec<u8>> {
    let now = stage.clock(CHI);
    // Whoever has left has nothing to seal with.
    stage.person(CHI).client.groups().first()?;
    let (bytes, output) = stage.person(CHI).client.forge_envelope(seal, data, now);
    stage.make_true(CHI, output);
    bytes
}

/// One of the envelopes that anybody published, the latest first.
fn published(stage: &Stage, data: &[u8]) -> Option<Vec<u8>> {
    let back = usize::from(*data.first()?) % stage.published.len();
    stage.published.iter().rev().nth(back).map(|sent| sent.bytes.clone())
}

/// Envelopes that come together on a link (docs/wire.md, "Push"): each byte names one as above, spoilt from 128 on.
fn push(stage: &Stage, data: &[u8]) -> Vec<u8> {
    let mut message = minicbor::Encoder::new(Vec::new());
    message.array(2).unwrap().u8(4).unwrap().map(2).unwrap().u8(0).unwrap();
    message.array(data.len() as u64).unwrap();
    for which in data {
        let mut bytes = published(stage, &[which % 128]).unwrap();
        *bytes.last_mut().unwrap() ^= which / 128;
        message.bytes(&bytes).unwrap();
    }
    message.u8(1).unwrap().bool(false).unwrap();
    message.into_writer()
}

/// Somebody else says something, or changes the rules.
fn act(stage: &mut Stage, what: u8) {
    let group = stage.view(ANA).group;
    let text = || Zeroizing::new("and you?".to_owned());
    let (who, command) = match what {
        0 => (ANA, Command::Send { group, text: text(), expires: None }),
        1 => (CHI, Command::Send { group, text: text(), expires: Some(Duration::from_secs(60)) }),
        hours => (ANA, Command::SetRetention { group, retention: Duration::from_secs(u64::from(hours) * 3_600) }),
    };
    // Chi may have left, and rules may be what they were.
    drop(stage.give(who, Input::Command(command)));
}

/// What Ben asks for: what is allowed, and what is not.
fn command(stage: &Stage, data: &[u8]) -> Option<Command> {
    let (what, rest) = data.split_first()?;
    let group = stage.view(BEN).group;
    let text = || String::from_utf8_lossy(rest).into_owned();
    let secs = |bytes: &[u8]| bytes.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    Some(match what {
        0 => Command::Send { group, text: Zeroizing::new(text()), expires: None },
        1 => {
            let expires = Some(Duration::from_secs(secs(rest.get(..8)?)));
            Command::Send { group, text: Zeroizing::new("soon gone".into()), expires }
        }
        2 => Command::Remove { group, member: stage.member(ANA) },
        3 => Command::SetRetention { group, retention: Duration::from_secs(secs(rest.get(..8)?)) },
        4 => Command::Join { invite: Zeroizing::new(text()), display_name: "Ben".into() },
        5 => Command::MarkRead { group, upto: data.get(1).copied().map(u64::from) },
        6 => Command::Verify { group, member: stage.member(ANA), verified: rest.first()? % 2 == 1 },
        7 => Command::Drop { group, id: MsgId::from_bytes(*rest.first_chunk()?) },
        8 => Command::Release { group, id: MsgId::from_bytes(*rest.first_chunk()?) },
        9 => Command::CreateGroup { name: text(), display_name: String::new() },
        _ => Command::Invite { group, valid: Duration::from_secs(secs(rest.get(..8)?)) },
    })
}

/// Whatever is refused leaves every row as it was, unless its key is spent; and nothing that takes no effect is seen.
fn give(stage: &mut Stage, input: Input, reach: Reach<'_>) {
    let way = match &input {
        Input::Command(_) => "command",
        Input::Frame { .. } => "frame",
        Input::Gossip { .. } => "gossip",
        _ => "other",
    };
    let now = stage.clock(BEN);
    let (rows, seen) = (stage.person(BEN).disk.rows(), seen(stage));
    let may: &[Table] = match stage.person(BEN).client.handle(input, now) {
        Ok(output) => {
            let spent = output.batch.rows.keys().any(|key| key.table == Table::Mls);
            let outcome = stage.make_true(BEN, output);
            reach(&format!("{way} {}", said(&outcome)));
            if stage.view(BEN).retention != seen.0.retention {
                reach("new rules");
            }
            match outcome {
                Outcome::Applied(_) | Outcome::Parked(_) => return,
                Outcome::Duplicate => &AGAIN,
                Outcome::Refused(_) if spent => {
                    reach("spent");
                    &SPENT
                }
                Outcome::Refused(_) => &[],
            }
        }
        Err(error) => {
            assert_eq!(way, "command", "bytes of a peer are no error");
            reach(&format!("error {error}"));
            &[]
        }
    };
    let changed = changed(&rows, &stage.person(BEN).disk.rows());
    assert!(changed.iter().all(|table| may.contains(table)), "what took no effect has changed {changed:?}");
    assert_eq!(self::seen(stage), seen, "what took no effect is seen");
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied(_) => "applied".into(),
        Outcome::Duplicate => "duplicate".into(),
        Outcome::Parked(why) => format!("parked {why}"),
        Outcome::Refused(refusal) => format!("refused {refusal}"),
    }
}

/// The tables in which two disks differ.
fn changed(before: &BTreeMap<Key, Value>, after: &BTreeMap<Key, Value>) -> Vec<Table> {
    let keys = before.keys().chain(after.keys());
    keys.filter(|key| before.get(key) != after.get(key)).map(|key| key.table).collect()
}

type Seen = (GroupView, Vec<Line>, Vec<OutboxView>, Vec<InviteView>);

/// What Ben sees of his group, but for who is connected: a link may end over what was refused.
fn seen(stage: &mut Stage) -> Seen {
    let view = GroupView { connected: 0, ..stage.view(BEN) };
    let (lines, now) = (stage.lines(BEN), stage.clock(BEN));
    let client = &mut stage.person(BEN).client;
    let outbox = client.outbox(view.group, now).expect("the rows can be read");
    let invites = client.invites(view.group, now).expect("the group is there");
    (view, lines, outbox, invites)
}

/// Ana is heard, and a restart finds what was there.
fn still_lives(stage: &mut Stage) {
    stage.hold = false;
    stage.say(ANA, "still here");
    stage.pass(60_000);
    let texts = stage.texts(BEN);
    assert!(texts.iter().any(|text| text == "still here"), "deaf");
    stage.restart(BEN);
    assert_eq!(stage.texts(BEN), texts, "a restart finds something else");
}
