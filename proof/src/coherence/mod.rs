//! Concurrent writers and checkers against a running server, every call recorded.
//!
//! The load is bent towards what could go wrong: writers ask about the old and the new token the
//! moment a change has been answered, and checkers crowd around the client changed last.

mod load;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokenward_testkit::Broken;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::driver::{Nodes, PRODUCTS, Subject, lock};
use crate::history::{Clock, Event, Nanos};
use load::Load;

/// What to do to the server.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Repeats the same choices; the interleaving is the machine's.
    pub seed: u64,
    /// How long the load lasts.
    pub duration: Duration,
    /// Tasks that change things.
    pub writers: usize,
    /// Tasks that only check.
    pub checkers: usize,
    /// API clients alive at any time.
    pub clients: usize,
}

impl Plan {
    /// A load that keeps two cores busy.
    #[must_use]
    pub fn new(seed: u64, duration: Duration) -> Plan {
        Plan {
            seed,
            duration,
            writers: 6,
            checkers: 4,
            clients: 12,
        }
    }
}

/// Runs the load to its end and returns what was seen. Workspaces are named after the seed.
///
/// # Errors
/// When the server breaks a connection while things are set up.
///
/// # Panics
/// When the server refuses what the load stands on: a workspace, products, clients.
pub async fn run(nodes: &Arc<Nodes>, plan: &Plan) -> Result<Vec<Event>, Broken> {
    let (_stop, stopped) = watch::channel(false);
    Ok(Prepared::new(nodes, *plan).await?.run_until(stopped).await)
}

/// A load whose clients are there, so that what fails from now on is part of what is seen.
pub struct Prepared {
    nodes: Arc<Nodes>,
    plan: Plan,
    workspace: String,
    subjects: Vec<Arc<Subject>>,
}

impl Prepared {
    /// Makes workspace, products and clients.
    ///
    /// # Errors
    /// When the server breaks a connection.
    ///
    /// # Panics
    /// When the server refuses one of them.
    pub async fn new(nodes: &Arc<Nodes>, plan: Plan) -> Result<Self, Broken> {
        let api = nodes.first();
        for (slug, name) in PRODUCTS {
            api.product(slug, name).await?;
        }
        let workspace = api.workspace(&format!("coherence {}", plan.seed)).await?;
        let mut subjects = Vec::new();
        for _ in 0..plan.clients {
            subjects.push(Arc::new(Subject::create(api, &workspace).await?));
        }
        let nodes = Arc::clone(nodes);
        Ok(Self {
            nodes,
            plan,
            workspace,
            subjects,
        })
    }

    /// Runs the load to its end or until it is told to stop, and returns what was seen.
    pub async fn run_until(self, stopped: watch::Receiver<bool>) -> Vec<Event> {
        let plan = self.plan;
        let stage = Arc::new(Stage::set(self, stopped));
        let mut tasks = JoinSet::new();
        for number in 0..plan.writers + plan.checkers {
            let writes = number < plan.writers;
            let mut load = Load::new(Arc::clone(&stage), plan.seed, number);
            tasks.spawn(async move {
                if writes {
                    load.write().await
                } else {
                    load.check().await
                };
                load.into_events()
            });
        }
        let mut events: Vec<Event> = tasks.join_all().await.into_iter().flatten().collect();
        let mut last = Load::new(Arc::clone(&stage), plan.seed, usize::MAX);
        last.ask_about_every_token().await;
        events.extend(last.into_events());
        events
    }
}

/// What all tasks share.
struct Stage {
    prepared: Prepared,
    clock: Clock,
    /// The clients alive; a deleted one is replaced in its place.
    places: Vec<Mutex<Arc<Subject>>>,
    /// Every client there has ever been.
    cast: Mutex<Vec<Arc<Subject>>>,
    /// The place changed last, around which checkers crowd.
    hot: AtomicUsize,
    end: Nanos,
    stopped: watch::Receiver<bool>,
}

impl Stage {
    fn set(prepared: Prepared, stopped: watch::Receiver<bool>) -> Stage {
        let clock = Clock::start();
        let duration = u64::try_from(prepared.plan.duration.as_nanos()).unwrap_or(Nanos::MAX);
        Stage {
            end: clock.now().saturating_add(duration),
            clock,
            places: prepared.subjects.iter().cloned().map(Mutex::new).collect(),
            cast: Mutex::new(prepared.subjects.clone()),
            hot: AtomicUsize::new(0),
            stopped,
            prepared,
        }
    }

    /// One more client; none when no server makes it.
    async fn new_subject(&self) -> Option<Arc<Subject>> {
        let api = self.prepared.nodes.any(&mut Rng::new());
        let subject = Arc::new(Subject::try_create(api, &self.prepared.workspace).await?);
        lock(&self.cast).push(Arc::clone(&subject));
        Some(subject)
    }

    fn at(&self, place: usize) -> Arc<Subject> {
        Arc::clone(&lock(&self.places[place]))
    }

    fn is_over(&self) -> bool {
        *self.stopped.borrow() || self.clock.now() >= self.end
    }
}
