//! Audit entries say what was changed: the old and the new value of every setting, what was ended, and the id of the
//! request that did it. One table holds every act of an administrator over the API.

use crate::house::House;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokenward_testkit::Answer;

/// One act, and members its entry must have: `null` for those it must not have.
struct Act {
    action: &'static str,
    method: Method,
    path: String,
    body: Value,
    expected: Value,
}

fn act(action: &'static str, method: Method, path: &str, body: Value, expected: Value) -> Act {
    let path = path.to_owned();
    Act {
        action,
        method,
        path,
        body,
        expected,
    }
}

impl House {
    async fn entries(&self) -> Vec<Value> {
        let page = self
            .ask(Method::GET, "/audit?limit=1000")
            .await
            .expect(200)
            .json();
        page["items"].as_array().unwrap().clone()
    }

    /// Does it, and looks at the entry that it made.
    async fn acts(&self, act: &Act) -> Answer {
        let before = self.entries().await.len();
        let answer = match &act.body {
            Value::Null => self.ask(act.method.clone(), &act.path).await,
            body => self.admin(act.method.clone(), &act.path, body).await,
        };
        assert!(answer.status < 300, "{}: {answer:?}", act.action);
        let entries = self.entries().await;
        let made: Vec<_> = entries[before..].iter().collect();
        assert_eq!(made.len(), 1, "{}: {made:?}", act.action);
        assert_eq!(made[0]["action"], act.action);
        let detail = &made[0]["detail"];
        assert_eq!(
            detail["request_id"],
            answer.header("x-request-id"),
            "{}: {detail}",
            act.action
        );
        for (name, value) in act.expected.as_object().unwrap() {
            assert_eq!(&detail[name], value, "{} {name}: {detail}", act.action);
        }
        answer
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of every act")]
async fn every_act_tells_old_and_new_values_and_its_request() {
    let house = House::new().await;
    let gone = json!(null);
    let mut done = BTreeSet::from([
        "workspace.create",
        "client.create",
        "webhook.create",
        "admin_key.create",
    ]);

    let new = act(
        "workspace.create",
        Method::POST,
        "/workspaces",
        json!({"name": "one"}),
        json!({"name": "one"}),
    );
    let workspace = house.acts(&new).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let workspace = format!("/workspaces/{workspace}");
    let settings = json!({"label": "erp", "environment": "sandbox", "products": ["gst"], "token_networks": ["10.0.0.0/8"]});
    let whole = json!({
        "label": "erp", "environment": "sandbox", "products": ["gst"], "token_lifetime_seconds": 3600,
        "secret_networks": [], "token_networks": ["10.0.0.0/8"], "notification_emails": [], "on_repeat": "replace",
        "renew_before_seconds": 600, "handover_max_seconds": 0,
    });
    let new = act(
        "client.create",
        Method::POST,
        &format!("{workspace}/clients"),
        settings,
        whole,
    );
    let made = house.acts(&new).await.json();
    let client = format!("/clients/{}", made["client"]["id"].as_str().unwrap());
    let hooks = format!("{workspace}/webhooks");
    let url = "https://hooks.example.com/a";
    let new = act(
        "webhook.create",
        Method::POST,
        &hooks,
        json!({"url": url}),
        json!({"url": url}),
    );
    let hook = house.acts(&new).await.json()["webhook"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let hook = format!("/webhooks/{hook}");
    let key = json!({"name": "night job", "role": "auditor", "expires_in_seconds": 3600});
    let new = act(
        "admin_key.create",
        Method::POST,
        "/admin-keys",
        key,
        json!({"name": "night job"}),
    );
    let made = house.acts(&new).await.json();
    let entry = house.entries().await.pop().unwrap();
    assert_eq!(
        entry["detail"]["expires_at"], made["admin_key"]["expires_at"],
        "{entry}"
    );
    let key = format!("/admin-keys/{}", made["admin_key"]["id"].as_str().unwrap());

    let table = [
        act(
            "workspace.change",
            Method::PATCH,
            &workspace,
            json!({"name": "two"}),
            json!({"from": {"name": "one"}, "to": {"name": "two"}, "name": "two", "disabled": false}),
        ),
        act(
            "workspace.change",
            Method::PATCH,
            &workspace,
            json!({"disabled": true}),
            json!({"from": {"disabled": false}, "to": {"disabled": true}, "name": "two"}),
        ),
        act(
            "workspace.change",
            Method::PATCH,
            &workspace,
            json!({"disabled": false}),
            json!({"from": {"disabled": true}, "to": {"disabled": false}}),
        ),
        act(
            "product.put",
            Method::PUT,
            "/products/fresh",
            json!({"name": "Fresh"}),
            json!({"slug": "fresh", "name": "Fresh", "created": true, "from": gone}),
        ),
        act(
            "product.put",
            Method::PUT,
            "/products/fresh",
            json!({"name": "Fresh v2"}),
            json!({"created": false, "from": {"name": "Fresh"}, "to": {"name": "Fresh v2"}}),
        ),
        act(
            "product.delete",
            Method::DELETE,
            "/products/fresh",
            gone.clone(),
            json!({"slug": "fresh", "name": "Fresh v2"}),
        ),
        // The entry of the one that lifts a restriction says which one that was.
        act(
            "client.change",
            Method::PATCH,
            &client,
            json!({"label": "erp 2", "products": null, "token_networks": [], "token_lifetime_seconds": 60}),
            json!({
                "changed": ["label", "products", "token_lifetime_seconds", "token_networks"],
                "from": {"label": "erp", "products": ["gst"], "token_lifetime_seconds": 3600, "token_networks": ["10.0.0.0/8"]},
                "to": {"label": "erp 2", "products": null, "token_lifetime_seconds": 60, "token_networks": []},
            }),
        ),
        act(
            "client.change",
            Method::PATCH,
            &client,
            json!({"secret_networks": ["192.0.2.1"], "notification_emails": ["a@example.com"], "on_repeat": "return",
                   "renew_before_seconds": 5, "handover_max_seconds": 9}),
            json!({
                "from": {"secret_networks": [], "notification_emails": [], "on_repeat": "replace", "renew_before_seconds": 600, "handover_max_seconds": 0},
                "to": {"secret_networks": ["192.0.2.1/32"], "notification_emails": ["a@example.com"], "on_repeat": "return",
                       "renew_before_seconds": 5, "handover_max_seconds": 9},
            }),
        ),
        act(
            "client.disable",
            Method::POST,
            &format!("{client}/disable"),
            gone.clone(),
            json!({"label": "erp 2"}),
        ),
        act(
            "client.enable",
            Method::POST,
            &format!("{client}/enable"),
            gone.clone(),
            json!({"label": "erp 2"}),
        ),
        act(
            "secret.create",
            Method::POST,
            &format!("{client}/secrets"),
            gone.clone(),
            json!({"n": 2}),
        ),
        act(
            "secret.delete",
            Method::DELETE,
            &format!("{client}/secrets/1"),
            gone.clone(),
            json!({"n": 1}),
        ),
        act(
            "token.generate",
            Method::POST,
            &format!("{client}/token"),
            gone.clone(),
            json!({"generation": 1}),
        ),
        act(
            "token.revoke",
            Method::DELETE,
            &format!("{client}/token"),
            gone.clone(),
            json!({"generation": 1}),
        ),
        act(
            "client.delete",
            Method::DELETE,
            &format!("{client}?label=erp%202"),
            gone.clone(),
            json!({"label": "erp 2"}),
        ),
        act(
            "webhook.disable",
            Method::PATCH,
            &hook,
            json!({"disabled": true}),
            json!({"url": url}),
        ),
        act(
            "webhook.enable",
            Method::PATCH,
            &hook,
            json!({"disabled": false}),
            json!({"url": url}),
        ),
        act(
            "webhook.rotate",
            Method::POST,
            &format!("{hook}/secret"),
            gone.clone(),
            json!({"url": url}),
        ),
        act(
            "webhook.test",
            Method::POST,
            &format!("{hook}/test"),
            gone.clone(),
            json!({"url": url}),
        ),
        act(
            "webhook.preferences",
            Method::PATCH,
            &hook,
            json!({"preferences": [{"event": "client.unused", "delivery": "off"}]}),
            json!({"url": url, "from": {"client.unused": "immediate"}, "to": {"client.unused": "off"}}),
        ),
        act(
            "webhook.delete",
            Method::DELETE,
            &hook,
            gone.clone(),
            json!({"url": url}),
        ),
        act(
            "admin_key.revoke",
            Method::DELETE,
            &key,
            gone.clone(),
            json!({"name": "night job"}),
        ),
    ];
    for act in &table {
        done.insert(act.action);
        house.acts(act).await;
    }
    assert_eq!(
        done.len(),
        22,
        "every act of the API but those on members: {done:?}"
    );
}
