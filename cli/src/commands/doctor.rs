//! `doctor`: how things stand inside.

use kinfold_node::control::Request;
use kinfold_node::control::inside::{Inside, State, Wanted};

use super::Context;
use crate::args::DoctorVerb;
use crate::error::Result;

pub(super) fn run(context: &Context, verb: DoctorVerb) -> Result<()> {
    let DoctorVerb::Group(args) = verb;
    let inside: Inside = context.remote()?.call(&Request::GroupDoctor { group: args.group })?;
    context.out.answer(&inside, || words(&inside))
}

fn words(inside: &Inside) -> String {
    let mut lines =
        vec![format!("Stands on {}, number {}. Everybody who is in step shows the same.", inside.state, inside.number)];
    if let Some(beyond) = &inside.beyond {
        lines.push(format!(
            "Others stand on {beyond}, where this device cannot go by itself. It asks to be let back in, by itself."
        ));
    }
    lines.extend(inside.peers.iter().map(|peer| {
        let flows = if peer.in_step { "in step" } else { "not in step: only changes of the group flow" };
        format!("{} is connected, on {}, number {}: {flows}", peer.member, peer.state, peer.number)
    }));
    lines.extend(inside.wishes.iter().map(wish));
    lines.push(format!("{} waiting to be opened, {} with earlier messages missing", inside.waiting, inside.gaps));
    if let Some(secs) = inside.next_secs {
        lines.push(format!("Next thing by itself: in {secs} s"));
    }
    lines.extend(inside.states.iter().filter(|state| state.readable).map(state));
    lines.join("\n")
}

fn wish(wanted: &Wanted) -> String {
    let more = if wanted.takes_two { ", and one more must want it" } else { "" };
    format!("{} wants: {} {}{more}", wanted.by, wanted.what, wanted.member)
}

fn state(state: &State) -> String {
    let place = if state.on_line { "ours" } else { "left" };
    let open = if state.open { ", can be gone on from" } else { "" };
    format!(
        "  {} {}: {place}, {} people, {} votes, {} ways on{open}",
        state.number, state.state, state.people, state.votes, state.ways
    )
}
