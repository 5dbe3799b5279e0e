//! MLS, behind one small set of plain types. The only folder that names OpenMLS.
//!
//! A [`State`] is one epoch state (PROTOCOL O1): the group, and the rows it is stored as. It is never rolled forward
//! in place: [`State::apply`] and [`State::commit`] make the child on a copy, so that siblings can be tried on one
//! parent. It knows no rules of the group: who may do what is judged on a [`StagedView`] by the caller.

mod codec;
mod commit;
mod error;
mod join;
mod profile;
mod provider;
mod rows;
#[cfg(feature = "sim")]
mod seeded;
mod sender;
mod signer;
mod stage;
mod state;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

pub(crate) use commit::{CommitPlan, Committed};
pub(crate) use error::MlsError;
pub(crate) use join::{join, key_package, key_package_facts};
pub(crate) use provider::Provider;
pub(crate) use signer::Signer;
#[cfg(test)]
pub(crate) use stage::Added;
pub(crate) use stage::{Committer, NewLeaf, StagedView};
pub(crate) use state::{Leaf, State, Under};

use crate::limits;

/// The rows of one epoch state, or of one key package: OpenMLS's names and values, encoded here.
pub(crate) type StateRows = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// Rows that changed: the new value, or `None` where the row is gone.
pub(crate) type RowChanges = Vec<(Vec<u8>, Option<Zeroizing<Vec<u8>>>)>;

/// The number of our GroupContext extension (PROTOCOL V9), in the range for private use.
const EXTENSION: u16 = 0xF0F1;

/// The largest plaintext and the largest message: what an envelope can hold.
const MESSAGE_BYTES_MAX: usize = limits::ENVELOPE_BYTES_MAX;

/// The largest commit, Welcome and extension content: what a frame can hold.
const HANDSHAKE_BYTES_MAX: usize = limits::FRAME_BYTES_MAX;

/// The largest key package: ten times what ours take, so that credentials may grow.
const KEY_PACKAGE_BYTES_MAX: usize = 4 * 1024;
