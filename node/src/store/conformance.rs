//! What every store must do, run against a plain map.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kinfold_protocol::persist::{Key, Rows, Table, Value, WriteBatch};
use kinfold_protocol::time::Time;
use proptest::prelude::*;

use super::{Store, StoreError};

/// One step of a test.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Commit(Vec<Put>, bool),
    Advance(u64),
    Reopen,
    Tick,
}

/// One row of a batch: which, how long (none deletes), and how many milliseconds it lives, if it dies.
#[derive(Clone, Debug)]
pub(super) struct Put {
    row: u8,
    len: Option<usize>,
    lives_ms: Option<u64>,
    fill: u8,
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![4 => 0..300_usize, 2 => 6_800..7_000_usize, 1 => 7_000..60_000_usize];
    let put = (0..12_u8, prop::option::weighted(0.8, len), prop::option::weighted(0.4, 0..5_000_u64), any::<u8>());
    let put = put.prop_map(|(row, len, lives_ms, fill)| Put { row, len, lives_ms, fill });
    let step = prop_oneof![
        8 => (prop::collection::vec(put, 1..6), any::<bool>()).prop_map(|(puts, urgent)| Step::Commit(puts, urgent)),
        2 => (0..3_000_u64).prop_map(Step::Advance),
        1 => Just(Step::Reopen),
        2 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 1..most)
}

/// Rows of several tables, some with the same name, of both classes.
pub(super) fn key(row: u8) -> Key {
    let table = [Table::Line, Table::Mls, Table::Device][usize::from(row % 3)];
    Key { table, name: if row < 3 { Vec::new() } else { vec![row / 3; usize::from(row)] } }
}

pub(super) fn put(store: &mut dyn Store, key: &Key, value: Value) -> Result<(), StoreError> {
    commit(store, [(key.clone(), Some(value))], false)
}

pub(super) fn commit(
    store: &mut dyn Store,
    rows: impl IntoIterator<Item = (Key, Option<Value>)>,
    urgent: bool,
) -> Result<(), StoreError> {
    store.commit(&WriteBatch { rows: rows.into_iter().collect(), urgent })
}

/// All that a reader shows.
pub(super) fn contents(reader: &dyn Rows) -> BTreeMap<Key, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut twice = false;
    reader.scan(&mut |key, bytes| twice |= found.insert(key.clone(), bytes.to_vec()).is_some()).unwrap();
    assert!(!twice, "a row was shown twice");
    found
}

/// Runs steps on a store that `open` opens again and again, and compares after each.
pub(super) fn conform(steps: Vec<Step>, mut open: impl FnMut() -> Box<dyn Store>) {
    let mut model: BTreeMap<Key, (Vec<u8>, Option<Time>)> = BTreeMap::new();
    let mut now = Time::from_ms(1_000_000);
    let mut store = open();
    store.set_now(now);
    for step in steps {
        let seq = store.commit_seq();
        match step {
            Step::Commit(puts, urgent) => {
                let mut batch = WriteBatch { urgent, ..WriteBatch::default() };
                for Put { row, len, lives_ms, fill } in puts {
                    let dies = lives_ms.map(|ms| now + Duration::from_millis(ms));
                    let bytes = len.map(|len| vec![fill; len]);
                    let value = bytes.clone().map(|bytes| Value { bytes: bytes.into(), dies });
                    batch.rows.insert(key(row), value);
                    match bytes {
                        Some(bytes) => model.insert(key(row), (bytes, dies)),
                        None => model.remove(&key(row)),
                    };
                }
                store.commit(&batch).unwrap();
                assert_eq!(store.commit_seq(), seq + 1);
            }
            Step::Advance(ms) => {
                now = now + Duration::from_millis(ms);
                store.set_now(now);
                store.set_now(Time::ZERO);
                assert_eq!(store.now(), now, "the clock went back");
            }
            Step::Reopen => {
                store.close().unwrap();
                store = open();
                assert_eq!(store.now(), now, "the clock was lost");
            }
            Step::Tick => store.tick(Instant::now()).unwrap(),
        }
        assert!(store.commit_seq() >= seq);
        let alive = |dies: Option<Time>| dies.is_none_or(|dies| now.secs() < dies.ms().div_ceil(1_000));
        let living: BTreeMap<_, _> = model
            .iter()
            .filter(|(_, (_, dies))| alive(*dies))
            .map(|(key, (bytes, _))| (key.clone(), bytes.clone()))
            .collect();
        let reader = store.reader();
        assert!(contents(&*reader) == living, "scan and model differ");
        for row in 0..12 {
            let found = reader.get(&key(row)).unwrap().map(|bytes| bytes.to_vec());
            assert!(found.as_ref() == living.get(&key(row)), "row {row} and model differ");
        }
    }
}

/// A row dies with the second that its moment rounds up to, is never revived, and one born dead is not kept.
pub(super) fn deaths_are_final(mut open: impl FnMut() -> Box<dyn Store>) {
    let mut store = open();
    store.set_now(Time::from_ms(10_000));
    put(&mut *store, &key(1), Value::dying(vec![1], Time::from_ms(12_001))).unwrap();
    put(&mut *store, &key(2), Value::dying(vec![2], Time::MAX)).unwrap();
    put(&mut *store, &key(3), Value::lasting(vec![3])).unwrap();
    put(&mut *store, &key(3), Value::dying(vec![4], Time::from_ms(10_000))).unwrap();
    put(&mut *store, &key(4), Value::dying(vec![5], Time::ZERO)).unwrap();
    let reader = store.reader();
    assert_eq!(contents(&*reader).keys().cloned().collect::<Vec<_>>().len(), 2);
    store.set_now(Time::from_ms(12_999));
    assert!(reader.get(&key(1)).unwrap().is_some());
    store.set_now(Time::from_ms(13_000));
    assert!(reader.get(&key(1)).unwrap().is_none(), "before any tick");
    assert!(store.due().unwrap() <= store.now());
    store.tick(Instant::now()).unwrap();
    // Dropped, not closed: what the tick destroyed stays so.
    drop((store, reader));
    let mut store = open();
    store.set_now(Time::from_ms(1));
    let reader = store.reader();
    assert!(reader.get(&key(1)).unwrap().is_none());
    assert!(reader.get(&key(2)).unwrap().is_some());
    assert!(reader.get(&key(3)).unwrap().is_none());
}

/// A clock that was wrong is set back: what it has killed stays dead, and what is left dies by the clock that is right.
pub(super) fn a_clock_set_back_revives_nothing(mut open: impl FnMut() -> Box<dyn Store>) {
    let mut store = open();
    store.set_now(Time::from_ms(10_000));
    for (row, dies) in [(1, 15_000), (2, 19_000), (3, 30_000)] {
        put(&mut *store, &key(row), Value::dying(vec![row], Time::from_ms(dies))).unwrap();
    }
    let reader = store.reader();
    let alive = || contents(&*reader).into_values().map(|bytes| bytes[0]).collect::<BTreeSet<_>>();
    store.set_now(Time::from_ms(16_000));
    store.tick(Instant::now()).unwrap();
    // Dead, but not swept.
    store.set_now(Time::from_ms(20_000));
    put(&mut *store, &key(4), Value::dying(vec![4], Time::from_ms(21_000))).unwrap();
    assert_eq!(alive(), BTreeSet::from([3, 4]));
    store.restart_clock(Time::from_ms(12_000));
    assert_eq!((store.now(), alive()), (Time::from_ms(12_000), BTreeSet::from([3, 4])));
    assert!((1..=2).all(|row| reader.get(&key(row)).unwrap().is_none()));
    // Long dead by the wrong clock.
    put(&mut *store, &key(5), Value::dying(vec![5], Time::from_ms(14_000))).unwrap();
    store.tick(Instant::now()).unwrap();
    assert_eq!(alive(), BTreeSet::from([3, 4, 5]));
    assert!(store.due().unwrap() <= Time::from_ms(14_000));
    for (ms, left) in [(13_999, vec![3, 4, 5]), (14_000, vec![3, 4]), (20_999, vec![3, 4]), (21_000, vec![3])] {
        store.set_now(Time::from_ms(ms));
        store.tick(Instant::now()).unwrap();
        assert_eq!(alive(), left.into_iter().collect(), "at {ms}");
    }
    store.restart_clock(Time::from_ms(18_000));
    store.close().unwrap();
    let mut store = open();
    assert_eq!(store.now(), Time::from_ms(18_000), "the wrong clock came back");
    let reader = store.reader();
    assert!([1, 2, 4, 5].iter().all(|row| reader.get(&key(*row)).unwrap().is_none()));
    assert!(reader.get(&key(3)).unwrap().is_some());
    store.set_now(Time::from_ms(30_000));
    assert!(reader.get(&key(3)).unwrap().is_none());
}

/// A reader may read inside its own scan, and one that outlives the store reads nothing.
pub(super) fn readers_end_with_the_store(store: Box<dyn Store>) {
    let mut store = store;
    put(&mut *store, &key(1), Value::lasting(vec![1])).unwrap();
    let reader = store.reader();
    let mut seen = None;
    reader.scan(&mut |key, _| seen = reader.get(key).unwrap()).unwrap();
    assert_eq!(seen.unwrap()[..], [1]);
    store.close().unwrap();
    assert!(reader.get(&key(1)).is_err());
    assert!(reader.scan(&mut |_, _| ()).is_err());
}
