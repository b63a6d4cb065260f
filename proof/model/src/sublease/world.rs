//! The state of a small world: a node, replicas, the letters between them, one check.

use super::Scope;
use std::collections::{BTreeSet, VecDeque};
use tokenward_core::sublease::{AttachmentId, Grantor, HolderEffect, SubHolder};
use tokenward_core::time::BootInstant;

/// One attachment among all there ever were.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// The node's incarnation.
    pub incarnation: u8,
    /// The replica's process.
    pub holder: usize,
    /// The grantor's name for it.
    pub id: AttachmentId,
}

/// A letter. The network forgets none: each may arrive now, later, never, or many times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Envelope {
    /// Between whom.
    pub key: Key,
    /// What it says.
    pub message: Message,
}

/// What letters say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Message {
    /// To the node: a renewal.
    Renew {
        /// Its count.
        round: u64,
    },
    /// To the node: applied up to here.
    Acknowledge {
        /// The last change.
        number: u64,
    },
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
    Change {
        /// Its number.
        number: u64,
    },
    /// To the replica: a grant.
    Grant {
        /// The renewal it answers.
        round: u64,
        /// The changes it names.
        through: u64,
        /// Ticks.
        term: u64,
    },
    /// To the replica: it is expelled.
    Expelled,
}

/// One replica's memory, and the lease that goes with it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Store {
    /// The changes applied, a bit each.
    pub content: u8,
    /// The end of its lease on its machine's clock; 0 is none.
    pub lease: u64,
}

/// Whether `content` holds every change up to `number`.
#[must_use]
pub(super) fn contains(content: u8, number: u64) -> bool {
    let all = (1_u8 << number) - 1;
    content & all == all
}

/// Something a replica's process is about to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Task {
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
pub struct Session {
    /// The key concerned.
    pub key: Key,
    /// Its machine.
    pub sub: SubHolder,
    /// Its replica.
    pub store: usize,
    /// Renewals sent.
    pub rounds: u64,
    /// When the last one was.
    pub last_sent: u64,
}

/// A replica's process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holder {
    /// Ticks its clock has missed.
    pub behind: u64,
    /// Attachments so far.
    pub attached: usize,
    /// Deaths so far.
    pub crashes: u8,
    /// Departures so far.
    pub left: u8,
    /// The attachment under way.
    pub session: Option<Session>,
    /// Every replica it has had.
    pub stores: Vec<Store>,
    /// The one that checks see.
    pub shown: Option<usize>,
    /// What it is about to do.
    pub tasks: VecDeque<Task>,
}

impl Holder {
    /// What its clock says.
    #[must_use]
    pub fn clock(&self, real: u64) -> u64 {
        real - self.behind
    }
}

/// The node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// Its grantor.
    pub grantor: Grantor,
    /// Starts so far.
    pub incarnation: u8,
    /// The last durable change.
    pub committed: u64,
    /// The last change answered, by whichever incarnation.
    pub answered: u64,
    /// Durable: sub-leases may have been granted.
    pub granted: bool,
    /// Whom changes are fed to.
    pub fed: BTreeSet<AttachmentId>,
    /// Streams it saw cut.
    pub cuts: u8,
}

/// A check's reads so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    /// By whose process.
    pub holder: usize,
    /// The replica it is pinned to.
    pub store: usize,
    /// The last change answered before it was sent.
    pub answered: u64,
    /// The lease's end, once read.
    pub lease: Option<u64>,
    /// The slot, once read.
    pub content: Option<u8>,
    /// The clock, once read.
    pub clock: Option<u64>,
}

/// The one check.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Check {
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
pub struct World {
    /// Real time.
    pub real: u64,
    /// The node.
    pub node: Node,
    /// The replicas' processes.
    pub holders: Vec<Holder>,
    /// Letters under way.
    pub net: BTreeSet<Envelope>,
    /// The check.
    pub check: Check,
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
