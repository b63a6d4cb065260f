//! Racing changes and checks over HTTP show nothing that no single order of events explains.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokenward_proof::coherence::{Plan, run};
use tokenward_proof::driver::Nodes;
use tokenward_proof::history::{Operation, Outcome, check};
use tokenward_testkit::{PgCluster, Server};

const DURATION: Duration = Duration::from_secs(10);
/// On two busy cores a change takes up to half a second on PostgreSQL: longer for as many of them.
const DURATION_POSTGRES: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    is_coherent(&Server::start(), DURATION).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    let cluster = PgCluster::start();
    let server = Server::builder().database(&cluster.url()).start();
    is_coherent(&server, DURATION_POSTGRES).await;
}

async fn is_coherent(server: &Server, duration: Duration) {
    let plan = Plan::new(fastrand::u64(..), duration);
    let history = run(&Arc::new(Nodes::new(vec![server.api()])), &plan)
        .await
        .unwrap();
    let report = check(&history);
    if let Some(first) = report.violations.first() {
        let count = report.violations.len();
        panic!("seed {}: {count} violations, the first: {first}", plan.seed);
    }
    // Nothing failed here, so nothing may have gone without an answer.
    assert_eq!((report.without_verdict, report.unknown), (0, 0));
    // A history in which little happened would prove little.
    assert!(
        report.accepted > 500 && report.denied > 500 && report.changed > 100,
        "{report:?}"
    );
    let denials: HashSet<&str> = history
        .iter()
        .filter_map(|event| match &event.outcome {
            Outcome::Denied(code) => Some(code.as_str()),
            _ => None,
        })
        .collect();
    let words = "
        TOKEN_SUPERSEDED TOKEN_REVOKED CLIENT_DISABLED CLIENT_DELETED PRODUCT_NOT_ALLOWED";
    for code in words.split_whitespace() {
        assert!(denials.contains(code), "{code} never came up: {denials:?}");
    }
    let is_refused_generate = |event: &&tokenward_proof::history::Event| {
        event.operation == Operation::Generate && matches!(event.outcome, Outcome::Refused(_))
    };
    assert!(history.iter().any(|event| is_refused_generate(&event)));
}
