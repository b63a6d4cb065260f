//! The caller's LUW is its own: renewal neither commits it nor is undone by it. SAP's kernel ends the database LUW at an RFC by
//! itself, which Node does not imitate; here it is shown that the package adds no commit of its own.

use crate::house::{API_PATH, House};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_changes_stay_open_and_its_rollback_loses_no_token() {
    let house = House::new().await;
    let _ = house.value("CREATE TABLE orders (number TEXT)");
    let mut caller = house.session(&json!({}));
    let orders = || house.value("SELECT count(*) FROM orders");

    caller.ask(&json!({"do": "sql", "statement": "INSERT INTO orders VALUES ('4711')"}));
    let called = caller.ask(&json!({"do": "call", "path": API_PATH, "times": 1}));
    assert_eq!(called["statuses"], json!([200]), "{called}");
    assert_eq!(house.generations().await, 1);
    assert_eq!(orders(), "0", "the renewal committed the caller's changes");
    assert_eq!(
        house.value("SELECT count(*) FROM ztkw_tokens"),
        "1",
        "the token is stored before the caller decides"
    );

    caller.ask(&json!({"do": "rollback_work"}));
    assert_eq!(orders(), "0");
    let called = caller.ask(&json!({"do": "call", "path": API_PATH, "times": 1}));
    assert_eq!(called["statuses"], json!([200]), "{called}");
    assert_eq!(house.generations().await, 1, "the rollback lost the token");

    // The caller's own commit is what makes its changes last, so that the zero above means something.
    caller.ask(&json!({"do": "sql", "statement": "INSERT INTO orders VALUES ('4712')"}));
    caller.ask(&json!({"do": "commit_work"}));
    assert_eq!(orders(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_may_not_renew_makes_no_session_and_no_token() {
    let house = House::new().await;
    let mut caller = house.session(&json!({}));
    let refused = caller.ask(&json!({"do": "get", "may_renew": false}));
    assert_eq!(refused["error"]["number"], "010", "{refused}");
    assert_eq!(house.generations().await, 0);
    let made = caller.ask(&json!({"do": "get"}));
    assert!(made["digest"].is_string(), "{made}");
    assert_eq!(caller.ask(&json!({"do": "get", "may_renew": false})), made);
}
