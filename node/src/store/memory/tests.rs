use super::super::conformance::{
    a_clock_set_back_revives_nothing, commit, conform, contents, deaths_are_final, key, put,
    readers_end_with_the_store, steps,
};
use super::*;

fn open(disk: &MemoryDisk) -> MemoryStore {
    MemoryStore::open(disk).unwrap()
}

fn row(byte: u8) -> Value {
    Value::lasting(vec![byte])
}

proptest::proptest! {
    #[test]
    fn it_does_what_a_map_does(steps in steps(40)) {
        let disk = MemoryDisk::new();
        conform(steps, || Box::new(open(&disk)));
    }
}

#[test]
fn deaths_are_final_in_memory_too() {
    let disk = MemoryDisk::new();
    deaths_are_final(|| Box::new(open(&disk)));
}

#[test]
fn a_clock_set_back_revives_nothing_in_memory() {
    let disk = MemoryDisk::new();
    a_clock_set_back_revives_nothing(|| Box::new(open(&disk)));
}

#[test]
fn readers_end_with_a_memory_store() {
    readers_end_with_the_store(Box::new(open(&MemoryDisk::new())));
}

#[test]
fn a_fault_before_durability_loses_the_batch_and_one_after_it_keeps_it() {
    for (fault, kept) in [(CommitFault::BeforeDurable, false), (CommitFault::AfterDurable, true)] {
        let disk = MemoryDisk::new();
        let mut store = open(&disk);
        disk.fail_commit_after(1, fault);
        put(&mut store, &key(1), row(1)).unwrap();
        let seq = store.commit_seq();
        commit(&mut store, [(key(2), Some(row(2))), (key(1), None)], true).unwrap_err();
        assert!(matches!(put(&mut store, &key(3), row(3)), Err(StoreError::Closed)));
        assert_eq!(store.commit_seq(), seq);
        drop(store);
        let store = open(&disk);
        assert_eq!(store.commit_seq() > seq, kept);
        assert_eq!(contents(&*store.reader()).contains_key(&key(2)), kept);
        assert_eq!(contents(&*store.reader()).contains_key(&key(1)), !kept);
    }
}

#[test]
fn a_drive_that_lies_loses_what_was_not_flushed() {
    let disk = MemoryDisk::new();
    disk.lie_about_durability();
    let mut store = open(&disk);
    put(&mut store, &key(1), row(1)).unwrap();
    store.flush().unwrap();
    put(&mut store, &key(2), row(2)).unwrap();
    assert_eq!(contents(&*store.reader()).len(), 2);
    disk.cut_power();
    assert!(matches!(store.flush(), Err(StoreError::Closed)));
    assert_eq!(contents(&*open(&disk).reader()).into_keys().collect::<Vec<_>>(), [key(1)]);
}

#[test]
fn an_honest_drive_loses_nothing_in_a_power_cut() {
    let disk = MemoryDisk::new();
    let mut store = open(&disk);
    put(&mut store, &key(1), row(1)).unwrap();
    disk.cut_power();
    assert_eq!(contents(&*open(&disk).reader()).len(), 1);
}

#[test]
fn reads_fail_when_asked_to_and_once() {
    let disk = MemoryDisk::new();
    let mut store = open(&disk);
    put(&mut store, &key(1), row(1)).unwrap();
    let reader = store.reader();
    disk.fail_read_after(1);
    assert!(reader.get(&key(1)).is_ok());
    assert!(reader.scan(&mut |_, _| ()).is_err());
    assert!(reader.get(&key(1)).is_ok());
}

#[test]
fn one_disk_has_one_store() {
    let disk = MemoryDisk::new();
    let store = open(&disk);
    assert!(matches!(MemoryStore::open(&disk), Err(StoreError::InUse)));
    drop(store);
    open(&disk);
}
