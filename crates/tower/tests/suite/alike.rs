//! The layer answers what the node would: every denial with its body, and after any sequence of changes,
//! from the moment each is answered.

use crate::house::{HOME, House, Seen, call, router, seen, until};
use axum::Router;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{ApiClient, NewClient};
use tokenward_tower::{Checker, Environment, Node};

/// The node's own answer to the same request.
async fn by_gateway(house: &House, path: &str, headers: &[(&str, &str)], from: &str) -> Seen {
    let mut request = house
        .api
        .internal(Method::GET, &format!("/check/{path}"))
        .header("x-forwarded-for", from);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = house.api.send(request).await.unwrap();
    let mut seen = seen(answer.status, &answer.headers, answer.body.as_bytes());
    if answer.status == 200 {
        let told = |name: &str| answer.header(&format!("x-tokenward-{name}")).to_owned();
        let till = told("valid-till");
        seen.headers.clear();
        seen.body = json!({
            "workspace": told("workspace"), "client": told("client"), "label": told("client-label"),
            "environment": told("environment"), "product": told("product"),
            "generation": told("generation").parse::<u32>().unwrap(),
            "valid_till": if till.is_empty() { Value::Null } else { Value::from(till) },
        });
    }
    seen
}

/// A layer's answer, in the same form.
async fn by_layer(product: &Router, headers: &[(&str, &str)], from: &str) -> Seen {
    let mut seen = call(product, headers, from).await;
    if seen.status == 200 {
        seen.headers.clear();
    }
    seen
}

const TOKEN: &str = "x-cleartax-auth-token";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_nodes_own() {
    let house = House::new().await;
    let api = &house.api;
    let replica = house.replica().await;
    let good = house.make(NewClient::production("Außenhandel 1")).await;
    let narrow = NewClient::production("narrow")
        .products(&["gst"])
        .token_networks(&["10.0.0.0/8"]);
    let revoked = house.make(NewClient::production("revoked")).await;
    let disabled = house.make(NewClient::production("disabled")).await;
    let deleted = house.make(NewClient::production("deleted")).await;
    let superseded = house.generate(&good.secret).await;
    let token = house.generate(&good.secret).await;
    let narrow = house.token_of(narrow).await;
    let expired = house
        .token_of(NewClient::production("brief").lifetime(1))
        .await;
    let ended = house.generate(&revoked.secret).await;
    let off = house.generate(&disabled.secret).await;
    let gone = house.generate(&deleted.secret).await;
    api.revoke(&revoked.id).await.unwrap().expect(200);
    api.disable(&disabled.id).await.unwrap().expect(200);
    api.delete(&deleted).await.unwrap().expect(200);

    let production = Environment::Production;
    let places = [
        ("production/e-invoice", production, "e-invoice"),
        ("production/gst", production, "gst"),
        ("sandbox/gst", Environment::Sandbox, "gst"),
        ("production/nothing", production, "nothing"),
    ];
    let mut forged = token.clone();
    forged.replace_range(60..61, if &token[60..61] == "0" { "1" } else { "0" });
    let bearer = format!("Bearer {token}");
    let other = format!("Bearer {superseded}");
    let requests: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![(TOKEN, &token)],
        vec![("authorization", &bearer)],
        vec![(TOKEN, &token), ("authorization", &bearer)],
        vec![(TOKEN, &token), ("authorization", &other)],
        vec![(TOKEN, &token), (TOKEN, &token)],
        vec![(TOKEN, "")],
        vec![(TOKEN, "rubbish")],
        vec![(TOKEN, &forged)],
        vec![(TOKEN, &good.secret)],
        vec![(TOKEN, &superseded)],
        vec![(TOKEN, &narrow)],
        vec![(TOKEN, &expired)],
        vec![(TOKEN, &ended)],
        vec![(TOKEN, &off)],
        vec![(TOKEN, &gone)],
        vec![
            (TOKEN, &token),
            ("x-tokenward-client", "forged"),
            ("x_tokenward_generation", "99"),
        ],
    ];
    let handle = tokio::runtime::Handle::current();
    until("a token of one second to end", || {
        let checked = handle.block_on(api.check("production", "gst", &expired));
        checked.unwrap().status == 401
    });
    let mut statuses = std::collections::BTreeSet::new();
    for (path, environment, product) in places {
        let node = Node::new(house.endpoint());
        let layers = [
            router(Checker::new(replica.clone(), environment, product)),
            router(Checker::new(node, environment, product)),
        ];
        for headers in &requests {
            for from in [HOME, "198.51.100.7", "2001:db8::1"] {
                let expect = by_gateway(&house, path, headers, from).await;
                statuses.insert(expect.status);
                for layer in &layers {
                    let seen = by_layer(layer, headers, from).await;
                    assert_eq!(seen, expect, "{path} {headers:?} {from}");
                }
            }
        }
    }
    assert_eq!(Vec::from_iter(statuses), [200, 401, 403, 404]);
}

/// What can be done to a client.
async fn something(
    house: &House,
    clients: &mut Vec<(ApiClient, Vec<String>)>,
    random: &mut fastrand::Rng,
) {
    let api = &house.api;
    if clients.len() < 3 || random.u8(..) < 12 {
        let label = format!("client {}", random.u64(..));
        let client = house.make(NewClient::production(&label)).await;
        clients.push((client, Vec::new()));
        return;
    }
    let at = random.usize(..clients.len());
    let (client, tokens) = &mut clients[at];
    let answer = match random.u8(..20) {
        0..9 => {
            let answer = api.generate(&client.secret).await.unwrap();
            if answer.status == 200 {
                tokens.push(answer.clone().token().access_token);
            }
            answer
        }
        9 => api.revoke(&client.id).await.unwrap(),
        10 | 11 => api.disable(&client.id).await.unwrap(),
        12..15 => api.enable(&client.id).await.unwrap(),
        kind @ 15..18 => {
            let change = match kind {
                15 => json!({ "products": ["gst"] }),
                16 => json!({ "products": null, "token_networks": [] }),
                _ => json!({ "token_networks": ["192.0.2.0/24"] }),
            };
            api.patch_client(&client.id, &change).await.unwrap()
        }
        18 => {
            let body = json!({ "disabled": random.u8(..4) == 0 });
            let path = format!("/workspaces/{}", house.workspace);
            api.send(api.admin(Method::PATCH, &path).json(&body))
                .await
                .unwrap()
        }
        _ if clients.len() > 4 => api.delete(&clients[at].0).await.unwrap(),
        _ => return,
    };
    assert!(answer.status < 500, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_sequence_of_changes_the_replica_answers_like_its_node() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let house = House::new().await;
    let mut clients = Vec::new();
    // Some of it is in the snapshot, the rest is fed.
    for _ in 0..30 {
        something(&house, &mut clients, &mut random).await;
    }
    let replica = house.replica().await;
    let places = ["gst", "e-invoice"].map(|product| {
        let checker = Checker::new(replica.clone(), Environment::Production, product);
        (format!("production/{product}"), router(checker))
    });
    let mut permitted = 0;
    for step in 0..120 {
        something(&house, &mut clients, &mut random).await;
        // At once: the answer has been given, so the change is in force there, too.
        for (client, tokens) in &clients {
            for token in tokens.iter().rev().take(3) {
                let (path, layer) = &places[step % 2];
                let headers = [(TOKEN, token.as_str())];
                let own = by_layer(layer, &headers, HOME).await;
                let expect = by_gateway(&house, path, &headers, HOME).await;
                assert_eq!(own, expect, "seed {seed}, step {step}, {}", client.id);
                permitted += usize::from(own.status == 200);
            }
        }
    }
    // However the sequence went, a token that is good is let in by both.
    let body = json!({ "disabled": false });
    let path = format!("/workspaces/{}", house.workspace);
    let enabled = house
        .api
        .send(house.api.admin(Method::PATCH, &path).json(&body));
    enabled.await.unwrap().expect(200);
    let token = house.token_of(NewClient::production("the last")).await;
    let own = by_layer(&places[0].1, &[(TOKEN, &token)], HOME).await;
    assert_eq!(own.status, 200, "seed {seed}, {permitted} permitted before");
}
