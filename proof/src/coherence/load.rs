//! What one task of the load does next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Stage;
use crate::driver::{Caller, Subject, lock};
use crate::history::{Event, Operation, Outcome, ProductSet};

/// How many of a client's tokens, counted from the latest, are asked about: a stale answer concerns
/// the ones just ended.
const RECENT_TOKENS: usize = 3;

pub(super) struct Load {
    stage: Arc<Stage>,
    caller: Caller,
    number: usize,
}

impl Load {
    pub(super) fn new(stage: Arc<Stage>, seed: u64, number: usize) -> Load {
        let caller = Caller::new(
            Arc::clone(&stage.prepared.nodes),
            stage.clock,
            seed,
            number as u64,
        );
        Load {
            stage,
            caller,
            number,
        }
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        self.caller.into_events()
    }

    /// Checks until the load is over, half the time around the client changed last.
    pub(super) async fn check(&mut self) {
        while !self.stage.is_over() {
            let place = if self.caller.rng.bool() {
                self.stage.hot.load(Ordering::Relaxed)
            } else {
                self.caller.rng.usize(..self.stage.places.len())
            };
            let subject = self.stage.at(place);
            let back = if self.caller.rng.bool() {
                0
            } else {
                self.caller.rng.usize(..RECENT_TOKENS)
            };
            self.caller.check(&subject, back).await;
            // A client without a token gives nothing to wait for; the others want their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Changes things until the load is over.
    pub(super) async fn write(&mut self) {
        while !self.stage.is_over() {
            let place = self.choose_place();
            let subject = self.stage.at(place);
            // A finished client is still asked for things now and then: it has to refuse.
            if subject.is_finished() && self.caller.rng.u8(..3) == 0 {
                self.replace(place).await;
                continue;
            }
            self.stage.hot.store(place, Ordering::Relaxed);
            let operation = self.choose_change();
            self.change(&subject, operation).await;
            // The moment after the answer is the one that counts.
            self.caller.check(&subject, 0).await;
            self.caller.check(&subject, 1).await;
        }
    }

    /// Asks about every token of every client once nothing changes any more.
    pub(super) async fn ask_about_every_token(&mut self) {
        let cast = lock(&self.stage.cast).clone();
        for subject in cast {
            self.caller.check_all(&subject).await;
        }
    }

    /// Mostly a place of its own, where the order of changes is known to the observer; now and then
    /// anybody's, where changes race.
    fn choose_place(&mut self) -> usize {
        let (places, writers) = (self.stage.places.len(), self.stage.prepared.plan.writers);
        let any = self.caller.rng.usize(..places);
        match self.caller.rng.u8(..10) {
            0..3 => any,
            _ => (self.number + writers * any) % places,
        }
    }

    fn choose_change(&mut self) -> Operation {
        match self.caller.rng.u8(..100) {
            0..45 => Operation::Generate,
            45..55 => Operation::Revoke,
            55..65 => Operation::Disable,
            65..80 => Operation::Enable,
            80..88 => Operation::Restrict(ProductSet(self.caller.rng.u64(1..8))),
            88..97 => Operation::Restrict(ProductSet::ALL),
            _ => Operation::Delete,
        }
    }

    async fn change(&mut self, subject: &Subject, operation: Operation) {
        let outcome = self.caller.change(subject, operation).await;
        let is_last = match outcome {
            Outcome::Done => operation == Operation::Delete,
            Outcome::Refused(code) => code.as_str() == "QUOTA_EXCEEDED",
            _ => false,
        };
        if is_last {
            subject.finish();
        }
    }

    async fn replace(&mut self, place: usize) {
        // Without one it is tried again when the place is next chosen.
        if let Some(subject) = self.stage.new_subject().await {
            *lock(&self.stage.places[place]) = subject;
        }
    }
}
