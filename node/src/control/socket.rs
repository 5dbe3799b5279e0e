//! The control socket: `control.sock` in the data directory, for this account only, one JSON object a line.
//!
//! It carries requests to the core and answers and notices back. It holds no state of a group. Everything that a
//! client can make grow is bounded here: connections, the length of a line, requests under way (one a connection),
//! notices that wait (the broadcast channel's own bound).

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::api::{Call, Request};
use super::errors::{ApiError, ErrorKind, NodeError};
use super::frame::{self, LINE_BYTES_MAX};
use super::lines::Notice;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Connections at a time: a few windows and scripts of one person.
const CONNECTIONS_MAX: usize = 32;

/// How long a connection may ask nothing when another one needs its place: a program asks at once.
const FIRST_WORD_MAX: Duration = Duration::from_secs(2);

/// Connections that are told at a time that there is no room; more are closed without a word.
const TURNED_AWAY_MAX: usize = 8;

/// How long one of these may take to read it.
const TURN_AWAY_MAX: Duration = Duration::from_secs(1);

/// A socket's path that the kernel takes as it is; its own limit is 103 bytes on the strictest system.
const PLAIN_PATH_MAX: usize = 100;

/// How long answers may still take to leave once the core has ended.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The control socket, bound.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
}

impl Socket {
    /// Binds the socket in `directory`, which the caller has made private (0700) and holds the lock of. A stale
    /// socket is replaced.
    ///
    /// # Errors
    /// [`NodeError::InUse`] when something answers there; [`NodeError::BadSocket`] when something that is not a socket is
    /// in its place; else why the file cannot be made.
    pub fn bind(directory: &Path) -> Result<Self, NodeError> {
        let place = Place::open(directory).map_err(|error| storage(&error))?;
        place.check()?;
        if BlockingStream::connect(&place.address).is_ok() {
            return Err(NodeError::InUse);
        }
        match fs::remove_file(&place.address) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(storage(&error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&place.address).map_err(|error| storage(&error))?;
        // Between the two calls the directory's own 0700 keeps others out.
        fs::set_permissions(&place.address, Permissions::from_mode(0o600)).map_err(|error| storage(&error))?;
        Ok(Self { listener, place })
    }

    /// Serves until the receiving end of `calls` is gone, then lets the last answers leave and takes the socket
    /// away.
    pub async fn serve(self, calls: mpsc::Sender<Call>, feed: broadcast::Sender<Notice>) {
        let mut guests: Vec<Guest> = Vec::new();
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = calls.closed() => break,
            };
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = accepted else {
                // Out of file handles: the connections that are open go on, and give theirs back in time.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            if !same_account(&stream) {
                tracing::warn!(code = "foreign_account", "control connection refused");
                continue;
            }
            let (reader, writer) = stream.into_split();
            guests.retain(|guest| !guest.task.is_finished());
            if guests.len() >= CONNECTIONS_MAX && !see_out(&mut guests) {
                if let Ok(permit) = Arc::clone(&turned_away).try_acquire_owned() {
                    connections.spawn(async {
                        turn_away(Lines::of(reader), writer).await;
                        drop(permit);
                    });
                }
                continue;
            }
            let (silent, leave) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
            let connection = Connection {
                calls: calls.clone(),
                feed: feed.clone(),
                lines: Lines::of(reader),
                writer,
                silent: Arc::clone(&silent),
                leave: Arc::clone(&leave),
                first: true,
                pending: None,
                subscription: None,
            };
            let task = connections.spawn(connection.run());
            guests.push(Guest { since: Instant::now(), silent, leave, task });
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::debug!(code = "undrained", "a control connection was cut");
        }
        // If it cannot be removed, the next start replaces it.
        if fs::remove_file(&self.place.address).is_err() {
            tracing::debug!(code = "socket_left", "the control socket stays behind");
        }
    }
}

/// Connects to the node that runs in `directory`.
///
/// # Errors
/// [`NodeError::NotRunning`] when nothing listens, [`NodeError::BadSocket`] when that is no socket, [`NodeError::NoAccess`] when the directory is another account's.
pub fn connect(directory: &Path) -> Result<BlockingStream, NodeError> {
    let place = match Place::open(directory) {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(NodeError::NoAccess),
        Err(_) => return Err(NodeError::NotRunning),
    };
    place.check()?;
    BlockingStream::connect(&place.address).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => NodeError::NoAccess,
        _ => NodeError::NotRunning,
    })
}

/// Where the socket is, in a form that the kernel takes: a long path goes through the open directory.
#[derive(Debug)]
struct Place {
    address: PathBuf,
    /// Kept open for as long as `address` is used.
    _directory: File,
}

impl Place {
    fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = File::from(rustix::fs::open(directory, flags, Mode::empty())?);
        let plain = directory.join(SOCKET_NAME);
        let address = if plain.as_os_str().as_bytes().len() <= PLAIN_PATH_MAX || !cfg!(target_os = "linux") {
            plain
        } else {
            PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(SOCKET_NAME)
        };
        Ok(Self { address, _directory: opened })
    }

    /// Refuses anything but a socket: a link could lead a passphrase to whoever listens at its end.
    fn check(&self) -> Result<(), NodeError> {
        match fs::symlink_metadata(&self.address) {
            Ok(found) if !found.file_type().is_socket() => Err(NodeError::BadSocket),
            // Nothing there, or nothing to be seen: whoever uses it finds out.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn storage(error: &io::Error) -> NodeError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => NodeError::NoAccess,
        io::ErrorKind::ReadOnlyFilesystem => NodeError::ReadOnly,
        // The second where no way goes through the open directory: see `Place`.
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => NodeError::PathTooLong,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NodeError::DiskFull,
        io::ErrorKind::AddrInUse => NodeError::InUse,
        _ if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) => NodeError::FewFiles,
        _ => NodeError::Storage,
    }
}

fn same_account(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// Tells why, and stays until that is read: what a client has yet to write would otherwise end it with no word.
async fn turn_away(mut lines: Lines, mut writer: OwnedWriteHalf) {
    let line = frame::answer(&Value::Null, Err(ApiError::new(ErrorKind::Busy)));
    let told = async {
        writer.write_all(&line).await?;
        writer.shutdown().await?;
        while let Some(LineRead::Whole(_)) = lines.next().await? {}
        Ok::<(), io::Error>(())
    };
    // The client may be gone already; there is nobody else to tell.
    drop(tokio::time::timeout(TURN_AWAY_MAX, told).await);
}

/// A connection, as the table of them sees it.
struct Guest {
    since: Instant,
    /// Whether it has yet to ask something. Who takes that away decides: it may speak, or it must go.
    silent: Arc<AtomicBool>,
    /// Asks it to go.
    leave: Arc<Notify>,
    task: AbortHandle,
}

/// Ends the oldest connection that has asked nothing in the time a program takes to ask; whether there was one. Windows
/// that a person has open have asked something.
fn see_out(guests: &mut Vec<Guest>) -> bool {
    let late = |guest: &Guest| guest.since.elapsed() >= FIRST_WORD_MAX && guest.silent.swap(false, Ordering::SeqCst);
    let Some(place) = guests.iter().position(late) else { return false };
    guests.remove(place).leave.notify_one();
    true
}

/// One client. One request is under way at a time; notices flow meanwhile.
struct Connection {
    calls: mpsc::Sender<Call>,
    feed: broadcast::Sender<Notice>,
    lines: Lines,
    writer: OwnedWriteHalf,
    /// See [`Guest`].
    silent: Arc<AtomicBool>,
    leave: Arc<Notify>,
    first: bool,
    pending: Option<Pending>,
    subscription: Option<Subscription>,
}

/// A request that the core has and has not answered.
struct Pending {
    id: Value,
    reply: oneshot::Receiver<Result<Value, ApiError>>,
    /// For `subscribe`: the feed from before the core looked, so that nothing falls between.
    feed: Option<broadcast::Receiver<Notice>>,
}

struct Subscription {
    feed: broadcast::Receiver<Notice>,
    group_id: Option<String>,
}

/// What moves a connection on.
enum Turn {
    Answer(Result<Result<Value, ApiError>, oneshot::error::RecvError>),
    /// Somebody who asks needs the place.
    Leave,
    Line(io::Result<Option<LineRead>>),
    Notice(Box<Result<Notice, RecvError>>),
    Stop,
}

impl Connection {
    async fn run(mut self) {
        loop {
            let turn = tokio::select! {
                answer = pending(&mut self.pending) => Turn::Answer(answer),
                line = self.lines.next(), if self.pending.is_none() => Turn::Line(line),
                notice = noticed(&mut self.subscription) => Turn::Notice(Box::new(notice)),
                () = self.calls.closed(), if self.pending.is_none() => Turn::Stop,
                () = self.leave.notified() => Turn::Leave,
            };
            let done = match turn {
                Turn::Answer(answer) => self.answered(answer.unwrap_or_else(|_| stopped())).await,
                Turn::Leave => return turn_away(self.lines, self.writer).await,
                Turn::Line(Ok(Some(LineRead::Whole(line)))) => self.asked(&line).await,
                Turn::Line(Ok(Some(LineRead::TooLong))) => {
                    // The rest of the line cannot be told from the next request: answer and close.
                    let line = frame::answer(&Value::Null, Err(ApiError::new(ErrorKind::TooLong)));
                    self.writer.write_all(&line).await.and(Err(io::ErrorKind::InvalidData.into()))
                }
                Turn::Notice(notice) => self.noticed(*notice).await,
                Turn::Line(Ok(None) | Err(_)) | Turn::Stop => return,
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn asked(&mut self, line: &[u8]) -> io::Result<()> {
        if self.first && !self.silent.swap(false, Ordering::SeqCst) {
            // Shown out in this moment: nothing of it is done, and it is told so next.
            return Ok(());
        }
        self.first = false;
        let (id, request) = frame::parse(line);
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.writer.write_all(&frame::answer(&id, Err(error))).await,
        };
        let feed = matches!(request, Request::Subscribe { .. }).then(|| self.feed.subscribe());
        let (reply, answer) = oneshot::channel();
        // If the core has ended, the reply's end went with the call, and the answer says that we are stopping.
        if self.calls.send(Call { request, reply }).await.is_err() {
            tracing::debug!(code = "stopping", "a request came after the end");
        }
        self.pending = Some(Pending { id, reply: answer, feed });
        Ok(())
    }

    async fn answered(&mut self, answer: Result<Value, ApiError>) -> io::Result<()> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        if let (Some(feed), Ok(value)) = (pending.feed, &answer) {
            let group_id = value.get("group_id").and_then(Value::as_str).map(str::to_owned);
            self.subscription = Some(Subscription { feed, group_id });
        }
        self.writer.write_all(&frame::answer(&pending.id, answer)).await
    }

    async fn noticed(&mut self, notice: Result<Notice, RecvError>) -> io::Result<()> {
        let notice = match notice {
            Ok(notice) => notice,
            Err(RecvError::Lagged(missed)) => Notice::Lagged { missed },
            Err(RecvError::Closed) => {
                self.subscription = None;
                return Ok(());
            }
        };
        let wanted = self.subscription.as_ref().and_then(|subscription| subscription.group_id.as_deref());
        match (wanted, notice.group_id()) {
            (Some(wanted), Some(about)) if wanted != about => Ok(()),
            _ => self.writer.write_all(&frame::event(&notice)).await,
        }
    }
}

fn stopped() -> Result<Value, ApiError> {
    Err(ApiError::new(ErrorKind::Stopping))
}

async fn pending(pending: &mut Option<Pending>) -> Result<Result<Value, ApiError>, oneshot::error::RecvError> {
    match pending {
        Some(pending) => (&mut pending.reply).await,
        None => std::future::pending().await,
    }
}

async fn noticed(subscription: &mut Option<Subscription>) -> Result<Notice, RecvError> {
    match subscription {
        Some(subscription) => subscription.feed.recv().await,
        None => std::future::pending().await,
    }
}

/// Reads bounded lines. Safe to cancel between reads: what came so far stays in `partial`.
struct Lines {
    reader: BufReader<OwnedReadHalf>,
    partial: Zeroizing<Vec<u8>>,
}

enum LineRead {
    TooLong,
    Whole(Zeroizing<Vec<u8>>),
}

impl Lines {
    fn of(reader: OwnedReadHalf) -> Self {
        Self { reader: BufReader::new(reader), partial: Zeroizing::new(Vec::new()) }
    }

    async fn next(&mut self) -> io::Result<Option<LineRead>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(None);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let (piece, used) = match end {
                Some(end) => (available.get(..end).unwrap_or_default(), end.saturating_add(1)),
                None => (available, available.len()),
            };
            if self.partial.len().saturating_add(piece.len()) > LINE_BYTES_MAX {
                return Ok(Some(LineRead::TooLong));
            }
            self.partial.extend_from_slice(piece);
            self.reader.consume(used);
            if end.is_some() {
                let line = std::mem::take(&mut *self.partial);
                return Ok(Some(LineRead::Whole(Zeroizing::new(line))));
            }
        }
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
