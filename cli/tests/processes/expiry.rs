//! After its deadline a message is gone from the store, not only from what is shown.

use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};

use crate::device::{Device, PASSPHRASE, place};
use crate::wait::{pause, until};

const GROUP: &str = "Circle";
const DYING: &str = "heron-lantern-quartz";
const LASTING: &str = "meadow-anchor-violet";

/// In how many rows of a stopped node's store words stand in the plain, under the seal.
fn rows_with(device: &Device, words: &str) -> usize {
    let store = SealedStore::open(&DataDir::new(&device.dir), PASSPHRASE.as_bytes()).expect("opens");
    let mut found = 0;
    let reader = store.reader();
    reader
        .scan(&mut |_, bytes| {
            found += usize::from(bytes.windows(words.len()).any(|window| window == words.as_bytes()));
        })
        .expect("reads");
    drop(reader);
    Store::close(Box::new(store)).expect("closes");
    found
}

#[test]
fn the_rows_of_an_expired_message_are_gone_on_every_device_also_on_one_that_slept() {
    let place = place();
    let [mut ana, mut ben, mut chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    ana.done(&["send", GROUP, LASTING]);
    ana.done(&["send", GROUP, DYING, "--expires", "12s"]);
    for device in [&ana, &ben, &chi] {
        assert_eq!(device.texts_of(GROUP, 2)[1].1, DYING);
    }
    chi.kill();
    assert_ne!(rows_with(&chi, DYING), 0, "before the deadline the words stand in the store");
    for device in [&ana, &ben] {
        until("the end of a message", || (device.texts(GROUP).len() == 1).then_some(()));
        assert_eq!(device.texts_of(GROUP, 1)[0].1, LASTING);
    }
    chi.up();
    assert_eq!(chi.texts(GROUP).len(), 1, "swept before anything is shown");
    pause(std::time::Duration::from_secs(1));
    for device in [&mut ana, &mut ben, &mut chi] {
        assert!(!device.rows(&["history", GROUP]).iter().any(|row| row.to_string().contains(DYING)));
        device.down();
        assert_eq!(rows_with(device, DYING), 0, "at {}", device.name);
        assert_ne!(rows_with(device, LASTING), 0, "the look into the store sees what lives, at {}", device.name);
    }
}
