//! Commits that no device of ours makes, for the tests of what the rules make of them.

use openmls::group::MlsGroup;
use openmls::prelude::{LeafNodeParameters, MlsMessageBodyIn};

use crate::mls::store::MlsStore;
use crate::mls::{Provider, Signer, State, profile};

/// Of a member who takes another credential.
pub(crate) fn renamed(p: &Provider, state: &State, signer: &Signer, credential: &[u8], aad: Vec<u8>) -> Vec<u8> {
    let mut state = state.copy().unwrap();
    let joined = p.with(&state.store);
    state.group.set_aad(aad);
    let leaf = LeafNodeParameters::builder().with_credential_with_key(signer.credential(credential)).build();
    let builder = state.group.commit_builder().force_self_update(true).leaf_node_parameters(leaf);
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
