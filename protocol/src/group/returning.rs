//! The way back for a device that cannot go where the others are, because what leads there is gone here or cannot be read:
//! it asks to be let in anew (PROTOCOL H2, H5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::commits::{Commits, Made};
use super::cx::Cx;
use super::ordering::{Child, Head, Judged, Parent, Shape, turn};
use super::{Epoch, Group, StandingRow};
use crate::error::Error;
use crate::id::{EpochId, LinkId, MemberId};
use crate::limits::{CONTROL_KEPT, READER_KEPT};
use crate::mls::{self, Signer};
use crate::persist::{Key, Table, Value};
use crate::policy::judge::{self, SWAPS_APART};
use crate::policy::pending;
use crate::time::Time;
use crate::wire::control::{Control, Operation, Ticket};
use crate::wire::message::{Bytes, CommitWire, LINE_MAX, LINE_MOVES_MAX, Message, Moves, Told};

/// How long others must have stood where this device cannot go before it asks: what leads there may be on its way.
const STRAY_AFTER: Duration = Duration::from_secs(10);
/// When it asks again: what it has asked for is told by all meanwhile, and is good by the key package that it named. As long it
/// waits where only one voted, who may be a liar, and for what could still come.
const ASK_AGAIN: Duration = Duration::from_secs(660);

/// So many stand where others cannot go, or all others, before these ask soon to be let in there.
const VOTERS_LEAST: usize = 2;

/// That others stand where this device cannot go.
#[derive(Clone, Copy)]
pub(crate) struct Stray {
    /// Where they stand.
    pub(crate) beyond: EpochId,
    /// When something is done about it.
    pub(crate) due: Time,
    /// Whether it has asked.
    asked: bool,
}

/// All that is known of the shape of the history, also on others' word.
pub(super) struct Wide {
    pub(super) shape: Shape,
    /// Where to choose from.
    pub(super) root: EpochId,
    /// Where commits lead that could be judged here, had they come or were they not spoilt for this device alone.
    missed: BTreeSet<EpochId>,
}

impl Group {
    /// What to choose from, and from where. Where there is only one way, what can be judged is enough; and else all that is
    /// known, with what is too old to be judged, or was told, decided by votes.
    pub(super) fn wide_shape(&self) -> Wide {
        let (mut shape, mut root) = (self.shape(), self.root());
        let is_young = |id: &EpochId| self.epochs.get(id).is_some_and(Epoch::is_young);
        let misses = self.commits.edges().any(|made| !made.is_judged() && is_young(&made.step.0));
        if self.commits.are_one_way() && !misses {
            return Wide { shape, root, missed: BTreeSet::new() };
        }
        let before = self.commits.before();
        let (ways, mut missed) = (self.ways(&before), BTreeMap::new());
        // What led this device itself is no hearsay, and where it knows itself how a state came about it takes nobody's word.
        let led = |made: &Made| self.epochs.get(&made.child).is_some_and(|child| child.parent == Some(made.step.0));
        let known = |made: &Made| before.get(&made.child).is_some_and(Made::is_judged);
        for made in self.commits.edges().filter(|made| made.is_judged() || !known(made)) {
            let (parent, commit) = made.step;
            let epoch = self.epochs.get(&parent).filter(|epoch| epoch.is_young());
            let afar = if ways.contains(&made) { Judged::Walked } else { Judged::Heard };
            let (turn, judged) = match (epoch, self.commits.judged(&made.step)) {
                // What could be judged is in there already.
                (Some(_), Some(known)) if made.child == known.child => continue,
                (Some(epoch), Some(known)) if !known.swapped => {
                    (turn(&self.id, epoch.number, &known.committer), Judged::Good { removes: known.removes })
                }
                (Some(_), None) if !self.unjudged.contains(&made.step) && !led(&made) => {
                    missed.insert((parent, made.child), afar);
                    ([0; 32], Judged::Closed)
                }
                _ => ([0; 32], afar),
            };
            let entry = shape.parents.entry(parent).or_insert_with(|| Parent { old: true, ..Parent::default() });
            entry.children.push(Child { epoch: made.child, commit, turn, judged });
        }
        if let Some(made) = self.commits.back_from(root).last() {
            root = made.step.0;
        }
        for (state, members) in self.rosters(shape.old_forks(root).into_iter()) {
            let parent = shape.parents.entry(state).or_default();
            (parent.members, parent.out) = (members, self.wanted_out(&state));
        }
        // One member's word is not enough for what this device could judge, had it come.
        shape.open(root, &missed);
        Wide { shape, root, missed: missed.into_keys().map(|(_, child)| child).collect() }
    }

    /// Whom facilitators of a state want out, and who wants to go, as far as is known: they do not decide (PROTOCOL H2).
    fn wanted_out(&self, state: &EpochId) -> BTreeSet<MemberId> {
        let Some(epoch) = self.epochs.get(state) else { return BTreeSet::new() };
        let tickets = self.controls.tickets().filter_map(|signed| signed.open::<Ticket>(self.id).ok());
        let wants = |ticket: &Ticket| {
            let spent = epoch.extension.spent(ticket.operation, &ticket.target);
            let issuer = ticket.issuer.member();
            let may = issuer == ticket.target || epoch.extension.is_facilitator(&issuer);
            ticket.operation.removes() && may && ticket.sequence > spent
        };
        tickets.filter(wants).map(|ticket| ticket.target).collect()
    }

    /// What led to the states that this device can still go on from.
    fn ways(&self, before: &BTreeMap<EpochId, Made>) -> BTreeSet<Made> {
        let mut ways = BTreeSet::new();
        for (id, _) in self.epochs.iter().filter(|(_, epoch)| epoch.is_young()) {
            let mut at = before.get(id);
            while let Some(made) = at.filter(|made| ways.insert(**made)) {
                at = before.get(&made.step.0);
            }
        }
        ways
    }

    /// Others stand where this device cannot go, or no longer. What nobody voted for is one peer's word.
    pub(super) fn note_beyond(&mut self, cx: &Cx<'_>, wide: &Wide, head: Head) {
        let least = self.roster().map_or(0, |roster| roster.len().saturating_sub(1)).min(VOTERS_LEAST);
        let way = wide.shape.way_beyond(wide.root, head, &self.me.member());
        let voted = |least: usize| way.iter().find(|(_, voters)| *voters >= least.max(1)).map(|(state, _)| *state);
        let (many, one) = (voted(least), voted(1));
        let soon = many.is_some() && !way.iter().any(|(state, _)| wide.missed.contains(state));
        let first = cx.now.wall + if soon { STRAY_AFTER } else { ASK_AGAIN };
        let due = self.stray.map_or(first, |stray| if stray.asked { stray.due } else { stray.due.min(first) });
        let asked = self.stray.is_some_and(|stray| stray.asked);
        self.stray = many.or(one).map(|beyond| Stray { beyond, due, asked });
    }

    /// Asks to be let in where the others are, or sees that this person is out there.
    pub(super) fn seek_way(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let Some(stray) = self.stray.filter(|stray| self.talks() && stray.due <= cx.now.wall) else { return Ok(()) };
        let me = self.me.member();
        self.stray = Some(Stray { due: cx.now.wall + ASK_AGAIN, asked: true, ..stray });
        let is_in = self.is_in(&stray.beyond);
        if self.facts.standing == StandingRow::Leaving {
            // Who is not there has left already.
            return if is_in == Some(true) { Ok(()) } else { self.be_gone(cx) };
        }
        let to_go = self.to_go()?;
        let Some(is_in) = is_in else {
            if stray.asked && self.is_forgotten(cx.now.sweep, stray, &to_go)? {
                self.be_out(cx);
            }
            return Ok(());
        };
        // What nobody has signed is perhaps a lie: whoever is there knows who is in. Nor does all say who went.
        if to_go.contains(&me) && (!is_in || stray.asked) {
            self.be_out(cx);
            return Ok(());
        }
        let package = self.make_package(cx)?;
        let mut ticket = self.ticket(Operation::Swap, me)?;
        // The others may have taken later ones than are known here, and let nobody in anew too often.
        ticket.sequence = cx.now.stamp.ms().max(ticket.sequence.saturating_add(SWAPS_APART));
        (ticket.epoch, ticket.key_package) = (stray.beyond, Some(package));
        let control = Control::Ticket(self.me.sign(self.id, &ticket));
        self.send_control(cx, &control)?;
        let until = cx.now.later() + CONTROL_KEPT;
        self.controls.keep(cx, self.net, Told { control, until });
        Ok(())
    }

    /// Whether this person is in a state to which others went: no, if it was taken out on the way there; `None` if it never
    /// was in there, and whoever let it in elsewhere will do so again. That the ways parted before it came in only that one
    /// can say; and who was in where they part is not out for anybody's silence.
    fn is_in(&self, there: &EpochId) -> Option<bool> {
        let me = self.me.member();
        let mut line = self.commits.back_from(self.facts.head);
        let way = self.commits.back_from(*there);
        let way: Vec<&Made> = way.iter().take_while(|made| !line.iter().any(|own| own.child == made.child)).collect();
        let moved = way.iter().filter_map(|made| self.commits.told_of(made)).find_map(|moves| match () {
            () if moves.came.contains(&me) => Some(true),
            () if moves.went.contains(&me) => Some(false),
            () => None,
        });
        line.retain(|own| way.last().is_some_and(|made| made.step.0 == own.step.0));
        let is_before = |own: &Made| self.facts.inviter.is_some() && self.commits.teller(own) == self.facts.inviter;
        moved.or((!line.iter().any(is_before)).then_some(true))
    }

    /// Whether most of those who stay here stand where this person never was, and nobody lets it in there any more: who did
    /// that here is out, stands there itself and may not, or has what it takes no longer (PROTOCOL J1).
    fn is_forgotten(&self, now: Time, stray: Stray, to_go: &BTreeSet<MemberId>) -> Result<bool, Error> {
        let roster = self.roster()?;
        let voters = self.wide_shape().shape.voters_from(stray.beyond);
        let late = self.facts.joined + READER_KEPT <= now;
        let gone = |inviter: MemberId| !roster.has(&inviter) || late || voters.contains(&inviter);
        let staying: Vec<MemberId> = roster.seats().iter().map(|seat| seat.member).collect();
        let staying = staying.into_iter().filter(|member| !to_go.contains(member));
        let (there, here): (Vec<_>, Vec<_>) = staying.partition(|member| voters.contains(member));
        Ok(self.facts.inviter.is_some_and(gone) && there.len() > here.len())
    }

    /// Who goes from the head by what was signed: nobody else can say so.
    fn to_go(&self) -> Result<BTreeSet<MemberId>, Error> {
        let parent = self.parent(&self.facts.head)?;
        let tickets = self.controls.tickets();
        let opened = tickets.filter_map(|signed| Some((judge::open_in_time(parent, signed).ok()?, signed.clone())));
        let removals = pending::executable(parent, opened).into_iter().filter(|(ticket, _)| ticket.operation.removes());
        Ok(removals.map(|(ticket, _)| ticket.target).collect())
    }

    /// A key package to be let in anew by; an earlier one is not needed any more.
    pub(super) fn make_package(&mut self, cx: &mut Cx<'_>) -> Result<Vec<u8>, Error> {
        let key = |name: &[u8]| Key::new(Table::Joining, self.net, &[b"s", name]);
        let begins = key(&[]).name;
        for old in self.package.extract_if(.., |old| old.name.starts_with(&begins)) {
            cx.tx.delete(old);
        }
        let signer = Signer::new(&self.me.device_secret());
        let made = mls::key_package(cx.mls, &signer, &self.me.credential.encode()).map_err(|_| Error::Broken)?;
        for (name, bytes) in made.rows {
            let (key, dies) = (key(&name), Some(cx.now.sweep + READER_KEPT));
            cx.tx.put(key.clone(), Value { bytes, dies });
            self.package.insert(key);
        }
        Ok(made.bytes)
    }

    /// Tells a peer how we came to where we stand.
    pub(super) fn say_line(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let head = self.facts.head;
        let Some(link) = self.links.get_mut(&id).filter(|link| link.lined != Some(head)) else { return Ok(()) };
        link.lined = Some(head);
        let steps = self.commits.back_from(head);
        self.say_steps(cx, id, steps)
    }

    /// Tells a peer how a branch came about that was left: it may not have been there.
    pub(super) fn say_branch(&mut self, cx: &mut Cx<'_>, id: LinkId, tip: EpochId) -> Result<(), Error> {
        let mut steps = self.commits.back_from(tip);
        let met = steps.iter().position(|made| self.is_on_line(&made.child));
        steps.truncate(met.unwrap_or(steps.len()));
        self.say_steps(cx, id, steps)
    }

    fn say_steps(&mut self, cx: &mut Cx<'_>, id: LinkId, steps: Vec<Made>) -> Result<(), Error> {
        let (mut line, mut named) = (Vec::new(), 0_usize);
        let member = self.member_at(id);
        // Whoever went is not told who came since.
        let has = |epoch: &Epoch| member.is_some_and(|member| epoch.roster.has(&member));
        let was_in = |state: &EpochId| self.epochs.get(state).is_some_and(has);
        let gone = !was_in(&self.facts.head);
        for made in steps.into_iter().take(LINE_MAX) {
            let Some(row) = Commits::row(cx, self.net, &made)? else { break };
            let ((parent, commit), moves) = (made.step, row.moves().filter(|_| !gone || was_in(&made.step.0)));
            named = named.saturating_add(moves.as_ref().map_or(0, Moves::len));
            if named > LINE_MOVES_MAX {
                break;
            }
            line.push(CommitWire { parent, commit, child: made.child, envelope: Bytes(Vec::new()), moves });
        }
        if !line.is_empty() {
            self.say(cx, id, &Message::Line(line));
        }
        Ok(())
    }

    /// A peer tells how it came to where it stands.
    pub(super) fn on_line(&mut self, cx: &mut Cx<'_>, id: LinkId, mut line: Vec<CommitWire>) -> Result<(), Error> {
        let heard = |member: &MemberId| self.has_a_say(member) || self.roster().is_ok_and(|all| all.has(member));
        let Some(from) = self.member_at(id).filter(heard) else { return Ok(()) };
        let young = |step: &CommitWire| self.epochs.get(&step.parent).is_some_and(Epoch::is_young);
        let judged = |step: &CommitWire| self.commits.judged(&(step.parent, step.commit)).is_some();
        let first = line.iter().find(|step| young(step) && !judged(step)).map(|step| step.parent);
        // The shape is told, and not what makes it.
        line.iter_mut().for_each(|step| step.envelope = Bytes(Vec::new()));
        self.keep_told(cx, line, from)?;
        // What can be judged here is not taken on anybody's word.
        if let Some(parent) = first
            && let Some(link) = self.links.get_mut(&id).filter(|link| link.asked_after != Some(parent))
        {
            link.asked_after = Some(parent);
            self.say(cx, id, &Message::After(parent));
        }
        self.weigh_votes(cx)
    }
}
