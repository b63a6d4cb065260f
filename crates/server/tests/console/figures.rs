//! What pages and metrics tell: quotas, the last use of admin keys, sign-ins.

use crate::house::{House, Page, expect, shows};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{NewClient, Server, assert_contains, expect_status, text};

/// Sends one request of the admin API; the body of its good answer.
async fn admin(house: &House, method: Method, path: &str, body: &Value) -> Value {
    let answer = house.api.tell(method, path, body).await.unwrap();
    assert!(answer.status < 300, "{path}: {answer:?}");
    answer.json()
}

/// The page's text without its markup, blanks run together.
fn words(page: &Page) -> String {
    let mut text = String::new();
    for part in page.text.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, rest)| rest));
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn usage_is_drawn_for_a_span_of_time_and_exported() {
    let (house, operator, acme) = House::with_workspace().await;
    let client = house.api.client(&acme, NewClient::sandbox("erp")).await;
    let client = client.unwrap();
    expect_status(house.api.generate(&client.secret), 200).await;
    let page = format!("/console/clients/{}", client.id);
    let shown = shows(&operator, &page, "Usage, last 35 days").await;
    let bars = |text: &str| text.matches("<g class=\"bar\">").count();
    assert_eq!(bars(&shown.text), 35, "of the one chart with figures");
    // The axis has numbers, and each bar its values.
    shown.says(&[
        "<span>2</span><span>1</span><span>0</span>",
        "Generated 1</title>",
    ]);
    let week = shows(&operator, &format!("{page}?range=7d"), "Usage, last 7 days").await;
    assert_eq!(bars(&week.text), 7);
    let day = operator.get(&format!("{page}?range=24h")).await;
    let day = day.expect(200, "Usage, last 24 hours");
    assert_eq!(bars(&day.text), 24);
    day.says(&["<span>this hour</span>", ":00: Generated 1</title>"]);
    let csv = operator.get(&format!("{page}/usage.csv?range=24h")).await;
    let csv = csv.expect(200, "hour,product,result,count\n");
    assert!(csv.text.ends_with(":00:00Z,,GENERATED,1\n"), "{}", csv.text);
    let csv = operator.get(&format!("{page}/usage.csv?range=7d")).await;
    let csv = csv.expect(200, "day,product,result,count\n");
    assert!(csv.text.ends_with(",,GENERATED,1\n"), "{}", csv.text);
    let far = house.workspace("Far").await;
    let role = [("role", "workspace_admin"), ("workspace_id", far.as_str())];
    let other = house.invited(&operator, "w@example.com", &role).await;
    expect(other.get(&format!("{page}/usage.csv")), 404, "").await;
}

#[tokio::test]
async fn list_page_and_api_tell_one_quota() {
    let house = House::of(Server::builder().arg("--quota-per-day=5").start());
    let operator = house.operator().await;
    let acme = house.workspace("Acme").await;
    let erp = house.api.client(&acme, NewClient::sandbox("erp")).await;
    let erp = erp.unwrap();
    // A day that ends meanwhile begins new counts.
    loop {
        let status = house.api.authz(Method::GET, "/status", &erp.secret);
        let answer = house.api.send(status).await.unwrap();
        let left = answer.header("ratelimit").rsplit_once("t=").unwrap().1;
        if left.parse::<u64>().unwrap() > 60 {
            break;
        }
    }
    let told = async |used: &[(u64, u64)]| {
        let most = used.iter().map(|(_, used)| *used).max().unwrap();
        let list = operator.get(&format!("/console/w/{acme}/sandbox")).await;
        assert_contains(&words(&list), &format!(" {most} of 5 "));
        let page = words(&operator.get(&format!("/console/clients/{}", erp.id)).await);
        let shown = house.api.read_client(&erp.id).await.unwrap().json();
        for (n, used) in used {
            let secret = page.split(&format!("Secret {n} ")).nth(1).unwrap_or("");
            let line = secret.split(" tokens today").next().unwrap();
            assert!(line.ends_with(&format!(" {used} of 5")), "{n}: {page}");
            let secrets = shown["secrets"].as_array().unwrap();
            let one = secrets.iter().find(|one| one["n"] == *n).unwrap();
            assert_eq!(one["quota_used_today"], *used, "{shown}");
        }
    };
    for _ in 0..4 {
        house.api.generate(&erp.secret).await.unwrap().expect(200);
    }
    told(&[(1, 4)]).await;
    let secrets = format!("/clients/{}/secrets", erp.id);
    let second = admin(&house, Method::POST, &secrets, &json!({})).await;
    let second = second["client_secret"].as_str().unwrap();
    house.api.generate(second).await.unwrap().expect(200);
    told(&[(1, 4), (2, 1)]).await;
    // The deleted secret's count is nobody's, until another secret takes its place.
    admin(&house, Method::DELETE, &format!("{secrets}/1"), &json!({})).await;
    told(&[(2, 1)]).await;
    admin(&house, Method::POST, &secrets, &json!({})).await;
    told(&[(2, 1), (3, 4)]).await;
}

#[tokio::test]
async fn admin_keys_page_tells_last_use_and_the_first_key() {
    let (house, operator) = House::with_operator().await;
    let new = json!({ "name": "night job", "role": "operator" });
    let made = admin(&house, Method::POST, "/admin-keys", &new).await;
    let page = shows(&operator, "/console/admin-keys", "").await;
    let reminder =
        "The admin key “First operator” was created at the first start and is still active.";
    assert!(words(&page).contains(reminder), "{}", words(&page));
    let rows = |page: &Page| -> Vec<String> {
        let text = page.text.split("<tr>").skip(2);
        text.map(|row| {
            let used = row.split("data-label=\"Last used\">").nth(1).unwrap();
            let name = row.split("data-label=\"Name\">").nth(1).unwrap();
            let until = |text: &str, end: &str| text.split(end).next().unwrap().to_owned();
            let used = until(used, "</td>");
            let from = used.contains("from 127.0.0.1") && used.contains("<time ");
            format!(
                "{} {}",
                until(name, "<"),
                if from { "used" } else { used.as_str() }
            )
        })
        .collect()
    };
    let mut told = rows(&page);
    told.sort();
    assert_eq!(told, ["First operator used", "night job never"]);
    let other = house.api.with_admin_key(made["key"].as_str().unwrap());
    let mut keys = other.items("/admin-keys").await;
    keys.retain(|key| key["name"] == "First operator");
    let first = text(&keys[0], "/id");
    let link = format!("href=\"/console/admin-keys/{first}/revoke\">revoke it</a>");
    page.says(&[&link]);
    let revoke = format!("/admin-keys/{first}");
    expect_status(other.ask(Method::DELETE, &revoke), 200).await;
    let page = shows(&operator, "/console/admin-keys", "").await;
    assert!(!words(&page).contains("created at the first start"));
    let mut told = rows(&page);
    told.sort();
    assert_eq!(told, ["First operator used", "night job used"]);
}

#[tokio::test]
async fn sign_ins_are_counted_by_method() {
    let house = House::new().await;
    let count = async |method: &str| {
        let series = format!("tokenward_sign_ins_total{{method=\"{method}\"}}");
        house.api.figure(&series).await.unwrap_or_default()
    };
    house.operator().await;
    let before = count("password").await;
    expect(house.signed_in("asha@example.com"), 303, "").await;
    assert_eq!(Some(count("password").await), Some(before + 1.0));
    let wrong = [("email", "asha@example.com"), ("password", "wrong-one-7")];
    let refused = house.stranger().post("/console/sign-in", &wrong).await;
    assert_eq!(refused.status, 401);
    assert_eq!(Some(count("password").await), Some(before + 1.0));
}
