//! The lease on a shared database: how long a node answers checks without it, and what a successor
//! waits for.

use crate::basics::uuid;
use crate::house::{House, Who, until};
use crate::model::assert_law;
use crate::place::{Engine, Place, on, runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokenward_core::time::Clock;
use tokenward_store::{Decided, ReadSet};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn while_the_database_is_away_checks_go_on_until_the_lease_ends() {
    let term = Duration::from_millis(1_500);
    runtime().block_on(async {
        let place = Place::alone();
        let house = House::open_as(&place, Who::with_term(term)).await.unwrap();
        let (id, secret, token) = &house.with_token().await;
        // Longer than a term: renewals keep the node vouching.
        let start = house.clock().boot();
        let elapsed =
            |clock: &crate::basics::TestClock| Duration::from_nanos(clock.boot().0 - start.0);
        until("two terms to pass", || {
            assert_eq!(house.check(token), "permit");
            elapsed(house.clock()) > 2 * term
        });
        place.stop();
        assert_eq!(
            house.check(token),
            "permit",
            "the lease outlives the connection"
        );
        let away = house.clock().boot();
        house.is_unavailable(*id, secret).await;
        until("the lease to end", || house.check(token) == "cannot vouch");
        let vouched = Duration::from_nanos(house.clock().boot().0 - away.0);
        assert!(vouched <= term, "vouched for {vouched:?}");
        assert!(!house.store.is_writable());
        for _ in 0..100 {
            let asked = house.clock().boot();
            house.is_unavailable(*id, secret).await;
            assert!(
                house.clock().boot().0 - asked.0 < 1_000_000_000,
                "told at once"
            );
        }
        place.start_again();
        until("the node to vouch again", || house.check(token) == "permit");
        until("the store to be writable", || house.store.is_writable());
        assert_eq!(house.generate(*id, secret).await.unwrap().generation, 2);
        assert_law(house).await.close().await;
    });
}

#[test]
fn a_predecessor_that_did_not_sign_off_holds_up_changes_and_no_checks() {
    on(Engine::Postgres, async |place| {
        let who = Who::new();
        let house = House::open_as(&place, who.clone()).await.unwrap();
        let (id, secret, token) = &house.with_token().await;
        house.close().await;
        let left = |node: uuid::Uuid, wait: Duration| {
            place.sql(&format!(
                "INSERT INTO node (incarnation, id, place, attempt, acked, wait) VALUES ('{0}', '{0}', '{node}', 5, 0, {1})",
                uuid(),
                wait.as_nanos()
            ));
        };
        left(uuid(), Duration::from_secs(4));
        let house = House::open_as(&place, who.clone()).await.unwrap();
        assert_eq!(house.check(token), "permit");
        let start = house.clock().boot();
        house.generate(*id, secret).await.unwrap();
        // Its row was seen first a moment before.
        let waited = house.clock().boot().0 - start.0;
        assert!(waited >= 2_000_000_000, "answered after {waited} ns");
        until("its row to be removed", || {
            place.sql("SELECT id FROM node") == [house.incarnation.to_string()]
        });
        house.close().await;
        // The same data directory proves its former process dead: no waiting.
        left(who.id, 2 * LONG);
        let house = House::open_as(&place, who).await.unwrap();
        assert_eq!(place.number("SELECT count(*) FROM node"), 1);
        let start = house.clock().boot();
        house.generate(*id, secret).await.unwrap();
        let waited = Duration::from_nanos(house.clock().boot().0 - start.0);
        assert!(waited < LONG, "answered after {waited:?}");
        house.close().await;
    });
}

#[test]
fn a_node_kept_busy_with_refusals_renews_all_the_same() {
    on(Engine::Postgres, async |place| {
        let term = Duration::from_millis(500);
        let house = House::open_as(&place, Who::with_term(term)).await.unwrap();
        let clients = house.populate(1).await;
        let stop = Arc::new(AtomicBool::new(false));
        let flood: Vec<_> = (0..16)
            .map(|_| {
                let (store, stop, id) = (house.store.clone(), Arc::clone(&stop), clients[0].0);
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let refuse = |_: &tokenward_store::View| Err::<(Decided, ()), _>("no");
                        assert_eq!(
                            store.decide(ReadSet::client(id), refuse).await,
                            Ok(Err("no"))
                        );
                    }
                })
            })
            .collect();
        // Renewals are counted and not timed: a busy machine may be late with one.
        let attempts = || place.number("SELECT attempt FROM node");
        let before = attempts();
        until("twelve renewals", || attempts() >= before + 12);
        assert!(!flood.iter().any(tokio::task::JoinHandle::is_finished));
        stop.store(true, Ordering::Relaxed);
        for call in flood {
            call.await.unwrap();
        }
        house.close().await;
    });
}

#[test]
fn a_database_that_takes_no_writes_is_asked_less_and_less() {
    on(Engine::Postgres, async |place| {
        let house = House::open_as(&place, Who::with_term(Duration::from_secs(1)))
            .await
            .unwrap();
        let clients = house.populate(1).await;
        let (id, secret) = &clients[0];
        place.sql("ALTER TABLE node RENAME TO elsewhere");
        house.is_unavailable(*id, secret).await;
        let token_free = Arc::clone(house.store.replica());
        until("the lease to end", || {
            let now = house.clock().boot();
            !token_free.lease().read().covers(|| now)
        });
        assert!(!house.store.is_expelled(), "it may come back");
        place.sql("ALTER TABLE elsewhere RENAME TO node");
        until("the store to be writable", || house.store.is_writable());
        assert_eq!(house.generate(*id, secret).await.unwrap().generation, 1);
        assert_law(house).await.close().await;
    });
}
