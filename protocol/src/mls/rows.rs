//! OpenMLS's storage trait over [`MlsStore`]. Every method is one call; which row is in its label.

use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::Serialize;

use super::codec::CodecError;
use super::store::{Label, MlsStore};

/// An empty list of resumption secrets that takes none, as OpenMLS reads it. OpenMLS keeps 32 epochs' of them with a
/// group's creator, whatever it is told; nothing here resumes a group, so an epoch leaves nothing to the next.
const NO_RESUMPTION: Resumption = Resumption { max_number_of_secrets: 0, resumption_psk: &[], cursor: 0 };

#[derive(Serialize)]
struct Resumption {
    max_number_of_secrets: usize,
    resumption_psk: &'static [u8],
    cursor: usize,
}

macro_rules! write {
    ($($name:ident($key:ident, $value:ident): $label:ident;)*) => { $(
        fn $name<K: traits::$key<V>, E: traits::$value<V>>(&self, key: &K, value: &E) -> Result<(), CodecError> {
            self.put(Label::$label, key, value)
        }
    )* };
}

macro_rules! read {
    ($($name:ident($key:ident) -> $value:ident: $label:ident;)*) => { $(
        fn $name<K: traits::$key<V>, E: traits::$value<V>>(&self, key: &K) -> Result<Option<E>, CodecError> {
            self.find(Label::$label, key)
        }
    )* };
}

/// As `read`, where the trait names the value before the key.
macro_rules! read_flipped {
    ($($name:ident($key:ident) -> $value:ident: $label:ident;)*) => { $(
        fn $name<E: traits::$value<V>, K: traits::$key<V>>(&self, key: &K) -> Result<Option<E>, CodecError> {
            self.find(Label::$label, key)
        }
    )* };
}

macro_rules! delete {
    ($($name:ident($key:ident): $label:ident;)*) => { $(
        fn $name<K: traits::$key<V>>(&self, key: &K) -> Result<(), CodecError> {
            self.delete(Label::$label, key)
        }
    )* };
}

impl StorageProvider<V> for MlsStore {
    type Error = CodecError;

    write! {
        write_mls_join_config(GroupId, MlsGroupJoinConfig): JoinConfig;
        write_tree(GroupId, TreeSync): Tree;
        write_interim_transcript_hash(GroupId, InterimTranscriptHash): InterimTranscriptHash;
        write_context(GroupId, GroupContext): GroupContext;
        write_confirmation_tag(GroupId, ConfirmationTag): ConfirmationTag;
        write_own_leaf_index(GroupId, LeafNodeIndex): OwnLeafIndex;
        write_group_epoch_secrets(GroupId, GroupEpochSecrets): EpochSecrets;
        write_signature_key_pair(SignaturePublicKey, SignatureKeyPair): SignatureKeyPair;
        write_encryption_key_pair(EncryptionKey, HpkeKeyPair): EncryptionKeyPair;
        write_key_package(HashReference, KeyPackage): KeyPackage;
        write_psk(PskId, PskBundle): Psk;
    }

    fn write_message_secrets<K: traits::GroupId<V>, E: traits::MessageSecrets<V>>(
        &self,
        key: &K,
        value: &E,
    ) -> Result<(), CodecError> {
        self.put_secrets(key, value)
    }

    fn write_group_state<E: traits::GroupState<V>, K: traits::GroupId<V>>(
        &self,
        key: &K,
        value: &E,
    ) -> Result<(), CodecError> {
        self.put(Label::GroupState, key, value)
    }

    fn write_resumption_psk_store<K: traits::GroupId<V>, E: traits::ResumptionPskStore<V>>(
        &self,
        key: &K,
        _: &E,
    ) -> Result<(), CodecError> {
        self.put(Label::ResumptionPsks, key, &NO_RESUMPTION)
    }

    fn write_encryption_epoch_key_pairs<K: traits::GroupId<V>, N: traits::EpochKey<V>, E: traits::HpkeKeyPair<V>>(
        &self,
        group_id: &K,
        epoch: &N,
        leaf_index: u32,
        key_pairs: &[E],
    ) -> Result<(), CodecError> {
        self.put(Label::EpochKeyPairs, &(group_id, epoch, leaf_index), key_pairs)
    }

    fn append_own_leaf_node<K: traits::GroupId<V>, E: traits::LeafNode<V>>(
        &self,
        group_id: &K,
        leaf_node: &E,
    ) -> Result<(), CodecError> {
        self.append(Label::OwnLeafNodes, group_id, leaf_node)
    }

    fn queue_proposal<K: traits::GroupId<V>, R: traits::ProposalRef<V>, E: traits::QueuedProposal<V>>(
        &self,
        group_id: &K,
        proposal_ref: &R,
        proposal: &E,
    ) -> Result<(), CodecError> {
        self.put(Label::Proposal, &(group_id, proposal_ref), proposal)?;
        self.append(Label::ProposalRefs, group_id, proposal_ref)
    }

    read! {
        mls_group_join_config(GroupId) -> MlsGroupJoinConfig: JoinConfig;
        tree(GroupId) -> TreeSync: Tree;
        group_context(GroupId) -> GroupContext: GroupContext;
        interim_transcript_hash(GroupId) -> InterimTranscriptHash: InterimTranscriptHash;
        confirmation_tag(GroupId) -> ConfirmationTag: ConfirmationTag;
        message_secrets(GroupId) -> MessageSecrets: MessageSecrets;
        resumption_psk_store(GroupId) -> ResumptionPskStore: ResumptionPsks;
        own_leaf_index(GroupId) -> LeafNodeIndex: OwnLeafIndex;
        group_epoch_secrets(GroupId) -> GroupEpochSecrets: EpochSecrets;
        signature_key_pair(SignaturePublicKey) -> SignatureKeyPair: SignatureKeyPair;
        key_package(HashReference) -> KeyPackage: KeyPackage;
    }

    read_flipped! {
        group_state(GroupId) -> GroupState: GroupState;
        encryption_key_pair(EncryptionKey) -> HpkeKeyPair: EncryptionKeyPair;
        psk(PskId) -> PskBundle: Psk;
    }

    fn encryption_epoch_key_pairs<K: traits::GroupId<V>, N: traits::EpochKey<V>, E: traits::HpkeKeyPair<V>>(
        &self,
        group_id: &K,
        epoch: &N,
        leaf_index: u32,
    ) -> Result<Vec<E>, CodecError> {
        Ok(self.find(Label::EpochKeyPairs, &(group_id, epoch, leaf_index))?.unwrap_or_default())
    }

    fn own_leaf_nodes<K: traits::GroupId<V>, E: traits::LeafNode<V>>(
        &self,
        group_id: &K,
    ) -> Result<Vec<E>, CodecError> {
        self.list(Label::OwnLeafNodes, group_id)
    }

    fn queued_proposal_refs<K: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &K,
    ) -> Result<Vec<R>, CodecError> {
        self.list(Label::ProposalRefs, group_id)
    }

    fn queued_proposals<K: traits::GroupId<V>, R: traits::ProposalRef<V>, E: traits::QueuedProposal<V>>(
        &self,
        group_id: &K,
    ) -> Result<Vec<(R, E)>, CodecError> {
        let mut proposals = Vec::new();
        for proposal_ref in self.list::<_, R>(Label::ProposalRefs, group_id)? {
            let proposal = self.find(Label::Proposal, &(group_id, &proposal_ref))?.ok_or(CodecError)?;
            proposals.push((proposal_ref, proposal));
        }
        Ok(proposals)
    }

    delete! {
        delete_own_leaf_nodes(GroupId): OwnLeafNodes;
        delete_group_config(GroupId): JoinConfig;
        delete_tree(GroupId): Tree;
        delete_confirmation_tag(GroupId): ConfirmationTag;
        delete_group_state(GroupId): GroupState;
        delete_context(GroupId): GroupContext;
        delete_interim_transcript_hash(GroupId): InterimTranscriptHash;
        delete_message_secrets(GroupId): MessageSecrets;
        delete_all_resumption_psk_secrets(GroupId): ResumptionPsks;
        delete_own_leaf_index(GroupId): OwnLeafIndex;
        delete_group_epoch_secrets(GroupId): EpochSecrets;
        delete_signature_key_pair(SignaturePublicKey): SignatureKeyPair;
        delete_encryption_key_pair(EncryptionKey): EncryptionKeyPair;
        delete_key_package(HashReference): KeyPackage;
        delete_psk(PskId): Psk;
    }

    fn delete_encryption_epoch_key_pairs<K: traits::GroupId<V>, N: traits::EpochKey<V>>(
        &self,
        group_id: &K,
        epoch: &N,
        leaf_index: u32,
    ) -> Result<(), CodecError> {
        self.delete(Label::EpochKeyPairs, &(group_id, epoch, leaf_index))
    }

    fn remove_proposal<K: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &K,
        proposal_ref: &R,
    ) -> Result<(), CodecError> {
        self.retract(Label::ProposalRefs, group_id, proposal_ref)?;
        self.delete(Label::Proposal, &(group_id, proposal_ref))
    }

    fn clear_proposal_queue<K: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &K,
    ) -> Result<(), CodecError> {
        for proposal_ref in self.list::<_, R>(Label::ProposalRefs, group_id)? {
            self.delete(Label::Proposal, &(group_id, &proposal_ref))?;
        }
        self.delete(Label::ProposalRefs, group_id)
    }
}
