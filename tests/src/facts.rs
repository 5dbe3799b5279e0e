//! What the people of a run know of each other: who founded which group, who was asked in, who came, who had to go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::error::Error;
use kinfold_protocol::id::{GroupId, InviteId, MemberId, MsgId, NetId};
use kinfold_protocol::step::{Event, Reply, Standing};
use kinfold_protocol::time::Time;

use crate::levers::{self, Levers};

/// Something that a person asked of a device, and that an answer is remembered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To let somebody change the group, too.
    Appoint {
        /// In which circle.
        circle: usize,
        /// Whom.
        whom: usize,
    },
    /// To try an address.
    Connect,
    /// To found a group.
    Create {
        /// Which circle it is to be.
        circle: usize,
    },
    /// To let somebody change the group no longer.
    Dismiss {
        /// In which circle.
        circle: usize,
    },
    /// To drop a message that waits.
    Drop {
        /// Which.
        id: MsgId,
    },
    /// To forget a group, or to give up a join.
    Forget {
        /// Of which circle.
        circle: usize,
        /// By which network the device knows it.
        net: NetId,
    },
    /// For an invite.
    Invite {
        /// To which circle.
        circle: usize,
        /// For whom.
        guest: usize,
    },
    /// To come in.
    Join {
        /// To which circle.
        circle: usize,
    },
    /// To go.
    Leave {
        /// From which circle.
        circle: usize,
    },
    /// To take everything so far as read.
    Read {
        /// In which circle.
        circle: usize,
    },
    /// To send a message that waits to the newcomers, too.
    Release {
        /// Which.
        id: MsgId,
    },
    /// For what no device may do, to see that it refuses and nothing else changes.
    Mistake,
    /// To take somebody out.
    Remove {
        /// Of which circle.
        circle: usize,
        /// Whom.
        whom: usize,
    },
    /// To let messages live so long.
    Retention {
        /// In which circle.
        circle: usize,
    },
    /// To take an invite back that its guest has not used yet.
    Revoke {
        /// To which circle.
        circle: usize,
        /// Whose.
        guest: usize,
    },
    /// To say something.
    Send {
        /// In which circle.
        circle: usize,
        /// What.
        text: String,
        /// For how long.
        expires: Option<Duration>,
    },
    /// To mark a member's safety code as compared, or not.
    Verify {
        /// In which circle.
        circle: usize,
        /// Whose.
        member: MemberId,
        /// The mark.
        verified: bool,
    },
}

/// Where a person stands with a circle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Was asked in, and has not answered.
    Asked,
    /// Has thrown the group or the join away without a word; the others may not know.
    Forgot {
        /// As whom, if that was ever known.
        member: Option<MemberId>,
    },
    /// Holds an invite.
    Invited {
        /// The invite.
        text: String,
        /// How its maker names it.
        id: InviteId,
        /// Until when it is good.
        expires: Time,
        /// Whether it was taken back before it was used.
        revoked: bool,
        /// Whose device made it.
        by: usize,
    },
    /// Is on the way in.
    Joining {
        /// By which network.
        net: NetId,
        /// Until when the invite is good.
        expires: Time,
        /// Whether it was taken back before the first knock: then nobody may open.
        revoked: bool,
    },
    /// Is in.
    In {
        /// As whom.
        member: MemberId,
    },
    /// Was in, and has asked to go or was told to.
    Out {
        /// As whom.
        member: MemberId,
    },
}

/// One group and the people around it.
#[derive(Clone, Debug, Default)]
pub struct Circle {
    /// The founder, who stays in and may change the group.
    pub founder: usize,
    /// Others who may, or are or were asked to: they stay in as well.
    pub leaders: BTreeSet<usize>,
    /// The group, once founded.
    pub group: Option<GroupId>,
    /// Everybody else.
    pub roles: BTreeMap<usize, Role>,
}

/// All circles of a run.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// In the order of their founding.
    pub circles: Vec<Circle>,
}

impl Facts {
    /// The circle that a group is.
    #[must_use]
    pub fn circle_of(&self, group: GroupId) -> Option<&Circle> {
        self.circles.iter().find(|circle| circle.group == Some(group))
    }

    /// Takes in what a device told its person. Says whether a join has ended well.
    pub fn told(&mut self, node: usize, client: &Client, event: &Event) -> bool {
        match event {
            Event::Joined { net, group } => self.joined(node, client, *net, *group),
            Event::JoinFailed { net, .. } => {
                for circle in &mut self.circles {
                    circle.roles.retain(|person, role| {
                        *person != node || !matches!(role, Role::Joining { net: known, .. } if known == net)
                    });
                }
                false
            }
            Event::Standing { group, standing: Standing::Left | Standing::Removed } => {
                for circle in self.circles.iter_mut().filter(|circle| circle.group == Some(*group)) {
                    if let Some(role) = circle.roles.get_mut(&node)
                        && let Role::In { member } = role
                    {
                        *role = Role::Out { member: *member };
                    }
                }
                false
            }
            Event::ClockOff { .. }
            | Event::Connected { .. }
            | Event::Gone { .. }
            | Event::Line { .. }
            | Event::Standing { .. }
            | Event::State { .. } => false,
        }
    }

    /// Takes in what a device answered its person; `None` when it went down before the answer was durable.
    pub fn answered(&mut self, node: usize, ask: Ask, result: Option<Result<Reply, Error>>, levers: &mut Levers) {
        match (ask, result) {
            (Ask::Create { circle }, Some(Ok(Reply::Group(group)))) => {
                if let Some(circle) = self.circles.get_mut(circle) {
                    circle.group = Some(group);
                }
            }
            (Ask::Invite { circle, guest }, Some(Ok(Reply::Invite { text, id, expires }))) => {
                let invited = Role::Invited { text: text.to_string(), id, expires, revoked: false, by: node };
                self.set_role(circle, guest, Some(invited));
            }
            (Ask::Invite { circle, guest }, _) => self.set_role(circle, guest, None),
            (Ask::Join { circle }, Some(result)) => self.on_the_way(circle, node, result.ok()),
            (Ask::Send { .. }, Some(result)) => {
                levers.pull(levers::ATTEMPTED);
                levers.add(levers::ACCEPTED, u64::from(result.is_ok()));
            }
            (Ask::Remove { circle, whom }, Some(Ok(_))) => self.goes(circle, whom, levers::REMOVES, levers),
            (Ask::Leave { circle }, Some(Ok(_))) => self.goes(circle, node, levers::LEAVES, levers),
            (Ask::Mistake, Some(Err(_))) => levers.pull(levers::MISTAKES),
            (Ask::Appoint { .. }, Some(Ok(_))) => levers.pull(levers::APPOINTED),
            (Ask::Connect, Some(Ok(_))) => levers.pull(levers::CONNECTS),
            (Ask::Dismiss { .. }, Some(Ok(_))) => levers.pull(levers::DISMISSED),
            (Ask::Forget { circle, .. }, Some(Ok(_))) => self.forgets(circle, node, levers),
            (Ask::Read { .. }, Some(Ok(_))) => levers.pull(levers::READS),
            (Ask::Revoke { circle, guest }, Some(Ok(_))) => self.revoked(circle, guest, levers),
            (Ask::Verify { .. }, Some(Ok(_))) => levers.pull(levers::VERIFIES),
            (Ask::Retention { .. }, Some(Ok(_))) => levers.pull(levers::RETENTIONS),
            (
                Ask::Appoint { .. }
                | Ask::Connect
                | Ask::Create { .. }
                | Ask::Dismiss { .. }
                | Ask::Drop { .. }
                | Ask::Forget { .. }
                | Ask::Join { .. }
                | Ask::Leave { .. }
                | Ask::Mistake
                | Ask::Read { .. }
                | Ask::Release { .. }
                | Ask::Remove { .. }
                | Ask::Retention { .. }
                | Ask::Revoke { .. }
                | Ask::Send { .. }
                | Ask::Verify { .. },
                _,
            ) => {}
        }
    }

    fn on_the_way(&mut self, circle: usize, node: usize, reply: Option<Reply>) {
        let role = self.circles.get(circle).and_then(|circle| circle.roles.get(&node));
        let Some(Role::Invited { expires, revoked, .. }) = role else { return };
        let role = match reply {
            Some(Reply::Joining(net)) => Some(Role::Joining { net, expires: *expires, revoked: *revoked }),
            _ => None,
        };
        self.set_role(circle, node, role);
    }

    fn goes(&mut self, circle: usize, node: usize, lever: &'static str, levers: &mut Levers) {
        let role = self.circles.get_mut(circle).and_then(|circle| circle.roles.get_mut(&node));
        if let Some(role) = role
            && let Role::In { member } = role
        {
            *role = Role::Out { member: *member };
            levers.pull(lever);
        }
    }

    /// An invite is useless from now on, unless its guest has knocked already.
    fn revoked(&mut self, circle: usize, guest: usize, levers: &mut Levers) {
        let role = self.circles.get_mut(circle).and_then(|circle| circle.roles.get_mut(&guest));
        if let Some(Role::Invited { revoked, .. }) = role {
            *revoked = true;
            levers.pull(levers::REVOKED);
        }
    }

    fn forgets(&mut self, circle: usize, node: usize, levers: &mut Levers) {
        let role = self.circles.get(circle).and_then(|circle| circle.roles.get(&node));
        let member = role.and_then(Role::member);
        self.set_role(circle, node, Some(Role::Forgot { member }));
        levers.pull(levers::FORGOTTEN);
    }

    /// Whether a network is a join by an invite that was taken back before it was used.
    #[must_use]
    pub fn is_revoked(&self, node: usize, net: NetId) -> bool {
        let roles = self.circles.iter().filter_map(|circle| circle.roles.get(&node));
        roles.into_iter().any(|role| matches!(role, Role::Joining { net: known, revoked: true, .. } if *known == net))
    }

    fn set_role(&mut self, circle: usize, node: usize, role: Option<Role>) {
        let Some(circle) = self.circles.get_mut(circle) else { return };
        match role {
            Some(role) => circle.roles.insert(node, role),
            None => circle.roles.remove(&node),
        };
    }

    fn joined(&mut self, node: usize, client: &Client, net: NetId, group: GroupId) -> bool {
        let members = client.members(group).unwrap_or_default();
        let Some(own) = members.iter().find(|member| member.own) else { return false };
        for circle in self.circles.iter_mut().filter(|circle| circle.group == Some(group)) {
            if let Some(role) = circle.roles.get_mut(&node)
                && matches!(role, Role::Joining { net: known, .. } if *known == net)
            {
                *role = Role::In { member: own.member };
                return true;
            }
        }
        false
    }
}

impl Role {
    /// As whom the person is or was in.
    #[must_use]
    pub const fn member(&self) -> Option<MemberId> {
        match self {
            Self::In { member } | Self::Out { member } => Some(*member),
            Self::Forgot { member } => *member,
            Self::Asked | Self::Invited { .. } | Self::Joining { .. } => None,
        }
    }
}

impl Circle {
    /// Those who are in, the founder first.
    #[must_use]
    pub fn inside(&self) -> Vec<usize> {
        let guests = self.roles.iter().filter(|(_, role)| matches!(role, Role::In { .. })).map(|(node, _)| *node);
        std::iter::once(self.founder).chain(guests).collect()
    }
}
