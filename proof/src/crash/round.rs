//! One round: load, a kill at a random moment, a new start, judgement.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokenward_testkit::Api;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::plan::{Engine, Tally};
use super::world::World;
use crate::driver::{Caller, Subject};
use crate::history::{Clock, Event, Nanos, Operation, Outcome};

/// The kill comes after at most this many answers.
const MOST_ANSWERS: u32 = 60;

/// And then at most this much later, so that it falls anywhere between two answers.
const MOST_JITTER: Nanos = 4_000_000;

/// How long the load may take to get its answers, and a living node to find its database again.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a node that lost its database is asked whether it has found it again.
const RECOVERY_QUESTION: Duration = Duration::from_millis(5);

/// After so many kills of the database the node starts anew too: its memory and the database must
/// tell the same.
const NODE_RESTART_EVERY: u32 = 3;

/// Verifying the chain reads all of it, so once the log has grown only every so many rounds do.
const AUDIT_EVERY: u32 = 25;

impl World {
    pub(super) async fn round(&mut self, tally: &mut Tally, round: u32, is_last: bool) {
        let api = self.server.api();
        for place in 0..self.places.len() {
            if self.places[place].is_finished() {
                self.replace(place, &api).await;
            }
        }
        self.load_and_kill(&api, tally).await;
        tally.rounds += 1;
        let api = self.start_again().await;
        self.judge(&api, tally).await;
        if round <= AUDIT_EVERY || round.is_multiple_of(AUDIT_EVERY) || is_last {
            self.verify_audit(&api, tally).await;
        }
        if self.engine == Engine::PostgresDatabase && round.is_multiple_of(NODE_RESTART_EVERY) {
            self.server.restart();
            let api = self.server.api();
            self.judge(&api, tally).await;
        }
    }

    async fn load_and_kill(&mut self, api: &Api, tally: &mut Tally) {
        let answers = Arc::new(Semaphore::new(0));
        let mut tasks = JoinSet::new();
        for subject in self.places.clone() {
            let caller = self.caller(api);
            tasks.spawn(load(caller, subject, Arc::clone(&answers)));
        }
        let wanted = self.rng.u32(1..=MOST_ANSWERS);
        let heard = tokio::time::timeout(ROUND_TIMEOUT, answers.acquire_many(wanted)).await;
        assert!(
            heard.is_ok(),
            "{wanted} answers did not come:\n{}",
            self.server.output()
        );
        pass_time(self.clock, self.rng.u64(..MOST_JITTER));
        match (self.engine, &mut self.cluster) {
            (Engine::PostgresDatabase, Some(cluster)) => cluster.kill9(),
            _ => self.server.kill9(),
        }
        for events in tasks.join_all().await {
            self.remember(events, tally);
        }
    }

    async fn start_again(&mut self) -> Api {
        if self.engine == Engine::PostgresDatabase {
            if let Some(cluster) = &mut self.cluster {
                cluster.start_again();
            }
            let api = self.server.api();
            let found = tokio::time::timeout(ROUND_TIMEOUT, until_it_writes(&api)).await;
            assert!(
                found.is_ok(),
                "the node does not find its restarted database:\n{}",
                self.server.output()
            );
            api
        } else {
            self.server.restart();
            self.server.api()
        }
    }
}

/// Changes one client until an answer fails to come.
async fn load(mut caller: Caller, subject: Arc<Subject>, answers: Arc<Semaphore>) -> Vec<Event> {
    loop {
        let operation = match caller.rng.u8(..100) {
            0..75 => Operation::Generate,
            75..92 => Operation::Revoke,
            92..95 => Operation::Delete,
            _ => {
                caller.check(&subject, 0).await;
                continue;
            }
        };
        match caller.change(&subject, operation).await {
            Outcome::Broken | Outcome::Unavailable => return caller.into_events(),
            Outcome::Done if operation == Operation::Delete => subject.finish(),
            Outcome::Refused(code) if is_final(&code) => subject.finish(),
            _ => {}
        }
        answers.add_permits(1);
    }
}

/// Whether a refusal stays: of a deletion that was cut off and happened, or of a quota used up.
fn is_final(code: &str) -> bool {
    matches!(
        code,
        "CLIENT_DELETED" | "CLIENT_SECRET_INVALID" | "QUOTA_EXCEEDED"
    )
}

/// Asks for a change that alters nothing until it is answered with success.
async fn until_it_writes(api: &Api) {
    let mut turn = tokio::time::interval(RECOVERY_QUESTION);
    loop {
        turn.tick().await;
        let request = api
            .admin(Method::PUT, "/products/gst")
            .json(&json!({"name": "GST"}));
        if let Ok(answer) = api.send(request).await
            && (200..300).contains(&answer.status)
        {
            return;
        }
    }
}

/// Lets time pass awake: a timer's grain is coarser than a commit.
fn pass_time(clock: Clock, time: Nanos) {
    let end = clock.now() + time;
    while clock.now() < end {
        std::hint::spin_loop();
    }
}
