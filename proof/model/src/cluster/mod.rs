//! Several nodes on one replicated database, in a small world: a primary and a standby server, a node that commits and
//! answers, one or two nodes that hold leases, perhaps a replica attached to one of them, and one check.
//!
//! The first promise: the state that a vouching check read contains every change that was answered before the check was
//! sent, whether it was answered by who made it or by a decision that wrote nothing and rested on it. Whether the check
//! accepts or denies makes no difference: a slot that lacks a revocation accepts, one that lacks a token's generation
//! denies. The others are in [`PROMISES`].

mod actions;
mod broken;
mod promises;
mod scope;
mod world;

pub use actions::Action;
pub use broken::Broken;
pub use promises::{PROMISES, REACHED};
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
    Explored::of(
        &builder.spawn_bfs().join(),
        PROMISES.map(|(name, _)| name).as_slice(),
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
        let always = PROMISES
            .iter()
            .map(|(name, kept)| Property::always(name, *kept));
        let sometimes = REACHED
            .iter()
            .map(|(name, seen)| Property::sometimes(name, *seen));
        always.chain(sometimes).collect()
    }
}
