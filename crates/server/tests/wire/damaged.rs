//! A row that says what cannot be: a fault of ours, told without inner detail, that harms nobody but its client.

use crate::house::House;
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use rusqlite::params;
use tokenward_testkit::NewClient;

#[tokio::test]
async fn a_damaged_row_is_told_without_detail_and_harms_its_client_only() {
    let (house, erp) = House::with_erp().await;
    let other = house.client(NewClient::sandbox("other")).await;
    let token = house.token(&erp).await.access_token;
    let connection = house.database();
    let digest = "SELECT secret1_digest FROM client WHERE label = 'erp'";
    let digest: Vec<u8> = connection.query_one(digest, [], |row| row.get(0)).unwrap();
    let put = |digest: &[u8]| {
        let sql = "UPDATE client SET secret1_digest = ?1 WHERE label = 'erp'";
        assert_eq!(connection.execute(sql, params![digest]), Ok(1));
    };

    put(&digest[..31]);
    let refused = house.generate(&erp.secret).await;
    assert_snapshot!(seen(&refused), @"503 [retry-after: 1] TEMPORARILY_UNAVAILABLE: The service is not available at the moment; nothing was changed. Try again.");
    let path = format!("/clients/{}", erp.id);
    let read = house.ask(Method::GET, &path).await;
    assert_snapshot!(seen(&read), @"503 [retry-after: 1] TEMPORARILY_UNAVAILABLE (Not available): The service is not available at the moment; nothing was changed. Try again.");
    let log = house.server.output();
    assert!(log.contains("the database is damaged"), "{log}");
    // The row is in doubt, not the store.
    assert!(!log.contains("the store failed"), "{log}");
    house.token(&other).await;
    house.permits(&token).await;

    put(&digest);
    let newer = house.token(&erp).await;
    assert_eq!(newer.generation, 2);
    house.denies(&token, "TOKEN_SUPERSEDED").await;
}
