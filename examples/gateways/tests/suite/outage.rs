//! Tokenward answers, but can't vouch: its database is away for longer than its lease. Every gateway hands
//! that on as it was said, and lets nobody pass.

use crate::world::{INVOICES, World, envelope};
use gateways::{ALL, Ask, Running};
use std::time::Duration;
use tokenward_testkit::{Answer, PgCluster, Server, wait_until};

/// A 503 of its authorization server is a failure to Envoy's HTTP filter, as none at all would be: it says
/// so in the words of its configuration.
const IN_ITS_OWN_WORDS: &[&str] = &["envoy over HTTP"];
/// Longer than the lease and every start on a busy machine; never waited for when all is well.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_tokenward_cannot_vouch_for_passes_nowhere_and_is_said_in_its_own_words() {
    let mut cluster = PgCluster::start();
    let builder = Server::builder().database(&cluster.url());
    let (first, others) = ALL.split_first().expect("a gateway");
    let world = World::behind(first, builder, None);
    let others: Vec<Running> = others
        .iter()
        .map(|kind| kind.start(&world.places))
        .collect();
    let running = || std::iter::once(&world.gateway).chain(&others);
    let gateways = || ALL.iter().zip(running().map(|gateway| gateway.address));
    let good = Ask::get(INVOICES).token(&world.token);
    for (kind, address) in gateways() {
        assert_eq!(good.send(address).status, 200, "{}", kind.name);
    }
    world.forget();

    cluster.stop();
    wait_until("the end of Tokenward's lease", LIMIT, || {
        world.check(&good).status != 200
    });
    let told = world.check(&good).expect_error(503, "CANNOT_VOUCH");
    let mut failed = Vec::new();
    for (kind, address) in gateways() {
        // Whoever has a replica of its own vouches no longer than its node.
        for ask in [
            &good,
            &Ask::get(INVOICES),
            &Ask::get(INVOICES).token("null"),
        ] {
            let answer = ask.send(address);
            let own = IN_ITS_OWN_WORDS.contains(&kind.name);
            if !says_the_same(&answer, &told, own) {
                failed.push(format!("{}: {answer:#?}", kind.name));
            }
        }
    }
    world.untouched();
    assert!(failed.is_empty(), "instead of {told:#?}: {failed:#?}");

    cluster.start_again();
    for (kind, address) in gateways() {
        wait_until(&format!("service through {}", kind.name), LIMIT, || {
            good.send(address).status == 200
        });
    }
}

/// Status, body but its id, and the headers that matter to a caller. Of the body the code, where the gateway
/// has words of its own.
fn says_the_same(answer: &Answer, told: &Answer, own_words: bool) -> bool {
    let headers = ["content-type", "retry-after", "cache-control"];
    answer.status == told.status
        && headers
            .iter()
            .all(|name| answer.header(name) == told.header(name))
        && match own_words {
            true => envelope(answer)["errors"][0]["error_code"] == "CANNOT_VOUCH",
            false => envelope(answer) == envelope(told),
        }
}
