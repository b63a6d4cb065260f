//! One holder's way from a token that will not do to one that does: a machine that says what to do next
//! ([`Action`]) and is told what came of it ([`Event`]). It never waits, reads, or asks the time itself.

mod answers;

use super::limits::hold;
use super::steps::{Action, Event, Moment, Outcome, Stored, TokenError};
use super::{Entry, Policy, Reason, Tally};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Timestamp;

/// Mismatches in one renewal before it gives up: the first is somebody's orphan, the third a fight.
const MOST_MISMATCHES: u32 = 3;
/// Attempts to generate in one renewal; each is a call to the token server.
const MOST_ATTEMPTS: u32 = 5;
/// Attempts to store what was generated; the token is safe in memory meanwhile.
const MOST_STORES: u32 = 6;
/// Shortest and longest rest before looking at a busy lock again: a renewal takes tens of milliseconds.
const LOCK_REST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

#[derive(Debug)]
enum Stage {
    /// Reading without, or between, locks.
    Looking,
    Asking,
    /// Reading under the lease.
    Leased,
    /// Resting until the given stage reads again.
    Resting,
    RestingLeased,
    Generating(Reason, Option<u32>),
    Storing(Arc<Entry>),
    RestingToStore(Arc<Entry>),
    Reconciling(Arc<Entry>),
    Holding(Timestamp),
}

/// One renewal.
#[derive(Debug)]
pub struct Renewal {
    policy: Policy,
    jitter: f64,
    memory: Option<Arc<Entry>>,
    refused: Option<Arc<Entry>>,
    stage: Stage,
    stored: Stored,
    /// Whether the server was asked, and the newest generation that it named.
    is_asked: bool,
    newest: Option<u32>,
    locked: bool,
    abandoned: bool,
    outcome_unknown: bool,
    lease_ends: Option<Duration>,
    early_ends: u32,
    waits: u32,
    mismatches: u32,
    attempts: u32,
    stores: u32,
    handover: Duration,
}

impl Renewal {
    /// Begins with reading ([`Action::Read`]). `memory` is what this process has, `refused` what a product
    /// refused, `jitter` the holder's share from 0 to 1.
    #[must_use]
    pub fn new(
        policy: Policy,
        jitter: f64,
        memory: Option<Arc<Entry>>,
        refused: Option<Arc<Entry>>,
    ) -> Self {
        Self {
            handover: policy.handover,
            policy,
            jitter,
            memory,
            refused,
            stage: Stage::Looking,
            stored: Stored::default(),
            is_asked: false,
            newest: None,
            locked: false,
            abandoned: false,
            outcome_unknown: false,
            lease_ends: None,
            early_ends: 0,
            waits: 0,
            mismatches: 0,
            attempts: 0,
            stores: 0,
        }
    }

    /// Takes in what came of the last action and says what to do next.
    pub fn step(&mut self, event: Event, at: Moment) -> Action {
        let stage = std::mem::replace(&mut self.stage, Stage::Looking);
        match (event, stage) {
            (Event::Read(Ok(stored)), Stage::Looking) => {
                self.stored = stored;
                self.looked(at)
            }
            (Event::Read(Ok(stored)), Stage::Leased) => {
                self.stored = stored;
                match self.judge(at) {
                    Ok(entry) => Action::Done(Outcome::Fresh(entry)),
                    Err(reason) => self.generate(reason, at),
                }
            }
            (Event::Read(Ok(stored)), Stage::Reconciling(entry)) => self.reconcile(stored, entry),
            (Event::Read(Err(trouble)), Stage::Reconciling(entry)) => {
                self.store_again(entry, trouble, at)
            }
            (Event::Read(Err(trouble)), _) => self.fall_back(trouble.into(), at),
            (Event::Status(Ok(newest)), Stage::Asking) => {
                (self.is_asked, self.newest) = (true, newest);
                self.looked(at)
            }
            (Event::Status(Err(refusal)), _) => self.fall_back(refusal.into(), at),
            (Event::ProcessLock(Ok(true)), _) => {
                self.locked = true;
                Action::Read
            }
            (Event::Lease(Ok(Some(leased))), _) => {
                self.abandoned = leased.abandoned;
                self.lease_ends = leased.lasts.map(|lasts| at.elapsed + lasts);
                self.stage = Stage::Leased;
                Action::Read
            }
            (Event::ProcessLock(Ok(false)) | Event::Lease(Ok(None)), _) => self.wait(at),
            (Event::ProcessLock(Err(trouble)) | Event::Lease(Err(trouble)), _) => {
                self.fall_back(trouble.into(), at)
            }
            (Event::Rested, Stage::RestingToStore(entry)) => {
                self.stage = Stage::Storing(entry.clone());
                Action::Store(entry, self.stored.version.clone())
            }
            (Event::Rested, Stage::RestingLeased) => {
                self.stage = Stage::Leased;
                Action::Read
            }
            (Event::Generated(Ok(made)), Stage::Generating(reason, if_match)) => {
                self.made(made, reason, if_match, at)
            }
            (Event::Generated(Err(refusal)), Stage::Generating(_, if_match)) => {
                self.refused(refusal, if_match, at)
            }
            (Event::Stored(_), Stage::Holding(until)) => {
                Action::Done(Outcome::Failed(TokenError::AnotherHolder { until }))
            }
            (Event::Stored(Ok(true)), Stage::Storing(entry)) => {
                Action::Done(Outcome::Renewed(entry))
            }
            (Event::Stored(Ok(false)), Stage::Storing(entry)) => {
                self.stage = Stage::Reconciling(entry);
                Action::Read
            }
            (Event::Stored(Err(trouble)), Stage::Storing(entry)) => {
                self.store_again(entry, trouble, at)
            }
            // After a rest without the lease, or out of step: look again.
            _ => Action::Read,
        }
    }

    fn judge(&self, at: Moment) -> Result<Arc<Entry>, Reason> {
        let entry = self.stored.entry.as_ref().ok_or(Reason::Missing)?;
        let refused = self.refused.as_ref().map(|entry| &entry.token);
        match self.policy.judge(Some(entry), refused, at.now, self.jitter) {
            None => Ok(entry.clone()),
            Some(reason) => Err(reason),
        }
    }

    /// Read without the lease.
    fn looked(&mut self, at: Moment) -> Action {
        let reason = match self.judge(at) {
            Ok(entry) => return Action::Done(Outcome::Fresh(entry)),
            Err(reason) => reason,
        };
        if let Some(until) = self.held(at) {
            return self.fall_back(TokenError::AnotherHolder { until }, at);
        }
        let by_the_clock = matches!(reason, Reason::Ending | Reason::Over);
        let nameless = reason == Reason::Missing && self.policy.counts_generations;
        if !self.is_asked && (nameless || by_the_clock && !at.clock_known) {
            self.stage = Stage::Asking;
            return Action::AskStatus;
        }
        if self.locked {
            Action::TakeLease
        } else {
            Action::TakeProcessLock
        }
    }

    /// Until when generating is forbidden.
    fn held(&self, at: Moment) -> Option<Timestamp> {
        let until = self.stored.entry.as_ref()?.held_until?;
        (at.now < until).then_some(until)
    }

    /// Somebody else has the lock.
    fn wait(&mut self, at: Moment) -> Action {
        if let Some(entry) = self.living(at) {
            return Action::Done(Outcome::Meanwhile(entry, TokenError::Busy));
        }
        if at.elapsed >= self.policy.patience {
            return Action::Done(Outcome::Failed(TokenError::Busy));
        }
        self.waits += 1;
        self.stage = Stage::Resting;
        let (shortest, longest) = LOCK_REST;
        let doubled = shortest.saturating_mul(1 << self.waits.min(8)).min(longest);
        Action::Rest(doubled.mul_f64(0.5 + at.chance / 2.0))
    }

    /// Under the lease, with nothing usable in the place.
    fn generate(&mut self, reason: Reason, at: Moment) -> Action {
        let entry = self.stored.entry.clone();
        let tally = entry.as_ref().map_or(Tally::default(), |entry| entry.tally);
        let coming = 1 + u32::from(self.abandoned);
        if tally.today(at.now) + coming > self.policy.budget_per_day {
            let budget = self.policy.budget_per_day;
            return self.fall_back(TokenError::BudgetSpent { budget }, at);
        }
        let own = entry.as_ref().and_then(|entry| entry.generation);
        let if_match = match self.mismatches {
            // What was read may be newer than what the server said before.
            0 => own.max(self.newest),
            _ => self.newest,
        }
        .filter(|_| self.policy.counts_generations);
        if let Some(entry) = entry {
            self.early_ends = entry.early_ends;
            if self.ended_by_another(&entry, reason, if_match, at) {
                self.early_ends = entry.early_ends.saturating_add(1);
                // One more try is free when a hold has just passed.
                if let Some(hold) = hold(self.early_ends).filter(|_| entry.held_until.is_none()) {
                    let until = crate::clock::after(at.now, hold);
                    return self.stop_until(&entry, until);
                }
            } else if reason != Reason::Refused {
                self.early_ends = 0;
            }
        }
        self.stage = Stage::Generating(reason, if_match);
        Action::Generate {
            if_match,
            handover: self.handover,
        }
    }

    /// Whether somebody outside this place has ended our token.
    fn ended_by_another(
        &self,
        entry: &Entry,
        reason: Reason,
        if_match: Option<u32>,
        at: Moment,
    ) -> bool {
        if self.abandoned {
            return false;
        }
        match (entry.generation, if_match) {
            // The server counts: a generation that never came here is somebody's.
            (Some(own), Some(newest)) => newest > own,
            // It does not: a token refused long before its end was ended by somebody.
            _ => {
                let judged = self.policy.judge(Some(entry), None, at.now, self.jitter);
                reason == Reason::Refused && judged.is_none()
            }
        }
    }

    fn stop_until(&mut self, entry: &Entry, until: Timestamp) -> Action {
        self.stage = Stage::Holding(until);
        match entry.held(until, self.early_ends) {
            Ok(held) => Action::Store(Arc::new(held), self.stored.version.clone()),
            Err(_) => Action::Done(Outcome::Failed(TokenError::AnotherHolder { until })),
        }
    }

    /// The newest token at hand that has not ended and was not refused.
    fn living(&self, at: Moment) -> Option<Arc<Entry>> {
        let lives = |entry: &&Arc<Entry>| {
            let refused = self.refused.as_ref();
            !entry.is_over(at.now) && !refused.is_some_and(|refused| refused.token.is(&entry.token))
        };
        let stored = self.stored.entry.as_ref().filter(lives);
        let memory = self.memory.as_ref().filter(lives);
        match (stored, memory) {
            (Some(stored), Some(memory)) if memory.newer_than(stored) => Some(memory.clone()),
            (stored, memory) => stored.or(memory).cloned(),
        }
    }

    fn fall_back(&self, stop: TokenError, at: Moment) -> Action {
        Action::Done(match self.living(at) {
            Some(entry) => Outcome::Meanwhile(entry, stop),
            None => Outcome::Failed(stop),
        })
    }
}
