//! How a group stands inside: names and numbers, for whoever looks why two devices do not agree. No content, no names of
//! people, and of states a name that only members can compute.

use kinfold_protocol::id::{EpochId, GroupId, MemberId};
use kinfold_protocol::time::Time;
use kinfold_protocol::view::{DoctorView, PeerView, StateView, TicketView, Wish};
use serde::{Deserialize, Serialize};

/// Characters of a name of a state or a person: enough to compare two devices by.
const NAME_CHARS: usize = 8;

/// One group, looked into.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Which.
    pub group_id: String,
    /// The state that this device stands on: the same at everybody who is in step.
    pub state: String,
    /// Its number: how often the group has changed.
    pub number: u64,
    /// The state that this device last said that it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voted: Option<String>,
    /// The state that others stand on, where this device cannot go by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<String>,
    /// The states that are known here, oldest first.
    pub states: Vec<State>,
    /// Who is connected, and where they stand.
    pub peers: Vec<Peer>,
    /// What is wanted and not carried out yet.
    pub wishes: Vec<Wanted>,
    /// What came and cannot be opened yet.
    pub waiting: usize,
    /// People of whom earlier messages are missing.
    pub gaps: usize,
    /// In how many seconds this device does something next by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_secs: Option<u64>,
}

/// A state that is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its name.
    pub state: String,
    /// Its number.
    pub number: u64,
    /// How many are in it.
    pub people: usize,
    /// Whether this device stands on it or has come from it.
    pub on_line: bool,
    /// Whether this device could still go on from it another way.
    pub open: bool,
    /// Whether what was said in it can still be opened.
    pub readable: bool,
    /// The ways on from it that are known.
    pub ways: usize,
    /// People who said that they stand on it or on one after it.
    pub votes: usize,
}

/// Where somebody else stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The beginning of the member's id.
    pub member: String,
    /// The state.
    pub state: String,
    /// Its number.
    pub number: u64,
    /// Whether everything flows; until then only what changes the group does.
    pub in_step: bool,
}

/// What somebody wants of the group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What: `add`, `appoint`, `dismiss`, `leave`, `remove`, `return` or `rules`.
    pub what: String,
    /// The beginning of the id of whoever wants it.
    pub by: String,
    /// The beginning of the id of whom it is about.
    pub member: String,
    /// Whether one more facilitator must want it.
    pub takes_two: bool,
}

redacted!(Inside, State, Peer, Wanted);

/// As the API shows it.
#[must_use]
pub fn inside(group: GroupId, view: &DoctorView, now: Time) -> Inside {
    let name = |state: &EpochId| state_name(group, state);
    Inside {
        group_id: group.to_hex(),
        state: name(&view.head),
        number: view.number,
        voted: view.voted.as_ref().map(name),
        beyond: view.beyond.as_ref().map(name),
        states: view.states.iter().map(|view| state(group, view)).collect(),
        peers: view.peers.iter().map(|view| peer(group, view)).collect(),
        wishes: view.tickets.iter().map(wanted).collect(),
        waiting: view.waiting,
        gaps: view.gaps,
        next_secs: view.next.map(|next| next.since(now).as_secs()),
    }
}

fn state(group: GroupId, view: &StateView) -> State {
    State {
        state: state_name(group, &view.state),
        number: view.number,
        people: view.people,
        on_line: view.on_line,
        open: view.open,
        readable: view.readable,
        ways: view.ways,
        votes: view.votes,
    }
}

fn peer(group: GroupId, view: &PeerView) -> Peer {
    let (member, state) = (begin(&view.member), state_name(group, &view.state));
    Peer { member, state, number: view.number, in_step: view.full }
}

fn wanted(view: &TicketView) -> Wanted {
    let what = match view.wish {
        Wish::Add => "add",
        Wish::Appoint => "appoint",
        Wish::Dismiss => "dismiss",
        Wish::Leave => "leave",
        Wish::Remove => "remove",
        Wish::Return => "return",
        Wish::Rules => "rules",
    };
    Wanted { what: what.to_owned(), by: begin(&view.by), member: begin(&view.member), takes_two: view.takes_two }
}

fn begin(member: &MemberId) -> String {
    member.to_hex().chars().take(NAME_CHARS).collect()
}

/// The same on every device of a group, and nothing to whoever does not know the group's id.
fn state_name(group: GroupId, state: &EpochId) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("kinfold doctor: a state's name");
    hasher.update(group.as_bytes()).update(state.as_bytes());
    hasher.finalize().to_hex().chars().take(NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_name_in_a_group_and_another_elsewhere() {
        let state = EpochId::from_bytes([1; 32]);
        let [one, other] = [1, 2].map(|group| GroupId::from_bytes([group; 16]));
        let name = state_name(one, &state);
        assert_eq!((name.len(), &name), (NAME_CHARS, &state_name(one, &state)));
        assert_ne!(name, state_name(other, &state));
        assert!(!name.starts_with("01010101"), "its real name is not told");
    }
}
