//! RFC 7662 on the public listener, and the challenges of RFC 6750 at the check.

use crate::world::{GRANT, INTROSPECT, TOKEN, World};
use tokenward_testkit::{Answer, NewClient, wait_until};

/// Exactly this and nothing more, whatever the reason.
#[track_caller]
fn inactive(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "{\"active\":false}")
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn rfc7662_2_2_an_active_token_is_described() {
    let world = World::new().await;
    let only = NewClient::production("only")
        .products(&["e-invoice"])
        .lifetime(60);
    let only = world.make(only).await;
    let token = world.generate(&only).await;
    let answer = world.told(&only, &token).await;
    let body = answer.json();
    assert_eq!(body["active"], true);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["client_id"], only.id);
    assert_eq!(body["sub"], only.id);
    assert_eq!(body["scope"], "e-invoice");
    assert_eq!(body["environment"], "production");
    assert_eq!(body["workspace"], world.workspace);
    assert_eq!(body["generation"], 1);
    let seconds = |name: &str| body[name].as_i64().expect("a number of seconds");
    assert_eq!(seconds("exp") - seconds("iat"), 60);
    assert!(
        !answer.body.contains(&token),
        "the token itself is not repeated"
    );
    // A hint changes nothing, right or wrong.
    for hint in ["access_token", "refresh_token", "x"] {
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        assert_eq!(
            world.form(INTROSPECT, &only, &form).await.json()["active"],
            true
        );
    }
}

#[tokio::test]
async fn rfc7662_2_2_an_inactive_token_is_exactly_that_whatever_the_reason() {
    let world = World::new().await;
    let (client, other) = (&world.client, &world.other);
    let first = world.generate(client).await;
    let second = world.generate(client).await;
    inactive(&world.told(client, &first).await);
    assert!(world.is_active(client, &second).await);
    // Another client's live token, shapes that are none, the secret itself.
    inactive(&world.told(other, &second).await);
    for text in [
        "x",
        "1.2_3",
        client.secret.as_str(),
        "\u{fffd}",
        &"x".repeat(10_000),
    ] {
        inactive(&world.told(client, text).await);
    }
    let last = if second.ends_with('0') { "1" } else { "0" };
    inactive(
        &world
            .told(client, &format!("{}{last}", &second[..second.len() - 1]))
            .await,
    );
    world.revoke(client).await;
    inactive(&world.told(client, &second).await);
}

#[tokio::test]
async fn rfc7662_2_2_an_expired_token_is_inactive() {
    let world = World::new().await;
    let short = world.make(NewClient::sandbox("short").lifetime(1)).await;
    let token = world.generate(&short).await;
    let runtime = tokio::runtime::Handle::current();
    let told = tokio::task::spawn_blocking(move || {
        wait_until(
            "the token to expire",
            std::time::Duration::from_secs(10),
            || {
                let answer = runtime.block_on(world.told(&short, &token));
                answer.body.contains("false").then_some(answer)
            },
        )
    });
    inactive(&told.await.expect("a wait"));
}

#[tokio::test]
async fn rfc7662_2_1_the_caller_proves_itself_and_names_a_token() {
    let world = World::new().await;
    let token = world.generate(&world.client).await;
    let form = [("token", token.as_str())];
    world
        .invalid_client(world.post(INTROSPECT).form(&form))
        .await;
    // A token is no proof of a client here.
    let bearer = world.post(INTROSPECT).bearer_auth(&token).form(&form);
    world.invalid_client(bearer).await;
    world
        .invalid_request(world.signed(INTROSPECT, &world.client).form(&[("", ""); 0]))
        .await;
    world
        .invalid_request(
            world
                .signed(INTROSPECT, &world.client)
                .form(&[("token", "")]),
        )
        .await;
    world.disable(&world.client).await;
    world
        .invalid_client(world.signed(INTROSPECT, &world.client).form(&form))
        .await;
}

#[tokio::test]
async fn rfc6750_3_the_check_challenges_as_a_resource_server_does() {
    let world = World::new().await;
    let only = NewClient::sandbox("only").products(&["e-invoice"]);
    let only = world.make(only).await;
    world.product("gst").await;
    let live = world.form(TOKEN, &only, &GRANT).await.expect(200).json();
    let live = live["access_token"].as_str().expect("a token").to_owned();
    let check = async |product: &str, authorization: Option<String>| {
        let request = world
            .api
            .internal(reqwest::Method::GET, &format!("/check/sandbox/{product}"));
        let request = authorization.iter().fold(request, |request, value| {
            request.header("authorization", value)
        });
        let answer = world.send(request).await;
        (answer.status, answer.header("www-authenticate").to_owned())
    };
    // No credentials: no error attribute.
    let bare = (401, "Bearer realm=\"tokenward\"".to_owned());
    assert_eq!(check("e-invoice", None).await, bare);
    assert_eq!(
        check("e-invoice", Some("Basic eDp5".to_owned())).await,
        bare
    );
    let invalid = (
        401,
        "Bearer realm=\"tokenward\", error=\"invalid_token\"".to_owned(),
    );
    assert_eq!(
        check("e-invoice", Some("Bearer x".to_owned())).await,
        invalid
    );
    assert_eq!(
        check("e-invoice", Some(format!("Bearer {}", only.secret))).await,
        invalid
    );
    assert_eq!(
        check("e-invoice", Some(format!("bearer {live}"))).await.0,
        200
    );
    assert_eq!(check("gst", Some(format!("Bearer {live}"))).await.0, 403);
    world.generate(&only).await;
    assert_eq!(
        check("e-invoice", Some(format!("Bearer {live}"))).await,
        invalid
    );
}
