//! One device's protocol state.

mod look;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use minicbor::{Decode, Encode};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::clock::{Clock, ClockRow, Now};
use crate::error::{Error, Refusal};
use crate::group::{Cx, Group, Loader};
use crate::id::{LinkId, NetId};
use crate::joining::Joining;
use crate::journal::{self, Stack, Tx};
use crate::mls::Provider;
use crate::persist::{Key, Rows, Table};
use crate::rooms::{Room, Rooms, groups_of_mut, route};
use crate::step::{Input, Outcome, Output, Reply};
use crate::time::Time;

/// One device's protocol state (RFC 9420 "client"): turns one [`Input`] at one [`Time`] into one [`Output`].
///
/// **The contract.** Make the output true in the order of its fields: first `batch` durable, then `transmits`, then
/// `events`. Several steps may share one durable write: lay their batches over each other in order, write once, then
/// carry out all transmits in order, then tell all events. Call [`Client::durable`] after each write. If the write
/// fails, drop the client and open it again from the store: memory never runs ahead of the disk.
///
/// `Err` is a local caller's mistake, and nothing changed. Bytes from a peer never make an `Err`: they make an
/// [`Outcome`]. A refused message can still have a batch, for its key is spent and must die.
///
/// Nothing here waits or sleeps: call [`Client::handle`] with [`Input::Deadline`] when [`Client::deadline`] has come,
/// and soon after the wall clock was set back.
/// Deadlines come from what is stored, so that a restart loses none.
pub struct Client {
    stack: Stack,
    mls: Provider,
    rng: ChaCha20Rng,
    clock: Clock,
    device: DeviceRow,
    rooms: Rooms,
    links: BTreeMap<LinkId, NetId>,
    now: Now,
    /// The room that was at work when the last step ended.
    blamed: Option<NetId>,
    /// The rooms as a step that failed left them, while the rows cannot be read: nothing is done until they can.
    stale: Option<Rooms>,
    /// Where networks began to listen while the rows could not be read: nobody says it twice.
    listening: BTreeMap<NetId, Input>,
}

/// How long to wait before rows that cannot be read are tried again.
const UNREADABLE_WAIT: Duration = Duration::from_secs(1);

/// The device's own row.
#[derive(Clone, Default, Encode, Decode)]
#[cbor(map)]
struct DeviceRow {
    #[n(0)]
    clock: ClockRow,
    /// Whether the last stop was clean.
    #[n(1)]
    clean: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(..)")
    }
}

impl Client {
    /// Opens a device's state from its rows; `seed` is fresh entropy, never used before. The output is to be executed
    /// like that of a step: it starts networks, and sweeps what has expired.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn open(rows: Box<dyn Rows>, seed: [u8; 32], now: Time) -> Result<(Self, Output), Error> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mls = Provider::new(ChaCha20Rng::from_rng(&mut rng));
        Self::open_with(rows, mls, rng, now)
    }

    /// Like [`Self::open`], with every bit of entropy from the seed, so that equal inputs give equal outputs.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(feature = "sim")]
    pub fn open_seeded(rows: Box<dyn Rows>, seed: [u8; 32], now: Time) -> Result<(Self, Output), Error> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mls = Provider::seeded(ChaCha20Rng::from_rng(&mut rng));
        Self::open_with(rows, mls, rng, now)
    }

    fn open_with(rows: Box<dyn Rows>, mls: Provider, rng: ChaCha20Rng, wall: Time) -> Result<(Self, Output), Error> {
        let mut client = Self {
            stack: Stack::new(rows),
            mls,
            rng,
            clock: Clock::default(),
            device: DeviceRow { clean: true, ..DeviceRow::default() },
            rooms: Rooms::new(),
            links: BTreeMap::new(),
            now: Now { wall, stamp: wall, sweep: wall, follows: None },
            blamed: None,
            stale: None,
            listening: BTreeMap::new(),
        };
        client.load()?;
        client.clock = Clock::from_row(client.device.clock.clone());
        let clean = std::mem::replace(&mut client.device.clean, false);
        let output = client.step(wall, |rooms, _, cx| {
            for room in rooms.values_mut() {
                match room {
                    Room::Group(group) => {
                        if matches!(group.sweep(cx), Err(Error::Broken)) {
                            tracing::error!("a group cannot be swept");
                            group.set_aside(cx);
                            continue;
                        }
                        if !clean {
                            group.burn_before_sending();
                        }
                        group.start(cx);
                    }
                    Room::Joining(joining) => joining.start(cx),
                }
            }
            Ok(Outcome::Applied(Reply::Done))
        })?;
        Ok((client, output))
    }

    /// Builds all rooms from the rows as the accepted steps leave them.
    fn load(&mut self) -> Result<(), Error> {
        let mut loader = Loader::default();
        let mut device = None;
        self.stack.scan(&mut |key, bytes| {
            if key.table == Table::Device {
                device = Some(bytes.to_vec());
            } else {
                loader.take(key, bytes);
            }
        })?;
        if let Some(bytes) = device {
            self.device = journal::parse(&bytes)?;
        }
        self.rooms.clear();
        for (net, loaded) in loader.into_nets() {
            if let Some(joining) = Joining::load(net, &loaded.rows)? {
                self.rooms.insert(net, Room::Joining(Box::new(joining)));
                continue;
            }
            match Group::load(net, loaded, self.now.wall) {
                Ok(Some(group)) => {
                    self.rooms.insert(net, Room::Group(Box::new(group)));
                }
                Ok(None) => {}
                // Its rows stay as they are; the others go on.
                Err(_) => tracing::error!("a group cannot be read"),
            }
        }
        Ok(())
    }

    /// Puts memory back to the accepted steps after one that failed half-way (PROTOCOL G1).
    fn reload(&mut self) -> Result<(), Error> {
        let rooms = std::mem::take(&mut self.rooms);
        self.stale.get_or_insert(rooms);
        let device = self.device.clone();
        self.load()?;
        self.device = device;
        let mut before = self.stale.take().unwrap_or_default();
        for (net, room) in &mut self.rooms {
            match (room, before.remove(net)) {
                (Room::Group(group), Some(Room::Group(before))) => group.inherit(*before),
                (Room::Joining(joining), Some(Room::Joining(before))) => joining.inherit(*before),
                (Room::Group(_) | Room::Joining(_), _) => {}
            }
        }
        Ok(())
    }

    /// One step. `Err` is a local caller's mistake; bytes from a peer never make one. Either way nothing changed.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub fn handle(&mut self, input: Input, now: Time) -> Result<Output, Error> {
        match &input {
            Input::Connected { net, link, .. } => {
                self.links.insert(*link, *net);
            }
            Input::Command(_)
            | Input::Deadline
            | Input::DialFailed { .. }
            | Input::Disconnected { .. }
            | Input::Flooded { .. }
            | Input::Frame { .. }
            | Input::Gossip { .. }
            | Input::Listening { .. } => {}
        }
        let gone = if let Input::Disconnected { link } = &input { Some(*link) } else { None };
        let asked = matches!(input, Input::Command(_));
        if let Input::Listening { net, .. } = &input {
            self.listening.insert(*net, input.clone());
        }
        let listening = std::mem::take(&mut self.listening);
        let mut done = self.step(now, |rooms, links, cx| {
            let listens = matches!(input, Input::Listening { .. });
            let mut outcome = Outcome::Applied(Reply::Done);
            for input in listening.values() {
                outcome = route(rooms, links, cx, input.clone())?;
            }
            if listens { Ok(outcome) } else { route(rooms, links, cx, input) }
        });
        if !matches!(done, Ok(_) | Err(Error::Broken)) {
            self.listening = listening;
        }
        // Bytes from a peer, and time, never make an error: the group that they broke is set aside.
        while let (Err(Error::Broken), Some(net), false) = (&done, self.blamed.take(), asked) {
            done = self.set_aside(net, now);
        }
        if let Some(link) = gone {
            self.links.remove(&link);
        }
        done
    }

    /// A group whose rows contradict themselves is set aside until the next start; the others go on.
    fn set_aside(&mut self, net: NetId, now: Time) -> Result<Output, Error> {
        tracing::error!("group set aside");
        self.step(now, |rooms, _, cx| {
            if let Some(Room::Group(group)) = rooms.get_mut(&net) {
                group.set_aside(cx);
            }
            Ok(Outcome::Refused(Refusal::Broken))
        })
    }

    fn step(
        &mut self,
        wall: Time,
        act: impl FnOnce(&mut Rooms, &BTreeMap<LinkId, NetId>, &mut Cx<'_>) -> Result<Outcome, Error>,
    ) -> Result<Output, Error> {
        if self.stale.is_some() {
            self.reload()?;
        }
        let clock_before = self.clock.row().clone();
        if wall < self.now.wall {
            for room in self.rooms.values_mut() {
                match room {
                    Room::Group(group) => group.clock_went_back(wall),
                    Room::Joining(joining) => joining.clock_went_back(wall),
                }
            }
        }
        self.now = self.clock.tick(wall);
        let mut cx = Cx::new(Tx::new(&self.stack), &self.mls, &mut self.rng, &mut self.clock, self.now);
        let mut done = act(&mut self.rooms, &self.links, &mut cx);
        // A group whose leave took effect has no rows any more.
        self.rooms.retain(|_, room| !matches!(room, Room::Group(group) if group.is_gone()));
        if done.is_ok() {
            done = groups_of_mut(&mut self.rooms).try_for_each(|group| group.settle(&mut cx)).and(done);
        }
        self.now = cx.now;
        self.blamed = cx.at;
        let Cx { tx, transmits, events, .. } = cx;
        let mut batch = tx.into_batch();
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(error) => {
                if !batch.is_empty() || matches!(error, Error::Broken | Error::Read(_)) {
                    self.reload()?;
                }
                return Err(error);
            }
        };
        self.stamp_device(&mut batch, &clock_before);
        self.stack.accept(&batch);
        Ok(Output { batch, transmits, events, outcome })
    }

    /// The device's row rides in batches that are written anyway, or when the clock has something to remember.
    fn stamp_device(&mut self, batch: &mut crate::persist::WriteBatch, before: &ClockRow) {
        let row = self.clock.row();
        let turned = row.differs_beyond_ticking(before);
        if !batch.is_empty() || turned {
            self.device.clock = row.clone();
            let key = Key { table: Table::Device, name: Vec::new() };
            let value = crate::persist::Value::lasting(crate::wire::encode(&self.device));
            batch.rows.insert(key, Some(value));
        }
    }

    /// When to come back with [`Input::Deadline`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.stale.is_some() {
            return Some(self.now.wall + UNREADABLE_WAIT);
        }
        let rooms = self.rooms.values().filter_map(|room| match room {
            Room::Group(group) => group.deadline(self.now),
            Room::Joining(joining) => joining.deadline(),
        });
        let reading = self.clock.next_reading().filter(|_| !self.rooms.is_empty());
        rooms.chain(self.clock.deadline()).chain(reading).min()
    }

    /// When [`Client::swept_to`] comes up to a moment if it is given [`Input::Deadline`] then, by the wall clock; `None`
    /// while it stands still.
    #[must_use]
    pub fn comes(&self, at: Time) -> Option<Time> {
        self.now.comes(at)
    }

    /// Every batch handed out so far is durable: reads go to the rows again.
    pub fn durable(&mut self) {
        self.stack.durable();
    }

    /// The mark up to which everything mortal is dead: what the vault may destroy.
    #[must_use]
    pub const fn swept_to(&self) -> Time {
        self.now.sweep
    }

    /// Marks a clean stop; the last step before the store is closed.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn close(&mut self, now: Time) -> Result<Output, Error> {
        self.device.clean = true;
        self.step(now, |rooms, _, cx| {
            for room in rooms.values_mut() {
                if let Room::Group(group) = room {
                    group.sweep(cx)?;
                }
            }
            // The device's row must be written even if nothing else is.
            cx.tx.delete(Key { table: Table::Device, name: Vec::new() });
            Ok(Outcome::Applied(Reply::Done))
        })
    }
}

#[cfg(any(test, feature = "sim"))]
impl Client {
    /// A step inside the only group: what no command does, for the tests of what the others make of it.
    pub(crate) fn inside<T>(&mut self, now: Time, act: impl FnOnce(&mut Group, &mut Cx<'_>) -> T) -> (T, Output) {
        let mut made = None;
        let output = self.step(now, |rooms, _, cx| {
            made = rooms
                .values_mut()
                .find_map(|room| match room {
                    Room::Group(group) => Some(group),
                    Room::Joining(_) => None,
                })
                .map(|group| act(group, cx));
            Ok(Outcome::Applied(Reply::Done))
        });
        (made.expect("a group"), output.expect("a step without effects of its own"))
    }
}
