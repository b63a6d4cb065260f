//! The holder of a node's lease: joins, renews by a durable write followed by a read, follows the change log,
//! acknowledges, and ends the lease when the node is removed or has another history than the database.
//!
//! It must never publish a lease counted from anything but the moment before the renewal was written, and never before
//! every change that the read showed is applied.

use super::{Incarnation, Position, Terms, renew_every};
use crate::time::{BootInstant, later};
use std::collections::VecDeque;

/// Reads remembered for [`Holder::is_stuck`]: the last and the one before it.
const READS_KEPT: usize = 2;

/// What a holder is told. Everything that comes from a database session is told only while that session is the
/// current one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HolderEvent {
    /// A new session is open. Nothing it shows counts before a renewal sent on it was acknowledged: a server that
    /// recovered from a crash may show commits that its standby lacks.
    Connected,
    /// The session failed, timed out, gave a notice with a commit, or its server lacks changes that are applied here.
    /// What was under way is given up; the lease stays as it was.
    Disconnected,
    /// A renewal or a join is durable: exactly one row, no notice.
    Written {
        /// Its attempt.
        attempt: u64,
    },
    /// The change log was read after [`HolderEvent::Written`], on the same session, to its end, and it continues the
    /// history applied here.
    Read {
        /// The attempt it follows.
        attempt: u64,
        /// The last change read.
        upto: Position,
    },
    /// The change log was read at some other moment, and it continues the history applied here.
    Looked {
        /// The last change read.
        upto: Position,
    },
    /// The renewal found no row: another node has removed this one.
    Missing {
        /// The attempt.
        attempt: u64,
        /// The incarnation to join under, freshly made.
        next: Incarnation,
    },
    /// This node committed and applied changes itself.
    Applied {
        /// The last of them.
        position: Position,
    },
    /// Every attached replica that may vouch has applied the changes up to this number
    /// ([`crate::sublease::GrantorEffect::Answer`]).
    Answered {
        /// The last of them.
        through: u64,
    },
    /// The database has another change at a number that is applied here, or is another store or epoch.
    Diverged,
    /// A change came that this version can't read or apply.
    Unreadable,
    /// The process wants to stop. Told again with every change of `idle`.
    Leave {
        /// Whether no attached replica may vouch any more.
        idle: bool,
    },
    /// Time has passed.
    Tick,
}

/// What a holder wants done, in order. When one can't be done, the rest must not be: tell it
/// [`HolderEvent::Disconnected`] or [`HolderEvent::Unreadable`] instead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HolderEffect {
    /// Write this node's row durably, then read the change log after it on the same session: two transactions, the read
    /// after the acknowledgement of the write.
    Write {
        /// The row's key.
        incarnation: Incarnation,
        /// Whether the row is made if it is not there; else a missing row is [`HolderEvent::Missing`].
        join: bool,
        /// The number of this attempt, to be written into the row. Never used twice.
        attempt: u64,
        /// To be written as acknowledged, where the database has `at`; else the row keeps what it has.
        acknowledged: u64,
        /// What is applied here.
        at: Position,
    },
    /// Apply the changes that were read, as far as they are not applied yet.
    Apply {
        /// The last of them.
        through: Position,
    },
    /// The node may vouch until then, on its boot clock.
    Vouch {
        /// The end.
        until: BootInstant,
    },
    /// Write into this node's row that the changes up to a number are applied, where the database has `at`. The commit
    /// need not be awaited.
    Acknowledge {
        /// The row's key.
        incarnation: Incarnation,
        /// The last of them.
        number: u64,
        /// What is applied here.
        at: Position,
    },
    /// End the lease at once.
    StopVouching,
    /// Delete this node's row.
    SignOff {
        /// The row's key.
        incarnation: Incarnation,
    },
    /// The membership is over and the process must end.
    End(Ended),
}

/// Why a membership is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ended {
    /// The database has another history than this node.
    Diverged,
    /// A change this version can't read or apply.
    Unreadable,
    /// The process was told to stop.
    Left,
}

/// A renewal on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct UnderWay {
    attempt: u64,
    /// Taken before the row was written: the lease is counted from it.
    sent: BootInstant,
    written: bool,
}

/// A node's membership and lease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holder {
    terms: Terms,
    /// How long an attached replica may hold changes up, at most.
    replica_wait: u64,
    incarnation: Incarnation,
    joined: bool,
    leaving: bool,
    over: bool,
    applied: Position,
    /// Acknowledged by every attached replica that may vouch.
    answered: u64,
    /// The last number told to the database.
    acknowledged: u64,
    attempt: u64,
    under_way: Option<UnderWay>,
    renew_at: BootInstant,
    connected: bool,
    /// Whether a renewal sent on the current session was acknowledged.
    trusted: bool,
    /// The last changes that the latest renewals read, and when.
    reads: VecDeque<(u64, BootInstant)>,
}

impl Holder {
    /// A holder for a node whose replica was loaded up to `applied`, of which `answered` is known to its attached
    /// replicas. `replica_wait` is the sub-lease's [`Terms::wait`] in nanoseconds.
    #[must_use]
    pub fn new(
        terms: Terms,
        replica_wait: u64,
        incarnation: Incarnation,
        applied: Position,
        answered: u64,
    ) -> Self {
        Self {
            terms,
            replica_wait,
            incarnation,
            joined: false,
            leaving: false,
            over: false,
            applied,
            answered,
            acknowledged: 0,
            attempt: 0,
            under_way: None,
            renew_at: BootInstant(0),
            connected: false,
            trusted: false,
            reads: VecDeque::new(),
        }
    }

    /// When [`HolderEvent::Tick`] should come next; none while it would do nothing.
    #[must_use]
    pub fn next_tick(&self) -> Option<BootInstant> {
        let idle = self.connected && self.under_way.is_none();
        (idle && !self.over && !self.leaving).then_some(self.renew_at)
    }

    /// What is applied here.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// The key of this node's row.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether what the current session shows may be believed.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Whether attached replicas have held up for too long what a renewal read. Such a node renews no more until they
    /// have caught up or lapsed, so that it holds up others for at most two waits.
    #[must_use]
    pub fn is_stuck(&self, now: BootInstant) -> bool {
        let before = self
            .reads
            .front()
            .filter(|_| self.reads.len() == READS_KEPT);
        before.is_some_and(|(number, at)| {
            self.answered < *number && now >= later(*at, self.replica_wait)
        })
    }

    /// Takes one event.
    pub fn step(&mut self, event: HolderEvent, now: BootInstant) -> Vec<HolderEffect> {
        let mut effects = Vec::new();
        if self.over {
            return effects;
        }
        match event {
            HolderEvent::Connected => {
                self.disconnect();
                self.connected = true;
                self.renew(now, &mut effects);
            }
            HolderEvent::Disconnected => self.disconnect(),
            HolderEvent::Written { attempt } => {
                if let Some(one) = self.under_way.as_mut().filter(|one| one.attempt == attempt) {
                    one.written = true;
                    self.joined = true;
                }
            }
            HolderEvent::Read { attempt, upto } => self.read(attempt, upto, now, &mut effects),
            HolderEvent::Looked { upto } => {
                if self.trusted {
                    self.apply(upto, &mut effects);
                }
            }
            HolderEvent::Missing { attempt, next } => {
                if self.under_way.is_some_and(|one| one.attempt == attempt) {
                    // Removed: whoever removed it has waited for the lease to end. The replica stays, it only grows.
                    self.under_way = None;
                    self.joined = false;
                    self.incarnation = next;
                    self.acknowledged = 0;
                    effects.push(HolderEffect::StopVouching);
                    self.renew(now, &mut effects);
                }
            }
            HolderEvent::Applied { position } => {
                if position.number > self.applied.number {
                    self.applied = position;
                }
            }
            HolderEvent::Answered { through } => {
                self.answered = self.answered.max(through);
                self.acknowledge(&mut effects);
            }
            HolderEvent::Diverged => self.end(Ended::Diverged, &mut effects),
            HolderEvent::Unreadable => self.end(Ended::Unreadable, &mut effects),
            HolderEvent::Leave { idle } => {
                self.leaving = true;
                if idle {
                    self.over = true;
                    let incarnation = self.incarnation;
                    effects.push(HolderEffect::StopVouching);
                    effects.push(HolderEffect::SignOff { incarnation });
                    effects.push(HolderEffect::End(Ended::Left));
                }
            }
            HolderEvent::Tick => {
                if self.connected && self.under_way.is_none() && now >= self.renew_at {
                    self.renew(now, &mut effects);
                }
            }
        }
        effects
    }

    fn disconnect(&mut self) {
        self.connected = false;
        self.trusted = false;
        self.under_way = None;
    }

    fn renew(&mut self, now: BootInstant, effects: &mut Vec<HolderEffect>) {
        if self.leaving {
            return;
        }
        self.renew_at = later(now, renew_every(&self.terms));
        if self.is_stuck(now) {
            return;
        }
        self.attempt += 1;
        self.under_way = Some(UnderWay {
            attempt: self.attempt,
            sent: now,
            written: false,
        });
        effects.push(HolderEffect::Write {
            incarnation: self.incarnation,
            join: !self.joined,
            attempt: self.attempt,
            acknowledged: self.answered,
            at: self.applied,
        });
    }

    fn read(
        &mut self,
        attempt: u64,
        upto: Position,
        now: BootInstant,
        effects: &mut Vec<HolderEffect>,
    ) {
        // A read that does not follow the acknowledgement of its own write grants nothing: a change may have become
        // visible, and have been answered, between the read and the write.
        let written = |one: &UnderWay| one.attempt == attempt && one.written;
        let Some(one) = self.under_way.filter(written) else {
            return;
        };
        self.under_way = None;
        self.trusted = true;
        if self.reads.len() == READS_KEPT {
            self.reads.pop_front();
        }
        self.reads.push_back((upto.number, now));
        self.apply(upto, effects);
        effects.push(HolderEffect::Vouch {
            until: later(one.sent, self.terms.term),
        });
        self.acknowledge(effects);
    }

    fn apply(&mut self, upto: Position, effects: &mut Vec<HolderEffect>) {
        if upto.number > self.applied.number {
            self.applied = upto;
            effects.push(HolderEffect::Apply { through: upto });
        }
    }

    fn acknowledge(&mut self, effects: &mut Vec<HolderEffect>) {
        if self.trusted && self.joined && self.answered > self.acknowledged {
            self.acknowledged = self.answered;
            effects.push(HolderEffect::Acknowledge {
                incarnation: self.incarnation,
                number: self.answered,
                at: self.applied,
            });
        }
    }

    fn end(&mut self, why: Ended, effects: &mut Vec<HolderEffect>) {
        self.over = true;
        effects.extend([HolderEffect::StopVouching, HolderEffect::End(why)]);
    }
}
