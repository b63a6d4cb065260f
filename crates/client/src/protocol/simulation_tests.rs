//! The protocol played out in every order chance can find: many holders, one place, one token server, holders
//! that die between any two steps, answers that get lost. Each run is reproducible by its seed.

use super::{
    Action, Entry, Event, Leased, Moment, Outcome, Policy, Renewal, Stored, TokenError, Version,
};
use crate::credential::AccessToken;
use crate::issuer::Refusal;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Timestamp;

const LIFE: i64 = 3_600_000_000;
/// How long a lease lasts here, in steps of a millisecond.
const LEASE_MILLIS: u64 = 40_000;

/// The token server, the place and the lease, and what happened to them.
struct World {
    counts: bool,
    now: i64,
    generation: u32,
    generates: u32,
    stored: Stored,
    writes: u64,
    lease: Option<(usize, u64)>,
    elapsed_millis: u64,
    /// Generates that ended a token which every holder could have gone on using.
    wasted: u32,
}

impl World {
    fn new(counts: bool) -> Self {
        Self {
            counts,
            now: 1_795_428_930_000_000,
            generation: 0,
            generates: 0,
            stored: Stored::default(),
            writes: 0,
            lease: None,
            elapsed_millis: 0,
            wasted: 0,
        }
    }

    fn live(&self, entry: &Entry) -> bool {
        entry.token.expose() == format!("t{}", self.generation)
            && !entry.is_over(Timestamp(self.now))
    }

    fn generate(&mut self, if_match: Option<u32>) -> Result<Entry, Refusal> {
        if self.counts && if_match.is_some_and(|wanted| wanted != self.generation) {
            return Err(Refusal::GenerationMismatch {
                generation: self.generation,
            });
        }
        let good = |entry: &Arc<Entry>| {
            let till = entry.valid_till.map_or(i64::MAX, |till| till.0);
            self.live(entry) && till - self.now > LIFE / 2
        };
        self.wasted += u32::from(self.stored.entry.as_ref().is_some_and(good));
        self.generation += 1;
        self.generates += 1;
        let token = AccessToken::parse(&format!("t{}", self.generation));
        Ok(Entry {
            generation: self.counts.then_some(self.generation),
            valid_till: Some(Timestamp(self.now + LIFE)),
            obtained_at: Timestamp(self.now),
            ..Entry::bare(token.unwrap())
        })
    }

    fn act(&mut self, who: usize, action: Action) -> Option<Event> {
        let lease_lives = self.lease.is_some_and(|(_, end)| self.elapsed_millis < end);
        Some(match action {
            Action::Read => Event::Read(Ok(self.stored.clone())),
            Action::AskStatus => Event::Status(Ok(self.counts.then_some(self.generation))),
            Action::TakeProcessLock => Event::ProcessLock(Ok(true)),
            Action::TakeLease if lease_lives => Event::Lease(Ok(None)),
            Action::TakeLease => {
                let abandoned = self.lease.is_some();
                self.lease = Some((who, self.elapsed_millis + LEASE_MILLIS));
                let lasts = Some(Duration::from_millis(LEASE_MILLIS));
                Event::Lease(Ok(Some(Leased { abandoned, lasts })))
            }
            Action::Rest(duration) => {
                self.elapsed_millis += u64::try_from(duration.as_millis()).unwrap();
                Event::Rested
            }
            Action::Generate { if_match, .. } => Event::Generated(self.generate(if_match)),
            Action::Store(entry, over) => {
                let same = over == self.stored.version;
                if same {
                    if let Some(old) = &self.stored.entry {
                        assert!(!old.newer_than(&entry), "the place went back");
                    }
                    self.writes += 1;
                    self.stored = Stored {
                        entry: Some(entry),
                        version: Version(self.writes.to_string()),
                    };
                }
                Event::Stored(Ok(same))
            }
            Action::Done(_) => return None,
        })
    }

    fn moment(&self, began: u64) -> Moment {
        Moment {
            now: Timestamp(self.now),
            clock_known: true,
            elapsed: Duration::from_millis(self.elapsed_millis - began),
            chance: 0.5,
        }
    }
}

/// Plays `holders` renewals at once; `order` says who moves next and whether it dies instead.
fn play(
    world: &mut World,
    refused: Option<&Arc<Entry>>,
    holders: usize,
    order: &mut dyn Iterator<Item = (usize, bool)>,
) -> Vec<Outcome> {
    let policy = Policy {
        counts_generations: world.counts,
        ..Policy::default()
    };
    let began = world.elapsed_millis;
    let mut going: Vec<Option<(Renewal, Action)>> = (0..holders)
        .map(|_| {
            let renewal = Renewal::new(policy, 0.5, None, refused.cloned());
            Some((renewal, Action::Read))
        })
        .collect();
    let mut outcomes = Vec::new();
    let mut steps = 0;
    while going.iter().any(Option::is_some) {
        steps += 1;
        assert!(steps < 100_000, "a renewal never ends");
        let (pick, dies) = order.next().unwrap_or((steps, false));
        let who = pick % holders;
        let Some((mut renewal, action)) = going[who].take() else {
            continue;
        };
        if dies {
            // Whatever it held stays as it is; only time takes its lease away.
            continue;
        }
        match action {
            Action::Done(outcome) => {
                if world.lease.is_some_and(|(holder, _)| holder == who) {
                    world.lease = None;
                }
                outcomes.push(outcome);
            }
            action => {
                // The one who dies right after an action took place: handled by `dies` at its next turn.
                let event = world.act(who, action).expect("not done");
                let next = renewal.step(event, world.moment(began));
                going[who] = Some((renewal, next));
            }
        }
    }
    outcomes
}

fn good(world: &World, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Fresh(entry) | Outcome::Renewed(entry) => world.live(entry),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order, many holders make exactly one token when one is needed, and all get it.
    #[test]
    fn one_token_is_made_for_all(
        counts: bool,
        holders in 1_usize..9,
        order in proptest::collection::vec(0_usize..64, 0..400),
    ) {
        let mut world = World::new(counts);
        for round in 1..4 {
            let mut order = order.iter().map(|pick| (*pick, false));
            let outcomes = play(&mut world, None, holders, &mut order);
            prop_assert_eq!(world.generates, round);
            prop_assert_eq!(outcomes.len(), holders);
            for outcome in &outcomes {
                prop_assert!(good(&world, outcome), "{:?}", outcome);
            }
            world.now += LIFE;
        }
        prop_assert_eq!(world.wasted, 0);
    }

    /// A refused token, of which all hear late and in any order, is renewed once.
    #[test]
    fn a_late_refusal_ends_no_newer_token(
        counts: bool,
        order in proptest::collection::vec(0_usize..64, 0..400),
    ) {
        let mut world = World::new(counts);
        play(&mut world, None, 1, &mut std::iter::empty());
        let old = world.stored.entry.clone().unwrap();
        // An administrator revoked it.
        let mut order = order.into_iter().map(|pick| (pick, false));
        for _ in 0..3 {
            let outcomes = play(&mut world, Some(&old), 4, &mut order);
            prop_assert!(outcomes.iter().all(|outcome| good(&world, outcome)), "{:?}", outcomes);
        }
        prop_assert_eq!(world.generates, 2);
    }

    /// Holders that die anywhere, also between generating and storing, cost at most a token each, are not taken
    /// for strangers, and whoever asks afterwards gets a living token.
    #[test]
    fn the_dead_are_not_mistaken_for_strangers(
        counts: bool,
        order in proptest::collection::vec((0_usize..64, proptest::bool::weighted(0.15)), 0..400),
    ) {
        let mut world = World::new(counts);
        let mut order = order.into_iter();
        let mut dead = 0;
        for _ in 0..4 {
            let before = world.stored.entry.clone();
            let refused = before.as_ref().filter(|entry| !world.live(entry));
            let outcomes = play(&mut world, refused, 4, &mut order);
            dead += 4 - u32::try_from(outcomes.len()).unwrap();
            for outcome in &outcomes {
                let stranger = matches!(outcome, Outcome::Failed(TokenError::AnotherHolder { .. }));
                prop_assert!(!stranger, "{:?}", outcome);
            }
            world.elapsed_millis += LEASE_MILLIS;
            let refused = world.stored.entry.clone().filter(|entry| !world.live(entry));
            let last = play(&mut world, refused.as_ref(), 1, &mut std::iter::empty());
            prop_assert!(last.iter().all(|outcome| good(&world, outcome)), "{:?}", last);
            world.now += LIFE;
        }
        prop_assert!(world.generates <= 4 + dead, "{} generates, {} dead", world.generates, dead);
    }
}

/// Another installation with the same secret: two of our tokens die early, then nobody here generates.
#[test]
fn a_second_holder_is_named_and_left_alone() {
    for counts in [true, false] {
        let mut world = World::new(counts);
        play(&mut world, None, 1, &mut std::iter::empty());
        let mut stopped = 0;
        for _ in 0..6 {
            world.now += 60_000_000;
            world.generation += 1;
            let ours = world.stored.entry.clone().unwrap();
            let outcome = play(&mut world, Some(&ours), 1, &mut std::iter::empty());
            stopped += usize::from(matches!(
                outcome[0],
                Outcome::Failed(TokenError::AnotherHolder { .. })
            ));
        }
        // One for the beginning, one after the first early end, none afterwards.
        assert_eq!((world.generates, stopped), (2, 5), "counts: {counts}");
        // After the hold one more try is free.
        world.now += 16 * 60_000_000;
        let ours = world.stored.entry.clone().unwrap();
        let outcome = play(&mut world, Some(&ours), 1, &mut std::iter::empty());
        assert!(good(&world, &outcome[0]), "{outcome:?}");
    }
}

/// Each single step of the machine that a regression case hangs on.
#[test]
fn the_budget_stops_before_the_quota() {
    let mut world = World::new(true);
    let mut made = 0;
    for _ in 0..300 {
        let ours = world.stored.entry.clone();
        // Revoked again and again by a robot: no stranger, for the generation is ours.
        let outcome = play(&mut world, ours.as_ref(), 1, &mut std::iter::empty());
        match &outcome[0] {
            Outcome::Renewed(_) => made += 1,
            Outcome::Failed(TokenError::BudgetSpent { budget: 200 }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((made, world.generates), (200, 200));
}

/// An answer that got lost was a token of ours: the 412 that follows is no stranger's.
#[test]
fn a_lost_answer_is_ours() {
    let mut world = World::new(true);
    for round in 0..3 {
        world.now += 60_000_000;
        let ours = world.stored.entry.clone();
        let mut renewal = Renewal::new(Policy::default(), 0.5, None, ours);
        let mut action = Action::Read;
        let mut lost = false;
        let began = world.elapsed_millis;
        let outcome = loop {
            let event = match action {
                Action::Done(outcome) => break outcome,
                Action::Generate { if_match, .. } if !lost => {
                    lost = true;
                    world.generate(if_match).unwrap();
                    Event::Generated(Err(Refusal::Later {
                        retry_after: None,
                        outcome_unknown: true,
                        what: "no answer in time".to_owned(),
                    }))
                }
                action => world.act(0, action).unwrap(),
            };
            action = renewal.step(event, world.moment(began));
        };
        world.lease = None;
        assert!(good(&world, &outcome), "round {round}: {outcome:?}");
    }
    assert_eq!(world.generates, 6);
}

/// A holder that sleeps past its lease wakes with an older token: it writes over nothing, and uses the newer one.
#[test]
fn a_slower_older_answer_overwrites_nothing() {
    for counts in [true, false] {
        let mut world = World::new(counts);
        let policy = Policy {
            counts_generations: counts,
            ..Policy::default()
        };
        let mut slow = Renewal::new(policy, 0.5, None, None);
        let mut action = Action::Read;
        let began = world.elapsed_millis;
        while !matches!(action, Action::Store(..)) {
            let event = world.act(0, action).unwrap();
            action = slow.step(event, world.moment(began));
        }
        // It holds a token and sleeps; its lease runs out, and another holder makes the next token and stores it.
        world.elapsed_millis += LEASE_MILLIS;
        world.now += 1_000_000;
        let other = play(&mut world, None, 1, &mut std::iter::empty());
        assert!(good(&world, &other[0]), "{other:?}");
        let newest = world.stored.version.clone();
        let outcome = loop {
            match action {
                Action::Done(outcome) => break outcome,
                other => action = slow.step(world.act(0, other).unwrap(), world.moment(began)),
            }
        };
        assert!(good(&world, &outcome), "counts: {counts}: {outcome:?}");
        assert_eq!(world.stored.version, newest, "the older token was stored");
    }
}
