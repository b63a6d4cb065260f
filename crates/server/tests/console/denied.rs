//! One denied request behind the figures: found by its ids, by those who may see its client; and what a check answers to
//! a pasted token.

use crate::house::{Browser, House, Page, done, expect};
use reqwest::Method;
use tokenward_testkit::{ApiClient, NewClient, expect_json, expect_status};

/// Sends what somebody types into the search box.
async fn search(browser: &Browser, typed: &str) -> Page {
    browser.send("/console/search", &[("q", typed)]).await
}

fn error_id(answer: &tokenward_testkit::Answer) -> String {
    let body = answer.json();
    body["errors"][0]["error_id"].as_str().unwrap().to_owned()
}

/// A client whose token was revoked, and its token.
async fn revoked(house: &House, workspace: &str) -> (ApiClient, String) {
    house.api.product("gst", "GST").await.unwrap();
    let client = house
        .api
        .client(workspace, NewClient::sandbox("erp"))
        .await
        .unwrap();
    let made = expect_json(house.api.generate(&client.secret), 200).await;
    let token = made["access_token"].as_str().unwrap().to_owned();
    house.api.revoke(&client.id).await.unwrap().expect(200);
    (client, token)
}

#[tokio::test]
async fn a_denied_request_is_found_by_its_error_id_and_by_its_request_id() {
    let (house, operator, acme) = House::with_workspace().await;
    let (client, token) = revoked(&house, &acme).await;
    let denied = expect_status(house.api.check("sandbox", "gst", &token), 401).await;
    let id = error_id(&denied);
    let page = expect(search(&operator, &format!(" {id} ")), 200, "TOKEN_REVOKED").await;
    let link = format!("href=\"/console/clients/{}\">erp</a>", client.id);
    page.says(&[&link, "gst (sandbox)", "127.0.0.1", &id]);
    page.lacks("not verified");
    let own = operator
        .get(&format!("/console/clients/{}", client.id))
        .await;
    own.expect(200, &format!("<code>{id}</code>"));
    // A token that somebody made up in the client's name is told apart.
    let made_up = format!("{}{}", &token[..token.len() - 64], "0".repeat(64));
    expect_status(house.api.check("sandbox", "gst", &made_up), 401).await;
    // A request of a token: by its error_id, and by the id of the request.
    let wrong = client
        .secret
        .replace("tw-secret.sandbox", "tw-secret.production");
    let refused = house.api.generate(&wrong).await.unwrap().expect(401);
    let request = refused.header("x-request-id").to_owned();
    for id in [error_id(&refused), request] {
        expect(search(&operator, &id), 200, "CLIENT_SECRET_INVALID").await;
    }
    // What no request has leads nowhere; a client's id, or a credential's public part, to the client.
    let nothing = "00000000-0000-4000-8000-000000000000";
    for typed in [nothing, "erp", ""] {
        expect(search(&operator, typed), 200, "No results").await;
    }
    let public = &token[..token.len() - 65];
    for typed in [client.id.as_str(), public, &token] {
        let answer = expect(search(&operator, typed), 303, "").await;
        assert_eq!(answer.location(), format!("/console/clients/{}", client.id));
    }
}

#[tokio::test]
async fn a_denied_request_is_shown_to_those_who_see_its_client() {
    let (house, operator) = House::with_operator().await;
    let (acme, far) = (house.workspace("Acme").await, house.workspace("Far").await);
    let (client, token) = revoked(&house, &acme).await;
    let denied = expect_status(house.api.check("sandbox", "gst", &token), 401).await;
    let unknown = expect_status(house.api.check("sandbox", "gst", "no-token"), 401).await;
    let role = |workspace| [("role", "workspace_admin"), ("workspace_id", workspace)];
    let own = house
        .invited(&operator, "own@example.com", &role(&acme))
        .await;
    let other = house
        .invited(&operator, "other@example.com", &role(&far))
        .await;
    expect(search(&own, &error_id(&denied)), 200, "TOKEN_REVOKED").await;
    search(&operator, &error_id(&unknown))
        .await
        .expect(200, "TOKEN_MALFORMED");
    expect(search(&own, &error_id(&unknown)), 200, "No results").await;
    for typed in [error_id(&denied), client.id.clone(), token.clone()] {
        let page = expect(search(&other, &typed), 200, "No results").await;
        page.lacks("erp");
    }
    let form = [("token", token.as_str()), ("product", "gst")];
    let page = other.send("/console/inspect", &form).await;
    page.expect(422, "belong to an API client that you have access to");
}

#[tokio::test]
async fn a_pasted_token_is_tested_and_neither_shown_nor_counted() {
    let (house, operator, acme) = House::with_workspace().await;
    let (client, old) = revoked(&house, &acme).await;
    let made = expect_json(house.api.generate(&client.secret), 200).await;
    let token = made["access_token"].as_str().unwrap();
    let test = async |token: &str, product: &str| {
        let form = [("token", token), ("product", product)];
        let page = operator.send("/console/inspect", &form).await;
        page.lacks(token);
        page
    };
    expect(test(token, "gst"), 200, "permits this request").await;
    expect(test(token, "unknown"), 200, "PRODUCT_UNKNOWN").await;
    expect(test(&old, "gst"), 200, "<strong>401 TOKEN_").await;
    test(&client.secret, "gst")
        .await
        .expect(200, "This is client secret 1 of");
    expect(test("nonsense", "gst"), 422, "access token, or it").await;
    let page = operator
        .get(&format!("/console/clients/{}", client.id))
        .await;
    let page = page.expect(200, "<dt>Last used</dt><dd>Never</dd>");
    page.says(&["No API requests yet"]);
    // The page that shows a new token once leads there.
    let generation = made["generation"].to_string();
    let path = format!("/console/clients/{}/generate", client.id);
    let once = operator.send(&path, &[("generation", &generation)]).await;
    let once = once.expect(200, "Test it");
    let token = once.hidden("token");
    expect(test(&token, "gst"), 200, "permits this request").await;
    let list = house
        .api
        .admin(Method::GET, &format!("/clients/{}/usage", client.id));
    let usage = house.api.send(list).await.unwrap().expect(200).body;
    assert!(!usage.contains("PERMIT"), "{usage}");
}

#[tokio::test]
async fn audit_log_is_filtered_by_names() {
    let (house, operator, acme) = House::with_workspace().await;
    house.client(&acme, "erp", None).await;
    done(&operator, "/console/workspaces/new", &[("name", "Mine")]).await;
    let filtered = async |query: &str| operator.get(&format!("/console/audit?{query}")).await;
    for query in ["actor=somebody", "actor=ASHA%40example.com"] {
        let page = expect(filtered(query), 200, "</strong> created workspace").await;
        page.says(&["/overview\">Mine</a>"]);
        page.lacks("/overview\">Acme</a>");
    }
    let page = filtered("actor=First+operator")
        .await
        .expect(200, "</strong> created API client");
    page.lacks("/overview\">Mine</a>");
    let page = expect(filtered("client=erp"), 200, "</strong> created API client").await;
    page.lacks("</strong> created workspace");
    for query in "actor=nobody+here client=nothing workspace=x from=x".split(' ') {
        expect(filtered(query), 200, "class=\"faults\"").await;
    }
    // All that can't be understood is shown at once, each with its field.
    let page = filtered("actor=nobody+here&client=nothing&to=2026-02-30").await;
    for field in ["actor", "client", "to"] {
        let link = format!("href=\"#{field}\"");
        assert!(page.text.contains(&link), "{field}\n{}", page.text);
    }
}

#[tokio::test]
async fn audit_log_is_filtered_by_days_and_exported_as_shown() {
    let (house, operator) = House::with_operator().await;
    house.workspace("Old").await;
    // Two days pass.
    house.in_database("UPDATE audit SET at = at - 172800000000");
    house.workspace("New").await;
    let find = async |path: &str, query: &str| {
        let page = operator.get(&format!("/console/{path}?{query}")).await;
        let text = page.expect(200, "").text;
        // The filter's form names every workspace.
        text.split("</form>").last().unwrap().to_owned()
    };
    let page = find("audit", "action=workspace.create").await;
    let new = page.find("datetime=\"").unwrap() + "datetime=\"".len();
    let today = page[new..new + 10].to_owned();
    let from = format!("action=workspace.create&from={today}");
    let to = format!("action=workspace.create&to={today}");
    for path in ["audit", "audit/export.csv", "audit/export.jsonl"] {
        let page = find(path, &from).await;
        assert!(
            page.contains("New") && !page.contains("Old"),
            "{path} {page}"
        );
        let page = find(path, &to).await;
        assert!(
            page.contains("New") && page.contains("Old"),
            "{path} {page}"
        );
        let page = find(path, "action=workspace.create&to=2020-01-01").await;
        assert!(
            !page.contains("New") && !page.contains("Old"),
            "{path} {page}"
        );
    }
}
