//! The audit log: written with the change, whole, and every tampering found.

use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::audit::{Broken, Verifier};
use tokenward_core::time::Timestamp;
use tokenward_store::{AuditFilter, Reader};

async fn verify(reader: &Reader) -> Result<(u64, [u8; 32]), Broken> {
    let mut verifier = Verifier::default();
    loop {
        let filter = AuditFilter {
            after: verifier.head().0,
            limit: 7,
            ..AuditFilter::default()
        };
        let page = reader.audit(&filter).await.unwrap();
        if page.is_empty() {
            return Ok(verifier.head());
        }
        page.iter().try_for_each(|entry| verifier.next(entry))?;
    }
}

async fn the_chain_written_verifies_and_ends_at_the_head(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 5).await;
    for (id, secret) in &clients {
        house.generate(*id, secret).await.unwrap();
    }
    let reader = house.store.reader();
    let (seq, hash, changes) = reader.head().await.unwrap();
    assert_eq!(verify(reader).await, Ok((seq, hash)));
    assert_eq!((changes, seq), house.store.numbers());
    assert_eq!(seq, 11, "a workspace, five clients, five tokens");
    house.close().await;
}

async fn entries_are_found_by_their_time(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    house.generate(clients[0].0, &clients[0].1).await.unwrap();
    let reader = house.store.reader();
    let all = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    let all = reader.audit(&all).await.unwrap();
    for entry in &all {
        let first = all.iter().find(|one| one.at >= entry.at).unwrap();
        assert_eq!(reader.audit_from(entry.at).await.unwrap(), first.seq);
    }
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let before = Timestamp(first.at.0 - 1);
    assert_eq!(reader.audit_from(before).await.unwrap(), first.seq);
    let after = Timestamp(last.at.0 + 1);
    assert_eq!(reader.audit_from(after).await.unwrap(), last.seq + 1);
    let some = AuditFilter {
        after: 1,
        through: Some(3),
        limit: 100,
        ..AuditFilter::default()
    };
    let some = reader.audit(&some).await.unwrap();
    assert_eq!(some.iter().map(|one| one.seq).collect::<Vec<_>>(), [2, 3]);
    house.close().await;
}

async fn tampering_is_found(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    house.generate(clients[0].0, &clients[0].1).await.unwrap();
    let reader = house.store.reader();
    let check = async |tamper: &str, mend: &str, expect: Broken| {
        place.sql(tamper);
        assert_eq!(verify(reader).await, Err(expect), "{tamper}");
        place.sql(mend);
        assert!(verify(reader).await.is_ok(), "{mend}");
    };
    let actor = "UPDATE audit SET actor = 'system' WHERE seq = 3";
    check(
        "UPDATE audit SET actor = 'admin-key:x' WHERE seq = 3",
        actor,
        Broken::Altered(3),
    )
    .await;
    check(
        "UPDATE audit SET at = at + 1 WHERE seq = 4",
        "UPDATE audit SET at = at - 1 WHERE seq = 4",
        Broken::Altered(4),
    )
    .await;
    let detail = "UPDATE audit SET detail = replace(detail, 'tast', 'test') WHERE seq = 2";
    check(
        "UPDATE audit SET detail = replace(detail, 'test', 'tast') WHERE seq = 2",
        detail,
        Broken::Altered(2),
    )
    .await;
    check(
        "UPDATE audit SET seq = 99 WHERE seq = 5",
        "UPDATE audit SET seq = 5 WHERE seq = 99",
        Broken::Gap(99),
    )
    .await;
    check(
        "UPDATE audit SET seq = 99 WHERE seq = 2",
        "UPDATE audit SET seq = 2 WHERE seq = 99",
        Broken::Gap(3),
    )
    .await;
    house.close().await;
}

on_both!(
    the_chain_written_verifies_and_ends_at_the_head,
    tampering_is_found,
    entries_are_found_by_their_time,
);
