//! The list of API clients: totals, orders, tags, and one act on several of them.

use crate::house::{House, Page, done, expect, shows};
use reqwest::Method;
use tokenward_testkit::{assert_contains, expect_status};

/// Whether these labels stand on the page in this order.
#[track_caller]
fn in_order(page: &Page, labels: &[&str]) {
    let places: Vec<_> = labels
        .iter()
        .map(|label| page.text.find(&format!("\">{label}</a>")))
        .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{labels:?} {places:?}\n{}",
        page.text
    );
}

#[tokio::test]
async fn list_has_a_total_orders_and_tags() {
    let (house, operator) = House::with_operator().await;
    house.api.product("gst", "GST").await.unwrap();
    let acme = house.workspace("Acme").await;
    let list = format!("/console/w/{acme}/sandbox");
    let b = house.client(&acme, "b-erp", Some(&["gst"])).await;
    house.client(&acme, "c-erp", None).await;
    house.client(&acme, "A-crm", None).await;
    let page = shows(&operator, &list, "3 API clients<").await;
    in_order(&page, &["A-crm", "c-erp", "b-erp"]);
    let sorted = operator.get(&format!("{list}?sort=name")).await;
    in_order(&sorted, &["A-crm", "b-erp", "c-erp"]);
    sorted.says(&["aria-sort=\"ascending\""]);
    // The filter's form keeps the order, and the column's link keeps the filter.
    sorted.says(&["name=\"sort\" value=\"name\""]);
    let found = operator.get(&format!("{list}?q=erp&sort=used")).await;
    let found = found.expect(200, "2 API clients found");
    assert_contains(&found.text, "?q=erp&#38;sort=unused");
    in_order(&found, &["c-erp", "b-erp"]);
    shows(
        &operator,
        &format!("{list}?sort=name&page=1"),
        "No more API clients",
    )
    .await;
    // Tags are added to several at once, and found.
    let bulk = format!("{list}/bulk");
    let asked = shows(
        &operator,
        &format!("{bulk}?act=tag&client={b}"),
        "Add a tag to 1 API client",
    )
    .await;
    asked.says(&["b-erp"]);
    let form = [("act", "tag"), ("client", &b), ("tag", "Billing team")];
    expect(operator.send(&bulk, &form), 422, "id=\"e-tag\"").await;
    let form = [("act", "tag"), ("client", &b), ("tag", "billing")];
    let tagged = done(&operator, &bulk, &form).await;
    assert_eq!(tagged.location(), format!("{list}?done=bulk-tag"));
    let tagged = operator.get(&format!("{list}?tag=billing")).await;
    let tagged = tagged.expect(200, "1 API client found");
    tagged.says(&["<span class=\"tag\">billing</span>"]);
    tagged.lacks("c-erp");
    let own = operator.get(&format!("/console/clients/{b}")).await;
    own.expect(200, "<dt>Tags</dt><dd>billing</dd>");
    shows(
        &operator,
        &format!("/console/clients/{b}"),
        "tagged API client",
    )
    .await;
    let form = [("act", "untag"), ("client", &b), ("tag", "billing")];
    done(&operator, &bulk, &form).await;
    shows(
        &operator,
        &format!("{list}?tag=billing"),
        "No API clients match",
    )
    .await;
    // Who sees only some of the clients sees no total of all of them.
    let role = [
        ("role", "product_admin"),
        ("workspace_id", acme.as_str()),
        ("products", "gst"),
    ];
    let theirs = house.invited(&operator, "p@example.com", &role).await;
    let page = shows(&theirs, &format!("{list}?sort=name"), "b-erp").await;
    for hidden in ["c-erp", "class=\"total\"", "aria-sort"] {
        page.lacks(hidden);
    }
}

#[tokio::test]
async fn several_clients_are_disabled_after_one_confirmation() {
    let (house, operator) = House::with_operator().await;
    let (acme, far) = (house.workspace("Acme").await, house.workspace("Far").await);
    let (one, two, gone) = (
        house.client(&acme, "one", None).await,
        house.client(&acme, "two", None).await,
        house.client(&acme, "gone", None).await,
    );
    let other = house.client(&far, "other", None).await;
    let bulk = format!("/console/w/{acme}/sandbox/bulk");
    let both = format!("{bulk}?act=disable&client={one}&client={two}");
    let asked = shows(&operator, &both, "Disable 2 API clients").await;
    assert!(asked.text.contains("two, one") || asked.text.contains("one, two"));
    for wrong in [
        format!("{bulk}?act=disable"),
        format!("{bulk}?act=explode&client={one}"),
    ] {
        expect(operator.get(&wrong), 400, "Action not completed").await;
    }
    // Nothing of another workspace, or by those who may not.
    let form = [("act", "disable"), ("client", &one), ("client", &other)];
    expect(operator.send(&bulk, &form), 404, "").await;
    let role = [("role", "auditor"), ("workspace_id", acme.as_str())];
    let auditor = house.invited(&operator, "a@example.com", &role).await;
    let form = [("act", "disable"), ("client", &one)];
    expect(auditor.send(&bulk, &form), 403, "").await;
    expect(auditor.get(&both), 403, "").await;
    let list = auditor.get(&format!("/console/w/{acme}/sandbox")).await;
    list.lacks("type=\"checkbox\"");
    // An old proof leads back to the confirmation with what was selected.
    house.age_proofs();
    let again = expect(operator.get(&both), 303, "").await;
    let next: String = form_urlencoded::byte_serialize(both.as_bytes()).collect();
    assert_eq!(again.location(), format!("/console/step-up?next={next}"));
    let proof = [("next", both.as_str()), ("proof", crate::house::PASSWORD)];
    let proved = operator.send("/console/step-up", &proof).await;
    assert_eq!(proved.location(), both);
    // One that was deleted meanwhile is named, the others are done.
    let path = format!("/clients/{gone}?label=gone");
    expect_status(house.api.ask(Method::DELETE, &path), 200).await;
    let form = [
        ("act", "disable"),
        ("client", one.as_str()),
        ("client", &two),
        ("client", &gone),
    ];
    let most = operator.send(&bulk, &form).await;
    let most = most.expect(409, "2 of 3 API clients were changed");
    most.says(&["gone:"]);
    let list = operator
        .get(&format!("/console/w/{acme}/sandbox?state=disabled"))
        .await;
    list.expect(200, "2 API clients found");
    let form = [("act", "enable"), ("client", &one), ("client", &two)];
    done(&operator, &bulk, &form).await;
    let audit = operator.get("/console/audit?action=client.enable").await;
    let audit = audit.expect(200, "enabled API client");
    assert_eq!(audit.text.matches("enabled API client <a").count(), 2);

    // A form that waits for a proof names what it is about, and nothing is offered for deleted clients.
    house.age_proofs();
    let form = [("act", "disable"), ("client", &one), ("client", &two)];
    let asked = operator.send(&bulk, &form).await;
    let proof = [
        ("next", asked.hidden("next")),
        ("kept", asked.hidden("kept")),
        ("proof", crate::house::PASSWORD.to_owned()),
    ];
    let proof = proof
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let resumed = operator.send("/console/step-up", &proof).await;
    resumed.expect(200, "Change several API clients “one”, “two”?");
    let deleted = format!("/console/w/{acme}/sandbox?state=deleted");
    let deleted = shows(&operator, &deleted, "1 API client found").await;
    deleted.lacks("With selected");
}
