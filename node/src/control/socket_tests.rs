use std::io::{BufRead, BufReader as BlockingReader, Write};
use std::os::unix::fs::DirBuilderExt;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::control::rows::Standing;

/// A node without a core: answers every request with its method, refuses what is locked, takes `down` as the end.
struct Fake {
    directory: PathBuf,
    feed: broadcast::Sender<Notice>,
    served: tokio::task::JoinHandle<()>,
    _root: TempDir,
}

const FEED_CAP: usize = 4;

impl Fake {
    fn start(name_length: usize) -> Self {
        let root = TempDir::new().expect("a folder");
        let mut directory = root.path().to_path_buf();
        while directory.as_os_str().len() < name_length {
            let missing = name_length - directory.as_os_str().len();
            directory.push("d".repeat((missing - 1).clamp(1, 100)));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).expect("a folder");
        Self::start_in(root, directory)
    }

    fn start_in(root: TempDir, directory: PathBuf) -> Self {
        let (calls, mut requests) = mpsc::channel::<Call>(4);
        let (feed, _) = broadcast::channel(FEED_CAP);
        let socket = Socket::bind(&directory).expect("binds");
        let served = tokio::spawn(socket.serve(calls, feed.clone()));
        tokio::spawn(async move {
            while let Some(call) = requests.recv().await {
                let down = matches!(call.request, Request::Down {});
                let answer = match &call.request {
                    Request::Lock {} => Err(ApiError::new(ErrorKind::Locked)),
                    Request::Subscribe { group: Some(group) } => Ok(json!({"group_id": group})),
                    request => Ok(json!({"method": request.method()})),
                };
                call.reply.send(answer).expect("the connection waits");
                if down {
                    return;
                }
            }
        });
        Self { directory, feed, served, _root: root }
    }

    fn client(&self) -> Client {
        let stream = connect(&self.directory).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Client { reader: BlockingReader::new(stream.try_clone().expect("a copy")), stream }
    }
}

struct Client {
    reader: BlockingReader<BlockingStream>,
    stream: BlockingStream,
}

impl Client {
    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("writes");
    }

    fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("reads");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    fn ask(&mut self, line: &str) -> Value {
        self.write(line.as_bytes());
        self.write(b"\n");
        self.read().expect("an answer")
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string())
    }
}

fn left(group_id: &str) -> Notice {
    Notice::Standing { group_id: group_id.into(), standing: Standing::Left }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_200_characters_works_and_the_socket_is_private() {
    let fake = Fake::start(200);
    assert_eq!(fake.directory.as_os_str().len(), 200);
    let answer = fake.client().call("status", &json!({}));
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 1, "result": {"method": "status"}}));
    let mode = fs::symlink_metadata(fake.directory.join(SOCKET_NAME)).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let root = TempDir::new().expect("a folder");
    let directory = root.path().to_path_buf();
    drop(std::os::unix::net::UnixListener::bind(directory.join(SOCKET_NAME)).expect("binds"));
    assert_eq!(connect(&directory).expect_err("nobody listens"), NodeError::NotRunning);

    let fake = Fake::start_in(root, directory);
    assert_eq!(fake.client().call("status", &json!({}))["result"]["method"], "status");
    assert_eq!(Socket::bind(&fake.directory).expect_err("somebody listens"), NodeError::InUse);
}

#[tokio::test]
async fn a_file_in_the_sockets_place_is_not_deleted() {
    let root = TempDir::new().expect("a folder");
    let file = root.path().join(SOCKET_NAME);
    fs::write(&file, "a letter").expect("writes");
    assert_eq!(Socket::bind(root.path()).expect_err("refused"), NodeError::BadSocket);
    assert_eq!(fs::read_to_string(&file).expect("is there"), "a letter");
}

#[test]
fn a_directory_that_is_not_there_is_a_node_that_does_not_run() {
    assert_eq!(connect(Path::new("/nowhere/at/all")).expect_err("nothing"), NodeError::NotRunning);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_arrives_whole_and_the_connection_goes_on() {
    let fake = Fake::start(0);
    let mut client = fake.client();
    let answer = client.call("lock", &json!({}));
    assert_eq!(answer["error"]["code"], 1301);
    assert_eq!(answer["error"]["data"]["kind"], "locked");
    assert_eq!(client.ask("{\"jsonrpc\":\"2.0\"")["error"]["code"], -32700);
    assert_eq!(client.call("fly", &json!({}))["error"]["code"], -32601);
    assert_eq!(client.call("send", &json!({"group": "g"}))["error"]["code"], -32602);
    assert_eq!(client.call("status", &json!({}))["result"]["method"], "status");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_bytes_and_halves_of_lines_do_no_harm() {
    let fake = Fake::start(0);
    let mut client = fake.client();
    client.write(&[0xff, 0x00, 0x1b, b'\n']);
    assert_eq!(client.read().expect("an answer")["error"]["code"], -32700);
    client.write(b"{\"jsonrpc\":\"2.0\",\"id\":1,");
    client.write(b"\"method\":\"status\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"version\"}\n");
    assert_eq!(client.read().expect("an answer")["id"], 1);
    assert_eq!(client.read().expect("an answer")["id"], 2);
    client.write(b"GET / HTTP/1.1");
    drop(client);
    assert_eq!(fake.client().call("status", &json!({}))["result"]["method"], "status");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_past_the_bound_is_answered_and_ends_the_connection() {
    let fake = Fake::start(0);
    let mut client = fake.client();
    client.write(&vec![b'x'; LINE_BYTES_MAX + 1]);
    assert_eq!(client.read().expect("an answer")["error"]["data"]["kind"], "too_long");
    // What was not read may end the connection with a reset instead of a plain end.
    let mut rest = Vec::new();
    assert!(matches!(client.reader.read_until(b'\n', &mut rest), Ok(0) | Err(_)));

    let mut client = fake.client();
    let longest = json!({"jsonrpc": "2.0", "id": 1, "method": "send",
        "params": {"group": "g", "text": "\u{1b}".repeat(16 * 1024)}});
    assert_eq!(client.ask(&longest.to_string())["result"]["method"], "send", "the longest text fits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_past_the_bound_is_told_why() {
    let fake = Fake::start(0);
    let mut clients: Vec<_> = (0..CONNECTIONS_MAX).map(|_| fake.client()).collect();
    for client in &mut clients {
        client.call("status", &json!({}));
    }
    let mut late = fake.client();
    assert_eq!(late.call("status", &json!({}))["error"]["data"]["kind"], "busy", "also to who asks first");
    assert_eq!(fake.client().read().expect("an answer")["error"]["data"]["kind"], "busy");
}

/// Nobody can be shut out by connections that say nothing: not even `down`. Those who have asked something stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_nothing_makes_room_for_who_does() {
    let fake = Fake::start(0);
    let mut windows: Vec<_> = (0..2).map(|_| fake.client()).collect();
    for window in &mut windows {
        window.call("status", &json!({}));
    }
    let mut silent: Vec<_> = (2..CONNECTIONS_MAX).map(|_| fake.client()).collect();
    let asked = Instant::now();
    let answer = loop {
        let answer = fake.client().call("status", &json!({}));
        if answer["error"].is_null() {
            break answer;
        }
        assert_eq!(answer["error"]["data"]["kind"], "busy");
        assert!(asked.elapsed() < Duration::from_secs(30), "still shut out");
    };
    assert_eq!(answer["result"]["method"], "status");
    for window in &mut windows {
        assert_eq!(window.call("status", &json!({}))["result"]["method"], "status", "a window stays open");
    }
    // Whoever typed for too long hears why.
    assert_eq!(silent.remove(0).read().expect("a word")["error"]["data"]["kind"], "busy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_in_the_place_of_the_socket_is_never_followed() {
    let fake = Fake::start(0);
    let elsewhere = TempDir::new().expect("a folder");
    std::os::unix::fs::symlink(fake.directory.join(SOCKET_NAME), elsewhere.path().join(SOCKET_NAME)).expect("a link");
    assert_eq!(connect(elsewhere.path()).expect_err("refused"), NodeError::BadSocket);
    assert_eq!(Socket::bind(elsewhere.path()).expect_err("refused"), NodeError::BadSocket);
    assert_eq!(fake.client().call("status", &json!({}))["result"]["method"], "status", "its own is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_hears_its_group_and_what_concerns_all() {
    let fake = Fake::start(0);
    let mut client = fake.client();
    assert_eq!(client.call("subscribe", &json!({"group": "aa"}))["result"]["group_id"], "aa");
    for notice in [left("bb"), left("aa"), Notice::Locked {}] {
        fake.feed.send(notice).expect("somebody listens");
    }
    let first = json!({"jsonrpc": "2.0", "method": "event",
        "params": {"event": "standing", "group_id": "aa", "standing": "left"}});
    assert_eq!(client.read(), Some(first));
    assert_eq!(client.read().expect("a notice")["params"]["event"], "locked");
    assert_eq!(client.call("status", &json!({}))["result"]["method"], "status", "requests go on beside it");
}

#[tokio::test(flavor = "current_thread")]
async fn a_slow_subscriber_is_told_what_it_missed() {
    let fake = Fake::start(0);
    let directory = fake.directory.clone();
    let mut client = tokio::task::spawn_blocking(move || {
        let stream = connect(&directory).expect("connects");
        let mut client = Client { reader: BlockingReader::new(stream.try_clone().expect("a copy")), stream };
        client.call("subscribe", &json!({}));
        client
    })
    .await
    .expect("subscribed");
    // One thread: nothing is read from the feed while this loop runs.
    for _ in 0..FEED_CAP + 3 {
        fake.feed.send(left("aa")).expect("somebody listens");
    }
    let notice = tokio::task::spawn_blocking(move || client.read()).await.expect("reads").expect("a notice");
    assert_eq!(notice["params"], json!({"event": "lagged", "missed": 3}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_down_arrives_before_the_end_and_the_socket_goes() {
    let fake = Fake::start(0);
    let mut client = fake.client();
    let mut idle = fake.client();
    idle.call("status", &json!({}));
    assert_eq!(client.call("down", &json!({}))["result"]["method"], "down");
    assert_eq!(client.read(), None);
    assert_eq!(idle.read(), None);
    fake.served.await.expect("ends");
    assert!(!fake.directory.join(SOCKET_NAME).exists());
    assert_eq!(connect(&fake.directory).expect_err("gone"), NodeError::NotRunning);
}
