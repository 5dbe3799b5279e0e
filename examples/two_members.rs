//! Two members of a group, and nothing else: no network, no files, no clock. The protocol only says what should be
//! done; this program is the wire between the two, and their memory.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{Write, stdout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::persist::{Key, ReadError, Rows, WriteBatch};
use kinfold_protocol::step::{Address, Command, Ends, Event, Input, LineKind, Outcome, Output, Reply, Transmit};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

/// A clock that stands still; nothing here takes time.
const NOW: Time = Time::from_ms(1_800_000_000_000);

/// What a member keeps: all batches, one laid over the other. A real one keeps it on disk, sealed.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<WriteBatch>>);

impl Rows for Memory {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        Ok(self.0.lock().map_err(|_| ReadError)?.rows.get(key).cloned().flatten().map(|value| value.bytes))
    }
    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        let all = self.0.lock().map_err(|_| ReadError)?.rows.clone();
        all.iter().for_each(|(key, value)| value.iter().for_each(|value| visit(key, &value.bytes)));
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
        memory.0.lock().map_err(|_| "the memory is broken")?.absorb(output.batch);
        client.durable();
        output.transmits.into_iter().for_each(|transmit| self.carry(who, transmit));
        for event in output.events {
            let Event::Line { line, .. } = event else { continue };
            let LineKind::Text(text) = line.kind else { continue };
            writeln!(stdout(), "{} reads: {}: {}", if who == 0 { "Ana" } else { "Ben" }, line.author_name, *text)?;
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
                for (end, other, address) in [(from, to, Some(address)), (to, from, None)] {
                    let Some(net) = self.nets.get(&end).copied() else { continue };
                    let ends = Ends { local: vec![u8::from(end > other)], remote: vec![u8::from(other > end)] };
                    self.on_the_way.push_back((end, Input::Connected { net, link: LinkId(self.links), ends, address }));
                }
            }
            Transmit::Frame { link, bytes } => self.on_the_way.push_back((to, Input::Frame { link, bytes })),
            Transmit::Disconnect { link } => {
                self.on_the_way.extend([from, to].map(|end| (end, Input::Disconnected { link })));
            }
            Transmit::Publish { bytes, .. } => {
                self.on_the_way
                    .extend(self.nets.get(&to).map(|net| (to, Input::Gossip { net: *net, link: None, bytes })));
            }
            // Who may gossip about what: with two there is nobody to keep out.
            _ => {}
        }
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
    let made = world.give(0, Input::Command(Command::Invite { group, valid: Duration::from_secs(3_600) }))?;
    let Outcome::Applied(Reply::Invite { text: invite, .. }) = made else { return Err("no invite".into()) };
    world.give(1, Input::Command(Command::Join { invite, display_name: "Ben".into() }))?;
    for (who, text) in [(0, "Welcome, Ben."), (1, "Thank you, Ana.")] {
        let send = Command::Send { group, text: Zeroizing::new(text.into()), expires: None };
        world.give(who, Input::Command(send))?;
    }
    Ok(())
}
