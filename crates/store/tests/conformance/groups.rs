//! Group commit: many decisions in few commits, one of a client at a time, nothing out of order,
//! nothing written that nobody waits for any more.

use crate::house::{House, ended};
use crate::place::{Place, on_both};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_core::ids::ClientId;
use tokenward_core::time::Clock;
use tokenward_store::{Decided, Failure, ReadSet};
use uuid::Uuid;

async fn many_decisions_take_few_commits(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 64).await;
    let before = house.store.committed();
    let held = house.hold();
    let calls: Vec<_> = clients.iter().map(|client| house.ask(client)).collect();
    house.until_waiting(64);
    held.release().await;
    for answer in ended(calls).await {
        answer.unwrap();
    }
    let after = house.store.committed();
    assert_eq!(after.1 - before.1, 64);
    // 64 decisions about 64 clients that wait together are one group.
    assert_eq!(after.0 - before.0, 1);
    crate::model::assert_law(house).await.close();
}

async fn one_client_at_a_time_and_in_order(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    let before = house.store.committed();
    let held = house.hold();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    for n in 0..10_u32 {
        for (of, client) in clients.iter().cloned().enumerate() {
            let (share, order) = (house.share(), Arc::clone(&order));
            calls.push(tokio::spawn(async move {
                let answer = share.generate(&client).await.unwrap();
                order.lock().unwrap().push((of, n, answer.generation));
            }));
            // In the queue before the next is asked for: that is what gives them an order.
            house.until_waiting(calls.len());
        }
    }
    held.release().await;
    ended(calls).await;
    let mut seen = order.lock().unwrap().clone();
    seen.sort_unstable();
    let expect: Vec<_> = (0..2)
        .flat_map(|of| (0..10).map(move |n| (of, n, n + 1)))
        .collect();
    assert_eq!(seen, expect, "the n-th asked for got the n-th generation");
    let after = house.store.committed();
    // Ten groups of one decision of each client.
    assert_eq!((after.0 - before.0, after.1 - before.1), (10, 20));
}

async fn nothing_overtakes_a_decision_that_runs_alone(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    let held = house.hold();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    let ask = |wants: ReadSet, name: &'static str| {
        let (store, order) = (house.store.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let decide = store.decide::<_, (), _>(wants, move |view| {
                let generation = view.client.as_ref().map(|state| state.slot.generation);
                order.lock().unwrap().push((name, generation));
                Ok((Decided::nothing(), ()))
            });
            decide.await.unwrap().unwrap();
        })
    };
    let (first, second) = (clients[0].0, clients[1].0);
    let generate = house.ask(&clients[0]);
    house.until_waiting(1);
    let alone = ReadSet {
        products: true,
        ..ReadSet::client(first)
    };
    for (wants, name) in [
        (alone, "alone"),
        (ReadSet::client(first), "first"),
        (ReadSet::client(second), "second"),
    ] {
        calls.push(ask(wants, name));
        house.until_waiting(1 + calls.len());
    }
    held.release().await;
    generate.await.unwrap().unwrap();
    ended(calls).await;
    let order = order.lock().unwrap().clone();
    let expected = [("alone", Some(1)), ("first", Some(1)), ("second", Some(0))];
    assert_eq!(order, expected);
}

async fn what_nobody_waits_for_is_not_written(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let before = place.bodies();
    let held = house.hold();
    let call = house.ask(&clients[0]);
    house.until_waiting(1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    held.release().await;
    // A decision of the same client runs after it: the abandoned one has had its turn.
    house.makes(&clients[0], 1).await;
    assert_eq!(place.bodies().len(), before.len() + 1);
}

async fn what_waited_too_long_is_not_written(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let before = place.bodies();
    let held = house.hold();
    let call = house.ask(&clients[0]);
    house.until_waiting(1);
    house.clock().skip(Duration::from_secs(11));
    held.release().await;
    assert_eq!(call.await.unwrap().map(drop), Err(Failure::TooLate));
    assert_eq!(place.bodies(), before);
    house.makes(&clients[0], 1).await;
}

async fn a_flood_on_one_client_keeps_nobody_out(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    let held = house.hold();
    let flooded = clients[0].0;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut flood = Vec::new();
    for n in 0..600 {
        let (store, order) = (house.store.clone(), Arc::clone(&order));
        flood.push(tokio::spawn(async move {
            let decide = store.decide::<_, (), _>(ReadSet::client(flooded), move |_| {
                order.lock().unwrap().push(n);
                Ok((Decided::nothing(), ()))
            });
            decide.await.map(drop)
        }));
    }
    house.until_waiting(600);
    let (share, client, order_then) = (house.share(), clients[1].clone(), Arc::clone(&order));
    let other = tokio::spawn(async move {
        let answer = share.generate(&client).await.unwrap();
        (answer.generation, order_then.lock().unwrap().len())
    });
    house.until_waiting(601);
    held.release().await;
    let (generation, before) = other.await.unwrap();
    assert_eq!(generation, 1);
    // The other client did not wait for the whole flood.
    assert!(before < 512, "{before}");
    let mut outcomes = ended(flood).await;
    outcomes.retain(|outcome| *outcome != Ok(()));
    assert_eq!(outcomes, [Err(Failure::Overloaded); 600 - 512]);
}

async fn a_full_queue_says_so(place: Arc<Place>) {
    let (house, _) = House::populated(&place, 1).await;
    let held = house.hold();
    let ask = |n: u128| {
        let share = house.share();
        let wants = ReadSet::client(ClientId(Uuid::from_u128(n)));
        async move { share.looks(wants).await }
    };
    let calls: Vec<_> = (0..8_192).map(|n| tokio::spawn(ask(n))).collect();
    house.until_waiting(8_192);
    assert_eq!(ask(9_999).await, Err(Failure::Overloaded));
    held.release().await;
    assert!(ended(calls).await.iter().all(Result::is_ok));
    assert_eq!(ask(9_999).await, Ok(()));
}

async fn the_end_does_what_was_asked_before(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 4).await;
    let held = house.hold();
    let calls: Vec<_> = clients.iter().map(|client| house.ask(client)).collect();
    house.until_waiting(4);
    assert_eq!(house.store.replica().client_count(), 4);
    let replica = Arc::clone(house.store.replica());
    let clock = Arc::clone(house.store.clock());
    let House { store, ending, .. } = house;
    drop(store);
    held.release().await;
    for answer in ended(calls).await {
        assert_eq!(answer.unwrap().generation, 1);
    }
    drop(ending);
    assert!(!replica.lease().read().covers(|| clock.boot()));
    // The node signed off.
    assert_eq!(place.number("SELECT count(*) FROM node"), 0);
    let house = House::open(&place).await;
    for (id, _) in &clients {
        assert_eq!(house.state(*id).await.slot.generation, 1);
    }
    house.delete(clients[0].0).await;
}

on_both!(
    many_decisions_take_few_commits,
    one_client_at_a_time_and_in_order,
    nothing_overtakes_a_decision_that_runs_alone,
    what_nobody_waits_for_is_not_written,
    what_waited_too_long_is_not_written,
    a_flood_on_one_client_keeps_nobody_out,
    a_full_queue_says_so,
    the_end_does_what_was_asked_before,
);
