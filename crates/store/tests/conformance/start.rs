//! A start with more clients than one thread reads.

use crate::house::{Client, House, Who};
use crate::place::{Engine, Place, on_both};
use futures_util::future::join_all;
use std::sync::Arc;
use tokenward_store::StoreError;

/// Clients put in behind the store's back: enough for several parts on a machine with several cores.
const MANY: usize = 4_500;

/// Fills a store that is closed with clients like its first, without tokens.
fn fill(place: &Place) {
    let id = match place.engine {
        Engine::Sqlite => "randomblob(16)",
        Engine::Postgres => "decode(md5(n.no::text), 'hex')",
    };
    let numbers = format!(
        "WITH RECURSIVE n (no) AS (SELECT 10 UNION ALL SELECT no + 1 FROM n WHERE no < {})",
        MANY + 9
    );
    place.sql(&format!(
        "{numbers} INSERT INTO client (no, id, workspace, environment, label, secret_networks, token_networks, emails, on_repeat,
            renew_before, handover_max, created_at, next_secret)
        SELECT n.no, {id}, workspace, environment, 'filled', '', '', '', 0, 300, 0, created_at, 1 FROM n, client c WHERE c.no = 0"
    ));
    place.sql(&format!(
        "{numbers} INSERT INTO slot (client, generation, former_reasons, quota1_day, quota1_used, quota2_day, quota2_used)
        SELECT no, 0, 0, 0, 0, 0, 0 FROM n"
    ));
}

/// The tokens of these clients.
async fn tokens(house: &House, clients: &[Client]) -> Vec<String> {
    join_all(clients.iter().map(|client| house.token(client))).await
}

async fn every_part_is_read(place: Arc<Place>) {
    let (house, first) = House::populated(&place, 2).await;
    house.product("gst").await;
    let mut all = tokens(&house, &first).await;
    house.close();
    fill(&place);
    let house = House::open(&place).await;
    let last = house.populate(2).await;
    all.extend(tokens(&house, &last).await);
    house.close();

    let house = House::open(&place).await;
    assert_eq!(house.store.replica().client_count(), MANY + 12);
    for token in &all {
        assert_eq!(house.check(token), "permit");
    }
}

async fn a_client_without_its_slot_is_damage(place: Arc<Place>) {
    let (house, _) = House::populated(&place, 1).await;
    house.close();
    fill(&place);
    for lost in [12, MANY + 9] {
        place.sql(&format!("DELETE FROM slot WHERE client = {lost}"));
        let refused = House::refused(&place, Who::new()).await;
        assert!(
            matches!(&refused, StoreError::Damaged(told) if told.contains("slots")),
            "{refused:?}"
        );
    }
}

async fn a_slot_without_its_client_is_damage(place: Arc<Place>) {
    House::populated(&place, 1).await.0.close();
    fill(&place);
    place.sql("DELETE FROM client WHERE no = 4000");
    let refused = House::refused(&place, Who::new()).await;
    assert!(
        matches!(&refused, StoreError::CannotApply(told) if told.contains("does not exist")),
        "{refused:?}"
    );
}

async fn a_row_that_cannot_be_read_ends_the_start(place: Arc<Place>) {
    House::populated(&place, 1).await.0.close();
    fill(&place);
    place.sql("UPDATE client SET products = 'x' WHERE no = 11");
    let refused = House::refused(&place, Who::new()).await;
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused:?}");
}

on_both!(
    every_part_is_read,
    a_client_without_its_slot_is_damage,
    a_slot_without_its_client_is_damage,
    a_row_that_cannot_be_read_ends_the_start,
);
