//! Attached replicas: an answer waits for them, the next group does not; who is silent is waited for once;
//! what a predecessor may have granted is waited out.

use crate::house::{House, Who, until};
use crate::place::{Place, on_both};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::sublease::Terms;
use tokenward_core::time::BootInstant;
use tokenward_store::{Attached, Fed, ReadSet};

/// Longer than any grant.
const OVER: Duration = Duration::from_nanos(Terms::STANDARD.wait + 1);

/// What the store feeds next; it is on its way, so a long wait is a fault.
async fn next(attached: &mut Attached) -> Option<Fed> {
    let fed = tokio::time::timeout(tokenward_testkit::PROGRAM_LIMIT, attached.feed.recv()).await;
    fed.expect("something is fed, or the feed ends")
}

/// Attaches a replica that has its first lease.
async fn attached(house: &House) -> Attached {
    let mut attached = house.store.attachments().attach().unwrap();
    house.store.attachments().renew(attached.id, 1);
    match next(&mut attached).await {
        Some(Fed::Granted {
            round: 1,
            through,
            term,
        }) => assert_eq!((through, term), (attached.base, Terms::STANDARD.term)),
        other => panic!("{other:?}"),
    }
    attached
}

/// Lets so many answers be held.
fn until_held(house: &House, count: usize) {
    let what = format!("{count} answers to be held");
    until(&what, || house.store.attachments().counts().held == count);
}

async fn changes(attached: &mut Attached) -> (u64, Vec<String>) {
    match next(attached).await {
        Some(Fed::Changes { first, bodies }) => (first, bodies.to_vec()),
        other => panic!("{other:?}"),
    }
}

async fn an_answer_waits_for_every_replica_and_nothing_else_does(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    let mut replicas = [attached(&house).await, attached(&house).await];
    let before = house.store.committed();
    let first = house.ask(&clients[0]);
    until_held(&house, 1);
    // Its answer waits, yet the next decision is committed, and is in force here.
    let second = house.ask(&clients[1]);
    until_held(&house, 2);
    assert_eq!(house.store.committed().1 - before.1, 2);
    // One that writes nothing tells of what was written before it, so it waits, too.
    let share = house.share();
    let looks = tokio::spawn(async move { share.looks(ReadSet::default()).await });
    until_held(&house, 3);

    let attachments = house.store.attachments();
    for replica in &mut replicas {
        let (one, two) = (changes(replica).await, changes(replica).await);
        assert_eq!((one.0, two.0), (replica.base + 1, replica.base + 2));
        assert!(one.1[0].contains("token_issued"), "{one:?}");
        assert!(!first.is_finished() && !second.is_finished() && !looks.is_finished());
        attachments.acknowledged(replica.id, two.0);
    }
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    looks.await.unwrap().unwrap();
    assert_eq!(attachments.counts().held, 0);
}

async fn who_is_silent_is_waited_for_once(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let mut silent = attached(&house).await;
    let (share, client) = (house.share(), clients[0].clone());
    let call = tokio::spawn(async move {
        share.generate(&client).await.unwrap();
        // The second finds nobody to wait for.
        share.generate(&client).await.unwrap()
    });
    until_held(&house, 1);
    assert!(!call.is_finished());
    house.clock().skip(OVER);
    // Its timer sleeps by another clock; anything that is told makes it look at this one.
    house.store.attachments().acknowledged(silent.id, 0);
    call.await.unwrap();
    assert_eq!(changes(&mut silent).await.0, silent.base + 1);
    assert!(matches!(next(&mut silent).await, Some(Fed::Expelled)));
    assert!(next(&mut silent).await.is_none());
    let counts = house.store.attachments().counts();
    assert_eq!((counts.attached, counts.expelled), (0, 1));
}

async fn a_cut_stream_holds_answers_and_a_release_frees_them(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let replica = attached(&house).await;
    house.store.attachments().cut(replica.id);
    let call = house.ask(&clients[0]);
    until_held(&house, 1);
    assert!(!call.is_finished());
    house.store.attachments().released(replica.id);
    call.await.unwrap().unwrap();
}

async fn what_a_predecessor_granted_is_waited_out(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let who = Who {
        replicas_before: true,
        ..house.who.clone()
    };
    house.close();
    let house = House::open_as(&place, who).await.unwrap();
    let call = house.ask(&clients[0]);
    until_held(&house, 1);
    // Checks go on meanwhile.
    let lease = house.store.replica().lease().read();
    assert!(lease.covers(|| BootInstant(0)));
    assert!(!call.is_finished());
    house.clock().skip(OVER);
    house.store.attachments().attach().unwrap();
    call.await.unwrap().unwrap();
}

on_both!(
    an_answer_waits_for_every_replica_and_nothing_else_does,
    who_is_silent_is_waited_for_once,
    a_cut_stream_holds_answers_and_a_release_frees_them,
    what_a_predecessor_granted_is_waited_out,
);
