//! The sub-lease protocol in a small world: one node, one or two attached replicas, one check.
//!
//! The promise: the state an accepting check read contains every change answered before the check was
//! sent. One check is enough: it changes nothing, and it may begin at any moment of any behaviour.

mod actions;
mod broken;
mod moves;
mod promises;
mod scope;
mod world;

pub use actions::Action;
pub use broken::Broken;
pub use promises::{PROMISE, REACHED};
pub use scope::Scope;
pub use world::World;

use crate::{Explored, Limits};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// Explores a scope: all of it, or until a promise is broken, or up to the limits.
#[must_use]
pub fn explore(scope: Scope, limits: Limits) -> Explored {
    let builder = scope
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures);
    let builder = limits.put(builder);
    let situations = REACHED.map(|(name, _)| name);
    Explored::of(&builder.spawn_bfs().join(), &[PROMISE], &situations)
}

impl Model for Scope {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        state.possible(self, actions);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut next = last.clone();
        next.act(self, action);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::always(PROMISE, promises::kept);
        let sometimes = REACHED
            .iter()
            .map(|(name, seen)| Property::sometimes(name, *seen));
        std::iter::once(always).chain(sometimes).collect()
    }
}
