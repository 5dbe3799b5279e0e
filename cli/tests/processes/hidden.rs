//! What programs leave behind: in their log, in the data folder, and in the places where a system keeps passing things.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};
use serde_json::Value;

use crate::device::{Device, PASSPHRASE, place, text};
use crate::traces::{Canary, Found, Traces, tree};
use crate::wait::until;

const GROUP: &str = "Quagga circle of Tuesday";
const NAMES: [&str; 2] = ["Anastasia-Zyx", "Benedikt-Quo"];
/// The log at its most talkative: everything, and by name the parts of libraries that would tell of addresses, transport
/// ids and rows.
const ALL: &str = "trace,libp2p_swarm::connection=trace,libp2p_swarm=trace,libp2p_gossipsub::behaviour=trace,\
    libp2p_tcp::provider=trace,libp2p_noise::io=trace,libp2p_core::transport=trace,sled::pagecache=trace,\
    yamux::connection=trace,multistream_select::negotiated=trace";

/// What two people did, and what of it must not be found.
struct Story {
    devices: [Device; 2],
    canaries: Vec<Canary>,
}

impl Story {
    fn saw(&mut self, what: &str, value: &Value) {
        self.canaries.push(Canary::new(what, text(value)));
    }

    /// An id: as it is shown, and the bytes that it shows.
    fn saw_id(&mut self, what: &str, value: &Value) {
        let shown = text(value);
        let byte = |at: usize| u8::from_str_radix(&shown[at..at + 2], 16).expect("hexadecimal");
        self.canaries.push(Canary::new(what, (0..shown.len()).step_by(2).map(byte).collect::<Vec<u8>>()));
    }
}

/// Two people meet and talk; all that their programs are told goes by `place`, and what they say into its files.
fn told(place: &Path, log: Option<&str>) -> Story {
    let devices = NAMES.map(|name| {
        let mut device = Device::new(place, name);
        for (variable, folder) in [("HOME", "home"), ("TMPDIR", "passing"), ("XDG_RUNTIME_DIR", "running")] {
            let folder = place.join(folder);
            fs::create_dir_all(&folder).expect("made");
            device.environment.push((variable, folder.into()));
        }
        device.environment.extend(log.map(|log| ("KINFOLD_LOG", OsString::from(log))));
        device.up_telling(&place.join(format!("log of {name}")));
        device
    });
    let known = [("the passphrase", PASSPHRASE), ("a name", NAMES[0]), ("a name", NAMES[1]), ("a group's name", GROUP)];
    let canaries = known.into_iter().map(|(what, bytes)| Canary::new(what, bytes)).collect();
    let mut story = Story { devices, canaries };
    let made = story.devices[0].done(&["group", "create", GROUP, "--name", NAMES[0]]);
    story.saw_id("the group's id", &made["group_id"]);
    let invite = story.devices[0].done(&["invite", GROUP]);
    story.saw("an invite", &invite["invite"]);
    story.devices[1].done(&["join", &text(&invite["invite"]), "--name", NAMES[1]]);
    for (who, words) in [(0, "a first quagga went by the river"), (1, "nobody has seen a quagga since Artis")] {
        let sent = story.devices[who].done(&["send", GROUP, words]);
        story.saw_id("a message's id", &sent["id"]);
        story.canaries.push(Canary::new("what was said", words));
    }
    for who in [0, 1] {
        story.devices[who].texts_of(GROUP, 2);
        let shown = story.devices[who].done(&["group", "show", GROUP]);
        for address in shown["addresses"].as_array().expect("addresses") {
            story.saw("an address", address);
        }
        let code = story.devices[who].done(&["verify", GROUP, NAMES[1 - who]]);
        story.saw("a safety code", &code["safety_code"]);
        for member in story.devices[who].rows(&["members", GROUP]) {
            story.saw_id("a member's id", &member["member_id"]);
        }
    }
    story
}

/// The names of all rows of a device that is offline: epochs, commits, generations, envelopes, members.
fn names_of_rows(device: &Device) -> Vec<Canary> {
    let store = SealedStore::open(&DataDir::new(&device.dir), PASSPHRASE.as_bytes()).expect("opens");
    let mut names = Vec::new();
    let read = store.reader().scan(&mut |key, _| {
        names.extend(key.name.get(8..).filter(|name| name.len() >= 16).map(|name| Canary::new("a row's name", name)));
    });
    read.expect("reads");
    Store::close(Box::new(store)).expect("closes");
    names
}

/// What is found in folders and in logs.
fn looked(story: &Story, traces: &Traces, place: &Path) -> [Found; 2] {
    let folders = story.devices.iter().map(|device| device.dir.clone());
    let folders = folders.chain(["home", "passing", "running"].map(|folder| place.join(folder)));
    let logs = NAMES.map(|name| fs::read(place.join(format!("log of {name}"))).expect("a log"));
    [
        folders.flat_map(|folder| traces.under(&folder)).collect(),
        logs.iter().flat_map(|log| traces.within(log)).collect(),
    ]
}

#[test]
fn a_log_of_everything_and_all_files_show_nothing_of_a_group() {
    let place = place();
    let mut story = told(place.path(), Some(ALL));
    let clean = [Found::new(), Found::new()];
    let running = Traces::of(&story.canaries);
    assert_eq!(looked(&story, &running, place.path()), clean, "while it runs");
    for device in &story.devices {
        device.done(&["lock"]);
    }
    assert_eq!(looked(&story, &running, place.path()), clean, "after it was locked");
    for device in &mut story.devices {
        until("unlocked", || (device.run(&["unlock"]).code == 0).then_some(()));
        device.down();
    }
    let names: Vec<Canary> = story.devices.iter().flat_map(names_of_rows).collect();
    assert!(names.len() > 40, "rows were read");
    story.canaries.extend(names);
    let traces = Traces::of(&story.canaries);
    assert_eq!(looked(&story, &traces, place.path()), clean, "after it has stopped");
    for folder in ["home", "passing", "running"] {
        assert_eq!(tree(&place.path().join(folder)), Vec::<std::path::PathBuf>::new(), "{folder}");
    }

    let path = place.path().join(format!("log of {}", NAMES[0]));
    let log = fs::read_to_string(&path).expect("text");
    assert!(log.contains(" DEBUG kinfold_"), "everything was asked for: {log}");
    // The same scan of the same log, had it told one thing more.
    // The name of a row may have an id in it, and is then known as that.
    let ids = || story.canaries.iter().filter(|other| other.what != "a row's name");
    let has_none = |name: &Canary| !ids().any(|id| name.bytes.windows(id.bytes.len()).any(|part| part == id.bytes));
    let row = story.canaries.iter().rposition(has_none).expect("a row with a name of its own");
    for (canary, how) in [(0, "raw"), (4, "hex"), (row, "hex")] {
        let said = &story.canaries[canary];
        let hex: String = said.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = if how == "raw" { said.bytes.clone() } else { hex.into_bytes() };
        fs::write(&path, [log.as_bytes(), &more].concat()).expect("written");
        let [_, found] = looked(&story, &traces, place.path());
        assert!(found.contains(&(said.what.clone(), how)), "{found:?}");
    }
}

#[test]
fn a_log_that_nobody_asked_for_shows_nothing_of_a_group() {
    let place = place();
    let mut story = told(place.path(), None);
    for device in &mut story.devices {
        device.down();
    }
    let names: Vec<Canary> = story.devices.iter().flat_map(names_of_rows).collect();
    story.canaries.extend(names);
    let traces = Traces::of(&story.canaries);
    assert_eq!(looked(&story, &traces, place.path()), [Found::new(), Found::new()]);
}
