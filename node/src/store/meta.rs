//! The row in which the database says how far it has come.

use super::StoreError;
use super::error::DATABASE;

/// Counters that change with every commit, in the same batch as the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// How many commits this database has had.
    pub(super) commit_seq: u64,
    /// The next unused leaf of the tree of row versions.
    pub(super) next_m: u64,
    /// The next unused leaf of the tree of secret states.
    pub(super) next_s: u64,
    /// How many rows there are, this one left out.
    pub(super) rows: u64,
}

impl Meta {
    /// Schema u16, then the counters as u64, big-endian.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = SCHEMA.to_be_bytes().to_vec();
        for number in [self.commit_seq, self.next_m, self.next_s, self.rows] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = StoreError::Damaged { what: DATABASE };
        let Some((schema, rest)) = bytes.split_first_chunk() else { return Err(damaged) };
        match u16::from_be_bytes(*schema) {
            SCHEMA => {}
            0 => return Err(damaged),
            older if older < SCHEMA => return Err(StoreError::OlderVersion),
            _ => return Err(StoreError::NewerVersion),
        }
        let (numbers, []) = rest.as_chunks::<8>() else { return Err(damaged) };
        let [commit_seq, next_m, next_s, rows] = numbers else { return Err(damaged) };
        Ok(Self {
            commit_seq: u64::from_be_bytes(*commit_seq),
            next_m: u64::from_be_bytes(*next_m),
            next_s: u64::from_be_bytes(*next_s),
            rows: u64::from_be_bytes(*rows),
        })
    }
}

/// The table number of the counters' row; the protocol's tables begin at 1.
pub(super) const META_TABLE: u8 = 0;
/// The logical name of the counters' row.
pub(super) const META_NAME: &[u8] = b"meta";
/// The shape of what this version writes. Under 1 a line, a receipted mark and an envelope's row were other bytes.
const SCHEMA: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_back_and_other_schemas_are_refused() {
        let meta = Meta { commit_seq: 1, next_m: 2, next_s: 3, rows: u64::MAX };
        let mut bytes = meta.encode();
        assert_eq!(Meta::decode(&bytes).unwrap(), meta);
        assert!(matches!(Meta::decode(&bytes[..33]), Err(StoreError::Damaged { .. })));
        bytes[1] = 3;
        assert!(matches!(Meta::decode(&bytes), Err(StoreError::NewerVersion)));
        bytes[1] = 1;
        assert!(matches!(Meta::decode(&bytes), Err(StoreError::OlderVersion)));
        bytes[1] = 0;
        assert!(matches!(Meta::decode(&bytes), Err(StoreError::Damaged { .. })));
        assert!(matches!(Meta::decode(&[]), Err(StoreError::Damaged { .. })));
    }
}
