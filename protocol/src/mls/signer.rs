//! The device's signature key.

use ed25519_dalek::SigningKey;
use openmls::prelude::{BasicCredential, CredentialWithKey};
use openmls_traits::signatures::SignerError;
use openmls_traits::types::SignatureScheme;

/// The device's Ed25519 key, which signs its leaf, its messages and its commits. Wiped from memory when dropped.
pub(crate) struct Signer(SigningKey);

impl Signer {
    /// The key with this secret.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// What the leaf shows as its signature key.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn credential(&self, identity: &[u8]) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(identity.to_vec()).into(),
            signature_key: self.public().to_vec().into(),
        }
    }
}

impl openmls_traits::signatures::Signer for Signer {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(ed25519_dalek::Signer::sign(&self.0, payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
