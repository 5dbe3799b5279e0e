//! Two members of a group, and nothing else: no network, no files, no clock. The protocol only says what should be
//! done; this program is the wire between the two, and their memory.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::persist::{Key, ReadError, Rows};
use kinfold_protocol::step::{Address, Command, Ends, Event, Input, LineKind, Outcome, Output, Reply, Transmit};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

/// A clock that stands still; nothing here takes time.
const NOW: Time = Time::from_ms(1_800_000_000_000);

/// What a member keeps. A real one keeps it on disk, sealed: see `kinfold_node::store`.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<Key, Zeroizing<Vec<u8>>>>>);

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
#[derive(Default)]
struct World {
    members: Vec<(Client, Memory)>,
    nets: BTreeMap<usize, NetId>,
    links: u64,
    on_the_way: VecDeque<(usize, Input)>,
}

impl World {
    /// Gives one member an input, and carries whatever follows from it until nothing is left to carry.
    fn give(&mut self, to: usize, input: Input) -> Result<Outcome, Box<dyn Error>> {
        let output = self.members.get_mut(to).ok_or("nobody there")?.0.handle(input, NOW)?;
        let outcome = self.make_true(to, output)?;
        while let Some((to, input)) = self.on_the_way.pop_front() {
            self.give(to, input)?;
        }
        Ok(outcome)
    }

    /// The order is the contract: first durable, then sent, then told.
    fn make_true(&mut self, who: usize, output: Output) -> Result<Outcome, Box<dyn Error>> {
        let (client, memory) = self.members.get_mut(who).ok_or("nobody there")?;
        for (key, value) in output.batch.rows {
            let mut rows = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
            value.map_or_else(|| rows.remove(&key), |value| rows.insert(key.clone(), value.bytes));
        }
        client.durable();
        output.transmits.into_iter().for_each(|transmit| self.carry(who, transmit));
        for event in output.events {
            let Event::Line { line, .. } = event else { continue };
            let said = match line.kind {
                LineKind::Text(text) => format!("{}: {}", line.author_name, *text),
                LineKind::Joined(guest) => format!("{guest} joined"),
                _ => continue,
            };
            writeln!(stdout(), "{} reads: {said}", if who == 0 { "Ana" } else { "Ben" })?;
        }
        Ok(output.outcome)
    }

    fn carry(&mut self, from: usize, transmit: Transmit) {
        let to = 1 - from;
        match transmit {
            Transmit::Open { net, .. } => {
                self.nets.insert(from, net);
                let addresses = vec![Address(from.to_string())];
                self.on_the_way.push_back((from, Input::Listening { net, port: 1, addresses }));
            }
            Transmit::Dial { address, .. } => {
                self.links += 1;
                self.connect(from, to, Some(address));
                self.connect(to, from, None);
            }
            Transmit::Frame { link, bytes } => self.on_the_way.push_back((to, Input::Frame { link, bytes })),
            Transmit::Disconnect { link } => {
                self.on_the_way.extend([from, to].map(|end| (end, Input::Disconnected { link })));
            }
            // Frames alone bring everything across; gossip only makes it faster among many.
            _ => {}
        }
    }

    fn connect(&mut self, end: usize, other: usize, address: Option<Address>) {
        let Some(net) = self.nets.get(&end).copied() else { return };
        let ends = Ends { local: end.to_be_bytes().to_vec(), remote: other.to_be_bytes().to_vec() };
        self.on_the_way.push_back((end, Input::Connected { net, link: LinkId(self.links), ends, address }));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World::default();
    for who in 0..2 {
        let memory = Memory::default();
        // Entropy must be fresh; a constant will do for an example that keeps nothing.
        let (client, output) = Client::open(Box::new(memory.clone()), [u8::from(who == 0); 32], NOW)?;
        world.members.push((client, memory));
        world.make_true(who, output)?;
    }
    let create = Command::CreateGroup { name: "Circle".into(), display_name: "Ana".into() };
    let made = world.give(0, Input::Command(create))?;
    let Outcome::Applied(Reply::Group(group)) = made else { return Err("no group".into()) };
    let invite = Command::Invite { group, valid: Duration::from_secs(3_600) };
    let made = world.give(0, Input::Command(invite))?;
    let Outcome::Applied(Reply::Invite { text: invite, .. }) = made else { return Err("no invite".into()) };
    writeln!(stdout(), "Ana hands over an invite of {} letters", invite.len())?;
    world.give(1, Input::Command(Command::Join { invite, display_name: "Ben".into() }))?;
    for (who, text) in [(0, "Welcome, Ben."), (1, "Thank you, Ana.")] {
        let send = Command::Send { group, text: Zeroizing::new(text.into()), expires: None };
        world.give(who, Input::Command(send))?;
    }
    Ok(())
}
