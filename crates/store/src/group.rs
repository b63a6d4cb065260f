//! Decisions taken together and not yet written: what makes up one commit.

use crate::error::{Failure, StoreError};
use crate::job::{Credential, Decided, Job, View};
use crate::people::Record;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::change::Change;
use tokenward_core::ids::ClientNo;
use tokenward_core::time::BootInstant;

/// A change decided later than this after it was asked for is given up, in nanoseconds: its caller may
/// have tried again, and a late generate would revoke the token of the retry.
const DEADLINE_NANOS: u64 = 10_000_000_000;

/// Decisions taken and who waits for their answers.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) jobs: Vec<Box<dyn Job>>,
    pub(crate) decided: Vec<Decided>,
    /// Those that write nothing: they need only their answer, which tells of what was written before them.
    pub(crate) unwritten: Vec<Box<dyn Job>>,
    /// When the first of them would be too late.
    pub(crate) until: Option<BootInstant>,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether nothing was decided that a check or the audit log knows of.
    pub(crate) fn is_aside(&self) -> bool {
        let only = |one: &Decided| one.changes.is_empty() && one.audit.is_empty();
        self.decided.iter().all(only)
    }

    /// Takes one decision.
    pub(crate) fn decide(
        &mut self,
        mut job: Box<dyn Job>,
        view: Result<View, StoreError>,
        now: BootInstant,
    ) {
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                tracing::error!("a decision could not be prepared: {error}");
                return job.settle(Err(Failure::Unavailable));
            }
        };
        let until = BootInstant(job.asked().0.saturating_add(DEADLINE_NANOS));
        if job.abandoned() || until < now {
            return job.settle(Err(Failure::TooLate));
        }
        let decided = job.decide(&view);
        if decided.is_empty() {
            return self.unwritten.push(job);
        }
        if let Err(why) = sound(&decided, job.as_ref(), &view) {
            tracing::error!("a decision was not written: {why}");
            return job.settle(Err(Failure::Unavailable));
        }
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
        self.jobs.push(job);
        self.decided.push(decided);
    }

    /// Answers all of them. Those that write nothing were in no doubt.
    pub(crate) fn settle(self, outcome: Result<(), Failure>) {
        settle(self.jobs, outcome);
        settle(self.unwritten, outcome.map_err(|_| Failure::Unavailable));
    }

    /// Everybody who waits for an answer.
    pub(crate) fn into_jobs(mut self) -> Vec<Box<dyn Job>> {
        self.jobs.append(&mut self.unwritten);
        self.jobs
    }
}

/// Answers all of them alike.
pub(crate) fn settle(jobs: Vec<Box<dyn Job>>, outcome: Result<(), Failure>) {
    jobs.into_iter().for_each(|job| job.settle(outcome));
}

/// What every decision must keep to, whoever took it.
fn sound(decided: &Decided, job: &dyn Job, view: &View) -> Result<(), &'static str> {
    let acts = !decided.changes.is_empty() || decided.records.iter().any(Record::needs_audit);
    if acts && decided.audit.is_empty() {
        return Err("it has no audit entry");
    }
    if !decided
        .audit
        .iter()
        .all(|entry| is_admitted(entry, job, view))
    {
        return Err("it was taken without a look at the administrator's credential");
    }
    // That is what lets decisions about different clients be taken on one view of the store.
    if job.wants().aside && acts {
        return Err("it was to write nothing but rows that no decision reads");
    }
    let own = view.client.as_ref().map(|state| state.client.no);
    if !job.wants().alone()
        && decided
            .changes
            .iter()
            .any(|change| own.is_none() || about(change) != own)
    {
        return Err("it wrote about more than the client it wanted to see");
    }
    Ok(())
}

/// Whether the credential of an administrator who acts was wanted and found.
fn is_admitted(entry: &Entry, job: &dyn Job, view: &View) -> bool {
    let wants = job.wants();
    let acts = match (&entry.actor, wants.actor) {
        (Actor::AdminKey(who), Some(Credential::AdminKey(id))) => *who == id,
        (Actor::Member(who), Some(Credential::Session { member, .. })) => *who == member,
        (Actor::AdminKey(_) | Actor::Member(_), _) => return wants.proves,
        (Actor::ClientSecret(..) | Actor::System | Actor::Unverified, _) => return true,
    };
    acts && view.actor.is_some()
}

/// The one client a change is about.
fn about(change: &Change) -> Option<ClientNo> {
    match change {
        Change::ClientSettingsChanged { client, .. }
        | Change::ClientDisabled { client, .. }
        | Change::ClientDeleted { client, .. }
        | Change::SecretsChanged { client, .. }
        | Change::TokenIssued { client, .. }
        | Change::TokenEnded { client, .. } => Some(*client),
        Change::WorkspacePut { .. }
        | Change::ProductPut { .. }
        | Change::ProductDeleted { .. }
        | Change::ClientCreated { .. }
        | Change::AdminKeyPut { .. }
        | Change::EpochStarted { .. } => None,
    }
}
