//! A device stands still without a word, as a laptop does whose lid is closed: its sockets stay, and nobody answers.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::device::{Device, place};
use crate::wait::{seen_within, until};

const GROUP: &str = "Circle";
/// The network promises forty seconds: the second of two pings, ten seconds apart, that waited ten for an answer, and
/// the moment between two pings when it began. The rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(50);

fn connected(device: &Device) -> Option<u64> {
    device.done(&["group", "show", GROUP])["connected"].as_u64()
}

#[test]
fn a_device_that_stands_still_is_noticed_and_gets_everything_once_when_it_goes_on() {
    let place = place();
    let [ana, ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    for device in [&ana, &ben, &chi] {
        until("everybody is linked", || (connected(device) == Some(2)).then_some(()));
    }
    ben.signal(Signal::STOP);
    // Into a link that looks well: this is lost on the way, and nobody knows.
    ana.done(&["send", GROUP, "before anybody noticed"]);
    chi.texts_of(GROUP, 1);
    for device in [&ana, &chi] {
        let noticed = seen_within(NOTICED, || (connected(device) == Some(1)).then_some(()));
        assert_eq!(noticed, Some(()), "{} did not notice", device.name);
    }
    ana.done(&["send", GROUP, "when Ben was known to be away"]);
    let said = chi.texts_of(GROUP, 2);

    ben.signal(Signal::CONT);
    assert_eq!(ben.texts_of(GROUP, 2), said);
    for device in [&ana, &ben, &chi] {
        until("the links come back", || (connected(device) == Some(2)).then_some(()));
    }
    ben.done(&["send", GROUP, "back again"]);
    let said = ana.texts_of(GROUP, 3);
    assert_eq!(said.iter().map(|(_, text)| text.as_str()).next_back(), Some("back again"));
    for device in [&ben, &chi] {
        assert_eq!(device.texts_of(GROUP, 3), said, "each once and in the same order at {}", device.name);
    }
    // The messages are known to have been received by both, whichever way they came.
    until("receipts of both", || {
        let rows = ana.rows(&["history", GROUP, "--keep-unread"]);
        let own = rows.iter().filter(|row| row["kind"] == "text" && row["own"] == true);
        let received: BTreeSet<_> = own.map(|row| row["received_by"].as_u64()).collect();
        (received == BTreeSet::from([Some(2)])).then_some(())
    });
}
