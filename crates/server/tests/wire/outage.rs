//! The database goes away under a running server and comes back: what is refused, what goes on from
//! memory and for how long, and that nothing is lost or doubled by it.

use crate::house::{House, cut, until};
use reqwest::Method;
use tokenward_testkit::{Answer, PgCluster, Server, expect_error};

#[tokio::test]
async fn without_its_database_a_server_changes_nothing_and_soon_vouches_for_nothing() {
    let mut cluster = PgCluster::start();
    let house = House::of(Server::builder().database(&cluster.url())).await;
    let (erp, token) = house.erp().await;
    house.permits(&token).await;
    cluster.stop();

    // A change is refused, and the caller told that trying again is worth it.
    let refused = expect_error(house.generate(&erp.secret), 503, "TEMPORARILY_UNAVAILABLE").await;
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    for inner in ["postgres", "connection", "127.0.0.1"] {
        assert!(!refused.body.contains(inner), "{}", refused.body);
    }

    // A check is a 200 while the lease lasts, then a 503 that says so: never a 401, which would make
    // every client generate.
    let ended = |answer: &Answer| answer.status != 200;
    let silent = until("the lease to end", || house.check("gst", &token), ended)
        .await
        .expect_error(503, "CANNOT_VOUCH");
    assert_eq!(silent.header("x-tokenward-denial"), "CANNOT_VOUCH");
    assert!(silent.header("retry-after").parse::<u32>().is_ok());
    // Introspection does not say of a good token that it is none, either.
    let introspect = house.api.internal(Method::POST, "/oauth2/introspect");
    let introspect = introspect.form(&[("token", &token)]);
    expect_error(house.send(introspect), 503, "temporarily_unavailable").await;
    // Not even a stranger's token is judged.
    expect_error(house.check("gst", &cut(&token)), 503, "CANNOT_VOUCH").await;

    cluster.start_again();
    let back = |answer: &Answer| answer.status == 200;
    let check = || house.check("gst", &token);
    until("the lease to be renewed", check, back).await;
    let newer = until("a token", || house.generate(&erp.secret), back).await;
    house.permits(&newer.token().access_token).await;
    house.denies(&token, "TOKEN_SUPERSEDED").await;

    // Seconds of failed attempts, and each cause is one line.
    let log = house.server.output();
    let cause = |line| Some(str::split_once(line, "the store failed: ")?.1);
    let mut causes: Vec<&str> = log.lines().filter_map(cause).collect();
    let count = causes.len();
    causes.sort_unstable();
    causes.dedup();
    assert!(count >= 1 && causes.len() == count, "{log}");
}
