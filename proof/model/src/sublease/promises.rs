//! What must always hold, and what must be seen at least once lest it hold of nothing.

use super::world::{Check, World, contains};

pub(super) type Seen = crate::Seen<World>;

/// What must hold in every state, by name.
pub(super) const PROMISES: &[(&str, Seen)] = &[(
    "an accepting check read every change answered before it was sent",
    |_, world| match world.check {
        Check::Done {
            accepted: true,
            content,
            answered,
        } => contains(content, answered),
        _ => true,
    },
)];

/// Situations by name, all of which the small scopes together reach.
pub(super) const REACHED: &[(&str, Seen)] = &[
    (
        "accepted after an answer",
        |_, world| matches!(world.check, Check::Done { accepted: true, answered, .. } if answered > 0),
    ),
    ("could not vouch", |_, world| {
        matches!(
            world.check,
            Check::Done {
                accepted: false,
                ..
            }
        )
    }),
    ("answered while every lease lives", |_, world| {
        world.node.answered > 0
            && world.holders.iter().all(|holder| {
                let shown = holder.shown.and_then(|at| holder.stores.get(at));
                shown.is_some_and(|store| store.lease > holder.clock(world.real))
            })
    }),
    ("answered without a replica that lacks it", |_, world| {
        let lacks = |store: &super::world::Store| {
            store.lease > 0 && !contains(store.content, world.node.answered)
        };
        world.node.answered > 0
            && world
                .holders
                .iter()
                .any(|holder| holder.stores.iter().any(lacks))
    }),
    ("accepted by a second attachment", |_, world| {
        matches!(world.check, Check::Done { accepted: true, .. })
            && world.holders.iter().any(|holder| holder.shown == Some(1))
    }),
    ("accepted after the node started again", |_, world| {
        world.node.incarnation > 0
            && matches!(world.check, Check::Done { accepted: true, answered, .. } if answered > 0)
    }),
];
