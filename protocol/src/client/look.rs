//! What a face can ask for without changing anything.

use super::Client;
use crate::error::Error;
use crate::group::{Cx, Group};
use crate::id::{GroupId, MemberId, NetId};
use crate::journal::Tx;
use crate::rooms::{Room, find, groups_of};
use crate::step::Line;
use crate::time::Time;
use crate::view::{ClockView, DoctorView, GroupView, InviteView, MemberView, OutboxView, SafetyCode};

impl Client {
    /// The groups of this device, in the order of their names.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        let mut views: Vec<_> = self.all_groups().map(|group| group.view(self.now)).collect();
        views.sort_by(|a, b| (&a.name, a.group).cmp(&(&b.name, b.group)));
        views
    }

    /// What speaks against this device's clock, if anything does.
    #[must_use]
    pub fn clock(&self, wall: Time) -> Option<ClockView> {
        self.clock.doubt(wall)
    }

    /// Joins that have not ended.
    #[must_use]
    pub fn joins(&self) -> Vec<NetId> {
        let joining = |(net, room): (&NetId, &Room)| matches!(room, Room::Joining(_)).then_some(*net);
        self.rooms.iter().filter_map(joining).collect()
    }

    /// The last lines of a group's history in order, or all.
    ///
    /// # Errors
    /// When the group is unknown or the rows cannot be read.
    pub fn history(&mut self, group: GroupId, last: Option<usize>, now: Time) -> Result<Vec<Line>, Error> {
        self.look(group, now, |group, cx| group.lines(cx, last))
    }

    /// The people of a group.
    ///
    /// # Errors
    /// When the group is unknown.
    pub fn members(&self, group: GroupId) -> Result<Vec<MemberView>, Error> {
        self.group(group)?.members()
    }

    /// Own messages of a group that nobody else is known to hold.
    ///
    /// # Errors
    /// When the group is unknown or the rows cannot be read.
    pub fn outbox(&mut self, group: GroupId, now: Time) -> Result<Vec<OutboxView>, Error> {
        self.look(group, now, |group, cx| group.outbox(cx))
    }

    /// How a group stands inside.
    ///
    /// # Errors
    /// When the group is unknown or set aside.
    pub fn examine(&self, group: GroupId) -> Result<DoctorView, Error> {
        self.group(group)?.examine(self.now)
    }

    /// The invites of a group that this device made.
    ///
    /// # Errors
    /// When the group is unknown.
    pub fn invites(&mut self, group: GroupId, now: Time) -> Result<Vec<InviteView>, Error> {
        self.look(group, now, |group, cx| Ok(group.invites(cx.now)))
    }

    /// The code to compare with a member.
    ///
    /// # Errors
    /// When the group or member is unknown.
    pub fn safety_code(&self, group: GroupId, member: MemberId) -> Result<SafetyCode, Error> {
        self.group(group)?.safety_code(&member)
    }

    fn look<T>(
        &mut self,
        id: GroupId,
        wall: Time,
        see: impl FnOnce(&Group, &Cx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let now = self.clock.peek(wall);
        let cx = Cx::new(Tx::new(&self.stack), &self.mls, &mut self.rng, &mut self.clock, now);
        see(find(&self.rooms, id)?, &cx)
    }

    fn all_groups(&self) -> impl Iterator<Item = &Group> {
        groups_of(&self.rooms)
    }

    fn group(&self, id: GroupId) -> Result<&Group, Error> {
        find(&self.rooms, id)
    }
}
