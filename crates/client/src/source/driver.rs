//! Runs one renewal: holds the thread gate, the process lock and the lease while it lasts, and gives them back.
//! It runs in a task of its own, so that a caller who loses patience does not tear a renewal apart between
//! generating and storing.

use super::Shared;
use crate::destination::{DestinationError, Held, Home, Lease, LeaseRequest};
use crate::protocol::{Action, Entry, Event, Moment, Outcome, Renewal, Stored, TokenError};
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// Steps after which a renewal is broken rather than slow; the longest honest one takes about two hundred.
const MOST_STEPS: u32 = 10_000;

impl Shared {
    /// A token by any honest way.
    pub(super) async fn renew(self: &Arc<Self>, refused: Option<Arc<Entry>>) -> Outcome {
        let gate = match self.gate.clone().try_lock_owned() {
            Ok(gate) => gate,
            Err(_) => {
                // Another thread renews: its caller waits only without a living token.
                if let Some(entry) = self.living(refused.as_deref()) {
                    return Outcome::Meanwhile(entry, TokenError::Busy);
                }
                self.gate.clone().lock_owned().await
            }
        };
        // Look again: the thread before may have done it.
        if let Some(entry) = self.good(refused.as_deref()) {
            return Outcome::Fresh(entry);
        }
        let shared = self.clone();
        let task = tokio::spawn(async move { shared.run(refused, gate).await });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a renewal broke");
            Outcome::Failed(TokenError::Busy)
        })
    }

    async fn run(
        self: &Arc<Self>,
        refused: Option<Arc<Entry>>,
        _gate: OwnedMutexGuard<()>,
    ) -> Outcome {
        self.store_leftover().await;
        let clock = self.issuer.clock();
        let began = clock.boot();
        let known = self.known.load_full();
        let mut renewal = Renewal::new(self.options.policy, self.jitter, known, refused);
        let mut locks = Locks::default();
        let mut action = Action::Read;
        for _ in 0..MOST_STEPS {
            if let Action::Done(outcome) = action {
                locks.give_back(&*self.home).await;
                self.note(&outcome);
                if matches!(outcome, Outcome::Renewed(_) | Outcome::Unstored(..)) {
                    let shared = self.clone();
                    tokio::spawn(async move { shared.settle().await });
                }
                return outcome;
            }
            let event = self.act(&mut locks, action).await;
            let nanos = clock.boot().0.saturating_sub(began.0);
            let moment = Moment {
                now: clock.now(),
                clock_known: clock.is_known(),
                elapsed: Duration::from_nanos(nanos),
                chance: crate::random::fraction(),
            };
            action = renewal.step(event, moment);
        }
        locks.give_back(&*self.home).await;
        Outcome::Failed(TokenError::Busy)
    }

    /// What the home holds; a token of another server or API client counts as none.
    pub(super) async fn read(&self) -> Result<Stored, DestinationError> {
        let mut stored = self.home.read().await?;
        if let Some(entry) = &stored.entry
            && !self.issuer.made(entry).await
        {
            tracing::warn!(
                place = self.home.place(),
                "the token kept there was made for another API client or by another server, and is not used"
            );
            stored.entry = None;
        }
        Ok(stored)
    }

    async fn act(&self, locks: &mut Locks, action: Action) -> Event {
        match action {
            Action::Read => Event::Read(self.read().await),
            Action::AskStatus => Event::Status(self.issuer.status().await),
            Action::TakeProcessLock => Event::ProcessLock(match &self.options.process_lock {
                None => Ok(true),
                Some(lock) => lock.try_take().map(|held| {
                    locks.process = held;
                    locks.process.is_some()
                }),
            }),
            Action::TakeLease => {
                let asked = self.home.lease(&locks.wish(self)).await;
                Event::Lease(asked.map(|lease| {
                    let waits = u64::from(lease.is_none());
                    self.figures.add(|counts| counts.waited += waits);
                    locks.lease = lease;
                    locks.lease.as_ref().map(Lease::leased)
                }))
            }
            Action::Rest(duration) => {
                crate::timer::rest(duration).await;
                Event::Rested
            }
            Action::Generate { if_match, handover } => {
                let made = self.issuer.generate(if_match, handover).await;
                match &made {
                    Ok(made) => {
                        self.figures.add(|counts| counts.generated += 1);
                        tracing::info!(generation = made.generation, "generated an access token");
                    }
                    Err(refusal) => {
                        self.figures.add(|counts| counts.not_generated += 1);
                        tracing::warn!(%refusal, "no access token generated");
                    }
                }
                Event::Generated(made)
            }
            Action::Store(entry, over) => {
                let stored = self.home.write(Some(&entry), &over).await;
                if let Err(trouble) = &stored {
                    self.figures.add(|counts| counts.not_stored += 1);
                    tracing::warn!(%trouble, "the access token is not stored yet");
                }
                Event::Stored(stored)
            }
            Action::Done(_) => Event::Rested,
        }
    }

    /// Takes over into memory what a renewal brought.
    fn note(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Fresh(entry) | Outcome::Meanwhile(entry, _) => remember(&self.known, entry),
            Outcome::Renewed(entry) => {
                remember(&self.known, entry);
                *self.untold() = Some(entry.clone());
            }
            Outcome::Unstored(entry, trouble) => {
                tracing::error!(%trouble, token = entry.name(), "kept in memory only, for it cannot be stored");
                remember(&self.known, entry);
                *self.untold() = Some(entry.clone());
                *self.unstored() = Some(entry.clone());
            }
            Outcome::Failed(stop) => tracing::error!(%stop, "no access token"),
        }
    }

    /// Brings the new token to every further destination; the previous one ends only when all have confirmed, the home
    /// included.
    pub(super) async fn settle(&self) -> Result<(), Vec<TokenError>> {
        let _turn = self.settling.lock().await;
        let waiting = self.untold().clone();
        let Some(entry) = waiting else { return Ok(()) };
        let mut stops = Vec::new();
        for copy in &self.options.copies {
            if let Err(trouble) = copy.put(&entry).await {
                self.figures.add(|counts| counts.not_stored += 1);
                tracing::warn!(%trouble, "a destination does not have the new token yet");
                stops.push(TokenError::Place(trouble));
            }
        }
        self.store_leftover().await;
        if self.unstored().is_some() {
            let what = "it does not have the new token yet";
            stops.push(DestinationError::unreachable(&self.home.place(), what).into());
        }
        if !stops.is_empty() {
            return Err(stops);
        }
        if !self.options.policy.handover.is_zero() && self.options.policy.counts_generations {
            match self.issuer.end_previous().await {
                Ok(()) => tracing::info!("every place has the new token; ended the previous one"),
                Err(refusal) => {
                    tracing::warn!(%refusal, "the previous token ends by itself");
                    stops.push(refusal.into());
                }
            }
        }
        let mut untold = self.untold();
        // A newer one may have come meanwhile.
        if untold
            .as_ref()
            .is_some_and(|newest| newest.token.is(&entry.token))
        {
            *untold = None;
        }
        drop(untold);
        if stops.is_empty() { Ok(()) } else { Err(stops) }
    }

    /// Stores what could not be stored before.
    async fn store_leftover(&self) {
        let leftover = self.unstored().clone();
        let Some(entry) = leftover else { return };
        match self.home.put(&entry).await {
            Ok(()) => {
                tracing::info!(token = entry.name(), "stored at last");
                *self.unstored() = None;
            }
            Err(trouble) => tracing::warn!(%trouble, "the access token is still not stored"),
        }
    }

    /// The token in memory, if it will do.
    pub(super) fn good(&self, refused: Option<&Entry>) -> Option<Arc<Entry>> {
        let entry = self.known.load_full()?;
        let refused = refused.map(|entry| &entry.token);
        let now = self.issuer.clock().now();
        let reason = self
            .options
            .policy
            .judge(Some(&entry), refused, now, self.jitter);
        reason.is_none().then_some(entry)
    }

    /// The token in memory, if it has not ended.
    fn living(&self, refused: Option<&Entry>) -> Option<Arc<Entry>> {
        let entry = self.known.load_full()?;
        let now = self.issuer.clock().now();
        let dead =
            entry.is_over(now) || refused.is_some_and(|refused| refused.token.is(&entry.token));
        (!dead).then_some(entry)
    }
}

/// Locks in hand.
#[derive(Default)]
struct Locks {
    process: Option<Held>,
    lease: Option<Lease>,
}

impl Locks {
    fn wish(&self, shared: &Shared) -> LeaseRequest {
        LeaseRequest {
            ttl: shared.options.lease_ttl,
            queue: self.process.as_ref().and_then(Held::queue),
        }
    }

    async fn give_back(&mut self, home: &dyn Home) {
        if let Some(lease) = self.lease.take()
            && let Err(trouble) = home.release(lease).await
        {
            // It runs out by itself.
            tracing::warn!(%trouble, "the lease could not be given back");
        }
        self.process = None;
    }
}

/// A slower, older answer never replaces a newer token.
fn remember(known: &ArcSwapOption<Entry>, entry: &Arc<Entry>) {
    known.rcu(|known| match known {
        Some(known) if known.newer_than(entry) => Some(known.clone()),
        _ => Some(entry.clone()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slower_older_answer_leaves_the_newer_token_in_memory() {
        let entry = |token: &str, generation: u32| {
            let json = format!(r#"{{"access_token":"{token}","generation":{generation}}}"#);
            Arc::new(Entry::from_json(&json).unwrap())
        };
        let known = ArcSwapOption::empty();
        for (token, generation, expect) in [
            ("second", 2, 2),
            ("first", 1, 2),
            ("third", 3, 3),
            ("second", 2, 3),
        ] {
            remember(&known, &entry(token, generation));
            let kept = known.load().as_ref().and_then(|entry| entry.generation);
            assert_eq!(kept, Some(expect), "after {token}");
        }
    }
}
