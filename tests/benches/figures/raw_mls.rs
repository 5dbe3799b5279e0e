//! OpenMLS alone: the same group and the same text, keys in memory, nothing durable.

use std::time::Duration;

use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;

use crate::cost::TEXT;
use crate::machine::cpu_of_this_thread;

/// The ciphersuite of Kinfold.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// A member's signature key.
struct Key {
    crypto: OpenMlsRustCrypto,
    private: Vec<u8>,
    public: Vec<u8>,
}

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let signed = self.crypto.crypto().sign(SignatureScheme::ED25519, payload, &self.private);
        signed.map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// One member.
struct Member {
    provider: OpenMlsRustCrypto,
    key: Key,
    group: Option<MlsGroup>,
}

impl Member {
    fn new() -> Self {
        let crypto = OpenMlsRustCrypto::default();
        let (private, public) = crypto.crypto().signature_key_gen(SignatureScheme::ED25519).expect("a key");
        Self { provider: OpenMlsRustCrypto::default(), key: Key { crypto, private, public }, group: None }
    }

    fn credential(&self) -> CredentialWithKey {
        let credential = BasicCredential::new(self.key.public.clone()).into();
        CredentialWithKey { credential, signature_key: self.key.public.clone().into() }
    }

    fn key_package(&self) -> KeyPackage {
        let bundle = KeyPackage::builder().build(SUITE, &self.provider, &self.key, self.credential());
        bundle.expect("a key package").key_package().clone()
    }

    fn join(&mut self, welcome: Welcome) {
        let config = MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).expect("a welcome");
        self.group = Some(staged.into_group(&self.provider).expect("a group"));
    }

    fn say(&mut self) -> ProtocolMessage {
        let group = self.group.as_mut().expect("a member");
        let said = group.create_message(&self.provider, &self.key, TEXT.as_bytes()).expect("a message");
        MlsMessageIn::from(said).try_into_protocol_message().expect("a message")
    }

    fn hear(&mut self, said: ProtocolMessage) {
        let group = self.group.as_mut().expect("a member");
        group.process_message(&self.provider, said).expect("opens");
    }
}

/// A group, all of whom came in by one commit.
fn group(size: usize) -> Vec<Member> {
    let mut members: Vec<Member> = (0..size).map(|_| Member::new()).collect();
    let packages: Vec<KeyPackage> = members.iter().skip(1).map(Member::key_package).collect();
    let (first, others) = members.split_first_mut().expect("a founder");
    let config = MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build();
    let mut group = MlsGroup::new(&first.provider, &first.key, &config, first.credential()).expect("a group");
    let (_, welcome, _) = group.add_members(&first.provider, &first.key, &packages).expect("a commit");
    group.merge_pending_commit(&first.provider).expect("merged");
    first.group = Some(group);
    let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::from(welcome).extract() else { unreachable!() };
    for member in others {
        member.join(welcome.clone());
    }
    members
}

/// The mean processor time of a received message, with every member active.
pub(crate) fn received(size: usize, messages: usize) -> Duration {
    let mut members = group(size);
    let mut hearer = members.pop().expect("somebody");
    let mut talk = |count| {
        let mut said = Vec::new();
        while said.len() < count {
            said.extend(members.iter_mut().take(count - said.len()).map(Member::say));
        }
        said
    };
    talk(size - 1).into_iter().for_each(|said| hearer.hear(said));
    let said = talk(messages);
    let begin = cpu_of_this_thread();
    said.into_iter().for_each(|said| hearer.hear(said));
    (cpu_of_this_thread() - begin) / u32::try_from(messages).expect("few")
}

/// The processor time of adding one to a group that is then so large, and of joining it.
pub(crate) fn joined(size: usize) -> Duration {
    let mut members = group(size - 1);
    let first = members.first_mut().expect("a founder");
    let mut guest = Member::new();
    let package = guest.key_package();
    let begin = cpu_of_this_thread();
    let group = first.group.as_mut().expect("a member");
    let (_, welcome, _) = group.add_members(&first.provider, &first.key, &[package]).expect("a commit");
    group.merge_pending_commit(&first.provider).expect("merged");
    let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::from(welcome).extract() else { unreachable!() };
    guest.join(welcome);
    cpu_of_this_thread() - begin
}
