//! The acknowledgement barrier: up to which change this node may answer its callers. A change is answered when every
//! other node has acknowledged it, or can no longer vouch by anything it was granted before it.
//!
//! It must never answer a change on rows that were asked for before the change was durable, or that come from a server
//! which lacks the change.

use super::Incarnation;
use crate::time::{BootInstant, later};
use std::collections::{BTreeMap, VecDeque};

/// Another node's row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    /// Its key.
    pub incarnation: Incarnation,
    /// The last renewal attempt that became visible. Attempts are never used twice, so equal numbers are the same
    /// renewal, whichever server shows them.
    pub attempt: u64,
    /// Every change up to here is applied there.
    pub acknowledged: u64,
    /// That node's [`super::Terms::wait`], in nanoseconds.
    pub wait: u64,
}

/// What a barrier is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum BarrierEvent {
    /// A commit was acknowledged, of changes up to this number or of a decision that rests on them.
    Committed {
        /// The last of them.
        number: u64,
        /// Whether the rows read under the lock, in that transaction, were this node's alone. Joins take the same lock.
        alone: bool,
    },
    /// The rows of the other nodes, read on one server.
    Rows {
        /// The look they answer.
        look: u64,
        /// The last of this node's changes that the server has; none when it lacks what this node has committed.
        holds: u64,
        /// All rows but this node's own.
        rows: Vec<Row>,
    },
    /// Time has passed.
    Tick,
    /// Look although nothing waits: since when a node says nothing is known only by looking.
    Look,
}

/// What a barrier wants done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BarrierEffect {
    /// Read the rows; said again with each [`BarrierEvent::Tick`] while something waits. Looks may be answered in any
    /// order or not at all.
    Look {
        /// To be said back.
        look: u64,
    },
    /// Every change up to this number may be answered as far as other nodes are concerned.
    Answer {
        /// The last of them.
        through: u64,
    },
    /// Delete this row where it still shows this attempt: its lease is over.
    Remove {
        /// Its key.
        incarnation: Incarnation,
        /// The attempt.
        attempt: u64,
    },
}

/// What is known of another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Seen {
    row: Row,
    /// When this attempt was first seen here: after the attempt was sent.
    since: BootInstant,
}

/// Changes not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Waiting {
    number: u64,
    /// When their commit was acknowledged.
    at: BootInstant,
    /// Rows count for them from this look on; 0 when nobody else was there.
    look: u64,
}

/// Which changes a node may answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AckBarrier {
    answered: u64,
    /// Looks asked for.
    looks: u64,
    /// The other nodes, as the latest answered look showed them.
    seen: BTreeMap<Incarnation, Seen>,
    /// The latest look that was answered.
    judged: u64,
    /// The last of this node's changes that the server of that look had.
    holds: u64,
    waiting: VecDeque<Waiting>,
}

impl AckBarrier {
    /// A barrier that has answered nothing: what others committed before this node joined is answered here only once
    /// the rows say so.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change up to here may be answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether a change waits for other nodes; [`BarrierEvent::Tick`] is due every few milliseconds then.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When the latest commit that waits was acknowledged: soon after it, looking often is worth it.
    #[must_use]
    pub fn waits_since(&self) -> Option<BootInstant> {
        self.waiting.back().map(|one| one.at)
    }

    /// Takes one event; the effects are to be carried out in order.
    pub fn step(&mut self, event: BarrierEvent, now: BootInstant) -> Vec<BarrierEffect> {
        let mut effects = Vec::new();
        match event {
            BarrierEvent::Committed { number, alone } => {
                self.committed(number, alone, now, &mut effects);
            }
            BarrierEvent::Rows { look, holds, rows } => {
                // An older look than the last one says nothing new.
                if look > self.judged && look <= self.looks {
                    self.rows(look, holds, rows, now, &mut effects);
                }
            }
            BarrierEvent::Tick => {
                if self.is_waiting() {
                    self.look(&mut effects);
                }
            }
            BarrierEvent::Look => self.look(&mut effects),
        }
        self.settle(now, &mut effects);
        effects
    }

    fn look(&mut self, effects: &mut Vec<BarrierEffect>) {
        self.looks += 1;
        effects.push(BarrierEffect::Look { look: self.looks });
    }

    fn committed(
        &mut self,
        number: u64,
        alone: bool,
        now: BootInstant,
        effects: &mut Vec<BarrierEffect>,
    ) {
        let last = self.waiting.back().map_or(self.answered, |one| one.number);
        if number <= last {
            // Answered already, or together with what waits: every node that lacks it is waited for.
            return;
        }
        let look = if alone {
            0
        } else {
            self.look(effects);
            self.looks
        };
        self.waiting.push_back(Waiting {
            number,
            at: now,
            look,
        });
    }

    fn rows(
        &mut self,
        look: u64,
        holds: u64,
        rows: Vec<Row>,
        now: BootInstant,
        effects: &mut Vec<BarrierEffect>,
    ) {
        let before = std::mem::take(&mut self.seen);
        (self.judged, self.holds) = (look, holds);
        for row in rows {
            let same = before
                .get(&row.incarnation)
                .filter(|seen| seen.row.attempt == row.attempt);
            let since = same.map_or(now, |seen| seen.since);
            if now >= later(since, row.wait) {
                effects.push(BarrierEffect::Remove {
                    incarnation: row.incarnation,
                    attempt: row.attempt,
                });
            }
            self.seen.insert(row.incarnation, Seen { row, since });
        }
    }

    /// Answers what no other node can miss any more.
    fn settle(&mut self, now: BootInstant, effects: &mut Vec<BarrierEffect>) {
        let before = self.answered;
        while let Some(first) = self.waiting.front().copied() {
            let clear = first.look == 0
                || first.look <= self.judged
                    && first.number <= self.holds
                    && self.seen.values().all(|one| is_clear(one, &first, now));
            if !clear {
                break;
            }
            self.answered = first.number;
            self.waiting.pop_front();
        }
        if self.answered > before {
            effects.push(BarrierEffect::Answer {
                through: self.answered,
            });
        }
    }
}

/// Whether a node can't vouch without a change any more.
fn is_clear(one: &Seen, change: &Waiting, now: BootInstant) -> bool {
    one.row.acknowledged >= change.number
        // What it was granted before the commit is over; what it was granted since names the change.
        || now >= later(change.at, one.row.wait)
        // It has not renewed since long before the commit.
        || now >= later(one.since, one.row.wait)
}
