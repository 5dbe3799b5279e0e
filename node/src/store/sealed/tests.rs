use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kinfold_protocol::persist::Value;
use tempfile::TempDir;

use super::super::conformance::{
    a_clock_set_back_revives_nothing, commit, conform, contents, deaths_are_final, key, put,
    readers_end_with_the_store, steps,
};
use super::state::{CHECK_EVERY, RING_WAIT_MAX};
use super::*;
use crate::vault::row::STORED_LEN_MAX;

mod damage;
mod full_disk;
mod rewrite;

const PASS: &[u8] = b"correct horse";

pub(super) fn cheap() -> KdfCost {
    KdfCost::new(8, 1, 1).unwrap()
}

pub(super) fn fresh() -> (TempDir, DataDir, SealedStore) {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::new(temp.path().join("kinfold"));
    let store = SealedStore::create(&dir, PASS, cheap()).unwrap();
    (temp, dir, store)
}

pub(super) fn open(dir: &DataDir) -> SealedStore {
    let store = SealedStore::open(dir, PASS).unwrap();
    // What a row is shows when it is read.
    contents(&*store.reader());
    assert!(store.report().is_clean(), "{:?}", store.report());
    store
}

/// Every file and folder below one.
pub(super) fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found
}

pub(super) fn database(dir: &DataDir) -> PathBuf {
    let is_database = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("db-");
    tree(dir.root()).into_iter().find(is_database).unwrap()
}

/// A barrier that counts, and runs `look` on the file first.
fn watching(look: impl Fn(&File) + Send + Sync + 'static) -> (Barrier, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let barrier = Arc::new(move |file: &File| {
        look(file);
        counted.fetch_add(1, Ordering::SeqCst);
        file.sync_data()
    });
    (barrier, count)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn it_does_what_a_map_does(steps in steps(24)) {
        let (_temp, dir, store) = fresh();
        drop(store);
        conform(steps, || Box::new(open(&dir)));
    }
}

#[test]
fn deaths_are_final_on_disk_too() {
    let (_temp, dir, store) = fresh();
    drop(store);
    deaths_are_final(|| Box::new(open(&dir)));
}

#[test]
fn a_clock_set_back_revives_nothing_on_disk() {
    let (_temp, dir, store) = fresh();
    drop(store);
    a_clock_set_back_revives_nothing(|| Box::new(open(&dir)));
}

#[test]
fn readers_end_with_a_store_on_disk() {
    readers_end_with_the_store(Box::new(fresh().2));
}

#[test]
fn nothing_that_was_written_can_be_read_in_any_file_or_file_name() {
    let (_temp, dir, mut store) = fresh();
    let canary = b"canary-7f3a";
    let name = Key { table: Table::Line, name: canary.to_vec() };
    for len in [1, 500, 50_000] {
        put(&mut store, &name, Value::lasting(canary.repeat(len))).unwrap();
    }
    Box::new(store).close().unwrap();
    assert_eq!(contents(&*open(&dir).reader()).len(), 1, "it is there");
    let mut searched = 0;
    for path in tree(dir.root()) {
        assert!(!path.to_string_lossy().contains("canary"));
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            searched += bytes.len();
            assert!(!bytes.windows(6).any(|window| window == &canary[..6]), "{}", path.display());
        }
    }
    assert!(searched > 500_000);
}

#[test]
fn every_file_and_folder_is_for_its_owner_alone() {
    let (_temp, dir, mut store) = fresh();
    for row in 0..12 {
        put(&mut store, &key(row), Value::lasting(vec![0; 60_000])).unwrap();
    }
    drop(store);
    let _store = open(&dir);
    let paths = tree(dir.root());
    assert!(paths.len() >= 7, "LOCK, keyring, ballast, and sled's own");
    for path in paths {
        let facts = fs::metadata(&path).unwrap();
        assert_eq!(facts.mode() & 0o777, if facts.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn one_folder_has_one_store() {
    let (_temp, dir, store) = fresh();
    assert!(matches!(SealedStore::open(&dir, PASS), Err(StoreError::InUse)));
    assert!(matches!(SealedStore::create(&dir, PASS, cheap()), Err(StoreError::InUse)));
    drop(store);
    assert!(matches!(SealedStore::create(&dir, PASS, cheap()), Err(StoreError::AlreadyExists)));
    open(&dir);
}

#[test]
fn a_wrong_passphrase_and_a_missing_keyring_are_named() {
    let (_temp, dir, store) = fresh();
    drop(store);
    assert!(matches!(SealedStore::open(&dir, b"wrong"), Err(StoreError::WrongPassphrase)));
    open(&dir);
    fs::remove_file(dir.keyring()).unwrap();
    assert!(matches!(SealedStore::open(&dir, PASS), Err(StoreError::KeyringMissing)));
    assert!(
        matches!(SealedStore::create(&dir, PASS, cheap()), Err(StoreError::KeyringMissing)),
        "not hidden by a new one"
    );
}

#[test]
fn a_creation_that_was_cut_short_can_be_repeated_or_finished() {
    let (_temp, dir, store) = fresh();
    drop(store);
    fs::remove_dir_all(database(&dir)).unwrap();
    // Opening stored the keyring again, but no commit ever was.
    open(&dir);
    assert!(matches!(SealedStore::create(&dir, PASS, cheap()), Err(StoreError::AlreadyExists)));
    fs::remove_dir_all(database(&dir)).unwrap();
    fs::remove_file(dir.keyring()).unwrap();
    fs::write(dir.unfinished_keyring(), b"cut").unwrap();
    drop(SealedStore::create(&dir, PASS, cheap()).unwrap());
    assert!(!dir.unfinished_keyring().exists());
    open(&dir);
}

#[test]
fn large_values_never_reach_sled_whole() {
    let (_temp, dir, mut store) = fresh();
    for round in 0..4 {
        let rows = (0..3).map(|row| (key(row), Some(Value::lasting(vec![round; 400_000]))));
        commit(&mut store, rows, false).unwrap();
    }
    put(&mut store, &key(1), Value::lasting(vec![9; 6_950])).unwrap();
    commit(&mut store, [(key(2), None)], true).unwrap();
    drop(store);
    assert_eq!(fs::read_dir(database(&dir).join("blobs")).unwrap().count(), 0);
    let store = open(&dir);
    assert_eq!(contents(&*store.reader()).into_values().map(|bytes| bytes.len()).collect::<Vec<_>>(), [6_950, 400_000]);
    drop(store);
    let sled = raw(&dir);
    let lens: Vec<_> = sled.iter().map(|row| row.unwrap().1.len()).collect();
    assert!(lens.iter().all(|len| *len <= STORED_LEN_MAX));
    // Counters, one row with 58 chunks, one with 2: chunks of replaced and deleted rows are gone.
    assert_eq!(lens.len(), 1 + 59 + 3);
}

#[test]
fn a_row_that_died_is_gone_from_the_database_under_its_own_name_and_those_of_its_chunks() {
    let (_temp, dir, mut store) = fresh();
    let death = store.now() + Duration::from_secs(10);
    put(&mut store, &key(0), Value::dying(vec![7; 30_000], death)).unwrap();
    put(&mut store, &key(3), Value::dying(vec![8; 30], death)).unwrap();
    put(&mut store, &key(1), Value::lasting(vec![9; 30_000])).unwrap();
    let names = |row| lock_core(&store.core).as_ref().unwrap().stored_names(&key(row));
    let (large, small, lasting) = (names(0), names(3), names(1));
    assert_eq!((large.len(), small.len(), lasting.len()), (6, 1, 6), "a head, and five chunks of a large row");
    let dying = [large, small].concat();
    let there = |dir: &DataDir, names: &[Name]| {
        let sled = raw(dir);
        names.iter().filter(|name| sled.contains_key(name).unwrap()).count()
    };
    Box::new(store).close().unwrap();
    assert_eq!((there(&dir, &dying), there(&dir, &lasting)), (7, 6), "the names are the real ones");

    let mut store = open(&dir);
    store.set_now(death);
    store.tick(Instant::now()).unwrap();
    // Without a close, which would sweep by itself.
    drop(store);
    assert_eq!((there(&dir, &dying), there(&dir, &lasting)), (0, 6));
}

#[test]
fn a_value_past_its_bound_is_refused_and_the_store_stays_open() {
    let (_temp, _dir, mut store) = fresh();
    let seq = store.commit_seq();
    let huge = Value::lasting(vec![0; crate::vault::row::VALUE_LEN_MAX + 1]);
    let rows = [(key(0), Some(Value::lasting(vec![1]))), (key(1), Some(huge))];
    assert!(matches!(commit(&mut store, rows, false), Err(StoreError::TooLarge)));
    assert!(contents(&*store.reader()).is_empty());
    assert_eq!(store.commit_seq(), seq);
    put(&mut store, &key(1), Value::lasting(vec![1])).unwrap();
}

/// Opens sled itself, without the vault.
pub(super) fn raw(dir: &DataDir) -> ::sled::Db {
    loop {
        match ::sled::Config::new().path(database(dir)).flush_every_ms(None).open() {
            Ok(db) => return db,
            // The handle just dropped lets go of its lock a little later.
            Err(err) => assert!(err.to_string().contains("lock"), "{err}"),
        }
    }
}

#[test]
fn each_commit_passes_the_disk_barrier_before_the_keyring_changes() {
    let (_temp, dir, store) = fresh();
    drop(store);
    let (keyring, db) = (dir.keyring(), database(&dir).join("db"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (record, ring) = (Arc::clone(&seen), keyring.clone());
    let (barrier, count) = watching(move |file| {
        let mut whole = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut whole, 0).unwrap();
        record.lock().unwrap().push((whole, fs::read(&ring).unwrap()));
    });
    let mut store = SealedStore::open_with(&dir, PASS, barrier).unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1, "once at opening");
    for urgent in [true, false, true] {
        let before = (fs::read(&db).unwrap(), fs::read(&keyring).unwrap());
        let barriers = count.load(Ordering::SeqCst);
        commit(&mut store, [(key(1), Some(Value::lasting(vec![1])))], urgent).unwrap();
        assert_eq!(count.load(Ordering::SeqCst), barriers + 1);
        let (db_then, keyring_then) = seen.lock().unwrap().last().unwrap().clone();
        assert!(db_then != before.0, "sled had not written yet");
        assert!(db_then == fs::read(&db).unwrap(), "sled wrote after the barrier");
        assert!(keyring_then == before.1, "the keyring was first");
        assert_eq!(fs::read(&keyring).unwrap() != before.1, urgent);
    }
}

/// Whatever the store's clock says: it stands still while the wall clock is not believed.
#[test]
fn a_commit_that_is_not_urgent_stores_the_keyring_within_a_second() {
    let (_temp, dir, mut store) = fresh();
    let before = fs::read(dir.keyring()).unwrap();
    let begin = Instant::now();
    put(&mut store, &key(1), Value::lasting(vec![1])).unwrap();
    let due = store.chores().unwrap();
    assert!(due >= begin + RING_WAIT_MAX && due <= Instant::now() + RING_WAIT_MAX);
    put(&mut store, &key(2), Value::lasting(vec![2])).unwrap();
    assert_eq!(store.chores(), Some(due), "counted from the first commit");
    store.tick(due - Duration::from_millis(1)).unwrap();
    assert!(fs::read(dir.keyring()).unwrap() == before, "not yet");
    store.tick(due).unwrap();
    assert!(fs::read(dir.keyring()).unwrap() != before);
    assert!(store.chores().unwrap() > due + RING_WAIT_MAX, "then the folder is looked at, and not soon");
}

#[test]
fn a_failed_barrier_closes_the_store_and_the_next_open_tells_what_survived() {
    let (_temp, dir, store) = fresh();
    drop(store);
    let fail = Arc::new(AtomicUsize::new(0));
    let failing = Arc::clone(&fail);
    let barrier: Barrier = Arc::new(move |file: &File| match failing.load(Ordering::SeqCst) {
        0 => file.sync_data(),
        _ => Err(std::io::ErrorKind::StorageFull.into()),
    });
    let mut store = SealedStore::open_with(&dir, PASS, barrier).unwrap();
    put(&mut store, &key(1), Value::lasting(vec![1])).unwrap();
    let (seq, reader) = (store.commit_seq(), store.reader());
    fail.store(1, Ordering::SeqCst);
    assert!(matches!(put(&mut store, &key(1), Value::lasting(vec![2])), Err(StoreError::DiskFull)));
    assert!(reader.get(&key(1)).is_err(), "what is not durable is not shown");
    assert!(matches!(put(&mut store, &key(1), Value::lasting(vec![3])), Err(StoreError::Closed)));
    assert_eq!(store.commit_seq(), seq);
    drop(store);
    // Only the barrier failed, so here the batch did survive.
    let store = open(&dir);
    assert_eq!(store.commit_seq(), seq + 1);
    assert_eq!(store.reader().get(&key(1)).unwrap().unwrap()[..], [2]);
}

#[test]
fn no_version_leaf_is_used_twice_even_when_opens_follow_each_other_without_a_commit() {
    let (_temp, dir, store) = fresh();
    drop(store);
    let mut leaves = std::collections::BTreeSet::new();
    for _ in 0..3 {
        drop(open(&dir));
        let mut store = open(&dir);
        for row in 0..6 {
            put(&mut store, &key(row), Value::lasting(vec![row])).unwrap();
        }
        let guard = lock_core(&store.core);
        let next = guard.as_ref().unwrap().next_leaves();
        assert!(leaves.insert(next.0) && leaves.insert(next.1 | 1 << 63));
    }
    let messages: Vec<_> = leaves.iter().filter(|leaf| **leaf >> 63 == 0).collect();
    assert!(messages.windows(2).all(|pair| *pair[1] / 65_536 >= *pair[0] / 65_536 + 2), "{messages:?}");
}

#[test]
fn an_opened_store_shows_no_key_in_debug() {
    assert_eq!(format!("{:?}", fresh().2), "SealedStore(commit 0)");
}

#[test]
fn a_folder_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_temp, dir, store) = fresh();
    drop(store);
    fs::set_permissions(dir.root(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(SealedStore::open(&dir, PASS), Err(StoreError::NotPrivate)));
}

/// Changes one byte of a file in place.
pub(super) fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}
