//! A node whose vault is open: store and client together.

use kinfold_protocol::Client;
use kinfold_protocol::limits::AHEAD_MAX;
use kinfold_protocol::step::{Input, Outcome};
use kinfold_protocol::time::Time;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::REOPEN_AFTER;
use crate::clock;
use crate::control::NodeError;
use crate::execute::Round;
use crate::net::NetError;
use crate::store::{Store, StoreError};

/// Opens the store with a passphrase: the one on disk, or in tests one that breaks on demand.
pub(super) type OpenStore = Box<dyn Fn(&[u8]) -> Result<Box<dyn Store>, StoreError> + Send + Sync>;

/// Store and client. The client reads only through the store's reader.
pub(super) struct Open {
    pub(super) store: Box<dyn Store>,
    pub(super) client: Client,
    /// Kept to open the store again after a failure.
    pub(super) passphrase: Zeroizing<String>,
    /// What the store had become when it was opened, before this client wrote anything.
    pub(super) found: u64,
    /// The disk has no room for more: there are no networks, and what is here can be looked at.
    pub(super) full: bool,
    /// The last reading of the wall clock.
    last: Time,
}

impl Open {
    /// Opens the vault, and a client on it; the round is the client's first.
    pub(super) fn new(open_store: &OpenStore, passphrase: Zeroizing<String>) -> Result<(Self, Round), NodeError> {
        let mut store = open_store(passphrase.as_bytes())?;
        let (found, full) = (store.commit_seq(), !store.has_room());
        let (client, round) = start(store.as_ref())?;
        Ok((Self { store, client, passphrase, found, full, last: clock::wall() }, round))
    }

    /// Whether the disk has become full since this was last asked, or has room again. Then a new client is due.
    pub(super) fn room_changed(&mut self) -> bool {
        let full = !self.store.has_room();
        full != std::mem::replace(&mut self.full, full)
    }

    /// A new client on the same store; the round is its first.
    pub(super) fn begin_again(&mut self) -> Result<Round, NodeError> {
        let (client, round) = start(self.store.as_ref())?;
        self.client = client;
        Ok(round)
    }

    /// One step for something that came in.
    pub(super) fn step(&mut self, round: &mut Round, input: Input) -> Option<Outcome> {
        match self.client.handle(input, clock::wall()) {
            Ok(output) => Some(round.take(output)),
            Err(_) => {
                tracing::error!(code = "step_failed", "an input could not be handled");
                None
            }
        }
    }

    /// What the time brings; also when the wall clock was set back, for then every deadline looks far.
    pub(super) fn on_time(&mut self, round: &mut Round) {
        let now = clock::wall();
        let back = now < std::mem::replace(&mut self.last, now);
        if back || self.due().is_some_and(|due| due <= now) {
            self.step(round, Input::Deadline);
        }
    }

    /// When the time brings something, on the wall clock: with a step the protocol's mark moves, and the store's clock
    /// with it.
    fn due(&self) -> Option<Time> {
        // What is dead by the store's clock and not removed yet: a sweep takes only so many at once.
        let dead = |at: &Time| *at <= self.store.now();
        let dies = self.store.due().and_then(|at| if dead(&at) { Some(at) } else { self.client.comes(at) });
        [self.client.deadline(), dies].into_iter().flatten().min()
    }

    /// When there is something to do although nothing comes in.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let due = self.due().map(|due| now + due.since(clock::wall()));
        let full = self.full.then(|| now + REOPEN_AFTER);
        [due, full, self.store.chores().map(Instant::from_std)].into_iter().flatten().min()
    }

    /// Lets the store destroy what is past the protocol's mark.
    pub(super) fn tick(&mut self) -> Result<(), StoreError> {
        let mark = self.client.swept_to();
        if mark + AHEAD_MAX < self.store.now() {
            self.store.restart_clock(mark);
        }
        self.store.set_now(mark);
        let now = Instant::now().into_std();
        let died = self.store.due().is_some_and(|due| due <= self.store.now());
        if died || self.store.chores().is_some_and(|due| due <= now) {
            tokio::task::block_in_place(|| self.store.tick(now))?;
        }
        Ok(())
    }

    /// Marks a clean stop, then takes the keys out of memory.
    pub(super) fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        if let Ok(output) = self.client.close(clock::wall()) {
            self.store.commit(&output.batch)?;
        }
        self.store.close()
    }
}

fn start(store: &dyn Store) -> Result<(Client, Round), NodeError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| NodeError::Internal)?;
    let (client, output) = Client::open(store.reader(), *seed, clock::wall()).map_err(|_| NodeError::Damaged)?;
    let mut round = Round::default();
    round.take(output);
    Ok((client, round))
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        tracing::debug!(code = error.code(), "the store said no");
        match error {
            StoreError::AlreadyExists => Self::AlreadySetUp,
            StoreError::Damaged { .. } | StoreError::KeyringDamaged => Self::Damaged,
            StoreError::DiskFull => Self::DiskFull,
            StoreError::FewFiles => Self::FewFiles,
            StoreError::InUse => Self::InUse,
            StoreError::KeyringMissing => Self::KeysMissing,
            StoreError::Misplaced => Self::Misplaced,
            StoreError::NewerVersion => Self::NewerVersion,
            StoreError::NoAccess => Self::NoAccess,
            StoreError::NoMemory => Self::NoMemory,
            StoreError::NotEmpty => Self::NotEmpty,
            StoreError::NotPrivate => Self::NotPrivate,
            StoreError::OlderVersion => Self::OlderVersion,
            StoreError::PathTooLong => Self::PathTooLong,
            StoreError::ReadOnly => Self::ReadOnly,
            StoreError::WrongPassphrase => Self::WrongPassphrase,
            StoreError::Closed
            | StoreError::Io { .. }
            | StoreError::KeyringFull
            | StoreError::NoEntropy
            | StoreError::TooLarge => Self::Storage,
        }
    }
}

impl From<NetError> for NodeError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::PortTaken => Self::PortTaken,
            NetError::Address | NetError::Listen(_) => Self::BadListen,
            NetError::Transport(_) => Self::Internal,
        }
    }
}
