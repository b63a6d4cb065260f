//! A standby is promoted, and a database takes no writes for a while: the node goes on without a restart. How fast is the
//! program `failover`'s question, which does not share the machine with other tests.

use tokenward_proof::failover::{Fault, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_after_a_standby_is_promoted() {
    let report = run(Fault::Failover, 3, |_, _| {}).await;
    assert_eq!(report.delays.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_after_the_database_was_read_only() {
    let report = run(Fault::ReadOnly, 3, |_, _| {}).await;
    assert_eq!(report.delays.len(), 3);
}
