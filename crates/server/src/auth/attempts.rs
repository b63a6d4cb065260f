//! Failed sign-ins and refused administrators, for the audit log. The first attempt in an hour is an entry of its own; the
//! ones that follow are counted and written as one entry when the hour has ended. They are written by the housekeeping and
//! not by the request, so that the time of an answer does not tell whether an account exists.

use crate::auth::People;
use crate::auth::acting;
use crate::auth::authority::Admin;
use crate::auth::refused::Refused;
use crate::net::addresses::network;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::{Clock, MICROS_PER_SECOND, Timestamp};
use tokenward_store::{Decided, Failure, ReadSet, View};
use uuid::Uuid;

/// Different attempts (kind, reason and source network) of one target that get their own entries in an hour. Further ones
/// share one: a caller with many networks cannot fill the log.
const EACH_MAX: usize = 16;
/// Targets remembered in an hour, some 2 MB; only known members and admin keys are targets. Attempts at further ones are in
/// the metrics and the log only.
const TARGETS_MAX: usize = 1_000;
/// Entries written in one second.
const AT_ONCE: usize = 64;
/// Entries that wait to be written. Attempts while there are more are in the metrics and the log only.
const DUE_MAX: usize = 4_096;
const HOUR_MICROS: i64 = 3_600 * MICROS_PER_SECOND;

/// Whom a refused request claimed to be, or was.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// A member, not proved.
    Member(Uuid),
    /// The holder of an admin key, not proved.
    AdminKey(Uuid),
    /// A proved administrator whose role does not allow the operation.
    Admin(Admin),
}

/// A refused attempt. It never holds what was presented.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Whom it is about.
    pub(crate) who: Who,
    /// The action in the audit log.
    pub(crate) action: &'static str,
    /// Why, or what was to be done.
    pub(crate) reason: String,
    /// The IP address of the caller.
    pub(crate) source: Option<IpAddr>,
    /// The workspace of the member's or key's role, if it has one.
    pub(crate) workspace: Option<WorkspaceId>,
    /// The request, to find its lines in the log.
    pub(crate) request: Option<Uuid>,
}

impl Attempt {
    fn target(&self) -> Uuid {
        match &self.who {
            Who::Member(id) | Who::AdminKey(id) => *id,
            Who::Admin(admin) => match admin.who() {
                Actor::AdminKey(id) | Actor::Member(id) => id,
                _ => Uuid::nil(),
            },
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.action, &self.reason) == (other.action, &other.reason)
            && network(self.source) == network(other.source)
    }
}

/// An entry to be written.
#[derive(Clone, Debug)]
struct Due {
    attempt: Attempt,
    /// How many like it followed; 0 in the entry of the first.
    further: u64,
    /// Whether they came from several sources or for several reasons.
    mixed: bool,
}

#[derive(Debug, Default)]
struct Target {
    each: Vec<(Attempt, u64)>,
    /// One of those beyond the limit, and their number.
    others: Option<(Attempt, u64)>,
}

/// The attempts of this hour, and the entries not written yet.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    hour: i64,
    targets: HashMap<Uuid, Target>,
    due: Vec<Due>,
}

impl Table {
    /// Ends the hour if another one has begun: what was only counted becomes due.
    fn turn(&mut self, hour: i64) {
        if self.hour == hour {
            return;
        }
        self.hour = hour;
        for (_, target) in self.targets.drain() {
            let each = target.each.into_iter().map(|one| (one, false));
            let others = target.others.into_iter().map(|one| (one, true));
            let counted = each.chain(others).filter(|((_, further), _)| *further > 0);
            self.due
                .extend(counted.map(|((attempt, further), mixed)| Due {
                    attempt,
                    further,
                    mixed,
                }));
        }
    }
}

fn hour(now: Timestamp) -> i64 {
    now.0.div_euclid(HOUR_MICROS)
}

impl Attempts {
    /// Notes an attempt at `now`.
    pub(crate) fn note(&self, attempt: Attempt, now: Timestamp) {
        let table = &mut *self.0.lock();
        table.turn(hour(now));
        let id = attempt.target();
        let full = table.targets.len() >= TARGETS_MAX && !table.targets.contains_key(&id);
        if full || table.due.len() >= DUE_MAX {
            return;
        }
        let target = table.targets.entry(id).or_default();
        let known = target
            .each
            .iter_mut()
            .find(|(one, _)| one.is_like(&attempt));
        if let Some((_, further)) = known {
            *further += 1;
        } else if target.each.len() < EACH_MAX {
            target.each.push((attempt.clone(), 0));
            table.due.push(Due {
                attempt,
                further: 0,
                mixed: false,
            });
        } else {
            target.others.get_or_insert((attempt, 0)).1 += 1;
        }
    }

    /// Returns at most `max` entries that are to be written at `now`; without a time, those of the unfinished hour, too.
    fn take(&self, now: Option<Timestamp>, max: usize) -> Vec<Due> {
        let mut table = self.0.lock();
        table.turn(now.map_or(i64::MAX, hour));
        let count = table.due.len().min(max);
        table.due.drain(..count).collect()
    }

    fn give_back(&self, due: impl IntoIterator<Item = Due>) {
        self.0.lock().due.extend(due);
    }
}

/// Writes what is due; at a stop, also the counts of the unfinished hour. What could not be written stays due, unless it
/// may have been written.
pub(crate) async fn write(people: &People, stopping: bool) {
    let (now, max) = match stopping {
        true => (None, usize::MAX),
        false => (Some(people.data.clock().wall()), AT_ONCE),
    };
    let mut waiting = people.attempts.take(now, max).into_iter();
    while let Some(due) = waiting.next() {
        if let Err(failure) = write_one(people, due.clone()).await {
            // Written again, it might be there twice.
            let again = (failure != Failure::OutcomeUnknown).then_some(due);
            people.attempts.give_back(again.into_iter().chain(waiting));
            return;
        }
    }
}

async fn write_one(people: &People, due: Due) -> Result<(), Failure> {
    let Due { attempt, .. } = &due;
    let (action, workspace) = (attempt.action, attempt.workspace);
    if let Who::Admin(admin) = &attempt.who {
        let (admin, detail) = (admin.clone(), detail(&due));
        let written = acting::decide(&people.data, admin, ReadSet::default(), move |acting, _| {
            let entry = acting.entry(action, workspace, None, &detail);
            Ok::<_, Refused>((Decided::records(Vec::new(), entry), ()))
        });
        match written.await {
            Ok(()) => return Ok(()),
            Err(Refused::Failed(failure)) => return Err(failure),
            // The credential has ended since: the entry names it in its detail.
            Err(_) => {}
        }
    }
    let mut detail = detail(&due);
    if let Who::Admin(admin) = &attempt.who {
        detail["administrator"] = admin.who().text().into();
    }
    let source = attempt.source;
    let decided = people
        .data
        .store
        .decide(ReadSet::default(), move |view: &View| {
            let entry = Entry {
                at: view.now,
                actor: Actor::Unverified,
                source,
                action,
                workspace,
                client: None,
                detail: detail.to_string(),
            };
            Ok::<_, Failure>((Decided::records(Vec::new(), entry), ()))
        });
    decided.await?
}

fn detail(due: &Due) -> Value {
    let attempt = &due.attempt;
    let mut detail = match &attempt.who {
        Who::Member(id) => json!({ "member": id, "reason": attempt.reason }),
        Who::AdminKey(id) => json!({ "admin_key": id, "reason": attempt.reason }),
        Who::Admin(_) => json!({ "operation": attempt.reason }),
    };
    if due.further == 0
        && let Some(request) = attempt.request
    {
        detail["request_id"] = request.to_string().into();
    }
    if due.further > 0 {
        detail["further_attempts"] = due.further.into();
    }
    if due.mixed {
        // The source and the reason are those of the first of them.
        detail["mixed"] = true.into();
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(target: u128, source: u32) -> Attempt {
        Attempt {
            who: Who::Member(Uuid::from_u128(target)),
            action: "member.sign_in_failed",
            reason: "wrong password".to_owned(),
            source: Some(IpAddr::from(source.to_be_bytes())),
            workspace: None,
            request: None,
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp(hour * HOUR_MICROS + 5)
    }

    #[test]
    fn attempts_of_a_kind_are_two_entries_in_an_hour() {
        let attempts = Attempts::default();
        for _ in 0..1_000 {
            attempts.note(attempt(1, 7), at(3));
        }
        let due = attempts.take(Some(at(3)), 64);
        assert_eq!(due.iter().map(|due| due.further).collect::<Vec<_>>(), [0]);
        assert!(attempts.take(Some(at(3)), 64).is_empty());
        let due = attempts.take(Some(at(4)), 64);
        assert_eq!(due.iter().map(|due| due.further).collect::<Vec<_>>(), [999]);
        assert_eq!(detail(&due[0])["further_attempts"], 999);
        attempts.note(attempt(1, 7), at(4));
        assert_eq!(attempts.take(Some(at(4)), 64).len(), 1);
        assert!(attempts.take(None, 64).is_empty());
    }

    #[test]
    fn a_caller_with_many_addresses_does_not_fill_the_log() {
        let attempts = Attempts::default();
        for source in 0..5_000 {
            attempts.note(attempt(1, source), at(3));
        }
        for target in 0..5_000 {
            attempts.note(attempt(target, 7), at(3));
        }
        let due = attempts.take(Some(at(3)), usize::MAX);
        assert_eq!(due.len(), EACH_MAX + TARGETS_MAX - 1);
        let counted = attempts.take(None, usize::MAX);
        let further: Vec<u64> = counted.iter().map(|due| due.further).collect();
        assert_eq!(further, [1, 5_000 - EACH_MAX as u64]);
        assert!(counted[1].mixed);
    }

    #[test]
    fn what_could_not_be_written_stays_due() {
        let attempts = Attempts::default();
        attempts.note(attempt(1, 7), at(3));
        let due = attempts.take(Some(at(3)), 64).remove(0);
        attempts.give_back([due]);
        assert_eq!(attempts.take(Some(at(3)), 64).len(), 1);
    }
}
