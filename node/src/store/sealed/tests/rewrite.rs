//! The database is written anew when it has become much longer than its rows.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::*;

/// Rows that hold a value of a few chunks and many of one.
fn filled(store: &mut dyn Store) -> BTreeMap<Key, Vec<u8>> {
    for row in 0..40 {
        put(store, &key(row), Value::lasting(vec![row; if row == 7 { 30_000 } else { 500 }])).unwrap();
    }
    contents(&*store.reader())
}

fn rewrite(store: &SealedStore) -> Result<(), StoreError> {
    lock_core(&store.core).as_mut().unwrap().rewrite()
}

fn databases(dir: &DataDir) -> Vec<PathBuf> {
    dir.other_databases(&[0; 16]).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn closing_and_each_hour_give_back_the_room_of_what_is_gone() {
    for hourly in [false, true] {
        gives_back(hourly);
    }
}

fn gives_back(hourly: bool) {
    let (_temp, dir, mut store) = fresh();
    let many = |row: u32| Key { table: Table::Envelope, name: row.to_be_bytes().to_vec() };
    for from in (0..8_000).step_by(400) {
        let rows = (from..from + 400).map(|row| (many(row), Some(Value::lasting(vec![1; 2_000]))));
        commit(&mut store, rows, false).unwrap();
    }
    for from in (0..7_600).step_by(400) {
        commit(&mut store, (from..from + 400).map(|row| (many(row), None)), false).unwrap();
    }
    let (before, held) = (databases(&dir), contents(&*store.reader()));
    let size = |place: &Path| tree(place).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    assert!(size(&before[0]) > 12_000_000, "{} bytes", size(&before[0]));
    if hourly {
        store.tick(Instant::now() + CHECK_EVERY).unwrap();
        assert_eq!(contents(&*store.reader()), held);
    } else {
        Box::new(store).close().unwrap();
        store = open(&dir);
    }
    let after = databases(&dir);
    assert!(after.len() == 1 && after != before);
    assert!(size(&after[0]) < 4_000_000, "{} bytes", size(&after[0]));
    assert_eq!(contents(&*store.reader()), held);
    // What is not worn stays, and is not copied at every close.
    put(&mut store, &key(1), Value::lasting(vec![1])).unwrap();
    Box::new(store).close().unwrap();
    assert_eq!(databases(&dir), after);
}

/// Rows like those of messages, so many of each kind.
fn of_messages(store: &mut SealedStore, count: u32) {
    for from in (0..count).step_by(100) {
        let rows = (from..from + 100).flat_map(|row| {
            [(Table::Envelope, 1_024), (Table::Line, 450), (Table::Tombstone, 90)].map(|(table, len)| {
                let key = Key { table, name: row.to_be_bytes().to_vec() };
                (key, Some(Value::lasting(vec![1; len])))
            })
        });
        commit(store, rows, false).unwrap();
    }
}

#[test]
fn what_was_written_anew_is_not_copied_at_every_close() {
    for count in [0, 300, 3_000] {
        let (_temp, dir, mut store) = fresh();
        of_messages(&mut store, count);
        rewrite(&store).unwrap();
        assert!(!lock_core(&store.core).as_ref().unwrap().is_worn().unwrap(), "{count}");
        Box::new(store).close().unwrap();
        let place = databases(&dir);
        for round in 0..3 {
            let mut store = open(&dir);
            for row in 0..50 {
                put(&mut store, &key(1), Value::lasting(vec![row; 1_000])).unwrap();
            }
            Box::new(store).close().unwrap();
            assert_eq!(databases(&dir), place, "{count} rows, round {round}");
        }
    }
}

#[test]
fn of_which_everything_is_gone_little_is_left() {
    let (_temp, dir, mut store) = fresh();
    of_messages(&mut store, 1_000);
    let rows: Vec<_> = contents(&*store.reader()).into_keys().collect();
    for some in rows.chunks(500) {
        commit(&mut store, some.iter().map(|key| (key.clone(), None)), false).unwrap();
    }
    Box::new(store).close().unwrap();
    let place = databases(&dir);
    let size: u64 = place.iter().flat_map(|place| tree(place)).map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(place.len() == 1 && size < 2_000_000, "{size} bytes");
}

#[test]
fn it_also_happens_while_the_store_stays_open() {
    let (_temp, dir, mut store) = fresh();
    let held = filled(&mut store);
    rewrite(&store).unwrap();
    assert_eq!(contents(&*store.reader()), held);
    put(&mut store, &key(50), Value::lasting(vec![50; 9_000])).unwrap();
    commit(&mut store, [(key(7), None)], false).unwrap();
    let held = contents(&*store.reader());
    assert_eq!(held.len(), 40);
    drop(store);
    assert_eq!(databases(&dir).len(), 1);
    assert_eq!(contents(&*open(&dir).reader()), held);
}

/// At each sync of a database, and before and after the keyring names the new one.
#[test]
fn a_crash_at_any_moment_of_it_loses_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::new(temp.path().join("kinfold"));
    let (root, crashes) = (dir.root().to_owned(), temp.path().join("crashes"));
    let begun = Arc::new(AtomicBool::new(false));
    let (watched, watching_from, into) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&begun), crashes.clone());
    let taken = Arc::clone(&watched);
    let (barrier, _) = watching(move |_| {
        if watching_from.load(Ordering::SeqCst) {
            copy(&root, &into.join(taken.fetch_add(1, Ordering::SeqCst).to_string()));
        }
    });
    let mut store = SealedStore::create_with(&dir, PASS, cheap(), barrier).unwrap();
    let held = filled(&mut store);
    begun.store(true, Ordering::SeqCst);
    rewrite(&store).unwrap();
    begun.store(false, Ordering::SeqCst);
    drop(store);
    let synced = watched.load(Ordering::SeqCst);
    assert!(synced >= 2, "{synced}");
    // The copy was whole, and the keyring named one or the other.
    let last = crashes.join((synced - 1).to_string());
    let [old, new] = ["old", "new"].map(|name| crashes.join(name));
    for (place, keyring) in [(&old, last.join("keyring")), (&new, dir.keyring())] {
        copy(&last, place);
        copy(dir.root(), place);
        fs::copy(keyring, place.join("keyring")).unwrap();
    }
    let mut two = 0;
    for crash in fs::read_dir(&crashes).unwrap() {
        let crash = DataDir::new(crash.unwrap().path());
        two += usize::from(databases(&crash).len() == 2);
        assert_eq!(contents(&*open(&crash).reader()), held, "{crash:?}");
        assert_eq!(databases(&crash).len(), 1, "{crash:?}");
    }
    assert!(two >= 3, "{two}");
}

#[test]
fn without_room_for_both_all_stays_as_it_was() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::new(temp.path().join("kinfold"));
    let full = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&full);
    let barrier: Barrier = Arc::new(move |file: &File| match asked.load(Ordering::SeqCst) {
        true => Err(std::io::ErrorKind::StorageFull.into()),
        false => file.sync_data(),
    });
    let mut store = SealedStore::create_with(&dir, PASS, cheap(), barrier).unwrap();
    let (held, before) = (filled(&mut store), databases(&dir));
    full.store(true, Ordering::SeqCst);
    rewrite(&store).unwrap();
    full.store(false, Ordering::SeqCst);
    assert_eq!((contents(&*store.reader()), databases(&dir)), (held, before));
    put(&mut store, &key(50), Value::lasting(vec![50])).unwrap();
    drop(store);
    assert_eq!(contents(&*open(&dir).reader()).len(), 41);
}

fn opened(place: &Path) -> ::sled::Db {
    loop {
        match ::sled::Config::new().path(place).flush_every_ms(None).open() {
            Ok(db) => return db,
            // The handle just dropped lets go of its lock a little later.
            Err(err) => assert!(err.to_string().contains("lock"), "{err}"),
        }
    }
}

/// Nobody can read it, and it is copied along for ever.
#[test]
fn a_value_that_is_nobodys_leaves_no_database_behind() {
    let (_temp, dir, mut store) = fresh();
    let held = filled(&mut store);
    drop(store);
    let sled = opened(&databases(&dir)[0]);
    sled.insert([7; 24], vec![7; 100]).unwrap();
    sled.flush().unwrap();
    drop(sled);
    let store = SealedStore::open(&dir, PASS).unwrap();
    assert_eq!((contents(&*store.reader()), store.report().values_unreadable), (held, 1));
    for _ in 0..2 {
        rewrite(&store).unwrap();
        assert_eq!(databases(&dir).len(), 1);
    }
}

/// What was left behind is whole; what took its place is not, and may be all that is read for now.
#[test]
fn nothing_is_removed_beside_a_database_that_has_lost_something_nor_what_somebody_put_there() {
    let (temp, dir, mut store) = fresh();
    filled(&mut store);
    let aside = temp.path().join("aside");
    let before = databases(&dir).remove(0);
    copy(&before, &aside);
    rewrite(&store).unwrap();
    Box::new(store).close().unwrap();
    fs::rename(&aside, &before).unwrap();
    let backup = dir.root().join(format!("{}.bak", before.file_name().unwrap().to_string_lossy()));
    copy(&before, &backup);
    let now = databases(&dir).into_iter().find(|path| *path != before).unwrap();
    let opened = || opened(&now);
    let sled = opened();
    let (name, stored) = sled.iter().next().unwrap().unwrap();
    sled.remove(&name).unwrap();
    sled.flush().unwrap();
    drop(sled);
    let store = SealedStore::open(&dir, PASS).unwrap();
    contents(&*store.reader());
    assert!(!store.report().is_clean());
    drop(store);
    assert!(before.exists());
    let sled = opened();
    sled.insert(name, stored).unwrap();
    sled.flush().unwrap();
    drop(sled);
    drop(open(&dir));
    assert!(!before.exists() && backup.exists());
}
