//! Invitations: each gives its own role to its own address and nothing else, whatever other links exist.

use crate::authority::as_opened;
use crate::house::{Browser, House, PASSWORD, Page, expect, shows};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Api, expect_error, expect_json, text};

const MALLORYS: &str = "copper-violin-93-meadow";

/// A caller with an admin key of its own.
pub(crate) async fn key(api: &Api, body: Value) -> Api {
    let made = expect_json(api.tell(Method::POST, "/admin-keys", &body), 201).await;
    api.with_admin_key(&text(&made, "/key"))
}

/// An admin key that administers one workspace.
pub(crate) async fn workspace_key(house: &House, workspace: &str) -> Api {
    let role = json!({ "name": "w", "role": "workspace_admin", "workspace_id": workspace });
    key(&house.api, role).await
}

/// Invites by the API; answers the link's path.
pub(crate) async fn invite(api: &Api, body: Value) -> String {
    let made = expect_json(api.tell(Method::POST, "/members", &body), 201).await;
    text(&made, "/join_path")
}

/// Uses a link, with a password; answers the status.
async fn join(house: &House, link: &str, email: &str, password: &str) -> u16 {
    let form = [
        ("email", email),
        ("name", "Somebody"),
        ("password", password),
        ("password_again", password),
    ];
    house.stranger().post(link, &form).await.status.as_u16()
}

/// Every member as `email role`, sorted.
async fn members(house: &House) -> Vec<String> {
    let all = house.api.items("/members").await;
    let line = |member: &Value| format!("{} {}", text(member, "/email"), text(member, "/role"));
    let mut all: Vec<String> = all.iter().map(line).collect();
    all.sort();
    all
}

/// Sends a form that was opened a moment ago.
async fn edit(person: &Browser, path: &str, fields: &[(&'static str, &str)]) -> Page {
    let mut form = as_opened(person, path).await;
    let fields = fields
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    form.extend(fields);
    person.send_owned(path, &form).await
}

async fn may_see_keys(browser: &Browser) -> u16 {
    browser.get("/console/admin-keys").await.status.as_u16()
}

#[tokio::test]
async fn older_invitation_does_not_take_over_the_first_operator() {
    let house = House::new().await;
    let acme = house.workspace("acme").await;
    let admin = workspace_key(&house, &acme).await;
    // By a workspace admin, and by the operator's own script.
    let body = json!({ "email": "boss@corp.example", "role": "auditor", "workspace_id": acme });
    let planted = invite(&admin, body).await;
    let boss = house.joined(&house.link(), "boss@corp.example").await;
    // The link ended when its address joined.
    assert_eq!(join(&house, &planted, "", MALLORYS).await, 404);
    assert_eq!(members(&house).await, ["boss@corp.example operator"]);
    assert_eq!(may_see_keys(&boss).await, 200);
    expect(house.signed_in("boss@corp.example"), 303, "").await;
}

#[tokio::test]
async fn invitation_gives_its_own_role_and_joining_ends_the_others_for_the_address() {
    let (house, operator) = House::with_operator().await;
    let (acme, other) = house.two_workspaces().await;
    // Made for an address that joins meanwhile by the first operator's link or by another invitation.
    let of = |role: &str, workspace: &str| json!({ "email": "bob@b.example", "role": role, "workspace_id": workspace });
    let near = workspace_key(&house, &acme).await;
    let far = workspace_key(&house, &other).await;
    let low = invite(&near, of("auditor", &acme)).await;
    let high = invite(&far, of("workspace_admin", &other)).await;
    assert_eq!(join(&house, &high, "", PASSWORD).await, 303);
    let now = ["asha@example.com operator", "bob@b.example workspace_admin"];
    assert_eq!(members(&house).await, now);
    assert_eq!(join(&house, &low, "", MALLORYS).await, 404);
    assert_eq!(members(&house).await, now);
    expect(house.signed_in("bob@b.example"), 303, "").await;
    let page = shows(&operator, "/console/members", "bob").await;
    assert!(page.ids("/console/invitations/").is_empty());
}

#[tokio::test]
async fn first_link_stays_until_there_is_an_operator() {
    let mut house = House::new().await;
    let acme = house.workspace("acme").await;
    let body = json!({ "email": "early@example.com", "role": "auditor", "workspace_id": acme });
    let early = invite(&house.api, body).await;
    assert_eq!(join(&house, &early, "", PASSWORD).await, 303);
    shows(&house.stranger(), &house.link(), "").await;
    house.restart();
    // An address of a member with another role is not made an operator by it.
    let link = house.link();
    let early = join(&house, &link, "early@example.com", MALLORYS).await;
    assert_eq!(early, 422);
    expect(house.signed_in("early@example.com"), 303, "").await;
    let one = |n: u32| {
        let (house, link) = (&house, link.as_str());
        async move { join(house, link, &format!("first{n}@example.com"), PASSWORD).await }
    };
    let (a, b, c, d) = tokio::join!(one(1), one(2), one(3), one(4));
    let joined = [a, b, c, d].into_iter().filter(|status| *status == 303);
    assert_eq!(joined.count(), 1, "{a} {b} {c} {d}");
    expect(house.stranger().get(&link), 404, "").await;
    house.restart();
    assert!(!house.server.data_dir().join("console-link").exists());
}

/// The members' own view of a workspace: ids of invitations by address.
async fn invited(api: &Api) -> Vec<String> {
    let all = api.items("/invitations").await;
    let email = |one: &Value| Some(one["email"].as_str()?.to_owned());
    let mut all: Vec<String> = all.iter().filter_map(email).collect();
    all.sort();
    all
}

/// The actions of the audit log as a caller sees it.
async fn audited(api: &Api) -> Vec<String> {
    let entries = api.items("/audit?limit=1000").await;
    entries.iter().map(|one| text(one, "/action")).collect()
}

#[tokio::test]
async fn workspace_admin_ends_no_invitation_of_others_and_learns_no_member() {
    let house = House::new().await;
    house.operator().await;
    let (acme, other) = house.two_workspaces().await;
    let near = workspace_key(&house, &acme).await;
    let far = workspace_key(&house, &other).await;
    let of = |email: &str, role: &str, workspace: Option<&str>| json!({ "email": email, "role": role, "workspace_id": workspace });
    let dora = invite(&far, of("dora@b.example", "auditor", Some(&other))).await;
    assert_eq!(join(&house, &dora, "", PASSWORD).await, 303);
    let bob = invite(&far, of("bob@b.example", "workspace_admin", Some(&other))).await;
    let carol = invite(&house.api, of("carol@corp.example", "operator", None)).await;

    // An operator, a member and two invited elsewhere, and nobody: the answers are alike.
    let emails = [
        "asha@example.com",
        "dora@b.example",
        "bob@b.example",
        "carol@corp.example",
        "nobody@nowhere.example",
    ];
    let mut links = Vec::new();
    for email in emails {
        let body = of(email, "auditor", Some(&acme));
        links.push(invite(&near, body).await);
    }
    let mut sorted = emails.to_vec();
    sorted.sort_unstable();
    assert_eq!(invited(&near).await, sorted);
    let again = of("bob@b.example", "auditor", Some(&acme));
    let newer = invite(&near, again).await;
    // A newer replaces one's own older.
    assert_eq!(invited(&near).await, sorted);
    expect(house.stranger().get(&links[2]), 404, "").await;
    for link in [&bob, &carol, &newer, &links[0], &links[1]] {
        shows(&house.stranger(), link, "You").await;
    }
    let all = invited(&house.api).await;
    let bobs = all.iter().filter(|email| *email == "bob@b.example").count();
    assert_eq!((bobs, all.len()), (2, 7), "{all:?}");

    // The link for a member elsewhere makes nothing of them, and where they belong it is audited.
    assert_eq!(join(&house, &links[1], "", MALLORYS).await, 404);
    assert_eq!(join(&house, &links[1], "", MALLORYS).await, 404);
    expect(house.signed_in("dora@b.example"), 303, "").await;
    let refused = "member.join_refused".to_owned();
    assert!(audited(&far).await.contains(&refused));
    let all = near.items("/audit?limit=1000").await;
    assert!(!json!(all).to_string().contains("join_refused"), "{all:?}");

    // Each gives its own role; the others for the address end, audited in their workspace.
    assert_eq!(join(&house, &bob, "", PASSWORD).await, 303);
    assert_eq!(join(&house, &newer, "", MALLORYS).await, 404);
    let ended = "member.invitation_ended".to_owned();
    assert!(audited(&near).await.contains(&ended));
    assert_eq!(join(&house, &carol, "", PASSWORD).await, 303);
    assert_eq!(
        members(&house).await,
        [
            "asha@example.com operator",
            "bob@b.example workspace_admin",
            "carol@corp.example operator",
            "dora@b.example auditor",
        ]
    );
}

#[tokio::test]
async fn squatter_of_an_address_gets_nothing_of_a_role_with_more_rights() {
    let house = House::new().await;
    house.operator().await;
    let (acme, other) = house.two_workspaces().await;
    let near = workspace_key(&house, &acme).await;
    let roles = [
        json!({ "role": "operator" }),
        json!({ "role": "auditor" }),
        json!({ "role": "workspace_admin", "workspace_id": acme }),
        json!({ "role": "auditor", "workspace_id": other }),
    ];
    for (n, role) in roles.into_iter().enumerate() {
        let email = format!("erin{n}@corp.example");
        let body = json!({ "email": email, "role": "auditor", "workspace_id": acme });
        let link = invite(&near, body.clone()).await;
        let squatter = house.joined(&link, "").await;
        // A link made before the change, too.
        let planted = invite(&near, body).await;
        let mut invited = role.clone();
        invited["email"] = json!(email);
        let refused = house.api.tell(Method::POST, "/members", &invited);
        expect_error(refused, 409, "MEMBER_EXISTS").await;
        let path = format!("/members/{}", house.member(&email).await);
        let changed = expect_json(house.api.tell(Method::PATCH, &path, &role), 200).await;
        assert_eq!(changed["role"], role["role"]);
        assert_eq!(changed["has_password"], false);
        expect(squatter.get("/console"), 303, "").await;
        let page = house.signed_in(&email).await;
        assert_eq!(page.status, 401, "{role}: the squatter's password");
        assert_eq!(join(&house, &planted, "", MALLORYS).await, 404);
        let link = changed["join_path"].as_str().unwrap();
        assert_eq!(join(&house, link, "", "granite-violin-88-otter").await, 303);
        let page = house.signed_in(&email).await;
        assert_eq!(page.status, 401, "{role}: the squatter's password");
        let now = members(&house).await;
        let expected = format!("{email} {}", text(&role, "/role"));
        assert!(now.contains(&expected), "{now:?}");
    }
}

#[tokio::test]
async fn role_with_fewer_rights_keeps_the_session_and_the_password() {
    let (house, operator) = House::with_operator().await;
    let acme = house.workspace("acme").await;
    let role = [("role", "workspace_admin"), ("workspace_id", acme.as_str())];
    let ravi = house.invited(&operator, "ravi@example.com", &role).await;
    let page = operator.get("/console/members").await;
    for id in page.ids("/console/members/") {
        let change = json!({ "role": "auditor", "workspace_id": acme });
        let path = format!("/members/{id}");
        let answer = house.api.tell(Method::PATCH, &path, &change).await.unwrap();
        match answer.status {
            // The last operator stays one.
            409 => drop(answer.expect_error(409, "LAST_OPERATOR")),
            _ => assert_eq!(answer.expect(200).json()["join_path"], Value::Null),
        }
    }
    shows(&ravi, "/console/account", "").await;
    expect(ravi.get("/console/members/invite"), 403, "").await;
    expect(house.signed_in("ravi@example.com"), 303, "").await;
    // Through the pages a role with more rights shows the link.
    let members = ravi.get("/console/members").await;
    let [id] = members.ids("/console/members/").try_into().unwrap();
    let more = [("role", "operator"), ("workspace_id", "")];
    let page = edit(&operator, &format!("/console/members/{id}"), &more).await;
    let page = page.expect(200, "Role of ravi@example.com changed");
    let link = page.between("/console/join/", "</code>");
    expect(ravi.get("/console/account"), 303, "").await;
    let link = format!("/console/join/{link}");
    let ravi = house.joined(&link, "ravi@example.com").await;
    assert_eq!(may_see_keys(&ravi).await, 200);
}

#[tokio::test]
async fn one_of_two_operators_who_remove_each_other_at_once_stays() {
    let (house, operator) = House::with_operator().await;
    for round in 0..12 {
        let [a, b] = ["a", "b"].map(|name| format!("{name}{round}@example.com"));
        let one = house.new_operator(&operator, &a).await;
        let other = house.new_operator(&operator, &b).await;
        let act = |id: &str| match round % 3 {
            0 => (format!("/console/members/{id}/remove"), None),
            1 => (format!("/console/members/{id}/disable"), None),
            _ => (format!("/console/members/{id}"), Some("auditor")),
        };
        let (first, second) = (act(&house.member(&b).await), act(&house.member(&a).await));
        let prepared = async |person: &Browser, act: &(String, Option<&'static str>)| {
            let mut form = as_opened(person, &act.0).await;
            form.extend(act.1.map(|role| ("role", role.to_owned())));
            form
        };
        let form = prepared(&one, &first).await;
        let other_form = prepared(&other, &second).await;
        let first = one.send_owned(&first.0, &form);
        let (first, second) = tokio::join!(first, other.send_owned(&second.0, &other_form));
        let done = [&first, &second];
        let done = done.iter().filter(|page| page.status == 303).count();
        assert_eq!(done, 1, "round {round}: {} {}", first.status, second.status);
    }
}

#[tokio::test]
async fn last_operator_is_neither_removed_nor_demoted_nor_disabled() {
    let (house, operator) = House::with_operator().await;
    for round in 0..6 {
        let email = format!("o{round}@example.com");
        house.new_operator(&operator, &email).await;
    }
    let members = operator.get("/console/members").await;
    let ids = members.ids("/console/members/");
    assert_eq!(ids.len(), 7);
    // All at once, by an admin key: each act ends an operator, and one stays.
    let change = |path: &str, body: Value| house.api.admin(Method::PATCH, path).json(&body);
    let acts = ids.iter().enumerate().map(|(nth, id)| {
        let path = format!("/members/{id}");
        let request = match nth % 3 {
            0 => house.api.admin(Method::DELETE, &path),
            1 => change(&path, json!({ "role": "auditor" })),
            _ => change(&path, json!({ "disabled": true })),
        };
        let api = house.api.clone();
        tokio::spawn(async move { api.send(request).await.unwrap() })
    });
    let acts: Vec<_> = acts.collect();
    let mut refused = 0;
    for act in acts {
        let answer = act.await.unwrap();
        if answer.status == 409 {
            answer.expect_error(409, "LAST_OPERATOR");
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    let mut left = house.api.items("/members").await;
    left.retain(|member| member["role"] == "operator" && member["disabled"] == false);
    assert_eq!(left.len(), 1);
}
