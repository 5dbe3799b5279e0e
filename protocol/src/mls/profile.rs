//! Our profile of MLS: one ciphersuite, no clock, Basic credentials, one extension of our own.
//!
//! What a key package or leaf must be is checked on the bytes alone, so that every member comes to the same answer
//! (PROTOCOL V).

use openmls::group::GroupContext;
use openmls::prelude::tls_codec::{Deserialize, Serialize, VLBytes};
use openmls::prelude::{
    Capabilities, Ciphersuite, Credential, CredentialType, Extension, ExtensionType, Extensions, KeyPackage,
    KeyPackageIn, LeafNode, Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProtocolVersion, RequiredCapabilitiesExtension, SenderRatchetConfiguration,
    UnknownExtension,
};
use openmls_traits::crypto::OpenMlsCrypto;

use super::{EXTENSION, KEY_PACKAGE_BYTES_MAX, MlsError, Provider};
use crate::limits;

/// X25519, ChaCha20Poly1305, SHA-256, Ed25519.
pub(super) const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Valid at any time after 1970: MLS compares it with the system clock, which PROTOCOL V1 forbids to matter.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(super) fn create_config(extension: &[u8]) -> Result<MlsGroupCreateConfig, MlsError> {
    Ok(MlsGroupCreateConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchets())
        .ciphersuite(CIPHERSUITE)
        .lifetime(lifetime())
        .capabilities(capabilities())
        .with_group_context_extensions(extensions(extension)?)
        .build())
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchets())
        .build()
}

pub(super) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[CIPHERSUITE]),
        Some(&[ExtensionType::Unknown(EXTENSION)]),
        Some(&[]),
        Some(&[CredentialType::Basic]),
    )
}

/// A group's extensions: ours with this content, and that everybody must know it.
pub(super) fn extensions(content: &[u8]) -> Result<Extensions<GroupContext>, MlsError> {
    let required =
        RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(EXTENSION)], &[], &[CredentialType::Basic]);
    Extensions::from_vec(vec![Extension::RequiredCapabilities(required), ours(content)]).map_err(|_| MlsError::Broken)
}

/// Our extension with this content.
pub(super) fn ours(content: &[u8]) -> Extension {
    Extension::Unknown(EXTENSION, UnknownExtension(content.to_vec()))
}

/// The content of our extension.
pub(super) fn content(extensions: &Extensions<GroupContext>) -> Option<Vec<u8>> {
    extensions.unknown(EXTENSION).map(|extension| extension.0.clone())
}

/// Every extension but ours, to be compared.
pub(super) fn others(extensions: &Extensions<GroupContext>) -> Vec<&Extension> {
    extensions.iter().filter(|extension| extension.extension_type() != ExtensionType::Unknown(EXTENSION)).collect()
}

/// The identity in a credential, if it is a Basic one.
pub(super) fn identity(credential: &Credential) -> Result<Vec<u8>, MlsError> {
    match credential.credential_type() {
        CredentialType::Basic => Ok(credential.serialized_content().to_vec()),
        _ => Err(MlsError::Rejected),
    }
}

/// Reads and validates a key package of our profile.
pub(super) fn read_key_package(p: &Provider, bytes: &[u8]) -> Result<KeyPackage, MlsError> {
    if bytes.len() > KEY_PACKAGE_BYTES_MAX {
        return Err(MlsError::Oversize);
    }
    let package = KeyPackageIn::tls_deserialize_exact(bytes).map_err(|_| MlsError::Malformed)?;
    let package = package.validate(p.crypto(), ProtocolVersion::Mls10).map_err(|_| MlsError::Rejected)?;
    // A ticket names a key package by the hash of its bytes, so there must be one way only to write it.
    if package.tls_serialize_detached().is_ok_and(|again| again != bytes) {
        return Err(MlsError::Malformed);
    }
    check_key_package(p, &package)?;
    Ok(package)
}

/// What our profile wants of a key package beyond MLS.
pub(super) fn check_key_package(p: &Provider, package: &KeyPackage) -> Result<(), MlsError> {
    let timeless = *package.life_time() == lifetime();
    if package.ciphersuite() != CIPHERSUITE || !timeless || package.last_resort() {
        return Err(MlsError::Rejected);
    }
    check_sealable(p, package.hpke_init_key().as_slice())?;
    check_leaf(p, package.leaf_node())
}

/// What our profile wants of a leaf beyond MLS.
pub(super) fn check_leaf(p: &Provider, leaf: &LeafNode) -> Result<(), MlsError> {
    identity(leaf.credential())?;
    // The key shows its bytes in its encoding only.
    let encoded = leaf.encryption_key().tls_serialize_detached().map_err(|_| MlsError::Broken)?;
    let key = VLBytes::tls_deserialize_exact(encoded).map_err(|_| MlsError::Broken)?;
    check_sealable(p, key.as_slice())
}

/// Whether anything can be sealed to this key. One leaf with a key of the wrong length, or one that gives everybody
/// the same shared secret, would make every later commit of every member fail.
pub(super) fn check_sealable(p: &Provider, key: &[u8]) -> Result<(), MlsError> {
    let sealed = p.crypto().hpke_seal(CIPHERSUITE.hpke_config(), key, &[], &[], &[]);
    sealed.map(drop).map_err(|_| MlsError::Rejected)
}

/// Reads one MLS message of at most `max` bytes, to the last byte.
pub(super) fn read_message(bytes: &[u8], max: usize) -> Result<MlsMessageBodyIn, MlsError> {
    if bytes.len() > max {
        return Err(MlsError::Oversize);
    }
    let message = MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| MlsError::Malformed)?;
    Ok(message.extract())
}

fn ratchets() -> SenderRatchetConfiguration {
    // A step as wide as the window keeps a key for each message that it passed, and the note of its own that it is used.
    SenderRatchetConfiguration::new(limits::RATCHET_WINDOW, limits::RATCHET_WINDOW - 1)
}
