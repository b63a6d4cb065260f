//! What must always hold, and what must be seen at least once lest it hold of nothing.

use super::Scope;
use super::world::{Check, Place, World};

/// The promise's name.
pub const PROMISE: &str = "a vouching check read every change answered before it was sent";

/// Judges one state.
pub(super) fn kept(scope: &Scope, world: &World) -> bool {
    match world.check {
        Check::Done {
            vouched: true,
            content,
            answered,
            ..
        } => content & answered == answered && holds_no_ghost(scope, world, content),
        _ => true,
    }
}

/// Without a wait cancelled by hand, no node vouches by a change that a failover would lose.
fn holds_no_ghost(scope: &Scope, world: &World, content: u8) -> bool {
    if world.cancels > 0 || scope.is_asynchronous() {
        return true;
    }
    let replicated = world.first.log.iter().take(world.replicated);
    let durable = replicated.fold(0, |all, entry| match entry.record {
        super::world::Record::Change(identity) => all | 1 << identity,
        _ => all,
    });
    let second = world
        .second
        .as_ref()
        .map_or(0, super::world::Server::content);
    content & !(durable | second) == 0
}

type Seen = fn(&Scope, &World) -> bool;

/// Situations by name, all of which the small scopes together reach.
pub const REACHED: [(&str, Seen); 9] = [
    ("accepted after an answer", |_, world| {
        accepted(world, |_| true)
    }),
    ("could not vouch", |_, world| {
        matches!(world.check, Check::Done { vouched: false, .. })
    }),
    ("answered while a lease lives", |_, world| {
        world.answered > 0
            && world
                .nodes
                .iter()
                .any(|node| node.lease > node.clock(world.real).0)
    }),
    ("answered without a node that lacks it", |_, world| {
        let lacks = |content: u8| content & world.answered != world.answered;
        world
            .nodes
            .iter()
            .any(|node| node.lease > 0 && lacks(node.content))
    }),
    ("accepted after a failover", |_, world| {
        world.second.is_some() && accepted(world, |world| world.changes > 0)
    }),
    (
        "accepted after a removal, with the same replica",
        |_, world| {
            accepted(world, |world| {
                world
                    .nodes
                    .iter()
                    .any(|node| node.joins > 0 && node.crashes == 0)
            })
        },
    ),
    ("accepted after a node started again", |_, world| {
        accepted(world, |world| {
            world.nodes.iter().any(|node| node.crashes > 0)
        })
    }),
    (
        "accepted at a replica",
        |_, world| matches!(world.check, Check::Done { vouched: true, answered, place: Place::Replica, .. } if answered > 0),
    ),
    ("a decision that wrote nothing was answered", |_, world| {
        world.issuer.decisions > 0 && world.answered > 0
    }),
];

fn accepted(world: &World, also: impl Fn(&World) -> bool) -> bool {
    matches!(world.check, Check::Done { vouched: true, answered, .. } if answered > 0)
        && also(world)
}
