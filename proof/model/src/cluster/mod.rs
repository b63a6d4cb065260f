//! Several nodes on one replicated database, in a small world: a primary and a standby server, a node that commits and
//! answers, one or two nodes that hold leases, perhaps a replica attached to one of them, and one check.
//!
//! The promise: the state that a vouching check read contains every change that was answered before the check was sent,
//! whether it was answered by who made it or by a decision that wrote nothing and rested on it.

mod actions;
mod broken;
mod promises;
mod scope;
mod world;

pub use actions::Action;
pub use broken::Broken;
pub use promises::{PROMISE, REACHED};
pub use scope::Scope;
pub use world::World;

use crate::Explored;
use stateright::{Checker, HasDiscoveries, Model, Property};

/// Explores a scope: all of it, or until the promise is broken, or up to `most` states.
#[must_use]
pub fn explore(scope: Scope, most: Option<usize>) -> Explored {
    let builder = scope
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures);
    let builder = match most {
        Some(most) => builder.target_state_count(most),
        None => builder,
    };
    Explored::of(
        &builder.spawn_bfs().join(),
        PROMISE,
        REACHED.map(|(name, _)| name).as_slice(),
    )
}

impl Model for Scope {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self);
        for action in self.before {
            world.act(self, *action);
        }
        vec![world]
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
