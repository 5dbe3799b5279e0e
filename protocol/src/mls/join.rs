//! Coming in: key packages, and the state that a Welcome brings.

use openmls::group::StagedWelcome;
use openmls::prelude::tls_codec::Serialize;
use openmls::prelude::{KeyPackage, MlsMessageBodyIn};

use super::store::MlsStore;
use super::{HANDSHAKE_BYTES_MAX, MlsError, Provider, Signer, State, StateRows, profile, stage};

/// A key package made here.
pub(crate) struct KeyPackageMade {
    /// What others add this device by.
    pub(crate) bytes: Vec<u8>,
    /// The private parts, for [`join`].
    pub(crate) rows: StateRows,
}

/// What a key package says. The same that a commit's [`super::StagedView`] says of whom it adds.
pub(crate) type KeyPackageFacts = stage::Added;

/// Makes a key package: for one use, valid at any time.
pub(crate) fn key_package(p: &Provider, signer: &Signer, credential: &[u8]) -> Result<KeyPackageMade, MlsError> {
    let store = MlsStore::default();
    let bundle = KeyPackage::builder()
        .key_package_lifetime(profile::lifetime())
        .leaf_node_capabilities(profile::capabilities())
        .build(profile::CIPHERSUITE, &p.with(&store), signer, signer.credential(credential))
        .map_err(|_| MlsError::Broken)?;
    let bytes = bundle.key_package().tls_serialize_detached().map_err(|_| MlsError::Broken)?;
    Ok(KeyPackageMade { bytes, rows: store.rows() })
}

/// Validates a key package and says what is in it.
pub(crate) fn key_package_facts(p: &Provider, bytes: &[u8]) -> Result<KeyPackageFacts, MlsError> {
    stage::added(&profile::read_key_package(p, bytes)?)
}

/// The state that a Welcome brings to the key package with these rows, which stay good for another Welcome
/// (PROTOCOL J1).
pub(crate) fn join(p: &Provider, rows: &StateRows, welcome: &[u8]) -> Result<State, MlsError> {
    let MlsMessageBodyIn::Welcome(welcome) = profile::read_message(welcome, HANDSHAKE_BYTES_MAX)? else {
        return Err(MlsError::Malformed);
    };
    let store = MlsStore::new(rows.clone());
    let joined = p.with(&store);
    let staged = StagedWelcome::build_from_welcome(&joined, &profile::join_config(), welcome)
        .and_then(|builder| builder.skip_lifetime_validation().build())
        .map_err(|_| MlsError::Rejected)?;
    if profile::content(staged.group_context().extensions()).is_none() {
        return Err(MlsError::Rejected);
    }
    for member in staged.members() {
        profile::identity(&member.credential)?;
    }
    let group = staged.into_group(&joined).map_err(|_| MlsError::Rejected)?;
    store.settle();
    Ok(State::over(group, store))
}
