//! Three nodes and two replicas attached to them, under load while everything that can fail does: no stale accept, no early denial, no lost change. Whether a node
//! to which nothing is done falls silent is a question of time, and so that of the program `cluster` on a quiet machine. A program of
//! its own: beside it other proofs would see too little happen.

use tokenward_proof::cluster::{Act, run};
use tokenward_proof::history::check;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_stay_coherent_while_everything_fails() {
    let seed = fastrand::u64(..);
    let told = |act, node, took| eprintln!("{act:?} at node {node}: ready after {took} ms");
    let seen = run((3, 2), seed, &Act::short(), told).await.unwrap();
    let report = check(&seen.history);
    eprintln!(
        "seed {seed}, longest change {} ms, {} nodes ended and came back, {} times silent where nothing was done, replicas {} times silent, {report:?}",
        seen.longest_change, seen.ended, seen.silent_elsewhere, seen.silent_replicas
    );
    if let Some(first) = report.violations.first() {
        let count = report.violations.len();
        panic!("seed {seed}: {count} violations, the first: {first}");
    }
    // A history in which little happened would prove little.
    assert!(
        report.accepted > 1_000 && report.denied > 1_000 && report.changed > 150,
        "{report:?}"
    );
}
