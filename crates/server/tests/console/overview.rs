//! What the overview of a workspace shows, and to whom.

use crate::house::{House, shows};
use reqwest::Method;
use serde_json::json;
use tokenward_testkit::{NewClient, Server, expect_status};

#[tokio::test]
async fn overview_counts_clients_by_state_and_lists_those_that_need_attention() {
    let house = House::of(Server::builder().arg("--quota-per-day=5").start());
    let operator = house.operator().await;
    let acme = house.workspace("Acme").await;
    let path = format!("/console/w/{acme}/overview");
    shows(&operator, &path, "No API clients yet").await;
    house.client(&acme, "quiet", None).await;
    let busy = house.api.client(&acme, NewClient::sandbox("busy")).await;
    let busy = busy.unwrap();
    let page = shows(&operator, &path, "Nothing needs attention").await;
    let count =
        |n: u32, words: &str| format!("<strong>{n}</strong> <span class=\"state {words}</span>");
    page.says(&[&count(2, "idle\">No token yet")]);
    let first = house.api.generate(&busy.secret).await.unwrap().expect(200);
    let first = first.json()["access_token"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        house.api.generate(&busy.secret).await.unwrap().expect(200);
    }
    house.api.check("sandbox", "gst", &first).await.unwrap();
    let page = shows(&operator, &path, "4 of 5 tokens requested today").await;
    for says in [count(1, "idle\">No token yet"), count(1, "good\">Active")] {
        assert!(page.text.contains(&says), "{says}\n{}", page.text);
    }
    page.lacks("quiet</a></th>");
    // The audit log as prose, with a link.
    let link = format!(
        "created API client <a href=\"/console/clients/{}\">busy</a>",
        busy.id
    );
    page.says(&[&link]);
}

#[tokio::test]
async fn overview_shows_nobody_more_than_the_lists_do() {
    let (house, operator) = House::with_operator().await;
    house.api.product("gst", "GST").await.unwrap();
    let (acme, far) = (house.workspace("Acme").await, house.workspace("Far").await);
    house.client(&acme, "not-theirs", None).await;
    let path = format!(
        "/clients/{}/disable",
        house.client(&acme, "theirs", Some(&["gst"])).await
    );
    expect_status(house.api.tell(Method::POST, &path, &json!({})), 200).await;
    let role = [
        ("role", "product_admin"),
        ("workspace_id", &acme),
        ("products", "gst"),
    ];
    let theirs = house.invited(&operator, "p@example.com", &role).await;
    let page = theirs.get(&format!("/console/w/{acme}/overview")).await;
    let page = page.expect(200, "Nothing needs attention");
    for hidden in ["not-theirs", "No token yet", "Recent activity"] {
        page.lacks(hidden);
    }
    let role = [("role", "workspace_admin"), ("workspace_id", far.as_str())];
    let other = house.invited(&operator, "w@example.com", &role).await;
    let page = other.get(&format!("/console/w/{acme}/overview")).await;
    page.expect(404, "There is no such workspace");
    let page = shows(&other, "/console/workspaces", "Far").await;
    for hidden in ["Acme", "Token checks operational", "Recent activity"] {
        page.lacks(hidden);
    }
}
