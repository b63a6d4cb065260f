//! kill -9 at random moments: nothing acknowledged is lost, nothing revoked comes back, no client
//! has two live tokens, the audit chain holds.

use tokenward_proof::crash::{Engine, Plan, run};

const ROUNDS: u32 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_node_on_sqlite() {
    survives(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_node_on_postgres() {
    survives(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_postgres_database() {
    survives(Engine::PostgresDatabase).await;
}

async fn survives(engine: Engine) {
    let plan = Plan {
        engine,
        rounds: ROUNDS,
        seed: fastrand::u64(..),
    };
    let tally = run(&plan, |_| {}).await;
    assert_eq!(tally.violations, Vec::<String>::new(), "seed {}", plan.seed);
    assert_eq!(tally.rounds, ROUNDS);
    // Kills that cut nothing off would prove nothing.
    assert!(
        tally.acknowledged > 100 && tally.unknown > 10 && tally.accepted > 50,
        "{tally}"
    );
    assert!(tally.audits >= u64::from(ROUNDS), "{tally}");
}
