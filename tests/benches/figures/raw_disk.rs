//! sled alone: what it writes and keeps for rows as long as Kinfold's, under names in no order, a page at a time.

use std::fs;

use tempfile::TempDir;

use crate::nodes::{bytes_of, counted};

/// The stored rows of a message: its envelope of 1 KiB, its line, and the ids that outlive both.
const ROWS: [usize; 3] = [1_153, 641, 321];
/// Messages that come in one page.
const PAGE: usize = 60;

/// Bytes written for so many messages, and the length of the files then.
pub(crate) fn kept(messages: usize) -> (u64, u64) {
    let place = TempDir::new().expect("a folder");
    let written = || {
        let pid = std::process::id();
        counted(pid, "io", "write_bytes")
    };
    let before = written();
    let config = sled::Config::new().path(place.path().join("db")).cache_capacity(8 << 20).flush_every_ms(None);
    let db = config.open().expect("opens");
    let file = fs::File::open(place.path().join("db/db")).expect("opens");
    for first in (0..messages).step_by(PAGE) {
        let mut batch = sled::Batch::default();
        for message in first..messages.min(first + PAGE) {
            for (row, len) in ROWS.into_iter().enumerate() {
                let name = blake3::hash(format!("{message} {row}").as_bytes());
                let mut stored = vec![0; len];
                blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut stored);
                batch.insert(&name.as_bytes()[..24], stored);
            }
        }
        db.apply_batch(batch).expect("applied");
        db.flush().expect("written");
        file.sync_data().expect("synced");
    }
    (written() - before, bytes_of(place.path()))
}
