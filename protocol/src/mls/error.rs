//! Why a group operation did not happen, and how OpenMLS's many reasons become these few.

use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::prelude::{ProcessMessageError, StageCommitError, ValidationError};

/// Why a group operation did not happen. The state is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MlsError {
    /// A message that does not open: tampered with, or of another branch's state with the same number.
    #[error("bad_seal")]
    BadSeal,
    /// The stored rows do not make a state, or a local caller broke the contract. Never a peer's doing.
    #[error("broken")]
    Broken,
    /// The state was closed: it opens messages and does nothing else.
    #[error("closed")]
    Closed,
    /// Does not decode, has trailing bytes, or is another kind of message.
    #[error("malformed")]
    Malformed,
    /// Longer than the bound.
    #[error("oversize")]
    Oversize,
    /// Claims to come from this device's own leaf: own messages and commits are never processed.
    #[error("own")]
    Own,
    /// A commit, key package or Welcome that MLS, or our profile of it, does not allow.
    #[error("rejected")]
    Rejected,
    /// The key was used.
    #[error("reused")]
    Reused,
    /// Farther ahead of the sender's last opened message than the ratchet goes (PROTOCOL M4).
    #[error("too_far_ahead")]
    TooFarAhead,
    /// Farther behind the sender's last opened message than keys are kept: opened long ago, or never to be opened.
    #[error("too_far_behind")]
    TooFarBehind,
    /// For another group, or for another epoch of this group.
    #[error("wrong_epoch")]
    WrongEpoch,
}

/// Why an application message did not open.
pub(super) fn message<S>(error: ProcessMessageError<S>) -> MlsError {
    let ProcessMessageError::ValidationError(error) = error else {
        return other(&error, MlsError::BadSeal);
    };
    match error {
        ValidationError::WrongGroupId | ValidationError::WrongEpoch | ValidationError::NoPastEpochData => {
            MlsError::WrongEpoch
        }
        ValidationError::UnableToDecrypt(MessageDecryptionError::SecretTreeError(error)) => match error {
            SecretTreeError::SecretReuseError => MlsError::Reused,
            SecretTreeError::TooDistantInThePast => MlsError::TooFarBehind,
            SecretTreeError::TooDistantInTheFuture | SecretTreeError::RatchetTooLong => MlsError::TooFarAhead,
            _ => MlsError::BadSeal,
        },
        ValidationError::UnableToDecrypt(MessageDecryptionError::MalformedContent) => MlsError::Malformed,
        _ => MlsError::BadSeal,
    }
}

/// Why a commit could not be staged.
pub(super) fn commit<S>(error: ProcessMessageError<S>) -> MlsError {
    match error {
        ProcessMessageError::ValidationError(ValidationError::WrongGroupId | ValidationError::WrongEpoch)
        | ProcessMessageError::InvalidCommit(StageCommitError::EpochMismatch) => MlsError::WrongEpoch,
        ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => MlsError::Own,
        // The own keys could not be read; that is not the commit's fault.
        ProcessMessageError::InvalidCommit(StageCommitError::MissingDecryptionKey) => MlsError::Broken,
        error => other(&error, MlsError::Rejected),
    }
}

/// OpenMLS also reports as its own fault what a peer's odd keys can bring about, so only a failing store is ours.
fn other<S>(error: &ProcessMessageError<S>, peers: MlsError) -> MlsError {
    match error {
        ProcessMessageError::StorageError(_) | ProcessMessageError::GroupStateError(_) => MlsError::Broken,
        _ => peers,
    }
}
