//! Group commit: many decisions in few commits, one of a client at a time, nothing out of order,
//! nothing written that nobody waits for any more.

use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_store::{Decided, Failure, ReadSet};

async fn many_decisions_take_few_commits(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 64).await;
    let before = house.store.committed();
    let held = house.hold();
    let calls: Vec<_> = clients.iter().map(|client| house.ask(client)).collect();
    house.until_waiting(64);
    held.release().await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let after = house.store.committed();
    assert_eq!(after.1 - before.1, 64);
    assert_eq!(
        after.0 - before.0,
        1,
        "64 decisions about 64 clients that wait together are one group"
    );
    crate::model::assert_law(house).await.close().await;
}

async fn one_client_at_a_time_and_in_order(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    let before = house.store.committed();
    let held = house.hold();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    for n in 0..10_u32 {
        for (of, (id, secret)) in clients.iter().enumerate() {
            let (share, order, id, secret) =
                (house.share(), Arc::clone(&order), *id, secret.clone());
            calls.push(tokio::spawn(async move {
                let answer = share.generate(id, &secret).await.unwrap();
                order.lock().unwrap().push((of, n, answer.generation));
            }));
            // In the queue before the next is asked for: that is what gives them an order.
            house.until_waiting(calls.len());
        }
    }
    held.release().await;
    for call in calls {
        call.await.unwrap();
    }
    let mut seen = order.lock().unwrap().clone();
    seen.sort_unstable();
    let expect: Vec<_> = (0..2)
        .flat_map(|of| (0..10).map(move |n| (of, n, n + 1)))
        .collect();
    assert_eq!(seen, expect, "the n-th asked for got the n-th generation");
    let after = house.store.committed();
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (10, 20),
        "ten groups of one decision of each client"
    );
    house.close().await;
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
    for call in calls {
        call.await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    assert_eq!(
        order,
        [("alone", Some(1)), ("first", Some(1)), ("second", Some(0))]
    );
    house.close().await;
}

async fn what_nobody_waits_for_is_not_written(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let before = place.bodies();
    let held = house.hold();
    let (id, secret) = clients[0].clone();
    let call = house.ask(&clients[0]);
    house.until_waiting(1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    held.release().await;
    // A decision of the same client runs after it: the abandoned one has had its turn.
    assert_eq!(house.generate(id, &secret).await.unwrap().generation, 1);
    assert_eq!(place.bodies().len(), before.len() + 1);
    house.close().await;
}

async fn what_waited_too_long_is_not_written(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let before = place.bodies();
    let held = house.hold();
    let (id, secret) = clients[0].clone();
    let call = house.ask(&clients[0]);
    house.until_waiting(1);
    house.clock().skip(Duration::from_secs(11));
    held.release().await;
    assert_eq!(call.await.unwrap().map(drop), Err(Failure::TooLate));
    assert_eq!(place.bodies(), before);
    assert_eq!(house.generate(id, &secret).await.unwrap().generation, 1);
    house.close().await;
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
    let (other, secret) = clients[1].clone();
    let order_then = Arc::clone(&order);
    let other = {
        let house = house.share();
        tokio::spawn(async move {
            let answer = house.generate(other, &secret).await.unwrap();
            (answer.generation, order_then.lock().unwrap().len())
        })
    };
    house.until_waiting(601);
    held.release().await;
    let (generation, before) = other.await.unwrap();
    assert_eq!(generation, 1);
    assert!(
        before < 512,
        "the other client did not wait for the whole flood"
    );
    let mut refused = 0;
    for call in flood {
        match call.await.unwrap() {
            Ok(()) => {}
            Err(failure) => {
                assert_eq!(failure, Failure::Overloaded);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 600 - 512);
    house.close().await;
}

async fn a_full_queue_says_so(place: Arc<Place>) {
    let (house, _) = House::populated(&place, 1).await;
    let held = house.hold();
    let ask = |n: u128| {
        let store = house.store.clone();
        let wants = ReadSet::client(tokenward_core::ClientId(uuid::Uuid::from_u128(n)));
        async move {
            store
                .decide::<_, (), _>(wants, |_| Ok((Decided::nothing(), ())))
                .await
        }
    };
    let calls: Vec<_> = (0..8_192).map(|n| tokio::spawn(ask(n))).collect();
    house.until_waiting(8_192);
    assert_eq!(ask(9_999).await, Err(Failure::Overloaded));
    held.release().await;
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(Ok(())));
    }
    assert_eq!(ask(9_999).await, Ok(Ok(())));
    house.close().await;
}

async fn the_end_does_what_was_asked_before(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 4).await;
    let held = house.hold();
    let calls: Vec<_> = clients.iter().map(|client| house.ask(client)).collect();
    house.until_waiting(4);
    let no = house.store.replica().client_count();
    assert_eq!(no, 4);
    let replica = Arc::clone(house.store.replica());
    let (clock, who) = (Arc::clone(house.store.clock()), house.who.clone());
    let House { store, handle, .. } = house;
    drop(store);
    held.release().await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().generation, 1);
    }
    tokio::task::spawn_blocking(|| handle.join()).await.unwrap();
    assert!(
        !replica
            .lease()
            .read()
            .covers(|| tokenward_core::time::Clock::boot(&*clock)),
        "nobody vouches any more"
    );
    assert_eq!(
        place.number("SELECT count(*) FROM node"),
        0,
        "the node signed off"
    );
    let house = House::open_as(&place, who).await.unwrap();
    for (id, _) in &clients {
        assert_eq!(house.state(*id).await.slot.generation, 1);
    }
    house.delete(clients[0].0).await;
    house.close().await;
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
