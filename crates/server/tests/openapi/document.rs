//! The document itself, and its paths against the real server.

use reqwest::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokenward_testkit::{Api, Server, expect_status, target_folder};

pub(crate) const PATH: &str = "/admin/v1/openapi.json";

const METHODS: &str = "GET POST PUT PATCH DELETE OPTIONS HEAD";

async fn served(api: &Api) -> Value {
    let answer = expect_status(api.send(api.public(Method::GET, PATH)), 200).await;
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

#[tokio::test]
async fn the_committed_document_is_the_one_served_to_everybody() {
    let server = Server::start();
    let document = served(&server.api()).await;
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = std::fs::read_to_string(&committed).unwrap_or_default();
    if serde_json::from_str::<Value>(&text).ok().as_ref() != Some(&document) {
        let fresh = target_folder().join("openapi.json");
        let pretty = serde_json::to_string_pretty(&document).expect("JSON");
        std::fs::write(&fresh, format!("{pretty}\n")).expect("a written document");
        panic!(
            "docs/openapi.json is not what is served; copy {} over it",
            fresh.display()
        );
    }
}

/// The methods described, by path.
fn described(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().expect("paths");
    let described = |(path, operations): (&String, &Value)| {
        let methods = operations.as_object().expect("operations").keys();
        let methods = methods.map(|method| method.to_uppercase());
        (path.clone(), methods.collect())
    };
    paths.iter().map(described).collect()
}

#[tokio::test]
async fn what_is_described_answers_and_nothing_else_does() {
    let server = Server::start();
    let api = server.api();
    for (path, methods) in described(&served(&api).await) {
        let real = path
            .replace("{id}", "00000000-0000-4000-8000-000000000000")
            .replace("{slug}", "no-such-product")
            .replace("{n}", "1");
        for name in METHODS.split(' ') {
            // HEAD is GET without a body, but where GET makes a token.
            let as_get = name == "HEAD" && !path.starts_with("/integration/");
            let expected = methods.contains(name) || (as_get && methods.contains("GET"));
            let request = api.public(name.parse().expect("a method"), &real);
            let answer = api.send(request).await.expect("an answer");
            let status = answer.status;
            assert_eq!(status != 405, expected, "{name} {path}: {status}");
            if expected {
                assert_ne!(status, 404, "{name} {path} is not there");
                continue;
            }
            let allow = answer.header("allow").split([',', ' ']);
            let allow = allow.filter(|word| !["", "HEAD"].contains(word));
            let allow: BTreeSet<_> = allow.map(str::to_owned).collect();
            assert_eq!(allow, methods, "Allow at {name} {path}");
        }
    }
}

#[tokio::test]
async fn the_document_holds_together() {
    let server = Server::start();
    let document = served(&server.api()).await;
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} is there twice");
            let parameters = operation["parameters"].as_array().expect("parameters");
            let in_path = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path");
            let named = path.matches('{').count();
            assert_eq!(in_path.count(), named, "path parameters of {method} {path}");
            let signed = path.starts_with("/admin/") && path != PATH;
            let key = operation["security"] == serde_json::json!([{ "adminKey": [] }]);
            assert_eq!(key, signed, "{method} {path}");
        }
    }
    walk(&document, &mut |value| {
        if let Some(pointer) = value.get("$ref").and_then(Value::as_str) {
            let pointer = pointer.strip_prefix('#');
            let pointer = pointer.expect("a reference into this document");
            let target = document.pointer(pointer);
            assert!(target.is_some(), "{pointer} leads nowhere");
        }
    });
    // Objects have the members described and no others; forms of OAuth may have more (RFC 6749, 3.2).
    let schemas = &document["components"]["schemas"];
    for (name, schema) in schemas.as_object().expect("schemas") {
        if matches!(name.as_str(), "OAuthGrant" | "OAuthAboutToken") {
            continue;
        }
        walk(schema, &mut |value| {
            if value["properties"].is_object() && value.get("type").is_some() {
                let more = &value["additionalProperties"];
                assert_eq!(*more, false, "{name} takes anything");
            }
        });
    }
}

fn walk(value: &Value, see: &mut impl FnMut(&Value)) {
    see(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Object(members) => members.values().for_each(|member| walk(member, see)),
        _ => {}
    }
}
