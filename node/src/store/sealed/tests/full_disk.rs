//! A disk of 96 MB in a mount namespace of its own, filled to the last byte.

use std::io::Write;
use std::process::Command;

use super::*;

const CHILD: &str = "store::sealed::tests::full_disk::on_a_small_disk";
const MOUNT: &str = "KINFOLD_TEST_SMALL_DISK";

#[test]
fn a_store_on_a_full_disk_opens_again_and_has_lost_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=96m,mode=700 small "$1" && echo mounted && exec "$2" "$3" --exact"#;
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(temp.path())
        .arg(std::env::current_exe().unwrap())
        .arg(CHILD)
        .env(MOUNT, temp.path())
        .output();
    let mounted = run.as_ref().is_ok_and(|out| out.stdout.starts_with(b"mounted"));
    if !mounted {
        assert!(std::env::var_os("KINFOLD_ALL").is_none(), "no small disk can be mounted here: {run:?}");
        eprintln!("skipped: no small disk can be mounted here");
        return;
    }
    let out = run.unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

/// Takes all space that is left.
fn fill(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    for block in [64 * 1024, 4 * 1024, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
}

/// Runs inside the mount that the test above makes; by itself it has no disk to fill.
#[test]
fn on_a_small_disk() {
    let Some(mount) = std::env::var_os(MOUNT).map(PathBuf::from) else { return };
    let dir = DataDir::new(mount.join("kinfold"));
    let mut store = SealedStore::create(&dir, PASS, cheap()).unwrap();
    assert_eq!(fs::metadata(dir.ballast()).unwrap().len(), 4 * 1024 * 1024);
    for row in 0..12 {
        put(&mut store, &key(row), Value::lasting(vec![row; 2_000])).unwrap();
    }
    // Enough that the snapshot which sled writes at opening has a real size.
    for block in 0..4_u32 {
        let rows = (0..5_000_u32).map(|row| [block.to_be_bytes(), row.to_be_bytes()].concat());
        let rows = rows.map(|name| (Key { table: Table::Tombstone, name }, Some(Value::lasting(vec![1; 200]))));
        commit(&mut store, rows, false).unwrap();
    }
    fill(&mount.join("filler"));
    // New rows: what replaces an old one may find room where that was.
    let extra = |row: u32| Key { table: Table::Outbox, name: row.to_be_bytes().to_vec() };
    let mut kept = 0;
    let failed = (0..20_000_u32).find_map(|row| {
        let result = put(&mut store, &extra(row), Value::lasting(vec![1; 2_000]));
        kept += u32::from(result.is_ok());
        result.err()
    });
    assert!(matches!(failed, Some(StoreError::DiskFull)), "{failed:?}");
    let seq = store.commit_seq();
    drop(store);
    fill(&mount.join("filler"));

    let store = SealedStore::open(&dir, PASS).unwrap();
    assert!(!dir.ballast().exists(), "the disk was full enough to need it");
    let found = contents(&*store.reader());
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert!((0..kept).all(|row| found.contains_key(&extra(row))), "an acknowledged commit is lost");
    let survived = usize::from(store.commit_seq() != seq);
    assert_eq!(found.len(), 20_012 + usize::try_from(kept).unwrap() + survived);
    // What the ballast gave is enough to sweep and to close.
    let mut store: Box<dyn Store> = Box::new(store);
    commit(&mut *store, (1..12).map(|row| (key(row), None)), true).unwrap();
    store.close().unwrap();
}
