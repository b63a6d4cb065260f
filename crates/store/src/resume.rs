//! The writer's life between groups: doubting the store after a fault, finding it again, the end.

use crate::driver::CommitError;
use crate::error::StoreError;
use crate::keys::KeyFault;
use crate::load::{Head, SELECT_HEAD, read_head, read_log};
use crate::queue::Queue;
use crate::statements::KEEP_TIME;
use crate::timer;
use crate::value::Statement;
use crate::writer::{Standing, Writer};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokenward_core::time::Clock;

/// Longest the last write may take before the connection is given up.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause between two attempts to reach the store; every further one is twice as long, up to
/// [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Most causes of one outage that are logged as errors.
const TOLD_MAX: usize = 8;

/// Most changes read after a commit of unknown outcome: it was one group.
const CHANGES_MAX: u32 = 100_000;
/// Shows on a file that it can be written.
const PROBE: &str = "UPDATE node SET attempt = attempt + 1 WHERE id = $1";
const SIGN_OFF: &str = "DELETE FROM node WHERE id = $1";

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
        if self.standing == Standing::Sure {
            self.keep_time().await;
        }
        match self.membership.take() {
            Some(membership) => membership.end(),
            None => {
                self.replica.lease().end();
                let leave = Statement::new(SIGN_OFF, vec![self.me.as_str().into()]);
                if self.standing == Standing::Sure {
                    let _ = self.driver.commit(&[leave], COMMIT_TIMEOUT).await;
                }
            }
        }
        self.driver.close().await;
    }

    /// Keeps the time of a stop in good order: what was seen expired until now stays so.
    async fn keep_time(&mut self) {
        let keep = Statement::new(KEEP_TIME, vec![self.time_to_keep().into()]);
        if let Err(error) = self.driver.commit(&[keep], COMMIT_TIMEOUT).await {
            tracing::warn!("the time of this stop was not kept in the store: {error}");
        }
    }

    /// One group. False when nobody can ask any more.
    async fn work(&mut self, queue: &mut Queue) -> bool {
        match tokio::time::timeout(self.look_every, queue.arrive()).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(_) => {
                // The lock that keeps others out goes with the connection.
                if self.driver.is_lost() {
                    self.doubt(&StoreError::Unavailable("the connection was lost".into()));
                }
                return true;
            }
        }
        if self.health.expelled.load(Ordering::SeqCst) {
            self.standing = Standing::Ended;
            return true;
        }
        let group = queue.next_group();
        if !group.is_empty() {
            self.run_group(group, queue).await;
        }
        true
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
        self.standing = Standing::Ended;
        self.applier.end(&self.health, error);
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
                self.faults = 0;
                self.told.clear();
                self.health.writable.store(true, Ordering::Relaxed);
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
        if self.driver.is_lost() {
            self.moved = Some(0);
        }
        self.driver.recover().await?;
        self.driver.begin(SELECT_HEAD)?;
        let found = match read_head(&mut self.driver).await {
            Ok(head) => self.follow(&head).await,
            Err(error) => Err(error),
        };
        if found.is_err() {
            self.driver.undo().await;
            return found;
        }
        // Somebody else's lock, or a full disk, shows only when something is written. On PostgreSQL the head lock is a write.
        let probe = match self.driver.is_shared() {
            true => None,
            false => Some(Statement::one(PROBE, vec![self.me.as_str().into()])),
        };
        let finished = self.driver.finish(probe.as_slice(), COMMIT_TIMEOUT).await;
        finished.map_err(CommitError::into_inner)
    }

    /// Makes sure that the store at this head is the one that this process has loaded. What the replica lacks is applied
    /// here when this is the only process, after a commit of unknown outcome; on a shared database whoever keeps the lease
    /// reads it.
    pub(crate) async fn follow(&mut self, head: &Head) -> Result<(), StoreError> {
        if (head.store, head.epoch) != self.store {
            return Err(StoreError::Diverged("it was restored or exchanged".into()));
        }
        let position = self.applier.position();
        if head.change_number == position.number && head.tag != position.tag {
            return Err(StoreError::Diverged("it has another history".into()));
        }
        if self.driver.is_shared() {
            if head.change_number < position.number {
                self.driver.give_up();
                return Err(StoreError::Unavailable(format!(
                    "this server is behind: it ends at change {}, and change {} is applied here",
                    head.change_number, position.number
                )));
            }
            if let Some(chosen) = head.digest_key
                && !self.replica.keyring().choose(chosen)
            {
                return Err(KeyFault::Chosen(chosen).into());
            }
            self.applier.heard_of(head.change_number);
            return Ok(());
        }
        let me = Some(self.me.as_str());
        if head.nodes.0.as_deref() != me || head.nodes.1.as_deref() != me {
            return Err(StoreError::InUse("it took over from this one".into()));
        }
        if head.change_number < position.number {
            return Err(StoreError::Older {
                found: head.change_number,
                seen: position.number,
            });
        }
        if head.change_number > position.number {
            let missed = read_log(&mut self.driver, position, CHANGES_MAX).await?;
            tracing::info!(
                changes = missed.len(),
                "took over changes whose outcome was unknown"
            );
            self.applier.take(missed)?;
        }
        Ok(())
    }
}
