//! What opening does with files that are not as they were left.

use super::*;
use crate::store::meta::{META_NAME, META_TABLE};
use crate::vault::row::{Class, Leaves};

fn filled(rows: u8) -> (TempDir, DataDir) {
    let (temp, dir, mut store) = fresh();
    for row in 0..rows {
        put(&mut store, &key(row), Value::lasting(vec![row; 300])).unwrap();
    }
    Box::new(store).close().unwrap();
    (temp, dir)
}

fn report(dir: &DataDir) -> OpenReport {
    let store = SealedStore::open(dir, PASS).unwrap();
    contents(&*store.reader());
    store.report()
}

#[test]
fn a_snapshot_that_was_being_written_is_no_obstacle() {
    let (_temp, dir) = filled(5);
    fs::write(database(&dir).join("snap.0000000000000FFF.generating"), b"torn").unwrap();
    assert_eq!(contents(&*open(&dir).reader()).len(), 5);
    let leftover = |path: &PathBuf| path.to_string_lossy().contains("0FFF");
    assert!(!tree(&database(&dir)).iter().any(leftover), "removed, not taken for a damaged snapshot");
}

#[test]
fn a_torn_snapshot_is_set_aside_and_nothing_is_lost() {
    let (_temp, dir) = filled(12);
    for torn in [&b""[..], b"torn snapshot that sled cannot read"] {
        fs::write(database(&dir).join("snap.7FFFFFFFFFFFFFFF"), torn).unwrap();
        assert_eq!(contents(&*open(&dir).reader()).len(), 12);
    }
}

#[test]
fn a_database_copied_back_from_an_earlier_day_is_reported() {
    let (temp, dir) = filled(5);
    let copy = temp.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for path in tree(&database(&dir)).iter().filter(|path| path.is_file()) {
        fs::copy(path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let mut store = open(&dir);
    put(&mut store, &key(6), Value::lasting(vec![6])).unwrap();
    put(&mut store, &key(7), Value::lasting(vec![7])).unwrap();
    Box::new(store).close().unwrap();
    for path in tree(&database(&dir)).iter().filter(|path| path.is_file()) {
        fs::remove_file(path).unwrap();
    }
    for path in tree(&copy) {
        fs::copy(&path, database(&dir).join(path.file_name().unwrap())).unwrap();
    }
    let found = report(&dir);
    assert_eq!((found.commits_lost, found.rows_missing), (2, 0));
    assert!(!found.is_clean());
}

#[test]
fn rows_that_sled_lost_or_that_were_swapped_are_counted_and_never_shown() {
    let (_temp, dir) = filled(6);
    let sled = raw(&dir);
    let names: Vec<_> = sled.iter().keys().map(Result::unwrap).collect();
    let store_rows = names.len() - 1;
    // One of the seven is the row of counters: losing that one is seen too.
    let lost = names[0].clone();
    let value = sled.remove(&lost).unwrap().unwrap();
    sled.insert([0xAB; 24], value).unwrap();
    sled.flush().unwrap();
    drop(sled);
    let store = SealedStore::open(&dir, PASS).unwrap();
    assert!(contents(&*store.reader()).len() >= store_rows - 1);
    assert!(!store.report().is_clean());
    assert!(store.report().values_unreadable == 1, "the row under a foreign name");
    for (key, value) in contents(&*store.reader()) {
        let row = (0..6).find(|row| super::key(*row) == key).unwrap();
        assert_eq!(value, vec![row; 300]);
    }
}

/// Each part of a row is changed by a bit, in a row of one value and in one of many.
#[test]
fn a_row_that_is_not_what_it_says_keeps_no_other_from_being_read() {
    for large in [false, true] {
        let (_temp, dir) = filled(6);
        let mut store = open(&dir);
        let others = contents(&*store.reader());
        put(&mut store, &key(6), Value::lasting(vec![6; if large { 30_000 } else { 300 }])).unwrap();
        let names = lock_core(&store.core).as_ref().unwrap().stored_names(&key(6));
        Box::new(store).close().unwrap();
        assert_eq!(names.len(), if large { 6 } else { 1 });
        let len = raw(&dir).get(names[0]).unwrap().unwrap().len();
        for (part, at) in names.iter().flat_map(|name| [0, 1, 27, 30, 40, len / 2, len - 1].map(|at| (name, at))) {
            let sled = raw(&dir);
            let whole = sled.get(part).unwrap().unwrap();
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1;
            sled.insert(part, bytes).unwrap();
            sled.flush().unwrap();
            drop(sled);
            let store = SealedStore::open(&dir, PASS).unwrap();
            for _ in 0..2 {
                assert!(contents(&*store.reader()).keys().eq(others.keys()), "byte {at}");
                let found = store.report();
                assert_eq!((found.commits_lost, found.rows_missing), (0, 1), "byte {at}");
                assert_eq!(found.values_unreadable, names.len() as u64, "byte {at}");
            }
            assert!(store.reader().get(&key(6)).unwrap().is_none());
            drop(store);
            raw(&dir).insert(part, whole).unwrap();
            assert!(report(&dir).is_clean());
        }
    }
}

#[test]
fn a_store_of_another_version_is_left_to_it() {
    let (_temp, dir) = filled(3);
    let (_, keyring) = Ring::open(File::options().read(true).write(true).open(dir.keyring()).unwrap(), PASS).unwrap();
    let name = keyring.row_name(META_TABLE, META_NAME);
    let whole = raw(&dir).get(name).unwrap().unwrap();
    let version = keyring.next_m + 1;
    for schema in [1_u16, 3] {
        let meta = [&schema.to_be_bytes()[..], &[0; 32]].concat();
        let leaves = Leaves { class: Class::Message, time: None, version };
        let sealed = keyring.seal_row(META_TABLE, META_NAME, &meta, leaves).unwrap().remove(0).1;
        raw(&dir).insert(name, sealed).unwrap();
        match SealedStore::open(&dir, PASS) {
            Err(StoreError::OlderVersion) if schema == 1 => {}
            Err(StoreError::NewerVersion) if schema == 3 => {}
            opened => panic!("{schema}: {opened:?}"),
        }
    }
    raw(&dir).insert(name, whole).unwrap();
    assert!(report(&dir).is_clean());
}

#[test]
fn an_empty_database_behind_a_used_keyring_is_reported_and_a_missing_one_refused() {
    let (_temp, dir) = filled(4);
    let db = database(&dir).join("db");
    for path in tree(&database(&dir)).iter().filter(|path| path.is_file() && **path != db) {
        fs::remove_file(path).unwrap();
    }
    fs::write(&db, []).unwrap();
    assert_eq!(report(&dir).commits_lost, 4);
    fs::remove_file(&db).unwrap();
    assert!(matches!(SealedStore::open(&dir, PASS), Err(StoreError::Misplaced)));
    fs::remove_dir_all(database(&dir)).unwrap();
    assert!(matches!(SealedStore::open(&dir, PASS), Err(StoreError::Misplaced)));
}

#[test]
fn a_file_among_the_blobs_is_refused() {
    let (_temp, dir) = filled(1);
    // sled collects only blobs it takes for its own, so a foreign name stays.
    let mut store = open(&dir);
    fs::write(database(&dir).join("blobs").join("1"), b"x").unwrap();
    assert!(matches!(store.tick(Instant::now() + CHECK_EVERY), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_changed_byte_of_the_database_never_changes_a_row_and_never_panics() {
    let (_temp, dir) = filled(12);
    let file = database(&dir).join("db");
    let whole = fs::read(&file).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(used / 40) {
        fs::write(&file, &whole).unwrap();
        flip(&file, u64::try_from(at).unwrap());
        let Ok(store) = SealedStore::open(&dir, PASS) else { continue };
        let Ok(()) = store.reader().scan(&mut |key, value| {
            let row = (0..12).find(|row| super::key(*row) == *key).unwrap();
            assert_eq!(value, vec![row; 300]);
        }) else {
            continue;
        };
        let shown = contents(&*store.reader()).len();
        assert!(shown == 12 || !store.report().is_clean(), "byte {at}: {shown} rows and no word of it");
    }
}
