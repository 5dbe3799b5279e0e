//! What happened in a run, as text to read and as numbers to compare.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kinfold_protocol::error::Error;
use kinfold_protocol::persist::{Key, Value};
use kinfold_protocol::step::{Command, Event, Input, Outcome, Output, Reply, Transmit};

/// The steps of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    lines: Vec<String>,
}

impl Trace {
    /// Notes something that is not a step.
    pub fn note(&mut self, at_ms: u64, words: &str) {
        self.lines.push(format!("{at_ms:>10} -- {words}"));
    }

    /// Notes a step.
    pub fn step(&mut self, at_ms: u64, node: usize, input: &str, result: Result<&Output, &Error>) {
        let became = match result {
            Err(error) => format!("error: {error}"),
            Ok(output) => {
                let transmits = digest(output.transmits.iter().map(transmit_bytes));
                let events = digest(output.events.iter().map(event_bytes));
                let (rows, sent) = (output.batch.rows.len(), output.transmits.len());
                let written = digest(output.batch.rows.iter().map(row_bytes));
                let outcome = outcome(&output.outcome);
                let kinds: Vec<&str> = output.transmits.iter().map(transmit_kind).collect();
                let told = output.events.len();
                format!(
                    "{outcome} rows={rows}#{written:016x} sent={sent}#{transmits:016x} told={told}#{events:016x} {kinds:?}"
                )
            }
        };
        self.lines.push(format!("{at_ms:>10} n{node} {input} => {became}"));
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    /// Where two runs differ first.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let longest = self.lines.len().max(other.lines.len());
        let lines = (0..longest).map(|at| (self.lines.get(at), other.lines.get(at)));
        lines.filter(|(one, two)| one != two).map(|(one, two)| format!("{one:?}\n{two:?}")).next()
    }
}

/// An input as a line of the trace shows it: its kind, its sizes, and the digest of its bytes.
#[must_use]
pub fn input(input: &Input) -> String {
    match input {
        Input::Command(command) => format!("command {}", command_kind(command)),
        Input::Connected { net, link, address, .. } => {
            format!("connected net={} link={} {}", net.0, link.0, if address.is_some() { "dialled" } else { "taken" })
        }
        Input::Deadline => "deadline".to_owned(),
        Input::DialFailed { net, address } => format!("dial failed net={} {}", net.0, address.0),
        Input::Disconnected { link } => format!("disconnected link={}", link.0),
        Input::Flooded { link } => format!("flooded link={}", link.0),
        Input::Frame { link, bytes } => format!("frame link={} {}", link.0, sized(bytes)),
        Input::Gossip { net, bytes, .. } => format!("gossip net={} {}", net.0, sized(bytes)),
        Input::Listening { net, port, .. } => format!("listening net={} port={port}", net.0),
    }
}

fn command_kind(command: &Command) -> &'static str {
    match command {
        Command::Connect { .. } => "connect",
        Command::CreateGroup { .. } => "create",
        Command::Drop { .. } => "drop",
        Command::Forget { .. } => "forget",
        Command::Invite { .. } => "invite",
        Command::Join { .. } => "join",
        Command::Leave { .. } => "leave",
        Command::MarkRead { .. } => "read",
        Command::Release { .. } => "release",
        Command::Remove { .. } => "remove",
        Command::RevokeInvite { .. } => "revoke",
        Command::Send { .. } => "send",
        Command::SetFacilitator { .. } => "facilitator",
        Command::SetRetention { .. } => "retention",
        Command::Verify { .. } => "verify",
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied(Reply::Message { id, state }) => format!("message {} {state:?}", short(id.as_bytes())),
        Outcome::Applied(_) => "applied".to_owned(),
        Outcome::Duplicate => "duplicate".to_owned(),
        Outcome::Parked(why) => format!("parked: {why}"),
        Outcome::Refused(refusal) => format!("refused: {refusal}"),
    }
}

fn transmit_kind(transmit: &Transmit) -> &'static str {
    match transmit {
        Transmit::Admit { .. } => "admit",
        Transmit::Close { .. } => "close",
        Transmit::Dial { .. } => "dial",
        Transmit::Disconnect { .. } => "disconnect",
        Transmit::Frame { .. } => "frame",
        Transmit::Known { .. } => "known",
        Transmit::Open { .. } => "open",
        Transmit::PassOn { .. } => "pass on",
        Transmit::Publish { .. } => "publish",
        Transmit::Topics { .. } => "topics",
        Transmit::Withhold { .. } => "withhold",
    }
}

/// Everything of a transmit, so that two runs are compared byte for byte.
fn transmit_bytes(transmit: &Transmit) -> Vec<u8> {
    let kind = transmit_kind(transmit).as_bytes();
    let (number, parts): (u64, Vec<&[u8]>) = match transmit {
        Transmit::Admit { link }
        | Transmit::Disconnect { link }
        | Transmit::Known { link }
        | Transmit::Withhold { link } => (link.0, vec![]),
        Transmit::Close { net } => (net.0, vec![]),
        Transmit::Dial { net, address } => (net.0, vec![address.0.as_bytes()]),
        Transmit::Frame { link, bytes } => (link.0, vec![bytes]),
        Transmit::Open { net, port } => (net.0.wrapping_mul(65_537).wrapping_add(u64::from(port.unwrap_or(0))), vec![]),
        Transmit::PassOn { net, id } => (net.0, vec![id.as_bytes()]),
        Transmit::Publish { net, topic, bytes } => (net.0, vec![topic.as_bytes(), bytes]),
        Transmit::Topics { net, topics } => (net.0, topics.iter().map(|topic| topic.as_bytes().as_slice()).collect()),
    };
    let mut all = kind.to_vec();
    all.extend(number.to_be_bytes());
    all.extend(parts.concat());
    all
}

/// Everything of a row: what is written decides what comes later.
fn row_bytes((key, value): (&Key, &Option<Value>)) -> Vec<u8> {
    let mut all = vec![key.table as u8];
    all.extend(&key.name);
    if let Some(value) = value {
        all.extend_from_slice(&value.bytes);
        all.extend(format!("{:?}", value.dies).into_bytes());
    }
    all
}

/// Everything of an event that does not show itself when it is debugged, and then the rest.
fn event_bytes(event: &Event) -> Vec<u8> {
    let mut all = format!("{event:?}").into_bytes();
    match event {
        Event::Connected { group, member, .. } => all.extend([group.as_bytes().as_slice(), member.as_bytes()].concat()),
        Event::Gone { ids, .. } => all.extend(ids.iter().flat_map(|id| *id.as_bytes())),
        Event::Joined { group, .. } | Event::Standing { group, .. } => all.extend(group.as_bytes()),
        Event::Line { line, .. } => {
            all.extend([line.id.as_bytes().as_slice(), line.author.as_bytes()].concat());
            all.extend(format!("{}{:?}{:?}{}", line.sent, line.expires, line.state, line.late).into_bytes());
        }
        Event::State { id, .. } => all.extend(id.as_bytes()),
        Event::ClockOff { .. } | Event::JoinFailed { .. } => {}
    }
    all
}

/// The first bytes of a name, enough to follow it through a trace.
#[must_use]
pub fn short(name: &[u8]) -> String {
    name.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn sized(bytes: &[u8]) -> String {
    format!("{} bytes #{:016x}", bytes.len(), digest([bytes.to_vec()].into_iter()))
}

fn digest(parts: impl Iterator<Item = Vec<u8>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}

#[test]
fn two_traces_that_differ_in_one_byte_sent_differ() {
    let trace = |byte| {
        let transmits = vec![Transmit::Frame { link: kinfold_protocol::id::LinkId(1), bytes: vec![byte] }];
        let output = Output { batch: Default::default(), transmits, events: vec![], outcome: Outcome::Duplicate };
        let mut trace = Trace::default();
        trace.step(1, 0, "x", Ok(&output));
        trace
    };
    assert_eq!(trace(1).first_difference(&trace(1)), None);
    assert!(trace(1).first_difference(&trace(2)).is_some());
}
