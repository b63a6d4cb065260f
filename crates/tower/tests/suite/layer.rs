//! The layer as its service sees it: permits, forged headers, bodies untouched, gRPC, keys, uses.

use crate::house::{HOME, House, LIMIT, call, gst, router, status, until};
use axum::body::Body;
use axum::response::IntoResponse;
use axum::{Router, routing::any};
use http::{HeaderMap, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokenward_testkit::NewClient;
use tokenward_tower::{CheckLayer, Checker, Endpoint, Environment, Node, Permit, Replica, Source};
use tower::ServiceExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_pass_reaches_the_service_and_nothing_forged_with_it() {
    let house = House::new().await;
    let replica = house.replica().await;
    let client = house.client().await;
    let token = house.generate(&client.secret).await;
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let handler = move |headers: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        let forged = headers
            .keys()
            .any(|name| name.as_str().replace('_', "-").starts_with("x-tokenward-"));
        assert!(!forged, "{headers:?}");
        assert!(
            !format!("{headers:?}").contains(headers["x-cleartax-auth-token"].to_str().unwrap())
        );
        async { "in" }
    };
    let inside = Router::new().route("/{*path}", any(handler));
    for source in [Source::from(replica), Node::new(house.endpoint()).into()] {
        let checker = Checker::new(source, Environment::Production, "gst");
        let product = inside.clone().layer(CheckLayer::new(checker));
        let before = reached.load(Ordering::SeqCst);
        for path in ["/a/../b", "/a%2f..%2fb", "/a;b", "//a"] {
            let request = Request::post(path)
                .header("x-cleartax-auth-token", &token)
                .header("X-Tokenward-Client", "forged")
                .header("x_tokenward_workspace", "forged")
                .body(Body::from("a body"))
                .unwrap();
            let response = product.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
        }
        assert_eq!(reached.load(Ordering::SeqCst) - before, 4);
        for refused in [vec![], vec![("x-cleartax-auth-token", "rubbish")]] {
            assert_eq!(call(&product, &refused, HOME).await.status, 401);
        }
        assert_eq!(reached.load(Ordering::SeqCst) - before, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_is_the_callers_or_nowhere() {
    let house = House::new().await;
    let replica = house.replica().await;
    let new = NewClient::production("near").token_networks(&["10.0.0.0/8"]);
    let token = house.token_of(new).await;
    let product = gst(replica);
    let own = ("x-cleartax-auth-token", token.as_str());
    for (from, forwarded, expect) in [
        ("10.1.2.3", "", 200),
        ("198.51.100.7", "", 403),
        ("198.51.100.7", "10.1.2.3", 403),
        // A trusted proxy of this service.
        ("192.0.2.1", "10.1.2.3", 200),
        ("192.0.2.1", "10.1.2.3, 198.51.100.7", 403),
        ("192.0.2.1", "garbage", 403),
    ] {
        let mut headers = vec![own];
        if !forwarded.is_empty() {
            headers.push(("x-forwarded-for", forwarded));
        }
        assert_eq!(
            call(&product, &headers, from).await.status,
            expect,
            "{from} {forwarded}"
        );
    }
    // A server that does not say who is at the other end: fails closed.
    let request = Request::get("/x")
        .header(own.0, own.1)
        .header("x-forwarded-for", "10.1.2.3");
    let request = request.body(Body::empty()).unwrap();
    assert_eq!(product.oneshot(request).await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_grpc_is_refused_in_grpc() {
    let house = House::new().await;
    let replica = house.replica().await;
    let request = Request::post("/package.Service/Method")
        .header("content-type", "application/grpc+proto")
        .body(Body::empty());
    let response = gst(replica).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()["tokenward-code"], "ACCESS_TOKEN_MISSING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_is_made_by_the_layer_only() {
    let bare: Router = Router::new().route(
        "/",
        any(|permit: Permit| async move { permit.label().to_owned().into_response() }),
    );
    let response = bare
        .oneshot(Request::get("/").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_where_there_is_no_node() {
    let closed: Endpoint = "127.0.0.1:1".parse().unwrap();
    let house = House::new().await;
    let token = house.token_of(NewClient::production("erp")).await;
    assert_eq!(status(&gst(Node::new(closed)), &token).await, 503);
    // Something that answers 200 to everything is no node: it sends no identity.
    let impostor = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = impostor.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(impostor, Router::new().fallback(any(|| async { "yes" }))).await
    });
    let product = gst(Node::new(address.into()));
    assert_eq!(status(&product, &token).await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_keys_there_is_no_replica() {
    let [house, other] = [House::new().await, House::new().await];
    let stranger = Replica::attach(house.endpoint(), &other.keys).unwrap();
    house.until_it_says("does not hold this node's replica keys");
    assert!(!stranger.is_vouching());
    assert_eq!(house.figure("tokenward_replicas").await, "0");
    // Digest keys are not replica keys, and are not taken for them.
    let digest_keys = house.server.data_dir().join("digest-keys");
    assert!(Replica::attach(house.endpoint(), &digest_keys).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_internal_auth_demands_it_here_too() {
    let folder = tempfile::tempdir().unwrap();
    let bearer = folder.path().join("bearer");
    std::fs::write(&bearer, "a-bearer-token\n").unwrap();
    let house = House::with(&["--internal-auth-file", bearer.to_str().unwrap()]).await;
    let without = Replica::attach(house.endpoint(), &house.keys).unwrap();
    house.until_it_says("the internal bearer token is missing");
    assert!(!without.is_vouching());
    let with = Replica::attach_with(house.endpoint(), &house.keys, Some(&bearer)).unwrap();
    tokio::time::timeout(LIMIT, with.ready()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_learns_who_was_let_in_here() {
    let house = House::new().await;
    let replica = house.replica().await;
    let client = house.client().await;
    let token = house.generate(&client.secret).await;
    let product = gst(replica.clone());
    let header = [("x-cleartax-auth-token", token.as_str())];
    // The first sixteen are told apart; the last one is the last use all the same.
    for n in 1..=18 {
        let from = format!("198.51.100.{n}");
        assert_eq!(call(&product, &header, &from).await.status, 200);
    }
    let from = "198.51.100.18";
    let other = Checker::new(replica.clone(), Environment::Production, "e-invoice");
    let other = router(other);
    assert_eq!(call(&other, &header, from).await.status, 200);
    let usage = whole_usage(&house, &client.id, 19);
    let sources = usage["sources"].as_array().unwrap();
    let of = |source: &str| {
        let found = sources.iter().find(|one| one["source"] == source);
        found.map(|one| one["count"].as_u64().unwrap())
    };
    assert_eq!(sources.len(), 17, "{usage}");
    assert_eq!(
        of("others"),
        Some(3).filter(|_| of(from).is_none()).or(Some(2)),
        "{usage}"
    );
    for (product, count) in [("gst", 18), ("e-invoice", 1)] {
        let counted = usage["counts"].as_array().unwrap().iter().any(|one| {
            one["outcome"] == "PERMIT" && one["product"] == product && one["count"] == count
        });
        assert!(counted, "{product}: {usage}");
    }
    let shown = house.api.read_client(&client.id).await.unwrap().json();
    assert!(shown["token"]["last_used_at"].is_string(), "{shown}");
    let used = shown["last_used_from"].as_str().unwrap();
    assert!(used.starts_with("198.51.100."), "{shown}");
    // A token that was just made has not been used, and its first use is its own.
    let token = house.generate(&client.secret).await;
    let shown = house.api.read_client(&client.id).await.unwrap().json();
    assert_eq!(shown["token"]["last_used_at"], serde_json::Value::Null);
    assert_eq!(status(&product, &token).await, 200);
    replica.leave().await;
    let usage = whole_usage(&house, &client.id, 20);
    let sources = usage["sources"].as_array().unwrap();
    assert!(sources.len() <= 17, "{usage}");
    let shown = house.api.read_client(&client.id).await.unwrap().json();
    assert_eq!(shown["token"]["last_used_from"], HOME, "{shown}");
}

/// A client's usage once the node knows of as many permitted checks and their sources.
pub(crate) fn whole_usage(house: &House, client: &str, permits: u64) -> serde_json::Value {
    let handle = tokio::runtime::Handle::current();
    let path = format!("/clients/{client}/usage");
    let mut usage = serde_json::Value::Null;
    until("the permitted checks to be reported", || {
        let request = house.api.admin(reqwest::Method::GET, &path);
        usage = handle.block_on(house.api.send(request)).unwrap().json();
        let sum = |list: &str, outcome: Option<&str>| -> u64 {
            let all = usage[list].as_array().unwrap().iter();
            let of = all.filter(|one| outcome.is_none_or(|outcome| one["outcome"] == outcome));
            of.map(|one| one["count"].as_u64().unwrap()).sum()
        };
        sum("counts", Some("PERMIT")) == permits && sum("sources", None) == permits
    });
    usage
}
