//! Another member's commit: looked at without consequence, then made into a child.

use openmls::group::{MlsGroup, StagedCommit};
use openmls::prelude::tls_codec::Serialize;
use openmls::prelude::{
    ContentType, KeyPackage, LeafNode, MlsMessageBodyIn, ProcessedMessageContent, Proposal, ProposalOrRefType,
    ProtocolMessage, Sender,
};
use sha2::{Digest, Sha256};

use super::{HANDSHAKE_BYTES_MAX, MlsError, Provider, State, error, profile};

/// A commit that MLS allows at one state, not yet judged by the group's rules.
pub(crate) struct Staged {
    /// What it does.
    pub(crate) view: StagedView,
    commit: Box<StagedCommit>,
    /// The authenticator of the state it was staged on.
    parent: Vec<u8>,
}

/// Who made a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committer {
    /// Somebody who joins by it (PROTOCOL V6).
    External,
    /// The member at this leaf.
    Member(u32),
}

/// Somebody whom a commit adds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Added {
    /// The identity in the Basic credential.
    pub(crate) credential: Vec<u8>,
    /// The device's Ed25519 key.
    pub(crate) signature_key: Vec<u8>,
    /// SHA-256 of the key package, by which a ticket names it.
    pub(crate) key_package_hash: [u8; 32],
}

/// The committer's new leaf.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NewLeaf {
    /// The identity in the Basic credential.
    pub(crate) credential: Vec<u8>,
    /// The device's Ed25519 key.
    pub(crate) signature_key: Vec<u8>,
}

/// What a commit does, for the group's rules to judge (PROTOCOL V).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StagedView {
    /// Who made it.
    pub(crate) committer: Committer,
    /// Whom it adds.
    pub(crate) adds: Vec<Added>,
    /// The leaves it removes.
    pub(crate) removes: Vec<u32>,
    /// Our extension's content, where a proposal sets the group's extensions.
    pub(crate) extension: Option<Vec<u8>>,
    /// Whether it sets any extension but ours otherwise than it was, or leaves ours out.
    pub(crate) other_extensions_changed: bool,
    /// The committer's new leaf, if the commit has a path.
    pub(crate) path_leaf: Option<NewLeaf>,
    /// Whether any proposal is by reference.
    pub(crate) by_reference: bool,
    /// Whether it proposes anything but adds, removes and extensions (an external commit's own ExternalInit apart).
    pub(crate) other_proposals: bool,
    /// Whether it removes this device. There is then no child for it.
    pub(crate) removes_self: bool,
    /// The bytes that the commit authenticates beside itself.
    pub(crate) aad: Vec<u8>,
    /// The child's number.
    pub(crate) number: u64,
    /// The child's authenticator; unknown to whom the commit removes.
    pub(crate) authenticator: Option<Vec<u8>>,
}

impl State {
    /// Reads another member's commit on this state. Changes nothing: siblings can be staged one after the other.
    pub(crate) fn stage(&mut self, p: &Provider, commit: &[u8]) -> Result<Staged, MlsError> {
        let MlsMessageBodyIn::PublicMessage(message) = profile::read_message(commit, HANDSHAKE_BYTES_MAX)? else {
            return Err(MlsError::Malformed);
        };
        let message = ProtocolMessage::from(message);
        if message.content_type() != ContentType::Commit {
            return Err(MlsError::Malformed);
        }
        let parent = self.authenticator()?;
        self.all_or_nothing(p, |state| {
            let processed = state.group.process_message(&p.with(&state.store), message).map_err(error::commit)?;
            let committer = match processed.sender() {
                Sender::Member(leaf) => Committer::Member(leaf.u32()),
                Sender::NewMemberCommit => Committer::External,
                Sender::External(_) | Sender::NewMemberProposal => return Err(MlsError::Rejected),
            };
            let aad = processed.aad().to_vec();
            let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() else {
                return Err(MlsError::Own);
            };
            let view = view(p, &state.group, &commit, committer, aad)?;
            Ok(Staged { view, commit, parent })
        })
    }

    /// The child that a staged commit makes, with rows of its own. This state stays as it is.
    ///
    /// There is none if the commit removes this device or leaves our extension out: `Rejected`.
    pub(crate) fn apply(&mut self, p: &Provider, staged: Staged) -> Result<Self, MlsError> {
        if staged.parent != self.authenticator()? {
            return Err(MlsError::WrongEpoch);
        }
        let contents = profile::content(staged.commit.group_context().extensions());
        if staged.view.removes_self || contents.is_none() {
            return Err(MlsError::Rejected);
        }
        let mut child = self.copy(p)?;
        let merged = child.group.merge_staged_commit(&p.with(&child.store), *staged.commit);
        merged.map_err(|_| MlsError::Rejected)?;
        child.store.settle();
        Ok(child)
    }
}

fn view(
    p: &Provider,
    group: &MlsGroup,
    commit: &StagedCommit,
    committer: Committer,
    aad: Vec<u8>,
) -> Result<StagedView, MlsError> {
    let mut view = StagedView {
        committer,
        adds: Vec::new(),
        removes: Vec::new(),
        extension: None,
        other_extensions_changed: false,
        path_leaf: commit.update_path_leaf_node().map(|leaf| new_leaf(p, leaf)).transpose()?,
        by_reference: false,
        other_proposals: false,
        removes_self: commit.self_removed(),
        aad,
        number: commit.epoch().as_u64(),
        authenticator: commit.epoch_authenticator().map(|secret| secret.as_slice().to_vec()),
    };
    for queued in commit.queued_proposals() {
        view.by_reference |= queued.proposal_or_ref_type() == ProposalOrRefType::Reference;
        match queued.proposal() {
            Proposal::Add(add) => {
                profile::check_key_package(p, add.key_package())?;
                view.adds.push(added(add.key_package())?);
            }
            Proposal::Remove(remove) => view.removes.push(remove.removed().u32()),
            Proposal::GroupContextExtensions(new) => {
                view.extension = profile::content(new.extensions());
                view.other_extensions_changed |= view.extension.is_none()
                    || profile::others(new.extensions()) != profile::others(group.extensions());
            }
            Proposal::ExternalInit(_) => view.other_proposals |= committer != Committer::External,
            Proposal::Update(_)
            | Proposal::PreSharedKey(_)
            | Proposal::ReInit(_)
            | Proposal::SelfRemove
            | Proposal::Custom(_) => view.other_proposals = true,
        }
    }
    Ok(view)
}

fn new_leaf(p: &Provider, leaf: &LeafNode) -> Result<NewLeaf, MlsError> {
    profile::check_leaf(p, leaf)?;
    Ok(NewLeaf {
        credential: profile::identity(leaf.credential())?,
        signature_key: leaf.signature_key().as_slice().to_vec(),
    })
}

/// What a commit or a ticket says of a key package.
pub(super) fn added(package: &KeyPackage) -> Result<Added, MlsError> {
    let leaf = package.leaf_node();
    let bytes = package.tls_serialize_detached().map_err(|_| MlsError::Broken)?;
    Ok(Added {
        credential: profile::identity(leaf.credential())?,
        signature_key: leaf.signature_key().as_slice().to_vec(),
        key_package_hash: Sha256::digest(bytes).into(),
    })
}
