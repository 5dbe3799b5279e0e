//! A disk that fails on demand, at a change of any file below one folder that a test chooses. A library stands between
//! the program and the C library (`broken_disk.c`), and looks at a board that the test writes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use rustix::io::Errno;

use crate::device::Device;

/// The fields of the board, in eight bytes each.
const CHANGES: u64 = 0;
const FIRST: u64 = 1;
const LAST: u64 = 2;
const WHY: u64 = 3;
const FAILED: u64 = 4;
const LATE: u64 = 5;
const FIELDS: u64 = 6;

/// The disk below a device.
pub(crate) struct BrokenDisk(File);

impl BrokenDisk {
    /// Puts such a disk below a device, for programs that start from now on. It works until it is told to fail.
    pub(crate) fn below(device: &mut Device) -> Self {
        let place = device.dir.parent().expect("a place").canonicalize().expect("a path");
        let (library, board) = (place.join("broken_disk.so"), place.join(format!("{}.board", device.name)));
        if !library.exists() {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/words/broken_disk.c");
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
            assert!(compiler.status().expect("the compiler that links Rust programs").success());
        }
        let file = File::options().read(true).write(true).create_new(true).open(&board).expect("a board");
        file.set_len(FIELDS * 8).expect("its size");
        let folder = place.join(device.dir.file_name().expect("a name"));
        device.environment = vec![
            ("LD_PRELOAD", library.into()),
            ("BROKEN_DISK_BOARD", board.into()),
            ("BROKEN_DISK_FOLDER", folder.into()),
        ];
        Self(file)
    }

    /// How many changes were asked for so far.
    pub(crate) fn changes(&self) -> u64 {
        self.field(CHANGES)
    }

    /// How many failed since the disk was last told to.
    pub(crate) fn failed(&self) -> u64 {
        self.field(FAILED)
    }

    /// The change with this number from now on fails, and no other.
    pub(crate) fn fail_once(&self, number: u64, why: Errno) {
        self.fail(number, number, why);
    }

    /// Every change from now on fails.
    pub(crate) fn fail_on(&self, number: u64, why: Errno) {
        self.fail(number, u64::MAX / 2, why);
    }

    /// From now on it tries again for a while before it gives up: what is asked for later is done by then.
    pub(crate) fn fail_late(&self) {
        self.set(LATE, 20_000);
    }

    /// It works again.
    pub(crate) fn mend(&self) {
        self.set(LAST, 0);
    }

    fn fail(&self, first: u64, last: u64, why: Errno) {
        self.mend();
        let before = self.changes();
        self.set(FAILED, 0);
        self.set(WHY, u64::from(why.raw_os_error().unsigned_abs()));
        self.set(FIRST, before + first);
        self.set(LAST, before + last);
    }

    fn field(&self, field: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, field * 8).expect("read");
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, field: u64, value: u64) {
        self.0.write_all_at(&value.to_ne_bytes(), field * 8).expect("written");
    }
}
