//! The keyring's file: two slots, overwritten in place, so that an old key has no copy left to be found.
//!
//! The file is never renamed, never copied and never grows: each of these would leave old keys in blocks that
//! nobody overwrites. A store writes the next generation into the slot that is not in use, waits for the disk,
//! then fills the other with random bytes and waits again. Whatever moment the power fails at, one slot opens.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::kdf::Kek;
use super::keyring::{self, HeaderError, Keyring, SealError, SlotHeader};
use super::{KdfCost, fill_random, random};

/// The bytes below a keyring.
pub(crate) trait Disk {
    /// Fills `bytes` from `offset` on.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Overwrites in place from `offset` on.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when everything written is on the medium.
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The keyring cannot be opened or stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RingError {
    /// Neither slot holds a keyring.
    #[error("the keyring is damaged")]
    Damaged,
    /// The trees no longer fit into a slot.
    #[error("the keyring is full")]
    Full,
    /// The disk failed.
    #[error("the keyring cannot be read or written")]
    Io(#[from] io::Error),
    /// A newer version wrote it.
    #[error("the keyring was written by a newer version")]
    Newer,
    /// No randomness.
    #[error("the system gave no randomness")]
    NoEntropy,
    /// There is not enough memory to try the passphrase.
    #[error("there is not enough memory to try the passphrase")]
    NoMemory,
    /// The passphrase does not open it.
    #[error("wrong passphrase")]
    WrongPassphrase,
}

/// An open keyring file and the key that seals it.
#[derive(Debug)]
pub(crate) struct Ring<D> {
    disk: D,
    /// Which slot holds the newest generation.
    active: Slot,
    kek: Kek,
    salt: [u8; 32],
    cost: KdfCost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    First,
    Second,
}

impl Slot {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    fn offset(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => SLOT_LEN as u64,
        }
    }
}

impl<D: Disk> Ring<D> {
    /// Fills an empty disk with noise and stores the first generation.
    pub(crate) fn create(
        mut disk: D,
        keyring: &mut Keyring,
        passphrase: &[u8],
        cost: KdfCost,
    ) -> Result<Self, RingError> {
        disk.write_at(&noise()?, Slot::First.offset())?;
        disk.write_at(&noise()?, Slot::Second.offset())?;
        disk.sync()?;
        let salt = random().map_err(|_| RingError::NoEntropy)?;
        let kek = Kek::derive(passphrase, &salt, cost).ok_or(RingError::NoMemory)?;
        let mut ring = Self { disk, active: Slot::Second, kek, salt, cost };
        ring.store(keyring)?;
        Ok(ring)
    }

    /// Opens the newest generation and destroys what the other slot holds.
    pub(crate) fn open(disk: D, passphrase: &[u8]) -> Result<(Self, Keyring), RingError> {
        let mut stretched: Option<(SlotHeader, Kek)> = None;
        let mut newest: Option<(Slot, Vec<u8>, SlotHeader, Kek, Keyring)> = None;
        let (mut opened, mut refusal) = (0, RingError::Damaged);
        for slot in [Slot::First, Slot::Second] {
            let (header, bytes) = match read_slot(&disk, slot)? {
                Ok(found) => found,
                Err(HeaderError::Noise) => continue,
                Err(HeaderError::Newer) => {
                    refusal = RingError::Newer;
                    continue;
                }
            };
            // Both slots share salt and cost, so the passphrase is stretched once.
            let kek = match &stretched {
                Some((known, kek)) if known.salt == header.salt && known.cost == header.cost => kek.clone(),
                _ => Kek::derive(passphrase, &header.salt, header.cost).ok_or(RingError::NoMemory)?,
            };
            let found = keyring::open(&bytes, &kek);
            opened += u8::from(found.is_some());
            match found {
                Some(found) if newest.as_ref().is_none_or(|(.., best)| best.generation < found.generation) => {
                    newest = Some((slot, bytes, header, kek.clone(), found));
                }
                Some(_) => {}
                None if matches!(refusal, RingError::Damaged) => refusal = RingError::WrongPassphrase,
                None => {}
            }
            stretched = Some((header, kek));
        }
        let (active, bytes, header, kek, keyring) = newest.ok_or(refusal)?;
        let mut ring = Self { disk, active, kek, salt: header.salt, cost: header.cost };
        if opened > 1 {
            // After a sync that failed the newer may be in memory only, and the older be all that the medium has.
            ring.disk.write_at(&bytes, active.offset())?;
            ring.disk.sync()?;
        }
        ring.scrub()?;
        Ok((ring, keyring))
    }

    /// Stores the keyring as the next generation. When this returns, no older generation is left on the disk.
    ///
    /// # Errors
    /// The old or the new generation is on the disk, and the ring may be stored again.
    pub(crate) fn store(&mut self, keyring: &mut Keyring) -> Result<(), RingError> {
        keyring.generation += 1;
        let slot = keyring::seal(keyring, &self.kek, self.salt, self.cost, SLOT_LEN).map_err(|err| match err {
            SealError::Full => RingError::Full,
            SealError::NoEntropy => RingError::NoEntropy,
        })?;
        let target = self.active.other();
        self.disk.write_at(&slot, target.offset())?;
        tracing::trace!(code = "inside_keyring");
        self.disk.sync()?;
        tracing::trace!(code = "inside_keyring");
        // From here on the old slot may be half scrubbed: a later store must not rely on it.
        self.active = target;
        self.scrub()
    }

    fn scrub(&mut self) -> Result<(), RingError> {
        self.disk.write_at(&noise()?, self.active.other().offset())?;
        tracing::trace!(code = "inside_keyring");
        Ok(self.disk.sync()?)
    }
}

type SlotFound = Result<(SlotHeader, Vec<u8>), HeaderError>;

fn read_slot(disk: &impl Disk, slot: Slot) -> io::Result<SlotFound> {
    let mut bytes = vec![0; SLOT_LEN];
    match disk.read_at(&mut bytes, slot.offset()) {
        Ok(()) => Ok(SlotHeader::parse(&bytes).map(|header| (header, bytes))),
        // The file was cut; the other slot may still be whole.
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(HeaderError::Noise)),
        Err(err) => Err(err),
    }
}

fn noise() -> Result<Vec<u8>, RingError> {
    let mut bytes = vec![0; SLOT_LEN];
    fill_random(&mut bytes).map_err(|_| RingError::NoEntropy)?;
    Ok(bytes)
}

/// Room for about 790 tree nodes, and little enough to be written at each commit.
const SLOT_LEN: usize = 32 * 1024;

#[cfg(test)]
mod tests;
