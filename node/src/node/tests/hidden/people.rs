//! People with whole devices: a store on disk, networks on TCP, and a core that turns as in the program.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant as Moment;

use kinfold_protocol::persist::{Rows, Table};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::super::super::*;
use crate::net::recorded::Tape;
use crate::vault::KdfCost;

pub(super) const PASSPHRASE: &str = "six-plain-words-to-open-it";
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// A row of the store, opened.
pub(super) struct Row {
    pub(super) table: Table,
    /// Its network and the rest of its name.
    pub(super) net: u64,
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Somebody with a device.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) dir: TempDir,
    pub(super) tape: Tape,
    running: Option<(mpsc::Sender<Call>, JoinHandle<()>)>,
}

impl Person {
    pub(super) fn new(name: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let cost = KdfCost::new(64, 1, 1).expect("a cost");
        let store = SealedStore::create(&place(&dir), PASSPHRASE.as_bytes(), cost).expect("a store");
        Store::close(Box::new(store)).expect("closes");
        let mut person = Self { name, dir, tape: Tape::default(), running: None };
        person.up();
        person
    }

    /// Comes online.
    pub(super) fn up(&mut self) {
        let (place, tape) = (place(&self.dir), self.tape.clone());
        let (to_calls, calls) = mpsc::channel(CALLS_MAX);
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(turn(place, tape, calls));
        });
        self.running = Some((to_calls, thread));
    }

    /// Goes offline in order.
    pub(super) fn down(&mut self) {
        self.ask("down", &json!({}));
        let (_, thread) = self.running.take().expect("it runs");
        thread.join().expect("it ends well");
    }

    /// Asks the device; it must do as it is asked.
    pub(super) fn ask(&self, method: &str, params: &Value) -> Value {
        let request = serde_json::from_value(json!({ "method": method, "params": params })).expect("a request");
        let (reply, answer) = oneshot::channel();
        let (calls, _) = self.running.as_ref().expect("it runs");
        assert!(calls.blocking_send(Call { request, reply }).is_ok(), "{} has ended", self.name);
        let answer = answer.blocking_recv().expect("an answer");
        answer.unwrap_or_else(|error| panic!("{}: {method}: {}", self.name, error.kind.name()))
    }

    /// Asks again and again, until the answer is as wanted.
    pub(super) fn until(&self, what: &str, method: &str, params: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Moment::now() + PATIENCE;
        loop {
            let answer = self.ask(method, params);
            if wanted(&answer) {
                return answer;
            }
            assert!(Moment::now() < end, "never came at {}: {what}: {answer}", self.name);
            let (_nobody, never) = sync_channel::<()>(1);
            assert_eq!(never.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
        }
    }

    /// All that the store of a device that is offline holds, opened.
    pub(super) fn rows(&self) -> Vec<Row> {
        assert!(self.running.is_none(), "{} is online", self.name);
        let store = SealedStore::open(&place(&self.dir), PASSPHRASE.as_bytes()).expect("opens");
        let mut rows = Vec::new();
        let reader: Box<dyn Rows> = store.reader();
        let read = reader.scan(&mut |key, value| {
            let (net, name) =
                key.name.split_first_chunk().map_or((0, &key.name[..]), |(net, name)| (u64::from_be_bytes(*net), name));
            rows.push(Row { table: key.table, net, name: name.to_vec(), value: value.to_vec() });
        });
        read.expect("reads");
        drop(reader);
        Store::close(Box::new(store)).expect("closes");
        rows
    }
}

fn place(dir: &TempDir) -> DataDir {
    // A folder in a folder, so that the program makes it as it does for a person.
    DataDir::new(dir.path().join("kinfold"))
}

/// What `run` does, with networks that are recorded.
async fn turn(place: DataDir, tape: Tape, calls: mpsc::Receiver<Call>) {
    let (to_core, inbox) = mpsc::channel(INBOX_MAX);
    let (feed, _) = broadcast::channel(FEED_MAX);
    let open_store: OpenStore =
        Box::new(move |passphrase| Ok(Box::new(SealedStore::open(&place, passphrase)?) as Box<dyn Store>));
    let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    let nets = Nets::new(listen, to_core, Box::new(move |config, inbox| tape.start(config, inbox)));
    let mut core = Core::new(open_store, nets, false, feed);
    core.unlock(Zeroizing::new(PASSPHRASE.to_owned())).await.expect("opens");
    // Signals that nobody sends: those that end a program are to end the tests.
    let never = |kind| signal(kind).expect("a signal");
    let mut stop =
        Stop { terminate: never(SignalKind::user_defined1()), interrupt: never(SignalKind::user_defined2()) };
    core.turn(inbox, calls, &mut stop, |_| {}).await;
}
