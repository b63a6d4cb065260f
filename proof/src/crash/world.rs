//! The server, its database, and the clients under load, over all rounds.

use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;
use tokenward_testkit::{Api, PgCluster, Server};

use super::plan::{Engine, Plan, Tally};
use crate::driver::{Caller, Nodes, PRODUCTS, Subject};
use crate::history::{self, Clock, Event, Report};

/// Clients under load at a time; enough that several changes share one commit.
const PLACES: usize = 8;

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) seed: u64,
    pub(super) rng: Rng,
    pub(super) clock: Clock,
    pub(super) server: Server,
    pub(super) cluster: Option<PgCluster>,
    pub(super) places: Vec<Arc<Subject>>,
    /// What was seen of each client under load.
    pub(super) seen: HashMap<u32, Vec<Event>>,
    /// The last generation the server named of each client.
    pub(super) named: HashMap<u32, u64>,
    /// Clients no longer under load, with all that was seen of them.
    past: Vec<(Arc<Subject>, Vec<Event>)>,
    workspace: String,
    /// Numbers the callers, so that each makes choices of its own.
    callers: u64,
}

impl World {
    pub(super) async fn make(plan: &Plan) -> World {
        let cluster = (plan.engine != Engine::Sqlite).then(PgCluster::start);
        let builder = match &cluster {
            Some(cluster) => Server::builder().database(&cluster.url()),
            None => Server::builder(),
        };
        let server = builder.start();
        let api = server.api();
        for (slug, name) in PRODUCTS {
            api.product(slug, name).await.expect("a living server");
        }
        let workspace = api.workspace("crash").await.expect("a living server");
        let mut world = World {
            engine: plan.engine,
            seed: plan.seed,
            rng: Rng::with_seed(plan.seed),
            clock: Clock::start(),
            server,
            cluster,
            places: Vec::new(),
            seen: HashMap::new(),
            named: HashMap::new(),
            past: Vec::new(),
            workspace,
            callers: 0,
        };
        for _ in 0..PLACES {
            let subject = world.new_subject(&api).await;
            world.places.push(subject);
        }
        world
    }

    pub(super) fn caller(&mut self, api: &Api) -> Caller {
        self.callers += 1;
        Caller::new(
            Arc::new(Nodes::new(vec![api.clone()])),
            self.clock,
            self.seed,
            self.callers,
        )
    }

    pub(super) fn remember(&mut self, events: Vec<Event>, tally: &mut Tally) {
        tally.count(&Report::counting(&events));
        for event in events {
            self.seen.entry(event.client).or_default().push(event);
        }
    }

    /// Puts a new client in a place; the old one is asked about once more at the very end.
    pub(super) async fn replace(&mut self, place: usize, api: &Api) {
        let subject = self.new_subject(api).await;
        let old = std::mem::replace(&mut self.places[place], subject);
        let events = self.seen.remove(&old.number).unwrap_or_default();
        self.past.push((old, events));
    }

    /// Takes a client out of all further judgement: its violation has been told.
    pub(super) fn forget(&mut self, place: usize) {
        self.places[place].finish();
        self.seen.remove(&self.places[place].number);
    }

    /// Asks about every token there has ever been, of the deleted clients too.
    pub(super) async fn ask_about_everything(mut self, tally: &mut Tally) {
        let api = self.server.api();
        let current = std::mem::take(&mut self.places);
        let mut whole: Vec<(Arc<Subject>, Vec<Event>)> = std::mem::take(&mut self.past);
        for subject in current {
            let events = self.seen.remove(&subject.number).unwrap_or_default();
            whole.push((subject, events));
        }
        for (subject, mut events) in whole {
            if events.is_empty() {
                continue;
            }
            let mut caller = self.caller(&api);
            caller.check_all(&subject).await;
            let asked = caller.into_events();
            tally.count(&Report::counting(&asked));
            events.extend(asked);
            tally.judge(&history::check(&events));
        }
    }

    async fn new_subject(&self, api: &Api) -> Arc<Subject> {
        let subject = Subject::create(api, &self.workspace).await;
        Arc::new(subject.expect("a living server"))
    }
}
