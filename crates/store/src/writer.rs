//! The one writer: decides a group on the durable state, commits it in one transaction, applies it to
//! the replica, and only then answers. What it does when the store fails is in `resume`.

use crate::applier::Applier;
use crate::attachments::Attachments;
use crate::driver::{CommitError, Driver};
use crate::error::{Failure, StoreError};
use crate::group::{Group, settle};
use crate::job::{Decided, Job, View};
use crate::load::{Head, SELECT_HEAD, read_head, tag};
use crate::nodes::List;
use crate::people::{self, Record};
use crate::postgres::HINT;
use crate::queue::Queue;
use crate::statements as sql;
use crate::value::Statement;
use crate::views::views;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokenward_core::Replica;
use tokenward_core::audit::AuditRecord;
use tokenward_core::change::Change;
use tokenward_core::time::{Clock, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

/// The longest the statements of a group may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often rows that no decision reads are tried when others have some of them.
const ASIDE_TRIES: u32 = 5;

/// Nodes write their own uses, each some time after the use: an older one must not replace a newer one.
pub(crate) const NOTE_USE: &str = "INSERT INTO client_use (client, at, source, product, generation)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (client) DO UPDATE SET at = excluded.at, source = excluded.source, product = excluded.product,
    generation = excluded.generation WHERE client_use.at <= excluded.at";

/// Microseconds by which the time that a store keeps may be ahead of a shared database's clock.
const KEPT_AHEAD_MAX: i64 = 20_000_000;

/// What others may know of the writer.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether the last attempt to write succeeded.
    pub(crate) writable: AtomicBool,
    /// Whether the last attempt to renew the lease succeeded; true where a lease has no end.
    pub(crate) renewed: AtomicBool,
    /// The last change that is known to survive a failover: one that was applied here before a renewal that succeeded.
    pub(crate) proven: AtomicU64,
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
    /// Whether this node has the lock of the one that cleans up; always where there can't be others.
    pub(crate) housekeeper: AtomicBool,
}

/// How far the writer's picture of the store can be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// The store took what was asked of it last.
    Sure,
    /// The store failed; it is tried before anybody's decision is.
    Doubtful,
    /// Nothing will be written any more, nor vouched for.
    Ended,
}

/// The writer's own state.
pub(crate) struct Writer<C> {
    pub(crate) driver: Driver,
    pub(crate) replica: Arc<Replica>,
    pub(crate) clock: Arc<C>,
    /// The names of the store and of its epoch: with others it is not the one this process has loaded.
    pub(crate) store: (Uuid, Uuid),
    pub(crate) health: Arc<Health>,
    pub(crate) applier: Arc<Applier<C>>,
    /// What keeps the lease on a shared database.
    pub(crate) membership: Option<Membership>,
    /// The name in this process's row.
    pub(crate) me: String,
    /// How often the connection is looked at while nobody asks for anything.
    pub(crate) look_every: Duration,
    pub(crate) standing: Standing,
    /// Faults of the store since it last took a write.
    pub(crate) faults: u32,
    /// What was logged of these faults.
    pub(crate) told: Vec<String>,
    /// Where callers wait for their answers.
    pub(crate) callers: Option<tokio::runtime::Handle>,
    /// What is known of the nodes of a shared database.
    pub(crate) list: Arc<List>,
    /// The replicas attached to this node's.
    pub(crate) attachments: Arc<Attachments<C>>,
    /// Whether this was the only node when the head was last read.
    pub(crate) alone: bool,
    /// Whether a group was put back since the last one that could be read for.
    pub(crate) put_back: bool,
    /// The first change on this connection, until it was answered: until then the lease, and what reads within it, may rest on
    /// another server, which was the primary before. 0 before there is one.
    pub(crate) moved: Option<u64>,
}

/// The thread that keeps the lease.
pub(crate) struct Membership {
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) thread: std::thread::JoinHandle<()>,
}

impl Membership {
    /// Lets it sign off, and waits for that.
    pub(crate) fn end(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
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
    /// Decides, writes and answers one group, in one transaction under the head lock.
    pub(crate) async fn run_group(&mut self, mut jobs: Vec<Box<dyn Job>>, queue: &mut Queue) {
        let aside = matches!(jobs.as_slice(), [job] if job.wants().aside);
        let seen = match aside {
            true => {
                let now = self.clock.wall();
                let seen = views(&mut self.driver, &self.replica, &mut jobs, None, now).await;
                seen.map(|views| (None, views))
            }
            false => self
                .look(&mut jobs, queue)
                .await
                .map(|(head, views)| (Some(head), views)),
        };
        match seen {
            Ok((head, views)) => {
                self.put_back = false;
                let mut group = Group::default();
                let (now, boot) = (self.clock.wall(), self.clock.boot());
                for (job, view) in jobs.into_iter().zip(views) {
                    group.decide(job, view.map(|view| View { now, ..view }), boot);
                }
                match head {
                    Some(head) => self.carry_out(group, head).await,
                    None => self.note(group).await,
                }
            }
            Err(error) => {
                self.driver.undo().await;
                self.doubt(&error);
                if self.driver.is_lost() && !self.put_back {
                    // A connection that had died unnoticed: nobody need know.
                    self.put_back = true;
                    queue.put_back(jobs);
                } else {
                    settle(jobs, Err(Failure::Unavailable));
                }
                if error.is_final() {
                    self.end(&error);
                }
            }
        }
    }

    /// Begins a transaction under the head lock and reads what a group wants to see. Where other nodes take turns, the lock is
    /// waited for: what comes meanwhile joins the group, because its next turn is after all of theirs.
    async fn look(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        queue: &mut Queue,
    ) -> Result<(Head, Vec<Result<View, StoreError>>), StoreError> {
        self.driver.begin(SELECT_HEAD)?;
        let (driver, replica) = (&mut self.driver, &self.replica);
        let waits = (!self.alone).then_some(&mut *queue);
        let mut seen = views(driver, replica, jobs, waits, self.clock.wall()).await?;
        let head = read_head(driver).await?;
        self.alone = head.is_alone(&self.me);
        self.follow(&head).await?;
        if !self.alone {
            let mut more = queue.more_for(jobs);
            if !more.is_empty() {
                let (driver, replica, now) = (&mut self.driver, &self.replica, self.clock.wall());
                let found = views(driver, replica, &mut more, None, now).await;
                jobs.append(&mut more);
                seen.extend(found?);
            }
        }
        Ok((head, seen))
    }

    /// Writes a group and answers it, and those that wrote nothing: they, too, rest on what was read, so they are answered
    /// only when the transaction is durable.
    async fn carry_out(&mut self, group: Group, head: Head) {
        let (head, outcome) = self.write(&group, head).await;
        match self.conclude(&group.decided, &head, outcome) {
            // When clients were last used, and who is signed in, rests on nothing.
            Ok(()) if group.is_aside() && group.unwritten.is_empty() => group.settle(Ok(())),
            Ok(()) => self.answer(head.change_number, group.into_jobs()),
            Err(Ending::Failed(failure)) => group.settle(Err(failure)),
            Err(Ending::Refused(_)) if group.jobs.len() + group.unwritten.len() > 1 => {
                self.write_singly(group, head).await;
            }
            Err(Ending::Refused(error)) => refuse(group, &error),
        }
    }

    /// Writes a group within the transaction that is open and commits it; answers where the store stands, then or still.
    async fn write(&mut self, group: &Group, head: Head) -> (Head, Result<(), CommitError>) {
        let draft = match group.is_empty() {
            true => Draft {
                statements: Vec::new(),
                head: head.clone(),
            },
            false => self.draft(&group.decided, &head),
        };
        let patience = self.patience(group);
        match self.driver.finish(&draft.statements, patience).await {
            Ok(()) => (draft.head, Ok(())),
            Err(error) => (head, Err(error)),
        }
    }

    /// The time that later starts begin at, if it is the latest one kept. One node whose clock is far ahead must not take all
    /// others with it: on a shared database that time is near the database's own.
    pub(crate) fn time_to_keep(&self) -> Timestamp {
        let wall = self.clock.wall();
        let database = wall.0.saturating_sub(self.list.clock_ahead());
        Timestamp(wall.0.min(database.saturating_add(KEPT_AHEAD_MAX)))
    }

    /// How long the statements of a group may take before the first of its callers gives up.
    fn patience(&self, group: &Group) -> Duration {
        let until = group.until.map_or(u64::MAX, |until| until.0);
        Duration::from_nanos(until.saturating_sub(self.clock.boot().0)).min(COMMIT_TIMEOUT)
    }

    /// Answers decisions with success, once no attached replica can miss what they rest on, and on the
    /// callers' own threads: waking them one by one is work that need not hold up the next group.
    fn answer(&self, number: u64, jobs: Vec<Box<dyn Job>>) {
        let Some(jobs) = self.attachments.hold(number, jobs) else {
            return;
        };
        match &self.callers {
            Some(callers) if jobs.len() > 1 => {
                drop(callers.spawn(async move { settle(jobs, Ok(())) }));
            }
            _ => settle(jobs, Ok(())),
        }
    }

    /// One of a group makes no sense to the store; the others must not suffer for it. They were decided on the state at
    /// `head`, so they are written as long as nobody else has moved it.
    async fn write_singly(&mut self, group: Group, head: Head) {
        let until = group.until;
        let mut singles = vec![Group {
            unwritten: group.unwritten,
            ..Group::default()
        }];
        for (job, decided) in group.jobs.into_iter().zip(group.decided) {
            singles.push(Group {
                jobs: vec![job],
                decided: vec![decided],
                until,
                ..Group::default()
            });
        }
        let mut head = Some(head);
        for one in singles {
            head = match head {
                Some(expected) => self.write_one(one, &expected).await,
                None => {
                    one.settle(Err(Failure::Unavailable));
                    None
                }
            };
        }
    }

    /// Writes one of a group if the store stands where it was decided; answers where the store stands then, if that is known.
    async fn write_one(&mut self, one: Group, expected: &Head) -> Option<Head> {
        let found = match self.driver.begin(SELECT_HEAD) {
            Ok(()) => read_head(&mut self.driver).await,
            Err(error) => Err(error),
        };
        // A node may have joined meanwhile, which moves nothing.
        let place = |head: &Head| (head.position(), head.audit_seq);
        let from = match found {
            Ok(found) if place(&found) == place(expected) => found,
            other => {
                self.driver.undo().await;
                if let Err(error) = other {
                    self.doubt(&error);
                }
                one.settle(Err(Failure::Unavailable));
                return None;
            }
        };
        let (at, outcome) = self.write(&one, from).await;
        match self.conclude(&one.decided, &at, outcome) {
            Ok(()) => self.answer(at.change_number, one.into_jobs()),
            Err(Ending::Refused(error)) => refuse(one, &error),
            Err(Ending::Failed(failure)) => {
                one.settle(Err(failure));
                return None;
            }
        }
        Some(at)
    }

    /// Writes rows that no decision reads, without the head lock: nobody waits for them, nor they for anybody. The time is
    /// kept by a transaction of its own, so that no such row waits for the head's while others wait for it.
    async fn note(&mut self, mut group: Group) {
        let mut uses: Vec<_> = group.decided.iter().flat_map(|one| &one.uses).collect();
        // In the order of the key, like counts.
        uses.sort_by_key(|used| used.client);
        let mut statements: Vec<_> = uses
            .into_iter()
            .map(|used| Statement::new(NOTE_USE, used.values()))
            .collect();
        let records = || group.decided.iter().flat_map(|one| &one.records);
        statements.extend(records().flat_map(people::statements));
        let figures = records().all(Record::is_figure);
        let keep = Statement::new(sql::KEEP_TIME_SOON, vec![self.time_to_keep().into()]);
        let patience = self.patience(&group);
        let outcome = if self.driver.is_shared() {
            let mut outcome = Ok(());
            for _ in 0..ASIDE_TRIES {
                outcome = self
                    .driver
                    .commit_aside(&statements, patience, figures)
                    .await;
                if !matches!(outcome, Err(CommitError::Contended(_))) {
                    break;
                }
            }
            match outcome {
                Ok(()) => match self.driver.commit_aside(&[keep], patience, false).await {
                    // The transaction that has the head row keeps the time.
                    Err(CommitError::Contended(_)) => Ok(()),
                    kept => kept,
                },
                failed => failed,
            }
        } else {
            statements.push(keep);
            let driver = &mut self.driver;
            driver.commit_aside(&statements, patience, figures).await
        };
        settle(std::mem::take(&mut group.unwritten), Ok(()));
        match outcome {
            Ok(()) => {
                self.health.groups.fetch_add(1, Ordering::Relaxed);
                group.settle(Ok(()));
            }
            Err(CommitError::Refused(error) | CommitError::Contended(error)) => {
                refuse(group, &error);
            }
            Err(CommitError::RolledBack(error)) => {
                self.doubt(&error);
                group.settle(Err(Failure::Unavailable));
            }
            Err(CommitError::Unknown(error)) => {
                self.doubt(&error);
                group.settle(Err(Failure::OutcomeUnknown));
            }
        }
    }

    /// What a group writes, from where the store stands.
    fn draft(&self, decided: &[Decided], from: &Head) -> Draft {
        let (mut number, mut seq, mut hash) = (from.change_number, from.audit_seq, from.audit_hash);
        let at = self.clock.wall();
        // Kind by kind, the order within each kept: what a driver can send as one, it finds together.
        // The head comes first, so that a foreign writer is known as such before its rows are in the
        // way; its values are known last.
        let mut statements = Vec::with_capacity(3 * decided.len() + 2);
        statements.push(Statement::new("", Vec::new()));
        for entry in decided.iter().flat_map(|one| &one.audit) {
            seq += 1;
            let entry = AuditRecord::new(entry, seq, &hash);
            hash = entry.hash;
            statements.push(sql::append_audit(entry));
        }
        let changes = || decided.iter().flat_map(|one| &one.changes);
        statements.extend(changes().flat_map(sql::statements));
        for change in changes() {
            number += 1;
            statements.push(sql::append_change(change, number, at, &hash));
        }
        let uses = decided.iter().flat_map(|one| &one.uses);
        statements.extend(uses.map(|used| Statement::new(NOTE_USE, used.values())));
        let records = decided.iter().flat_map(|one| &one.records);
        statements.extend(records.flat_map(people::statements));
        if number > from.change_number && !from.is_alone(&self.me) {
            statements.push(Statement::new(HINT, Vec::new()));
        }
        let clock = self.time_to_keep().max(from.clock);
        let place = (from.change_number, from.audit_seq);
        statements[0] = sql::move_head((number, seq, &hash), place, clock);
        let tag = match number == from.change_number {
            true => from.tag,
            false => tag(&hash),
        };
        let head = Head {
            change_number: number,
            audit_seq: seq,
            audit_hash: hash,
            clock,
            tag,
            ..from.clone()
        };
        Draft { statements, head }
    }

    /// After a commit: applies what was written, or doubts the store. `head` is where the store stands after it.
    fn conclude(
        &mut self,
        decided: &[Decided],
        head: &Head,
        outcome: Result<(), CommitError>,
    ) -> Result<(), Ending> {
        match outcome {
            Ok(()) => {}
            Err(CommitError::Refused(error)) => return Err(Ending::Refused(error)),
            Err(CommitError::RolledBack(error) | CommitError::Contended(error)) => {
                self.doubt(&error);
                return Err(Ending::Failed(Failure::Unavailable));
            }
            Err(CommitError::Unknown(error)) => {
                self.doubt(&error);
                return Err(Ending::Failed(Failure::OutcomeUnknown));
            }
        }
        self.faults = 0;
        self.told.clear();
        self.publish(head.change_number, head.audit_seq);
        let alone = head.is_alone(&self.me) && !self.may_have_moved(head.change_number);
        if alone {
            self.attachments.alone_at(head.change_number);
        }
        if !decided.is_empty() {
            let runs = decided.iter().map(|one| one.changes.as_slice());
            let count = runs.clone().map(<[Change]>::len).sum::<usize>() as u64;
            self.health.groups.fetch_add(1, Ordering::Relaxed);
            self.health.changes.fetch_add(count, Ordering::Relaxed);
            if let Err(error) = self.applier.own(runs, head.position()) {
                self.end(&error);
                return Err(Ending::Failed(Failure::OutcomeUnknown));
            }
        }
        self.attachments.committed(head.position(), alone);
        Ok(())
    }

    /// Whether the lease may still be the one that was renewed on another server than this connection's. A node that is alone
    /// answers its changes at once, but not before it is known that what it reads comes from the server that has them. What was
    /// answered before this connection shows nothing.
    fn may_have_moved(&mut self, number: u64) -> bool {
        let answered = self.attachments.answered();
        self.moved = match self.moved {
            Some(0) if number > answered => Some(number),
            Some(first) if 0 < first && first <= answered => None,
            moved => moved,
        };
        self.moved.is_some()
    }

    /// Shows the others where the store stands.
    pub(crate) fn publish(&self, change: u64, audit: u64) {
        self.health.writable.store(true, Ordering::Relaxed);
        self.health.change_number.store(change, Ordering::Relaxed);
        self.health.audit_seq.store(audit, Ordering::Relaxed);
    }
}

/// Tells who asked that the store would have none of it.
fn refuse(group: Group, error: &StoreError) {
    tracing::error!("a decision could not be written: {error}");
    group.settle(Err(Failure::Unavailable));
}
