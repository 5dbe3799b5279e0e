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

use std::collections::{BTreeSet, HashSet};
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
        let of_group = |id: &[u8; 16]| {
            rows.iter()
                .filter(|row| row.table == Table::Group && row.value.windows(16).any(|at| at == id))
                .map(|row| row.net)
                .collect::<BTreeSet<u64>>()
        };
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
fn the_scan_of_the_network_has_seen_all_that_people_do() {
    let Evidence { groups, pieces, keys, .. } = &*EVIDENCE;
    for group in [0, 1] {
        let of_group = |piece: &&Piece| groups[piece.connection] == group;
        let kinds: BTreeSet<Kind> = pieces.iter().filter(of_group).map(|piece| piece.kind).collect();
        for kind in [Kind::Envelope, Kind::Frame, Kind::HelloNonce, Kind::HelloTags, Kind::Ping, Kind::Topic] {
            assert!(kinds.contains(&kind), "{kind:?} in group {group}");
        }
    }
    let (all, cut) = pieces.iter().fold((0, 0), |(all, cut), piece| {
        let length = piece.bytes.len();
        (all + length, cut + if piece.kind == Kind::Cut { length } else { 0 })
    });
    assert!(100 * cut < all, "{cut} bytes of {all} were cut off, and said nothing");
    let (unsealed, closed) = keys.unseal_frames(pieces);
    assert_eq!(closed, 0, "frames that no member can open");
    let said = numbers(&unsealed);
    // Greetings, reconciliation, wants and pushes, addresses, a join and its answer, receipts of pushes, heads.
    for number in [0, 2, 3, 4, 7, 8, 9, 11, 13] {
        assert!(said.contains(&number), "message {number} was not said: {said:?}");
    }
    let envelopes = pieces.iter().filter(|piece| piece.kind == Kind::Envelope);
    let sizes: BTreeSet<usize> = envelopes.map(|piece| piece.bytes.len()).collect();
    assert_eq!(sizes, [512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768].into());
    let (_, closed) = keys.unseal_envelopes(pieces);
    assert_eq!(closed, 0, "envelopes that no member can open");
}

/// Whose traces were found, without the forms.
fn names(found: &Found) -> BTreeSet<&str> {
    found.iter().map(|(what, _)| what.as_str()).collect()
}

#[test]
fn without_the_seal_of_links_the_same_scan_finds_people_keys_and_epochs() {
    let Evidence { pieces, traces, keys, .. } = &*EVIDENCE;
    let (unsealed, _) = keys.unseal_frames(pieces);
    let found = shown(traces, &unsealed);
    let begins = |what: &str| names(&found).iter().any(|name| name.starts_with(what));
    for what in ["the name of Ana in group", "the name of Ben in group", "an address", "a member's key of"] {
        assert!(begins(what), "{what}: {:?}", names(&found));
    }
    for what in ["a device's key of", "the name of an epoch of", "a net secret of"] {
        assert!(begins(what), "{what}: {:?}", names(&found));
    }
    assert_eq!(odd_sizes(&unsealed), odd_sizes(pieces), "the padding is still there");
}

#[test]
fn without_the_seal_of_envelopes_the_same_scan_finds_the_group_and_its_epochs() {
    let Evidence { pieces, traces, keys, .. } = &*EVIDENCE;
    let (unsealed, _) = keys.unseal_envelopes(pieces);
    let found = shown(traces, &unsealed);
    let begins = |what: &str| names(&found).iter().any(|name| name.starts_with(what));
    for what in ["the id of a group", "the name of an epoch of", "a member's key of"] {
        assert!(begins(what), "{what}: {:?}", names(&found));
    }
    assert_eq!(odd_sizes(&unsealed), odd_sizes(pieces), "the padding is still there");
}

#[test]
fn without_padding_the_same_scan_finds_odd_sizes() {
    let Evidence { pieces, keys, .. } = &*EVIDENCE;
    let (unsealed, _) = keys.unseal_envelopes(&keys.unseal_frames(pieces).0);
    let odd = odd_sizes(&without_padding(&unsealed));
    for kind in [Kind::Envelope, Kind::Frame] {
        let lengths: BTreeSet<usize> = odd.iter().filter(|(of, _)| *of == kind).map(|(_, length)| *length).collect();
        assert!(lengths.len() > 5, "{kind:?}: {lengths:?}");
    }
}

#[test]
fn eight_bytes_that_two_groups_share_are_found_in_every_piece() {
    let Evidence { groups, pieces, .. } = &*EVIDENCE;
    let piece = |kind: Kind, group: usize| {
        pieces.iter().find(|piece| piece.kind == kind && groups[piece.connection] == group).cloned()
    };
    for kind in [Kind::Envelope, Kind::Frame, Kind::HelloNonce, Kind::HelloTags, Kind::Ping, Kind::Topic] {
        let (one, mut other) = (piece(kind, 0).expect("there are some"), piece(kind, 1).expect("there are some"));
        let (from, to) = (one.bytes.len() - 8, other.bytes.len() - 8);
        assert_eq!(in_common(groups, &[one.clone(), other.clone()]), BTreeSet::new());
        other.bytes[to..].copy_from_slice(&one.bytes[from..]);
        assert_eq!(in_common(groups, &[one, other]), BTreeSet::from([kind]));
    }
}

#[test]
fn nothing_of_a_group_shows_in_the_data_folders() {
    let Evidence { on_disk, .. } = &*EVIDENCE;
    assert_eq!(*on_disk, Found::new());
}
