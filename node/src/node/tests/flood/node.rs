//! A whole node, as it is but for its process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use kinfold_protocol::persist::{Key, Value as Stored, WriteBatch};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};

use super::super::*;
use super::LONG;
use super::device::Kept;
use crate::vault::KdfCost;

/// When each line was shown to somebody, by its text.
pub(super) type Shown = Arc<Mutex<BTreeMap<String, Instant>>>;

/// A node, as it is but for its process.
pub(super) struct Node {
    calls: mpsc::Sender<Call>,
    pub(super) shown: Shown,
    pub(super) addresses: Vec<String>,
    thread: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Node {
    pub(super) async fn start(rows: &Kept) -> Self {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::new(home.path().join("node"));
        dir.create().expect("a place");
        let mut store = SealedStore::create(&dir, b"four words", KdfCost::new(8, 1, 1).expect("cheap")).expect("made");
        let lasting = |(key, bytes): (&Key, &Vec<u8>)| (key.clone(), Some(Stored::lasting(bytes.clone())));
        let all = rows.0.lock().unwrap().iter().map(lasting).collect();
        store.commit(&WriteBatch { rows: all, urgent: false }).expect("kept");
        Store::close(Box::new(store)).expect("closed");
        let (to_core, inbox) = mpsc::channel(INBOX_MAX);
        let (feed, notices) = broadcast::channel(FEED_MAX);
        let (calls, from_faces) = mpsc::channel(CALLS_MAX);
        let (tell, ready) = oneshot::channel();
        let open_store: OpenStore =
            Box::new(move |passphrase| Ok(Box::new(SealedStore::open(&dir, passphrase)?) as Box<dyn Store>));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let (listen, _) = net::interfaces(&["/ip4/127.0.0.1".to_owned()]).expect("loopback");
                let nets = Nets::new(listen, to_core, Box::new(net::start));
                let mut core = Core::new(open_store, nets, false, feed);
                core.unlock(Zeroizing::new("four words".to_owned())).await.expect("opens");
                let mut stop = Stop::new().expect("signals");
                let ready = |addresses: Vec<(String, String)>| tell.send(addresses).expect("somebody waits");
                core.turn(inbox, from_faces, &mut stop, ready).await;
            });
        });
        let shown = Shown::default();
        tokio::spawn(note_lines(notices, Arc::clone(&shown)));
        let addresses = timeout(LONG, ready).await.expect("in time").expect("it runs");
        let addresses = addresses.into_iter().map(|(_, address)| address).collect();
        Self { calls, shown, addresses, thread, _dir: home }
    }

    pub(super) async fn ask(&self, method: &str, params: &Value) -> Result<Value, ApiError> {
        let request = serde_json::from_value(json!({ "method": method, "params": params })).expect("a request");
        let (reply, answer) = oneshot::channel();
        self.calls.send(Call { request, reply }).await.expect("it runs");
        timeout(LONG, answer).await.expect("an answer in time").expect("an answer")
    }

    pub(super) async fn say(&self, text: &str) {
        self.ask("send", &json!({ "group": "Circle", "text": text })).await.expect("kept");
    }

    pub(super) async fn history(&self) -> BTreeSet<String> {
        let history = self.ask("history", &json!({ "group": "Circle" })).await.expect("a history");
        let rows = history["rows"].as_array().expect("rows").iter();
        rows.filter_map(|row| row["text"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until all of these were shown.
    pub(super) async fn shows(&self, texts: &[String]) {
        let mut looks = interval(Duration::from_millis(50));
        let all = async {
            while texts.iter().any(|text| !self.shown.lock().unwrap().contains_key(text)) {
                looks.tick().await;
            }
        };
        timeout(LONG, all).await.expect("everything is shown");
    }

    pub(super) async fn stop(self) {
        self.ask("down", &json!({})).await.expect("it stops");
        tokio::task::spawn_blocking(move || self.thread.join().expect("it ended well")).await.expect("it ended");
    }
}

pub(super) async fn note_lines(mut notices: broadcast::Receiver<Notice>, shown: Shown) {
    loop {
        match notices.recv().await {
            Ok(Notice::Line(row)) => {
                let at = Instant::now();
                if let Some(text) = row.text {
                    shown.lock().unwrap().entry(text).or_insert(at);
                }
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
