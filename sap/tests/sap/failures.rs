//! Refusals and faults: who lacks the authority learns nothing, a server in trouble is left alone for a while, and no text holds a
//! secret or a token.

use crate::house::{API_PATH, House};
use serde_json::{Value, json};
use tokenward_testkit::{NewClient, expect_status};

fn error(answer: &Value) -> (&str, &str, &str) {
    let part = |name: &str| {
        answer["error"][name]
            .as_str()
            .unwrap_or_else(|| panic!("no error: {answer}"))
    };
    (part("class"), part("number"), part("text"))
}

/// Class and number of an error.
fn kind(answer: &Value) -> (&str, &str) {
    let (class, number, _) = error(answer);
    (class, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_authority_there_is_no_token_and_no_hint_of_one() {
    let house = House::new().await;
    let mut owner = house.session(&json!({}));
    assert_eq!(
        owner.ask(&json!({"do": "call", "path": API_PATH, "times": 1}))["statuses"],
        json!([200])
    );

    let denied = "No authorisation for alias EINVOICE (object ZTKW_TOKEN, activity 16)";
    let denial = ("ZCX_TKW_DENIED", "001", denied);
    let mut stranger = house.session(&json!({"allowed": ["OTHER 16"]}));
    let wishes = [
        json!({"do": "get"}),
        json!({"do": "get", "may_renew": false}),
        json!({"do": "call", "path": API_PATH, "times": 1}),
        json!({"do": "refused"}),
        json!({"do": "renew_ahead"}),
    ];
    for wish in &wishes {
        let refused = stranger.ask(wish);
        assert_eq!(error(&refused), denial, "{wish}");
    }
    for what in ["state", "test", "generate", "revoke", "remove"] {
        let refused = stranger.ask(&json!({"do": what}));
        assert_eq!(error(&refused).0, "ZCX_TKW_DENIED", "{what}");
    }
    assert_eq!(
        stranger.ask(&json!({"do": "answers"})),
        json!({"answers": {}}),
        "it called somebody"
    );
    drop(stranger);

    // The same words where there is neither token nor alias.
    let _ = house.value("DELETE FROM ztkw_tokens; DELETE FROM ztkw_clients");
    let mut stranger = house.session(&json!({"allowed": []}));
    for wish in &wishes {
        let refused = stranger.ask(wish);
        assert_eq!(error(&refused), denial, "{wish}");
    }
    assert_eq!(house.generations().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn seeing_and_changing_are_authorities_of_their_own() {
    let house = House::new().await;
    let mut viewer = house.session(&json!({"allowed": ["EINVOICE 03"]}));
    assert_eq!(viewer.ask(&json!({"do": "state"}))["generation"], 0);
    for what in ["test", "generate", "revoke", "remove", "get"] {
        let refused = viewer.ask(&json!({"do": what}));
        assert_eq!(error(&refused).0, "ZCX_TKW_DENIED", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customising_report_tests_generates_and_revokes() {
    let house = House::new().await;
    let mut person = house.session(&json!({}));
    let tested = person.ask(&json!({"do": "test"}));
    assert_eq!(tested["status"], 200, "{tested}");
    assert_eq!(tested["generation"], 0, "{tested}");
    assert_eq!(house.generations().await, 0, "a test made a token");

    person.ask(&json!({"do": "generate"}));
    person.ask(&json!({"do": "generate"}));
    assert_eq!(house.generations().await, 2);
    let state = person.ask(&json!({"do": "state"}));
    assert_eq!(state["generation"], 2, "{state}");
    assert_eq!(state["alive"], "X", "{state}");

    let token = house.value("SELECT access_token FROM ztkw_tokens");
    assert_eq!(person.ask(&json!({"do": "revoke"})), json!({}));
    let denied = house
        .api
        .check("sandbox", "e-invoice", &token)
        .await
        .expect("an answer");
    denied.expect_error(401, "TOKEN_REVOKED");
    assert_eq!(person.ask(&json!({"do": "state"}))["alive"], "");
    assert_eq!(house.value("SELECT access_token FROM ztkw_tokens"), "");
    assert!(
        !person.everything_said().contains(&token),
        "a revoked token was shown"
    );

    assert_eq!(person.ask(&json!({"do": "remove"})), json!({}));
    for table in ["ztkw_clients", "ztkw_secrets", "ztkw_tokens"] {
        assert_eq!(
            house.value(&format!("SELECT count(*) FROM {table}")),
            "0",
            "{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_may_lie_in_the_table() {
    let house = House::new().await;
    let mut person = house.session(&json!({
        "destinations": {"TOKENWARD": {"url": house.server.public()}, "API": {"url": house.server.internal()}},
    }));
    let client =
        json!({"destination": "TOKENWARD", "secret_in": "T", "client_id": house.client.id});
    let missing = person.ask(&json!({"do": "save", "client": client}));
    assert_eq!(error(&missing).1, "013");
    assert_eq!(
        person.ask(&json!({"do": "save", "client": client, "secret": house.client.secret})),
        json!({})
    );
    assert_eq!(person.ask(&json!({"do": "test"}))["status"], 200);
    assert_eq!(
        person.ask(&json!({"do": "call", "path": API_PATH, "times": 1}))["statuses"],
        json!([200])
    );
    assert_eq!(person.ask(&json!({"do": "revoke"})), json!({}));
    house.assert_no_secret_in("the session", &person.everything_said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_secret_is_told_by_code_and_not_asked_again_at_once() {
    let house = House::new().await;
    let (most, last) = house.client.secret.split_at(house.client.secret.len() - 1);
    let wrong = format!("{most}{}", if last == "0" { "1" } else { "0" });
    let mut session = house.session(&json!({
        "destinations": {"TOKENWARD": {"url": house.server.public(), "user": house.client.id, "password": wrong}},
    }));
    let first = session.ask(&json!({"do": "get"}));
    assert_eq!(
        error(&first),
        (
            "ZCX_TKW_REFUSED",
            "005",
            "Alias EINVOICE: token server refused with CLIENT_SECRET_INVALID (HTTP 401)"
        )
    );
    let second = session.ask(&json!({"do": "get"}));
    assert_eq!(kind(&second), ("ZCX_TKW_UNAVAILABLE", "006"));
    assert_eq!(session.answered("TOKENWARD 401"), 1);
    assert!(
        !session.everything_said().contains(&wrong),
        "a refused secret was shown"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_left_alone_and_a_living_token_goes_on() {
    let mut house = House::with(NewClient::sandbox("erp").lifetime(60)).await;
    let mut session = house.session(&json!({}));
    let first = session.ask(&json!({"do": "get"}));
    house.server.kill9();
    let failed = session.ask(&json!({"do": "generate"}));
    assert_eq!(kind(&failed), ("ZCX_TKW_UNAVAILABLE", "004"));
    assert!(error(&failed).2.contains("NO_ANSWER"), "{failed}");
    // Made due for renewal, and the pause an hour longer than the test can take: the renewal is held back, the token is used.
    let _ = house.value(
        "UPDATE ztkw_tokens SET obtained_at = obtained_at - 1000000, retry_at = retry_at + 10000",
    );
    assert_eq!(session.ask(&json!({"do": "get"})), first);
    assert_eq!(session.ask(&json!({"do": "renew_ahead"}))["outcome"], "L");
    assert_eq!(
        session.answered("TOKENWARD 0"),
        1,
        "it was asked again within the pause"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_holder_of_the_secret_stops_the_tug_of_war() {
    let house = House::new().await;
    let mut session = house.session(&json!({}));
    let call = json!({"do": "call", "path": API_PATH, "times": 1});
    assert_eq!(session.ask(&call)["statuses"], json!([200]));
    // Somebody else generates with the same secret: our token dies, we take it back; the second time we stop.
    expect_status(house.api.generate(&house.client.secret), 200).await;
    assert_eq!(session.ask(&call)["statuses"], json!([200]));
    assert_eq!(house.generations().await, 3);
    expect_status(house.api.generate(&house.client.secret), 200).await;
    let stopped = session.ask(&call);
    assert_eq!(kind(&stopped), ("ZCX_TKW_UNAVAILABLE", "007"));
    let told = error(&stopped).2;
    assert!(told.contains("another holder of this client secret exists"));
    assert_eq!(house.generations().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_is_no_reason_to_renew() {
    let house = House::new().await;
    let mut session = house.session(&json!({}));
    for (path, status) in [
        ("/check/production/e-invoice", 401),
        ("/check/sandbox/unknown", 404),
    ] {
        let seen = session.ask(&json!({"do": "call", "path": path, "times": 1}));
        assert_eq!(seen["statuses"], json!([status]), "{path}");
    }
    assert_eq!(house.generations().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_system_uses_nothing_of_the_originals() {
    let house = House::new().await;
    let mut copy = house.session(&json!({"system": "QAS"}));
    let refused = copy.ask(&json!({"do": "get"}));
    assert_eq!(
        error(&refused),
        (
            "ZCX_TKW_REFUSED",
            "003",
            "Alias EINVOICE was set up for system TST; set it up again in this one"
        )
    );
    assert_eq!(house.generations().await, 0);
}
