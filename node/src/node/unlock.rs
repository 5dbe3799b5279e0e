//! The store is unlocked, locked, or fails and is opened again.

use std::collections::BTreeSet;

use kinfold_protocol::id::NetId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::open::Open;
use super::{Core, REOPEN_AFTER, SETTLE_PATIENCE, State, Unsettled};
use crate::answer::json;
use crate::clock;
use crate::control::lines::Notice;
use crate::control::show::{CLOCK_WORDS, FULL_WORDS, LOST_WORDS};
use crate::control::{ApiError, NodeError, rows};
use crate::execute::{ReplyTo, Round};
use crate::net::FromNet;

impl Core {
    /// The store failed: memory is dropped and built again from what the disk holds (PROTOCOL G2).
    pub(super) async fn recover(&mut self, round: Round, error: &NodeError, before: u64) {
        tracing::warn!(code = "storage_failed", "the store is opened again");
        let State::Open(open) = std::mem::replace(&mut self.state, State::Locked) else { return };
        let passphrase = open.passphrase.clone();
        drop(open);
        self.nets.stop_all().await;
        let until = Instant::now() + SETTLE_PATIENCE;
        // What was not written did not survive, whatever the store says once its files are back.
        let lost = *error == NodeError::Misplaced && !round.is_durable();
        let survived = lost.then_some(false);
        self.unsettled = Some(Unsettled { round, error: *error, before, survived, until });
        self.reopen(passphrase).await;
        if lost {
            self.settle();
        }
    }

    /// Answers what was asked in the round whose commit failed: only the store knows whether that survived, so that
    /// nobody is told to do again what is done.
    pub(super) fn settle(&mut self) {
        let Some(Unsettled { round, error, survived, .. }) = self.unsettled.take() else { return };
        if let (State::Open(open), Some(true)) = (&self.state, survived) {
            let events = round.survive(&open.client, &self.feed);
            self.answer_joins(events);
        } else {
            let error = ApiError::from(if survived == Some(false) { error } else { NodeError::Unsettled });
            self.forget_waiting(&error);
            round.fail(&error);
        }
    }

    /// Faces that wait for what was begun in the round that was lost are told so; others go on waiting.
    pub(super) fn forget_waiting(&mut self, error: &ApiError) {
        let kept: BTreeSet<NetId> = match &self.state {
            State::Open(open) => {
                let groups = open.client.groups().into_iter().map(|view| view.net);
                groups.chain(open.client.joins()).collect()
            }
            State::Failed { .. } | State::Locked => BTreeSet::new(),
        };
        for (_, (reply, ..)) in self.founders.extract_if(.., |net, _| !kept.contains(net)) {
            drop(reply.send(Err(error.clone())));
        }
        for (reply, _) in self.joins.extract_if(.., |net, _| !kept.contains(net)).flat_map(|(_, waiting)| waiting) {
            drop(reply.send(Err(error.clone())));
        }
    }

    pub(super) async fn reopen(&mut self, passphrase: Zeroizing<String>) {
        if let Err(error) = self.unlock(passphrase.clone()).await {
            let again = Instant::now() + REOPEN_AFTER;
            self.state = State::Failed { passphrase, error, again };
        }
    }

    /// Opens the vault and starts the networks.
    pub(super) async fn unlock(&mut self, passphrase: Zeroizing<String>) -> Result<(), NodeError> {
        let (open, round) = tokio::task::block_in_place(|| Open::new(&self.open_store, passphrase))?;
        let mut open = Box::new(open);
        if let Some(unsettled) = &mut self.unsettled {
            // What is written from now on is none of it.
            unsettled.survived.get_or_insert(open.found > unsettled.before);
        }
        self.begin(&mut open, round).await?;
        self.state = State::Open(open);
        drop(self.feed.send(Notice::Unlocked {}));
        self.settle();
        Ok(())
    }

    /// The first round of a client. On a full disk it is told of no network, so that nothing new comes in.
    async fn begin(&mut self, open: &mut Open, mut round: Round) -> Result<(), NodeError> {
        let report = open.store.report();
        if !report.is_clean() {
            tracing::warn!(
                code = "store_report",
                commits = report.commits_lost,
                rows = report.rows_missing,
                values = report.values_unreadable,
                message = LOST_WORDS,
            );
            self.lost = report;
        }
        if open.full {
            tracing::warn!(code = "disk_full", message = FULL_WORDS);
            round.keep_to_itself();
        }
        if open.client.clock(clock::wall()).is_some() {
            tracing::warn!(code = "clock_in_doubt", message = CLOCK_WORDS);
        }
        tracing::trace!(code = "during_unlock");
        round.persist(open.store.as_mut(), &mut open.client)?;
        tracing::trace!(code = "during_unlock");
        round.publish(&mut self.nets, &open.client, &self.feed).await;
        Ok(())
    }

    /// When the disk becomes full the networks end, and what is here can still be looked at; when there is room again
    /// they start again.
    pub(super) async fn watch_room(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        if !open.room_changed() {
            return;
        }
        self.nets.stop_all().await;
        let State::Open(mut open) = std::mem::replace(&mut self.state, State::Locked) else { return };
        let before = open.store.commit_seq();
        let began = match tokio::task::block_in_place(|| open.begin_again()) {
            Ok(round) => self.begin(&mut open, round).await,
            Err(error) => Err(error),
        };
        self.state = State::Open(open);
        if let Err(error) = began {
            self.recover(Round::default(), &error, before).await;
        }
    }

    pub(super) async fn lock_now(&mut self, reply: ReplyTo) {
        self.nets.stop_all().await;
        self.put_away();
        drop(self.feed.send(Notice::Locked {}));
        drop(reply.send(json(&rows::Done {})));
    }

    /// Ends everything, the networks first.
    pub(super) async fn lock(&mut self, inbox: &mut mpsc::Receiver<FromNet>) {
        let drain = async { while inbox.recv().await.is_some() {} };
        tokio::select! {
            () = self.nets.close_all() => {}
            () = drain => {}
        }
        self.put_away();
    }

    /// Writes what is left, then takes the keys out of memory.
    pub(super) fn put_away(&mut self) {
        self.settle();
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Locked)
            && tokio::task::block_in_place(|| open.close()).is_err()
        {
            tracing::warn!(code = "unclean_close", "the store was not closed cleanly");
        }
    }
}
