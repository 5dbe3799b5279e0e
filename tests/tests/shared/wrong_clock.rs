//! A wrong system clock. Some libraries read it by themselves, so a time that is handed in proves nothing about them:
//! libfaketime stands between a program and the C library, and shifts what every part of the program reads, by what it
//! finds in a file at that moment. Clocks that only measure spans are left alone, as when a person sets the clock.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Two hours slow: by how much, for the library and in seconds.
pub(crate) const SLOW: (&str, i64) = ("-2h", -7_200);
/// Ten years fast; the library's years have 365 days.
pub(crate) const FAST: (&str, i64) = ("+10y", 10 * 365 * 86_400);

/// Where Debian puts libraries, by machine.
const MULTIARCH: [&str; 4] = ["aarch64-linux-gnu", "arm-linux-gnueabihf", "riscv64-linux-gnu", "x86_64-linux-gnu"];
/// The build of the library for programs with threads.
const LIBRARY: &str = "libfaketimeMT.so.1";
/// Set where everything is installed: there, a test that is passed over is a test that failed.
const EVERYTHING: &str = "KINFOLD_ALL";

/// A system clock that can be set.
#[derive(Clone, Debug)]
pub(crate) struct WrongClock {
    library: PathBuf,
    /// By how much it is off.
    file: PathBuf,
}

impl WrongClock {
    /// A clock whose setting is in a file there, and which is off by so much; none where libfaketime is not installed.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests must know what was not run")]
    pub(crate) fn new(file: PathBuf, off: &str) -> Option<Self> {
        let mut paths =
            MULTIARCH.iter().map(|machine| Path::new("/usr/lib").join(machine).join("faketime").join(LIBRARY));
        let Some(library) = paths.find(|path| path.exists()) else {
            assert!(std::env::var_os(EVERYTHING).is_none(), "libfaketime is not installed");
            eprintln!("skipped: libfaketime is not installed (on Debian: apt-get install libfaketime)");
            return None;
        };
        let clock = Self { library, file };
        clock.turn(off);
        Some(clock)
    }

    /// Sets the clock, also for who is reading it already.
    pub(crate) fn turn(&self, off: &str) {
        // Moved into its place, because nobody may read half of it.
        let next = self.file.with_extension("next");
        std::fs::write(&next, off).expect("written");
        std::fs::rename(&next, &self.file).expect("moved");
    }

    /// Gives this clock to a program that is to start, and to everything that it starts.
    pub(crate) fn give(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1");
        // The second is the name that older versions know.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    }
}
