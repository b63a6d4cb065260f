//! Every gateway against the same tables, with the real gateway, the real server and a product that
//! records what reaches it. A row fails for one gateway alone and names it; nothing is skipped.

mod apache;
mod bodies;
mod canary;
mod certificates;
mod closed;
mod denials;
mod ejection;
mod fresh;
mod kubernetes;
mod outage;
mod permits;
mod restarts;
mod tricks;
mod world;

use gateways::Kind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// One row: what must hold, and how it is seen.
type Row = (&'static str, fn(&mut World));

/// All rows, in the order they run. Those of `closed` end the server under the gateway and come last.
const TABLES: &[&[Row]] = &[
    denials::BEFORE_PRODUCTS,
    permits::ROWS,
    denials::ROWS,
    tricks::ROWS,
    bodies::ROWS,
    fresh::ROWS,
    canary::ROWS,
    closed::ROWS,
];

/// Runs every row against one gateway and tells all that failed.
fn try_out(kind: &Kind) {
    try_tables(kind, TABLES);
}

/// Runs the rows of these tables against one gateway and tells all that failed.
fn try_tables(kind: &Kind, tables: &[&[Row]]) {
    let mut world = World::start(kind);
    let mut failed = Vec::new();
    for (what, row) in tables.iter().copied().flatten() {
        world.forget();
        if catch_unwind(AssertUnwindSafe(|| row(&mut world))).is_err() {
            failed.push(*what);
        }
    }
    assert!(
        failed.is_empty(),
        "{}: {} rows failed (reasons above): {failed:#?}\nit wrote:\n{}",
        kind.name,
        failed.len(),
        world.gateway.output()
    );
}

/// One test a gateway, so that they run side by side and each is named in the output.
macro_rules! try_out {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                try_out(gateways::ALL.iter().find(|kind| kind.name == $name).expect($name));
            }
        )*

        #[test]
        fn no_gateway_is_left_out() {
            let tried = [$($name),*];
            let all: Vec<&str> = gateways::ALL.iter().map(|kind| kind.name).collect();
            assert_eq!(all, tried);
        }
    };
}

try_out! {
    nginx: "nginx",
    nginx_over_a_unix_socket: "nginx over a unix socket",
    caddy_2_6: "caddy 2.6",
    caddy_2_11: "caddy 2.11",
    caddy_2_11_over_a_unix_socket: "caddy 2.11 over a unix socket",
    haproxy: "haproxy",
    haproxy_over_a_unix_socket: "haproxy over a unix socket",
    envoy_over_grpc: "envoy over gRPC",
    envoy_over_grpc_and_a_unix_socket: "envoy over gRPC and a unix socket",
    envoy_over_http: "envoy over HTTP",
    tower_layer_with_its_replica: "tower layer with its replica",
    tower_layer_with_its_replica_over_a_unix_socket: "tower layer with its replica over a unix socket",
    tower_layer_that_asks: "tower layer that asks",
    tower_layer_that_asks_over_a_unix_socket: "tower layer that asks over a unix socket",
}
