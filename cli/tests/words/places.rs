//! Where a node may be, and whether it can be reached.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use kinfold_node::paths::DataDir;
use serde_json::json;

use crate::device::{Device, LOOPBACK, place};
use crate::told::{NOT_RUNNING, Words, contents};

const GROUP: &str = "Circle";
const UP: [&str; 3] = ["up", "--listen", LOOPBACK];

const ALREADY_SET_UP: Words = Words(
    1,
    "already_set_up",
    "Kinfold is already set up here; nothing was changed",
    "start it with `kinfold up`, or name another place with --data-dir",
);
const IN_USE: Words = Words(
    1,
    "in_use",
    "Kinfold is already running with this data; nothing was changed",
    "`kinfold status` talks to it, `kinfold down` stops it",
);
const PORT_TAKEN: Words = Words(
    1,
    "port_taken",
    "another program uses that port; nothing was lost",
    "name another port with --listen, or leave it out and Kinfold finds one",
);
const PATH_TOO_LONG: Words = Words(
    2,
    "path_too_long",
    "the path of the data folder is too long; nothing was changed",
    "name a shorter one with --data-dir",
);
const LOCKED: Words =
    Words(4, "locked", "Kinfold is locked; nothing was lost", "`kinfold unlock` opens it with your passphrase");

/// What `init` tells a person before it tries.
const BEFORE_INIT: &str = "\
A passphrase will seal everything Kinfold keeps on this device. Nobody can reset
it, and nobody can read your messages without it, not even we. If it is
forgotten, what is on this device is gone, and you will need new invites to your
groups. Write it down and keep it in a safe place.
Four or more unrelated words make a good one.
";

#[test]
fn a_second_init_is_refused_and_the_group_is_as_it_was() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["send", GROUP, "before"]);
    ALREADY_SET_UP.told_by(&ana, &["init"]);
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before");
    ana.down();
    let before = contents(&ana.dir);
    ALREADY_SET_UP.told_by(&ana, &["init"]);
    assert!(contents(&ana.dir) == before, "something was changed");
    ana.up();
    assert_eq!((ana.people(GROUP), ana.texts_of(GROUP, 1).len()), (vec!["Ana".to_owned()], 1));
}

#[test]
fn a_folder_in_use_is_left_to_who_uses_it() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    IN_USE.told_by(&ana, &UP);
    ana.done(&["send", GROUP, "still here"]);
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "still here");
    ana.down();
    // One that is only just starting holds the lock, and does not answer yet.
    let lock = fs::File::options().write(true).open(DataDir::new(&ana.dir).lock()).expect("opens");
    lock.lock().expect("locks");
    let before = contents(&ana.dir);
    IN_USE.told_after("Opening...\n", &ana, &UP);
    assert!(contents(&ana.dir) == before, "something was changed");
    drop(lock);
    ana.up();
    assert_eq!(ana.texts_of(GROUP, 1).len(), 1);
}

#[test]
fn what_does_not_run_says_so_and_how_to_start_it() {
    let place = place();
    let ana = Device::new(place.path(), "Ana");
    for line in [&["status"][..], &["history", GROUP], &["members", GROUP], &["lock"], &["group", "create", GROUP]] {
        NOT_RUNNING.told_by(&ana, line);
    }
    let not_sent = Words(3, "not_running", "Kinfold is not running here; your message was not sent", NOT_RUNNING.3);
    not_sent.told_by(&ana, &["send", GROUP, "hello"]);
    let bare = Device::bare(place.path().join("bare"), "Ben");
    let not_set_up = "Kinfold is not set up here yet";
    Words(1, "not_set_up", not_set_up, "set it up with `kinfold init`, or name another place with --data-dir")
        .told_by(&bare, &UP);
    Words(3, "not_running", not_set_up, "start with `kinfold init`, or name another place with --data-dir")
        .told_by(&bare, &["status"]);
}

#[test]
fn what_is_locked_says_so_and_keeps_what_it_has() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["send", GROUP, "before"]);
    ana.done(&["lock"]);
    for line in [&["history", GROUP][..], &["members", GROUP], &["invite", GROUP], &["group", "list"]] {
        LOCKED.told_by(&ana, line);
    }
    Words(4, "locked", "Kinfold is locked; your message was not sent", LOCKED.3)
        .told_by(&ana, &["send", GROUP, "never"]);
    assert_eq!(ana.run(&["unlock"]).code, 0);
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before");
}

#[test]
fn a_port_that_another_program_has_is_left_to_it() {
    let place = place();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = format!("/ip4/127.0.0.1/tcp/{}", other.local_addr().expect("an address").port());
    let mut ana = Device::new(place.path(), "Ana");
    // Without a group there is nothing to listen for yet.
    ana.up_at(&taken);
    PORT_TAKEN.told_by(&ana, &["group", "create", GROUP, "--name", "Ana"]);
    assert_eq!(ana.rows(&["group", "list"]), Vec::<serde_json::Value>::new(), "the group was not made");
    ana.down();
    ana.up();
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["send", GROUP, "before"]);
    ana.down();
    PORT_TAKEN.told_after("Opening...\n", &ana, &["up", "--listen", &taken]);
    ana.up();
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before");
}

#[test]
fn a_path_that_no_system_takes_is_named_as_the_reason() {
    let place = place();
    let deep = (0..20).fold(place.path().to_owned(), |path, _| path.join("d".repeat(250)));
    for dir in [place.path().join("d".repeat(300)), deep] {
        let ana = Device::bare(dir, "Ana");
        PATH_TOO_LONG.told_by(&ana, &["init"]);
        PATH_TOO_LONG.told_by(&ana, &UP);
        PATH_TOO_LONG.told_by(&ana, &["status"]);
    }
    assert_eq!(fs::read_dir(place.path()).expect("reads").count(), 0, "nothing was made");
}

#[test]
fn a_path_too_long_for_a_socket_is_none_for_a_node() {
    let place = place();
    let mut ana = Device::new(place.path(), &"d".repeat(180));
    ana.up();
    assert!(ana.dir.join("control.sock").as_os_str().len() > 108, "a plain address would be too long");
    assert_eq!(ana.done(&["status"])["locked"], json!(false));
    ana.down();
}

#[test]
fn a_folder_that_others_can_get_into_is_not_opened_until_it_is_closed_to_them() {
    let place = place();
    let mut ana = Device::new(place.path(), "Ana");
    fs::set_permissions(&ana.dir, fs::Permissions::from_mode(0o755)).expect("changed");
    let before = contents(&ana.dir);
    Words(
        5,
        "not_private",
        "other accounts of this computer can get into the data folder, so it was not opened; nothing was changed",
        "close it to them with `chmod 700`, then try again",
    )
    .told_after("Opening...\n", &ana, &UP);
    assert!(contents(&ana.dir) == before, "something was changed");
    fs::set_permissions(&ana.dir, fs::Permissions::from_mode(0o700)).expect("changed");
    ana.up();
}

const NOT_EMPTY: Words = Words(
    1,
    "not_empty",
    "there is something else in that folder, so Kinfold was not set up in it; nothing was changed",
    "name a folder of its own with --data-dir, one that is empty or not there yet",
);

#[test]
fn a_folder_with_something_else_in_it_is_left_as_it_is() {
    let place = place();
    let home = Device::bare(place.path().join("home"), "Ana");
    fs::create_dir(&home.dir).expect("a folder");
    fs::write(home.dir.join("letter"), "mine").expect("writes");
    let mode = |dir: &std::path::Path| fs::metadata(dir).expect("is there").permissions().mode() & 0o7777;
    for other in [0o755, 0o700, 0o1777] {
        fs::set_permissions(&home.dir, fs::Permissions::from_mode(other)).expect("changed");
        NOT_EMPTY.told_by(&home, &["init"]);
        assert_eq!(mode(&home.dir), other);
        let entries = fs::read_dir(&home.dir).expect("reads").map(|entry| entry.expect("an entry").file_name());
        assert_eq!(entries.collect::<Vec<_>>(), ["letter"]);
    }
    let system = Device::bare("/proc".into(), "Ana");
    NOT_EMPTY.told_by(&system, &["init"]);
    // An empty one may be used, and one in which setting up was cut short.
    fs::remove_file(home.dir.join("letter")).expect("removed");
    fs::write(DataDir::new(&home.dir).unfinished_keyring(), "cut short").expect("writes");
    fs::write(DataDir::new(&home.dir).lock(), "").expect("writes");
    home.done(&["init"]);
    assert_eq!(mode(&home.dir), 0o700);
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_named_and_how_to_raise_it() {
    let place = place();
    let mut ana = Device::new(place.path(), "Ana");
    let before = contents(&ana.dir);
    for limit in ["12", "20", "40"] {
        let line = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let up = ana.command(&[&UP[..], &["--json"]].concat());
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]).arg(up.get_program()).args(up.get_args());
        shell.env("KINFOLD_DATA_DIR", &ana.dir).env("KINFOLD_PASSPHRASE", crate::device::PASSPHRASE);
        let ran: crate::device::Ran = shell.output().expect("runs").into();
        Words(
            1,
            "few_files",
            "this system lets Kinfold open too few files at a time; nothing was lost",
            "raise the limit with `ulimit -n 1024` in this window, then try again",
        )
        .are(&ran);
    }
    assert!(contents(&ana.dir) == before, "something was changed");
    ana.up();
}

#[test]
fn a_link_in_the_place_of_the_socket_is_named_and_not_followed() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    let ben = Device::new(place.path(), "Ben");
    std::os::unix::fs::symlink(ana.dir.join("control.sock"), ben.dir.join("control.sock")).expect("a link");
    let words = Words(
        5,
        "bad_socket",
        "`control.sock` in the data folder is a link or another file, and not the one that Kinfold makes; nothing was \
         changed",
        "look where it comes from and remove it, then start Kinfold with `kinfold up`",
    );
    words.told_by(&ben, &["status"]);
    words.told_after("Opening...\n", &ben, &UP);
    ana.down();
}

#[test]
fn the_longest_message_can_be_of_any_letters() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let longest = "\u{1}".repeat(16 * 1024);
    let sent = ana.run_typing(&["send", GROUP, "-", "--json"], &longest);
    assert_eq!(sent.code, 0, "{}", sent.out);
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, longest);
    let longer = ana.run_typing(&["send", GROUP, "-", "--json"], &format!("{longest}\u{1}"));
    assert_eq!(longer.refusal(), (1, "bad_text".to_owned()));
}

#[test]
fn something_else_in_the_place_of_the_folder_is_no_kinfold() {
    let place = place();
    let file = place.path().join("file");
    fs::write(&file, "mine").expect("writes");
    let ran = Device::bare(file.clone(), "Ana").run(&["init"]);
    assert_eq!(ran.code, 5, "{}", ran.talk);
    assert!(ran.talk.starts_with(BEFORE_INIT) || ran.talk.starts_with("Error: "), "{}", ran.talk);
    assert_eq!(fs::read(&file).expect("reads"), b"mine");
}
