//! Two members of a group, and nothing else: no network, no files, no clock. The protocol only says what should be
//! done; this program is the wire between the two, and their memory.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::persist::{Key, ReadError, Rows, WriteBatch};
use kinfold_protocol::step::{Address, Command, Ends, Event, Input, LineKind, Outcome, Output, Reply, Transmit};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

/// A clock that stands still; nothing here takes time.
const NOW: Time = Time::from_ms(1_800_000_000_000);
const NAMES: [&str; 2] = ["Ana", "Ben"];

/// What a member keeps. A real one keeps it on disk, sealed: see `kinfold_node::store`.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<Key, Zeroizing<Vec<u8>>>>>);

impl Memory {
    fn write(&self, batch: WriteBatch) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.rows {
            match value {
                Some(value) => drop(rows.insert(key, value.bytes)),
                None => drop(rows.remove(&key)),
            }
        }
    }
}

impl Rows for Memory {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        Ok(self.0.lock().map_err(|_| ReadError)?.get(key).cloned())
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        let rows = self.0.lock().map_err(|_| ReadError)?.clone();
        rows.iter().for_each(|(key, value)| visit(key, value));
        Ok(())
    }
}

/// The two members, and the inputs that are on their way. A member's number is also its address.
struct World {
    members: Vec<(Client, Memory)>,
    nets: [Option<NetId>; 2],
    links: u64,
    on_the_way: VecDeque<(usize, Input)>,
}

impl World {
    /// Gives one member an input, and carries whatever follows from it until nothing is left to carry.
    fn give(&mut self, to: usize, input: Input) -> Result<Outcome, Box<dyn Error>> {
        let outcome = self.step(to, input)?;
        while let Some((to, input)) = self.on_the_way.pop_front() {
            self.step(to, input)?;
        }
        Ok(outcome)
    }

    fn step(&mut self, who: usize, input: Input) -> Result<Outcome, Box<dyn Error>> {
        let (client, _) = self.members.get_mut(who).ok_or("nobody there")?;
        let output = client.handle(input, NOW)?;
        self.make_true(who, output)
    }

    /// The order is the contract: first durable, then sent, then told.
    fn make_true(&mut self, who: usize, output: Output) -> Result<Outcome, Box<dyn Error>> {
        let (client, memory) = self.members.get_mut(who).ok_or("nobody there")?;
        memory.write(output.batch);
        client.durable();
        output.transmits.into_iter().for_each(|transmit| self.carry(who, transmit));
        for event in output.events {
            if let Event::Line { line, .. } = event {
                let name = NAMES.get(who).ok_or("nobody there")?;
                match line.kind {
                    LineKind::Text(text) => writeln!(stdout(), "{name} reads: {}: {}", line.author_name, *text)?,
                    LineKind::Joined(guest) => writeln!(stdout(), "{name} reads: {guest} joined")?,
                    LineKind::Left(_) | LineKind::Removed(_) | LineKind::Retention(_) => {}
                }
            }
        }
        Ok(output.outcome)
    }

    fn carry(&mut self, from: usize, transmit: Transmit) {
        let to = 1 - from;
        match transmit {
            Transmit::Open { net, .. } => {
                self.nets.iter_mut().nth(from).into_iter().for_each(|slot| *slot = Some(net));
                let addresses = vec![Address(from.to_string())];
                self.on_the_way.push_back((from, Input::Listening { net, port: 1, addresses }));
            }
            Transmit::Dial { address, .. } => self.connect(from, to, address),
            Transmit::Frame { link, bytes } => self.on_the_way.push_back((to, Input::Frame { link, bytes })),
            Transmit::Disconnect { link } => {
                self.on_the_way.extend([from, to].map(|end| (end, Input::Disconnected { link })));
            }
            // Frames alone bring everything across; gossip only makes it faster among many.
            Transmit::Admit { .. } | Transmit::Close { .. } | Transmit::Publish { .. } => {}
            Transmit::Topics { .. } | Transmit::Withhold { .. } => {}
        }
    }

    fn connect(&mut self, from: usize, to: usize, address: Address) {
        self.links += 1;
        for (end, dialled) in [(from, Some(address)), (to, None)] {
            let Some(net) = self.nets.get(end).copied().flatten() else { continue };
            let ends = Ends { local: vec![u8::from(end == 1)], remote: vec![u8::from(end == 0)] };
            let input = Input::Connected { net, link: LinkId(self.links), ends, address: dialled };
            self.on_the_way.push_back((end, input));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World { members: Vec::new(), nets: [None; 2], links: 0, on_the_way: VecDeque::new() };
    for (who, seed) in [(0, 1), (1, 2)] {
        let memory = Memory::default();
        // Entropy must be fresh; a constant will do for an example that keeps nothing.
        let (client, output) = Client::open(Box::new(memory.clone()), [seed; 32], NOW)?;
        world.members.push((client, memory));
        world.make_true(who, output)?;
    }
    let create = Command::CreateGroup { name: "Circle".into(), display_name: "Ana".into() };
    let Outcome::Applied(Reply::Group(group)) = world.give(0, Input::Command(create))? else { return Err("no".into()) };
    let invite = Command::Invite { group, valid: Duration::from_secs(3_600) };
    let made = world.give(0, Input::Command(invite))?;
    let Outcome::Applied(Reply::Invite { text: invite, .. }) = made else { return Err("no invite".into()) };
    writeln!(stdout(), "Ana hands over: {}...", invite.chars().take(16).collect::<String>())?;
    world.give(1, Input::Command(Command::Join { invite, display_name: "Ben".into() }))?;
    for (who, text) in [(0, "Welcome, Ben."), (1, "Thank you, Ana.")] {
        let send = Command::Send { group, text: Zeroizing::new(text.into()), expires: None };
        world.give(who, Input::Command(send))?;
    }
    Ok(())
}
