//! The one place where changes come into a node's replica: each once and in order, whether this node's writer committed it
//! or it was read from the log, where other nodes' are, and own ones of unknown outcome.

use crate::attachments::Attachments;
use crate::error::{Failure, StoreError};
use crate::member::change;
use crate::writer::Health;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokenward_core::Replica;
use tokenward_core::change::Change;
use tokenward_core::cluster::Position;
use tokenward_core::time::{BootInstant, Clock};

/// A change as the log has it.
pub(crate) struct Entry {
    pub(crate) position: Position,
    /// Its format and body.
    pub(crate) change: (u32, String),
}

struct State {
    /// The last change applied.
    position: Position,
    /// Whether this process must not vouch any more.
    ended: bool,
}

/// What applies changes.
pub(crate) struct Applier<C> {
    replica: Arc<Replica>,
    /// The replicas that are fed what is applied.
    pub(crate) attachments: Arc<Attachments<C>>,
    state: Mutex<State>,
    /// The last change that is known to be in the log.
    known: AtomicU64,
}

impl<C: Clock> Applier<C> {
    /// For a replica that was loaded up to `position`.
    pub(crate) fn new(
        replica: Arc<Replica>,
        attachments: Arc<Attachments<C>>,
        position: Position,
    ) -> Self {
        Self {
            replica,
            attachments,
            state: Mutex::new(State {
                position,
                ended: false,
            }),
            known: AtomicU64::new(position.number),
        }
    }

    /// The last change applied.
    pub(crate) fn position(&self) -> Position {
        self.state.lock().position
    }

    /// Takes the changes of an own commit, of which the last is at `after`. When others' changes come before them, all of
    /// them are left to whoever reads the log.
    pub(crate) fn own<'a>(
        &self,
        runs: impl Iterator<Item = &'a [Change]> + Clone,
        after: Position,
    ) -> Result<(), StoreError> {
        let count = runs.clone().map(<[Change]>::len).sum::<usize>() as u64;
        let mut state = self.state.lock();
        let mut number = after.number - count;
        if count == 0 || state.position.number >= after.number {
            return Ok(());
        }
        if state.position.number < number {
            drop(state);
            self.heard_of(after.number);
            return Ok(());
        }
        for changes in runs.clone() {
            number += changes.len() as u64;
            self.apply(&mut state, changes, number)?;
        }
        state.position = after;
        self.attachments.applied(runs.flatten(), after.number);
        Ok(())
    }

    /// Takes what was read from the log, in order and without gaps; skips what is applied.
    pub(crate) fn take(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let applied = state.position.number;
        // An own commit may have been applied since this was asked for: then it must be the one that was read.
        let other = |entry: &Entry| {
            entry.position.number == applied && entry.position.tag != state.position.tag
        };
        if entries.iter().any(other) {
            return Err(StoreError::Diverged("it has another history".into()));
        }
        let mut changes = Vec::new();
        for entry in entries.iter().filter(|one| one.position.number > applied) {
            if entry.position.number != state.position.number + 1 {
                return Err(StoreError::Diverged("its change log has gaps".into()));
            }
            let one = change(&entry.change)?;
            self.apply(
                &mut state,
                std::slice::from_ref(&one),
                entry.position.number,
            )?;
            state.position = entry.position;
            changes.push(one);
        }
        if let Some(last) = changes.len().checked_sub(1) {
            let number = applied + 1 + last as u64;
            self.attachments.applied(changes.iter(), number);
        }
        Ok(())
    }

    /// When that fails the node can never vouch again: its memory lacks a change that nothing but a new start would bring.
    fn apply(&self, state: &mut State, changes: &[Change], number: u64) -> Result<(), StoreError> {
        let applied = self.replica.apply(changes, number);
        applied.map_err(|error| {
            state.ended = true;
            StoreError::from(error)
        })
    }

    /// The log goes up to this number at least; whoever reads it is to look.
    pub(crate) fn heard_of(&self, number: u64) {
        if number > self.known.fetch_max(number, Ordering::SeqCst) {
            self.attachments.wake();
        }
    }

    /// Whether the log is known to have changes that are not applied.
    pub(crate) fn is_behind(&self) -> bool {
        self.known.load(Ordering::SeqCst) > self.position().number
    }

    /// Since when answers wait for what must be read in the database; none when none does.
    pub(crate) fn waits_since(&self, now: BootInstant) -> Option<BootInstant> {
        let behind = self.is_behind().then_some(now);
        behind.or_else(|| self.attachments.waits_for_nodes_since())
    }

    /// Lets the replica vouch, unless this process must not.
    pub(crate) fn vouch(&self, until: BootInstant) {
        let state = self.state.lock();
        if !state.ended {
            self.replica.lease().extend(until);
        }
    }

    /// Ends the lease; a renewal may grant another one.
    pub(crate) fn stop_vouching(&self) {
        let _state = self.state.lock();
        self.replica.lease().end();
    }

    /// This process must not write or vouch any more.
    pub(crate) fn end(&self, health: &Health, error: &StoreError) {
        tracing::error!("this node stops vouching for good: {error}");
        let mut state = self.state.lock();
        state.ended = true;
        self.replica.lease().end();
        drop(state);
        health.writable.store(false, Ordering::Relaxed);
        health.expelled.store(true, Ordering::SeqCst);
        self.attachments.end(Failure::OutcomeUnknown);
        self.attachments.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::Others;
    use tokenward_core::change::FORMAT;
    use tokenward_core::client::Product;
    use tokenward_core::digest::{DigestKey, KeyId, Keyring};
    use tokenward_core::ids::ProductNo;
    use tokenward_core::label::{Name, Slug};
    use tokenward_core::sublease::Terms;
    use tokenward_core::time::Timestamp;

    struct Still;

    impl Clock for Still {
        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }
        fn boot(&self) -> BootInstant {
            BootInstant(1)
        }
    }

    /// The change with this number: a product of its own.
    fn made(number: u64) -> Change {
        let product = Product {
            no: ProductNo(u32::try_from(number).unwrap()),
            slug: Slug::parse(&format!("p{number}")).unwrap(),
            name: Name::parse("Product").unwrap(),
            created_at: Timestamp(0),
        };
        Change::ProductPut { product }
    }

    fn at(number: u64) -> Position {
        Position {
            number,
            tag: 100 + number,
        }
    }

    fn read(numbers: impl Iterator<Item = u64>) -> Vec<Entry> {
        let entry = |number| Entry {
            position: at(number),
            change: (FORMAT, made(number).to_body()),
        };
        numbers.map(entry).collect()
    }

    fn applier() -> (Applier<Still>, Arc<Replica>) {
        let keys = Keyring::new(vec![DigestKey::new(KeyId(1), [7; 32])]).unwrap();
        let replica = Arc::new(Replica::new(Arc::new(keys), 0));
        let attachments = Attachments::new(
            Terms::STANDARD,
            Arc::new(Still),
            Arc::clone(&replica),
            0,
            false,
            Others::Expected,
        );
        let start = Position::default();
        let applier = Applier::new(Arc::clone(&replica), Arc::new(attachments), start);
        (applier, replica)
    }

    /// An own commit of the changes with these numbers.
    fn own(applier: &Applier<Still>, numbers: std::ops::RangeInclusive<u64>) {
        let after = at(*numbers.end());
        let changes: Vec<Change> = numbers.map(made).collect();
        applier.own(changes.chunks(1), after).unwrap();
    }

    #[test]
    fn each_change_is_applied_once_and_in_order() {
        let (applier, replica) = applier();
        let holds = |number: u64| {
            let numbers: Vec<u32> = replica.product_numbers().values().map(|no| no.0).collect();
            assert_eq!(numbers.len() as u64, number);
            assert_eq!(replica.applied(), number);
            assert_eq!(applier.position().number, number);
        };
        own(&applier, 1..=2);
        holds(2);
        // Another node's change comes before it, so that it is read with it.
        own(&applier, 4..=4);
        holds(2);
        assert!(applier.is_behind());
        applier.take(read(2..=5)).unwrap();
        holds(5);
        assert!(!applier.is_behind() && applier.position() == at(5));
        // Read before its writer had heard of its commit.
        own(&applier, 5..=5);
        applier.take(read(4..=5)).unwrap();
        holds(5);
        let taken = applier.take(read(7..=7));
        assert!(matches!(taken, Err(StoreError::Diverged(_))));
        holds(5);
    }

    #[test]
    fn another_change_at_the_number_of_an_own_one_is_another_history() {
        let (applier, _) = applier();
        own(&applier, 1..=2);
        let mut entries = read(1..=3);
        entries[1].position.tag += 1;
        let taken = applier.take(entries);
        assert!(matches!(taken, Err(StoreError::Diverged(_))));
        assert_eq!(applier.position(), at(2));
    }
}
