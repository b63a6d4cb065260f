//! What callers of the product see.

use crate::house::{By, House, LIMIT, list};
use gateways::Ask;
use serde_json::json;
use tokenward_testkit::{Signal, wait_until};

#[test]
fn each_workspace_has_invoices_of_its_own() {
    for by in [By::Replica, By::Node] {
        let house = House::new();
        let product = house.product(by);
        let [one, other] = ["one", "other"].map(|label| house.client(label));
        let [token, stranger] = [house.token(&one), house.token(&other)];
        let add = |token: &str| {
            Ask::of("POST", "/v1/invoices")
                .token(token)
                .header("Content-Type", "application/json")
                // Whoever says that he is another is not believed.
                .header(
                    "X-Tokenward-Workspace",
                    "00000000-0000-0000-0000-000000000000",
                )
                .body(br#"{"number":"INV-1","total":118000}"#)
        };
        let added = product.ask(&add(&token)).expect(201);
        assert_eq!(added.body, "by one");
        let listed = product.ask(&list(&token)).expect(200);
        assert_eq!(
            listed.json(),
            json!([{ "number": "INV-1", "total": 118000 }])
        );
        assert_eq!(product.ask(&list(&stranger)).expect(200).json(), json!([]));

        product
            .ask(&Ask::get("/v1/invoices"))
            .expect_error(401, "ACCESS_TOKEN_MISSING");
        let new = house.token(&one);
        let refused = product.ask(&add(&token));
        refused.expect_error(401, "TOKEN_SUPERSEDED");
        assert_eq!(product.ask(&list(&new)).expect(200).json(), listed.json());
    }
}

#[test]
fn the_probe_says_no_while_nobody_can_vouch() {
    let house = House::new();
    let product = house.product(By::Replica);
    assert!(product.is_ready());
    house.node.freeze();
    wait_until("the end of the lease", LIMIT, || !product.is_ready());
    house.node.thaw();
    wait_until("a new lease", LIMIT, || product.is_ready());
}

#[test]
fn who_ends_in_good_order_is_not_waited_for() {
    let house = House::new();
    let mut product = house.product(By::Replica);
    let client = house.client("erp");
    assert_eq!(product.status(&house.token(&client)), 200);
    product.process.signal(Signal::TERM);
    assert!(product.process.wait(LIMIT).success());
    wait_until("the node to know", LIMIT, || {
        house.figure("tokenward_replicas") == "0"
    });
    house.token(&client);
    assert_eq!(house.figure("tokenward_replicas_expelled"), "0");
}
