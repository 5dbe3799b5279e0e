//! What people do and what befalls them, drawn from the seed.

mod private;
mod rival;

use std::time::Duration;

use kinfold_protocol::id::{GroupId, MemberId};
use kinfold_protocol::step::{Command, Standing};
use zeroize::Zeroizing;

use crate::dice::Dice;
use crate::facts::{Ask, Circle, Role};
use crate::judge::{self, Erasure, WORDS_BEGIN};
use crate::levers;
use crate::world::{Doom, World};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// How often people look whether all is well, at the end.
const LOOK_MS: u64 = 5_000;
/// How long everything may take to come about once nothing goes wrong any more.
const SETTLE_MS_MAX: u64 = 40 * MINUTE_MS;
/// How long it must then stay so.
const STAY_MS: u64 = 2 * MINUTE_MS;
/// Retentions that people set, in hours.
const RETENTIONS_H: [u64; 4] = [1, 24, 7 * 24, 90 * 24];

/// The script of one run.
#[derive(Debug)]
pub struct Script {
    dice: Dice,
    said: u64,
    /// In which circles others than the founder are let change the group.
    shared: Vec<bool>,
    copies: rival::Copies,
    erasure: Erasure,
}

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, 3),
            said: 0,
            shared: Vec::new(),
            copies: rival::Copies::default(),
            erasure: Erasure::default(),
        }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// What was wrong.
    pub fn play(&mut self, world: &mut World) -> Result<(), String> {
        self.wait(world, 100)?;
        let circles = if self.dice.chance(250) && world.len() > 2 { 2 } else { 1 };
        for circle in 0..circles {
            world.facts.circles.push(Circle { founder: circle, ..Circle::default() });
            self.shared.push(self.dice.chance(500));
        }
        let actions = self.dice.between(60, 120);
        for _ in 0..actions {
            self.act(world)?;
            let gap = match self.dice.below(100) {
                0..70 => self.dice.below(2_000),
                70..97 => self.dice.between(2_000, 30_000),
                _ => self.dice.between(MINUTE_MS, 10 * MINUTE_MS),
            };
            self.wait(world, gap)?;
        }
        self.finish(world)
    }

    fn finish(&mut self, world: &mut World) -> Result<(), String> {
        world.trace.note(world.clock.elapsed_ms(), "nothing goes wrong from here");
        world.network.heal();
        world.network.weather = crate::network::Weather::FAIR;
        world.raise();
        self.settle(world)?;
        let before = rival::seen(world);
        self.copies.commit(&mut self.dice, world);
        self.settle(world)?;
        if rival::seen(world) != before {
            return Err("a rival change of the rules moved somebody in or out".to_owned());
        }
        Erasure::default().look(world)
    }

    /// Waits until all is well, and stays so.
    fn settle(&mut self, world: &mut World) -> Result<(), String> {
        let end = world.clock.now_ms() + SETTLE_MS_MAX;
        let mut stays = 0;
        loop {
            self.wait(world, LOOK_MS)?;
            for (node, group, id) in judge::waiting(world) {
                world.ask(node, Ask::Release { id }, Command::Release { group, id });
            }
            match judge::settled(world) {
                Ok(()) if world.all_up() => stays += LOOK_MS,
                Ok(()) => stays = 0,
                Err(what) if world.clock.now_ms() >= end => {
                    return Err(format!("it never settles: {what}\n{}", judge::inside(world)));
                }
                Err(_) => stays = 0,
            }
            if stays >= STAY_MS {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, world: &mut World, ms: u64) -> Result<(), String> {
        world.advance(world.clock.now_ms() + ms)?;
        self.erasure.look(world)
    }

    fn act(&mut self, world: &mut World) -> Result<(), String> {
        let circles = world.facts.circles.len() as u64;
        let circle = usize::try_from(self.dice.below(circles)).unwrap_or(0);
        let node = usize::try_from(self.dice.below(world.len() as u64)).unwrap_or(0);
        let founded = world.facts.circles.get(circle).is_some_and(|circle| circle.group.is_some());
        if !founded {
            self.found(world, circle);
            return Ok(());
        }
        if self.shared.get(circle).is_some_and(|shared| *shared) && self.dice.chance(450) {
            self.quarrel(world, circle);
            return Ok(());
        }
        match self.dice.below(1_000) {
            0..360 => self.send(world, circle),
            360..380 => self.copies.take(world, circle),
            380..400 => private::read(&mut self.dice, world, circle),
            400..420 => private::verify(&mut self.dice, world, circle),
            420..430 => private::revoke(&mut self.dice, world, circle),
            430..440 => private::forget(&mut self.dice, world, circle),
            440..460 => private::connect(&mut self.dice, world, circle),
            460..490 => private::trouble(&mut self.dice, world, node),
            490..620 => self.invite(world, circle),
            620..650 => self.remove(world, circle),
            650..675 => self.leave(world, circle),
            675..690 => self.word(world),
            690..710 => self.retention(world, circle),
            710..730 => self.mistake(world, circle, node),
            730..755 => self.fall_apart(world),
            755..800 => self.come_together(world),
            800..840 => return world.restart_clean(node, self.dice.between(10, 2 * MINUTE_MS)),
            840..880 => world.doom(node, Doom::BeforeFlush),
            880..910 => world.doom(node, Doom::AfterFlush),
            910..940 => self.skew(world, node),
            940..960 => self.leap(world),
            _ => {
                if world.network.cut_any(world.clock.now_ms()) {
                    world.levers.pull(levers::LINKS_CUT);
                }
            }
        }
        Ok(())
    }

    fn found(&self, world: &mut World, circle: usize) {
        let Some(founder) = world.facts.circles.get(circle).map(|circle| circle.founder) else { return };
        let command = Command::CreateGroup { name: format!("circle {circle}"), display_name: name(founder) };
        world.ask(founder, Ask::Create { circle }, command);
    }

    fn send(&mut self, world: &mut World, circle: usize) {
        let Some((group, inside)) = inside(world, circle) else { return };
        let Some(node) = self.dice.pick(&inside).copied() else { return };
        let Some(client) = world.client(node) else { return };
        let active = client.groups().iter().any(|view| view.group == group && view.standing == Standing::Active);
        if !active {
            return;
        }
        self.said += 1;
        let filler = usize::try_from(self.dice.below(300)).unwrap_or(0);
        // Found again by its words, should any of it stay on a disk.
        let text = format!("{WORDS_BEGIN}{}-by-n{node}-in-{circle}.{}", self.said, " ".repeat(filler));
        let expires = self.dice.chance(300).then(|| Duration::from_secs(self.dice.between(5, 3_600)));
        let ask = Ask::Send { circle, text: text.clone(), expires };
        world.ask(node, ask, Command::Send { group, text: Zeroizing::new(text), expires });
    }

    /// Takes somebody one step further on the way in.
    fn invite(&mut self, world: &mut World, circle: usize) {
        let Some((group, _)) = inside(world, circle) else { return };
        let Some(known) = world.facts.circles.get(circle) else { return };
        let invited = known.roles.iter().find_map(|(node, role)| match role {
            Role::Invited { text, .. } => Some((*node, text.clone())),
            Role::Asked | Role::Forgot { .. } | Role::In { .. } | Role::Joining { .. } | Role::Out { .. } => None,
        });
        if let Some((node, text)) = invited {
            let command = Command::Join { invite: Zeroizing::new(text), display_name: name(node) };
            world.ask(node, Ask::Join { circle }, command);
            return;
        }
        let outside: Vec<usize> =
            (0..world.len()).filter(|node| *node != known.founder && !known.roles.contains_key(node)).collect();
        let Some(guest) = self.dice.pick(&outside).copied() else { return };
        let Some(leader) = self.leader(world, circle) else { return };
        if let Some(known) = world.facts.circles.get_mut(circle) {
            known.roles.insert(guest, Role::Asked);
        }
        let valid = Duration::from_millis(self.dice.between(HOUR_MS, 24 * HOUR_MS));
        world.ask(leader, Ask::Invite { circle, guest }, Command::Invite { group, valid });
    }

    fn remove(&mut self, world: &mut World, circle: usize) {
        let Some((group, inside)) = inside(world, circle) else { return };
        let Some((whom, member)) = self.guest(world, circle, &inside) else { return };
        let Some(leader) = self.leader(world, circle).filter(|leader| *leader != whom) else { return };
        world.ask(leader, Ask::Remove { circle, whom }, Command::Remove { group, member });
    }

    fn leave(&mut self, world: &mut World, circle: usize) {
        let Some((group, inside)) = inside(world, circle) else { return };
        let Some((node, _)) = self.guest(world, circle, &inside) else { return };
        world.ask(node, Ask::Leave { circle }, Command::Leave { group });
    }

    /// Several who may change the group do so, and often without hearing of each other.
    fn quarrel(&mut self, world: &mut World, circle: usize) {
        match self.dice.below(100) {
            0..20 => self.appoint(world, circle),
            20..26 => self.dismiss(world, circle),
            26..60 => self.retention(world, circle),
            60..78 => self.invite(world, circle),
            78..84 => self.remove(world, circle),
            84..96 if !world.network.is_apart() => self.fall_apart(world),
            84..96 => self.retention(world, circle),
            _ => self.come_together(world),
        }
    }

    /// Lets one more change the group.
    fn appoint(&mut self, world: &mut World, circle: usize) {
        let Some((group, inside)) = inside(world, circle) else { return };
        if !self.shared.get(circle).is_some_and(|shared| *shared) {
            return;
        }
        let Some((whom, member)) = self.guest(world, circle, &inside) else { return };
        let Some(leader) = self.leader(world, circle) else { return };
        if let Some(known) = world.facts.circles.get_mut(circle) {
            known.leaders.insert(whom);
        }
        world.ask(leader, Ask::Appoint { circle, whom }, Command::SetFacilitator { group, member, may: true });
    }

    /// Lets somebody change it no longer.
    fn dismiss(&mut self, world: &mut World, circle: usize) {
        let Some((group, inside)) = inside(world, circle) else { return };
        let Some(known) = world.facts.circles.get(circle) else { return };
        let member = |node: &usize| known.roles.get(node).and_then(Role::member);
        let leaders: Vec<MemberId> =
            inside.iter().filter(|node| known.leaders.contains(node)).filter_map(member).collect();
        let Some(member) = self.dice.pick(&leaders).copied() else { return };
        let Some(leader) = self.leader(world, circle) else { return };
        world.ask(leader, Ask::Dismiss { circle }, Command::SetFacilitator { group, member, may: false });
    }

    /// Somebody whose device says that its person may change the group.
    fn leader(&mut self, world: &World, circle: usize) -> Option<usize> {
        let (group, inside) = inside(world, circle)?;
        let may = |node: &usize| {
            let members = world.client(*node).and_then(|client| client.members(group).ok()).unwrap_or_default();
            members.iter().any(|member| member.own && member.facilitator)
        };
        let leaders: Vec<usize> = inside.into_iter().filter(may).collect();
        self.dice.pick(&leaders).copied()
    }

    /// Somebody who is in and does not lead, if the circle can spare anybody.
    fn guest(&mut self, world: &World, circle: usize, inside: &[usize]) -> Option<(usize, MemberId)> {
        if inside.len() < 3 {
            return None;
        }
        let leaders = &world.facts.circles.get(circle)?.leaders;
        let guests: Vec<usize> = inside.get(1..)?.iter().filter(|node| !leaders.contains(node)).copied().collect();
        let whom = self.dice.pick(&guests).copied()?;
        match world.facts.circles.get(circle)?.roles.get(&whom)? {
            Role::In { member } => Some((whom, *member)),
            Role::Asked | Role::Forgot { .. } | Role::Invited { .. } | Role::Joining { .. } | Role::Out { .. } => None,
        }
    }

    fn retention(&mut self, world: &mut World, circle: usize) {
        let Some((group, _)) = inside(world, circle) else { return };
        let hours = self.dice.pick(&RETENTIONS_H).copied().unwrap_or(1);
        let retention = Duration::from_secs(hours * 3_600);
        let Some(leader) = self.leader(world, circle) else { return };
        world.ask(leader, Ask::Retention { circle }, Command::SetRetention { group, retention });
    }

    /// Asks for what no device may do: the rest of its round must not notice.
    fn mistake(&mut self, world: &mut World, circle: usize, node: usize) {
        let Some((group, _)) = inside(world, circle) else { return };
        let nobody = MemberId::from_bytes(self.dice.bytes());
        let command = match self.dice.below(4) {
            0 => Command::Send { group, text: Zeroizing::new(String::new()), expires: None },
            1 => Command::SetRetention { group, retention: Duration::from_secs(1) },
            2 => Command::Remove { group, member: nobody },
            _ => Command::Join { invite: Zeroizing::new("kinfold".to_owned()), display_name: name(node) },
        };
        world.ask(node, Ask::Mistake, command);
    }

    /// The author's word on a message that waits.
    fn word(&mut self, world: &mut World) {
        let waiting = judge::waiting(world);
        let Some((node, group, id)) = self.dice.pick(&waiting).copied() else { return };
        if self.dice.chance(500) {
            world.ask(node, Ask::Release { id }, Command::Release { group, id });
        } else {
            world.ask(node, Ask::Drop { id }, Command::Drop { group, id });
        }
    }

    fn fall_apart(&mut self, world: &mut World) {
        let sides: Vec<u64> = (0..world.len()).map(|_| self.dice.below(2)).collect();
        world.trace.note(world.clock.elapsed_ms(), &format!("sides {sides:?}"));
        world.network.partition(sides, world.clock.now_ms());
        world.levers.pull(levers::PARTITIONS);
    }

    fn come_together(&self, world: &mut World) {
        if world.network.is_apart() {
            world.trace.note(world.clock.elapsed_ms(), "one side");
            world.network.heal();
            world.levers.pull(levers::HEALS);
        }
    }

    fn skew(&mut self, world: &mut World, node: usize) {
        // Mostly what a clock that nobody sets is off by; seldom what a wrong time zone makes.
        let most = if self.dice.chance(200) { 2 * HOUR_MS } else { 4 * MINUTE_MS };
        let ahead = self.dice.below(2 * most).cast_signed() - most.cast_signed();
        world.trace.note(world.clock.elapsed_ms(), &format!("n{node} is {ahead} ms ahead"));
        world.set_clock(node, ahead);
        world.levers.pull(levers::SKEWS);
    }

    fn leap(&mut self, world: &mut World) {
        let leap = match self.dice.below(100) {
            0..60 => self.dice.below(HOUR_MS),
            60..90 => self.dice.below(30 * HOUR_MS),
            // Past the end of what opens messages and shows which way was taken.
            _ => self.dice.between(72 * HOUR_MS, 100 * HOUR_MS),
        };
        world.trace.note(world.clock.elapsed_ms(), &format!("{leap} ms pass unseen"));
        world.clock.leap(leap);
        world.levers.pull(levers::LEAPS);
    }
}

fn inside(world: &World, circle: usize) -> Option<(GroupId, Vec<usize>)> {
    let circle = world.facts.circles.get(circle)?;
    Some((circle.group?, circle.inside()))
}

fn name(node: usize) -> String {
    format!("person {node}")
}
