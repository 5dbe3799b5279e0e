//! Devices whose steps the test makes, and what they have on their disks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::id::{GroupId, LinkId, Topic};
use kinfold_protocol::limits::EXPIRY_MIN;
use kinfold_protocol::persist::{Key, ReadError, Rows, Value as Stored, WriteBatch};
use kinfold_protocol::step::{Ends, Outcome, Output, Transmit};
use kinfold_protocol::time::Time;
use serde_json::json;

use super::super::wire::Wire;
use super::super::*;
use super::NAMES;

/// Rows in memory; clones are the same.
#[derive(Clone, Default)]
pub(super) struct Kept(pub(super) Arc<Mutex<BTreeMap<Key, Vec<u8>>>>);

impl Kept {
    pub(super) fn write(&self, batch: WriteBatch) {
        let mut rows = self.0.lock().unwrap();
        for (key, value) in batch.rows {
            match value {
                Some(value) => drop(rows.insert(key, value.bytes.to_vec())),
                None => drop(rows.remove(&key)),
            }
        }
    }

    pub(super) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }
}

impl Rows for Kept {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        Ok(self.0.lock().unwrap().get(key).cloned().map(Zeroizing::new))
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        let rows = self.0.lock().unwrap().clone();
        rows.iter().for_each(|(key, bytes)| visit(key, bytes));
        Ok(())
    }
}

/// The rows of five people in one group.
pub(super) async fn people() -> Vec<Kept> {
    let mut wire = Wire::new(5).await;
    let create = json!({ "name": "Circle", "display_name": "Ana" });
    wire.ask_and_carry(ANA, "group.create", &create).await.expect("a group");
    for (who, name) in NAMES.iter().enumerate().skip(1) {
        let invite = wire.ask_and_carry(ANA, "invite.create", &json!({ "group": "Circle" })).await.expect("an invite");
        let join = json!({ "invite": invite["invite"], "name": name });
        wire.ask_and_carry(who, "join", &join).await.expect("joins");
    }
    wire.say(ANA, "begin").await.expect("kept");
    // Right after somebody has come, words wait until the group stands still.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while (wire.said(1).await.is_empty() || wire.said(4).await.is_empty()) && std::time::Instant::now() < end {
        for who in 0..5 {
            wire.turn(who).await;
        }
        wire.carry().await;
    }
    let mut all = Vec::new();
    for who in 0..5 {
        assert_eq!(wire.said(who).await, ["begin"]);
        let disk = wire.people[who].disk.clone();
        disk.cut_power();
        let kept = Kept::default();
        let store = crate::store::MemoryStore::open(&disk).expect("opens");
        let mut batch = WriteBatch::default();
        let mut take = |key: &Key, bytes: &[u8]| {
            batch.rows.insert(key.clone(), Some(Stored::lasting(bytes.to_vec())));
        };
        store.reader().scan(&mut take).expect("reads");
        kept.write(batch);
        all.push(kept);
    }
    all
}

/// A device whose steps a test makes.
pub(super) struct ByHand {
    pub(super) client: Client,
    rows: Kept,
}

impl ByHand {
    pub(super) fn open(rows: Kept, now: Time) -> (Self, Vec<Transmit>) {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("entropy");
        let (client, output) = Client::open(Box::new(rows.clone()), seed, now).expect("opens");
        let mut device = Self { client, rows };
        let transmits = device.make_true(output).1;
        (device, transmits)
    }

    pub(super) fn give(&mut self, input: Input, now: Time) -> (Outcome, Vec<Transmit>) {
        let output = self.client.handle(input, now).expect("a step");
        self.make_true(output)
    }

    pub(super) fn make_true(&mut self, output: Output) -> (Outcome, Vec<Transmit>) {
        self.rows.write(output.batch);
        self.client.durable();
        (output.outcome, output.transmits)
    }
}

/// What Eve will say, sealed in advance by a copy of her device that is linked to a copy of Ana's. Its clock runs ten
/// times slower than she will talk, so that it keeps to its own pace; each message lives five seconds, so that none
/// waits for an answer.
pub(super) fn seal_in_advance(ana: &Kept, eve: &Kept, group: GroupId, count: usize) -> Vec<(Topic, Vec<u8>)> {
    let mut now = clock::wall() + Duration::from_secs(300);
    let (mut eve, opened) = ByHand::open(eve.fork(), now);
    let net = |transmits: &[Transmit]| {
        let open = transmits.iter().find_map(|transmit| match transmit {
            Transmit::Open { net, .. } => Some(*net),
            _ => None,
        });
        open.expect("a network")
    };
    let (mut ana, opened_too) = ByHand::open(ana.fork(), now);
    let link = LinkId(1);
    let ends = |local: u8| Ends { local: vec![local], remote: vec![1 - local] };
    let connected = |net, local| Input::Connected { net, link, ends: ends(local), address: None };
    let mut way: VecDeque<(bool, Input)> =
        [(true, connected(net(&opened), 0)), (false, connected(net(&opened_too), 1))].into();
    let mut admitted = false;
    while let Some((to_eve, input)) = way.pop_front() {
        let (_, transmits) = if to_eve { eve.give(input, now) } else { ana.give(input, now) };
        for transmit in transmits {
            match transmit {
                Transmit::Frame { bytes, .. } => way.push_back((!to_eve, Input::Frame { link, bytes })),
                Transmit::Admit { .. } => admitted |= to_eve,
                _ => {}
            }
        }
    }
    assert!(admitted, "they know each other");
    let mut sealed = Vec::new();
    // After each change of the group words wait for half a second: the last ones, too.
    for n in 0..count + 2_000 {
        let text = Zeroizing::new(format!("flood {n}"));
        let mut transmits = Vec::new();
        if n < count {
            transmits = eve.give(Input::Command(Command::Send { group, text, expires: Some(EXPIRY_MIN) }), now).1;
        }
        now = now + Duration::from_millis(2);
        if n % 50 == 49 {
            transmits.extend(eve.give(Input::Deadline, now).1);
        }
        sealed.extend(transmits.into_iter().filter_map(|transmit| match transmit {
            Transmit::Publish { topic, bytes, .. } => Some((topic, bytes)),
            _ => None,
        }));
    }
    assert!(sealed.len() >= count, "{} of {count}", sealed.len());
    sealed
}
