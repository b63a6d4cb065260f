//! One recorded call at a time.

use fastrand::Rng;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokenward_testkit::{Answer, Broken};
use tokio::time::error::Elapsed;

use super::nodes::Nodes;
use super::subject::{PRODUCTS, Subject, slugs};
use crate::history::{Clock, Event, Nanos, Operation, Outcome, Product};

/// Longest a check is waited for.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// A caller with its own random choices and its own record.
pub(crate) struct Caller {
    nodes: Arc<Nodes>,
    pub(crate) rng: Rng,
    clock: Clock,
    events: Vec<Event>,
}

impl Caller {
    /// Callers of one run share the clock; each has a `number` of its own.
    pub(crate) fn new(nodes: Arc<Nodes>, clock: Clock, seed: u64, number: u64) -> Caller {
        // Any odd constant with well-mixed bits keeps neighbouring numbers' choices apart.
        let rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Caller {
            nodes,
            rng,
            clock,
            events: Vec::new(),
        }
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Asks for a change and returns what came back.
    pub(crate) async fn change(&mut self, subject: &Subject, operation: Operation) -> Outcome {
        let (api, client) = (self.nodes.any(&mut self.rng), &subject.client);
        let invoked = self.clock.now();
        let answer = match operation {
            Operation::Generate => api.generate(&client.secret).await,
            Operation::Revoke => api.revoke(&client.id).await,
            Operation::Delete => api.delete(client).await,
            Operation::Disable => api.disable(&client.id).await,
            Operation::Enable => api.enable(&client.id).await,
            Operation::Restrict(set) => {
                let changes = json!({"products": slugs(set)});
                api.patch_client(&client.id, &changes).await
            }
            Operation::Check { .. } => unreachable!("a check changes nothing"),
        };
        let returned = self.clock.now();
        let outcome = change_outcome(answer, operation, subject);
        self.record(subject, operation, (invoked, returned), outcome.clone());
        outcome
    }

    /// Checks the token handed out `back` tokens before the latest, if there is one, for some product.
    pub(crate) async fn check(&mut self, subject: &Subject, back: usize) {
        let Some((token, text)) = subject.token(back) else {
            return;
        };
        let index = self.rng.usize(..PRODUCTS.len());
        let product = Product::try_from(index).expect("a handful of products");
        let operation = Operation::Check { token, product };
        if let Some(attached) = self.nodes.any_attached(&mut self.rng) {
            let invoked = self.clock.now();
            let outcome = attached.check(index, &text).await;
            let returned = self.clock.now();
            return self.record(subject, operation, (invoked, returned), outcome);
        }
        let environment = &subject.client.environment;
        let api = self.nodes.any(&mut self.rng);
        let invoked = self.clock.now();
        // A server that stands still answers nothing, and a gateway would not wait for it either.
        let asking = api.check(environment, PRODUCTS[index].0, &text);
        let answer = tokio::time::timeout(CHECK_LIMIT, asking).await;
        let returned = self.clock.now();
        self.record(
            subject,
            operation,
            (invoked, returned),
            check_outcome(answer),
        );
    }

    /// Checks every token the client has been handed.
    pub(crate) async fn check_all(&mut self, subject: &Subject) {
        for back in 0..subject.token_count() {
            self.check(subject, back).await;
        }
    }

    fn record(
        &mut self,
        subject: &Subject,
        operation: Operation,
        span: (Nanos, Nanos),
        outcome: Outcome,
    ) {
        self.events.push(Event {
            client: subject.number,
            operation,
            invoked: span.0,
            returned: span.1,
            outcome,
        });
    }
}

fn check_outcome(answer: Result<Result<Answer, Broken>, Elapsed>) -> Outcome {
    let Ok(Ok(answer)) = answer else {
        return Outcome::Broken;
    };
    match answer.status {
        200 => Outcome::Permitted,
        503 => Outcome::Unavailable,
        401 | 403 => Outcome::Denied(answer.code().unwrap_or_default()),
        // Nothing asked here deserves another status; the checker calls it a false reason.
        status => Outcome::Denied(format!("HTTP {status} {}", answer.body)),
    }
}

fn change_outcome(
    answer: Result<Answer, Broken>,
    operation: Operation,
    subject: &Subject,
) -> Outcome {
    let Ok(answer) = answer else {
        return Outcome::Broken;
    };
    match answer.status {
        200..300 if operation == Operation::Generate => {
            let token = answer.token();
            Outcome::Generated {
                token: subject.keep(token.access_token),
                generation: token.generation,
            }
        }
        200..300 => Outcome::Done,
        400..500 => Outcome::Refused(answer.code().unwrap_or_default()),
        _ => Outcome::Unavailable,
    }
}
