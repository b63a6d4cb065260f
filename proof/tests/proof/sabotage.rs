//! The tester tested: servers built with one rule broken are found out.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tokenward_proof::coherence::{Plan, run};
use tokenward_proof::history::{ViolationKind, check};
use tokenward_testkit::{Server, build_binary};

/// A race is lost sooner or later; each try is a new chance.
const TRIES: u32 = 6;

const DURATION: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_change_is_in_force_is_found() {
    is_found(
        "answer-before-apply",
        &[
            ViolationKind::AcceptedAfterItsEnd,
            ViolationKind::DeniedWhileGood,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_token_kept_is_found() {
    is_found("keep-old-token", &[ViolationKind::AcceptedAfterItsEnd]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disable_without_effect_is_found() {
    is_found("ignore-disable", &[ViolationKind::AcceptedWhileDisabled]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restrictions_out_of_date_are_found() {
    is_found(
        "stale-restrictions",
        &[ViolationKind::AcceptedForbiddenProduct],
    )
    .await;
}

async fn is_found(sabotage: &str, expected: &[ViolationKind]) {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let binary = BINARY.get_or_init(|| build_binary("tokenward-sabotage", &["sabotage"]));
    let server = Server::builder()
        .binary(binary)
        .env("TOKENWARD_SABOTAGE", sabotage)
        .start();
    let api = server.api();
    for _ in 0..TRIES {
        let plan = Plan::new(fastrand::u64(..), DURATION);
        let report = check(&run(&api, &plan).await.unwrap());
        if expected.iter().any(|&kind| report.found(kind)) {
            return;
        }
        // Another kind would mean that the sabotage breaks something else than it says.
        assert!(
            report.violations.is_empty(),
            "{sabotage}: {}",
            report.violations[0]
        );
    }
    panic!("{sabotage}: {TRIES} runs of {DURATION:?} found nothing");
}
