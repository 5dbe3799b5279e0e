//! This device's own commits, built and merged on a copy (PROTOCOL C3).

use openmls::prelude::{KeyPackage, LeafNodeIndex, MlsMessageOut};

use super::{HANDSHAKE_BYTES_MAX, MlsError, Provider, Signer, State, profile};

/// What a commit is to do. Its path, a fresh key of the committer's, comes in any case.
#[derive(Clone, Default)]
pub(crate) struct CommitPlan {
    /// Key packages of those to add.
    pub(crate) adds: Vec<Vec<u8>>,
    /// Leaves to remove.
    pub(crate) removes: Vec<u32>,
    /// The new content of our extension, if it changes.
    pub(crate) extension: Option<Vec<u8>>,
    /// Bytes that the commit authenticates beside itself.
    pub(crate) aad: Vec<u8>,
}

/// A commit made here.
pub(crate) struct Committed {
    /// The state after it.
    pub(crate) child: State,
    /// The commit, for the members.
    pub(crate) commit: Vec<u8>,
    /// The Welcome, for those added.
    pub(crate) welcome: Option<Vec<u8>>,
}

impl State {
    /// Commits on this state. It stays as it is: the commit is merged in the child only, and nothing is left pending.
    pub(crate) fn commit(&mut self, p: &Provider, signer: &Signer, plan: CommitPlan) -> Result<Committed, MlsError> {
        self.check_open()?;
        if plan.extension.as_ref().is_some_and(|content| content.len() > HANDSHAKE_BYTES_MAX)
            || plan.aad.len() > HANDSHAKE_BYTES_MAX
        {
            return Err(MlsError::Oversize);
        }
        let adds = plan.adds.iter().map(|bytes| profile::read_key_package(p, bytes)).collect::<Result<Vec<_>, _>>()?;
        let mark = p.rand().mark();
        for _ in 0..ORDER_ATTEMPTS {
            if let Some(committed) = self.commit_once(p, signer, &plan, &adds)? {
                return Ok(committed);
            }
            p.rand().rewind(mark.clone());
        }
        Err(MlsError::Broken)
    }

    /// One attempt. `None` if nothing may depend on anything but the seed and this commit does: OpenMLS puts removals
    /// in the order of a hash map.
    fn commit_once(
        &mut self,
        p: &Provider,
        signer: &Signer,
        plan: &CommitPlan,
        adds: &[KeyPackage],
    ) -> Result<Option<Committed>, MlsError> {
        let mut child = self.copy(p)?;
        let joined = p.with(&child.store);
        child.group.set_aad(plan.aad.clone());
        let mut builder = child
            .group
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(true)
            .propose_adds(adds.iter().cloned())
            .propose_removals(plan.removes.iter().map(|leaf| LeafNodeIndex::new(*leaf)));
        if let Some(content) = &plan.extension {
            let extensions = profile::extensions(content)?;
            builder = builder.propose_group_context_extensions(extensions).map_err(|_| MlsError::Rejected)?;
        }
        let bundle = builder
            .load_psks(&child.store)
            .and_then(|builder| builder.build(p.rand(), p.crypto(), signer, |_| true))
            .map_err(|_| MlsError::Rejected)?
            .stage_commit(&joined)
            .map_err(|_| MlsError::Broken)?;
        if p.crypto().is_seeded() && plan.removes.len() <= ORDERED_MAX && !removes_in_order(&child) {
            return Ok(None);
        }
        child.group.merge_pending_commit(&joined).map_err(|_| MlsError::Broken)?;
        child.store.settle();
        let (commit, welcome, _) = bundle.into_messages();
        let bytes = |message: MlsMessageOut| message.to_bytes().map_err(|_| MlsError::Broken);
        Ok(Some(Committed { commit: bytes(commit)?, welcome: welcome.map(bytes).transpose()?, child }))
    }
}

fn removes_in_order(child: &State) -> bool {
    let pending = child.group.pending_commit();
    pending
        .is_some_and(|commit| commit.remove_proposals().is_sorted_by_key(|queued| queued.remove_proposal().removed()))
}

/// The most removals that are put in order: 120 orders, so that about as many attempts are made. With more at once two
/// runs of one seed differ in these bytes.
const ORDERED_MAX: usize = 5;

/// Attempts at a commit in order: one in twenty million commits of [`ORDERED_MAX`] removals needs more.
const ORDER_ATTEMPTS: usize = 2_000;
