use std::cell::Cell;
use std::rc::Rc;

use kinfold_protocol::time::Time;
use proptest::prelude::*;

use super::*;

/// A disk that writes sector by sector, keeps what was not synced apart, and loses power on demand.
#[derive(Clone, Debug, Default)]
struct Medium {
    durable: Vec<u8>,
    /// Sectors written since the last barrier, in order.
    cached: Vec<(usize, Vec<u8>)>,
    /// Sectors of a barrier that failed: they can be read, and no later barrier writes them.
    lost: Vec<(usize, Vec<u8>)>,
    /// Sectors until the power fails.
    power: Option<Rc<Cell<usize>>>,
    /// How many writes and barriers succeed before one fails, once.
    fault_in: Option<usize>,
}

const SECTOR: usize = 512;

impl Medium {
    fn faults_now(&mut self) -> bool {
        let now = self.fault_in == Some(0);
        self.fault_in = self.fault_in.and_then(|left| left.checked_sub(1));
        now
    }

    /// What a restart finds when the sectors that `kept` names reached the medium.
    fn after_power_loss(&self, mut kept: impl FnMut(usize) -> bool) -> Self {
        let mut durable = self.durable.clone();
        for (index, (at, bytes)) in self.cached.iter().enumerate() {
            if kept(index) {
                durable.resize(durable.len().max(at + bytes.len()), 0);
                durable[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
        Self { durable, ..Self::default() }
    }
}

impl Disk for Medium {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let cached = self.lost.iter().chain(&self.cached).cloned().collect();
        let whole = Self { cached, ..self.clone() }.after_power_loss(|_| true).durable;
        let at = usize::try_from(offset).unwrap();
        let found = whole.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.faults_now() {
            return Err(io::ErrorKind::Other.into());
        }
        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
            if let Some(power) = &self.power {
                power.set(power.get().checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?);
            }
            let at = usize::try_from(offset).unwrap() + index * SECTOR;
            self.lost.retain(|(lost, _)| *lost != at);
            self.cached.push((at, sector.to_vec()));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.faults_now() {
            self.lost.append(&mut self.cached);
            return Err(io::ErrorKind::Other.into());
        }
        if self.power.as_ref().is_some_and(|power| power.get() == 0) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.durable = self.after_power_loss(|_| true).durable;
        self.cached.clear();
        Ok(())
    }
}

fn cheap() -> KdfCost {
    KdfCost::new(8, 1, 1).unwrap()
}

fn fresh() -> (Ring<Medium>, Keyring) {
    let mut keyring = Keyring::generate().unwrap();
    let ring = Ring::create(Medium::default(), &mut keyring, b"pass", cheap()).unwrap();
    (ring, keyring)
}

fn decryptable_slots(medium: &Medium, kek: &Kek) -> Vec<u64> {
    let slots = medium.durable.chunks(SLOT_LEN);
    slots.filter_map(|slot| keyring::open(slot, kek)).map(|keyring| keyring.generation).collect()
}

/// Opens what a power cut left behind; returns the generation found, having checked that it is alone.
fn reopened(medium: Medium) -> u64 {
    let (ring, keyring) = Ring::open(medium, b"pass").expect("one slot always opens");
    assert_eq!(decryptable_slots(&ring.disk, &ring.kek), [keyring.generation]);
    keyring.generation
}

#[test]
fn a_crash_at_any_sector_of_a_store_leaves_the_old_or_the_new_generation_and_only_one() {
    let sectors = 2 * SLOT_LEN / SECTOR;
    let mut found = [0; 2];
    for power in 0..=sectors {
        let (mut ring, mut keyring) = fresh();
        keyring.last_seen = Time::from_ms(1);
        // Whole budget plus one, so that the last barrier of an uncut store passes.
        ring.disk.power = Some(Rc::new(Cell::new(power + usize::from(power == sectors))));
        assert_eq!(ring.store(&mut keyring).is_ok(), power == sectors);
        let generation = reopened(ring.disk.after_power_loss(|_| true));
        found[usize::try_from(generation - 1).unwrap()] += 1;
    }
    // The new slot counts as soon as its last sector is there, synced or not.
    assert_eq!(found, [sectors / 2, sectors / 2 + 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_crash_that_keeps_any_of_the_unsynced_sectors_leaves_one_generation(
        power in 0..2 * SLOT_LEN / SECTOR,
        kept in prop::collection::vec(any::<bool>(), 64),
    ) {
        let (mut ring, mut keyring) = fresh();
        ring.disk.power = Some(Rc::new(Cell::new(power)));
        ring.store(&mut keyring).unwrap_err();
        let after = ring.disk.after_power_loss(|index| kept[index % kept.len()]);
        prop_assert!([1, 2].contains(&reopened(after)));
    }
}

#[test]
fn a_store_can_be_repeated_after_any_failed_write_or_barrier() {
    for fault_in in 0..4 {
        let (mut ring, mut keyring) = fresh();
        ring.disk.fault_in = Some(fault_in);
        ring.store(&mut keyring).unwrap_err();
        assert!((1..=2).contains(&reopened(ring.disk.after_power_loss(|_| true))), "fault {fault_in}");
        // A second store that is cut anywhere must still leave one whole slot.
        for power in [0, 1, 63, 64, 65, 127] {
            let mut second = Ring {
                disk: Medium { power: Some(Rc::new(Cell::new(power))), ..ring.disk.clone() },
                active: ring.active,
                kek: ring.kek.clone(),
                salt: ring.salt,
                cost: ring.cost,
            };
            second.store(&mut keyring).unwrap_err();
            let again = reopened(second.disk.after_power_loss(|_| true));
            assert!((1..=keyring.generation).contains(&again), "fault {fault_in}, power {power}");
        }
    }
}

#[test]
fn opening_destroys_an_older_generation_that_a_crash_left() {
    let (mut ring, mut keyring) = fresh();
    ring.disk.power = Some(Rc::new(Cell::new(SLOT_LEN / SECTOR)));
    ring.store(&mut keyring).unwrap_err();
    let crashed = ring.disk.after_power_loss(|_| true);
    assert_eq!(decryptable_slots(&crashed, &ring.kek), [1, 2]);
    assert_eq!(reopened(crashed), 2);
}

/// What a failed barrier left can be read until the power goes, and is nowhere then.
#[test]
fn opening_after_any_failed_write_or_barrier_leaves_a_keyring_on_the_medium() {
    for fault_in in 0..4 {
        let (mut ring, mut keyring) = fresh();
        ring.disk.fault_in = Some(fault_in);
        ring.store(&mut keyring).unwrap_err();
        let (again, found) = Ring::open(ring.disk, b"pass").unwrap();
        assert_eq!(reopened(again.disk.after_power_loss(|_| false)), found.generation, "fault {fault_in}");
    }
}

#[test]
fn a_wrong_passphrase_is_told_from_a_damaged_file() {
    let (ring, _) = fresh();
    let file = ring.disk;
    let error = |disk: Medium, pass: &[u8]| Ring::open(disk, pass).unwrap_err();
    assert!(matches!(error(file.clone(), b"word"), RingError::WrongPassphrase));
    assert!(matches!(error(Medium::default(), b"pass"), RingError::Damaged));
    let noise = Medium { durable: vec![0x5A; 2 * SLOT_LEN], ..Medium::default() };
    assert!(matches!(error(noise, b"pass"), RingError::Damaged));
    let cut = Medium { durable: file.durable[..SLOT_LEN].to_vec(), ..Medium::default() };
    assert_eq!(Ring::open(cut, b"pass").unwrap().1.generation, 1);
}

#[test]
fn a_newer_format_is_named_whichever_slot_holds_it() {
    for at in [0, SLOT_LEN] {
        let (ring, _) = fresh();
        let mut durable = ring.disk.durable;
        if at == SLOT_LEN {
            durable.rotate_left(SLOT_LEN);
        }
        durable[at + 44] = 2;
        let disk = Medium { durable, ..Medium::default() };
        assert!(matches!(Ring::open(disk, b"pass"), Err(RingError::Newer)));
    }
}

#[test]
fn a_flipped_byte_anywhere_gives_an_error_or_the_true_keyring() {
    let (ring, keyring) = fresh();
    let mut survived = 0;
    // Every byte of the headers, then a stride through the rest that is no multiple of a block.
    let places = (0..80).chain((80..2 * SLOT_LEN).step_by(101)).chain([SLOT_LEN - 1, SLOT_LEN, 2 * SLOT_LEN - 1]);
    for at in places {
        let mut durable = ring.disk.durable.clone();
        durable[at] ^= 0x10;
        match Ring::open(Medium { durable, ..Medium::default() }, b"pass") {
            Ok((_, found)) => {
                assert!(at >= SLOT_LEN, "byte {at} is not authenticated");
                assert_eq!(found.name_key, keyring.name_key);
                survived += 1;
            }
            Err(RingError::WrongPassphrase | RingError::Damaged | RingError::Newer) => assert!(at < SLOT_LEN),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(survived > 300, "noise may change freely");
}

#[test]
fn a_file_keeps_its_size_and_its_place() {
    use std::os::unix::fs::MetadataExt;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keyring");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let mut keyring = Keyring::generate().unwrap();
    let mut ring = Ring::create(file, &mut keyring, b"pass", cheap()).unwrap();
    let before = std::fs::metadata(&path).unwrap();
    for _ in 0..5 {
        ring.store(&mut keyring).unwrap();
    }
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.len()), (after.ino(), after.len()));
    assert_eq!(after.len(), 2 * SLOT_LEN as u64);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    assert_eq!(Ring::open(file, b"pass").unwrap().1.generation, 6);
}
