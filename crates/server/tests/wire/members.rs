//! Members and invitations by the admin API: the link, what becomes of it, what is refused, and what no answer holds.

use crate::house::House;
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{expect_error, expect_json, text};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const PASSWORD: &str = "plum-tractor-7-galaxy";

impl House {
    /// Somebody invited as an auditor of a workspace: the invitation's id and the link's path.
    pub(crate) async fn invited(&self, email: &str, workspace: &str) -> (String, String) {
        let body = json!({ "email": email, "role": "auditor", "workspace_id": workspace });
        let made = expect_json(self.admin(Method::POST, "/members", &body), 201).await;
        (text(&made, "/invitation/id"), text(&made, "/join_path"))
    }

    /// What the page behind a link answers to somebody who joins.
    async fn join(&self, path: &str) -> u16 {
        let form = [
            ("name", "Somebody"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        let request = self.api.public(Method::POST, path).form(&form);
        let request = request.header("sec-fetch-site", "same-origin");
        self.send(request).await.status
    }

    async fn by_email(&self, list: &str, email: &str) -> Option<Value> {
        let all = self.api.items(list).await;
        all.into_iter().find(|one| one["email"] == email)
    }

    /// An enabled auditor of a workspace, made where there is none.
    pub(crate) async fn member(&self, email: &str, workspace: &str) -> String {
        let known = self.by_email("/members", email).await;
        let Some(known) = known else {
            let (_, path) = self.invited(email, workspace).await;
            assert!(matches!(self.join(&path).await, 200..=303));
            let made = self.by_email("/members", email).await.expect("a member");
            return text(&made, "/id");
        };
        let id = text(&known, "/id");
        let again = json!({ "role": "auditor", "workspace_id": workspace, "disabled": false });
        let path = format!("/members/{id}");
        self.admin(Method::PATCH, &path, &again).await.expect(200);
        id
    }
}

#[tokio::test]
async fn somebody_is_invited_joins_is_changed_and_leaves() {
    let house = House::new().await;
    let body = json!({ "email": " Asha@Example.com", "role": "product_admin", "workspace_id": house.acme, "products": ["gst"] });
    let made = house.admin(Method::POST, "/members", &body).await;
    let mut shown = made.expect(201).json();
    let link = shown["join_path"].take().as_str().unwrap().to_owned();
    assert!(link.starts_with("/console/join/"), "{link}");
    assert_eq!(link.len(), 57, "{link}");
    let list = house.ask(Method::GET, "/invitations").await;
    assert!(!list.body.contains(&link["/console/join/".len()..]));
    let invited = house.by_email("/invitations", "asha@example.com").await;
    assert_eq!(invited, Some(shown["invitation"].take()));

    assert!(matches!(house.join(&link).await, 200..=303));
    assert_eq!(house.join(&link).await, 404, "a link works once");
    let invited = house.by_email("/invitations", "asha@example.com").await;
    assert_eq!(invited, None);
    let member = house.by_email("/members", "asha@example.com").await;
    let member = member.unwrap();
    let path = format!("/members/{}", text(&member, "/id"));
    let one = house.ask(Method::GET, &path).await;
    assert_snapshot!(seen(&one), @r#"200 {"created_at":"[time]","disabled":false,"disabled_at":null,"email":"asha@example.com","has_authenticator_app":false,"has_password":true,"id":"[uuid]","name":"Somebody","passkeys":0,"products":["gst"],"role":"product_admin","single_sign_on":false,"workspace_id":"[uuid]"}"#);
    assert_eq!(one.json(), member);

    let change = json!({ "role": "operator", "disabled": true });
    let changed = house.admin(Method::PATCH, &path, &change).await;
    let mut changed = changed.expect(200).json();
    let raised = changed["join_path"].take();
    assert!(raised.as_str().unwrap().starts_with("/console/join/"));
    assert_eq!(changed["role"], "operator");
    assert_eq!(changed["disabled"], true);
    assert_eq!(changed["workspace_id"], Value::Null);
    assert_eq!(changed["products"], Value::Null);
    let same = house.admin(Method::PATCH, &path, &json!({})).await;
    assert_eq!(same.expect(200).json(), changed);
    house.ask(Method::DELETE, &path).await.expect(204);
    expect_error(house.ask(Method::GET, &path), 404, "NOT_FOUND").await;
    let told = house.actions().await;
    for action in "member.invite member.join member.change member.remove".split(' ') {
        assert!(told.iter().any(|told| told == action), "{action}: {told:?}");
    }
    let audit = house.ask(Method::GET, "/audit?limit=1000").await.body;
    assert!(!audit.contains("argon2") && !audit.contains(&link));
}

#[tokio::test]
async fn a_member_is_let_back_in_only_as_what_they_are() {
    let house = House::new().await;
    let id = house.member("asha@example.com", &house.acme).await;
    let other = json!({ "email": "asha@example.com", "role": "operator" });
    let refused = house.admin(Method::POST, "/members", &other).await;
    assert_snapshot!(seen(&refused), @"409 MEMBER_EXISTS (The state does not allow this): Not done: there is a member with this address; change their role instead.");
    let (_, older) = house.invited("asha@example.com", &house.acme).await;
    let (_, newer) = house.invited("ASHA@example.com", &house.acme).await;
    assert_eq!(house.join(&older).await, 404, "a newer link ends the older");
    assert!(matches!(house.join(&newer).await, 200..=303));
    assert_eq!(house.member("asha@example.com", &house.acme).await, id);
}

#[tokio::test]
async fn a_link_ends_with_what_it_was_made_for() {
    let house = House::new().await;
    let id = house.member("asha@example.com", &house.acme).await;
    let path = format!("/members/{id}");
    // Its maker would otherwise become what the member was made since.
    let (_, link) = house.invited("asha@example.com", &house.acme).await;
    let change = json!({ "role": "operator" });
    house.admin(Method::PATCH, &path, &change).await.expect(200);
    assert_eq!(house.join(&link).await, 404);

    house.member("asha@example.com", &house.acme).await;
    let (_, link) = house.invited("asha@example.com", &house.acme).await;
    house.ask(Method::DELETE, &path).await.expect(204);
    assert_eq!(house.join(&link).await, 404, "who was removed stays out");

    let (invitation, link) = house.invited("ravi@example.com", &house.acme).await;
    let invitation = format!("/invitations/{invitation}");
    house.ask(Method::DELETE, &invitation).await.expect(204);
    assert_eq!(house.join(&link).await, 404);
    expect_error(house.ask(Method::DELETE, &invitation), 404, "NOT_FOUND").await;
}

#[tokio::test]
async fn what_is_no_invitation_and_no_change_is_refused() {
    let house = House::new().await;
    let acme = &house.acme;
    for (body, field) in [
        (json!({ "email": "a@b", "role": "king" }), "role"),
        (
            json!({ "email": "a@b", "role": "operator", "workspace_id": acme }),
            "workspace_id",
        ),
        (
            json!({ "email": "a@b", "role": "workspace_admin" }),
            "workspace_id",
        ),
        (
            json!({ "email": "a@b", "role": "workspace_admin", "workspace_id": NOBODY }),
            "workspace_id",
        ),
        (
            json!({ "email": "a@b", "role": "product_admin", "workspace_id": acme }),
            "products",
        ),
        (
            json!({ "email": "a@b", "role": "product_admin", "workspace_id": acme, "products": ["nothing"] }),
            "products",
        ),
        (
            json!({ "email": "a@b", "role": "auditor", "products": ["gst"] }),
            "products",
        ),
        (json!({ "email": "", "role": "operator" }), "email"),
        (json!({ "email": "nobody", "role": "operator" }), "email"),
        (json!({ "email": "a@b, c@d", "role": "operator" }), "email"),
        (json!({ "email": "a@b@c", "role": "operator" }), "email"),
        (
            json!({ "email": format!("a@{}", "b".repeat(300)), "role": "operator" }),
            "email",
        ),
        (
            json!({ "email": "a@b", "role": "operator", "password": "x" }),
            "",
        ),
        (json!({ "role": "operator" }), ""),
        (json!([]), ""),
    ] {
        let refused = house.admin(Method::POST, "/members", &body).await;
        let refused = refused.expect_error(400, "INVALID_REQUEST").json();
        let told = refused["field"].as_str().unwrap_or("");
        assert_eq!(told, field, "{body}: {refused}");
    }
    let id = house.member("asha@example.com", acme).await;
    let path = format!("/members/{id}");
    let before = house.ask(Method::GET, &path).await.expect(200).json();
    for body in [
        json!({ "role": "king" }),
        json!({ "role": "workspace_admin" }),
        json!({ "role": "workspace_admin", "workspace_id": NOBODY }),
        json!({ "workspace_id": acme }),
        json!({ "products": ["gst"] }),
        json!({ "email": "other@example.com" }),
        json!({ "has_password": false }),
        json!({ "disabled": "yes" }),
    ] {
        let refused = house.admin(Method::PATCH, &path, &body).await;
        refused.expect_error(400, "INVALID_REQUEST");
    }
    let after = expect_json(house.ask(Method::GET, &path), 200).await;
    assert_eq!(after, before);
    for path in [
        "/members/me",
        &format!("/members/{NOBODY}"),
        &format!("/invitations/{NOBODY}"),
    ] {
        expect_error(house.ask(Method::DELETE, path), 404, "NOT_FOUND").await;
    }
}
