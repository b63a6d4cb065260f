//! What only PostgreSQL can do to a node: lose its connection, be away, be somebody else's, and
//! answer a commit with a warning.

use crate::house::{House, Who, uuid};
use crate::model::{assert_law, assert_same, folded};
use crate::place::{Engine, Place, on, runtime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::time::{BootInstant, Clock};
use tokenward_store::{Decided, Failure, Location, StoreError, Wants};
use tokenward_testkit::wait_until;

const LONG: Duration = Duration::from_secs(30);
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
            "another Tokenward node",
            "stop the other node",
            &first.who.id.to_string(),
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
                    wait_until("the store to be written to", LONG, || {
                        store.is_writable().then_some(())
                    });
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
        // The last write has been caught up with once another one succeeds.
        house.generate(clients[0].0, &clients[0].1).await.unwrap();
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
fn while_the_database_is_away_checks_go_on_until_the_lease_ends() {
    let term = Duration::from_millis(1_500);
    runtime().block_on(async {
        let place = Place::alone();
        let house = House::open_as(&place, Who::with_term(term)).await.unwrap();
        let clients = house.populate(1).await;
        house.product("gst").await;
        let (id, secret) = &clients[0];
        let token = house.generate(*id, secret).await.unwrap().token.expose();
        // Longer than a term: renewals keep the node vouching.
        let start = house.clock().boot();
        let elapsed =
            |clock: &crate::house::TestClock| Duration::from_nanos(clock.boot().0 - start.0);
        wait_until("two terms to pass", LONG, || {
            assert_eq!(house.check(&token), "permit");
            (elapsed(house.clock()) > 2 * term).then_some(())
        });
        place.stop();
        assert_eq!(
            house.check(&token),
            "permit",
            "the lease outlives the connection"
        );
        let away = house.clock().boot();
        assert_eq!(
            house.generate(*id, secret).await.map(drop),
            Err(Failure::Unavailable)
        );
        wait_until("the lease to end", LONG, || {
            (house.check(&token) == "cannot vouch").then_some(())
        });
        let vouched = Duration::from_nanos(house.clock().boot().0 - away.0);
        assert!(vouched <= term, "vouched for {vouched:?}");
        assert!(!house.store.is_writable());
        for _ in 0..100 {
            let asked = house.clock().boot();
            assert_eq!(
                house.generate(*id, secret).await.map(drop),
                Err(Failure::Unavailable)
            );
            assert!(
                house.clock().boot().0 - asked.0 < 1_000_000_000,
                "told at once"
            );
        }
        place.start_again();
        wait_until("the node to vouch again", LONG, || {
            (house.check(&token) == "permit").then_some(())
        });
        assert_eq!(house.generate(*id, secret).await.unwrap().generation, 2);
        assert!(house.store.is_writable());
        assert_law(house).await.close().await;
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
fn a_predecessor_that_did_not_sign_off_is_waited_out() {
    on(Engine::Postgres, async |place| {
        let who = Who::with_term(Duration::from_millis(200));
        House::open_as(&place, who.clone())
            .await
            .unwrap()
            .close()
            .await;
        let predecessor = uuid();
        let left = format!(
            "INSERT INTO node (one, id, incarnation, renewals) VALUES (1, '{predecessor}', 'x', 5)"
        );
        place.sql(&left);
        let clock = crate::house::TestClock::default();
        let start = clock.boot();
        let opening = {
            let (place, who) = (Arc::clone(&place), who.clone());
            tokio::spawn(async move { House::open_as(&place, who).await.unwrap() })
        };
        // From the first moment the predecessor can't write; its name stays, should this start fail.
        tokio::task::block_in_place(|| {
            wait_until("the predecessor to be shut out", LONG, || {
                (place.sql("SELECT incarnation FROM node") != ["x"]).then_some(())
            });
        });
        assert_eq!(place.sql("SELECT id FROM node"), [predecessor.to_string()]);
        let house = opening.await.unwrap();
        let waited = clock.boot().0 - start.0;
        assert!(
            waited >= 2_222_000_000,
            "(term + 2 s) and 1 % more, not {waited} ns"
        );
        assert_eq!(place.sql("SELECT id FROM node"), [who.id.to_string()]);
        house.close().await;
        // The same data directory proves its former process dead: no waiting.
        place.sql(&left.replace(&predecessor.to_string(), &who.id.to_string()));
        let start = clock.boot();
        House::open_as(&place, who).await.unwrap().close().await;
        assert!(clock.boot().0 - start.0 < 2_000_000_000);
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
                        assert_eq!(store.decide(Wants::client(id), refuse).await, Ok(Err("no")));
                    }
                })
            })
            .collect();
        let replica = Arc::clone(house.store.replica());
        let start = house.clock().boot();
        tokio::task::block_in_place(|| {
            wait_until("four terms to pass", LONG, || {
                let now = house.clock().boot();
                assert!(
                    replica.lease().read().covers(|| now),
                    "the lease ended under load"
                );
                (now.0 - start.0 > 4 * 500_000_000).then_some(())
            });
        });
        stop.store(true, Ordering::Relaxed);
        for call in flood {
            call.await.unwrap();
        }
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
        let Location::Postgres(url) = &place.location else {
            unreachable!()
        };
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        client
            .batch_execute("BEGIN; LOCK TABLE slot IN EXCLUSIVE MODE")
            .await
            .unwrap();
        let held = house.hold();
        let call = {
            let (house, secret) = (house.share(), secret.clone());
            tokio::spawn(async move { house.generate(id, &secret).await.map(drop) })
        };
        house.until_waiting(1);
        // One second of its ten is left when it is decided.
        house.clock().skip(Duration::from_secs(9));
        let start: BootInstant = house.clock().boot();
        held.release().await;
        assert_eq!(
            call.await.unwrap(),
            Err(Failure::Unavailable),
            "given up before it could be too late"
        );
        wait_until("the store to be writable", LONG, || {
            house.store.is_writable().then_some(())
        });
        assert!(
            house.clock().boot().0 - start.0 < 7_000_000_000,
            "not by the statement's own timeout"
        );
        drop(client);
        connection.await.unwrap().unwrap();
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
fn a_database_that_takes_no_writes_is_asked_less_and_less() {
    on(Engine::Postgres, async |place| {
        let house = House::open_as(&place, Who::with_term(Duration::from_secs(1)))
            .await
            .unwrap();
        let clients = house.populate(1).await;
        let (id, secret) = &clients[0];
        place.sql("ALTER TABLE node RENAME TO elsewhere");
        assert_eq!(
            house.generate(*id, secret).await.map(drop),
            Err(Failure::Unavailable)
        );
        let token_free = Arc::clone(house.store.replica());
        wait_until("the lease to end", LONG, || {
            let now = house.clock().boot();
            (!token_free.lease().read().covers(|| now)).then_some(())
        });
        assert!(!house.store.is_expelled(), "it may come back");
        place.sql("ALTER TABLE elsewhere RENAME TO node");
        wait_until("the store to be writable", LONG, || {
            house.store.is_writable().then_some(())
        });
        assert_eq!(house.generate(*id, secret).await.unwrap().generation, 1);
        assert_law(house).await.close().await;
    });
}
