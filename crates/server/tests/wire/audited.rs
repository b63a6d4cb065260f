//! Audit entries say what was changed: the old and the new value of every setting, what was ended, and the id of the
//! request that did it. One table holds every act of an administrator over the API.

use crate::authority::call;
use crate::house::House;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use tokenward_testkit::{Answer, text};

/// Every act of the API but those on members, a line each: the action in the log, the method, the path, the body if there
/// is one, and behind ` -> ` members of the entry's detail, `null` for those that it must not have. What the first four
/// make is named in the paths of the others.
const ACTS: &str = r#"
workspace.create POST /workspaces {"name": "one"} -> {"name": "one"}
client.create POST {workspace}/clients {"label": "erp", "environment": "sandbox", "products": ["gst"], "token_networks": ["10.0.0.0/8"]} -> {"label": "erp", "environment": "sandbox", "products": ["gst"], "token_lifetime_seconds": 3600, "secret_networks": [], "token_networks": ["10.0.0.0/8"], "notification_emails": [], "on_repeat": "replace", "renew_before_seconds": 600, "handover_max_seconds": 0}
webhook.create POST {workspace}/webhooks {"url": "https://hooks.example.com/a"} -> {"url": "https://hooks.example.com/a"}
admin_key.create POST /admin-keys {"name": "night job", "role": "auditor", "expires_in_seconds": 3600} -> {"name": "night job"}
workspace.change PATCH {workspace} {"name": "two"} -> {"from": {"name": "one"}, "to": {"name": "two"}, "name": "two", "disabled": false}
workspace.change PATCH {workspace} {"disabled": true} -> {"from": {"disabled": false}, "to": {"disabled": true}, "name": "two"}
workspace.change PATCH {workspace} {"disabled": false} -> {"from": {"disabled": true}, "to": {"disabled": false}}
product.put PUT /products/fresh {"name": "Fresh"} -> {"slug": "fresh", "name": "Fresh", "created": true, "from": null}
product.put PUT /products/fresh {"name": "Fresh v2"} -> {"created": false, "from": {"name": "Fresh"}, "to": {"name": "Fresh v2"}}
product.delete DELETE /products/fresh -> {"slug": "fresh", "name": "Fresh v2"}
client.change PATCH {client} {"label": "erp 2", "products": null, "token_networks": [], "token_lifetime_seconds": 60} -> {"changed": ["label", "products", "token_lifetime_seconds", "token_networks"], "from": {"label": "erp", "products": ["gst"], "token_lifetime_seconds": 3600, "token_networks": ["10.0.0.0/8"]}, "to": {"label": "erp 2", "products": null, "token_lifetime_seconds": 60, "token_networks": []}}
client.change PATCH {client} {"secret_networks": ["192.0.2.1"], "notification_emails": ["a@example.com"], "on_repeat": "return", "renew_before_seconds": 5, "handover_max_seconds": 9} -> {"from": {"secret_networks": [], "notification_emails": [], "on_repeat": "replace", "renew_before_seconds": 600, "handover_max_seconds": 0}, "to": {"secret_networks": ["192.0.2.1/32"], "notification_emails": ["a@example.com"], "on_repeat": "return", "renew_before_seconds": 5, "handover_max_seconds": 9}}
client.tag PUT {client}/tags/south -> {"tag": "south"}
client.untag DELETE {client}/tags/south -> {"tag": "south"}
client.disable POST {client}/disable -> {"label": "erp 2"}
client.enable POST {client}/enable -> {"label": "erp 2"}
secret.create POST {client}/secrets -> {"n": 2}
secret.delete DELETE {client}/secrets/1 -> {"n": 1}
token.generate POST {client}/token -> {"generation": 1}
token.revoke DELETE {client}/token -> {"generation": 1}
client.delete DELETE {client}?label=erp%202 -> {"label": "erp 2"}
webhook.disable PATCH {webhook} {"disabled": true} -> {"url": "https://hooks.example.com/a"}
webhook.enable PATCH {webhook} {"disabled": false} -> {"url": "https://hooks.example.com/a"}
webhook.rotate POST {webhook}/secret -> {"url": "https://hooks.example.com/a"}
webhook.test POST {webhook}/test -> {"url": "https://hooks.example.com/a"}
webhook.preferences PATCH {webhook} {"preferences": [{"event": "client.unused", "delivery": "off"}]} -> {"url": "https://hooks.example.com/a", "from": {"client.unused": "immediate"}, "to": {"client.unused": "off"}}
webhook.delete DELETE {webhook} -> {"url": "https://hooks.example.com/a"}
admin_key.revoke DELETE {admin_key} -> {"name": "night job"}
"#;

/// One act, and members its entry must have.
struct Act {
    action: &'static str,
    method: Method,
    path: String,
    body: Option<Value>,
    expected: Value,
}

impl House {
    /// Does it, and looks at the entry that it made.
    async fn acts(&self, act: &Act) -> Answer {
        let before = self.entries().await.len();
        let answer = call(&self.api, act.method.as_str(), &act.path, act.body.as_ref()).await;
        assert!(answer.status < 300, "{}: {answer:?}", act.action);
        let entries = self.entries().await;
        let [made] = &entries[before..] else {
            panic!("{}: {:?}", act.action, &entries[before..]);
        };
        assert_eq!(made["action"], act.action);
        let detail = &made["detail"];
        assert_eq!(detail["request_id"], answer.header("x-request-id"));
        for (name, value) in act.expected.as_object().unwrap() {
            assert_eq!(&detail[name], value, "{} {name}: {detail}", act.action);
        }
        answer
    }
}

#[tokio::test]
async fn every_act_tells_old_and_new_values_and_its_request() {
    let house = House::new().await;
    let mut done = BTreeSet::new();
    // The names of what was made, and its paths.
    let mut made: Vec<(&str, String)> = Vec::new();
    for line in ACTS.trim().lines() {
        let (asked, expected) = line.split_once(" -> ").unwrap();
        let (asked, body) = asked.split_at(asked.find(" {\"").unwrap_or(asked.len()));
        let words: Vec<&str> = asked.split(' ').collect();
        let named = made.iter().fold(words[2].to_owned(), |path, (name, at)| {
            path.replace(&format!("{{{name}}}"), at)
        });
        let act = Act {
            action: words[0],
            method: words[1].parse().unwrap(),
            path: named,
            body: (!body.is_empty()).then(|| serde_json::from_str(body).unwrap()),
            expected: serde_json::from_str(expected).unwrap(),
        };
        done.insert(act.action);
        let answer = house.acts(&act).await;
        let (name, folder, id) = match act.action {
            "workspace.create" => ("workspace", "workspaces", "/id"),
            "client.create" => ("client", "clients", "/client/id"),
            "webhook.create" => ("webhook", "webhooks", "/webhook/id"),
            "admin_key.create" => ("admin_key", "admin-keys", "/admin_key/id"),
            _ => continue,
        };
        let answer = answer.json();
        if name == "admin_key" {
            let entry = house.entries().await.pop().unwrap();
            let expires = &answer["admin_key"]["expires_at"];
            assert_eq!(&entry["detail"]["expires_at"], expires, "{entry}");
        }
        made.push((name, format!("/{folder}/{}", text(&answer, id))));
    }
    assert_eq!(done.len(), 24, "{done:?}");
}
