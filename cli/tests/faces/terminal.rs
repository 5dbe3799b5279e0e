//! A person at a terminal of 24 lines and 80 columns.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;
use tempfile::TempDir;

use crate::fake::{Fake, Ran, command, line};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a terminal.
struct Terminal {
    child: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    /// Everything shown that was not waited for yet.
    seen: String,
}

impl Terminal {
    fn open(fake: &Fake, words: &[&str]) -> Self {
        Self::open_in(&fake.directory, words)
    }

    fn open_in(directory: &Path, words: &[&str]) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keys).expect("granted");
        unlockpt(&keys).expect("unlocked");
        tcsetwinsize(&keys, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).expect("sized");
        let name = ptsname(&keys, Vec::new()).expect("a name");
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let end = || Stdio::from(File::options().read(true).write(true).open(path).expect("opens"));
        let mut program = command(directory, words);
        let child = program.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().expect("starts");
        drop(program);
        let keys = File::from(keys);
        let mut shown = keys.try_clone().expect("a handle");
        let (tell, screen) = mpsc::sync_channel(1_024);
        std::thread::spawn(move || {
            let mut bytes = vec![0; 4_096];
            while let Ok(read @ 1..) = shown.read(&mut bytes) {
                if tell.send(bytes.iter().take(read).copied().collect()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, screen, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("pressed");
    }

    /// Waits until the text is shown; what was shown up to its end.
    fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(why) => panic!("never shown: {text}: {why}: {}", self.seen),
            }
        }
    }

    /// Waits for the end; the exit code and what was shown last.
    fn end(mut self) -> (i32, String) {
        let code = self.child.wait().expect("ends").code().expect("a code");
        while let Ok(bytes) = self.screen.recv_timeout(Duration::from_millis(200)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (code, std::mem::take(&mut self.seen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

#[test]
fn what_cannot_be_undone_is_asked_about_and_named() {
    let fake = Fake::start();
    for (line, words, method) in [
        (&["group", "leave", "Circle"][..], "Leave Circle? You will get nothing", "group.leave"),
        (&["remove", "Circle", "Ana"], "Remove Ana [aa01aa01] from Circle?", "remove"),
        (&["outbox", "drop", "ab12"], "Drop it? Its words go from this device", "outbox.drop"),
    ] {
        for (reply, code, times) in [("n\n", 1, 0), ("\n", 1, 0), ("y\n", 0, 1)] {
            let mut terminal = Terminal::open(&fake, line);
            let shown = terminal.until("[y/N] ");
            assert!(shown.contains(words), "{shown}");
            assert!(shown.lines().all(|line| line.trim_end().chars().count() <= 80), "{shown}");
            terminal.press(reply);
            let (ended, told) = terminal.end();
            assert_eq!((ended, fake.asked(method)), (code, times), "{reply:?}: {told}");
            assert!(code == 0 || told.contains("Error: it was not done; nothing was changed"), "{told}");
        }
        assert_eq!(Terminal::open(&fake, &[line, &["--yes"]].concat()).end().0, 0);
        assert_eq!(fake.run(&[line, &["--yes", "--json"]].concat()).code, 0, "a script that means it is not asked");
        assert_eq!(fake.asked(method), 3);
    }
    assert_eq!(fake.last("group.leave"), json!({"group": "Circle"}));
    assert_eq!(fake.last("remove"), json!({"group": "Circle", "member": "Ana"}));
}

#[test]
fn a_second_group_of_the_same_name_is_asked_about() {
    let fake = Fake::start();
    let mut terminal = Terminal::open(&fake, &["group", "create", "Circle", "--name", "Ben"]);
    assert!(terminal.until("[y/N] ").contains("You are in a group called Circle already [0a0b0c0d]."));
    terminal.press("n\n");
    assert_eq!((terminal.end().0, fake.asked("group.create")), (1, 0));
}

#[test]
fn an_invite_is_pasted_when_asked_for_and_all_of_it_is_waited_for() {
    let fake = Fake::start();
    let mut terminal = Terminal::open(&fake, &["join", "--name", "Ben"]);
    terminal.until("Paste the invite, then press Enter: ");
    terminal.press("kinfold:BROKEN\n");
    let shown = terminal.until("Paste the rest, or press Enter to stop.");
    assert!(!shown.contains("Looking for the group"), "{shown}");
    terminal.press("\n");
    let (code, told) = terminal.end();
    assert!(code == 1 && told.contains("this is not a whole invite; nothing was changed"), "{told}");
    let mut terminal = Terminal::open(&fake, &["join", "--name", "Ben"]);
    terminal.until("press Enter: ");
    terminal.press("kinfold:abc\n");
    assert!(terminal.until("opens the group.").contains("`kinfold chat \"Circle\"`"));
    assert_eq!((terminal.end().0, fake.last("join")["invite"].clone()), (0, json!("kinfold:abc")));
}

#[test]
fn an_invite_ends_on_a_small_screen_with_what_matters() {
    let fake = Fake::start();
    let (code, told) = Terminal::open(&fake, &["invite", "Circle", "--qr"]).end();
    assert_eq!(code, 0);
    let picture = told.rfind('\u{2588}').expect("a picture");
    let invite = told.find("kinfold:abc").expect("the invite");
    assert!(picture < invite && invite < told.find("This lets one person into Circle").expect("words"), "{told}");
    let (_, told) = Terminal::open(&fake, &["invite", "Circle"]).end();
    assert!(!told.contains('\u{2588}') && told.contains("With --qr it is shown as a picture"), "{told}");
}

/// A chat that is ready to be typed in.
fn chat(fake: &Fake, words: &[&str]) -> Terminal {
    let mut terminal = Terminal::open(fake, &[&["chat", "Circle"], words].concat());
    terminal.until("everyone?");
    terminal.until(if words.is_empty() { "> " } else { "(gone Sun 29 Nov at 13:05)" });
    terminal
}

#[test]
fn a_line_is_edited_and_what_others_say_goes_above_it() {
    let fake = Fake::start();
    let mut terminal = chat(&fake, &[]);
    terminal.press("hellx");
    terminal.until("hellx");
    fake.feed.send(line("07", "good evening", false)).expect("somebody listens");
    let shown = terminal.until("> hellx");
    assert!(shown.contains("13:05  Ana: good evening  (gone Sun 29 Nov at 13:05)\r\n"), "{shown:?}");
    // Back over a slip, one to the left and to the right again.
    terminal.press("\x7fo\x1b[D\x1b[C there\r");
    terminal.until("13:05  Kept on this device; it goes out when somebody is connected.");
    assert_eq!(fake.last("send")["text"], "hello there");
    terminal.until("> ");
    terminal.press("/quit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn the_terminal_is_given_back_when_kinfold_stops_during_a_chat() {
    let fake = Fake::start();
    let mut terminal = chat(&fake, &[]);
    let before = tcgetattr(&terminal.keys).expect("read").local_modes;
    assert!(!before.contains(LocalModes::ICANON), "the line is being edited");
    terminal.press("half a line");
    terminal.until("half a line");
    assert_eq!(fake.run(&["down"]).code, 0);
    let shown = terminal.until("Error: Kinfold has stopped");
    assert!(shown.ends_with("\nError: Kinfold has stopped"), "{shown:?}");
    assert_eq!(terminal.child.wait().expect("ends").code(), Some(3));
    let after = tcgetattr(&terminal.keys).expect("read").local_modes;
    assert!(after.contains(LocalModes::ICANON | LocalModes::ECHO));
}

#[test]
fn a_long_text_is_sent_whole_or_not_at_all() {
    let fake = Fake::start();
    let mut terminal = chat(&fake, &[]);
    let long = "word ".repeat(1_600);
    let long = format!("{long}end");
    terminal.press(&format!("\x1b[200~{long}\x1b[201~\r"));
    terminal.until("Kept on this device");
    assert_eq!(fake.last("send")["text"], long);
    // The same without an editor: this terminal would hand on the beginning only.
    let mut terminal = chat(&fake, &["--plain"]);
    terminal.press(&format!("{long}\n"));
    terminal.until("that line is longer than this terminal hands on whole; it was not sent");
    terminal.press("short\n");
    terminal.until("Kept on this device");
    assert_eq!((fake.last("send")["text"].clone(), fake.asked("send")), (json!("short"), 2));
}

/// A node that stands still takes connections, as the system does for it, and reads nothing.
#[test]
fn a_node_that_does_not_answer_is_told_of_once_and_given_up_in_time() {
    let directory = TempDir::new().expect("a folder");
    let _still = UnixListener::bind(directory.path().join("control.sock")).expect("binds");
    let mut person = Terminal::open_in(directory.path(), &["status"]);
    let mut author = Terminal::open_in(directory.path(), &["send", "Circle", "hello"]);
    let script = crate::fake::start(directory.path(), &["send", "Circle", "hello", "--json"]);
    let late = "Kinfold is not answering yet. Still waiting; Ctrl-C stops waiting and loses\r\nnothing.";
    person.until(late);
    author.until(late);
    let (code, told) = person.end();
    assert!(code == 1 && told.contains("Error: Kinfold did not answer in time; it may still do"), "{code}: {told}");
    assert!(!told.contains("not answering yet"), "once: {told}");
    let (code, told) = author.end();
    assert!(code == 1 && told.contains("Error: Kinfold did not answer in time; your message was not sent"), "{told}");
    let ran = Ran::from(script.wait_with_output().expect("ends"));
    assert_eq!((ran.code, ran.talk.as_str()), (1, ""), "a script is told at the end");
    let expected = json!({"ok": false, "error": {
        "code": "too_slow",
        "message": "Kinfold did not answer in time; whether your message was kept is not known",
        "hint": "`kinfold status` shows whether it answers again; then look with `kinfold history` before you send it \
            again"
    }});
    assert_eq!(ran.json(), expected);
}
