//! What must always hold, and what must be seen at least once lest it hold of nothing.

use super::Scope;
use super::world::{Check, Place, Record, Server, World};

pub(super) type Seen = crate::Seen<World>;

/// What must hold in every state, by name.
pub(super) const PROMISES: &[(&str, Seen)] = &[
    (
        "a vouching check read every change answered before it was sent",
        |_, world| vouched(world).is_none_or(|(content, answered)| content & answered == answered),
    ),
    (
        "no vouching check read a change that a failover would lose",
        |bounded, world| {
            vouched(world).is_none_or(|(content, _)| holds_no_ghost(&bounded.0, world, content))
        },
    ),
    (
        "a change was decided on every change before it",
        |_, world| !world.torn,
    ),
    (
        "what a data directory remembers survives a failover",
        |_, world| {
            let remembered = world.nodes.iter().map(|node| node.remembered);
            remembered.fold(0, |all, one| all | one) & !durable(world) == 0
        },
    ),
];

/// What a vouching check read, and what was answered before it was sent.
fn vouched(world: &World) -> Option<(u8, u8)> {
    match world.check {
        Check::Done {
            vouched: true,
            content,
            answered,
            ..
        } => Some((content, answered)),
        _ => None,
    }
}

/// The changes that no failover loses.
fn durable(world: &World) -> u8 {
    let replicated = world.first.log.iter().take(world.replicated);
    let replicated = replicated.fold(0, |all, entry| match entry.record {
        Record::Change(identity) => all | 1 << identity,
        _ => all,
    });
    let second = world.second.as_ref();
    replicated | second.map_or(0, Server::content)
}

/// Without a wait cancelled by hand, no node vouches by a change that a failover would lose.
fn holds_no_ghost(scope: &Scope, world: &World, content: u8) -> bool {
    if world.cancels > 0 || scope.is_asynchronous() {
        return true;
    }
    content & !durable(world) == 0
}

/// Situations by name, all of which the small scopes together reach.
pub(super) const REACHED: &[(&str, Seen)] = &[
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
