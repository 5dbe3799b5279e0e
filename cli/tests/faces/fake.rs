//! A core that answers by rote, behind the real socket; and the binary as a child process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use kinfold_node::control::lines::{Notice, Stand, State};
use kinfold_node::control::socket::Socket;
use kinfold_node::control::{ApiError, Call, ErrorKind, Request};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc};

pub(crate) const GROUP: &str = "0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d";
pub(crate) const ANA: &str = "aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01aa01";

/// What the core was asked, as JSON, in order.
pub(crate) type Asked = Arc<Mutex<Vec<Value>>>;

pub(crate) struct Fake {
    pub(crate) directory: PathBuf,
    pub(crate) feed: broadcast::Sender<Notice>,
    pub(crate) asked: Asked,
    _runtime: Runtime,
    _root: TempDir,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let root = TempDir::new().expect("a folder");
        let directory = root.path().join("d".repeat(150));
        std::fs::create_dir(&directory).expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let (calls, mut requests) = mpsc::channel::<Call>(4);
        let (feed, _) = broadcast::channel(256);
        let asked = Asked::default();
        let (seen, told, place) = (Arc::clone(&asked), feed.clone(), directory.clone());
        let socket = runtime.block_on(async { Socket::bind(&place).expect("binds") });
        runtime.spawn(socket.serve(calls, feed.clone()));
        runtime.spawn(async move {
            while let Some(call) = requests.recv().await {
                seen.lock().expect("unpoisoned").push(json!(call.request));
                call.reply.send(answer(&call.request, &told)).unwrap_or_default();
                if matches!(call.request, Request::Down {}) {
                    return;
                }
            }
        });
        Self { directory, feed, asked, _runtime: runtime, _root: root }
    }

    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        run(&self.directory, line, "")
    }

    /// What was asked of one kind.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.asked.lock().expect("unpoisoned").iter().filter(|request| request["method"] == method).count()
    }

    /// The parameters of the last request of a method.
    pub(crate) fn last(&self, method: &str) -> Value {
        let asked = self.asked.lock().expect("unpoisoned");
        let found = asked.iter().rev().find(|request| request["method"] == method);
        found.map_or(Value::Null, |request| request["params"].clone())
    }
}

pub(crate) fn row(id: &str, text: &str, own: bool) -> Value {
    json!({
        "id": id, "kind": "text", "author": if own { "Ben" } else { "Ana" }, "author_id": ANA, "text": text,
        "sent": "2026-11-22T13:05:00.000Z", "expires": "2026-11-29T13:05:00.000Z",
        "state": if own { "kept" } else { "held" }, "own": own, "late": false, "group_id": GROUP, "group": "Circle"
    })
}

pub(crate) fn line(id: &str, text: &str, own: bool) -> Notice {
    Notice::Line(serde_json::from_value(row(id, text, own)).expect("a row"))
}

pub(crate) fn state(id: &str, state: State) -> Notice {
    Notice::State {
        group_id: GROUP.into(),
        id: id.into(),
        stand: Stand { state, received_by: None, received_of: None },
    }
}

fn group(name: &str) -> Value {
    json!({
        "group_id": GROUP, "name": name, "standing": "active", "members": 2, "connected": 1, "present": ["Ana"],
        "unread": 1, "waiting": 0, "retention_secs": 604_800, "facilitators": 1,
        "joined": "2026-11-22T13:00:00.000Z", "addresses": ["/ip4/127.0.0.1/tcp/4001"]
    })
}

/// What this core refuses.
fn refused(request: &Request) -> Result<(), ApiError> {
    if let Request::JoinCheck { invite } = request
        && invite.clone().into_inner().contains("BROKEN")
    {
        return Err(ApiError::new(ErrorKind::InviteMalformed));
    }
    if let Request::Members { group } | Request::GroupShow { group } | Request::Send { group, .. } = request {
        match group.as_str() {
            "Cirlce" => {
                let error = ApiError::new(ErrorKind::UnknownGroup);
                return Err(error.with_hint("did you mean \"Circle\"?".into()));
            }
            "locked" => return Err(ApiError::new(ErrorKind::Locked)),
            "full" => return Err(ApiError::new(ErrorKind::DiskFull)),
            "broken" => return Err(ApiError::new(ErrorKind::Bug)),
            _ => {}
        }
    }
    Ok(())
}

fn answer(request: &Request, feed: &broadcast::Sender<Notice>) -> Result<Value, ApiError> {
    refused(request)?;
    Ok(match request {
        Request::FacilitatorAdd { .. } | Request::FacilitatorRemove { .. } => json!({}),
        Request::GroupCreate { name, .. } => json!({"group_id": GROUP, "name": name}),
        Request::GroupDoctor { .. } => json!({}),
        Request::GroupLeave { .. } => json!({"group_id": GROUP, "standing": "leaving"}),
        Request::GroupList {} => json!({"groups": [group("Circle")]}),
        Request::GroupShow { group: asked } => group(if asked == "Tuesday" { "Tuesday circle" } else { "Circle" }),
        Request::History { last, .. } => {
            let rows = if *last == Some(0) { vec![] } else { vec![row("01", "How is\neveryone?\u{1b}[2J", false)] };
            let (unread_earlier, mark) = if *last == Some(1) { (292, None) } else { (0, Some(7)) };
            json!({
                "group_id": GROUP, "group": "Circle", "rows": rows, "unread_earlier": unread_earlier, "read_mark": mark
            })
        }
        Request::InviteCreate { .. } => {
            json!({"invite": "kinfold:abc", "invite_id": "ab12ab12ab12ab12", "expires": "2026-11-23T13:00:00.000Z"})
        }
        Request::InviteList { .. } => {
            let invite = json!({"invite_id": "ab12", "expires": "2026-11-23T13:00:00.000Z", "state": "used"});
            json!({"invites": [invite]})
        }
        Request::Join { .. } => json!({"group_id": GROUP, "name": "Circle"}),
        Request::JoinCancel { .. } => json!({"cancelled": 1}),
        Request::Members { .. } => json!({"members": [
            {"member_id": ANA, "name": "Ana", "role": "facilitator", "self": false, "connected": true, "verified": false}
        ]}),
        Request::Outbox { .. } => json!({"messages": []}),
        Request::Retention { secs, .. } => json!({"group_id": GROUP, "retention_secs": secs.unwrap_or(604_800)}),
        Request::Send { text, .. } => {
            let text = text.clone().into_inner();
            // Nobody may follow.
            feed.send(line("02", &text, true)).unwrap_or_default();
            if text.contains("is anybody there") {
                feed.send(state("02", State::Held)).unwrap_or_default();
            }
            json!({"id": "02", "state": "kept"})
        }
        Request::Status {} => json!({"version": "0.1.0", "locked": false, "groups": [group("Circle")]}),
        Request::Subscribe { group } => json!({"group_id": group.as_ref().map(|_| GROUP)}),
        Request::Verify { confirm, .. } => json!({
            "member_id": ANA, "name": "Ana", "safety_code": "11111 22222 33333 44444 55555 66666", "qr": "0AFF",
            "verified": confirm
        }),
        Request::Connect { .. }
        | Request::Down {}
        | Request::InviteRevoke { .. }
        | Request::JoinCheck { .. }
        | Request::Lock {}
        | Request::OutboxDrop { .. }
        | Request::OutboxSend { .. }
        | Request::Read { .. }
        | Request::Remove { .. }
        | Request::Unlock { .. }
        | Request::Version {} => json!({}),
    })
}

/// How a run of the binary ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) talk: String,
}

impl Ran {
    /// The only line of data, as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one line: {}{}", self.out, self.talk);
        serde_json::from_str(&self.out).expect("JSON")
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            talk: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

pub(crate) fn command(directory: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinfold"));
    command.args(line).env_clear().env("KINFOLD_DATA_DIR", directory).env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn start(directory: &Path, line: &[&str]) -> Child {
    command(directory, line).spawn().expect("starts")
}

pub(crate) fn run(directory: &Path, line: &[&str], typed: &str) -> Ran {
    let mut child = start(directory, line);
    let mut stdin = child.stdin.take().expect("a pipe");
    // A verb that reads nothing may have ended already.
    stdin.write_all(typed.as_bytes()).unwrap_or_default();
    drop(stdin);
    child.wait_with_output().expect("ends").into()
}
