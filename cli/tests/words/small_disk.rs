//! A small disk of a test's own: the test runs itself again in a mount namespace, where it may mount one.

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Where the disk is, for the test that runs again.
const PLACE: &str = "KINFOLD_TEST_SMALL_DISK";
/// Set where everything is installed: there, a test that is passed over is a test that failed.
const EVERYTHING: &str = "KINFOLD_ALL";
const SCRIPT: &str =
    r#"mount -t tmpfs -o size=48m,mode=700 small "$1" && echo mounted && exec "$2" "$3" --exact --nocapture"#;

/// Plays on a disk of 48 MB, which is gone afterwards; `test` is the name by which the test that calls this is run.
pub(crate) fn on_a_small_disk(test: &str, play: impl FnOnce(&Path)) {
    if let Some(place) = env::var_os(PLACE) {
        return play(Path::new(&place));
    }
    let place = crate::device::place();
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    again.arg(place.path()).arg(env::current_exe().expect("a path")).arg(test).env(PLACE, place.path());
    let ran = again.output();
    if !ran.as_ref().is_ok_and(|ran| ran.stdout.starts_with(b"mounted")) {
        assert!(env::var_os(EVERYTHING).is_none(), "no small disk can be mounted here: {ran:?}");
        // Past the test runner, which hides what a test that passes has printed.
        std::io::stderr().write_all(b"skipped: no small disk can be mounted here\n").expect("a place to say it");
        return;
    }
    let ran = ran.expect("it ran");
    let (out, talk) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.contains("1 passed"), "{out}{talk}");
}

/// Takes all the space that is left.
pub(crate) fn fill(disk: &Path) {
    let mut file = File::options().create(true).append(true).open(disk.join("filler")).expect("opens");
    for block in [64 * 1024, 4 * 1024, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
}

/// Lets the disk be written, or not.
pub(crate) fn remount(disk: &Path, how: &str) {
    let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(disk).status().expect("runs");
    assert!(done.success(), "{how}");
}
