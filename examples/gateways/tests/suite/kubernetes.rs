//! The recipes for Envoy Gateway and Istio can't run here. Both set Envoy up, with less than the recipes for Envoy itself set: headers of
//! one name go to the check joined, and there is no body of our own. Such an Envoy must keep every promise but one: without an
//! answer of Tokenward callers get a bare 503.

use crate::world::{INVOICES, World};
use crate::{Row, bodies, denials, fresh, permits, tricks, try_tables};
use gateways::Ask;
use gateways::gateway::OF_KUBERNETES;
use std::time::Duration;
use tokenward_testkit::wait_until;

const SHUT: &[Row] = &[
    ("Tokenward is silent: 503, then service again", silent),
    ("Tokenward is down: 503", down),
];

const TABLES: &[&[Row]] = &[
    denials::BEFORE_PRODUCTS,
    permits::ROWS,
    denials::ROWS,
    tricks::ROWS,
    bodies::ROWS,
    fresh::ROWS,
    SHUT,
];

/// No product is reached, and the status is not one that says something about the token.
fn shut(world: &World) {
    assert_eq!(world.invoices(&world.token).status, 503);
    assert_eq!(world.ask(&Ask::get(INVOICES)).status, 503);
    world.untouched();
}

fn silent(world: &mut World) {
    world.server.freeze();
    shut(world);
    world.server.thaw();
    wait_until(
        "service through the gateway",
        Duration::from_secs(20),
        || world.invoices(&world.token).status == 200,
    );
}

fn down(world: &mut World) {
    world.server.kill9();
    shut(world);
}

#[test]
fn envoy_as_istio_sets_it_up_keeps_the_promises() {
    try_tables(&OF_KUBERNETES[0], TABLES);
}

#[test]
fn envoy_as_envoy_gateway_sets_it_up_keeps_the_promises() {
    try_tables(&OF_KUBERNETES[1], TABLES);
}
