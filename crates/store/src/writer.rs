//! The one writer: decides a group on the durable state, commits it in one transaction, applies it to
//! the replica, and only then answers. What it does when the store fails is in `resume`.

use crate::attachments::Attachments;
use crate::driver::{CommitError, Driver};
use crate::error::{Failure, StoreError};
use crate::group::Group;
use crate::job::{Decided, Job, Next};
use crate::load::Head;
use crate::people;
use crate::queue::Queue;
use crate::statements as sql;
use crate::value::Statement;
use crate::views::views;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokenward_core::Replica;
use tokenward_core::audit::Written;
use tokenward_core::change::Change;
use tokenward_core::ids::{ClientNo, ProductNo, WorkspaceNo};
use tokenward_core::time::{BootInstant, Clock};

/// The longest the statements of a group may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Entries the change log keeps for followers.
const LOG_KEPT: u64 = 100_000;
/// How often the log is trimmed, in changes.
const TRIM_EVERY: u64 = 1_024;

pub(crate) const NOTE_USE: &str = "INSERT INTO client_use (client, at, source, product, generation)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (client) DO UPDATE SET at = excluded.at, source = excluded.source, product = excluded.product,
    generation = excluded.generation";

/// What others may know of the writer.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether the last attempt to write or renew succeeded.
    pub(crate) writable: AtomicBool,
    /// Groups committed.
    pub(crate) groups: AtomicU64,
    /// Changes committed.
    pub(crate) changes: AtomicU64,
    /// The last change's number.
    pub(crate) change_number: AtomicU64,
    /// The last audit entry's number.
    pub(crate) audit_seq: AtomicU64,
    /// Decisions waiting behind the door.
    pub(crate) waiting: Arc<AtomicUsize>,
    /// Set when this node must stop for good.
    pub(crate) expelled: AtomicBool,
}

/// How far the writer's picture of the store can be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// The head and the replica are the store's.
    Sure,
    /// The store failed; it is read again before anything is written.
    Doubtful,
    /// Nothing will be written any more, nor vouched for.
    Ended,
}

/// The writer's own state.
pub(crate) struct Writer<C> {
    pub(crate) driver: Driver,
    pub(crate) replica: Arc<Replica>,
    pub(crate) clock: Arc<C>,
    pub(crate) head: Head,
    pub(crate) next: Next,
    pub(crate) health: Arc<Health>,
    /// How long a commit lets this node vouch.
    pub(crate) term: Duration,
    /// When the lease should be renewed next.
    pub(crate) renew_at: BootInstant,
    pub(crate) incarnation: String,
    pub(crate) standing: Standing,
    /// Faults of the store since it last took a write.
    pub(crate) faults: u32,
    /// What was logged of these faults.
    pub(crate) told: Vec<String>,
    /// Where callers wait for their answers.
    pub(crate) callers: Option<tokio::runtime::Handle>,
    /// The replicas attached to this node's.
    pub(crate) attachments: Arc<Attachments<C>>,
    /// Whether a group was put back since the last one that could be read for.
    pub(crate) put_back: bool,
}

/// How a write ended that was not a success.
enum Ending {
    /// The store would have none of it, and nothing was written.
    Refused(StoreError),
    Failed(Failure),
}

/// A group as it will be written.
struct Draft {
    statements: Vec<Statement>,
    /// Where the store stands afterwards.
    head: Head,
}

impl<C: Clock + Send + Sync> Writer<C> {
    /// Decides, writes and answers one group.
    pub(crate) async fn run_group(&mut self, jobs: Vec<Box<dyn Job>>, queue: &mut Queue) {
        let now = self.clock.wall();
        match views(&mut self.driver, &self.replica, &jobs, self.next, now).await {
            Ok(views) => {
                self.put_back = false;
                let mut group = Group::default();
                let now = self.clock.boot();
                let decide = |(job, view)| group.decide(job, view, now);
                let unwritten: Vec<_> = jobs.into_iter().zip(views).filter_map(decide).collect();
                self.answer(unwritten);
                if !group.is_empty() {
                    self.carry_out(group).await;
                }
            }
            Err(error) => {
                self.doubt(&error);
                if self.driver.is_lost() && !self.put_back {
                    // A connection that had died unnoticed: nobody need know.
                    self.put_back = true;
                    queue.put_back(jobs);
                } else {
                    jobs.into_iter()
                        .for_each(|job| job.settle(Err(Failure::Unavailable)));
                }
            }
        }
    }

    /// Writes a group and answers it.
    async fn carry_out(&mut self, group: Group) {
        let draft = self.draft(&group.decided);
        let asked = self.clock.boot();
        let outcome = self
            .driver
            .commit(&draft.statements, self.patience(&group))
            .await;
        match self.conclude(&group.decided, draft.head, outcome, asked) {
            // When clients were last used, and who is signed in, rests on nothing.
            Ok(()) if group.is_aside() => group.settle(Ok(())),
            Ok(()) => self.answer(group.jobs),
            Err(Ending::Failed(failure)) => group.settle(Err(failure)),
            Err(Ending::Refused(_)) if group.len() > 1 => self.write_singly(group).await,
            Err(Ending::Refused(error)) => refuse(group, &error),
        }
    }

    /// How long the statements of a group may take before the first of its callers gives up.
    fn patience(&self, group: &Group) -> Duration {
        let until = group.until.map_or(u64::MAX, |until| until.0);
        Duration::from_nanos(until.saturating_sub(self.clock.boot().0)).min(COMMIT_TIMEOUT)
    }

    /// Answers decisions with success, once no attached replica can miss what they rest on, and on the
    /// callers' own threads: waking them one by one is work that need not hold up the next group.
    fn answer(&self, jobs: Vec<Box<dyn Job>>) {
        let Some(jobs) = self.attachments.hold(self.head.change_number, jobs) else {
            return;
        };
        let count = jobs.len();
        let settle = move || jobs.into_iter().for_each(|job| job.settle(Ok(())));
        match &self.callers {
            Some(callers) if count > 1 => drop(callers.spawn(async move { settle() })),
            _ => settle(),
        }
    }

    /// One of a group makes no sense to the store; the others must not suffer for it.
    async fn write_singly(&mut self, group: Group) {
        let until = group.until;
        for (job, decided) in group.jobs.into_iter().zip(group.decided) {
            let one = Group {
                jobs: vec![job],
                decided: vec![decided],
                until,
            };
            if self.standing != Standing::Sure {
                one.settle(Err(Failure::Unavailable));
                continue;
            }
            let draft = self.draft(&one.decided);
            let asked = self.clock.boot();
            let outcome = self
                .driver
                .commit(&draft.statements, self.patience(&one))
                .await;
            match self.conclude(&one.decided, draft.head, outcome, asked) {
                Ok(()) => self.answer(one.jobs),
                Err(Ending::Failed(failure)) => one.settle(Err(failure)),
                Err(Ending::Refused(error)) => refuse(one, &error),
            }
        }
    }

    /// What a group writes, from where the store stands now.
    fn draft(&self, decided: &[Decided]) -> Draft {
        let Head {
            change_number: mut number,
            audit_seq: mut seq,
            audit_hash: mut hash,
            ..
        } = self.head;
        let from = (number, seq);
        let at = self.clock.wall();
        // Kind by kind, the order within each kept: what a driver can send as one, it finds together.
        // The head comes first, so that a foreign writer is known as such before its rows are in the
        // way; its values are known last.
        let mut statements = Vec::with_capacity(3 * decided.len() + 2);
        statements.push(Statement::new("", Vec::new()));
        for entry in decided.iter().flat_map(|one| &one.audit) {
            seq += 1;
            let entry = Written::new(entry, seq, &hash);
            hash = entry.hash;
            statements.push(sql::append_audit(entry));
        }
        let changes = || decided.iter().flat_map(|one| &one.changes);
        statements.extend(changes().flat_map(sql::statements));
        for change in changes() {
            number += 1;
            statements.push(sql::append_change(change, number, at));
        }
        let uses = decided.iter().flat_map(|one| &one.uses);
        statements.extend(uses.map(|used| Statement::new(NOTE_USE, used.values())));
        let records = decided.iter().flat_map(|one| &one.records);
        statements.extend(records.flat_map(people::statements));
        if number / TRIM_EVERY != from.0 / TRIM_EVERY && number > LOG_KEPT {
            statements.push(sql::trim_log(number - LOG_KEPT));
        }
        statements[0] = sql::move_head((number, seq, &hash), from, at, &self.incarnation);
        let head = Head {
            change_number: number,
            audit_seq: seq,
            audit_hash: hash,
            clock: at,
            ..self.head.clone()
        };
        Draft { statements, head }
    }

    /// After a commit: applies what was written, or doubts the store.
    fn conclude(
        &mut self,
        decided: &[Decided],
        head: Head,
        outcome: Result<(), CommitError>,
        asked: BootInstant,
    ) -> Result<(), Ending> {
        match outcome {
            Ok(()) => {}
            Err(CommitError::Refused(error)) => return Err(Ending::Refused(error)),
            Err(CommitError::RolledBack(error)) => {
                self.doubt(&error);
                return Err(Ending::Failed(Failure::Unavailable));
            }
            Err(CommitError::Unknown(error)) => {
                self.doubt(&error);
                return Err(Ending::Failed(Failure::OutcomeUnknown));
            }
        }
        let mut applied = self.head.change_number;
        self.health.groups.fetch_add(1, Ordering::Relaxed);
        self.health
            .changes
            .fetch_add(head.change_number - applied, Ordering::Relaxed);
        self.head = head;
        for one in decided {
            applied += one.changes.len() as u64;
            let applied = self.apply(&one.changes, applied);
            applied.map_err(|_| Ending::Failed(Failure::OutcomeUnknown))?;
        }
        let changes = decided.iter().flat_map(|one| &one.changes);
        self.attachments.applied(changes, applied);
        self.written(asked);
        Ok(())
    }

    /// Applies durable changes to the replica. When that fails the node can never vouch again: its
    /// memory lacks a change that nothing but a new start would bring.
    pub(crate) fn apply(&mut self, changes: &[Change], number: u64) -> Result<(), StoreError> {
        for change in changes {
            let next = &mut self.next;
            match change {
                Change::WorkspacePut { workspace } => {
                    next.workspace = WorkspaceNo(next.workspace.0.max(workspace.no.0 + 1));
                }
                Change::ProductPut { product } => {
                    next.product = ProductNo(next.product.0.max(product.no.0 + 1))
                }
                Change::ClientCreated { client } => {
                    next.client = ClientNo(next.client.0.max(client.no.0 + 1))
                }
                _ => {}
            }
        }
        self.replica.apply(changes, number).map_err(|error| {
            let error = StoreError::from(error);
            self.end(&error);
            error
        })
    }

    /// The store took a write that was asked for after `asked`. On a shared database that lets the
    /// replica vouch for a term: the write was refused had another node taken over.
    pub(crate) fn written(&mut self, asked: BootInstant) {
        self.faults = 0;
        self.told.clear();
        self.publish();
        if self.driver.is_shared() {
            self.replica.lease().extend(plus(asked, self.term));
            self.renew_at = plus(asked, self.term / crate::resume::RENEWALS_IN_A_TERM);
        }
    }

    /// Shows the others where the store stands.
    pub(crate) fn publish(&self) {
        self.health.writable.store(true, Ordering::Relaxed);
        self.health
            .change_number
            .store(self.head.change_number, Ordering::Relaxed);
        self.health
            .audit_seq
            .store(self.head.audit_seq, Ordering::Relaxed);
    }
}

/// Tells who asked that the store would have none of it.
fn refuse(group: Group, error: &StoreError) {
    tracing::error!("a decision could not be written: {error}");
    group.settle(Err(Failure::Unavailable));
}

pub(crate) fn plus(instant: BootInstant, duration: Duration) -> BootInstant {
    BootInstant(
        instant
            .0
            .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
    )
}
