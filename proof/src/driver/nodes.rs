//! The servers of a run, all of one database, and the replicas attached to them: any call goes to any of them.

use super::attached::Attached;
use fastrand::Rng;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokenward_testkit::Api;

/// Of so many calls that choose the disturbed server, one still goes there.
const STUBBORN: usize = 12;

/// Callers of each server.
#[derive(Debug)]
pub struct Nodes {
    apis: Vec<Api>,
    attached: Vec<Attached>,
    disturbed: AtomicUsize,
    /// Whether no call at all goes to the disturbed one.
    left_out: AtomicBool,
}

impl Nodes {
    /// One server or several.
    ///
    /// # Panics
    /// Without any.
    #[must_use]
    pub fn new(apis: Vec<Api>) -> Nodes {
        assert!(!apis.is_empty(), "no server");
        Nodes {
            apis,
            attached: Vec::new(),
            disturbed: AtomicUsize::new(usize::MAX),
            left_out: AtomicBool::new(false),
        }
    }

    /// With replicas, at which half of the checks are made.
    #[must_use]
    pub fn with(self, attached: Vec<Attached>) -> Nodes {
        Nodes { attached, ..self }
    }

    /// The replicas.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Any replica, for half of the calls if there are any.
    pub(crate) fn any_attached(&self, rng: &mut Rng) -> Option<&Attached> {
        if self.attached.is_empty() || rng.bool() {
            return None;
        }
        self.attached.get(rng.usize(..self.attached.len()))
    }

    /// Says which server is being disturbed, so that not every caller ends up waiting for it; none of several is like all.
    pub fn disturb(&self, number: Option<usize>) {
        self.left_out.store(false, Ordering::Relaxed);
        self.disturbed
            .store(number.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// No call goes to this server until another is disturbed, as when a load balancer leaves out one that is to be stopped.
    pub fn leave_out(&self, number: usize) {
        self.disturb(Some(number));
        self.left_out.store(true, Ordering::Relaxed);
    }

    /// The caller of the first server.
    pub(crate) fn first(&self) -> &Api {
        &self.apis[0]
    }

    /// The caller of any server.
    pub(crate) fn any(&self, rng: &mut Rng) -> &Api {
        let mut number = rng.usize(..self.apis.len());
        let mut avoid = || self.left_out.load(Ordering::Relaxed) || rng.usize(..STUBBORN) > 0;
        if number == self.disturbed.load(Ordering::Relaxed) && avoid() {
            number = (number + 1 + rng.usize(..self.apis.len().max(2) - 1)) % self.apis.len();
        }
        &self.apis[number]
    }
}
