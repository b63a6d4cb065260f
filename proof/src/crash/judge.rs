//! What is asked of the server after each new start.

use reqwest::Method;
use serde_json::Value;
use tokenward_testkit::Api;

use super::plan::Tally;
use super::world::World;
use crate::driver::Subject;
use crate::history::{self, Event, Operation, Outcome};

impl World {
    /// Asks about every token of the clients under load, and judges all that was seen of them.
    pub(super) async fn judge(&mut self, api: &Api, tally: &mut Tally) {
        for place in 0..self.places.len() {
            let subject = self.places[place].clone();
            let mut caller = self.caller(api);
            caller.check_all(&subject).await;
            if subject.is_finished() {
                // A deleted client, or one without quota, has to refuse.
                caller.change(&subject, Operation::Generate).await;
            }
            self.remember(caller.into_events(), tally);
            let events = self
                .seen
                .get(&subject.number)
                .map_or(&[][..], Vec::as_slice);
            let report = history::check(events);
            let lost = lost_generation(api, &subject, events).await;
            let is_good = report.violations.is_empty() && lost.is_none();
            tally.judge(&report);
            if let Some(lost) = lost {
                tally.lose(lost);
            }
            if !is_good {
                self.forget(place);
            }
        }
    }

    pub(super) async fn verify_audit(&self, api: &Api, tally: &mut Tally) {
        let answer = api.verify_audit().await.expect("a living server");
        tally.audits += 1;
        let is_good = answer.status == 200 && answer.json()["ok"] == true;
        if !is_good {
            tally.audit_broken += 1;
            tally
                .violations
                .push(format!("audit chain: {} {}", answer.status, answer.body));
        }
    }
}

/// The generation that the server names must be the last one answered, or one of those cut off since.
async fn lost_generation(api: &Api, subject: &Subject, events: &[Event]) -> Option<String> {
    let request = api.authz(Method::GET, "/status", &subject.client.secret);
    let answer = api.send(request).await.expect("a living server");
    if answer.status != 200 {
        let may_be_deleted = events
            .iter()
            .any(|event| event.operation == Operation::Delete && event.may_have_happened());
        return (!may_be_deleted).then(|| {
            format!(
                "client {} was never deleted: {}",
                subject.number, answer.body
            )
        });
    }
    let named = answer.json().get("generation").and_then(Value::as_u64)?;
    let last = events
        .iter()
        .filter(|event| generation(event).is_some())
        .max_by_key(|event| generation(event));
    let answered = last.and_then(generation).unwrap_or(0);
    let since = last.map_or(0, |event| event.invoked);
    let cut_off = events
        .iter()
        .filter(|event| event.operation == Operation::Generate && event.is_unknown())
        .filter(|event| event.returned > since)
        .count() as u64;
    let possible = answered..=answered + cut_off;
    (!possible.contains(&named)).then(|| {
        format!(
            "client {}: generation {answered} was answered and {cut_off} cut off, the server names {named}",
            subject.number
        )
    })
}

fn generation(event: &Event) -> Option<u64> {
    match event.outcome {
        Outcome::Generated { generation, .. } => Some(generation),
        _ => None,
    }
}
