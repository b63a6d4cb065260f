//! What is asked of the server after each new start.

use reqwest::Method;
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
            let expected = Generations::of(events);
            let named = named_generation(api, &subject).await;
            let lost = expected.lost(named, &subject);
            if report.violations.is_empty() && lost.is_none() {
                if let Some(named) = named {
                    let known = self.named.insert(subject.number, named).unwrap_or(0);
                    tally.carried_out += named.saturating_sub(known.max(expected.answered));
                }
                continue;
            }
            tally.judge(&report);
            tally.violations.extend(lost.clone());
            tally.lost += u64::from(lost.is_some());
            self.forget(place);
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

/// The generation the server itself names; none when it says that there is no such client any more.
async fn named_generation(api: &Api, subject: &Subject) -> Option<u64> {
    let request = api.authz(Method::GET, "/status", &subject.client.secret);
    let answer = api.send(request).await.expect("a living server");
    match answer.status {
        200 => answer.json()["generation"].as_u64(),
        _ => None,
    }
}

/// What is known of a client's generations from outside.
struct Generations {
    /// The highest one answered.
    answered: u64,
    /// Generates cut off since that one was sent.
    cut_off: u64,
    may_be_deleted: bool,
}

impl Generations {
    fn of(events: &[Event]) -> Generations {
        let last = events
            .iter()
            .filter_map(|event| Some((generation(event)?, event.invoked)))
            .max();
        let (answered, since) = last.unwrap_or_default();
        let cut_off = events
            .iter()
            .filter(|event| event.operation == Operation::Generate && event.is_unknown())
            .filter(|event| event.returned > since)
            .count();
        Generations {
            answered,
            cut_off: cut_off as u64,
            may_be_deleted: events
                .iter()
                .any(|event| event.operation == Operation::Delete && event.may_have_happened()),
        }
    }

    /// The server must name the last generation answered, or one of those cut off since.
    fn lost(&self, named: Option<u64>, subject: &Subject) -> Option<String> {
        let is_possible = match named {
            Some(named) => (self.answered..=self.answered + self.cut_off).contains(&named),
            None => self.may_be_deleted,
        };
        (!is_possible).then(|| {
            format!(
                "client {}: generation {} was answered and {} cut off since, the server names {named:?}",
                subject.number, self.answered, self.cut_off
            )
        })
    }
}

fn generation(event: &Event) -> Option<u64> {
    match event.outcome {
        Outcome::Generated { generation, .. } => Some(generation),
        _ => None,
    }
}
