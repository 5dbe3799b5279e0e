//! What OpenMLS computes with: RustCrypto, and entropy from the seed handed in.

use std::cell::RefCell;
use std::convert::Infallible;

use openmls::prelude::tls_codec::SecretVLBytes;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput,
    SignatureScheme,
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

#[cfg(feature = "sim")]
use super::seeded::Seeded;
use super::store::MlsStore;

/// What OpenMLS computes with.
pub(crate) struct Provider {
    crypto: Crypto,
    rand: Rand,
}

impl Provider {
    /// Draws from `rng`, which must come from fresh entropy; RustCrypto adds the operating system's where it seals
    /// to a key.
    pub(crate) fn new(rng: ChaCha20Rng) -> Self {
        Self { crypto: Crypto::Os(Box::default()), rand: Rand(RefCell::new(rng)) }
    }

    /// Draws everything from `rng`, so that equal calls give equal bytes.
    #[cfg(feature = "sim")]
    pub(crate) fn seeded(mut rng: ChaCha20Rng) -> Self {
        let crypto = Crypto::Seeded(Box::new(Seeded::new(&mut rng)));
        Self { crypto, rand: Rand(RefCell::new(rng)) }
    }

    pub(super) fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    pub(super) fn rand(&self) -> &Rand {
        &self.rand
    }

    /// This provider with one state's store, as OpenMLS wants it.
    pub(super) fn with<'a>(&'a self, store: &'a MlsStore) -> Joined<'a> {
        Joined { provider: self, store }
    }
}

/// A provider with one state's store.
pub(super) struct Joined<'a> {
    provider: &'a Provider,
    store: &'a MlsStore,
}

impl OpenMlsProvider for Joined<'_> {
    type CryptoProvider = Crypto;
    type RandProvider = Rand;
    type StorageProvider = MlsStore;

    fn storage(&self) -> &MlsStore {
        self.store
    }

    fn crypto(&self) -> &Crypto {
        &self.provider.crypto
    }

    fn rand(&self) -> &Rand {
        &self.provider.rand
    }
}

/// Entropy from the seed handed in.
pub(super) struct Rand(RefCell<ChaCha20Rng>);

impl Rand {
    /// Where the stream stands, to come back to with [`Self::rewind`].
    pub(super) fn mark(&self) -> ChaCha20Rng {
        self.0.borrow().clone()
    }

    pub(super) fn rewind(&self, mark: ChaCha20Rng) {
        *self.0.borrow_mut() = mark;
    }
}

impl OpenMlsRand for Rand {
    type Error = Infallible;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Infallible> {
        let mut bytes = [0; N];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Infallible> {
        let mut bytes = vec![0; len];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

/// RustCrypto as it is, or with the two calls replaced in which it draws entropy of its own.
pub(super) enum Crypto {
    Os(Box<RustCrypto>),
    #[cfg(feature = "sim")]
    Seeded(Box<Seeded>),
}

impl Crypto {
    fn inner(&self) -> &RustCrypto {
        match self {
            Self::Os(inner) => inner,
            #[cfg(feature = "sim")]
            Self::Seeded(seeded) => seeded.inner(),
        }
    }

    /// Whether the bytes must not depend on anything but the seed.
    pub(super) fn is_seeded(&self) -> bool {
        !matches!(self, Self::Os(_))
    }
}

impl OpenMlsCrypto for Crypto {
    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        match self {
            Self::Os(inner) => inner.signature_key_gen(alg),
            #[cfg(feature = "sim")]
            Self::Seeded(seeded) => seeded.signature_key_gen(alg),
        }
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        match self {
            Self::Os(inner) => inner.hpke_seal(config, pk_r, info, aad, ptxt),
            #[cfg(feature = "sim")]
            Self::Seeded(seeded) => seeded.hpke_seal(config, pk_r, info, aad, ptxt),
        }
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        // Draws entropy too, but only a device that joins by external commit calls it, which none of ours does.
        self.inner().hpke_setup_sender_and_export(config, pk_r, info, exporter_context, exporter_length)
    }

    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        self.inner().supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.inner().supported_ciphersuites()
    }

    fn hkdf_extract(&self, hash_type: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.inner().hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(&self, hash_type: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.inner().hmac(hash_type, key, message)
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner().hkdf_expand(hash_type, prk, info, okm_len)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner().hash(hash_type, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner().aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner().aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner().verify_signature(alg, data, pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner().sign(alg, data, key)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner().hpke_open(config, input, sk_r, info, aad)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.inner().hpke_setup_receiver_and_export(config, enc, sk_r, info, exporter_context, exporter_length)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.inner().derive_hpke_keypair(config, ikm)
    }
}
