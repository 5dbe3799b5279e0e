//! What a device remembers for its person alone: what was read, whose safety code was compared, what was forgotten.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_protocol::Client;
use kinfold_protocol::id::{GroupId, MemberId, MsgId, NetId};
use kinfold_protocol::step::Line;
use kinfold_protocol::time::Time;

use crate::disk::Disk;

/// What each device was told, as a model.
#[derive(Debug, Default)]
pub struct Marks {
    read: BTreeMap<(usize, GroupId), BTreeSet<MsgId>>,
    verified: BTreeMap<(usize, GroupId), BTreeSet<MemberId>>,
    forgotten: BTreeMap<(usize, NetId), Words>,
}

/// Words by which a group is recognised on a disk.
type Words = (GroupId, String);

impl Marks {
    /// A person has seen these lines.
    pub fn read(&mut self, node: usize, group: GroupId, lines: impl IntoIterator<Item = MsgId>) {
        self.read.entry((node, group)).or_default().extend(lines);
    }

    /// A person has compared a safety code, or takes that back.
    pub fn verify(&mut self, node: usize, group: GroupId, member: MemberId, verified: bool) {
        let marked = self.verified.entry((node, group)).or_default();
        if verified {
            marked.insert(member);
        } else {
            marked.remove(&member);
        }
    }

    /// A device was told to forget what was on a network; `words` stand in everything that was said there.
    pub fn forget(&mut self, node: usize, net: NetId, words: (GroupId, String)) {
        self.forgotten.insert((node, net), words);
    }

    /// Looks whether a device remembers just what it was told.
    ///
    /// # Errors
    /// When it remembers more, less or something else.
    pub fn look(&self, node: usize, client: &mut Client, disk: &Disk, now: Time) -> Result<(), String> {
        for (net, words) in self.forgotten.range((node, NetId(0))..=(node, NetId(u64::MAX))) {
            gone(node, net.1, words, client, disk)?;
        }
        for view in client.groups() {
            let group = view.group;
            let members = client.members(group).map_err(|error| format!("n{node}: no members: {error}"))?;
            for member in members {
                let marked = self.verified.get(&(node, group)).is_some_and(|marked| marked.contains(&member.member));
                if member.verified != marked {
                    return Err(format!(
                        "n{node} shows {} as verified: {}, not {marked}",
                        member.name, member.verified
                    ));
                }
            }
            // What is past its time may still be counted until the device is told that the time has come.
            if client.deadline().is_some_and(|due| due <= now) {
                continue;
            }
            let lines = client.history(group, None, now).map_err(|error| format!("n{node}: no history: {error}"))?;
            self.unread(node, group, &lines, view.unread)?;
        }
        Ok(())
    }

    fn unread(&self, node: usize, group: GroupId, lines: &[Line], shown: usize) -> Result<(), String> {
        let read = self.read.get(&(node, group));
        let said = |line: &&Line| !line.own && line.expires.is_some();
        let unread = |line: &&Line| said(line) && read.is_none_or(|read| !read.contains(&line.id));
        let counted = lines.iter().filter(unread).count();
        if counted == shown { Ok(()) } else { Err(format!("n{node} tells of {shown} unread lines, and has {counted}")) }
    }
}

fn gone(node: usize, net: NetId, (group, words): &Words, client: &Client, disk: &Disk) -> Result<(), String> {
    if client.joins().contains(&net) || client.groups().iter().any(|view| view.net == net) {
        return Err(format!("n{node} shows what it was told to forget"));
    }
    let names: [&[u8]; 3] = [group.as_bytes(), words.as_bytes(), &net.0.to_be_bytes()];
    if disk.rows_of(net) > 0 || names.into_iter().any(|name| disk.holds(name)) {
        return Err(format!("the disk of n{node} keeps something of a group that was forgotten"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinfold_protocol::persist::{Key, Table, Value, WriteBatch};
    use kinfold_protocol::step::{LineKind, MessageState};
    use zeroize::Zeroizing;

    const GROUP: GroupId = GroupId::from_bytes([1; 16]);
    const ID: MsgId = MsgId::from_bytes([2; 32]);

    #[test]
    fn it_counts_what_others_said_and_nobody_has_read() {
        let line = |own| Line {
            id: ID,
            kind: LineKind::Text(Zeroizing::new("hello".to_owned())),
            author: MemberId::from_bytes([3; 32]),
            author_name: "Ana".to_owned(),
            own,
            sent: Time::ZERO,
            expires: Some(Time::ZERO),
            state: MessageState::Held,
            late: false,
        };
        let mut marks = Marks::default();
        assert!(
            marks.unread(0, GROUP, &[line(false)], 1).is_ok() && marks.unread(0, GROUP, &[line(false)], 0).is_err()
        );
        assert!(marks.unread(0, GROUP, &[line(true)], 0).is_ok() && marks.unread(0, GROUP, &[line(true)], 1).is_err());
        let came = Line { kind: LineKind::Joined("Ana".to_owned()), expires: None, ..line(false) };
        assert!(marks.unread(0, GROUP, &[came], 0).is_ok());
        marks.read(0, GROUP, [ID]);
        assert!(
            marks.unread(0, GROUP, &[line(false)], 0).is_ok() && marks.unread(1, GROUP, &[line(false)], 0).is_err()
        );
    }

    #[test]
    fn it_sees_what_is_left_of_a_group_that_was_forgotten() {
        let (net, words) = (NetId(7), "-in-0.".to_owned());
        let mut marks = Marks::default();
        marks.forget(0, net, (GROUP, words.clone()));
        let row = |key, bytes: &[u8]| (key, Some(Value::lasting(bytes.to_vec())));
        let named = |table| Key { table, name: vec![9] };
        let leftovers = [
            None,
            Some(row(Key::new(Table::Address, net, &[b"x"]), b"")),
            Some(row(named(Table::Line), b"said-1-by-n1-in-0.")),
            Some(row(named(Table::Device), GROUP.as_bytes())),
            Some(row(named(Table::Device), &net.0.to_be_bytes())),
        ];
        for leftover in leftovers {
            let disk = Disk::default();
            let (mut client, _) = Client::open_seeded(Box::new(disk.clone()), [1; 32], Time::ZERO).unwrap();
            let clean = leftover.is_none();
            disk.stage(WriteBatch { rows: leftover.into_iter().collect(), urgent: false });
            disk.flush();
            assert_eq!(marks.look(0, &mut client, &disk, Time::ZERO).is_ok(), clean);
            assert!(marks.look(1, &mut client, &disk, Time::ZERO).is_ok());
        }
    }
}
