//! The state of a small world: a node, replicas, the letters between them, one check.

use super::{Broken, Scope};
use std::collections::{BTreeSet, VecDeque};
use tokenward_core::sublease::{
    AttachmentId, Grantor, GrantorEffect, GrantorEvent, HolderEffect, SubHolder,
};
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
    /// Which.
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

    /// One step of the grantor, and what comes of it: under one lock in the server, so in one step.
    pub(super) fn grantor(&mut self, scope: &Scope, event: GrantorEvent) {
        let now = BootInstant(self.real);
        let effects = self.node.grantor.step(event, now);
        for effect in effects {
            match effect {
                // Seen by `attach`.
                GrantorEffect::Attached { .. } => {}
                GrantorEffect::Grant {
                    id,
                    round,
                    through,
                    term,
                } => {
                    self.node.granted = true;
                    let grant = Message::Grant {
                        round,
                        through,
                        term,
                    };
                    self.send(id, grant);
                }
                GrantorEffect::Answer { through } => {
                    self.node.answered = self.node.answered.max(through);
                }
                GrantorEffect::Expel { id } => {
                    self.node.fed.remove(&id);
                    self.send(id, Message::Expelled);
                    if scope.broken == Some(Broken::ExpelledForgotten) {
                        self.grantor(scope, GrantorEvent::Released { id });
                    }
                }
            }
        }
    }

    /// From the node to the replica attached under this name.
    fn send(&mut self, id: AttachmentId, message: Message) {
        let incarnation = self.node.incarnation;
        let key = self.holders.iter().find_map(|holder| {
            let key = holder.session.as_ref()?.key;
            (key.incarnation == incarnation && key.id == id).then_some(key)
        });
        self.net.extend(key.map(|key| Envelope { key, message }));
    }

    pub(super) fn commit(&mut self, scope: &Scope) {
        self.node.committed += 1;
        let number = self.node.committed;
        for id in self.node.fed.clone() {
            self.send(id, Message::Change { number });
        }
        self.grantor(scope, GrantorEvent::Applied { number });
    }

    pub(super) fn restart_node(&mut self, scope: &Scope, committed: bool) {
        self.node.committed += u64::from(committed);
        self.node.incarnation += 1;
        self.node.fed.clear();
        let predecessor = self.node.granted && scope.broken != Some(Broken::RestartWithoutQuiet);
        let applied = self.node.committed;
        let now = BootInstant(self.real);
        self.node.grantor = Grantor::new(scope.terms(), applied, predecessor, now);
        // What it does not hold back, somebody may be told.
        self.node.answered = self.node.answered.max(self.node.grantor.answered());
    }

    pub(super) fn attach(&mut self, scope: &Scope, at: usize) {
        let now = BootInstant(self.real);
        let effects = self.node.grantor.step(GrantorEvent::Attach, now);
        let Some(GrantorEffect::Attached { id, base }) = effects.first().copied() else {
            return;
        };
        let key = Key {
            incarnation: self.node.incarnation,
            holder: at,
            id,
        };
        self.node.fed.insert(id);
        let holder = &mut self.holders[at];
        holder.attached += 1;
        let store = match scope.broken {
            Some(Broken::ResetInPlace) if !holder.stores.is_empty() => {
                holder.stores[0] = Store {
                    content: 0,
                    lease: 0,
                };
                0
            }
            _ => {
                holder.stores.push(Store {
                    content: 0,
                    lease: 0,
                });
                holder.stores.len() - 1
            }
        };
        holder.session = Some(Session {
            key,
            sub: SubHolder::new(scope.terms()),
            store,
            rounds: 0,
            last_sent: 0,
        });
        let held = match scope.broken {
            Some(Broken::SnapshotGap) => base.saturating_sub(1),
            _ => base,
        };
        let snapshot = Message::Snapshot {
            content: (1 << held) - 1,
            number: base,
        };
        self.send(id, snapshot);
    }

    /// The next thing a replica's process does.
    pub(super) fn carry(&mut self, scope: &Scope, at: usize) {
        let holder = &mut self.holders[at];
        let (Some(task), Some(session)) = (holder.tasks.pop_front(), &holder.session) else {
            return;
        };
        let (key, store) = (session.key, session.store);
        let mut letter = None;
        match task {
            Task::Apply(number) => {
                if scope.broken != Some(Broken::UnreadableSkipped) {
                    holder.stores[store].content |= 1 << (number - 1);
                }
            }
            Task::Vouch(until) => match scope.broken {
                Some(Broken::LeaseSharedByReplicas) => {
                    holder
                        .stores
                        .iter_mut()
                        .for_each(|one| one.lease = one.lease.max(until));
                }
                _ => holder.stores[store].lease = holder.stores[store].lease.max(until),
            },
            Task::Show => holder.shown = Some(store),
            Task::Effect(HolderEffect::Renew { round }) => letter = Some(Message::Renew { round }),
            Task::Effect(HolderEffect::Acknowledge { number }) => {
                letter = Some(Message::Acknowledge { number });
            }
            Task::Effect(HolderEffect::StopVouching) => holder.stores[store].lease = 0,
            Task::Effect(HolderEffect::Release) => letter = Some(Message::Release),
            Task::Effect(HolderEffect::Abandon(_)) => holder.session = None,
            // Told as tasks of their own.
            Task::Effect(HolderEffect::Apply { .. } | HolderEffect::Vouch { .. }) => {}
        }
        self.net
            .extend(letter.map(|message| Envelope { key, message }));
    }

    pub(super) fn crash_holder(&mut self, at: usize) {
        let holder = &mut self.holders[at];
        holder.crashes += 1;
        holder.session = None;
        holder.shown = None;
        holder.tasks.clear();
        if matches!(&self.check, Check::Reading(read) if read.holder == at) {
            self.check = Check::Done {
                accepted: false,
                content: 0,
                answered: 0,
            };
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
