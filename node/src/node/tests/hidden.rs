//! What shows of a group to who does not hold its keys: nothing on the network, even without Noise, and nothing on disk.
//!
//! Everything that devices write to each other is kept as Noise would carry it. That the scan of it finds nothing means
//! something only because it does find it when the group's own seal is taken off: members' keys do that here, to the
//! same record, so that the program needs no way to run without its seal.

mod account;
mod keys;
mod people;
mod story;
#[path = "../../../../tests/tests/shared/traces.rs"]
mod traces;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

use kinfold_protocol::persist::Table;

use self::account::{Kind, Piece, account};
use self::keys::{Keys, canaries, numbers, without_padding};
use self::people::PASSPHRASE;
use self::traces::{Canary, Found, Traces};

/// What is left of a story when its people have gone.
struct Evidence {
    /// Of every connection, the group that it was for.
    groups: Vec<usize>,
    /// Of every connection, both ways, all that Noise carried.
    carried: Vec<[Vec<u8>; 2]>,
    pieces: Vec<Piece>,
    traces: Traces,
    on_disk: Found,
    keys: Keys,
}

/// One story for all tests.
static EVIDENCE: LazyLock<Evidence> = LazyLock::new(|| {
    let mut told = story::tell();
    let mut known = std::mem::take(&mut told.canaries);
    known.push(Canary::new("the passphrase", PASSPHRASE));
    let (mut groups, mut carried, mut pieces, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Keys::default());
    told.people.iter_mut().for_each(people::Person::down);
    for person in &told.people {
        let rows = person.rows();
        known.extend(canaries(person.name, &rows, &told.members));
        keys.take(&rows, &told.invites);
        let of_group = |id: &[u8; 16]| rows.iter().filter(|row| row.table == Table::Group && row.value.windows(16).any(|at| at == id)).map(|row| row.net).collect::<BTreeSet<u64>>();
        let nets: Vec<BTreeSet<u64>> = told.groups.iter().map(of_group).collect();
        for taped in person.tape.so_far() {
            let connection = carried.len();
            groups.push(nets.iter().position(|nets| nets.contains(&taped.net.0)).expect("a network is of a group"));
            pieces.extend(account(connection, &taped).unwrap_or_else(|what| panic!("{}: {what}", person.name)));
            carried.push([taped.written, taped.read]);
        }
    }
    let traces = Traces::of(&known);
    let on_disk = told.people.iter().flat_map(|person| traces.under(person.dir.path())).collect();
    Evidence { groups, carried, pieces, traces, on_disk, keys }
});

/// All that shows in pieces.
fn shown(traces: &Traces, pieces: &[Piece]) -> Found {
    pieces.iter().flat_map(|piece| traces.within(&piece.bytes)).collect()
}

/// Pieces whose length is not one of the few that their kind has.
fn odd_sizes(pieces: &[Piece]) -> Vec<(Kind, usize)> {
    let odd = |piece: &&Piece| {
        let length = piece.bytes.len();
        !match piece.kind {
            Kind::Cut => true,
            Kind::Envelope => length.is_power_of_two() && (512..=32_768).contains(&length),
            Kind::Frame => length.is_power_of_two() && (512..=262_144).contains(&length),
            Kind::HelloNonce => length == 512,
            Kind::HelloTags => length == 2_048,
            Kind::MessageId | Kind::Ping | Kind::Topic => length == 32,
            Kind::TransportId => length == 38,
        }
    };
    pieces.iter().filter(odd).map(|piece| (piece.kind, piece.bytes.len())).collect()
}

/// The parts of a piece that no two groups may share. What is left out says the same of everybody: the version, hour and
/// class of lifetime of an envelope, and of a transport id that it is a key of Ed25519.
fn own_parts(piece: &Piece) -> [&[u8]; 2] {
    match piece.kind {
        Kind::Cut => [&[], &[]],
        Kind::Envelope => [&piece.bytes[1..17], &piece.bytes[22..]],
        Kind::TransportId => [&piece.bytes[6..], &[]],
        _ => [&piece.bytes, &[]],
    }
}

/// What connections of the first group have in common with those of another: eight bytes in a row, by their kind.
fn in_common(groups: &[usize], pieces: &[Piece]) -> BTreeSet<Kind> {
    let strings = |piece| own_parts(piece).into_iter().flat_map(|part| part.windows(8));
    let (one, others): (Vec<&Piece>, Vec<&Piece>) = pieces.iter().partition(|piece| groups[piece.connection] == 0);
    let of_one: HashSet<&[u8]> = one.into_iter().flat_map(strings).collect();
    let shared = others.into_iter().filter(|piece| strings(piece).any(|string| of_one.contains(string)));
    shared.map(|piece| piece.kind).collect()
}

#[test]
fn nothing_of_two_groups_shows_on_the_network_even_without_noise() {
    let Evidence { groups, carried, pieces, traces, .. } = &*EVIDENCE;
    let found: Found = carried.iter().flatten().flat_map(|bytes| traces.within(bytes)).collect();
    assert_eq!(found, Found::new(), "as it was carried");
    assert_eq!(shown(traces, pieces), Found::new(), "piece by piece");
    assert_eq!(odd_sizes(pieces), []);
    assert_eq!(in_common(groups, pieces), BTreeSet::new());
}
#[test]
fn stats() {
    let Evidence { groups, carried, pieces, on_disk, keys, .. } = &*EVIDENCE;
    let mut kinds: BTreeMap<Kind, (usize, usize, BTreeSet<usize>)> = BTreeMap::new();
    for p in pieces { let k = kinds.entry(p.kind).or_default(); k.0 += 1; k.1 += p.bytes.len(); k.2.insert(p.bytes.len()); }
    eprintln!("{groups:?} {:?}", carried.iter().flatten().map(Vec::len).collect::<Vec<_>>());
    for k in kinds { eprintln!("{k:?}"); }
    let (open, closed) = keys.unseal_frames(pieces);
    eprintln!("closed {closed} {:?}", numbers(&without_padding(&open)));
    let (open, closed) = keys.unseal_envelopes(pieces);
    eprintln!("closed {closed} {:?}", without_padding(&open).len());
    eprintln!("{on_disk:?}");
}
