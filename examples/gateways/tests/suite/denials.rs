//! What is refused, each with Tokenward's own status and body handed to the caller.

use crate::Row;
use crate::world::{GSTINS, INVOICES, World, envelope};
use gateways::Ask;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokenward_testkit::{NewClient, wait_until};

/// Must come before the product `gst` exists, and makes it.
pub(crate) const BEFORE_PRODUCTS: &[Row] = &[(
    "a route whose product nobody made is closed, and says why",
    product_unknown,
)];

pub(crate) const ROWS: &[Row] = &[
    ("no token, a broken one, a secret in its place", unreadable),
    ("a doubled token is refused", doubled),
    ("another environment's token, another product's", walls),
    (
        "a token whose network is elsewhere, whatever the caller claims",
        networks,
    ),
    ("each way in which a token ends", ended),
    ("a denial keeps the connection usable", connection_stays),
];

/// The gateway refuses with exactly what Tokenward says to the check, and no product is reached.
#[track_caller]
fn refused(world: &World, ask: &Ask, status: u16, code: &str) {
    let answer = world.ask(ask).expect_error(status, code);
    world.untouched();
    let told = world.check(ask).expect_error(status, code);
    assert_eq!(envelope(&answer), envelope(&told));
    for name in "content-type www-authenticate retry-after cache-control".split(' ') {
        assert_eq!(answer.header(name), told.header(name), "{name}");
    }
}

/// The same of a request with this token.
#[track_caller]
fn denied(world: &World, token: &str, status: u16, code: &str) {
    refused(world, &Ask::get(INVOICES).token(token), status, code);
}

fn product_unknown(world: &mut World) {
    let answer = world.ask(&Ask::get(GSTINS).token(&world.token));
    answer.clone().expect_error(404, "PRODUCT_UNKNOWN");
    envelope(&answer);
    world.untouched();
    world.wait(world.api.product("gst", "GST"));
    world.ask(&Ask::get(GSTINS).token(&world.token)).expect(200);
}

fn unreadable(world: &mut World) {
    let client = world.client(NewClient::production);
    let cut = &world.token[..world.token.len() - 1];
    for (token, code) in [
        ("", "ACCESS_TOKEN_MISSING"),
        (cut, "ACCESS_TOKEN_MALFORMED"),
        ("null", "ACCESS_TOKEN_MALFORMED"),
        (client.secret.as_str(), "CLIENT_SECRET_USED_AS_TOKEN"),
    ] {
        denied(world, token, 401, code);
    }
    refused(world, &Ask::get(INVOICES), 401, "ACCESS_TOKEN_MISSING");
    // A gateway must not take a name with underscores for the token's.
    let spelt = Ask::get(INVOICES).header("x_cleartax_auth_token", &world.token);
    refused(world, &spelt, 401, "ACCESS_TOKEN_MISSING");
    // Nor an inbound denial or path for what the check says.
    let denial = Ask::get(INVOICES).header("X-Tokenward-Denial", "CLIENT_DELETED");
    refused(world, &denial, 401, "ACCESS_TOKEN_MISSING");
}

fn doubled(world: &mut World) {
    let other = world.client(NewClient::production);
    let stranger = world.generate(&other);
    let (token, joined) = (&world.token, format!("{0}, {0}", world.token));
    let ask = || Ask::get(INVOICES);
    let bearer = |token: &str| ask().header("Authorization", &format!("Bearer {token}"));
    for ask in [
        ask().token(token).token(token),
        ask().token(token).token(&stranger),
        ask().token(token).token(""),
        ask().token("").token(token),
        ask().token(&joined),
        ask().token(token).header("X-CLEARTAX-AUTH-TOKEN", token),
        bearer(token).header("Authorization", &format!("Bearer {token}")),
        bearer(token).header("authorization", "Basic dTpw"),
        bearer(token).token(&stranger),
    ] {
        let answer = world.ask(&ask);
        world.untouched();
        // Some gateways refuse two lines of Authorization by themselves.
        if answer.status != 400 {
            envelope(&answer.expect_error(401, "ACCESS_TOKEN_MALFORMED"));
        }
    }
}

fn walls(world: &mut World) {
    let sandbox = world.client(NewClient::sandbox);
    let token = world.generate(&sandbox);
    denied(world, &token, 401, "ENVIRONMENT_MISMATCH");
    let gst = world.client(|label| NewClient::production(label).products(&["gst"]));
    let token = world.generate(&gst);
    denied(world, &token, 403, "PRODUCT_NOT_ALLOWED");
    // The same token right after: one product's answer is not taken for the other's.
    world.ask(&Ask::get(GSTINS).token(&token)).expect(200);
    world.forget();
    denied(world, &token, 403, "PRODUCT_NOT_ALLOWED");
}

fn networks(world: &mut World) {
    let inside = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
    let client =
        world.client(|label| NewClient::production(label).token_networks(&["127.0.0.77/32"]));
    let token = world.generate(&client);
    world
        .ask(&Ask::get(INVOICES).token(&token).from(inside))
        .expect(200);
    world.forget();
    for claim in ["127.0.0.77", "127.0.0.77, 127.0.0.1", "::ffff:127.0.0.77"] {
        let mut ask = Ask::get(INVOICES).token(&token);
        for name in "X-Forwarded-For X-Real-IP Forwarded X-Client-IP X_Forwarded_For".split(' ') {
            ask = ask.header(name, claim);
        }
        let answer = world.ask(&ask).expect_error(403, "ADDRESS_NOT_ALLOWED");
        envelope(&answer);
        world.untouched();
    }
}

fn ended(world: &mut World) {
    let client = world.client(NewClient::production);
    let first = world.generate(&client);
    let mut last = world.generate(&client);
    denied(world, &first, 401, "TOKEN_SUPERSEDED");
    for _ in 0..4 {
        last = world.generate(&client);
    }
    // So long ago that Tokenward knows it no more.
    denied(world, &first, 401, "ACCESS_TOKEN_UNKNOWN");
    world.wait(world.api.disable(&client.id));
    denied(world, &last, 401, "CLIENT_DISABLED");
    world.wait(world.api.enable(&client.id));
    world.invoices(&last).expect(200);
    world.forget();
    world.wait(world.api.revoke(&client.id));
    denied(world, &last, 401, "TOKEN_REVOKED");
    let last = world.generate(&client);
    world.wait(world.api.delete(&client));
    denied(world, &last, 401, "CLIENT_DELETED");
    let short = world.client(|label| NewClient::production(label).lifetime(1));
    let token = world.generate(&short);
    let ask = Ask::get(INVOICES).token(&token);
    wait_until("the token to expire", Duration::from_secs(10), || {
        world.check(&ask).status != 200
    });
    refused(world, &ask, 401, "TOKEN_EXPIRED");
}

fn connection_stays(world: &mut World) {
    let mut line = world.line();
    for _ in 0..3 {
        line.ask(&Ask::get(INVOICES))
            .expect_error(401, "ACCESS_TOKEN_MISSING");
        line.ask(&Ask::get(INVOICES).token(&world.token))
            .expect(200);
    }
    assert_eq!(world.e_invoice.take().len(), 3);
}
