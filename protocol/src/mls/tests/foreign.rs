//! Commits that no device of ours makes, for the tests of what the rules make of them.

use openmls::group::MlsGroup;
use openmls::prelude::tls_codec::{Deserialize, Serialize};
use openmls::prelude::{
    KeyPackage, KeyPackageBundle, KeyPackageIn, LeafNodeParameters, Lifetime, MlsMessageBodyIn, ProtocolVersion,
};

use crate::mls::store::MlsStore;
use crate::mls::{Provider, Signer, State, profile};

/// Of a member who takes another credential.
pub(crate) fn renamed(p: &Provider, state: &mut State, signer: &Signer, credential: &[u8], aad: Vec<u8>) -> Vec<u8> {
    let mut state = state.copy(p).unwrap();
    let joined = p.with(&state.store);
    state.group.set_aad(aad);
    let leaf = LeafNodeParameters::builder().with_credential_with_key(signer.credential(credential)).build();
    let builder = state.group.commit_builder().force_self_update(true).leaf_node_parameters(leaf);
    let built = builder.load_psks(&state.store).unwrap().build(p.rand(), p.crypto(), signer, |_| true);
    built.unwrap().stage_commit(&joined).unwrap().into_commit().to_bytes().unwrap()
}

/// A key package of somebody's, good for so long, or for good.
pub(crate) fn package(
    p: &Provider,
    signer: &Signer,
    credential: &[u8],
    (lifetime, last_resort): (Lifetime, bool),
) -> KeyPackage {
    let store = MlsStore::default();
    let mut builder =
        KeyPackage::builder().key_package_lifetime(lifetime).leaf_node_capabilities(profile::capabilities());
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder.build(profile::CIPHERSUITE, &p.with(&store), signer, signer.credential(credential));
    bundle.map(KeyPackageBundle::into_key_package).unwrap()
}

/// A key package that a device of ours does not make: good for a day.
pub(crate) fn package_for_a_day(p: &Provider, signer: &Signer, credential: &[u8]) -> Vec<u8> {
    package(p, signer, credential, (Lifetime::new(86_400), false)).tls_serialize_detached().unwrap()
}

/// Of a member who lets somebody in by whatever key package.
pub(crate) fn adding(p: &Provider, state: &mut State, signer: &Signer, package: &[u8], aad: Vec<u8>) -> Vec<u8> {
    let package = KeyPackageIn::tls_deserialize_exact(package).unwrap();
    let package = package.validate(p.crypto(), ProtocolVersion::Mls10).unwrap();
    let mut state = state.copy(p).unwrap();
    let joined = p.with(&state.store);
    state.group.set_aad(aad);
    let builder = state.group.commit_builder().force_self_update(true).propose_adds([package]);
    let built = builder.load_psks(&state.store).unwrap().build(p.rand(), p.crypto(), signer, |_| true);
    built.unwrap().stage_commit(&joined).unwrap().into_commit().to_bytes().unwrap()
}

/// Of somebody who comes in from outside, over a leaf of its own if there is one.
pub(crate) fn from_outside(
    p: &Provider,
    state: &State,
    host: &Signer,
    (signer, credential): (&Signer, &[u8]),
    aad: Vec<u8>,
) -> Vec<u8> {
    let info = state.group.export_group_info(p.crypto(), host, true).unwrap().to_bytes().unwrap();
    let MlsMessageBodyIn::GroupInfo(info) = profile::read_message(&info, usize::MAX).unwrap() else {
        panic!("a group info");
    };
    let store = MlsStore::default();
    let joined = p.with(&store);
    let (_, bundle) = MlsGroup::external_commit_builder()
        .with_config(profile::join_config())
        .with_aad(aad)
        .build_group(&joined, info, signer.credential(credential))
        .unwrap()
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(profile::capabilities()).build())
        .load_psks(&store)
        .unwrap()
        .build(p.rand(), p.crypto(), signer, |_| true)
        .unwrap()
        .finalize(&joined)
        .unwrap();
    bundle.into_commit().to_bytes().unwrap()
}
