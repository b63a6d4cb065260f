//! The replica's side of a sub-lease: one [`SubHolder`] for one attachment and one replica, from its
//! snapshot to its end. A new attachment is a new sub-holder with a new replica: nothing here can
//! empty or reload one in place.
//!
//! It must never let its replica vouch past its own sending of a renewal by more than the term granted,
//! nor before the replica holds every change the grant names.

use super::Terms;
use crate::time::BootInstant;
use std::collections::VecDeque;

/// Renewals that may be on their way at once; older ones are forgotten, and their grants ignored.
const UNDER_WAY_MAX: usize = 8;

/// What a sub-holder is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HolderEvent {
    /// The replica holds the snapshot: every change up to this number.
    Loaded {
        /// The last of them.
        number: u64,
    },
    /// Changes came, all readable.
    Changes {
        /// The first one's number.
        first: u64,
        /// The last one's.
        last: u64,
    },
    /// The node grants a lease.
    Granted {
        /// The renewal it answers.
        round: u64,
        /// It counts only once every change up to here is applied.
        through: u64,
        /// Nanoseconds from the sending of that renewal.
        term: u64,
    },
    /// A change came that this version can't read or apply.
    Unreadable,
    /// The stream ended, or the node has expelled this replica.
    Cut,
    /// The process wants to leave in good order.
    Leave,
    /// Time has passed.
    Tick,
}

/// What a sub-holder wants done, in order. When one can't be done, the rest must not be: tell it
/// [`HolderEvent::Unreadable`] instead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HolderEffect {
    /// Ask for a lease, now: the moment of this step is what the lease will be counted from.
    Renew {
        /// Said back in the grant.
        round: u64,
    },
    /// Apply the changes that came, but for the first `skip`, which the replica has.
    Apply {
        /// How many.
        skip: u64,
    },
    /// Tell the node that every change up to this number is applied.
    Acknowledge {
        /// The last of them.
        number: u64,
    },
    /// The replica may vouch until then, on this machine's boot clock.
    Vouch {
        /// The end.
        until: BootInstant,
    },
    /// End the replica's lease at once.
    StopVouching,
    /// Tell the node that the lease is ended; nothing, if the node can't be told.
    Release,
    /// This attachment is over; make a new one, with a new replica.
    Abandon(Abandoned),
}

/// Why an attachment is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Abandoned {
    /// Changes are missing between what it has and what came.
    Gap,
    /// A change it can't read or apply.
    Unreadable,
    /// The stream ended or the node expelled it. What it was granted stands until it ends.
    Cut,
    /// It was told to leave.
    Left,
}

/// One replica's side of one attachment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SubHolder {
    terms: Terms,
    /// The replica holds every change up to here; none before the snapshot is loaded.
    applied: Option<u64>,
    /// The next renewal's count.
    round: u64,
    renew_at: BootInstant,
    /// Renewals not yet granted: their count, and when they were sent.
    under_way: VecDeque<(u64, BootInstant)>,
    /// Grants that name changes still to come, and the lease each will be.
    owed: Vec<(u64, BootInstant)>,
    over: bool,
}

impl SubHolder {
    /// A sub-holder for an empty replica.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            applied: None,
            round: 1,
            renew_at: BootInstant(0),
            under_way: VecDeque::new(),
            owed: Vec::new(),
            over: false,
        }
    }

    /// When [`HolderEvent::Tick`] should come next; none while there is nothing to renew.
    #[must_use]
    pub fn next_tick(&self) -> Option<BootInstant> {
        (self.applied.is_some() && !self.over).then_some(self.renew_at)
    }

    /// Every change up to here is in its replica, none before the snapshot.
    #[must_use]
    pub fn applied(&self) -> Option<u64> {
        self.applied
    }

    /// Takes one event.
    pub fn step(&mut self, event: HolderEvent, now: BootInstant) -> Vec<HolderEffect> {
        if self.over {
            return Vec::new();
        }
        let mut effects = Vec::new();
        match event {
            HolderEvent::Loaded { number } => {
                // Only once: a replica is never loaded a second time.
                if self.applied.is_none() {
                    self.applied = Some(number);
                    self.renew(now, &mut effects);
                }
            }
            HolderEvent::Changes { first, last } => self.changes(first, last, &mut effects),
            HolderEvent::Granted {
                round,
                through,
                term,
            } => self.granted(round, through, term, &mut effects),
            HolderEvent::Unreadable => self.stop(Abandoned::Unreadable, &mut effects),
            HolderEvent::Leave => self.stop(Abandoned::Left, &mut effects),
            HolderEvent::Cut => {
                self.over = true;
                effects.push(HolderEffect::Abandon(Abandoned::Cut));
            }
            HolderEvent::Tick => {
                if self.applied.is_some() && now >= self.renew_at {
                    self.renew(now, &mut effects);
                }
            }
        }
        effects
    }

    fn renew(&mut self, now: BootInstant, effects: &mut Vec<HolderEffect>) {
        let round = self.round;
        self.round += 1;
        self.renew_at = BootInstant(now.0.saturating_add(self.terms.renew_every()));
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back((round, now));
        effects.push(HolderEffect::Renew { round });
    }

    fn changes(&mut self, first: u64, last: u64, effects: &mut Vec<HolderEffect>) {
        // The node feeds an attachment from its base on, while the snapshot is still under way; the driver
        // keeps what comes early. Before the snapshot there is nothing to apply to.
        let Some(applied) = self.applied.filter(|applied| first <= applied + 1) else {
            return self.stop(Abandoned::Gap, effects);
        };
        if last <= applied {
            return;
        }
        self.applied = Some(last);
        effects.push(HolderEffect::Apply {
            skip: applied + 1 - first,
        });
        effects.push(HolderEffect::Acknowledge { number: last });
        self.collect(effects);
    }

    fn granted(&mut self, round: u64, through: u64, term: u64, effects: &mut Vec<HolderEffect>) {
        let Some(at) = self.under_way.iter().position(|(sent, _)| *sent == round) else {
            return;
        };
        if let Some((_, sent)) = self.under_way.remove(at) {
            // Never longer than this side's own term, whatever the node says.
            let until = BootInstant(sent.0.saturating_add(term.min(self.terms.term)));
            self.owed.push((through, until));
            self.collect(effects);
        }
    }

    /// Turns grants into a lease whose changes are all applied.
    fn collect(&mut self, effects: &mut Vec<HolderEffect>) {
        let applied = self.applied.unwrap_or(0);
        let due = self.owed.iter().filter(|(through, _)| *through <= applied);
        if let Some(until) = due.map(|(_, until)| *until).max() {
            effects.push(HolderEffect::Vouch { until });
        }
        self.owed.retain(|(through, _)| *through > applied);
    }

    /// Stops vouching first, and only then lets the node answer without this replica.
    fn stop(&mut self, why: Abandoned, effects: &mut Vec<HolderEffect>) {
        self.over = true;
        effects.extend([
            HolderEffect::StopVouching,
            HolderEffect::Release,
            HolderEffect::Abandon(why),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms::new(8, 2);

    fn loaded(at: u64) -> SubHolder {
        let mut holder = SubHolder::new(TERMS);
        let effects = holder.step(HolderEvent::Loaded { number: 5 }, BootInstant(at));
        assert_eq!(effects, [HolderEffect::Renew { round: 1 }]);
        holder
    }

    fn granted(round: u64, through: u64) -> HolderEvent {
        HolderEvent::Granted {
            round,
            through,
            term: 8,
        }
    }

    #[test]
    fn a_lease_counts_from_the_sending_and_once_the_changes_are_there() {
        let mut holder = loaded(100);
        assert_eq!(holder.step(granted(1, 7), BootInstant(103)), []);
        let changes = HolderEvent::Changes { first: 4, last: 7 };
        assert_eq!(
            holder.step(changes, BootInstant(104)),
            [
                HolderEffect::Apply { skip: 2 },
                HolderEffect::Acknowledge { number: 7 },
                HolderEffect::Vouch {
                    until: BootInstant(108)
                },
            ]
        );
        // The same grant again, or one for a renewal never sent, is worth nothing.
        assert_eq!(holder.step(granted(1, 0), BootInstant(105)), []);
        assert_eq!(holder.step(granted(9, 0), BootInstant(105)), []);
    }

    #[test]
    fn what_it_cannot_follow_ends_it_for_good() {
        let stops = |event| {
            let mut holder = loaded(0);
            let effects = holder.step(event, BootInstant(1));
            assert_eq!(
                effects[..2],
                [HolderEffect::StopVouching, HolderEffect::Release]
            );
            assert!(matches!(effects[2], HolderEffect::Abandon(_)));
            assert_eq!(holder.step(granted(1, 5), BootInstant(1)), []);
            assert_eq!(holder.next_tick(), None);
        };
        stops(HolderEvent::Changes { first: 7, last: 9 });
        stops(HolderEvent::Unreadable);
        stops(HolderEvent::Leave);
        let mut holder = loaded(0);
        let cut = holder.step(HolderEvent::Cut, BootInstant(1));
        assert_eq!(cut, [HolderEffect::Abandon(Abandoned::Cut)]);
    }

    #[test]
    fn it_renews_four_times_a_term() {
        let mut holder = loaded(100);
        assert_eq!(holder.step(HolderEvent::Tick, BootInstant(101)), []);
        let next = holder.step(HolderEvent::Tick, BootInstant(102));
        assert_eq!(next, [HolderEffect::Renew { round: 2 }]);
        assert_eq!(holder.next_tick(), Some(BootInstant(104)));
    }

    #[test]
    fn no_node_can_make_a_lease_longer_than_the_holders_own_term() {
        let mut holder = loaded(100);
        let generous = HolderEvent::Granted {
            round: 1,
            through: 0,
            term: u64::MAX,
        };
        let until = BootInstant(108);
        assert_eq!(
            holder.step(generous, BootInstant(100)),
            [HolderEffect::Vouch { until }]
        );
    }
}
