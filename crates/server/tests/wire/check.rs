//! The check for gateways: every verdict with its whole answer, and everything that must change nothing.

use crate::house::{House, cut};
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokenward_testkit::{Answer, NewClient, Server, expect_error, expect_status};

const OWN: &str = "x-cleartax-auth-token";

/// The seven identity headers of a permit, in the order shown.
const IDENTITY: [&str; 7] = [
    "x-tokenward-workspace",
    "x-tokenward-client",
    "x-tokenward-client-label",
    "x-tokenward-environment",
    "x-tokenward-product",
    "x-tokenward-generation",
    "x-tokenward-valid-till",
];

fn gst(house: &House) -> RequestBuilder {
    house.api.internal(Method::GET, "/check/sandbox/gst")
}

/// The check of `gst` in the sandbox with these headers.
async fn with(house: &House, headers: &[(&str, &str)]) -> Answer {
    let add = |request: RequestBuilder, (name, value): &(&str, &str)| {
        request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    house.send(headers.iter().fold(gst(house), add)).await
}

#[tokio::test]
async fn a_permit_tells_who_calls_in_all_seven_headers() {
    let house = House::new().await;
    let erp = house
        .client(NewClient::sandbox("Abrechnung Süd 100%"))
        .await;
    let token = house.token(&erp).await;
    let till = token.valid_till.clone().unwrap();
    let expected = [
        house.acme.as_str(),
        &erp.id,
        "Abrechnung S%C3%BCd 100%25",
        "sandbox",
        "gst",
        "1",
        &till,
    ];
    for method in [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
        Method::HEAD,
        Method::from_bytes(b"PROPFIND").unwrap(),
    ] {
        for path in [
            "/check/sandbox/gst",
            "/check/sandbox/gst/",
            "/check/sandbox/gst/v1/check/production/max-itc?q=%2f%2e%2e",
            "/check/sandbox/gst?product=max-itc",
        ] {
            let request = house.api.internal(method.clone(), path);
            let request = request.header(OWN, &token.access_token).body("a body");
            let answer = house.send(request).await;
            assert_eq!((answer.status, &*answer.body), (200, ""), "{method} {path}");
            assert_eq!(answer.header("cache-control"), "no-store");
            let seen = IDENTITY.map(|name| answer.header(name));
            assert_eq!(seen, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_token_may_come_as_a_bearer_but_only_one_and_once() {
    let (house, erp) = House::with_erp().await;
    let other = house.client(NewClient::sandbox("other")).await;
    let token = house.token(&erp).await.access_token;
    let stranger = house.token(&other).await.access_token;
    let bearer = format!("Bearer {token}");
    let lower = format!("bearer {token}");
    let differing = format!("Bearer {stranger}");
    let own = (OWN, token.as_str());
    for good in [
        vec![("authorization", bearer.as_str())],
        vec![("authorization", &lower)],
        vec![own, ("authorization", &bearer)],
        vec![own, ("authorization", "Basic dTpw")],
        vec![("X-Cleartax-Auth-Token", &token)],
    ] {
        with(&house, &good).await.expect(200);
    }
    let missing = with(&house, &[]).await;
    assert_snapshot!(seen(&missing), @r#"401 [www-authenticate: Bearer realm="tokenward"] ACCESS_TOKEN_MISSING: No access token was sent. Send it in the header x-cleartax-auth-token."#);
    for none in [
        vec![(OWN, "")],
        vec![("authorization", "Basic dTpw")],
        vec![("authorization", "Bearer ")],
        vec![("x_cleartax_auth_token", token.as_str())],
        vec![("x-clear-client-secret", &token)],
    ] {
        expect_error(with(&house, &none), 401, "ACCESS_TOKEN_MISSING").await;
    }
    let repeated = with(&house, &[own, own]).await;
    assert_snapshot!(seen(&repeated), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] ACCESS_TOKEN_MALFORMED: More than one access token was sent. Send exactly one, in the header x-cleartax-auth-token."#);
    let two = with(&house, &[own, ("authorization", &differing)]).await;
    assert_eq!(seen(&two), seen(&repeated));
    let malformed = with(&house, &[(OWN, &cut(&token))]).await;
    assert_snapshot!(seen(&malformed), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] ACCESS_TOKEN_MALFORMED: What was sent is not an access token: its shape or checksum is wrong. Was it cut when it was copied?"#);
    let twice = format!("{token}, {token}");
    let padded = format!("{token}.");
    let upper = token.to_uppercase();
    let long = "1.".repeat(10_000);
    for bad in [
        vec![own, (OWN, "")],
        vec![("authorization", &*bearer), ("authorization", &bearer)],
        vec![(OWN, "tökén")],
        vec![("authorization", "Bearer tökén")],
        vec![(OWN, &twice)],
        vec![(OWN, &padded)],
        vec![(OWN, &upper)],
        vec![(OWN, &long)],
        vec![(OWN, "null")],
    ] {
        expect_error(with(&house, &bad), 401, "ACCESS_TOKEN_MALFORMED").await;
    }
    house.permits(&token).await;
}

#[tokio::test]
async fn a_secret_opens_nothing_and_a_sandbox_token_no_production() {
    let (house, erp) = House::with_erp().await;
    let production = house.client(NewClient::production("erp")).await;
    let refused = house.check("gst", &erp.secret).await;
    assert_snapshot!(seen(&refused), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] CLIENT_SECRET_USED_AS_TOKEN: A client secret was sent where an access token belongs. Use the secret to generate a token, and send that."#);
    let token = house.token(&erp).await.access_token;
    let refused = house.api.check("production", "gst", &token).await.unwrap();
    assert_snapshot!(seen(&refused), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] ENVIRONMENT_MISMATCH: The access token belongs to another environment. Sandbox tokens open the sandbox only, production tokens production only."#);
    let real = house.token(&production).await.access_token;
    expect_status(house.api.check("production", "gst", &real), 200).await;
    house.denies(&real, "ENVIRONMENT_MISMATCH").await;
}

#[tokio::test]
async fn a_token_nobody_gave_is_unknown_whatever_became_of_its_client() {
    let (house, erp, token) = House::with_token().await;
    // Well-formed, of a real client, and made by nobody.
    let forged = forge(&token);
    let unknown = house.denies(&forged, "ACCESS_TOKEN_UNKNOWN").await;
    assert_snapshot!(seen(&unknown), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] ACCESS_TOKEN_UNKNOWN: The access token is not known, or no longer. Generate a new one."#);
    house.token(&erp).await;
    house.denies(&forged, "ACCESS_TOKEN_UNKNOWN").await;
    house.api.disable(&erp.id).await.unwrap().expect(200);
    house.denies(&forged, "ACCESS_TOKEN_UNKNOWN").await;
    house.api.delete(&erp).await.unwrap().expect(200);
    house.denies(&forged, "ACCESS_TOKEN_UNKNOWN").await;
    let nobodys = forge(&token.replace(&erp.id, "00000000-0000-4000-8000-000000000000"));
    house.denies(&nobodys, "ACCESS_TOKEN_UNKNOWN").await;
}

/// The token, or another credential, with another random part and the right checksum.
pub(crate) fn forge(token: &str) -> String {
    forge_at(token, 9)
}

/// The same credential with another digit so far from its end, and the right checksum: 66 is the last digit of the id in a
/// client secret.
pub(crate) fn forge_at(token: &str, from_end: usize) -> String {
    let at = token.len() - from_end;
    let digit = if &token[at..=at] == "0" { "1" } else { "0" };
    let mut text = token[..token.len() - 8].to_owned();
    text.replace_range(at..=at, digit);
    let mut sum = u32::MAX;
    for byte in text.bytes() {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    format!("{text}{:08x}", !sum)
}

#[tokio::test]
async fn the_holder_of_a_former_token_is_told_what_became_of_it() {
    let (house, erp) = House::with_erp().await;
    let first = house.token(&erp).await.access_token;
    let second = house.token(&erp).await.access_token;
    let superseded = house.check("gst", &first).await;
    assert_snapshot!(seen(&superseded), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] TOKEN_SUPERSEDED: A newer access token was generated with the same client, which revoked this one. If that was not you, another system uses the same client secret. {"superseded_at":"[time]","superseded_by_generation":2}"#);
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    let revoked = house.check("gst", &second).await;
    assert_snapshot!(seen(&revoked), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] TOKEN_REVOKED: The access token was revoked. Generate a new one. {"revoked_at":"[time]"}"#);
    let third = house.token(&erp).await.access_token;
    house.denies(&second, "TOKEN_REVOKED").await;
    house.denies(&first, "TOKEN_SUPERSEDED").await;
    house.api.disable(&erp.id).await.unwrap().expect(200);
    let disabled = house.check("gst", &third).await;
    assert_snapshot!(seen(&disabled), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] CLIENT_DISABLED: The API client, or its workspace, is disabled. An administrator can enable it again."#);
    house.api.enable(&erp.id).await.unwrap().expect(200);
    house.permits(&third).await;
    house.api.delete(&erp).await.unwrap().expect(200);
    for token in [&first, &second, &third] {
        house.denies(token, "CLIENT_DELETED").await;
    }
    let deleted = house.check("gst", &third).await;
    assert_snapshot!(seen(&deleted), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] CLIENT_DELETED: The API client was deleted for good, and its secret and tokens with it."#);
}

#[tokio::test]
async fn a_narrower_restriction_binds_the_live_token_at_once() {
    let house = House::new().await;
    let erp = NewClient::sandbox("erp").products(&["gst", "max-itc"]);
    let erp = house.client(erp).await;
    let token = house.token(&erp).await.access_token;
    house.check("gst", &token).await.expect(200);
    house.check("max-itc", &token).await.expect(200);
    let refused = house.check("e-invoice", &token).await;
    assert_snapshot!(seen(&refused), @"403 PRODUCT_NOT_ALLOWED: The API client may not use this product. An administrator can allow it.");
    let change = json!({ "products": ["e-invoice"] });
    house.patch(&erp, change).await;
    expect_error(house.check("gst", &token), 403, "PRODUCT_NOT_ALLOWED").await;
    house.check("e-invoice", &token).await.expect(200);
    house.patch(&erp, json!({ "products": null })).await;
    house.check("gst", &token).await.expect(200);
    let change = json!({ "token_networks": ["192.0.2.0/24"] });
    house.patch(&erp, change).await;
    expect_error(house.check("gst", &token), 403, "ADDRESS_NOT_ALLOWED").await;
    house.patch(&erp, json!({ "token_networks": [] })).await;
    house.check("gst", &token).await.expect(200);
}

#[tokio::test]
async fn where_a_token_may_be_used_from_cannot_be_talked_round() {
    let proxies = ["127.0.0.0/8", "192.0.2.0/24"].map(|proxy| format!("--trusted-proxy={proxy}"));
    let house = House::of(Server::builder().args(&proxies)).await;
    let fenced = NewClient::sandbox("erp").token_networks(&["10.0.0.0/8"]);
    let erp = house.client(fenced).await;
    let token = house.token(&erp).await.access_token;
    let from =
        async |headers: &[(&str, &str)]| with(&house, &[headers, &[(OWN, &token)]].concat()).await;
    let forwarded = "x-forwarded-for";
    from(&[(forwarded, "10.1.1.1")]).await.expect(200);
    let hops = [(forwarded, "203.0.113.1, 10.1.1.1, 192.0.2.4")];
    from(&hops).await.expect(200);
    let lines = [(forwarded, "203.0.113.1"), (forwarded, "10.1.1.1")];
    from(&lines).await.expect(200);
    let refused = from(&[]).await;
    assert_snapshot!(seen(&refused), @"403 ADDRESS_NOT_ALLOWED: The API client's tokens may not be used from this address. An administrator can allow it.");
    for spoof in [
        vec![(forwarded, "10.1.1.1, 203.0.113.1")],
        vec![(forwarded, "10.1.1.1"), (forwarded, "203.0.113.1")],
        vec![(forwarded, "10.1.1.1, garbage")],
        vec![(forwarded, "10.1.1.1, ")],
        vec![(forwarded, "")],
        vec![("x_forwarded_for", "10.1.1.1")],
        vec![("x-real-ip", "10.1.1.1")],
        vec![("forwarded", "for=10.1.1.1")],
        vec![("x-client-ip", "10.1.1.1")],
        vec![("x-forwarded-for-", "10.1.1.1")],
    ] {
        from(&spoof).await.expect_error(403, "ADDRESS_NOT_ALLOWED");
    }
    // Where no proxy is trusted, nobody is believed.
    let house = House::new().await;
    let fenced = NewClient::sandbox("erp").token_networks(&["10.0.0.0/8"]);
    let erp = house.client(fenced).await;
    let token = house.token(&erp).await.access_token;
    let spoof = [(OWN, &*token), (forwarded, "10.1.1.1")];
    expect_error(with(&house, &spoof), 403, "ADDRESS_NOT_ALLOWED").await;
}

#[tokio::test]
async fn what_the_caller_writes_into_our_headers_changes_nothing() {
    let (house, _, token) = House::with_token().await;
    let plain = house.permits(&token).await;
    let mut request = gst(&house).header(OWN, &token);
    for name in IDENTITY {
        request = request.header(name, "forged");
        request = request.header(name.replace('-', "_"), "forged");
    }
    let request = request
        .header("x-tokenward-denial", "CLIENT_DELETED")
        .header("x-original-uri", "/check/production/max-itc")
        .header("x-http-method-override", "DELETE");
    let spoofed = house.send(request).await;
    assert_eq!(spoofed.status, 200);
    for name in IDENTITY {
        let values: Vec<_> = spoofed.headers.get_all(name).iter().collect();
        assert_eq!(values, [&plain.headers[name]], "{name}");
        assert!(!spoofed.headers.contains_key(name.replace('-', "_")));
    }
    let denied = house.check("gst", "x").await;
    for name in IDENTITY {
        assert!(!denied.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_gateway_that_asks_for_what_is_not_there_is_told_so() {
    let (house, _, token) = House::with_token().await;
    let ask = async |path: &str| {
        let request = house.api.internal(Method::GET, path);
        house.send(request.header(OWN, &token)).await
    };
    let unknown = ask("/check/sandbox/nothing").await;
    assert_snapshot!(seen(&unknown), @"404 PRODUCT_UNKNOWN: The gateway asked for an environment or product that does not exist. Its check address must be /check/{environment}/{product}.");
    let words = "
        /check/staging/gst /check/Sandbox/gst /check/sandbox /check/sandbox/ /check//gst /check/
        /check/sandbox//gst /check/sandbox/GST /check/sandbox/%67st /check/gst/sandbox";
    for path in words.split_whitespace() {
        assert_eq!(seen(&ask(path).await), seen(&unknown), "{path}");
    }
    // Told whatever token comes along.
    let request = house.api.internal(Method::GET, "/check/sandbox/nothing");
    expect_error(house.send(request), 404, "PRODUCT_UNKNOWN").await;
    ask("/check").await.expect_error(404, "NOT_FOUND");
    // A product that is deleted is not there from that moment.
    expect_status(house.ask(Method::DELETE, "/products/max-itc"), 204).await;
    expect_error(ask("/check/sandbox/max-itc"), 404, "PRODUCT_UNKNOWN").await;
}

#[tokio::test]
async fn a_denial_can_be_said_again_and_is_never_a_permit() {
    let (house, erp) = House::with_erp().await;
    let first = house.token(&erp).await.access_token;
    let second = house.token(&erp).await.access_token;
    let again = async |denial: &str| {
        let request = house.api.internal(Method::GET, "/deny");
        house
            .send(request.header("x-tokenward-denial", denial))
            .await
    };
    let same = async |denied: Answer| {
        let said = denied.header("x-tokenward-denial");
        assert_eq!(seen(&again(said).await), seen(&denied), "{said}");
    };
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    let fenced = NewClient::sandbox("fenced").products(&["gst"]);
    let erp = house.client(fenced.token_networks(&["192.0.2.1"])).await;
    let fenced = house.token(&erp).await.access_token;
    let long = format!("{first}0");
    for (product, token) in [
        ("gst", ""),
        ("gst", long.as_str()),
        ("gst", &forge(&first)),
        ("gst", &first),
        ("gst", &second),
        ("gst", &erp.secret),
        ("gst", &fenced),
        ("max-itc", &fenced),
        ("nothing", &fenced),
    ] {
        same(house.check(product, token).await).await;
    }
    same(with(&house, &[(OWN, &first), (OWN, &first)]).await).await;
    let production = house.client(NewClient::production("erp")).await;
    let token = house.token(&production).await.access_token;
    let check = async || house.api.check("production", "gst", &token).await.unwrap();
    house.api.disable(&production.id).await.unwrap().expect(200);
    same(check().await).await;
    house.api.delete(&production).await.unwrap().expect(200);
    same(check().await).await;
    let nothing = again("").await;
    assert_snapshot!(seen(&nothing), @"503 [retry-after: 1] CANNOT_VOUCH: This node cannot vouch for tokens at the moment. Try again; your token may well be good.");
    let words = "
        PERMIT 200 TOKEN_SUPERSEDED TOKEN_SUPERSEDED;x;y TOKEN_EXPIRED;0;99999999999999999999
        TOKEN_EXPIRED;0;9223372036854775807 TOKEN_EXPIRED;0;-9223372036854775808
        TOKEN_SUPERSEDED;4294967295;0";
    for odd in words.split_whitespace() {
        let answer = again(odd).await;
        assert!(matches!(answer.status, 401 | 503), "{odd}: {}", answer.body);
    }
    let token = house.client(NewClient::sandbox("good")).await;
    let token = house.token(&token).await.access_token;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for path in ["/deny", "/deny/anything"] {
            let request = house.api.internal(method.clone(), path).header(OWN, &token);
            assert_eq!(house.send(request).await.status, 503);
        }
    }
}

#[tokio::test]
async fn a_setting_says_which_header_the_check_reads() {
    for (setting, own, with_other, as_bearer) in [
        ("both", 200, 401, 200),
        ("x-cleartax-auth-token", 200, 200, 401),
        ("authorization", 401, 401, 200),
    ] {
        let house = House::with(&[&format!("--check-token-header={setting}")]).await;
        let (_, token) = house.erp().await;
        let alone = house.check("gst", &token).await;
        assert_eq!(alone.status, own, "{setting}");
        // A token that a gateway added for its own use.
        let other = "Bearer eyJhbGciOiJSUzI1NiJ9.e30.x";
        let both = with(&house, &[(OWN, &token), ("authorization", other)]).await;
        assert_eq!(both.status, with_other, "{setting}");
        let alone = house.send(gst(&house).bearer_auth(&token)).await;
        assert_eq!(alone.status, as_bearer, "{setting}");
    }
}
