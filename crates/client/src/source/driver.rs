//! Runs one renewal: holds the thread gate, the process lock and the lease while it lasts, and gives them back.
//! It runs in a task of its own, so that a caller who loses patience does not tear a renewal apart between
//! generating and storing.

use super::Shared;
use crate::destination::{DestinationError, Held, Home, Lease, LeaseRequest, Leasing};
use crate::protocol::{
    Action, Entry, Event, Judgement, Leased, Moment, Outcome, Renewal, Stored, TokenError,
};
use arc_swap::ArcSwapOption;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// Steps after which a renewal is broken rather than slow; the longest honest one takes about two hundred.
const MOST_STEPS: u32 = 10_000;

/// A token by any honest way.
pub(super) async fn renew(shared: &Arc<Shared>, refused: Option<Arc<Entry>>) -> Outcome {
    let gate = match shared.gate.clone().try_lock_owned() {
        Ok(gate) => gate,
        Err(_) => {
            // Another thread renews: its caller waits only without a living token.
            if let Some(entry) = living(shared, refused.as_deref()) {
                return Outcome::Meanwhile(entry, TokenError::Busy);
            }
            shared.gate.clone().lock_owned().await
        }
    };
    // Look again: the thread before may have done it.
    if let Some(entry) = good(shared, refused.as_deref()) {
        return Outcome::Fresh(entry);
    }
    let shared = shared.clone();
    let task = tokio::spawn(async move { run(shared, refused, gate).await });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a renewal broke");
        Outcome::Failed(TokenError::Busy)
    })
}

async fn run(
    shared: Arc<Shared>,
    refused: Option<Arc<Entry>>,
    _gate: OwnedMutexGuard<()>,
) -> Outcome {
    let Some(home) = shared.home.as_home() else {
        return Outcome::Failed(not_shared(&shared).into());
    };
    store_leftover(&shared, home).await;
    let clock = shared.issuer.clock();
    let began = clock.boot();
    let known = shared.known.load_full();
    let mut renewal = Renewal::new(shared.policy, shared.jitter, known, refused);
    let mut locks = Locks::default();
    let mut action = Action::Read;
    for _ in 0..MOST_STEPS {
        if let Action::Done(outcome) = action {
            locks.give_back(home).await;
            note(&shared, &outcome);
            if matches!(outcome, Outcome::Renewed(_) | Outcome::Unstored(..)) {
                let shared = shared.clone();
                tokio::spawn(async move { settle(&shared).await });
            }
            return outcome;
        }
        let event = act(&shared, home, &mut locks, action).await;
        let nanos = clock.boot().0.saturating_sub(began.0);
        let moment = Moment {
            now: clock.now(),
            clock_known: clock.is_known(),
            elapsed: Duration::from_nanos(nanos),
            chance: crate::random::fraction(),
        };
        action = renewal.step(event, moment);
    }
    locks.give_back(home).await;
    Outcome::Failed(TokenError::Busy)
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
            ttl: shared.lease_ttl,
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

/// What the home holds.
pub(super) async fn read(shared: &Shared) -> Result<Stored, TokenError> {
    match shared.home.as_home() {
        Some(home) => Ok(read_own(shared, home).await?),
        None => Err(not_shared(shared).into()),
    }
}

/// What the home holds; a token of another server or API client counts as none.
async fn read_own(shared: &Shared, home: &dyn Home) -> Result<Stored, DestinationError> {
    let mut stored = home.read().await?;
    if let Some(entry) = &stored.entry
        && !shared.issuer.made(entry).await
    {
        tracing::warn!(
            place = home.place(),
            "the token kept there was made for another API client or by another server, and is not used"
        );
        stored.entry = None;
    }
    Ok(stored)
}

fn not_shared(shared: &Shared) -> DestinationError {
    DestinationError::misconfigured(&shared.home.place(), "it cannot be shared")
}

async fn act(shared: &Shared, home: &dyn Home, locks: &mut Locks, action: Action) -> Event {
    match action {
        Action::Read => Event::Read(read_own(shared, home).await),
        Action::AskStatus => Event::Status(shared.issuer.status().await),
        Action::TakeProcessLock => Event::ProcessLock(match &shared.process_lock {
            None => Ok(Held::leased()),
            Some(lock) => lock.try_take().map(|held| {
                locks.process = held;
                match locks.process {
                    Some(_) => Held::leased(),
                    None => Leased::Busy,
                }
            }),
        }),
        Action::TakeLease => Event::Lease(match home.lease(&locks.wish(shared)).await {
            Ok(Leasing::Taken(lease)) => {
                let leased = lease.leased();
                locks.lease = Some(lease);
                Ok(leased)
            }
            Ok(Leasing::Busy) => {
                shared.figures.waited();
                Ok(Leased::Busy)
            }
            Err(trouble) => Err(trouble),
        }),
        Action::Rest(duration) => {
            crate::timer::rest(duration).await;
            Event::Rested
        }
        Action::Generate { if_match, handover } => {
            let made = shared.issuer.generate(if_match, handover).await;
            match &made {
                Ok(made) => {
                    shared.figures.generated();
                    tracing::info!(generation = made.generation, "generated an access token");
                }
                Err(refusal) => {
                    shared.figures.not_generated();
                    tracing::warn!(%refusal, "no access token generated");
                }
            }
            Event::Generated(made)
        }
        Action::Store(entry, over) => {
            let stored = home.write(Some(&entry), &over).await;
            if let Err(trouble) = &stored {
                shared.figures.not_stored();
                tracing::warn!(%trouble, "the access token is not stored yet");
            }
            Event::Stored(stored)
        }
        Action::Done(_) => Event::Rested,
    }
}

/// Takes over into memory what a renewal brought.
fn note(shared: &Shared, outcome: &Outcome) {
    match outcome {
        Outcome::Fresh(entry) | Outcome::Meanwhile(entry, _) => remember(&shared.known, entry),
        Outcome::Renewed(entry) => {
            remember(&shared.known, entry);
            untold(shared, Some(entry));
        }
        Outcome::Unstored(entry, trouble) => {
            tracing::error!(%trouble, token = entry.name(), "kept in memory only, for it cannot be stored");
            remember(&shared.known, entry);
            untold(shared, Some(entry));
            *shared
                .unstored
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(entry.clone());
        }
        Outcome::Failed(stop) => tracing::error!(%stop, "no access token"),
    }
}

fn untold(shared: &Shared, entry: Option<&Arc<Entry>>) {
    *shared.untold.lock().unwrap_or_else(PoisonError::into_inner) = entry.cloned();
}

/// Brings the new token to every further destination; the previous one ends only when all have confirmed, the home
/// included.
pub(super) async fn settle(shared: &Arc<Shared>) -> Result<(), Vec<TokenError>> {
    let _turn = shared.settling.lock().await;
    let waiting = shared
        .untold
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let Some(entry) = waiting else { return Ok(()) };
    let mut stops = Vec::new();
    for copy in &shared.copies {
        if let Err(trouble) = copy.put(&entry).await {
            shared.figures.not_stored();
            tracing::warn!(%trouble, "a destination does not have the new token yet");
            stops.push(TokenError::Place(trouble));
        }
    }
    let leftover = shared
        .unstored
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some();
    if leftover && let Some(home) = shared.home.as_home() {
        store_leftover(shared, home).await;
    }
    let leftover = shared
        .unstored
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some();
    if leftover {
        let what = "it does not have the new token yet";
        stops.push(DestinationError::unreachable(&shared.home.place(), what).into());
    }
    if !stops.is_empty() {
        return Err(stops);
    }
    if !shared.policy.handover.is_zero() && shared.policy.counts_generations {
        match shared.issuer.end_previous().await {
            Ok(()) => tracing::info!("every place has the new token; ended the previous one"),
            Err(refusal) => {
                tracing::warn!(%refusal, "the previous token ends by itself");
                stops.push(refusal.into());
            }
        }
    }
    let mut untold = shared.untold.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A slower, older answer never replaces a newer token.
fn remember(known: &ArcSwapOption<Entry>, entry: &Arc<Entry>) {
    known.rcu(|known| match known {
        Some(known) if known.newer_than(entry) => Some(known.clone()),
        _ => Some(entry.clone()),
    });
}

/// Stores what could not be stored before.
async fn store_leftover(shared: &Shared, home: &dyn Home) {
    let leftover = shared
        .unstored
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let Some(entry) = leftover else { return };
    match home.put(&entry).await {
        Ok(()) => {
            tracing::info!(token = entry.name(), "stored at last");
            *shared
                .unstored
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = None;
        }
        Err(trouble) => tracing::warn!(%trouble, "the access token is still not stored"),
    }
}

fn good(shared: &Shared, refused: Option<&Entry>) -> Option<Arc<Entry>> {
    let entry = shared.known.load_full()?;
    let refused = refused.map(|entry| &entry.token);
    let now = shared.issuer.clock().now();
    let judged = shared
        .policy
        .judge(Some(&entry), refused, now, shared.jitter);
    (judged == Judgement::Use).then_some(entry)
}

fn living(shared: &Shared, refused: Option<&Entry>) -> Option<Arc<Entry>> {
    let entry = shared.known.load_full()?;
    let now = shared.issuer.clock().now();
    let dead = entry.is_over(now) || refused.is_some_and(|refused| refused.token.is(&entry.token));
    (!dead).then_some(entry)
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
