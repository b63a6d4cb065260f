//! Requests of a stranger, and a moment without answers, never take Tokenward out of a gateway's service: only the
//! request that failed is refused.

use crate::world::{INVOICES, World};
use gateways::{ALL, Ask, Kind};
use std::time::Duration;
use tokenward_testkit::wait_until;

/// Longer than a thawed server takes to answer.
const LIMIT: Duration = Duration::from_secs(20);

fn try_out(kind: &Kind) {
    let world = World::start(kind);
    let good = Ask::get(INVOICES).token(&world.token);
    // More header lines than Tokenward reads, and more bytes.
    for _ in 0..4 {
        let mut many = Ask::get(INVOICES);
        for _ in 0..101 {
            many = many.header("x-more", "1");
        }
        let strange = many.send(world.gateway.address);
        assert!(strange.status >= 400, "{}: {strange:?}", kind.name);
        let answer = good.send(world.gateway.address);
        assert_eq!(answer.status, 200, "{}: {answer:?}", kind.name);
    }
    if !kind.asks {
        return;
    }
    world.server.freeze();
    for _ in 0..3 {
        let answer = good.send(world.gateway.address);
        assert_eq!(answer.status, 503, "{}: {answer:?}", kind.name);
    }
    world.server.thaw();
    wait_until("Tokenward to answer again", LIMIT, || {
        world.check(&good).status == 200
    });
    for _ in 0..4 {
        let answer = good.send(world.gateway.address);
        assert_eq!(answer.status, 200, "{}: {answer:?}", kind.name);
    }
}

#[test]
fn nginx_goes_on_asking_both_of_two_servers() {
    try_out(&gateways::gateway::NGINX_TWICE);
}

#[test]
fn every_gateway_goes_on_asking() {
    for kind in ALL {
        try_out(kind);
    }
}
