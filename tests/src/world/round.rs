//! One round of one node: several inputs, one durable write, then all transmits, then all events.

use kinfold_protocol::Client;
use kinfold_protocol::error::{Error, Refusal, Why};
use kinfold_protocol::id::{GroupId, MsgId};
use kinfold_protocol::persist::{Key, ReadError};
use kinfold_protocol::step::{Event, Input, MessageState, Outcome, Output, Reply, Transmit};
use kinfold_protocol::time::Time;

use super::{Doom, Letter, World};
use crate::disk::Trouble;
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
    read: Vec<(GroupId, Vec<MsgId>)>,
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
        for (group, lines) in produced.read {
            self.oracle.marks.read(ix, group, lines);
        }
        for (ask, result) in produced.answers {
            self.marked(ix, &ask, &result)?;
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
            self.tell(ix, &client, event)?;
        }
        if doom == Some(Doom::AfterFlush) {
            self.crash(ix, client);
            return Ok(());
        }
        for (input, route, outcome) in produced.judged {
            self.network.judged(ix, &input, route, &outcome, now, &mut self.levers);
        }
        self.look(ix, &mut client, local)?;
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
        let framed = matches!(input, Input::Frame { .. });
        let (result, failed) = self.handle(ix, client, input, now);
        self.trace.step(self.clock.elapsed_ms(), ix, &shown, result.as_ref());
        let output = match (result, ask) {
            (Ok(_), _) if failed => return Err(format!("n{ix}: {shown}: it could not read, and says nothing")),
            (Err(Error::Read(_)), ask) if failed => {
                produced.answers.extend(ask.map(|ask| (ask, Err(Error::Read(ReadError)))));
                return Ok(());
            }
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
        // A node whose step failed has sealed frames that it never sent: its next one does not open, and the link ends.
        let parted = framed && !self.failed.is_empty() && output.outcome == Outcome::Refused(Refusal::BadSeal);
        if !parted
            && let Outcome::Refused(
                refusal @ (Refusal::BadSeal | Refusal::InvalidCommit | Refusal::Malformed | Refusal::Oversize),
            ) = output.outcome
        {
            return Err(format!("n{ix} refused what an honest peer sent: {shown}: {refusal}"));
        }
        match output.outcome {
            Outcome::Parked(Why::Rival) => self.levers.pull(levers::PARKED_RIVAL),
            Outcome::Parked(Why::Gap) => self.levers.pull(levers::PARKED_GAP),
            Outcome::Parked(Why::UnknownEpoch) => self.levers.pull(levers::PARKED_UNKNOWN),
            _ => {}
        }
        if let Some((input, route)) = kept {
            produced.judged.push((input, route, output.outcome.clone()));
        }
        self.produce(ix, output, produced)
    }

    fn produce(&mut self, ix: usize, output: Output, produced: &mut Produced) -> Result<(), String> {
        self.oracle.states(ix, &output.batch)?;
        produced.commits.extend(commits_in(&output.batch));
        self.node(ix).disk.stage(output.batch);
        produced.transmits.extend(output.transmits);
        produced.events.extend(output.events);
        Ok(())
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
        if let Ask::Read { circle } = &ask {
            let group = self.group_of(*circle)?;
            let lines = client.history(group, None, now).map_err(|error| format!("n{ix}: no history: {error}"))?;
            produced.read.push((group, lines.iter().map(|line| line.id).collect()));
        }
        match &ask {
            Ask::Drop { id } => self.oracle.dropped(*id),
            Ask::Release { id } => self.oracle.released(*id, client),
            Ask::Appoint { .. }
            | Ask::Connect
            | Ask::Create { .. }
            | Ask::Dismiss { .. }
            | Ask::Forget { .. }
            | Ask::Invite { .. }
            | Ask::Join { .. }
            | Ask::Leave { .. }
            | Ask::Read { .. }
            | Ask::Remove { .. }
            | Ask::Retention { .. }
            | Ask::Revoke { .. }
            | Ask::Send { .. }
            | Ask::Verify { .. } => {}
            Ask::Mistake => return Err(format!("n{ix} did what no device may do")),
        }
        produced.answers.push((ask, Ok(reply.clone())));
        Ok(())
    }

    /// One step, on a disk that may be in trouble. Whether a read failed.
    fn handle(&mut self, ix: usize, client: &mut Client, input: Input, now: Time) -> (Result<Output, Error>, bool) {
        let disk = self.node(ix).disk.clone();
        if let Some(trouble) = self.node(ix).trouble.take() {
            disk.trouble(trouble);
        }
        let result = client.handle(input, now);
        let left = disk.heal();
        let failed = left.is_some_and(|left| left.failed > 0);
        if failed {
            self.levers.pull(levers::READ_ERRORS);
            self.failed.insert(ix);
        } else {
            let left = left.filter(|left: &Trouble| left.times > 0);
            let trouble = &mut self.node(ix).trouble;
            *trouble = trouble.or(left);
        }
        (result, failed)
    }

    /// What a device has been told to remember or to forget, and says that it does.
    fn marked(&mut self, ix: usize, ask: &Ask, result: &Result<Reply, Error>) -> Result<(), String> {
        match ask {
            Ask::Verify { circle, member, verified } if result.is_ok() => {
                let group = self.group_of(*circle)?;
                self.oracle.marks.verify(ix, group, *member, *verified);
            }
            Ask::Forget { circle, net } if result.is_ok() => {
                let words = (self.group_of(*circle)?, format!("-in-{circle}."));
                self.oracle.marks.forget(ix, *net, words);
            }
            _ => {}
        }
        Ok(())
    }

    /// A face is told something.
    pub(super) fn tell(&mut self, ix: usize, client: &Client, event: &Event) -> Result<(), String> {
        if let Event::Joined { net, .. } = event
            && self.facts.is_revoked(ix, *net)
        {
            return Err(format!("n{ix} came in by an invite that was taken back"));
        }
        if let Event::JoinFailed { net, .. } = event
            && self.facts.is_revoked(ix, *net)
        {
            self.levers.pull(levers::KEPT_OUT);
        }
        if let Event::State { state: MessageState::Waiting, .. } = event {
            self.levers.pull(levers::WAITED);
        }
        if self.facts.told(ix, client, event) {
            self.levers.pull(levers::JOINS);
        }
        Ok(())
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
