//! One epoch state: reading it, and sending and opening messages in it.

use openmls::group::{GroupId, MlsGroup, PastEpochDeletion};
use openmls::prelude::{ContentType, MlsMessageBodyIn, ProcessedMessageContent, ProtocolMessage, Sender};
use openmls_traits::random::OpenMlsRand;
use zeroize::Zeroizing;

use super::sender::SenderSecret;
use super::store::{Label, MlsStore};
use super::{
    HANDSHAKE_BYTES_MAX, MESSAGE_BYTES_MAX, MlsError, Provider, RowChanges, Signer, StateRows, error, profile,
};

/// One epoch state of one group (PROTOCOL O1). This device is a member of it.
///
/// Only the ratchets inside change, by [`Self::encrypt`] and [`Self::decrypt`]; their rows are then in
/// [`Self::changes`]. Another epoch is another `State`.
pub(crate) struct State {
    pub(super) group: MlsGroup,
    pub(super) store: MlsStore,
    /// Read from the rows when the first message comes, and of which epoch.
    senders: Option<(u64, SenderSecret)>,
}

/// Where a message says to stand, and what it must be bound to.
#[derive(Clone, Copy)]
pub(crate) struct Under<'a> {
    /// Its sender's leaf.
    pub(crate) leaf: u32,
    /// The generation of its key: the sender's calls of [`State::encrypt`] in this epoch before it.
    pub(crate) count: u32,
    /// Its authenticated data.
    pub(crate) binding: &'a [u8],
}

/// One member's leaf.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its place in the tree; stays while the member stays.
    pub(crate) index: u32,
    /// The identity in its Basic credential, opaque to MLS.
    pub(crate) credential: Vec<u8>,
    /// The device's Ed25519 key.
    pub(crate) signature_key: Vec<u8>,
}

impl State {
    /// A new group at epoch 0, with this device as its only member. `extension` is our extension's first content.
    pub(crate) fn create(
        p: &Provider,
        signer: &Signer,
        credential: &[u8],
        group_id: &[u8],
        extension: &[u8],
    ) -> Result<Self, MlsError> {
        if extension.len() > HANDSHAKE_BYTES_MAX {
            return Err(MlsError::Oversize);
        }
        let config = profile::create_config(extension)?;
        let store = MlsStore::default();
        let id = GroupId::from_slice(group_id);
        let made = MlsGroup::new_with_group_id(&p.with(&store), signer, &config, id, signer.credential(credential));
        made.map_err(|_| MlsError::Broken)?;
        // Read back, because what is stored has no resumption secrets and what was made has.
        Self::load(group_id, store.rows())
    }

    /// The state that [`Self::rows`] and [`Self::changes`] described.
    pub(crate) fn load(group_id: &[u8], rows: StateRows) -> Result<Self, MlsError> {
        let store = MlsStore::new(rows);
        let group = MlsGroup::load(&store, &GroupId::from_slice(group_id));
        match group {
            Ok(Some(group)) if group.is_active() => Ok(Self::over(group, store)),
            Ok(_) | Err(_) => Err(MlsError::Broken),
        }
    }

    /// A group over the rows that it is in.
    pub(super) const fn over(group: MlsGroup, store: MlsStore) -> Self {
        Self { group, store, senders: None }
    }

    /// Every row of this state, to write a fresh one.
    pub(crate) fn rows(&mut self, p: &Provider) -> Result<StateRows, MlsError> {
        self.settle(p)?;
        Ok(self.store.rows())
    }

    /// The rows that changed since this was last called, or since the state was made or loaded.
    pub(crate) fn changes(&mut self, p: &Provider) -> Result<RowChanges, MlsError> {
        self.settle(p)?;
        Ok(self.store.take_changes())
    }

    /// Brings the rows up to the memory after [`Self::decrypt`].
    pub(super) fn settle(&mut self, p: &Provider) -> Result<(), MlsError> {
        if self.store.let_go_of_secrets() { self.write_secrets(p) } else { Ok(()) }
    }

    /// OpenMLS has no call for just this; of past epochs there is nothing to delete.
    pub(super) fn write_secrets(&mut self, p: &Provider) -> Result<(), MlsError> {
        let written = self.group.delete_past_epoch_secrets(&p.with(&self.store), PastEpochDeletion::delete_all());
        written.map_err(|_| MlsError::Broken)
    }

    /// Forgets what an old commit could be replayed with (PROTOCOL E, replay half). From here on the state opens
    /// messages and tells its leaves; everything else is `Closed`. In [`Self::changes`] like the rest.
    pub(crate) fn close(&mut self, p: &Provider) -> Result<(), MlsError> {
        let secret = p.rand().random_array().map_err(|_| MlsError::Broken)?;
        // OpenMLS loads no group without epoch secrets; those of a group that nobody is in open nothing.
        let nobody = Self::create(p, &Signer::new(&secret), &[], self.group_id(), &[])?;
        self.all_or_nothing(p, |state| {
            state.store.replace(Label::EpochKeyPairs, &MlsStore::default());
            state.store.replace(Label::EpochSecrets, &nobody.store);
            state.reload()
        })
    }

    /// Whether [`Self::close`] was called on this state, in this run or an earlier one.
    pub(crate) fn is_closed(&self) -> bool {
        !self.store.holds(Label::EpochKeyPairs)
    }

    pub(super) fn check_open(&self) -> Result<(), MlsError> {
        if self.is_closed() { Err(MlsError::Closed) } else { Ok(()) }
    }

    /// The epoch's number. Branches share numbers; the authenticator tells them apart.
    pub(crate) fn number(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// The epoch authenticator.
    pub(crate) fn authenticator(&self) -> Result<Vec<u8>, MlsError> {
        self.check_open()?;
        Ok(self.group.epoch_authenticator().as_slice().to_vec())
    }

    /// The group's id.
    pub(crate) fn group_id(&self) -> &[u8] {
        self.group.group_id().as_slice()
    }

    /// The content of our GroupContext extension (PROTOCOL V9).
    pub(crate) fn extension(&self) -> Vec<u8> {
        // Present: made with it or joined with it, and no staged commit without it can be applied.
        profile::content(self.group.extensions()).unwrap_or_default()
    }

    /// The members' leaves, by index.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        let members = self.group.members();
        members
            .map(|member| Leaf {
                index: member.index.u32(),
                credential: member.credential.serialized_content().to_vec(),
                signature_key: member.signature_key,
            })
            .collect()
    }

    /// A secret that exactly the members of this epoch can derive.
    pub(crate) fn export(&self, p: &Provider, label: &str, context: &[u8]) -> Result<Zeroizing<[u8; 32]>, MlsError> {
        self.check_open()?;
        let secret = self.group.export_secret(p.crypto(), label, context, 32).map_err(|_| MlsError::Broken)?;
        let secret = Zeroizing::new(secret);
        let mut out = Zeroizing::new([0; 32]);
        if secret.len() != out.len() {
            return Err(MlsError::Broken);
        }
        out.copy_from_slice(&secret);
        Ok(out)
    }

    /// Seals one application message. The ratchet's step is in [`Self::changes`] and must be durable before the bytes
    /// leave (PROTOCOL G2). `binding` is what it is authenticated with, and is not hidden.
    pub(crate) fn encrypt(
        &mut self,
        p: &Provider,
        signer: &Signer,
        plaintext: &[u8],
        binding: &[u8],
    ) -> Result<Vec<u8>, MlsError> {
        self.check_open()?;
        if plaintext.len() > MESSAGE_BYTES_MAX {
            return Err(MlsError::Oversize);
        }
        self.all_or_nothing(p, |state| {
            state.group.set_aad(binding.to_vec());
            let message = state.group.create_message(&p.with(&state.store), signer, plaintext);
            message.map_err(|_| MlsError::Broken)?.to_bytes().map_err(|_| MlsError::Broken)
        })
    }

    /// Opens one application message of this epoch that stands where it says to. An error changes nothing.
    ///
    /// The generation is looked at before any key is used: each member can put what another signed under any of the
    /// other's keys, and use that up.
    pub(crate) fn decrypt(
        &mut self,
        p: &Provider,
        bytes: &[u8],
        under: Under<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, MlsError> {
        let MlsMessageBodyIn::PrivateMessage(message) = profile::read_message(bytes, MESSAGE_BYTES_MAX)? else {
            return Err(MlsError::Malformed);
        };
        if message.aad() != under.binding {
            return Err(MlsError::BadSeal);
        }
        let message = ProtocolMessage::from(message);
        if message.content_type() != ContentType::Application {
            return Err(MlsError::Malformed);
        }
        if message.group_id() != self.group.group_id() || message.epoch() != self.group.epoch() {
            return Err(MlsError::WrongEpoch);
        }
        if self.sender(p, bytes)? != (under.leaf, under.count) {
            return Err(MlsError::BadSeal);
        }
        // The row grows with the messages that are missing, so that it is written once for many. Nothing is to be undone:
        // a message that is refused has its sender's ratchet derived at most.
        self.store.hold_secrets();
        let opened = self.group.process_message(&p.with(&self.store), message).map_err(error::message)?;
        let sender = opened.sender().clone();
        match (sender, opened.into_content()) {
            (Sender::Member(_), ProcessedMessageContent::ApplicationMessage(content)) => {
                Ok(Zeroizing::new(content.into_bytes()))
            }
            (_, ProcessedMessageContent::OwnPrivateMessage) => Err(MlsError::Own),
            _ => Err(MlsError::Malformed),
        }
    }

    /// The leaf and the generation that a message of this epoch names.
    pub(super) fn sender(&mut self, p: &Provider, bytes: &[u8]) -> Result<(u32, u32), MlsError> {
        let epoch = self.number();
        let secret = match self.senders.take().filter(|(of, _)| *of == epoch) {
            Some((_, secret)) => secret,
            None => SenderSecret::of(&self.store, self.group.group_id())?,
        };
        let (_, secret) = self.senders.insert((epoch, secret));
        secret.open(p, bytes)
    }

    /// A copy that can become a child.
    pub(crate) fn copy(&mut self, p: &Provider) -> Result<Self, MlsError> {
        let rows = self.rows(p)?;
        Self::load(self.group_id(), rows)
    }

    /// Does `act`, and puts the state back to where it was if that fails.
    pub(super) fn all_or_nothing<T>(
        &mut self,
        p: &Provider,
        act: impl FnOnce(&mut Self) -> Result<T, MlsError>,
    ) -> Result<T, MlsError> {
        self.settle(p)?;
        let mark = self.store.mark();
        let done = act(self);
        if done.is_err() {
            self.store.restore(mark);
            self.reload()?;
        }
        done
    }

    fn reload(&mut self) -> Result<(), MlsError> {
        let group = MlsGroup::load(&self.store, self.group.group_id());
        self.group = group.ok().flatten().ok_or(MlsError::Broken)?;
        Ok(())
    }
}
