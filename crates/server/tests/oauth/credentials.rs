//! RFC 6749, section 2.3.1: how a client proves itself, and everything that looks like it but isn't.

use crate::world::{FORMS, GRANT, TOKEN, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;

fn signed_raw(request: RequestBuilder, user_and_password: &str) -> RequestBuilder {
    let encoded = STANDARD.encode(user_and_password);
    request.header("authorization", format!("Basic {encoded}"))
}

#[tokio::test]
async fn client_secret_basic_and_post_both_open_every_endpoint() {
    let world = World::new().await;
    let (id, secret) = (world.client.id.as_str(), world.client.secret.as_str());
    for path in FORMS {
        let form = [GRANT[0], ("token", "x")];
        world.form(path, &world.client, &form).await.expect(200);
        let posted = [
            GRANT[0],
            ("token", "x"),
            ("client_id", id),
            ("client_secret", secret),
        ];
        world.send(world.post(path).form(&posted)).await.expect(200);
    }
}

#[tokio::test]
async fn basic_is_form_encoded_as_some_libraries_do_and_plain_as_others() {
    let world = World::new().await;
    let encoded = |text: &str| text.replace('-', "%2D").replace('.', "%2E");
    let (id, secret) = (&world.client.id, &world.client.secret);
    let plain = format!("{id}:{secret}");
    for pair in [&plain, &format!("{}:{}", encoded(id), encoded(secret))] {
        let request = signed_raw(world.post(TOKEN).form(&GRANT), pair);
        world.send(request).await.expect(200);
    }
    let lower = format!("bAsIc {}", STANDARD.encode(plain));
    let request = world
        .post(TOKEN)
        .form(&GRANT)
        .header("authorization", lower);
    world.send(request).await.expect(200);
}

#[tokio::test]
async fn rfc6749_5_2_a_failed_client_authentication_is_401_with_a_challenge() {
    let world = World::new().await;
    let live = world.generate(&world.client).await;
    let (id, secret) = (world.client.id.clone(), world.client.secret.clone());
    let last = if secret.ends_with('0') { "1" } else { "0" };
    let wrong_checksum = format!("{}{last}", &secret[..secret.len() - 1]);
    for path in FORMS {
        let form = [GRANT[0], ("token", live.as_str())];
        let check = async |pair: String| {
            let request = signed_raw(world.post(path).form(&form), &pair);
            world.invalid_client(request).await;
        };
        world.invalid_client(world.post(path).form(&form)).await;
        check(format!("{id}:")).await;
        check(format!(":{secret}")).await;
        check(":".to_owned()).await;
        check(format!("{id}:{wrong_checksum}")).await;
        for more in ["x", "=x", "&x", " "] {
            check(format!("{id}:{secret}{more}")).await;
        }
        check(format!("{}:{secret}", world.other.id)).await;
        check(format!("{id}:{}", world.other.secret)).await;
        check(format!("{}:{secret}", id.to_uppercase())).await;
        // An access token never stands in for the secret.
        check(format!("{id}:{live}")).await;
        for (id, secret) in [(&id, &live), (&world.other.id, &secret)] {
            let credentials = [("client_id", id.as_str()), ("client_secret", secret)];
            let posted = [form, credentials].concat();
            world.invalid_client(world.post(path).form(&posted)).await;
        }
    }
    assert!(world.is_active(&world.client, &live).await);
}

#[tokio::test]
async fn malformed_basic_is_401_and_nothing_breaks() {
    let world = World::new().await;
    for path in FORMS {
        let form = [GRANT[0], ("token", "x")];
        let check = async |header: &[u8]| {
            let value = reqwest::header::HeaderValue::from_bytes(header).expect("a header value");
            let request = world.post(path).form(&form).header("authorization", value);
            world.invalid_client(request).await;
        };
        check(b"Basic").await;
        check(b"Basic ").await;
        check(b"Basic !!!!").await;
        check(b"Basic YQ").await;
        check(b"Basic YQ==").await;
        check(b"Basic /////w==").await;
        check(b"Basic \xff\xfe").await;
        check(b"").await;
        check(format!("Basic {}", "QUFB".repeat(10_000)).as_bytes()).await;
        let twice = world.signed(path, &world.client);
        let twice = twice.basic_auth(&world.client.id, Some(&world.client.secret));
        world.invalid_client(twice.form(&form)).await;
    }
}

#[tokio::test]
async fn rfc6749_2_3_two_ways_to_authenticate_at_once_are_an_invalid_request() {
    let world = World::new().await;
    let (id, secret) = (world.client.id.as_str(), world.client.secret.as_str());
    for path in FORMS {
        let with = |more: &[(&str, &str)]| {
            let form = [&[GRANT[0], ("token", "x")], more].concat();
            world.signed(path, &world.client).form(&form)
        };
        let (own_id, own_secret) = (("client_id", id), ("client_secret", secret));
        world.invalid_request(with(&[own_id, own_secret])).await;
        world.invalid_request(with(&[own_secret])).await;
        // The id alone may stand in the form beside HTTP Basic, if it is the same.
        world.send(with(&[own_id])).await.expect(200);
        let another = ("client_id", &*world.other.id);
        world.invalid_request(with(&[another])).await;
    }
}

#[tokio::test]
async fn credentials_in_the_query_count_for_nothing() {
    let world = World::new().await;
    let query = [
        ("client_id", world.client.id.as_str()),
        ("client_secret", world.client.secret.as_str()),
    ];
    for path in FORMS {
        let request = world.post(path).query(&query);
        let request = request.form(&[GRANT[0], ("token", "x")]);
        world.invalid_client(request).await;
    }
}

#[tokio::test]
async fn a_disabled_and_a_deleted_client_are_refused() {
    let world = World::new().await;
    let signed = |path: &str| {
        let request = world.signed(path, &world.client);
        request.form(&[GRANT[0], ("token", "x")])
    };
    world.disable(&world.client).await;
    world.invalid_client(signed(TOKEN)).await;
    world.enable(&world.client).await;
    world.form(TOKEN, &world.client, &GRANT).await.expect(200);
    world.delete(&world.client).await;
    for path in FORMS {
        world.invalid_client(signed(path)).await;
    }
}
