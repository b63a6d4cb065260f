//! Each request is decided anew: nothing is remembered between two, nothing is asked twice, and the
//! connections to Tokenward are kept.

use crate::Row;
use crate::world::{INVOICES, World};
use gateways::Ask;
use tokenward_testkit::NewClient;

pub(crate) const ROWS: &[Row] = &[
    (
        "a revoked token is refused on the very next request",
        revoked,
    ),
    ("one request is one check", one_check),
    ("connections to Tokenward are kept", kept),
];

fn revoked(world: &mut World) {
    let client = world.client(NewClient::production);
    let mut line = world.line();
    let mut old = world.generate(&client);
    for _ in 0..20 {
        // Twice, so that whoever remembers permits has one to remember.
        for _ in 0..2 {
            line.ask(&Ask::get(INVOICES).token(&old)).expect(200);
        }
        let new = world.generate(&client);
        line.ask(&Ask::get(INVOICES).token(&old))
            .expect_error(401, "TOKEN_SUPERSEDED");
        // Nor is the refusal remembered.
        line.ask(&Ask::get(INVOICES).token(&new)).expect(200);
        old = new;
    }
}

fn one_check(world: &mut World) {
    for (ask, status) in [
        (Ask::get(INVOICES).token(&world.token), 200),
        (
            Ask::of("POST", INVOICES)
                .token(&world.token)
                .body(b"an invoice"),
            200,
        ),
        (Ask::get(INVOICES), 401),
        (Ask::get(INVOICES).token("null"), 401),
    ] {
        let before = world.checks();
        world.ask(&ask).expect(status);
        // One at Tokenward, or one in the gateway's own replica.
        let asked = u64::from(world.asks);
        assert_eq!(world.checks() - before, asked, "{ask:?}");
    }
}

fn kept(world: &mut World) {
    // HAProxy runs a thread a core, each with connections of its own.
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let before = world.counted("tokenward_internal_connections_total");
    for _ in 0..10 * threads {
        // Callers come and go; the gateway's own connections stay.
        world.invoices(&world.token).expect(200);
        world.invoices("").expect(401);
    }
    let opened = world.counted("tokenward_internal_connections_total") - before;
    assert!(
        opened <= 2 * threads,
        "{opened} connections for {} requests",
        20 * threads
    );
}
