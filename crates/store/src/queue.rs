//! What waits for the writer: bounded, in the order asked, and shared so that one client's callers
//! can't keep the others out.

use crate::error::Failure;
use crate::job::Job;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokenward_core::ids::ClientId;
use tokio::sync::mpsc;

/// Most decisions in one commit: past this the pages written, not the disk's flush, are the cost.
pub(crate) const GROUP_MAX: usize = 256;
/// Writes that may wait on either side of the door; past this the caller is told to come back.
pub(crate) const WAITING_MAX: usize = 8_192;
/// Writes about one client that may wait. A group takes one of each client, so whoever floods one
/// client would otherwise fill the queue for all, and hold up every decision that runs alone.
pub(crate) const CLIENT_WAITING_MAX: usize = 512;

/// The writer's queue.
pub(crate) struct Queue {
    arriving: mpsc::Receiver<Box<dyn Job>>,
    waiting: VecDeque<Box<dyn Job>>,
    of_client: HashMap<ClientId, usize>,
    batch: Vec<Box<dyn Job>>,
    /// How many wait behind the door, for whoever watches.
    gauge: Arc<AtomicUsize>,
}

impl Queue {
    pub(crate) fn new(arriving: mpsc::Receiver<Box<dyn Job>>, gauge: Arc<AtomicUsize>) -> Self {
        Self {
            arriving,
            waiting: VecDeque::new(),
            of_client: HashMap::new(),
            batch: Vec::with_capacity(GROUP_MAX),
            gauge,
        }
    }

    /// Waits until something waits, then lets in all that has come. False when nobody can ask any
    /// more and everything is done.
    pub(crate) async fn arrive(&mut self) -> bool {
        if self.waiting.is_empty() {
            if self.arriving.recv_many(&mut self.batch, GROUP_MAX).await == 0 {
                return false;
            }
            let mut batch = std::mem::take(&mut self.batch);
            batch.drain(..).for_each(|job| self.enter(job));
            self.batch = batch;
        }
        self.let_in();
        true
    }

    /// Lets in what has come, without waiting for more.
    fn let_in(&mut self) {
        while self.waiting.len() < WAITING_MAX
            && let Ok(job) = self.arriving.try_recv()
        {
            self.enter(job);
        }
        self.measure();
    }

    fn enter(&mut self, job: Box<dyn Job>) {
        if let Some(client) = job.wants().client {
            let count = self.of_client.entry(client).or_insert(0);
            if *count >= CLIENT_WAITING_MAX {
                job.settle(Err(Failure::Overloaded));
                return;
            }
            *count += 1;
        }
        self.waiting.push_back(job);
    }

    fn left(&mut self, job: &dyn Job) {
        let Some(client) = job.wants().client else {
            return;
        };
        if let Some(count) = self.of_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&client);
            }
        }
    }

    /// Takes what can be decided together from the front: decisions about different clients, or one
    /// that runs alone. Nothing overtakes an earlier decision about the same client, nor one that
    /// runs alone.
    pub(crate) fn next_group(&mut self) -> Vec<Box<dyn Job>> {
        self.take_beside(&[])
    }

    /// Takes what has come since a group was taken and can be decided with it.
    pub(crate) fn more_for(&mut self, group: &[Box<dyn Job>]) -> Vec<Box<dyn Job>> {
        if group.iter().any(|job| job.wants().alone()) {
            return Vec::new();
        }
        self.let_in();
        self.take_beside(group)
    }

    fn take_beside(&mut self, taken: &[Box<dyn Job>]) -> Vec<Box<dyn Job>> {
        let mut group: Vec<Box<dyn Job>> = Vec::new();
        let mut later = VecDeque::new();
        let mut clients: HashSet<_> = taken.iter().filter_map(|job| job.wants().client).collect();
        while taken.len() + group.len() < GROUP_MAX
            && let Some(job) = self.waiting.pop_front()
        {
            let alone = job.wants().alone();
            let free = match (alone, job.wants().client) {
                (false, Some(id)) => clients.insert(id),
                _ => taken.is_empty() && group.is_empty() && later.is_empty(),
            };
            if free {
                self.left(job.as_ref());
                group.push(job);
            } else {
                later.push_back(job);
            }
            if alone {
                break;
            }
        }
        later.append(&mut self.waiting);
        self.waiting = later;
        self.measure();
        group
    }

    /// Puts a group back where it came from: none of it was decided.
    pub(crate) fn put_back(&mut self, group: Vec<Box<dyn Job>>) {
        for job in group.into_iter().rev() {
            if let Some(client) = job.wants().client {
                *self.of_client.entry(client).or_insert(0) += 1;
            }
            self.waiting.push_front(job);
        }
        self.measure();
    }

    /// Tells everybody who waits that nothing was written.
    pub(crate) fn refuse_waiting(&mut self) {
        self.of_client.clear();
        while let Some(job) = self
            .waiting
            .pop_front()
            .or_else(|| self.arriving.try_recv().ok())
        {
            job.settle(Err(Failure::Unavailable));
        }
        self.measure();
    }

    /// The same for everybody who comes, until nobody can come any more.
    pub(crate) async fn refuse_until_closed(&mut self) {
        self.refuse_waiting();
        while let Some(job) = self.arriving.recv().await {
            job.settle(Err(Failure::Unavailable));
        }
    }

    fn measure(&self) {
        self.gauge.store(self.waiting.len(), Ordering::Relaxed);
    }
}
