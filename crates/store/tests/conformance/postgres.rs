//! What only PostgreSQL can do to a node: lose its connection, be away, be somebody else's, and
//! answer a commit with a warning.

use crate::house::{House, Who, until};
use crate::model::{assert_law, assert_same, folded};
use crate::place::{Engine, Place, on};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::time::{BootInstant, Clock};
use tokenward_store::{Failure, StoreError};

/// Ends the session that writes, as an operator or a failing network would.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'tokenward ________-%'";

#[test]
fn a_second_node_is_refused_with_a_clear_text() {
    on(Engine::Postgres, async |place| {
        let first = House::open(&place).await;
        let refused = House::open_as(&place, Who::new()).await.map(|_| ());
        let Err(StoreError::InUse(_)) = refused else {
            panic!("{refused:?}")
        };
        let text = refused.unwrap_err().to_string();
        for part in [
            "another Tokenward process",
            "Stop the other process",
            &first.incarnation.to_string(),
            "127.0.0.1",
        ] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        first.workspace("still mine").await;
        first.close().await;
        // And at once when the first has gone.
        House::open(&place).await.close().await;
    });
}

#[test]
fn nodes_of_other_databases_are_no_matter() {
    on(Engine::Postgres, async |place| {
        let (first, other) = (House::open(&place).await, Place::new(Engine::Postgres));
        let second = House::open(&other).await;
        second.close().await;
        first.close().await;
    });
}

#[test]
fn a_connection_that_died_unnoticed_is_replaced_without_a_failure() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        for generation in 1..=5 {
            place.sql(TERMINATE);
            let answer = house.generate(clients[0].0, &clients[0].1).await.unwrap();
            assert_eq!(answer.generation, generation);
        }
        assert_law(house).await.close().await;
    });
}

#[test]
fn no_answered_change_is_lost_while_the_connection_dies_again_and_again() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 8).await;
        let stop = Arc::new(AtomicBool::new(false));
        let failed = Arc::new(AtomicU64::new(0));
        let calls: Vec<_> = clients
            .iter()
            .map(|(id, secret)| {
                let (house, id, secret) = (house.share(), *id, secret.clone());
                let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
                tokio::spawn(async move {
                    let mut answered = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match house.generate(id, &secret).await {
                            Ok(answer) => answered.push(answer.generation),
                            Err(Failure::Unavailable | Failure::OutcomeUnknown) => {
                                failed.fetch_add(1, Ordering::Relaxed);
                                tokio::task::yield_now().await;
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        let killer = {
            let (place, store) = (Arc::clone(&place), house.store.clone());
            tokio::task::spawn_blocking(move || {
                let mut killed = 0;
                while killed < 40 {
                    until("the store to be written to", || store.is_writable());
                    killed += place.sql(TERMINATE).len();
                }
            })
        };
        killer.await.unwrap();
        stop.store(true, Ordering::Relaxed);
        let mut answered = Vec::new();
        for call in calls {
            answered.push(call.await.unwrap());
        }
        assert!(
            failed.load(Ordering::Relaxed) > 0,
            "some writes met a dying connection"
        );
        assert!(!house.store.is_expelled());
        // The last write has been caught up with once another one succeeds; the last connection may
        // have died so late that the first to ask meets it.
        let mut tries = 0..10;
        while house.generate(clients[0].0, &clients[0].1).await.is_err() {
            assert!(tries.next().is_some(), "the store does not recover");
            until("the store to be written to", || house.store.is_writable());
        }
        let bodies = place.bodies();
        let mut written: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for body in &bodies {
            if let Change::TokenIssued { client, slot } = Change::from_body(FORMAT, body).unwrap() {
                written.entry(client.0).or_default().push(slot.generation);
            }
        }
        for (no, answered) in (0..).zip(&answered) {
            let written = &written[&no];
            assert!(!answered.is_empty());
            assert!(
                answered.windows(2).all(|pair| pair[0] < pair[1]),
                "no generation is answered twice"
            );
            assert!(
                answered
                    .iter()
                    .all(|generation| written.contains(generation)),
                "client {no}"
            );
            assert!(
                written.iter().copied().eq(1..=written.len() as u32),
                "one slot, one token at a time"
            );
        }
        let mut records = Vec::new();
        for (id, _) in &clients {
            records.push(house.state(*id).await.client);
        }
        let fold = folded(&bodies);
        assert_same("applied", &records, house.store.replica(), &fold);
        let house = house.reopened().await;
        assert_same("loaded", &records, house.store.replica(), &fold);
        house.close().await;
    });
}

#[test]
fn a_warning_at_a_commit_leaves_the_outcome_unknown_and_the_change_is_found() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let (id, secret) = &clients[0];
        place.sql(
            "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE WARNING 'the transaction has committed locally, but might not have been replicated';
                RETURN NULL; END $$",
        );
        place.sql(
            "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON change_log
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()",
        );
        assert_eq!(
            house.generate(*id, secret).await.map(drop),
            Err(Failure::OutcomeUnknown)
        );
        place.sql("DROP TRIGGER warn ON change_log");
        let answer = house.generate(*id, secret).await.unwrap();
        assert_eq!(
            answer.generation, 2,
            "the one of unknown outcome had happened"
        );
        let record = house.state(*id).await.client;
        assert_same(
            "caught up",
            &[record],
            house.store.replica(),
            &folded(&place.bodies()),
        );
        house.close().await;
    });
}

#[test]
fn a_session_given_up_that_still_holds_the_lock_is_ended() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let (id, secret) = clients[0].clone();
        // Somebody holds the table, so that the writer's session hangs in a statement and does not
        // notice that its other end has gone.
        let session = place.session().await;
        session
            .run("BEGIN; LOCK TABLE slot IN EXCLUSIVE MODE")
            .await;
        let held = house.hold();
        let call = house.ask(&clients[0]);
        house.until_waiting(1);
        // One second of its ten is left when it is decided.
        house.clock().skip(Duration::from_secs(9));
        let start: BootInstant = house.clock().boot();
        held.release().await;
        assert_eq!(
            call.await.unwrap().map(drop),
            Err(Failure::Unavailable),
            "given up before it could be too late"
        );
        until("the store to be writable", || house.store.is_writable());
        assert!(
            house.clock().boot().0 - start.0 < 7_000_000_000,
            "not by the statement's own timeout"
        );
        session.close().await;
        assert_eq!(
            house.generate(id, &secret).await.unwrap().generation,
            1,
            "it was not written late"
        );
        assert!(!house.store.is_expelled());
        assert_law(house).await.close().await;
    });
}

#[test]
fn rows_are_found_by_their_keys_by_plans_made_on_short_tables() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 2).await;
        let (id, secret) = clients[0].clone();
        place.sql("ANALYZE");
        // A new session plans each statement on what is there now.
        let house = house.reopened().await;
        place.sql("SELECT pg_stat_reset()");
        const TOKENS: i64 = 200;
        for _ in 0..TOKENS {
            house.generate(id, &secret).await.unwrap();
        }
        // The end of the sessions makes the server count what they did.
        house.close().await;
        let read = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_stat_user_tables
            WHERE relname IN ('change_log', 'audit', 'client', 'slot')";
        let written =
            "SELECT coalesce(sum(n_tup_ins), 0) FROM pg_stat_user_tables WHERE relname = 'audit'";
        until("the server to have counted", || {
            place.number(written) >= TOKENS
        });
        let read = place.number(read);
        assert!(read < 10 * TOKENS, "{read} rows read for {TOKENS} tokens");
    });
}
