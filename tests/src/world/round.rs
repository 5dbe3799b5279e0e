//! One round of one node: several inputs, one durable write, then all transmits, then all events.

use kinfold_protocol::Client;
use kinfold_protocol::error::{Error, Refusal};
use kinfold_protocol::id::{GroupId, MsgId};
use kinfold_protocol::persist::Key;
use kinfold_protocol::step::{Event, Input, MessageState, Outcome, Output, Reply, Transmit};
use kinfold_protocol::time::Time;

use super::{Doom, Letter, World};
use crate::facts::Ask;
use crate::levers;
use crate::network::Route;
use crate::oracle::{Oracle, Sent, commits_in};
use crate::trace;

/// Inputs of one round at most, as in the node.
const ROUND_MAX: usize = 64;
/// How long a node that went down stays away at most.
const AWAY_MS_MAX: u64 = 60_000;

/// What a round has produced and not yet made true.
#[derive(Default)]
struct Produced {
    transmits: Vec<Transmit>,
    events: Vec<Event>,
    answers: Vec<(Ask, Result<Reply, Error>)>,
    sent: Vec<(MsgId, Sent)>,
    commits: Vec<Key>,
    judged: Vec<(Input, Route, Outcome)>,
}

impl World {
    pub(super) fn round(&mut self, ix: usize) -> Result<(), String> {
        let local = self.clock.local(ix);
        let node = self.node(ix);
        node.wake = None;
        let Some(mut client) = node.client.take() else { return Ok(()) };
        let taken = node.inbox.len().min(ROUND_MAX);
        let letters: Vec<Letter> = node.inbox.drain(..taken).collect();
        let doom = if letters.is_empty() { None } else { node.doom.take() };
        let disk = node.disk.clone();
        let mut steps = letters.len();
        if doom == Some(Doom::BeforeFlush) {
            steps = usize::try_from(self.dice.between(1, letters.len() as u64)).unwrap_or(steps);
        }
        let mut produced = Produced::default();
        let mut letters = letters.into_iter();
        for letter in letters.by_ref().take(steps) {
            self.step(ix, &mut client, letter, local, &mut produced)?;
        }
        if doom == Some(Doom::BeforeFlush) {
            let asks = produced.answers.into_iter().map(|(ask, _)| ask).chain(letters.filter_map(|letter| letter.ask));
            for ask in asks {
                self.facts.answered(ix, ask, None, &mut self.levers);
            }
            let batches = disk.lose();
            self.levers.add(levers::BATCHES_LOST, batches);
            self.crash(ix, client);
            return Ok(());
        }
        disk.flush();
        disk.sweep(client.swept_to());
        client.durable();
        self.settle(produced, ix, client, local, doom)
    }

    /// After the flush: what was asked is answered, what was to be sent is sent, and the oracle looks.
    fn settle(
        &mut self,
        produced: Produced,
        ix: usize,
        mut client: Client,
        local: Time,
        doom: Option<Doom>,
    ) -> Result<(), String> {
        let now = self.clock.now_ms();
        self.oracle.written(&produced.commits, &mut self.levers);
        for (id, sent) in produced.sent {
            if self.oracle.sent.insert(id, sent).is_some() {
                return Err(format!("n{ix} gave one name to two messages"));
            }
        }
        for (ask, result) in produced.answers {
            self.facts.answered(ix, ask, Some(result), &mut self.levers);
        }
        let mut transmits = produced.transmits;
        if doom == Some(Doom::AfterFlush) {
            let kept = self.dice.below(transmits.len() as u64 + 1);
            self.levers.add(levers::TRANSMITS_LOST, transmits.len() as u64 - kept);
            transmits.truncate(usize::try_from(kept).unwrap_or(0));
        }
        for transmit in transmits {
            self.network.carry(ix, transmit, now, &mut self.levers);
        }
        // Told or not, it is so: a person sees it at the next start at the latest.
        for event in &produced.events {
            self.tell(ix, &client, event);
        }
        if doom == Some(Doom::AfterFlush) {
            self.crash(ix, client);
            return Ok(());
        }
        for (input, route, outcome) in produced.judged {
            self.network.judged(ix, &input, route, &outcome, now, &mut self.levers);
        }
        self.oracle.look(ix, &mut client, &self.clock, local, &mut self.levers)?;
        let wake = now + self.dice.below(8);
        let node = self.node(ix);
        node.deadline = client.deadline();
        node.client = Some(client);
        if !node.inbox.is_empty() {
            node.wake = Some(wake);
        }
        Ok(())
    }

    fn step(
        &mut self,
        ix: usize,
        client: &mut Client,
        letter: Letter,
        now: Time,
        produced: &mut Produced,
    ) -> Result<(), String> {
        let Letter { input, route, ask } = letter;
        self.levers.pull(levers::STEPS);
        if input == Input::Deadline {
            self.node(ix).due = false;
        }
        let shown = trace::input(&input);
        let kept = route.map(|route| (input.clone(), route));
        let result = client.handle(input, now);
        self.trace.step(self.clock.elapsed_ms(), ix, &shown, result.as_ref());
        let output = match (result, ask) {
            (Ok(output), None) => output,
            (Ok(output), Some(ask)) => {
                self.answered(ix, client, ask, &output, now, produced)?;
                output
            }
            (Err(error @ (Error::Broken | Error::Read(_))), _) => return Err(format!("n{ix}: {shown}: {error}")),
            (Err(error), None) => return Err(format!("n{ix}: bytes from a peer made an error: {shown}: {error}")),
            (Err(error), Some(ask)) => {
                produced.answers.push((ask, Err(error)));
                return Ok(());
            }
        };
        if let Outcome::Refused(
            refusal @ (Refusal::BadSeal | Refusal::InvalidCommit | Refusal::Malformed | Refusal::Oversize),
        ) = output.outcome
        {
            return Err(format!("n{ix} refused what an honest peer sent: {shown}: {refusal}"));
        }
        if let Some((input, route)) = kept {
            produced.judged.push((input, route, output.outcome.clone()));
        }
        self.produce(ix, output, produced);
        Ok(())
    }

    fn produce(&mut self, ix: usize, output: Output, produced: &mut Produced) {
        produced.commits.extend(commits_in(&output.batch));
        self.node(ix).disk.stage(output.batch);
        produced.transmits.extend(output.transmits);
        produced.events.extend(output.events);
    }

    fn answered(
        &mut self,
        ix: usize,
        client: &mut Client,
        ask: Ask,
        output: &Output,
        now: Time,
        produced: &mut Produced,
    ) -> Result<(), String> {
        let Outcome::Applied(reply) = &output.outcome else {
            return Err(format!("n{ix}: a person was answered {:?}", output.outcome));
        };
        if let (Ask::Send { circle, text, .. }, Reply::Message { id, .. }) = (&ask, reply) {
            let group = self.group_of(*circle)?;
            produced.sent.push((*id, Oracle::accepted(ix, client, group, *id, now, text)?));
        }
        match &ask {
            Ask::Drop { id } => self.oracle.dropped(*id),
            Ask::Release { id } => self.oracle.released(*id, client),
            Ask::Create { .. }
            | Ask::Invite { .. }
            | Ask::Join { .. }
            | Ask::Leave { .. }
            | Ask::Remove { .. }
            | Ask::Retention { .. }
            | Ask::Send { .. } => {}
            Ask::Mistake => return Err(format!("n{ix} did what no device may do")),
        }
        produced.answers.push((ask, Ok(reply.clone())));
        Ok(())
    }

    /// A face is told something.
    pub(super) fn tell(&mut self, ix: usize, client: &Client, event: &Event) {
        if let Event::State { state: MessageState::Waiting, .. } = event {
            self.levers.pull(levers::WAITED);
        }
        if self.facts.told(ix, client, event) {
            self.levers.pull(levers::JOINS);
        }
    }

    fn crash(&mut self, ix: usize, client: Client) {
        drop(client);
        self.levers.pull(levers::UNCLEAN);
        self.trace.note(self.clock.elapsed_ms(), &format!("n{ix} goes down uncleanly"));
        let away = self.dice.between(10, AWAY_MS_MAX);
        self.down(ix, away);
    }

    fn group_of(&self, circle: usize) -> Result<GroupId, String> {
        let circle = self.facts.circles.get(circle);
        circle
            .and_then(|circle| circle.group)
            .ok_or_else(|| "somebody spoke to a group that was never founded".to_owned())
    }
}
