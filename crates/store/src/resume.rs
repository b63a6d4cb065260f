//! The writer's life between groups: renewing the lease, doubting the store after a fault, finding
//! out what a commit of unknown outcome came to, signing off.

use crate::driver::CommitError;
use crate::error::StoreError;
use crate::load::{Head, SELECT_HEAD, read_head};
use crate::queue::Queue;
use crate::register::sign_off;
use crate::statements::KEEP_TIME;
use crate::timer;
use crate::value::{Row, Statement};
use crate::writer::{Standing, Writer};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokenward_core::change::Change;
use tokenward_core::time::Clock;

/// Renewals in one term of the lease: the database may be away for most of a term unnoticed.
pub(crate) const RENEWALS_IN_A_TERM: u32 = 5;
/// Longest a renewal or sign-off may take before the connection is given up.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause between two attempts to reach the store; every further one is twice as long, up to
/// [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Most causes of one outage that are logged as errors.
const TOLD_MAX: usize = 8;

const CHANGES_AFTER: &str =
    "SELECT number, format, body FROM change_log WHERE number > $1 ORDER BY number";
const IS_NODE: &str = "SELECT 1 FROM node WHERE incarnation = $1";
const RENEW: &str = "UPDATE node SET renewals = renewals + 1 WHERE incarnation = $1";

impl<C: Clock + Send + Sync> Writer<C> {
    /// Works until nobody can ask any more.
    pub(crate) async fn run(mut self, mut queue: Queue) {
        loop {
            let open = match self.standing {
                Standing::Sure => self.work(&mut queue).await,
                Standing::Doubtful => self.try_again(&mut queue).await,
                Standing::Ended => {
                    queue.refuse_until_closed().await;
                    false
                }
            };
            if !open {
                break;
            }
        }
        self.replica.lease().end();
        if self.standing == Standing::Sure {
            self.keep_time().await;
            sign_off(&mut self.driver, &self.incarnation).await;
        }
        self.driver.close().await;
    }

    /// Keeps the time of a stop in good order: what was seen expired until now stays so.
    async fn keep_time(&mut self) {
        let keep = Statement::new(KEEP_TIME, vec![self.clock.wall().into()]);
        if let Err(error) = self.driver.commit(&[keep], COMMIT_TIMEOUT).await {
            let error = error.into_inner();
            tracing::warn!("the time of this stop was not kept in the store: {error}");
        }
    }

    /// One group, or one renewal. False when nobody can ask any more.
    async fn work(&mut self, queue: &mut Queue) -> bool {
        if self.driver.is_shared() {
            // Looked at before every group: a node kept busy with decisions that write nothing must
            // renew all the same.
            let left = self.renew_at.0.saturating_sub(self.clock.boot().0);
            if left == 0 {
                self.renew().await;
                return true;
            }
            match tokio::time::timeout(Duration::from_nanos(left), queue.arrive()).await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => return true,
            }
        } else if !queue.arrive().await {
            return false;
        }
        let group = queue.next_group();
        if !group.is_empty() {
            self.run_group(group, queue).await;
        }
        true
    }

    /// Writes this node's own row: on a shared database that renews its lease.
    pub(crate) async fn renew(&mut self) {
        let asked = self.clock.boot();
        let renewal = Statement::fence(RENEW, vec![self.incarnation.as_str().into()]);
        match self.driver.commit(&[renewal], COMMIT_TIMEOUT).await {
            Ok(()) => self.written(asked),
            Err(error) => self.doubt(&error.into_inner()),
        }
    }

    /// After any fault the writer's picture of the store may be old; it is read again before the next
    /// write.
    pub(crate) fn doubt(&mut self, error: &StoreError) {
        // Each cause is told once: the first fault is often a closed connection, and only the next ones say why.
        let text = error.to_string();
        if self.told.contains(&text) || self.told.len() >= TOLD_MAX {
            tracing::debug!(faults = self.faults, "the store failed again: {text}");
        } else {
            tracing::error!("the store failed: {text}");
            self.told.push(text);
        }
        self.standing = Standing::Doubtful;
        self.faults = self.faults.saturating_add(1);
        self.health.writable.store(false, Ordering::Relaxed);
    }

    /// This process must not write or vouch any more.
    pub(crate) fn end(&mut self, error: &StoreError) {
        tracing::error!("this node stops vouching for good: {error}");
        self.replica.lease().end();
        self.standing = Standing::Ended;
        self.health.writable.store(false, Ordering::Relaxed);
        self.health.expelled.store(true, Ordering::SeqCst);
    }

    /// One attempt to be sure of the store again. Callers wait for the first only; after further
    /// faults there is a pause before each, and they are told at once that the store is not
    /// available. False when nobody can ask any more.
    async fn try_again(&mut self, queue: &mut Queue) -> bool {
        let resumed = if self.faults <= 1 {
            self.resume().await
        } else {
            let pause = PAUSE
                .saturating_mul(1 << self.faults.min(10))
                .min(PAUSE_MAX);
            let attempt = async {
                timer::pass(pause).await;
                self.resume().await
            };
            tokio::select! {
                resumed = attempt => resumed,
                () = queue.refuse_until_closed() => return false,
            }
        };
        match resumed {
            Ok(()) => {
                tracing::info!("the store can be read again");
                self.standing = Standing::Sure;
                // A write of our own tells whether it can be written, too, and does not wait for
                // somebody to ask for one.
                self.renew().await;
            }
            Err(error) if error.is_final() => self.end(&error),
            Err(error) => {
                self.doubt(&error);
                queue.refuse_waiting();
            }
        }
        true
    }

    /// Reconnects if need be, and looks whether this is still the store that this process has loaded.
    async fn resume(&mut self) -> Result<(), StoreError> {
        self.driver.recover().await?;
        let mut mine = false;
        let mut each = |_: usize, _: &Row<'_>| {
            mine = true;
            Ok(())
        };
        let node = vec![self.incarnation.as_str().into()];
        self.driver.query(IS_NODE, &[node], &mut each).await?;
        if !mine {
            return Err(StoreError::InUse("it took over from this one".into()));
        }
        self.driver.begin(SELECT_HEAD)?;
        let found = match read_head(&mut self.driver).await {
            Ok(head) => self.follow(&head).await,
            Err(error) => Err(error),
        };
        if found.is_err() {
            self.driver.undo().await;
            return found;
        }
        let finished = self.driver.finish().await;
        finished.map_err(CommitError::into_inner)
    }

    /// Makes sure that the store at this head is the one that this process has loaded, and applies what the replica has
    /// not: a commit whose outcome was unknown.
    pub(crate) async fn follow(&mut self, head: &Head) -> Result<(), StoreError> {
        if (head.store, head.epoch) != self.store {
            return Err(StoreError::Diverged("it was restored or exchanged".into()));
        }
        let applied = self.replica.applied();
        if head.change_number == applied {
            return Ok(());
        }
        if head.change_number < applied {
            return Err(StoreError::Older {
                found: head.change_number,
                seen: applied,
            });
        }
        let mut missed = Vec::new();
        let mut each = |_: usize, row: &Row<'_>| {
            let change = Change::from_body(row.count(1)?, row.text(2)?);
            missed.push(change.map_err(|error| StoreError::CannotApply(error.to_string()))?);
            Ok(())
        };
        let after = vec![applied.cast_signed().into()];
        self.driver
            .query(CHANGES_AFTER, &[after], &mut each)
            .await?;
        if missed.len() as u64 != head.change_number - applied {
            return Err(StoreError::Diverged("its change log has gaps".into()));
        }
        tracing::info!(
            changes = missed.len(),
            "took over changes whose outcome was unknown"
        );
        self.apply(&missed, head.change_number)?;
        self.attachments.applied(missed.iter(), head.change_number);
        Ok(())
    }
}
