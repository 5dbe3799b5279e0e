//! One link: a task that carries frames between its stream and the core.
//!
//! On the stream a frame is its length in four bytes, big-endian, and the bytes.
//!
//! The task alone reports the link, so what it reports is in order. Reading waits for the core, and the peer then waits
//! for us; writing waits for the peer, but not for ever.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::limits::{FRAME_BYTES_MAX, PUSH_BYTES_MAX};
use kinfold_protocol::step::{Address, Ends, Input};
use libp2p::Multiaddr;
use libp2p::swarm::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{FromNet, Patience};

/// Frames that wait for a peer: what a full step of the core can say to one peer, however short each is.
const QUEUE_FRAMES_MAX: usize = 1_024;
/// Bytes that wait for a peer: 64 pushes of envelopes, half a minute of a slow line. With [`QUEUE_FRAMES_MAX`] it
/// bounds what a peer that does not read can make us keep; beyond it the peer loses its link, and catches up after the
/// next.
const QUEUE_BYTES_MAX: usize = 64 * PUSH_BYTES_MAX;
/// What a peer may have in the core's inbox at once: a page of envelopes that is opened, and one that waits. What one
/// peer says then holds up another for that long and no longer.
const IN_HAND_BYTES: usize = FRAME_BYTES_MAX;
/// What a frame takes of it at least: a short one can ask for much.
const IN_HAND_EACH: usize = 8 * 1024;
/// Bytes between two looks at the clock while writing: a peer that takes this much is alive.
const CHUNK_BYTES: usize = 16 * 1024;
/// Reserved for a frame before its bytes are there, so that a length alone costs little.
const FIRST_BYTES: usize = 4 * 1024;

const _: () = assert!(FRAME_BYTES_MAX < QUEUE_BYTES_MAX);

/// The net task's end of a link. Dropping it ends the link when the queued frames are written.
pub(super) struct Link {
    frames: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    admitted: CancellationToken,
    remote: Multiaddr,
    _leave: DropGuard,
}

/// A frame and the room that it takes.
struct Queued {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// What a link starts with.
pub(super) struct Start {
    pub(super) net: NetId,
    pub(super) link: LinkId,
    pub(super) ends: Ends,
    pub(super) address: Option<Address>,
    /// The other end of the connection.
    pub(super) remote: Multiaddr,
    pub(super) stream: Stream,
    pub(super) inbox: mpsc::Sender<FromNet>,
    /// Resolves when an earlier link to the same peer has been reported as gone.
    pub(super) before: Option<oneshot::Receiver<()>>,
    pub(super) patience: Patience,
}

/// The task's end of a link.
struct Orders {
    frames: mpsc::Receiver<Queued>,
    admitted: CancellationToken,
    leave: CancellationToken,
}

/// Why a link ended; the code is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    CoreGone,
    Left,
    NeverAdmitted,
    Oversize,
    Stalled,
}

impl End {
    const fn code(self) -> &'static str {
        match self {
            Self::Closed => "link-closed",
            Self::CoreGone => "link-core-gone",
            Self::Left => "link-left",
            Self::NeverAdmitted => "link-never-admitted",
            Self::Oversize => "link-oversize",
            Self::Stalled => "link-stalled",
        }
    }
}

/// The peer reads too slowly, or the frame is longer than any may be: the link cannot go on.
#[derive(Debug)]
pub(super) struct NoRoom;

impl Link {
    /// Queues a frame.
    pub(super) fn send(&self, bytes: Vec<u8>) -> Result<(), NoRoom> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(NoRoom);
        }
        let length = u32::try_from(bytes.len()).map_err(|_| NoRoom)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| NoRoom)?;
        match self.frames.try_send(Queued { bytes, _room: room }) {
            // The task has ended and says so.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(NoRoom),
        }
    }

    /// The other end of its connection.
    pub(super) const fn remote(&self) -> &Multiaddr {
        &self.remote
    }

    /// Lets the link live on past the time of a stranger.
    pub(super) fn admit(&self) {
        self.admitted.cancel();
    }
}

/// A link and its task, not yet running.
pub(super) fn prepare(start: Start) -> (Link, impl Future<Output = ()> + Send) {
    let (sender, frames) = mpsc::channel(QUEUE_FRAMES_MAX);
    let (admitted, leave) = (CancellationToken::new(), CancellationToken::new());
    let orders = Orders { frames, admitted: admitted.clone(), leave: leave.clone() };
    let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
    let link = Link { frames: sender, room, admitted, remote: start.remote.clone(), _leave: leave.drop_guard() };
    (link, run(start, orders))
}

async fn run(start: Start, orders: Orders) {
    let Start { net, link, ends, address, stream, inbox, before, patience, .. } = start;
    if let Some(before) = before {
        // Its sender is dropped, never used.
        let _gone = before.await;
    }
    if tell(&inbox, Input::Connected { net, link, ends, address }).await.is_err() {
        return;
    }
    let end = carry(stream, link, &inbox, orders, patience).await;
    tracing::debug!(code = end.code());
    // The core that is gone needs no word.
    let _told = tell(&inbox, Input::Disconnected { link }).await;
}

async fn tell(inbox: &mpsc::Sender<FromNet>, input: Input) -> Result<(), End> {
    inbox.send(FromNet::plain(input)).await.map_err(|_| End::CoreGone)
}

async fn carry(stream: Stream, link: LinkId, inbox: &mpsc::Sender<FromNet>, orders: Orders, patience: Patience) -> End {
    let Orders { frames, admitted, leave } = orders;
    let (reader, writer) = stream.split();
    let mut reading = std::pin::pin!(read_frames(reader, link, inbox));
    let mut writing = std::pin::pin!(write_frames(writer, frames, patience.stall));
    tokio::select! {
        end = &mut reading => end,
        end = &mut writing => match end {
            // The peer has closed: what it said before that is still to be read.
            End::Closed => timeout(patience.farewell, &mut reading).await.unwrap_or(End::Closed),
            other => other,
        },
        end = never_admitted(&admitted, patience.stranger) => end,
        () = leave.cancelled() => {
            // The peer may be slow or gone; then it does not get what is queued.
            let _written = timeout(patience.farewell, &mut writing).await;
            End::Left
        }
    }
}

async fn never_admitted(admitted: &CancellationToken, stranger: Duration) -> End {
    tokio::select! {
        () = admitted.cancelled() => std::future::pending().await,
        () = sleep(stranger) => End::NeverAdmitted,
    }
}

async fn read_frames(mut reader: impl AsyncRead + Unpin, link: LinkId, inbox: &mpsc::Sender<FromNet>) -> End {
    let in_hand = Arc::new(Semaphore::new(IN_HAND_BYTES));
    loop {
        let bytes = match read_frame(&mut reader).await {
            Ok(bytes) => bytes,
            Err(end) => return end,
        };
        let takes = u32::try_from(bytes.len().clamp(IN_HAND_EACH, IN_HAND_BYTES)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&in_hand).acquire_many_owned(takes).await else { return End::CoreGone };
        let frame = FromNet { input: Input::Frame { link, bytes }, verdict: None, room: Some(room) };
        if inbox.send(frame).await.is_err() {
            return End::CoreGone;
        }
    }
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, End> {
    let mut head = [0; 4];
    reader.read_exact(&mut head).await.map_err(|_| End::Closed)?;
    let length = usize::try_from(u32::from_be_bytes(head)).map_err(|_| End::Oversize)?;
    if length > FRAME_BYTES_MAX {
        return Err(End::Oversize);
    }
    let mut bytes = Vec::with_capacity(length.min(FIRST_BYTES));
    let limit = u64::from(u32::from_be_bytes(head));
    reader.take(limit).read_to_end(&mut bytes).await.map_err(|_| End::Closed)?;
    if bytes.len() == length { Ok(bytes) } else { Err(End::Closed) }
}

/// Writes until the queue is closed and empty.
async fn write_frames(mut writer: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Queued>, stall: Duration) -> End {
    while let Some(frame) = frames.recv().await {
        if let Err(end) = write_frame(&mut writer, &frame.bytes, stall).await {
            return end;
        }
        if frames.is_empty()
            && let Err(end) = in_time(stall, writer.flush()).await
        {
            return end;
        }
    }
    in_time(stall, writer.close()).await.err().unwrap_or(End::Left)
}

async fn write_frame(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8], stall: Duration) -> Result<(), End> {
    let length = u32::try_from(bytes.len()).map_err(|_| End::Oversize)?;
    in_time(stall, writer.write_all(&length.to_be_bytes())).await?;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        in_time(stall, writer.write_all(chunk)).await?;
    }
    Ok(())
}

async fn in_time(stall: Duration, work: impl Future<Output = std::io::Result<()>>) -> Result<(), End> {
    match timeout(stall, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Closed),
        Err(_) => Err(End::Stalled),
    }
}
