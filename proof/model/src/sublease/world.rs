//! The state of a small world: a node, replicas, the letters between them, one check.

use super::Scope;
use crate::Reads;
use std::collections::{BTreeSet, VecDeque};
use tokenward_core::sublease::{AttachmentId, Grantor, HolderEffect, SubHolder};
use tokenward_core::time::BootInstant;

/// One attachment among all there ever were.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    /// The node's incarnation.
    pub(super) incarnation: u8,
    /// The replica's process.
    pub(super) holder: usize,
    /// The grantor's name for it.
    pub(super) id: AttachmentId,
}

/// A letter. The network forgets none: each may arrive now, later, never, or many times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Envelope {
    pub(super) key: Key,
    pub(super) message: Message,
}

/// What letters say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Message {
    /// To the node: a renewal.
    Renew { round: u64 },
    /// To the node: applied up to here.
    Acknowledge { number: u64 },
    /// To the node: the lease is ended.
    Release,
    /// To the replica: everything up to a change.
    Snapshot {
        /// The changes it holds, a bit each.
        content: u8,
        /// The last change it claims to hold.
        number: u64,
    },
    /// To the replica: a change.
    Change { number: u64 },
    /// To the replica: a grant.
    Grant {
        /// The renewal it answers.
        round: u64,
        /// The changes it names.
        through: u64,
        term: u64,
    },
    /// To the replica: it is expelled.
    Expelled,
}

/// One replica's memory, and the lease that goes with it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Store {
    /// The changes applied, a bit each.
    pub(super) content: u8,
    /// The end of its lease on its machine's clock; 0 is none.
    pub(super) lease: u64,
}

/// Whether `content` holds every change up to `number`.
pub(super) fn contains(content: u8, number: u64) -> bool {
    let all = (1_u8 << number) - 1;
    content & all == all
}

/// Something a replica's process is about to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Task {
    /// As the sub-holder said.
    Effect(HolderEffect),
    /// Apply this change.
    Apply(u64),
    /// Publish the lease.
    Vouch(u64),
    /// Let checks see the session's replica.
    Show,
}

/// One attachment as its replica sees it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    pub(super) sub: SubHolder,
    pub(super) store: usize,
    pub(super) rounds: u64,
    /// When the last one was.
    pub(super) last_sent: u64,
}

/// A replica's process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Holder {
    /// Ticks its clock has missed.
    pub(super) behind: u64,
    /// Attachments so far.
    pub(super) attached: usize,
    /// Deaths so far.
    pub(super) crashes: u8,
    /// Departures so far.
    pub(super) left: u8,
    /// The attachment under way.
    pub(super) session: Option<Session>,
    /// Every replica it has had.
    pub(super) stores: Vec<Store>,
    /// The one that checks see.
    pub(super) shown: Option<usize>,
    /// What it is about to do.
    pub(super) tasks: VecDeque<Task>,
}

impl Holder {
    /// What its clock says.
    pub(super) fn clock(&self, real: u64) -> u64 {
        real - self.behind
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Node {
    pub(super) grantor: Grantor,
    /// Starts so far.
    pub(super) incarnation: u8,
    /// The last durable change.
    pub(super) committed: u64,
    /// The last change answered, by whichever incarnation.
    pub(super) answered: u64,
    /// Durable: sub-leases may have been granted.
    pub(super) granted: bool,
    /// Whom changes are fed to.
    pub(super) fed: BTreeSet<AttachmentId>,
    /// Streams it saw cut.
    pub(super) cuts: u8,
}

/// A check's reads so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Read {
    pub(super) holder: usize,
    /// The replica it is pinned to.
    pub(super) store: usize,
    /// The last change answered before it was sent.
    pub(super) answered: u64,
    pub(super) reads: Reads,
}

/// The one check.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Check {
    /// Not sent yet.
    Idle,
    /// Under way.
    Reading(Read),
    /// Answered.
    Done {
        /// Whether the replica vouched.
        accepted: bool,
        /// What it had read.
        content: u8,
        /// The last change answered before it was sent.
        answered: u64,
    },
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct World {
    pub(super) real: u64,
    pub(super) node: Node,
    /// The replicas' processes.
    pub(super) holders: Vec<Holder>,
    /// Letters under way.
    pub(super) net: BTreeSet<Envelope>,
    pub(super) check: Check,
}

impl World {
    /// Nobody is attached, nothing has happened.
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            real: 0,
            node: Node {
                grantor: Grantor::new(scope.terms(), 0, false, BootInstant(0)),
                incarnation: 0,
                committed: 0,
                answered: 0,
                granted: false,
                fed: BTreeSet::new(),
                cuts: 0,
            },
            holders: vec![Holder::default(); scope.holders],
            net: BTreeSet::new(),
            check: Check::Idle,
        }
    }

    /// Whether the letter's reader is there and at leisure.
    pub(super) fn is_deliverable(&self, letter: &Envelope) -> bool {
        match letter.message {
            Message::Renew { .. } | Message::Acknowledge { .. } | Message::Release => true,
            Message::Change { .. } | Message::Grant { .. } => {
                let holder = &self.holders[letter.key.holder];
                // The driver keeps what comes before the snapshot is loaded.
                let loaded = |one: &Session| one.sub.applied().is_some();
                holder.tasks.is_empty() && holder.session.as_ref().is_some_and(loaded)
            }
            Message::Snapshot { .. } | Message::Expelled => {
                self.holders[letter.key.holder].tasks.is_empty()
            }
        }
    }

    /// Takes letters away that nobody would read any more: fewer states, the same behaviours.
    pub(super) fn forget_letters(&mut self) {
        let (node, holders) = (&self.node, &self.holders);
        self.net.retain(|letter| match letter.message {
            Message::Renew { .. } | Message::Acknowledge { .. } | Message::Release => {
                letter.key.incarnation == node.incarnation
            }
            _ => {
                let session = holders[letter.key.holder].session.as_ref();
                session.is_some_and(|session| {
                    let loaded = session.sub.applied().is_some();
                    session.key == letter.key
                        && !(loaded && matches!(letter.message, Message::Snapshot { .. }))
                })
            }
        });
    }
}
