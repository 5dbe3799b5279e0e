//! The words of a refusal, in the two forms in which it is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::device::{Device, Ran};

/// What is told: how the program ends, the name for scripts, what happened, what to do next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(pub(crate) i32, pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const NOT_RUNNING: Words = Words(
    3,
    "not_running",
    "Kinfold is not running here; nothing was lost",
    "start it with `kinfold up` in another window",
);
pub(crate) const WRONG_PASSPHRASE: Words = Words(
    4,
    "wrong_passphrase",
    "that passphrase does not open this device's data; nothing was changed",
    "try again; Caps Lock or another keyboard language can be the reason, and in rare cases a damaged disk",
);
pub(crate) const DAMAGED: Words = Words(
    5,
    "damaged",
    "the data on this device is damaged and could not be opened",
    "check the disk; to start anew in another place, use --data-dir and ask for new invites: the others in your groups \
     still have their own copies",
);
pub(crate) const MISPLACED: Words = Words(
    5,
    "misplaced",
    "the files in which Kinfold keeps everything are not in the data folder any more; nothing new was kept",
    "put them back, and a Kinfold that runs goes on by itself; without them `kinfold down` stops it, and what was in \
     them is lost",
);
pub(crate) const FULL: Words = Words(
    5,
    "disk_full",
    "the disk is full; nothing new was kept, and nothing was lost",
    "free some space, then try again",
);
pub(crate) const NOT_SENT_FULL: Words =
    Words(5, "disk_full", "the disk is full; your message was not sent, and nothing was lost", FULL.3);
pub(crate) const STORAGE_FAILED: Words = Words(
    5,
    "storage_failed",
    "the disk does not work as it should; nothing new was kept, what was accepted before is safe",
    "check the disk, then try again",
);
pub(crate) const UNSETTLED: Words = Words(
    5,
    "unsettled",
    "the disk stopped working before it was known whether this was kept; what was accepted before is safe",
    "once the disk works again, look whether it is there before you do it again",
);
pub(crate) const READ_ONLY: Words = Words(
    5,
    "read_only",
    "the disk can be read but not written; nothing new was kept, and nothing was lost",
    "make it writable, then try again",
);

impl Words {
    /// Runs a verb in both forms; each must end in these words and no others.
    pub(crate) fn told_by(self, device: &Device, line: &[&str]) {
        self.told_after("", device, line);
    }

    /// The same, when a person is told something else before.
    pub(crate) fn told_after(self, before: &str, device: &Device, line: &[&str]) {
        let ran = device.run(line);
        // What the log says is for who looks for a fault.
        let talk: String = ran.talk.split_inclusive('\n').filter(|line| !line.contains("Z  WARN ")).collect();
        assert_eq!(talk, format!("{before}{}", self.for_people()), "{line:?}");
        assert_eq!((ran.code, ran.out.as_str()), (self.0, ""), "{line:?}");
        let ran = device.run(&[line, &["--json"]].concat());
        self.are_after(&ran);
    }

    /// What a script was told.
    pub(crate) fn are(self, ran: &Ran) {
        self.are_after(ran);
        assert_eq!(ran.talk, "");
    }

    /// What a script was told, when the log had something to say before.
    pub(crate) fn are_after(self, ran: &Ran) {
        let Self(code, name, message, hint) = self;
        let expected = json!({ "ok": false, "error": { "code": name, "message": message, "hint": hint } });
        assert_eq!((ran.json(), ran.code), (expected, code));
    }

    /// Whether a script was told this.
    pub(crate) fn fit(self, ran: &Ran) -> bool {
        ran.code == self.0 && ran.out.contains(&format!("{:?}", self.2)) && ran.out.contains(&format!("{:?}", self.3))
    }

    fn for_people(self) -> String {
        format!("Error: {}\nhint: {}\n", self.2, self.3)
    }
}

/// Every file below a folder with what is in it.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("reads") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.is_file() {
            found.insert(path.clone(), fs::read(&path).expect("reads"));
        }
    }
    found
}
