//! Under which key of whose a message says to be: the sender data of RFC 9420, section 6.3.2. OpenMLS opens it and does
//! not tell which generation it was, and nothing that the sender signs says so.

use openmls::prelude::GroupId;
use openmls::prelude::tls_codec::{Deserialize as _, SecretVLBytes, Serialize as _, VLBytes};
use openmls_traits::crypto::OpenMlsCrypto;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::profile::CIPHERSUITE;
use super::store::{Label, MlsStore};
use super::{MlsError, Provider};

/// What opens the sender data of one epoch.
#[derive(Clone)]
pub(super) struct SenderSecret(Zeroizing<Vec<u8>>);

/// As much of OpenMLS's message secrets as is needed here.
#[derive(Deserialize)]
struct Stored {
    message_secrets: MessageSecrets,
}

#[derive(Deserialize)]
struct MessageSecrets {
    sender_data_secret: SenderDataSecret,
}

#[derive(Deserialize)]
struct SenderDataSecret {
    secret: Secret,
}

#[derive(Deserialize)]
struct Secret {
    value: SecretVLBytes,
}

impl SenderSecret {
    /// That of the state in these rows.
    pub(super) fn of(store: &MlsStore, group: &GroupId) -> Result<Self, MlsError> {
        let stored: Option<Stored> = store.find(Label::MessageSecrets, group).map_err(|_| MlsError::Broken)?;
        let secrets = stored.ok_or(MlsError::Broken)?.message_secrets;
        Ok(Self(Zeroizing::new(secrets.sender_data_secret.secret.value.as_slice().to_vec())))
    }

    /// The leaf and the generation that a private message names.
    pub(super) fn open(&self, p: &Provider, message: &[u8]) -> Result<(u32, u32), MlsError> {
        let parts = Parts::read(message).map_err(|_| MlsError::Malformed)?;
        let key = self.expand(p, "key", parts.sample(), CIPHERSUITE.aead_key_length())?;
        let nonce = self.expand(p, "nonce", parts.sample(), CIPHERSUITE.aead_nonce_length())?;
        let (aead, sealed) = (CIPHERSUITE.aead_algorithm(), parts.sender.as_slice());
        let opened = p.crypto().aead_decrypt(aead, key.as_slice(), sealed, nonce.as_slice(), &parts.bound);
        let opened = Zeroizing::new(opened.map_err(|_| MlsError::BadSeal)?);
        let (leaf, rest) = opened.split_first_chunk().ok_or(MlsError::Malformed)?;
        let (generation, _) = rest.split_first_chunk().ok_or(MlsError::Malformed)?;
        Ok((u32::from_be_bytes(*leaf), u32::from_be_bytes(*generation)))
    }

    /// `ExpandWithLabel` of RFC 9420, section 8.
    fn expand(&self, p: &Provider, label: &str, context: &[u8], len: usize) -> Result<SecretVLBytes, MlsError> {
        let label = VLBytes::new(format!("MLS 1.0 {label}").into_bytes());
        let wanted = u16::try_from(len).map_err(|_| MlsError::Broken)?;
        let info = (wanted, label, VLBytes::new(context.to_vec())).tls_serialize_detached();
        let info = info.map_err(|_| MlsError::Broken)?;
        p.crypto().hkdf_expand(CIPHERSUITE.hash_algorithm(), &self.0, &info, len).map_err(|_| MlsError::Broken)
    }
}

/// What of a private message its sender data is opened with.
struct Parts {
    /// The sealed sender data.
    sender: VLBytes,
    ciphertext: VLBytes,
    /// What it is bound to: group, epoch and kind of content.
    bound: Vec<u8>,
}

impl Parts {
    fn read(mut message: &[u8]) -> Result<Self, openmls::prelude::tls_codec::Error> {
        let from = &mut message;
        let _version_and_format = <(u16, u16)>::tls_deserialize(from)?;
        let bound = <(VLBytes, u64, u8)>::tls_deserialize(from)?.tls_serialize_detached()?;
        let _binding = VLBytes::tls_deserialize(from)?;
        Ok(Self { sender: VLBytes::tls_deserialize(from)?, ciphertext: VLBytes::tls_deserialize(from)?, bound })
    }

    fn sample(&self) -> &[u8] {
        let ciphertext = self.ciphertext.as_slice();
        ciphertext.get(..CIPHERSUITE.hash_length()).unwrap_or(ciphertext)
    }
}
