//! The one writer: collects what waits, decides each on the durable state, commits the group in one
//! transaction, applies it to the replica, and only then answers.

use crate::driver::{CommitError, Driver};
use crate::error::{Failure, StoreError};
use crate::job::{Decided, Job, Next, View, Wants};
use crate::load::{Head, read_head};
use crate::rows::{self, select_client};
use crate::statements as sql;
use crate::value::{Statement, Value};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokenward_core::Replica;
use tokenward_core::audit::Written;
use tokenward_core::change::Change;
use tokenward_core::client::ClientState;
use tokenward_core::ids::{ClientNo, ProductNo, WorkspaceNo};
use tokenward_core::time::{BootInstant, Clock};

/// Most changes in one commit: past this the pages written, not the disk's flush, are the cost.
pub(crate) const GROUP_MAX: usize = 256;
/// A change decided later than this after it was asked for is given up: its caller may have tried
/// again, and a late generate would revoke the token of the retry.
const DEADLINE_NANOS: u64 = 10_000_000_000;
/// Entries the change log keeps for followers.
const LOG_KEPT: u64 = 100_000;
/// How often the log is trimmed, in changes.
const TRIM_EVERY: u64 = 1_024;

/// How a shared database's node proves it is alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTerms {
    /// How long a renewal lets this node vouch.
    pub(crate) term_nanos: u64,
}

/// What others may know of the writer.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether the last attempt to write or renew succeeded.
    pub(crate) writable: AtomicBool,
    /// Groups committed.
    pub(crate) groups: AtomicU64,
    /// Changes committed.
    pub(crate) changes: AtomicU64,
    /// The last change's number, and the audit head, as `(change, audit)`.
    pub(crate) change_number: AtomicU64,
    /// The last audit entry's number.
    pub(crate) audit_seq: AtomicU64,
    /// Set when this node must stop for good: another one has the database.
    pub(crate) expelled: AtomicBool,
}

/// The writer's own state.
pub(crate) struct Writer<C> {
    pub(crate) driver: Driver,
    pub(crate) replica: Arc<Replica>,
    pub(crate) clock: Arc<C>,
    pub(crate) head: Head,
    pub(crate) next: Next,
    pub(crate) health: Arc<Health>,
    pub(crate) lease: LeaseTerms,
    pub(crate) incarnation: String,
    pub(crate) trusted: bool,
}

const CLIENT_BY_ID: &str = select_client!("WHERE c.id = $1");
const WORKSPACE_BY_ID: &str = "SELECT no, id, name, created_at, disabled_at FROM workspace WHERE id = $1";
const LABEL_TAKEN: &str = "SELECT 1 FROM client c JOIN workspace w ON w.no = c.workspace
    WHERE w.id = $1 AND c.environment = $2 AND c.live_label = $3";
const PRODUCT_USERS: &str = "SELECT count(*) FROM client WHERE deleted_at IS NULL AND products LIKE $1";
const CHANGES_AFTER: &str = "SELECT number, format, body FROM change_log WHERE number > $1 ORDER BY number";
const RENEW: &str = "UPDATE node SET renewals = renewals + 1 WHERE incarnation = $1";
pub(crate) const NOTE_USE: &str = "INSERT INTO client_use (client, at, source, product) VALUES ($1, $2, $3, $4)
    ON CONFLICT (client) DO UPDATE SET at = excluded.at, source = excluded.source, product = excluded.product";

impl<C: Clock + Send + Sync> Writer<C> {
    /// Takes what can be decided together from the front of the queue: decisions about different
    /// clients, or one that runs alone.
    pub(crate) fn next_group(&self, waiting: &mut VecDeque<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let mut group: Vec<Box<dyn Job>> = Vec::new();
        let mut later = VecDeque::new();
        let mut clients = HashSet::new();
        while let Some(job) = waiting.pop_front() {
            let free = match (job.wants().alone(), job.wants().client) {
                (false, Some(id)) => clients.insert(id),
                _ => group.is_empty() && later.is_empty(),
            };
            let alone = job.wants().alone();
            if free {
                group.push(job);
            } else {
                later.push_back(job);
            }
            if (alone && free) || alone || group.len() >= GROUP_MAX {
                // A lone decision ends the group: what came after it must not overtake it.
                break;
            }
        }
        later.append(waiting);
        *waiting = later;
        group
    }

    /// Decides, commits, applies and answers one group.
    pub(crate) async fn run_group(&mut self, group: Vec<Box<dyn Job>>) {
        if !self.trusted && self.resume().await.is_err() {
            group.into_iter().for_each(|job| job.settle(Err(Failure::Unavailable)));
            return;
        }
        let wants: Vec<Wants> = group.iter().map(|job| job.wants().clone()).collect();
        let views = match self.views(&wants).await {
            Ok(views) => views,
            Err(error) => {
                self.doubt(&error);
                group.into_iter().for_each(|job| job.settle(Err(Failure::Unavailable)));
                return;
            }
        };
        let mut written = Vec::new();
        let mut decided = Vec::new();
        for (mut job, view) in group.into_iter().zip(views) {
            let waited = self.clock.boot().0.saturating_sub(job.asked().0);
            if job.abandoned() || waited > DEADLINE_NANOS {
                job.settle(Err(Failure::TooLate));
                continue;
            }
            let out = job.decide(&view);
            if out.is_empty() {
                job.settle(Ok(()));
            } else {
                decided.push(out);
                written.push(job);
            }
        }
        if written.is_empty() {
            return;
        }
        let outcome = self.write(decided).await;
        written.into_iter().for_each(|job| job.settle(outcome));
    }

    async fn write(&mut self, decided: Vec<Decided>) -> Result<(), Failure> {
        let (mut number, mut seq, mut hash) = (self.head.change_number, self.head.audit_seq, self.head.audit_hash);
        let at = self.clock.wall();
        let mut statements: Vec<Statement> = Vec::new();
        let mut changes = Vec::new();
        for one in decided {
            debug_assert!(one.changes.is_empty() || !one.audit.is_empty(), "a change without an audit entry");
            for entry in &one.audit {
                seq += 1;
                let entry = Written::new(entry, seq, &hash);
                hash = entry.hash;
                statements.push(sql::append_audit(&entry));
            }
            for change in &one.changes {
                number += 1;
                statements.extend(sql::statements(change));
                statements.push(sql::append_change(change, number, at));
            }
            for used in &one.uses {
                statements.push(Statement::new(NOTE_USE, used.values()));
            }
            changes.extend(one.changes);
        }
        let from = (self.head.change_number, self.head.audit_seq);
        statements.push(sql::move_head((number, seq, &hash), from));
        if number / TRIM_EVERY != from.0 / TRIM_EVERY && number > LOG_KEPT {
            statements.push(sql::trim_log(number - LOG_KEPT));
        }
        let asked = self.clock.boot();
        match self.driver.commit(&statements).await {
            Ok(()) => {}
            Err(CommitError::RolledBack(error)) => {
                self.doubt(&error);
                return Err(Failure::Unavailable);
            }
            Err(CommitError::Unknown(error)) => {
                self.doubt(&error);
                return Err(Failure::OutcomeUnknown);
            }
        }
        self.head = Head { change_number: number, audit_seq: seq, audit_hash: hash, ..self.head.clone() };
        self.count(&changes);
        // A commit of ours proves as much as a renewal: nobody else held the lock.
        self.apply(&changes, number)?;
        self.extend(asked);
        Ok(())
    }

    fn apply(&mut self, changes: &[Change], number: u64) -> Result<(), Failure> {
        for change in changes {
            match change {
                Change::WorkspacePut { workspace } => {
                    self.next.workspace = WorkspaceNo(self.next.workspace.0.max(workspace.no.0 + 1));
                }
                Change::ProductPut { product } => {
                    self.next.product = ProductNo(self.next.product.0.max(product.no.0 + 1));
                }
                Change::ClientCreated { client } => {
                    self.next.client = ClientNo(self.next.client.0.max(client.no.0 + 1));
                }
                _ => {}
            }
        }
        self.replica.apply(changes, number).map_err(|error| {
            tracing::error!("{error}: this node stops vouching");
            Failure::OutcomeUnknown
        })
    }

    fn count(&self, changes: &[Change]) {
        self.health.writable.store(true, Ordering::Relaxed);
        self.health.groups.fetch_add(1, Ordering::Relaxed);
        self.health.changes.fetch_add(changes.len() as u64, Ordering::Relaxed);
        self.publish_head();
    }

    pub(crate) fn publish_head(&self) {
        self.health.change_number.store(self.head.change_number, Ordering::Relaxed);
        self.health.audit_seq.store(self.head.audit_seq, Ordering::Relaxed);
    }

    fn extend(&self, asked: BootInstant) {
        if self.driver.is_shared() {
            self.replica.lease().extend(BootInstant(asked.0.saturating_add(self.lease.term_nanos)));
        }
    }

    /// After any fault the writer's picture of the store may be old; it is read again before the next
    /// write.
    fn doubt(&mut self, error: &StoreError) {
        tracing::error!("the store failed: {error}");
        self.trusted = false;
        self.health.writable.store(false, Ordering::Relaxed);
    }

    /// Renews the lease on a shared database; on SQLite only tries to recover from a fault.
    pub(crate) async fn renew(&mut self) {
        if !self.trusted && self.resume().await.is_err() {
            return;
        }
        if !self.driver.is_shared() {
            return;
        }
        let asked = self.clock.boot();
        let renewal = Statement::one(RENEW, vec![self.incarnation.as_str().into()]);
        match self.driver.commit(&[renewal]).await {
            Ok(()) => {
                self.health.writable.store(true, Ordering::Relaxed);
                self.extend(asked);
            }
            Err(CommitError::RolledBack(error) | CommitError::Unknown(error)) => self.doubt(&error),
        }
    }

    /// Reconnects if need be, and takes over whatever the store holds that this node has not applied:
    /// a change whose outcome was unknown.
    pub(crate) async fn resume(&mut self) -> Result<(), StoreError> {
        let resumed = self.try_resume().await;
        if let Err(error) = &resumed {
            if matches!(error, StoreError::InUse(_) | StoreError::Older { .. } | StoreError::CannotApply(_)) {
                tracing::error!("this node stops vouching: {error}");
                self.replica.lease().end();
                self.health.expelled.store(true, Ordering::SeqCst);
            } else {
                tracing::warn!("the store is still not available: {error}");
            }
        }
        resumed
    }

    async fn try_resume(&mut self) -> Result<(), StoreError> {
        self.driver.recover().await?;
        if self.driver.is_shared() {
            let mut mine = false;
            let params = [vec![self.incarnation.as_str().into()]];
            let sql = "SELECT 1 FROM node WHERE incarnation = $1";
            let mut each = |_: usize, _: &crate::value::Row<'_>| {
                mine = true;
                Ok(())
            };
            self.driver.query(sql, &params, &mut each).await?;
            if !mine {
                return Err(StoreError::InUse("it took over while this node was cut off".into()));
            }
        }
        let head = read_head(&mut self.driver).await?;
        let applied = self.replica.applied();
        if head.change_number < applied || head.epoch != self.head.epoch {
            return Err(StoreError::Older { found: head.change_number, seen: applied });
        }
        let mut missed = Vec::new();
        let mut each = |_: usize, row: &crate::value::Row<'_>| {
            let change = Change::from_body(row.count(1)?, row.text(2)?);
            missed.push(change.map_err(|error| StoreError::CannotApply(error.to_string()))?);
            Ok(())
        };
        self.driver.query(CHANGES_AFTER, &[vec![applied.cast_signed().into()]], &mut each).await?;
        if missed.len() as u64 != head.change_number - applied {
            return Err(StoreError::CannotApply("the change log has gaps".into()));
        }
        if !missed.is_empty() {
            tracing::info!(changes = missed.len(), "took over changes whose outcome was unknown");
            let applied = self.apply(&missed, head.change_number);
            applied.map_err(|failure| StoreError::CannotApply(failure.to_string()))?;
        }
        self.head = head;
        self.trusted = true;
        self.health.writable.store(true, Ordering::Relaxed);
        self.publish_head();
        Ok(())
    }

    /// What each decision of a group wants to see.
    async fn views(&mut self, wants: &[Wants]) -> Result<Vec<View>, StoreError> {
        let now = self.clock.wall();
        let blank = View {
            now,
            client: None,
            workspace: None,
            label_taken: false,
            products: Vec::new(),
            product_users: 0,
            admin_keys: Vec::new(),
            next: self.next,
        };
        let mut views = vec![blank; wants.len()];
        let mut lists: Vec<Vec<Value>> = Vec::new();
        let mut whose = Vec::new();
        for (at, want) in wants.iter().enumerate() {
            if let Some(id) = want.client {
                lists.push(vec![id.0.into()]);
                whose.push(at);
            }
        }
        let mut each = |list: usize, row: &crate::value::Row<'_>| {
            let state: ClientState = rows::client_state(row)?;
            views[whose[list]].client = Some(state);
            Ok(())
        };
        self.driver.query(CLIENT_BY_ID, &lists, &mut each).await?;
        if let [view] = views.as_mut_slice() {
            self.look_around(&wants[0], view).await?;
        }
        Ok(views)
    }

    /// The further wants of a decision that runs alone.
    async fn look_around(&mut self, want: &Wants, view: &mut View) -> Result<(), StoreError> {
        let driver = &mut self.driver;
        if let Some(id) = want.workspace {
            let mut each = |_: usize, row: &crate::value::Row<'_>| {
                view.workspace = Some(rows::workspace(row, 0)?);
                Ok(())
            };
            driver.query(WORKSPACE_BY_ID, &[vec![id.0.into()]], &mut each).await?;
        }
        if let Some((workspace, environment, label)) = &want.label {
            let params = vec![
                workspace.0.into(),
                sql::environment_number(*environment).into(),
                label.as_str().into(),
            ];
            let mut each = |_: usize, _: &crate::value::Row<'_>| {
                view.label_taken = true;
                Ok(())
            };
            driver.query(LABEL_TAKEN, &[params], &mut each).await?;
        }
        if want.products {
            let mut each = |_: usize, row: &crate::value::Row<'_>| {
                view.products.push(rows::product(row)?);
                Ok(())
            };
            driver.query(rows::SELECT_PRODUCTS, &[vec![]], &mut each).await?;
        }
        if let Some(no) = want.product_use {
            let mut each = |_: usize, row: &crate::value::Row<'_>| {
                view.product_users = row.int(0)?.cast_unsigned();
                Ok(())
            };
            driver.query(PRODUCT_USERS, &[vec![format!("%,{},%", no.0).into()]], &mut each).await?;
        }
        if want.admin_keys {
            let mut each = |_: usize, row: &crate::value::Row<'_>| {
                view.admin_keys.push(rows::admin_key(row)?);
                Ok(())
            };
            driver.query(rows::SELECT_ADMIN_KEYS, &[vec![]], &mut each).await?;
        }
        Ok(())
    }
}
