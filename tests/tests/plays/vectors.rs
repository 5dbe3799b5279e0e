//! A device from a recorded disk: what was stored and sealed once is read by every later program. Its rows, the labels of
//! the keys that it derives, and the names of its states are in here, which the vectors of single values cannot show.
//!
//! After a change that is meant, `BLESS=1 cargo test -p kinfold-tests --test plays vectors` records it anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinfold_protocol::Client;
use kinfold_protocol::id::NetId;
use kinfold_protocol::persist::{Key, Table, Value, WriteBatch};
use kinfold_protocol::step::{Command, Input, LineKind, Outcome, Reply};
use kinfold_protocol::time::Time;
use kinfold_tests::disk::Disk;
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

/// What Ben's device holds, what reaches it, and what it then must show.
#[derive(Debug, PartialEq, Eq)]
struct Recording {
    now: Time,
    net: NetId,
    rows: BTreeMap<Key, Option<Value>>,
    envelopes: Vec<Vec<u8>>,
    /// Names of the states that it knows in the end.
    epochs: Vec<Vec<u8>>,
    shows: Vec<String>,
}

#[test]
fn a_device_from_a_recorded_disk_follows_a_removal_and_reads_what_comes_after() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/device.txt");
    if std::env::var_os("BLESS").is_some() {
        bless(&path);
    }
    let recording = read(&std::fs::read_to_string(&path).unwrap());
    let disk = Disk::default();
    let store = |rows| {
        disk.stage(WriteBatch { rows, urgent: false });
        disk.flush();
    };
    store(recording.rows.clone());
    let (mut client, output) = Client::open_seeded(Box::new(disk.clone()), [1; 32], recording.now).unwrap();
    store(output.batch.rows);
    client.durable();
    for bytes in &recording.envelopes {
        let input = Input::Gossip { net: recording.net, link: None, bytes: bytes.clone() };
        let output = client.handle(input, recording.now).unwrap();
        assert_eq!(output.outcome, Outcome::Applied(Reply::Done));
        store(output.batch.rows);
        client.durable();
    }
    let group = client.groups()[0].group;
    let names: Vec<String> = client.members(group).unwrap().into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["Ana", "Ben"]);
    let lines = client.history(group, None, recording.now).unwrap();
    let shown: Vec<String> = lines.iter().map(|line| shown(&line.kind)).collect();
    assert_eq!(shown, recording.shows);
    assert_eq!(epochs(&disk), recording.epochs);
}

/// Plays it: Ben is away when Ana removes Chi and then says something.
fn record() -> Recording {
    let (mut stage, group) = Stage::three();
    stage.say(CHI, "before");
    stage.pass(3_000);
    stage.offline(BEN);
    let (rows, from, net) = (stage.person(BEN).disk.rows(), stage.published.len(), stage.net(BEN));
    let chi = stage.member(CHI);
    stage.ask(ANA, Command::Remove { group, member: chi });
    // Nobody is there to hear it: it is sealed when Ben is back.
    stage.say(ANA, "after");
    stage.online(BEN);
    let now = stage.clock(BEN);
    let shows = stage.lines(BEN).iter().map(|line| shown(&line.kind)).collect();
    Recording {
        now,
        net,
        rows: rows.into_iter().map(|(key, value)| (key, Some(value))).collect(),
        envelopes: stage.published[from..]
            .iter()
            .filter(|sent| sent.by == ANA)
            .map(|sent| sent.bytes.clone())
            .collect(),
        epochs: epochs(&stage.person(BEN).disk),
        shows,
    }
}

fn shown(kind: &LineKind) -> String {
    match kind {
        LineKind::Joined(name) => format!("{name} came"),
        LineKind::Left(name) => format!("{name} left"),
        LineKind::Removed(name) => format!("{name} was removed"),
        LineKind::Back(name) => format!("{name} is back"),
        LineKind::Appointed(name) => format!("appointed {name}"),
        LineKind::Dismissed(name) => format!("dismissed {name}"),
        LineKind::Retention(life) => format!("messages live {} s", life.as_secs()),
        LineKind::Text(text) => format!("text {}", **text),
    }
}

/// The names of the states, without the net id, which is this device's own.
fn epochs(disk: &Disk) -> Vec<Vec<u8>> {
    let named = disk.rows().into_keys().filter(|key| key.table == Table::Epoch && key.name.len() == 40);
    named.map(|key| key.name[8..].to_vec()).collect()
}

fn bless(path: &PathBuf) {
    let recording = record();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut text = format!("now: {}\nnet: {}\n", recording.now.ms(), recording.net.0);
    for (key, value) in &recording.rows {
        let value = value.as_ref().unwrap();
        let dies = value.dies.map_or("never".to_owned(), |dies| dies.ms().to_string());
        text += &format!("row: {} {} {dies} {}\n", key.table as u8, hex(&key.name), hex(&value.bytes));
    }
    for (name, list) in [("envelope", &recording.envelopes), ("epoch", &recording.epochs)] {
        text.extend(list.iter().map(|bytes| format!("{name}: {}\n", hex(bytes))));
    }
    text.extend(recording.shows.iter().map(|line| format!("shows: {line}\n")));
    assert_eq!(read(&text), recording);
    std::fs::write(path, text).unwrap();
}

fn read(text: &str) -> Recording {
    let of = |name: &str| -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    };
    let number = |name: &str| of(name)[0].parse::<u64>().unwrap();
    let row = |line: &str| {
        let [table, name, dies, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("not a row: {line}") };
        let table = Table::from_number(table.parse().unwrap()).unwrap();
        let dies = (dies != "never").then(|| Time::from_ms(dies.parse().unwrap()));
        (Key { table, name: bytes(name) }, Some(Value { bytes: Zeroizing::new(bytes(value)), dies }))
    };
    Recording {
        now: Time::from_ms(number("now")),
        net: NetId(number("net")),
        rows: of("row").into_iter().map(row).collect(),
        envelopes: of("envelope").into_iter().map(bytes).collect(),
        epochs: of("epoch").into_iter().map(bytes).collect(),
        shows: of("shows").into_iter().map(str::to_owned).collect(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |sign: &u8| char::from(*sign).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty());
    pairs.iter().map(|[high, low]| digit(high) << 4 | digit(low)).collect()
}
