//! The one writer: decides a group on the durable state, commits it in one transaction, applies it to
//! the replica, and only then answers. What it does when the store fails is in `resume`.

use crate::driver::{CommitError, Driver};
use crate::error::{Failure, StoreError};
use crate::job::{Decided, Job, Next};
use crate::load::Head;
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

/// A change decided later than this after it was asked for is given up: its caller may have tried
/// again, and a late generate would revoke the token of the retry.
const DEADLINE: Duration = Duration::from_secs(10);
/// Entries the change log keeps for followers.
const LOG_KEPT: u64 = 100_000;
/// How often the log is trimmed, in changes.
const TRIM_EVERY: u64 = 1_024;

pub(crate) const NOTE_USE: &str = "INSERT INTO client_use (client, at, source, product) VALUES ($1, $2, $3, $4)
    ON CONFLICT (client) DO UPDATE SET at = excluded.at, source = excluded.source, product = excluded.product";

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
    /// Whether a group was put back since the last one that could be read for.
    pub(crate) put_back: bool,
}

/// A decision taken, and who waits for its answer.
type Waiting = (Box<dyn Job>, Decided);

/// How a write ended.
enum Ending {
    Done,
    /// The store would have none of it, and nothing was written.
    Refused(StoreError),
    Failed(Failure),
}

impl<C: Clock + Send + Sync> Writer<C> {
    /// Decides, commits, applies and answers one group.
    pub(crate) async fn run_group(&mut self, group: Vec<Box<dyn Job>>, queue: &mut Queue) {
        let views = match views(&mut self.driver, &group, self.next, self.clock.wall()).await {
            Ok(views) => views,
            Err(error) => {
                self.doubt(&error);
                if self.driver.is_lost() && !self.put_back {
                    // A connection that had died unnoticed: nobody need know.
                    self.put_back = true;
                    queue.put_back(group);
                } else {
                    group
                        .into_iter()
                        .for_each(|job| job.settle(Err(Failure::Unavailable)));
                }
                return;
            }
        };
        self.put_back = false;
        let mut waiting: Vec<Waiting> = Vec::with_capacity(group.len());
        let mut patience = DEADLINE;
        for (mut job, view) in group.into_iter().zip(views) {
            let view = match view {
                Ok(view) => view,
                Err(error) => {
                    tracing::error!("a decision could not be prepared: {error}");
                    job.settle(Err(Failure::Unavailable));
                    continue;
                }
            };
            let left = DEADLINE.checked_sub(self.since(job.asked()));
            let Some(left) = left.filter(|_| !job.abandoned()) else {
                job.settle(Err(Failure::TooLate));
                continue;
            };
            let decided = job.decide(&view);
            if decided.is_empty() {
                job.settle(Ok(()));
            } else if !decided.changes.is_empty() && decided.audit.is_empty() {
                tracing::error!("a decision without an audit entry was not written");
                job.settle(Err(Failure::Unavailable));
            } else {
                patience = patience.min(left);
                waiting.push((job, decided));
            }
        }
        if !waiting.is_empty() {
            self.finish(waiting, patience).await;
        }
    }

    /// Writes what was decided and answers.
    async fn finish(&mut self, waiting: Vec<Waiting>, patience: Duration) {
        let (jobs, decided): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let outcome = match self.write(&decided, patience).await {
            Ending::Done => Ok(()),
            Ending::Failed(failure) => Err(failure),
            Ending::Refused(_) if jobs.len() > 1 => {
                // One of them makes no sense to the store; the others must not suffer for it.
                for (job, decided) in jobs.into_iter().zip(decided) {
                    let outcome = self.write_alone(decided, patience).await;
                    job.settle(outcome);
                }
                return;
            }
            Ending::Refused(error) => {
                tracing::error!("a decision could not be written: {error}");
                Err(Failure::Unavailable)
            }
        };
        jobs.into_iter().for_each(|job| job.settle(outcome));
    }

    async fn write_alone(&mut self, decided: Decided, patience: Duration) -> Result<(), Failure> {
        if self.standing != Standing::Sure {
            return Err(Failure::Unavailable);
        }
        match self.write(&[decided], patience).await {
            Ending::Done => Ok(()),
            Ending::Failed(failure) => Err(failure),
            Ending::Refused(error) => {
                tracing::error!("a decision could not be written: {error}");
                Err(Failure::Unavailable)
            }
        }
    }

    async fn write(&mut self, decided: &[Decided], patience: Duration) -> Ending {
        let (mut number, mut seq, mut hash) = (
            self.head.change_number,
            self.head.audit_seq,
            self.head.audit_hash,
        );
        let from = (number, seq);
        let at = self.clock.wall();
        // Kind by kind, the order within each kept: what a driver can send as one, it finds together.
        let mut statements: Vec<Statement> = Vec::with_capacity(3 * decided.len() + 2);
        for entry in decided.iter().flat_map(|one| &one.audit) {
            seq += 1;
            let entry = Written::new(entry, seq, &hash);
            hash = entry.hash;
            statements.push(sql::append_audit(&entry));
        }
        let changes = || decided.iter().flat_map(|one| &one.changes);
        statements.extend(changes().flat_map(sql::statements));
        for change in changes() {
            number += 1;
            statements.push(sql::append_change(change, number, at));
        }
        let uses = decided.iter().flat_map(|one| &one.uses);
        statements.extend(uses.map(|used| Statement::new(NOTE_USE, used.values())));
        if number / TRIM_EVERY != from.0 / TRIM_EVERY && number > LOG_KEPT {
            statements.push(sql::trim_log(number - LOG_KEPT));
        }
        // First of all, so that a foreign writer is known as such before its rows are in the way.
        statements.insert(
            0,
            sql::move_head((number, seq, &hash), from, &self.incarnation),
        );
        let asked = self.clock.boot();
        match self.driver.commit(&statements, patience).await {
            Ok(()) => {}
            Err(CommitError::Refused(error)) => return Ending::Refused(error),
            Err(CommitError::RolledBack(error)) => {
                self.doubt(&error);
                return Ending::Failed(Failure::Unavailable);
            }
            Err(CommitError::Unknown(error)) => {
                self.doubt(&error);
                return Ending::Failed(Failure::OutcomeUnknown);
            }
        }
        self.head = Head {
            change_number: number,
            audit_seq: seq,
            audit_hash: hash,
            ..self.head.clone()
        };
        self.health.groups.fetch_add(1, Ordering::Relaxed);
        self.health
            .changes
            .fetch_add(number - from.0, Ordering::Relaxed);
        let mut applied = from.0;
        for one in decided {
            applied += one.changes.len() as u64;
            if self.apply(&one.changes, applied).is_err() {
                return Ending::Failed(Failure::OutcomeUnknown);
            }
        }
        self.written(asked);
        Ending::Done
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

    pub(crate) fn since(&self, earlier: BootInstant) -> Duration {
        Duration::from_nanos(self.clock.boot().0.saturating_sub(earlier.0))
    }
}

pub(crate) fn plus(instant: BootInstant, duration: Duration) -> BootInstant {
    BootInstant(
        instant
            .0
            .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
    )
}
