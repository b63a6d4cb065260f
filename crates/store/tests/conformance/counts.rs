//! Figures of what tokens were used for: added up, read by client and day, forgotten with age.

use crate::basics::at;
use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_store::counts::{CheckCount, DAYS_KEPT, Outcome, SourceUse};
use tokenward_store::people::Record;

pub(crate) fn count(
    client: u32,
    day: u32,
    product: Option<u32>,
    outcome: Outcome,
    n: u64,
) -> CheckCount {
    CheckCount {
        client: ClientNo(client),
        day,
        hour: 0,
        product: product.map(ProductNo),
        outcome,
        n,
    }
}

pub(crate) fn stale(client: u32, day: u32, source: &str, n: u64, second: i64) -> SourceUse {
    SourceUse {
        client: ClientNo(client),
        day,
        source: source.into(),
        outcome: Outcome::Superseded,
        n,
        last_at: at(second),
    }
}

async fn counts_are_added_to_what_was_there(place: Arc<Place>) {
    let house = House::open(&place).await;
    let permits = |n| count(1, 20, Some(0), Outcome::Permitted, n);
    let others = [
        count(1, 20, None, Outcome::Generated, 2),
        count(1, 20, Some(1), Outcome::Permitted, 3),
        count(1, 20, Some(0), Outcome::Expired, 4),
        count(1, 21, Some(0), Outcome::Permitted, 5),
        count(2, 20, Some(0), Outcome::Permitted, 6),
    ];
    let mut first = vec![permits(1 << 40)];
    first.extend(others);
    house.note([Record::CountsAdded(first)]).await;
    let second = vec![permits(7), permits(1)];
    house.note([Record::CountsAdded(second)]).await;
    let reader = house.store.reader();
    let read = reader.check_counts(ClientNo(1), 20).await.unwrap();
    let [generated, of_another, expired, later, _] = others;
    let sum = permits((1 << 40) + 8);
    assert_eq!(read, [generated, sum, expired, of_another, later]);
    let read = reader.check_counts(ClientNo(1), 21).await.unwrap();
    assert_eq!(read, [later]);
}

async fn counts_of_hours_are_added_up_by_day_too(place: Arc<Place>) {
    let house = House::open(&place).await;
    let permits = |hour, n| CheckCount {
        hour,
        ..count(1, 20, Some(0), Outcome::Permitted, n)
    };
    let written = vec![permits(23, 2), permits(0, 1), permits(23, 4)];
    house.note([Record::CountsAdded(written)]).await;
    house
        .note([Record::CountsAdded(vec![permits(23, 8)])])
        .await;
    let reader = house.store.reader();
    let days = reader.check_counts(ClientNo(1), 20).await.unwrap();
    assert_eq!(days, [permits(0, 15)]);
    let hours = reader.hour_counts(ClientNo(1), 20 * 24).await.unwrap();
    assert_eq!(hours, [permits(0, 1), permits(23, 14)]);
    let hours = reader.hour_counts(ClientNo(1), 20 * 24 + 1).await.unwrap();
    assert_eq!(hours, [permits(23, 14)]);
    // The day is kept when its hours are forgotten: on day 22 those of 21 and 22 are left.
    let forget = |today: u32| Record::CountsForgotten {
        first: ClientNo(0),
        end: ClientNo(9),
        before: today - DAYS_KEPT,
    };
    let later = |day| CheckCount {
        day: day + DAYS_KEPT,
        ..permits(5, 1)
    };
    let written = vec![later(20), later(21), later(22)];
    house.note([Record::CountsAdded(written)]).await;
    house.note([forget(22 + DAYS_KEPT)]).await;
    let hours = reader.hour_counts(ClientNo(1), 0).await.unwrap();
    assert_eq!(hours, [later(21), later(22)]);
    let days = reader.check_counts(ClientNo(1), 0).await.unwrap();
    assert_eq!(days.len(), 3, "{days:?}");
}

async fn sources_keep_their_last_time(place: Arc<Place>) {
    let house = House::open(&place).await;
    let of = |client, n, second| stale(client, 20, "10.0.0.1", n, second);
    let first = vec![of(1, 2, 5), stale(1, 20, "others", 1, 6)];
    house.note([Record::SourceUses(first)]).await;
    let second = vec![of(1, 1, 9), of(2, 1, 9)];
    house.note([Record::SourceUses(second)]).await;
    let read = house.store.reader().source_uses(ClientNo(1), 20).await;
    let expected = [of(1, 3, 9), stale(1, 20, "others", 1, 6)];
    assert_eq!(read.unwrap(), expected);
}

async fn old_counts_of_the_clients_named_are_forgotten(place: Arc<Place>) {
    let house = House::open(&place).await;
    let permits = |client, day| count(client, day, Some(0), Outcome::Permitted, 1);
    let all = [(1, 9), (1, 10), (2, 9), (3, 9)];
    let counts = all.map(|(client, day)| permits(client, day)).to_vec();
    let uses = all
        .map(|(client, day)| stale(client, day, "10.0.0.1", 1, 0))
        .to_vec();
    let forget = Record::CountsForgotten {
        first: ClientNo(1),
        end: ClientNo(3),
        before: 10,
    };
    house
        .note([Record::CountsAdded(counts), Record::SourceUses(uses)])
        .await;
    house.note([forget]).await;
    let reader = house.store.reader();
    for (client, left) in [(1, vec![10]), (2, vec![]), (3, vec![9])] {
        let counts = reader.check_counts(ClientNo(client), 0).await.unwrap();
        assert_eq!(counts.iter().map(|one| one.day).collect::<Vec<_>>(), left);
        let uses = reader.source_uses(ClientNo(client), 0).await.unwrap();
        assert_eq!(uses.iter().map(|one| one.day).collect::<Vec<_>>(), left);
    }
}

on_both!(
    counts_are_added_to_what_was_there,
    counts_of_hours_are_added_up_by_day_too,
    sources_keep_their_last_time,
    old_counts_of_the_clients_named_are_forgotten,
);
