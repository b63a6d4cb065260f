//! Tokenward is down, silent, or dies while it is asked: nobody passes, and everybody is told soon.

use crate::Row;
use crate::world::{INVOICES, World, envelope};
use gateways::Ask;
use std::time::Duration;
use tokenward_testkit::{Answer, wait_until};

pub(crate) const ROWS: &[Row] = &[
    (
        "Tokenward is silent: 503 with a body, then service again",
        silent,
    ),
    ("Tokenward dies while it is asked", dies),
    ("Tokenward is down: 503 with a body", down),
    ("Tokenward is back, and so is service", back),
];

/// How long service may take to return; gateways wait a while before they connect again.
const RETURN: Duration = Duration::from_secs(20);

/// The gateway's own words, for nobody else is there to say them.
#[track_caller]
fn shut(world: &World, answer: &Answer) {
    answer.clone().expect_error(503, "CANNOT_VOUCH");
    envelope(answer);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("cache-control"), "no-store");
    world.untouched();
}

/// How long a replica may go on after its node was last heard: its lease, and the time to see that.
const LEASE: Duration = Duration::from_millis(4_500);

/// A gateway with a replica of its own goes on for as long as its lease lasts, and no longer.
fn lease_over(world: &World) {
    if !world.asks {
        wait_until("the end of the replica's lease", LEASE, || {
            world.invoices(&world.token).status == 503
        });
        world.forget();
    }
}

fn silent(world: &mut World) {
    world.server.freeze();
    lease_over(world);
    // A connection that is kept, and one that is made now.
    for _ in 0..2 {
        let answer = world.invoices(&world.token);
        shut(world, &answer);
        let answer = world.ask(
            &Ask::of("POST", INVOICES)
                .token(&world.token)
                .body(b"an invoice"),
        );
        shut(world, &answer);
    }
    world.server.thaw();
    serves_again(world);
}

#[track_caller]
fn serves_again(world: &World) {
    wait_until("service through the gateway", RETURN, || {
        world.invoices(&world.token).status == 200
    });
}

fn dies(world: &mut World) {
    world.invoices(&world.token).expect(200);
    world.forget();
    if !world.asks {
        // Nobody is asked, so nobody dies in the midst of it.
        world.server.kill9();
        return lease_over(world);
    }
    world.server.freeze();
    let mut line = world.line();
    line.write(&Ask::get(INVOICES).token(&world.token).bytes())
        .unwrap();
    // The check lies unread in the frozen server's socket.
    wait_until("the check to arrive", Duration::from_secs(10), || {
        world.unread()
    });
    world.server.kill9();
    let answer = line.answer(false).unwrap();
    shut(world, &answer);
}

fn down(world: &mut World) {
    for _ in 0..5 {
        let answer = world.invoices(&world.token);
        shut(world, &answer);
        let answer = world.invoices("");
        shut(world, &answer);
    }
}

fn back(world: &mut World) {
    world.server.restart();
    serves_again(world);
}
