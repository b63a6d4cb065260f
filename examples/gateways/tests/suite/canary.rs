//! `tokenward canary` through real gateways: content with each recipe, and alarmed by one that remembers
//! permits.

use crate::Row;
use crate::world::{INVOICES, World};
use serde_json::Value;
use std::process::{Command, Output};
use tokenward_testkit::{NewClient, PROGRAM_LIMIT, assert_contains, finish};

pub(crate) const ROWS: &[Row] = &[("the canary sees the old token refused at once", content)];

/// Runs one round for a client.
fn round(world: &World, client: &str, through: &str, more: &[&str]) -> Output {
    let mut canary = Command::new(world.server.binary());
    canary
        .args(["canary", "--once", client, "--through", through])
        .args(more)
        .env("TOKENWARD_DATA_DIR", world.server.data_dir());
    finish(&mut canary, PROGRAM_LIMIT)
}

/// The same through the gateway, for a client of its own.
fn own_round(world: &mut World, more: &[&str]) -> Output {
    let client = world.client(NewClient::production);
    let through = format!("http://{}{INVOICES}", world.gateway.address);
    round(world, &client.id, &through, more)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn content(world: &mut World) {
    let ran = own_round(world, &["--json"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told["verdict"], "refused", "{told}");
    assert_eq!(told["generation"], 1, "{told}");
    assert_eq!(told["accepted"], 0, "{told}");
    let after = told["refused_after_seconds"].as_f64().unwrap();
    assert!(after > 0.0, "{told}");
}

#[test]
fn a_gateway_that_remembers_raises_the_alarm() {
    let mut world = World::start(&gateways::gateway::CACHING);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("canary.prom");
    let ran = own_round(&mut world, &["--metrics-file", file.to_str().unwrap()]);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let (said, alarm) = (text(&ran.stdout), text(&ran.stderr));
    assert!(said.contains("generation 1 was accepted"), "{said}");
    assert_contains(&alarm, "ALARM: generation 1 was accepted");
    let figures = std::fs::read_to_string(&file).unwrap();
    assert_contains(&figures, "\ntokenward_canary_alarms_total 1\n");
    // It was refused once the gateway had forgotten.
    assert_contains(&figures, "\ntokenward_canary_refused_after_seconds ");
}

#[test]
fn where_nothing_can_be_proved_the_canary_says_so() {
    let mut world = World::start(&gateways::ALL[0]);
    let client = world.client(NewClient::sandbox);
    let through = format!("http://{}/e-invoice/x", world.gateway.address);
    let sandbox = round(&world, &client.id, &through, &[]);
    assert_eq!(sandbox.status.code(), Some(1), "{sandbox:?}");
    assert!(
        text(&sandbox.stdout).contains("nothing proved"),
        "{sandbox:?}"
    );
    world.server.freeze();
    let ran = round(&world, "erp", "http://api.example.com/x", &[]);
    // A token goes in the clear to no other machine.
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(text(&ran.stderr).contains("plain http"), "{ran:?}");
}
