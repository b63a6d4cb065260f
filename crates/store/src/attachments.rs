//! Attached replicas between the writer and their streams: what they are fed, what they say, and the
//! answers that wait for them and for other nodes. The rules are the core's [`Grantor`] and [`AckBarrier`]; this is the
//! driver of the first and the home of the second, one lock around both.
//!
//! The writer never waits here: an answer may wait, the next group goes on.

use crate::error::Failure;
use crate::group::settle;
use crate::job::Job;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::Replica;
use tokenward_core::change::Change;
use tokenward_core::cluster::{AckBarrier, BarrierEffect, BarrierEvent, Position, Row};
use tokenward_core::sublease::{AttachmentId, Grantor, GrantorEffect, GrantorEvent, Terms};
use tokenward_core::time::{BootInstant, Clock};
use tokio::sync::{Notify, mpsc};

/// Replicas attached at once: each costs the writer a message for every group, and every answer the
/// slowest of their acknowledgements.
pub const ATTACHED_MAX: usize = 1_024;
/// Groups of changes a replica may be behind, while it loads or is slow; past it it starts anew.
const BEHIND_MAX: usize = 16_384;

/// What a replica's stream is to send it, in order.
#[derive(Clone, Debug)]
pub enum Fed {
    /// Changes with the numbers from `first` on: their bodies, empty for those that a check does not ask about.
    Changes {
        /// The first one's number.
        first: u64,
        /// One each.
        bodies: Arc<[String]>,
    },
    /// A lease.
    Granted {
        /// The renewal it answers.
        round: u64,
        /// It counts once every change up to here is applied.
        through: u64,
        /// Nanoseconds from the sending of that renewal.
        term: u64,
    },
    /// It is no longer attached. Nothing follows.
    Expelled,
}

/// A fresh attachment.
#[derive(Debug)]
pub struct Attached {
    /// Its name.
    pub id: AttachmentId,
    /// The last change that is not fed: the snapshot must be copied after this was answered.
    pub base: u64,
    /// What to send. Its end is the end of the attachment.
    pub feed: mpsc::Receiver<Fed>,
}

/// How things stand with attached replicas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttachmentCounts {
    /// Attached, or cut off and perhaps still vouching.
    pub attached: usize,
    /// Given up since the start because they did not keep up or did not answer.
    pub expelled: u64,
    /// Decisions whose answers wait.
    pub held: usize,
}

/// Whether other nodes may be on the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Others {
    /// It is a file.
    Never,
    /// They are kept out, but one that was here before may still vouch.
    KeptOut,
    /// They may come and go.
    Expected,
}

/// All attached replicas.
pub struct Attachments<C> {
    clock: Arc<C>,
    replica: Arc<Replica>,
    inner: Mutex<Inner>,
    /// Every change up to here may be answered, to be read without the lock.
    answered: AtomicU64,
    woken: Notify,
    /// For whoever reads what other nodes say.
    nodes: Notify,
    /// Whether other nodes may want to hear what is applied here.
    acknowledges: bool,
    /// Changes up to here were committed while no other node had a row: none waits to hear that they are applied.
    unheard: AtomicU64,
}

struct Inner {
    grantor: Grantor,
    feeds: HashMap<AttachmentId, mpsc::Sender<Fed>>,
    held: VecDeque<(u64, Vec<Box<dyn Job>>)>,
    expelled: u64,
    /// What other nodes let this one answer; none where there can't be any.
    barrier: Option<AckBarrier>,
    /// The last commit that the barrier was told of.
    committed: Position,
    /// The latest look that the barrier wants.
    look: Option<u64>,
    /// How everything is answered since this process had to stop vouching.
    ended: Option<Failure>,
}

impl Inner {
    /// Every change up to here may be answered.
    fn answered(&self) -> u64 {
        let others = self.barrier.as_ref().map_or(u64::MAX, AckBarrier::answered);
        self.grantor.answered().min(others)
    }
}

impl<C: Clock> Attachments<C> {
    /// No replica is attached. `predecessor` says that an earlier process may have granted sub-leases, `others` that other nodes
    /// may be there.
    pub(crate) fn new(
        terms: Terms,
        clock: Arc<C>,
        replica: Arc<Replica>,
        number: u64,
        predecessor: bool,
        others: Others,
    ) -> Self {
        let inner = Inner {
            grantor: Grantor::new(terms, number, predecessor, clock.boot()),
            feeds: HashMap::new(),
            held: VecDeque::new(),
            expelled: 0,
            barrier: (others != Others::Never).then(AckBarrier::new),
            committed: Position::default(),
            look: None,
            ended: None,
        };
        Self {
            answered: AtomicU64::new(inner.answered()),
            inner: Mutex::new(inner),
            woken: Notify::new(),
            nodes: Notify::new(),
            acknowledges: others == Others::Expected,
            unheard: AtomicU64::new(0),
            clock,
            replica,
        }
    }

    /// Attaches one more replica; none when there are too many.
    #[must_use]
    pub fn attach(&self) -> Option<Attached> {
        let mut inner = self.inner.lock();
        if inner.grantor.attached() >= ATTACHED_MAX {
            return None;
        }
        let effects = inner.grantor.step(GrantorEvent::Attach, self.clock.boot());
        let attached = effects.iter().find_map(|effect| match effect {
            GrantorEffect::Attached { id, base } => Some((*id, *base)),
            _ => None,
        });
        let (id, base) = attached?;
        let (feed, fed) = mpsc::channel(BEHIND_MAX);
        inner.feeds.insert(id, feed);
        self.finish(inner, effects);
        Some(Attached {
            id,
            base,
            feed: fed,
        })
    }

    /// A replica asks for a lease.
    pub fn renew(&self, id: AttachmentId, round: u64) {
        let own_left = self.replica.lease().left(self.clock.boot());
        self.tell(GrantorEvent::Renew {
            id,
            round,
            own_left,
        });
    }

    /// A replica has applied every change up to `number`.
    pub fn acknowledged(&self, id: AttachmentId, number: u64) {
        self.tell(GrantorEvent::Acked { id, number });
    }

    /// A replica's stream is gone; it may go on vouching until its lease ends.
    pub fn cut(&self, id: AttachmentId) {
        self.tell(GrantorEvent::Cut { id });
    }

    /// A replica has ended its lease.
    pub fn released(&self, id: AttachmentId) {
        self.tell(GrantorEvent::Released { id });
    }

    /// How things stand.
    #[must_use]
    pub fn counts(&self) -> AttachmentCounts {
        let inner = self.inner.lock();
        AttachmentCounts {
            attached: inner.grantor.attached(),
            expelled: inner.expelled,
            held: inner.held.iter().map(|(_, jobs)| jobs.len()).sum(),
        }
    }

    fn tell(&self, event: GrantorEvent) {
        self.step(event);
        // There may be an earlier moment to wait for now.
        self.woken.notify_one();
    }

    fn step(&self, event: GrantorEvent) {
        let mut inner = self.inner.lock();
        if let GrantorEvent::Cut { id } | GrantorEvent::Released { id } = event {
            inner.feeds.remove(&id);
        }
        let effects = inner.grantor.step(event, self.clock.boot());
        self.finish(inner, effects);
    }

    /// The changes up to `number` are durable and in the node's own replica: feeds them.
    pub(crate) fn applied<'a>(&self, changes: impl Iterator<Item = &'a Change>, number: u64) {
        let mut inner = self.inner.lock();
        let mut effects = Vec::new();
        if !inner.feeds.is_empty() {
            let body =
                |change: &Change| change.for_checks().map_or(String::new(), |it| it.to_body());
            let bodies: Arc<[String]> = changes.map(body).collect();
            if !bodies.is_empty() {
                let fed = Fed::Changes {
                    first: number + 1 - bodies.len() as u64,
                    bodies,
                };
                let behind = |feed: &mpsc::Sender<Fed>| feed.try_send(fed.clone()).is_err();
                let behind: Vec<_> = inner
                    .feeds
                    .iter()
                    .filter(|(_, feed)| behind(feed))
                    .map(|(id, _)| *id)
                    .collect();
                // It hears of it by the end of its feed.
                for id in behind {
                    inner.feeds.remove(&id);
                    inner.expelled += 1;
                    let cut = GrantorEvent::Cut { id };
                    effects.extend(inner.grantor.step(cut, self.clock.boot()));
                }
            }
        }
        let applied = GrantorEvent::Applied { number };
        effects.extend(inner.grantor.step(applied, self.clock.boot()));
        self.finish(inner, effects);
    }

    /// Every change up to here may be answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// A commit was acknowledged: of changes up to this one, or of a decision that rests on them. `alone` says that no other
    /// node had a row then; joins wait for the head lock.
    pub(crate) fn committed(&self, position: Position, alone: bool) {
        let mut inner = self.inner.lock();
        if position.number >= inner.committed.number {
            inner.committed = position;
        }
        let number = position.number;
        let effects = self.judge(&mut inner, BarrierEvent::Committed { number, alone });
        drop(effects);
        self.finish(inner, Vec::new());
    }

    /// Tells the barrier; keeps the look that it wants and answers the rest of what it wants done.
    fn judge(&self, inner: &mut Inner, event: BarrierEvent) -> Vec<BarrierEffect> {
        let Some(barrier) = &mut inner.barrier else {
            return Vec::new();
        };
        let mut effects = barrier.step(event, self.clock.boot());
        for effect in &effects {
            if let BarrierEffect::Look { look } = effect {
                inner.look = Some(*look);
                self.nodes.notify_one();
            }
        }
        effects.retain(|effect| matches!(effect, BarrierEffect::Remove { .. }));
        effects
    }

    /// When the last change was committed whose answer waits for other nodes; none when none does.
    pub(crate) fn waits_for_nodes_since(&self) -> Option<BootInstant> {
        let inner = self.inner.lock();
        inner.barrier.as_ref().and_then(AckBarrier::waits_since)
    }

    /// Returns when other nodes may have to be asked or told something.
    pub(crate) async fn woken_for_nodes(&self) {
        self.nodes.notified().await;
    }

    /// Lets whoever speaks with other nodes look.
    pub(crate) fn wake(&self) {
        self.nodes.notify_one();
    }

    /// The look at the other nodes' rows that is wanted, and the last commit that their server must have.
    /// Without `unasked`, none is while nothing waits.
    pub(crate) fn wanted_look(&self, unasked: bool) -> Option<(u64, Position)> {
        let mut inner = self.inner.lock();
        // Time has passed, and may have been all that was waited for.
        let event = match unasked {
            true => BarrierEvent::Look,
            false => BarrierEvent::Tick,
        };
        drop(self.judge(&mut inner, event));
        let wanted = inner.look.take().map(|look| (look, inner.committed));
        self.finish(inner, Vec::new());
        wanted
    }

    /// The rows of the other nodes; answers which to remove.
    pub(crate) fn rows(&self, look: u64, holds: u64, rows: Vec<Row>) -> Vec<BarrierEffect> {
        let mut inner = self.inner.lock();
        let effects = self.judge(&mut inner, BarrierEvent::Rows { look, holds, rows });
        self.finish(inner, Vec::new());
        effects
    }

    /// Whether another node may wait to hear that the changes up to here are applied. A node that joins hears it of earlier ones
    /// with the next renewal.
    pub(crate) fn is_heard(&self, number: u64) -> bool {
        self.acknowledges && number > self.unheard.load(Ordering::Acquire)
    }

    /// No other node had a row when the changes up to here were committed.
    pub(crate) fn alone_at(&self, number: u64) {
        self.unheard.fetch_max(number, Ordering::Release);
    }

    /// Every attached replica that may vouch has applied the changes up to here.
    pub(crate) fn acknowledged_here(&self) -> u64 {
        self.inner.lock().grantor.answered()
    }

    /// Answers everything that waits, and all that comes, with a failure.
    pub(crate) fn end(&self, failure: Failure) {
        let mut inner = self.inner.lock();
        inner.ended = Some(failure);
        let held = std::mem::take(&mut inner.held);
        drop(inner);
        for (_, jobs) in held {
            settle(jobs, Err(failure));
        }
    }

    /// Answers decisions that rest on the changes up to `number`, at once or when no replica and no other node can miss
    /// one of them any more. Answers those that may be given now.
    pub(crate) fn hold(&self, number: u64, jobs: Vec<Box<dyn Job>>) -> Option<Vec<Box<dyn Job>>> {
        // The common case, nobody attached, takes no lock.
        if self.answered.load(Ordering::Acquire) >= number {
            return Some(jobs);
        }
        let mut inner = self.inner.lock();
        if inner.answered() >= number {
            return Some(jobs);
        }
        if let Some(failure) = inner.ended {
            drop(inner);
            settle(jobs, Err(failure));
            return None;
        }
        // In order of their numbers, although a decision of long ago may come late.
        let at = inner.held.partition_point(|(held, _)| *held <= number);
        inner.held.insert(at, (number, jobs));
        drop(inner);
        self.woken.notify_one();
        self.nodes.notify_one();
        None
    }

    /// Lets time pass, for as long as the store is open.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.inner.lock().grantor.next_tick();
            let woken = self.woken.notified();
            match next {
                None => woken.await,
                Some(at) => {
                    let left = Duration::from_nanos(at.0.saturating_sub(self.clock.boot().0));
                    let _ = tokio::time::timeout(left, woken).await;
                }
            }
            self.step(GrantorEvent::Tick);
        }
    }

    /// Carries effects out, and gives the answers that are due when the lock is open again.
    fn finish(&self, mut inner: MutexGuard<'_, Inner>, effects: Vec<GrantorEffect>) {
        let mut due = Vec::new();
        for effect in effects {
            match effect {
                GrantorEffect::Attached { .. } => {}
                GrantorEffect::Grant {
                    id,
                    round,
                    through,
                    term,
                } => {
                    let grant = Fed::Granted {
                        round,
                        through,
                        term,
                    };
                    // When it does not get through, the lease is not taken; that does no harm.
                    if let Some(feed) = inner.feeds.get(&id) {
                        let _ = feed.try_send(grant);
                    }
                }
                GrantorEffect::Answer { through } if self.is_heard(through) => {
                    self.nodes.notify_one();
                }
                GrantorEffect::Answer { .. } => {}
                GrantorEffect::Expel { id } => {
                    if let Some(feed) = inner.feeds.remove(&id) {
                        inner.expelled += 1;
                        let _ = feed.try_send(Fed::Expelled);
                    }
                }
            }
        }
        let through = inner.answered();
        self.answered.store(through, Ordering::Release);
        while let Some((_, jobs)) = inner.held.pop_front_if(|(number, _)| *number <= through) {
            due.extend(jobs);
        }
        drop(inner);
        settle(due, Ok(()));
    }
}

impl<C> Attachments<C> {
    /// Whether nobody can be vouching by a grant of this process any more.
    #[must_use]
    pub fn is_quiet(&self, now: BootInstant) -> bool {
        self.inner.lock().grantor.is_idle(now)
    }
}
