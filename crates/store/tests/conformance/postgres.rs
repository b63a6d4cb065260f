//! What only PostgreSQL can do to a node: lose its connection, be away, be somebody else's, and
//! answer a commit with a warning.

use crate::house::{House, Who, ended, until};
use crate::model::{assert_folded, assert_law};
use crate::place::{Engine, Place, on};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::time::Clock;
use tokenward_store::{Failure, StoreError};

/// Ends the session that writes, as an operator or a failing network would.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'tokenward ________-%'";

#[test]
fn a_second_node_is_refused_with_a_clear_text() {
    on(Engine::Postgres, async |place| {
        let first = House::open(&place).await;
        let refused = House::refused(&place, Who::new()).await;
        assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
        let text = refused.to_string();
        for part in [
            "another Tokenward process",
            "Stop the other process",
            &first.incarnation.to_string(),
            "127.0.0.1",
        ] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        first.workspace("still mine").await;
        first.close();
        // And at once when the first has gone.
        House::open(&place).await.close();
    });
}

#[test]
fn nodes_of_other_databases_are_no_matter() {
    on(Engine::Postgres, async |place| {
        let (_first, other) = (House::open(&place).await, Place::new(Engine::Postgres));
        let _second = House::open(&other).await;
    });
}

#[test]
fn a_connection_that_died_unnoticed_is_replaced_without_a_failure() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        for generation in 1..=5 {
            place.sql(TERMINATE);
            house.makes(&clients[0], generation).await;
        }
        assert_law(house).await.close();
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
            .map(|client| {
                let (house, client) = (house.share(), client.clone());
                let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
                tokio::spawn(async move {
                    let mut answered = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match house.generate(&client).await {
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
        let mut killed = 0;
        while killed < 40 {
            until("the store to be written to", || house.store.is_writable());
            killed += tokio::task::block_in_place(|| place.sql(TERMINATE).len());
        }
        stop.store(true, Ordering::Relaxed);
        let answered = ended(calls).await;
        // Some writes met a dying connection.
        assert!(failed.load(Ordering::Relaxed) > 0);
        assert!(!house.store.is_expelled());
        // The last write has been caught up with once another one succeeds; the last connection may
        // have died so late that the first to ask meets it.
        let mut tries = 0..10;
        while house.generate(&clients[0]).await.is_err() {
            assert!(tries.next().is_some(), "the store does not recover");
            until("the store to be written to", || house.store.is_writable());
        }
        let mut written: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for body in &place.bodies() {
            if let Change::TokenIssued { client, slot } = Change::from_body(FORMAT, body).unwrap() {
                written.entry(client.0).or_default().push(slot.generation);
            }
        }
        for (no, answered) in (0..).zip(&answered) {
            let written = &written[&no];
            assert!(!answered.is_empty());
            // No generation is answered twice, and each answered one was written.
            assert!(answered.is_sorted_by(|a, b| a < b), "client {no}");
            assert!(answered.iter().all(|one| written.contains(one)), "{no}");
            // One slot, one token at a time.
            assert!(written.iter().copied().eq(1..=written.len() as u32));
        }
        assert_folded(house, &clients).await;
    });
}

#[test]
fn a_warning_at_a_commit_leaves_the_outcome_unknown_and_the_change_is_found() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let client = &clients[0];
        place.sql(
            "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE WARNING 'the transaction has committed locally, but might not have been replicated';
                RETURN NULL; END $$",
        );
        place.sql(
            "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON change_log
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()",
        );
        let unknown = house.generate(client).await.map(drop);
        assert_eq!(unknown, Err(Failure::OutcomeUnknown));
        place.sql("DROP TRIGGER warn ON change_log");
        // The one of unknown outcome had happened.
        house.makes(client, 2).await;
        assert_folded(house, &clients).await;
    });
}

#[test]
fn a_session_given_up_that_still_holds_the_lock_is_ended() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        // Somebody holds the table, so that the writer's session hangs in a statement and does not
        // notice that its other end has gone.
        let session = place.session().await;
        let lock = "BEGIN; LOCK TABLE slot IN EXCLUSIVE MODE";
        session.run(lock).await;
        let held = house.hold();
        let call = house.ask(&clients[0]);
        house.until_waiting(1);
        // One second of its ten is left when it is decided.
        house.clock().skip(Duration::from_secs(9));
        let start = house.clock().boot();
        held.release().await;
        // Given up before it could be too late, and not by the statement's own timeout.
        let given_up = call.await.unwrap().map(drop);
        assert_eq!(given_up, Err(Failure::Unavailable));
        until("the store to be writable", || house.store.is_writable());
        assert!(house.since(start) < Duration::from_secs(7));
        session.close();
        // It was not written late.
        house.makes(&clients[0], 1).await;
        assert!(!house.store.is_expelled());
        assert_law(house).await.close();
    });
}

#[test]
fn rows_are_found_by_their_keys_by_plans_made_on_short_tables() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 2).await;
        place.sql("ANALYZE");
        // A new session plans each statement on what is there now.
        let house = house.reopened().await;
        place.sql("SELECT pg_stat_reset()");
        const TOKENS: i64 = 200;
        for _ in 0..TOKENS {
            house.generate(&clients[0]).await.unwrap();
        }
        // The end of the sessions makes the server count what they did.
        house.close();
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
