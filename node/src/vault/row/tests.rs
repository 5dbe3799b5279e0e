use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Parts = Vec<(Name, Vec<u8>)>;

fn leaves(version: u64) -> Leaves {
    Leaves { class: Class::Message, time: Some(1_700_000_000), version }
}

fn sealed(keyring: &Keyring, logical: &[u8], value: &[u8], version: u64) -> Parts {
    keyring.seal_row(9, logical, value, leaves(version)).unwrap()
}

fn open(keyring: &Keyring, parts: &Parts) -> Result<Row, OpenRowError> {
    let stored: BTreeMap<_, _> = parts.iter().cloned().collect();
    let (name, head) = &parts[0];
    keyring.open_row(name, head, |name| Ok(stored.get(name).cloned()))
}

#[test]
fn rows_of_every_length_come_back_and_show_only_size_classes() {
    let keyring = Keyring::generate().unwrap();
    let classes: BTreeSet<usize> = SIZE_CLASSES.iter().map(|class| class + 65).collect();
    let lens = (0..300).chain((300..14_000).step_by(97)).chain([6_899, 6_900, 6_901, 6_912, 6_913, 13_824, 500_000]);
    for len in lens {
        let value: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let parts = sealed(&keyring, b"name", &value, 5);
        for (_, stored) in &parts {
            assert!(stored.len() <= STORED_LEN_MAX);
            assert!(classes.contains(&stored.len()), "{} of value {len}", stored.len());
        }
        let row = open(&keyring, &parts).unwrap();
        assert_eq!(
            (row.table, &row.logical[..], row.value == value.as_slice().to_vec().into()),
            (9, &b"name"[..], true)
        );
        assert_eq!(keyring.split(&parts[0].1).unwrap().0.leaves, leaves(5));
        let chunks = if len <= 6_912 - 7 - 4 { 0 } else { usize::div_ceil(len, 6_912) };
        assert_eq!(parts.len(), 1 + chunks);
    }
}

#[test]
fn no_byte_of_any_part_can_be_changed() {
    let keyring = Keyring::generate().unwrap();
    for parts in [sealed(&keyring, b"name", b"value", 5), sealed(&keyring, b"name", &[7; 7_000], 5)] {
        for part in 0..parts.len() {
            for at in 0..parts[part].1.len() {
                let mut changed = parts.clone();
                changed[part].1[at] ^= 1;
                assert!(open(&keyring, &changed).is_err(), "part {part}, byte {at}");
            }
        }
    }
}

#[test]
fn a_row_opens_under_no_other_name_version_or_vault() {
    let keyring = Keyring::generate().unwrap();
    let one = sealed(&keyring, b"one", b"first", 1);
    let two = sealed(&keyring, b"two", b"second", 2);
    assert!(open(&keyring, &vec![(two[0].0, one[0].1.clone())]).is_err(), "another row's bytes");
    assert!(open(&Keyring::generate().unwrap(), &one).is_err(), "another vault");

    let mut renamed = Keyring::generate().unwrap();
    std::mem::swap(&mut renamed.name_key, &mut Keyring::generate().unwrap().name_key);
    assert_ne!(renamed.row_name(9, b"one"), one[0].0);
}

#[test]
fn the_same_keys_with_another_vault_id_open_nothing() {
    let mut keyring = Keyring::generate().unwrap();
    let parts = sealed(&keyring, b"one", b"first", 1);
    keyring.vault_id[0] ^= 1;
    assert_eq!(open(&keyring, &parts).unwrap_err(), OpenRowError::Unreadable);
}

#[test]
fn chunks_of_another_version_order_or_row_are_refused() {
    let keyring = Keyring::generate().unwrap();
    let old = sealed(&keyring, b"one", &[1; 14_000], 1);
    let new = sealed(&keyring, b"one", &[2; 14_000], 2);
    let other = sealed(&keyring, b"two", &[3; 14_000], 3);
    for part in 1..new.len() {
        for foreign in [&old[part].1, &other[part].1, &new[part % 3 + 1].1, &new[0].1] {
            let mut mixed = new.clone();
            if &mixed[part].1 != foreign {
                mixed[part].1.clone_from(foreign);
                assert!(open(&keyring, &mixed).is_err(), "part {part}");
            }
        }
        let mut missing = new.clone();
        missing.remove(part);
        assert!(open(&keyring, &missing).is_err());
    }
    assert!(keyring.open_row(&new[1].0, &new[1].1, |_| Ok::<_, OpenRowError>(None)).is_err(), "a chunk is no row");
}

#[test]
fn every_sealing_differs_and_shows_neither_name_nor_value() {
    let keyring = Keyring::generate().unwrap();
    let canary = b"canary-canary-canary";
    let parts = sealed(&keyring, canary, &canary.repeat(1_000), 1);
    let again = sealed(&keyring, canary, &canary.repeat(1_000), 1);
    for ((name, stored), (_, other)) in parts.iter().zip(&again) {
        assert_ne!(stored[1..25], other[1..25], "nonce");
        for bytes in [&name[..], stored] {
            assert!(!bytes.windows(6).any(|window| window == &canary[..6]));
        }
    }
}

#[test]
fn both_leaves_and_the_tree_of_the_version_are_in_the_key() {
    let keyring = Keyring::generate().unwrap();
    let base = leaves(4);
    let others = [
        Leaves { version: 5, ..base },
        Leaves { time: Some(1_700_000_001), ..base },
        Leaves { time: None, ..base },
        Leaves { class: Class::State, ..base },
    ];
    for other in others {
        let key = |leaves| keyring.row_key(leaves, &mut Trails::default());
        assert_ne!(key(base), key(other), "{other:?}");
    }
    let mut without = Keyring::generate().unwrap();
    without.times = super::super::tree::Tree::decode(TIMES_DEPTH, &mut Cursor(&[0; 4])).unwrap();
    assert_eq!(without.seal_row(9, b"a", b"b", base), Err(SealRowError::NoLeaf));
    assert!(without.seal_row(9, b"a", b"b", Leaves { time: None, ..base }).is_ok());
}

#[test]
fn rows_past_their_bounds_are_refused() {
    let keyring = Keyring::generate().unwrap();
    let seal = |name: usize, value: usize| keyring.seal_row(9, &vec![0; name], &vec![0; value], leaves(1));
    assert_eq!(seal(NAME_LEN_MAX + 1, 0), Err(SealRowError::TooLarge));
    assert_eq!(seal(1, VALUE_LEN_MAX + 1), Err(SealRowError::TooLarge));
    assert!(open(&keyring, &seal(NAME_LEN_MAX, VALUE_LEN_MAX).unwrap()).is_ok());
}

#[test]
fn a_newer_format_is_named() {
    let keyring = Keyring::generate().unwrap();
    let mut parts = sealed(&keyring, b"one", b"first", 1);
    parts[0].1[0] = 2;
    assert_eq!(open(&keyring, &parts).unwrap_err(), OpenRowError::Newer);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let keyring = Keyring::generate().unwrap();
        prop_assert!(open(&keyring, &vec![([1; 24], bytes)]).is_err());
    }
}

/// What most rows are: envelopes under a network and an id.
#[test]
fn an_envelope_is_stored_in_a_class_of_its_own_size() {
    let keyring = Keyring::generate().unwrap();
    for len in [512, 1_024, 2_048, 4_096] {
        let parts = sealed(&keyring, &[7; 40], &vec![1; len], 5);
        assert_eq!(parts.len(), 1);
        assert!(parts[0].1.len() <= len + 130, "{} for {len}", parts[0].1.len());
    }
}
