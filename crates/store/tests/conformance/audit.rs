//! The audit log: written with the change, whole, and every tampering found.

use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::audit::{Broken, Verifier};
use tokenward_core::time::Timestamp;
use tokenward_store::{AuditFilter, Reader};

pub(crate) async fn verify(reader: &Reader) -> Result<(u64, [u8; 32]), Broken> {
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
    for client in &clients {
        house.generate(client).await.unwrap();
    }
    let reader = house.store.reader();
    let (seq, hash, changes) = reader.head().await.unwrap();
    assert_eq!(verify(reader).await, Ok((seq, hash)));
    assert_eq!((changes, seq), house.store.numbers());
    assert_eq!(seq, 11, "a workspace, five clients, five tokens");
}

async fn entries_are_found_by_their_time(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    house.generate(&clients[0]).await.unwrap();
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
}

async fn tampering_is_found(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    house.generate(&clients[0]).await.unwrap();
    let reader = house.store.reader();
    let check = async |seq: u64, tamper: &str, mend: &str, expect: Broken| {
        let alter = |set, seq| place.sql(&format!("UPDATE audit SET {set} WHERE seq = {seq}"));
        alter(tamper, seq);
        assert_eq!(verify(reader).await, Err(expect), "{tamper}");
        let moved = if tamper == "seq = 99" { 99 } else { seq };
        alter(mend, moved);
        assert!(verify(reader).await.is_ok(), "{mend}");
    };
    let altered = |seq| Broken::Altered(seq);
    check(3, "actor = 'admin-key:x'", "actor = 'system'", altered(3)).await;
    check(4, "at = at + 1", "at = at - 1", altered(4)).await;
    let [tamper, mend] = ["'test', 'tast'", "'tast', 'test'"]
        .map(|words| format!("detail = replace(detail, {words})"));
    check(2, &tamper, &mend, altered(2)).await;
    check(5, "seq = 99", "seq = 5", Broken::Gap(99)).await;
    check(2, "seq = 99", "seq = 2", Broken::Gap(3)).await;
}

on_both!(
    the_chain_written_verifies_and_ends_at_the_head,
    tampering_is_found,
    entries_are_found_by_their_time,
);
