//! The two calls in which RustCrypto draws entropy of its own, made from a seed instead. For the simulator only.

use std::sync::Mutex;

use ed25519_dalek::SigningKey;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, CryptoError, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType,
    SignatureScheme,
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

const HASH: HashType = HashType::Sha2_256;
const SHARED_SECRET_LEN: u8 = 32;
const KEY_LEN: u8 = 32;
const NONCE_LEN: u8 = 12;
/// RFC 9180 section 4.1: "KEM" and the number of DHKEM(X25519, HKDF-SHA256).
const KEM_ID: &[u8] = b"KEM\x00\x20";
/// RFC 9180 section 5.1: "HPKE" and the numbers of that KEM, HKDF-SHA256 and ChaCha20Poly1305.
const SUITE_ID: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";

/// RustCrypto without entropy of its own.
pub(super) struct Seeded {
    inner: RustCrypto,
    signature_keys: Mutex<ChaCha20Rng>,
    /// Ephemeral keys are derived from this and from what is sealed, not drawn from a stream: OpenMLS seals on several
    /// threads at once, in no order.
    ephemeral: [u8; 32],
}

impl Seeded {
    pub(super) fn new(rng: &mut ChaCha20Rng) -> Self {
        let mut ephemeral = [0; 32];
        rng.fill_bytes(&mut ephemeral);
        let signature_keys = Mutex::new(rand_core::SeedableRng::from_rng(rng));
        Self { inner: RustCrypto::default(), signature_keys, ephemeral }
    }

    pub(super) fn inner(&self) -> &RustCrypto {
        &self.inner
    }

    pub(super) fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        if alg != SignatureScheme::ED25519 {
            return Err(CryptoError::UnsupportedSignatureScheme);
        }
        let mut secret = [0; 32];
        self.signature_keys.lock().map_err(|_| CryptoError::InsufficientRandomness)?.fill_bytes(&mut secret);
        let public = SigningKey::from_bytes(&secret).verifying_key();
        Ok((secret.to_vec(), public.to_bytes().to_vec()))
    }

    /// RFC 9180 `SealBase` for the one suite in use.
    pub(super) fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let HpkeConfig(kem, kdf, aead) = config;
        if (kem, kdf, aead) != (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305) {
            return Err(CryptoError::UnsupportedCiphersuite);
        }
        let config = HpkeConfig(kem, kdf, aead);
        let pk_r: [u8; 32] = pk_r.try_into().map_err(|_| CryptoError::InvalidPublicKey)?;

        // Encap
        let ikm = self.ephemeral_ikm(&[&pk_r, info, aad, plaintext])?;
        let ephemeral = self.inner.derive_hpke_keypair(config, &ikm)?;
        let shared = x25519(&ephemeral.private, pk_r)?;
        let kem_context = [ephemeral.public.as_slice(), &pk_r].concat();
        let eae_prk = self.extract(KEM_ID, &[], b"eae_prk", &shared)?;
        let shared_secret = self.expand(KEM_ID, &eae_prk, b"shared_secret", &kem_context, SHARED_SECRET_LEN)?;

        // KeySchedule, mode 0, no PSK
        let psk_id_hash = self.extract(SUITE_ID, &[], b"psk_id_hash", &[])?;
        let info_hash = self.extract(SUITE_ID, &[], b"info_hash", info)?;
        let context = [&[0], psk_id_hash.as_slice(), &info_hash].concat();
        let secret = self.extract(SUITE_ID, &shared_secret, b"secret", &[])?;
        let key = self.expand(SUITE_ID, &secret, b"key", &context, KEY_LEN)?;
        let nonce = self.expand(SUITE_ID, &secret, b"base_nonce", &context, NONCE_LEN)?;

        let ciphertext = self.inner.aead_encrypt(AeadType::ChaCha20Poly1305, &key, plaintext, &nonce, aad)?;
        Ok(HpkeCiphertext { kem_output: ephemeral.public.into(), ciphertext: ciphertext.into() })
    }

    fn ephemeral_ikm(&self, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
        let mut digests = Vec::new();
        for part in parts {
            digests.extend(self.inner.hash(HASH, part)?);
        }
        Ok(self.inner.hmac(HASH, &self.ephemeral, &digests)?.as_slice().to_vec())
    }

    /// RFC 9180 `LabeledExtract`.
    fn extract(&self, suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let ikm = [b"HPKE-v1", suite, label, ikm].concat();
        Ok(self.inner.hkdf_extract(HASH, salt, &ikm)?.as_slice().to_vec())
    }

    /// RFC 9180 `LabeledExpand`.
    fn expand(&self, suite: &[u8], prk: &[u8], label: &[u8], info: &[u8], len: u8) -> Result<Vec<u8>, CryptoError> {
        let info = [&[0, len], b"HPKE-v1".as_slice(), suite, label, info].concat();
        Ok(self.inner.hkdf_expand(HASH, prk, &info, usize::from(len))?.as_slice().to_vec())
    }
}

/// X25519 by way of the curve that Ed25519 brings; the point's type is reached through a key of no meaning.
fn x25519(secret: &[u8], public: [u8; 32]) -> Result<[u8; 32], CryptoError> {
    let secret: [u8; 32] = secret.try_into().map_err(|_| CryptoError::InvalidLength)?;
    let mut point = SigningKey::from_bytes(&[0; 32]).verifying_key().to_montgomery();
    point.0 = public;
    let shared = point.mul_clamped(secret).0;
    if shared == [0; 32] { Err(CryptoError::InvalidPublicKey) } else { Ok(shared) }
}
