//! A request that began before its admin key's end and is decided after it is refused: every operation of the admin
//! API that writes, as the OpenAPI document lists them.

use crate::acts::acts;
use crate::authority::{self, People, filled, webhook};
use crate::house::{House, until};
use crate::late::{Held, Stall, decisions_waiting};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Api, NewClient, assert_contains, expect_json, text};

/// How often a round may begin too late to show anything.
const ROUNDS: usize = 5;

/// A call as it is sent.
type Call = (Method, String, Option<Value>);

/// Whether a path of the document is the path of an act.
fn is_at(described: &str, act: &str) -> bool {
    let act = act.split('?').next().unwrap_or_default();
    let described = described.strip_prefix("/admin/v1").unwrap_or(described);
    let (one, other) = (described.split('/'), act.split('/'));
    one.clone().count() == other.clone().count()
        && one
            .zip(other)
            .all(|(one, other)| one.starts_with('{') || one == other)
}

/// For each operation that writes, an act of the table that an operator may do, on things that exist.
async fn calls(house: &House) -> Vec<Call> {
    let other = house.api.workspace("other").await.unwrap();
    let gst = NewClient::sandbox("gst").products(&["gst"]);
    let gst = house.client(gst).await;
    let all = house.client(NewClient::sandbox("all")).await;
    let hook = webhook(house, &house.acme).await;
    let people = People::new(house, &other).await;
    let spare = json!({ "name": "spare", "role": "auditor" });
    let (key, _) = house.key(spare).await;
    let named = [
        ("{acme}", &house.acme),
        ("{other}", &other),
        ("{gst}", &gst.id),
        ("{all}", &all.id),
        ("{key}", &key),
        ("{hook}", &hook),
        ("{member}", &people.member),
        ("{invitation}", &people.invitation),
    ];
    let fill = |text: &str| filled(text, &named);
    let document = house.send(house.api.public(Method::GET, "/admin/v1/openapi.json"));
    let document = document.await.expect(200).json();
    let table = acts();
    let mut calls = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            let is_admin = operation["security"].to_string().contains("adminKey");
            if !is_admin || matches!(method.as_str(), "GET" | "PARAMETERS") {
                continue;
            }
            let row = table.iter().find(|(by, at, _, statuses)| {
                *by == method && is_at(path, at) && statuses[0] < 300
            });
            let (_, at, body, _) = row.unwrap_or_else(|| {
                panic!("no act of acts.rs is {method} {path}: add one that an operator may do")
            });
            let body = body.as_ref().map(ToString::to_string);
            let body = body.map(|body| serde_json::from_str(&fill(&body)).unwrap());
            calls.push((method.parse().unwrap(), fill(at), body));
        }
    }
    assert!(calls.len() > 20, "{calls:?}");
    calls
}

/// The actions of a key's holder after the entry of its revocation.
async fn after_revocation(house: &House, key: &str) -> Vec<String> {
    let entries = house.entries().await;
    let actor = format!("admin-key:{key}");
    let ended = |entry: &&Value| {
        entry["action"] == "admin_key.revoke" && entry["detail"].to_string().contains(key)
    };
    let mut entries = entries.iter().skip_while(|entry| !ended(entry));
    assert!(entries.next().is_some(), "{key} was revoked");
    let own = entries.filter(|entry| entry["actor"] == actor.as_str());
    own.map(|entry| entry["action"].to_string()).collect()
}

async fn call(api: Api, (method, path, body): Call) -> (String, u16) {
    let name = format!("{method} {path}");
    let answer = authority::call(&api, method.as_str(), &path, body.as_ref()).await;
    if answer.status == 401 {
        answer.expect_error(401, "ADMIN_KEY_INVALID");
        return (name, 401);
    }
    (name, answer.status)
}

#[tokio::test]
async fn key_revoked_before_the_decision_refuses_every_operation() {
    let house = House::new().await;
    let calls = calls(&house).await;
    let mut done = Vec::new();
    for _ in 0..ROUNDS {
        let victim = json!({ "name": "victim", "role": "operator" });
        let (id, victim) = house.key(victim).await;
        let stall = Stall::new(house.server.data_dir());
        let path = format!("/admin-keys/{id}");
        let revoke = tokio::spawn(call(house.api.clone(), (Method::DELETE, path, None)));
        // The revocation is decided first; if not, the round shows nothing.
        for _ in 0..3 {
            decisions_waiting(&house.api).await;
        }
        let late = calls
            .iter()
            .map(|one| tokio::spawn(call(victim.clone(), one.clone())));
        let late: Vec<_> = late.collect();
        stall.until(&house.api, calls.len()).await;
        drop(stall);
        assert_eq!(revoke.await.unwrap().1, 200);
        done.clear();
        for late in late {
            let (name, status) = late.await.unwrap();
            if status != 401 {
                done.push(format!("{name}: {status}"));
            }
        }
        assert_eq!(after_revocation(&house, &id).await, [""; 0]);
        if done.is_empty() {
            return;
        }
    }
    panic!("not refused: {done:?}");
}

#[tokio::test]
async fn body_finished_after_the_keys_end_is_refused_by_every_operation() {
    let house = House::new().await;
    let calls = calls(&house).await;
    let bodies = calls.iter().filter(|(.., body)| body.is_some());
    let bodies: Vec<&Call> = bodies.collect();
    assert!(bodies.len() > 6, "{bodies:?}");
    for expires in [None, Some(4)] {
        let role = json!({ "name": "v", "role": "operator", "expires_in_seconds": expires });
        let made = expect_json(house.admin(Method::POST, "/admin-keys", &role), 201).await;
        let (id, key) = (text(&made, "/admin_key/id"), text(&made, "/key"));
        let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
        let mut held = Vec::new();
        for (method, path, body) in &bodies {
            let body = body.as_ref().unwrap().to_string();
            let path = format!("/admin/v1{path}");
            let call = (method.as_str(), &*path);
            let begun = Held::begin(house.server.public(), call, &headers, body);
            held.push((format!("{method} {path}"), begun.await));
        }
        let before = house.actions().await.len();
        let ended = match expires {
            None => {
                let path = format!("/admin-keys/{id}");
                house.ask(Method::DELETE, &path).await.expect(200);
                1
            }
            Some(_) => {
                let api = house.api.with_admin_key(&key);
                let gone = || async { api.ask(Method::GET, "/workspaces").await.unwrap() };
                until("the key to expire", gone, |answer| answer.status == 401).await;
                0
            }
        };
        for (name, held) in held {
            let (status, answer) = held.finish().await;
            assert_eq!(status, 401, "{name}: {answer}");
            assert_contains(&answer, "ADMIN_KEY_INVALID");
        }
        assert_eq!(house.actions().await.len(), before + ended);
    }
}
