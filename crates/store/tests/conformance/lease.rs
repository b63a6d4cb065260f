//! The lease on a shared database: how long a node answers checks without it, and what a successor
//! waits for.

use crate::basics::uuid;
use crate::house::{House, Who, ended, until};
use crate::model::assert_law;
use crate::place::{Engine, Place, on, runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokenward_core::change::Change;
use tokenward_core::time::Clock;
use tokenward_store::{ReadSet, View};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn while_the_database_is_away_checks_go_on_until_the_lease_ends() {
    let term = Duration::from_millis(1_500);
    runtime().block_on(async {
        let place = Place::alone();
        let house = House::open_as(&place, Who::with_term(term)).await.unwrap();
        let (client, token) = &house.with_token().await;
        // Longer than a term: renewals keep the node vouching.
        let start = house.clock().boot();
        until("two terms to pass", || {
            assert_eq!(house.check(token), "permit");
            house.since(start) > 2 * term
        });
        place.stop();
        // The lease outlives the connection.
        assert_eq!(house.check(token), "permit");
        let away = house.clock().boot();
        house.is_unavailable(client).await;
        until("the lease to end", || house.check(token) == "cannot vouch");
        let vouched = house.since(away);
        assert!(vouched <= term, "vouched for {vouched:?}");
        assert!(!house.store.is_writable());
        for _ in 0..100 {
            let asked = house.clock().boot();
            house.is_unavailable(client).await;
            assert!(house.since(asked) < Duration::from_secs(1), "told at once");
        }
        place.start_again();
        until("the node to vouch again", || house.check(token) == "permit");
        until("the store to be writable", || house.store.is_writable());
        house.makes(client, 2).await;
        assert_law(house).await.close();
    });
}

#[test]
fn a_predecessor_that_did_not_sign_off_holds_up_changes_and_no_checks() {
    on(Engine::Postgres, async |place| {
        let house = House::open(&place).await;
        let who = house.who.clone();
        let (client, token) = &house.with_token().await;
        house.close();
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
        house.generate(client).await.unwrap();
        // Its row was seen first a moment before.
        let waited = house.since(start);
        assert!(
            waited >= Duration::from_secs(2),
            "answered after {waited:?}"
        );
        until("its row to be removed", || {
            place.sql("SELECT id FROM node") == [house.incarnation.to_string()]
        });
        house.close();
        // The same data directory proves its former process dead: no waiting.
        left(who.id, 2 * LONG);
        let house = House::open_as(&place, who).await.unwrap();
        assert_eq!(place.number("SELECT count(*) FROM node"), 1);
        let start = house.clock().boot();
        house.generate(client).await.unwrap();
        let waited = house.since(start);
        assert!(waited < LONG, "answered after {waited:?}");
    });
}

#[test]
fn a_node_kept_busy_with_refusals_renews_all_the_same() {
    on(Engine::Postgres, async |place| {
        let term = Duration::from_millis(500);
        let house = House::open_as(&place, Who::with_term(term)).await.unwrap();
        let clients = house.populate(1).await;
        let (stop, client) = (Arc::new(AtomicBool::new(false)), clients[0].0);
        let flood: Vec<_> = (0..16)
            .map(|_| {
                let (share, stop) = (house.share(), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let refuse = |_: &View| Err::<(Vec<Change>, ()), _>("no");
                        let refused = share.decide(ReadSet::client(client), refuse).await;
                        assert_eq!(refused, Ok(Err("no")));
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
        ended(flood).await;
    });
}

#[test]
fn a_database_that_takes_no_writes_is_asked_less_and_less() {
    on(Engine::Postgres, async |place| {
        let who = Who::with_term(Duration::from_secs(1));
        let house = House::open_as(&place, who).await.unwrap();
        let client = &house.populate(1).await[0];
        place.sql("ALTER TABLE node RENAME TO elsewhere");
        house.is_unavailable(client).await;
        until("the lease to end", || !house.vouches());
        assert!(!house.store.is_expelled(), "it may come back");
        place.sql("ALTER TABLE elsewhere RENAME TO node");
        until("the store to be writable", || house.store.is_writable());
        house.makes(client, 1).await;
        assert_law(house).await.close();
    });
}
