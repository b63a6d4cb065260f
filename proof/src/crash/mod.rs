//! Kills the node or its database at random moments under load, starts it again, and asks whether
//! everything that had been acknowledged is still so.
//!
//! The history checker is the judge: an acknowledged token that is gone shows as a denial while
//! good, a revoked one that is back as an acceptance after its end, and so on. What it cannot see is
//! asked here: the generation that the server itself names, and the audit chain.

mod judge;
mod plan;
mod round;
mod world;

pub use plan::{Engine, Plan, Tally};

use world::World;

/// Runs all rounds. `progress` is called after each with what has been counted so far.
///
/// # Panics
/// When something that is no verdict on the server goes wrong, such as a missing PostgreSQL, and
/// when the server does not start again.
pub async fn run(plan: &Plan, mut progress: impl FnMut(&Tally)) -> Tally {
    let mut world = World::make(plan).await;
    let mut tally = Tally::of(plan);
    for round in 1..=plan.rounds {
        let is_last = round == plan.rounds;
        world.round(&mut tally, round, is_last).await;
        progress(&tally);
        if tally.violation_count() > plan::VIOLATIONS_TOLD {
            break;
        }
    }
    world.ask_about_everything(&mut tally).await;
    tally
}
