//! Members and strangers who use MLS otherwise than we do.

use openmls::group::{CommitBuilder, GroupContext, Initial, MlsGroup};
use openmls::prelude::tls_codec::Serialize;
use openmls::prelude::{
    Capabilities, CredentialType, Extension, ExtensionType, Extensions, KeyPackage, LeafNodeParameters, Lifetime,
    MlsMessageBodyIn, RequiredCapabilitiesExtension,
};
use openmls::treesync::LeafNodeSource;

use super::foreign;
use super::support::{Person, Three, rows_of};
use crate::mls::store::MlsStore;
use crate::mls::{Committer, MlsError, State, key_package_facts, profile};

/// A commit by the book, with whatever the builder is told.
fn commit<'a>(
    by: &Person,
    state: &'a mut State,
    tell: impl FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
) -> Vec<u8> {
    let joined = by.p.with(&state.store);
    let builder = tell(state.group.commit_builder().force_self_update(true));
    let built = builder.load_psks(&state.store).unwrap().build(by.p.rand(), by.p.crypto(), &by.signer, |_| true);
    built.unwrap().stage_commit(&joined).unwrap().into_commit().to_bytes().unwrap()
}

fn package(of: &Person, lifetime: Lifetime, last_resort: bool) -> KeyPackage {
    foreign::package(&of.p, &of.signer, &of.name, (lifetime, last_resort))
}

/// PROTOCOL V1: lifetimes are such that the system clock cannot matter, and any other is refused by everybody.
#[test]
fn only_key_packages_without_end_are_taken() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let dave = Person::new("dave", 4);
    let good = profile::read_key_package(&bob.p, &dave.package().bytes).unwrap();
    assert_eq!((good.life_time().not_before(), good.life_time().not_after()), (0, u64::MAX));
    let creator = bob.create();
    let leaf = creator.group.own_leaf_node().unwrap().leaf_node_source();
    assert!(matches!(leaf, LeafNodeSource::KeyPackage(lifetime) if *lifetime == Lifetime::init(0, u64::MAX)));

    let for_a_day = package(&dave, Lifetime::new(86_400), false);
    let bytes = for_a_day.tls_serialize_detached().unwrap();
    assert!(matches!(key_package_facts(&bob.p, &bytes), Err(MlsError::Rejected)));
    let adding = commit(&alice, &mut a, |builder| builder.propose_adds([for_a_day]));
    let rows = rows_of(&mut b);
    assert!(matches!(b.stage(&bob.p, &adding), Err(MlsError::Rejected)));
    assert!(rows_of(&mut b) == rows);
}

/// PROTOCOL J1: no last-resort key package.
#[test]
fn last_resort_key_packages_are_refused() {
    let dave = Person::new("dave", 4);
    let bytes = package(&dave, profile::lifetime(), true).tls_serialize_detached().unwrap();
    assert!(matches!(key_package_facts(&dave.p, &bytes), Err(MlsError::Rejected)));
}

#[test]
fn a_commit_that_touches_other_extensions_is_seen() {
    let required = |credentials: &[CredentialType]| {
        let ours = ExtensionType::Unknown(crate::mls::EXTENSION);
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&[ours], &[], credentials))
    };
    let requiring_less = Extensions::<GroupContext>::from_vec(vec![required(&[]), profile::ours(b"next")]).unwrap();
    let without_ours = Extensions::<GroupContext>::from_vec(vec![required(&[CredentialType::Basic])]).unwrap();
    for (extensions, content) in [(requiring_less, Some(b"next".to_vec())), (without_ours, None)] {
        let Three { alice, bob, mut a, mut b, .. } = Three::new();
        let changing = commit(&alice, &mut a, |builder| builder.propose_group_context_extensions(extensions).unwrap());
        let staged = b.stage(&bob.p, &changing).unwrap();
        assert_eq!(staged.view.extension, content);
        assert!(staged.view.other_extensions_changed);
        assert_eq!(b.apply(&bob.p, staged).is_ok(), content.is_some());
    }
}

/// PROTOCOL V3: by value only. OpenMLS is given no proposal to keep, so a reference leads nowhere.
#[test]
fn a_commit_of_a_proposal_by_reference_is_rejected() {
    let Three { alice, bob, mut a, mut b, .. } = Three::new();
    let joined = alice.p.with(&a.store);
    let removed = a.group.members().nth(2).unwrap().index;
    a.group.propose_remove_member(&joined, &alice.signer, removed).unwrap();
    let committing = commit(&alice, &mut a, |builder| builder);
    assert!(matches!(b.stage(&bob.p, &committing), Err(MlsError::Rejected)));
}

fn external_commit(by: &Person, state: &State, host: &Person) -> Vec<u8> {
    let info = state.group.export_group_info(host.p.crypto(), &host.signer, true).unwrap().to_bytes().unwrap();
    let MlsMessageBodyIn::GroupInfo(info) = profile::read_message(&info, usize::MAX).unwrap() else {
        panic!("a group info");
    };
    let store = MlsStore::default();
    let joined = by.p.with(&store);
    let capabilities: Capabilities = profile::capabilities();
    let (_, bundle) = MlsGroup::external_commit_builder()
        .with_config(profile::join_config())
        .build_group(&joined, info, by.signer.credential(&by.name))
        .unwrap()
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities).build())
        .load_psks(&store)
        .unwrap()
        .build(by.p.rand(), by.p.crypto(), &by.signer, |_| true)
        .unwrap()
        .finalize(&joined)
        .unwrap();
    bundle.into_commit().to_bytes().unwrap()
}

/// PROTOCOL V6: what an external commit does is shown as it is, for the rules to judge.
#[test]
fn an_external_commit_is_seen_as_one() {
    let Three { alice, bob, carol, a, mut b, mut c } = Three::new();
    let returning = external_commit(&carol, &a, &alice);
    let staged = b.stage(&bob.p, &returning).unwrap();
    let view = &staged.view;
    assert_eq!((view.committer, view.removes.as_slice()), (Committer::External, [2].as_slice()));
    assert!(view.adds.is_empty() && view.extension.is_none());
    assert!(!view.other_proposals && !view.by_reference && !view.other_extensions_changed && !view.removes_self);
    let leaf = view.path_leaf.as_ref().unwrap();
    assert_eq!(
        (leaf.credential.as_slice(), leaf.signature_key.as_slice()),
        (b"carol".as_slice(), carol.signer.public().as_slice())
    );
    let child = b.apply(&bob.p, staged).unwrap();
    assert_eq!(child.leaves().len(), 3);
    assert!(c.stage(&carol.p, &returning).unwrap().view.removes_self);

    let stranger = Person::new("eve", 9);
    let staged = b.stage(&bob.p, &external_commit(&stranger, &a, &alice)).unwrap();
    assert_eq!(staged.view.committer, Committer::External);
    assert!(staged.view.removes.is_empty());
}

/// A key to which nothing can be sealed would make every later commit fail.
#[test]
fn keys_that_nothing_can_be_sealed_to_are_refused() {
    let Three { alice, .. } = Three::new();
    for key in [&[0; 32][..], &[9; 31][..], &[][..]] {
        assert_eq!(profile::check_sealable(&alice.p, key), Err(MlsError::Rejected));
    }
    assert_eq!(profile::check_sealable(&alice.p, &[9; 32]), Ok(()));
}
