//! How large a world is explored. Time is in ticks: a term of two, a pause of one, hence a wait of three.

use super::Broken;
use super::promises::REACHED;
use super::world::World;
use crate::{Explored, Limits, Protocol};
use tokenward_core::sublease::Terms;

/// The bounds of a world.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Its name in reports.
    pub(super) name: &'static str,
    /// Attached replicas' processes.
    pub(super) holders: usize,
    /// Changes made.
    pub(super) changes: u64,
    /// Ticks of real time.
    pub(super) ticks: u64,
    /// Renewals of one attachment.
    pub(super) rounds: u64,
    /// Attachments of one replica's process, one after the other.
    pub(super) sessions: usize,
    /// Streams the node sees cut.
    pub(super) cuts: u8,
    /// Ticks a replica's machine may stand still without its clock noticing.
    pub(super) freeze: u64,
    /// Times the node dies and starts again.
    pub(super) node_crashes: u8,
    /// Times a replica's process dies and starts again.
    pub(super) holder_crashes: u8,
    /// Times a replica meets a change it can't read, or leaves in good order.
    pub(super) leaves: u8,
    /// The rule that is broken, if one is.
    pub(super) broken: Option<Broken>,
}

/// Nothing happens in it.
fn still() -> Scope {
    Scope {
        name: "still",
        holders: 1,
        changes: 1,
        ticks: 4,
        rounds: 1,
        sessions: 1,
        freeze: 1,
        ..Scope::default()
    }
}

impl Scope {
    /// Whether this rule is broken.
    pub(super) fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// The protocol's own durations here.
    pub(super) fn terms(&self) -> Terms {
        let terms = Terms {
            term: 2,
            pause: 1,
            wait: 3,
        };
        match self.broken {
            Some(Broken::NoWait) => Terms { wait: 0, ..terms },
            Some(Broken::TermNotBelowWait) => Terms { wait: 2, ..terms },
            _ => terms,
        }
    }
}

impl Protocol for Scope {
    type Broken = Broken;

    fn name(&self) -> &'static str {
        self.name
    }

    fn situations() -> Vec<&'static str> {
        REACHED.iter().map(|(name, _)| *name).collect()
    }

    fn explore(self, limits: Limits) -> Explored {
        crate::explore::<World>(self, limits)
    }

    fn small() -> Vec<Self> {
        vec![
            Self {
                name: "two changes",
                changes: 2,
                ..still()
            },
            Self {
                name: "two renewals",
                rounds: 2,
                freeze: 0,
                ..still()
            },
            Self {
                name: "a new attachment",
                sessions: 2,
                cuts: 1,
                freeze: 0,
                ..still()
            },
            Self {
                name: "the node dies",
                sessions: 2,
                node_crashes: 1,
                ..still()
            },
            Self {
                name: "a replica's process dies",
                sessions: 2,
                holder_crashes: 1,
                freeze: 0,
                ..still()
            },
            Self {
                name: "a replica leaves",
                sessions: 2,
                leaves: 1,
                freeze: 0,
                ..still()
            },
            Self {
                name: "two replicas",
                holders: 2,
                ticks: 3,
                freeze: 0,
                ..still()
            },
        ]
    }

    fn large() -> Vec<Self> {
        vec![
            Self {
                name: "two changes, two renewals",
                changes: 2,
                rounds: 2,
                ..still()
            },
            Self {
                name: "three changes",
                changes: 3,
                ticks: 5,
                ..still()
            },
            Self {
                name: "a new attachment, two changes, a pause",
                changes: 2,
                sessions: 2,
                cuts: 1,
                ..still()
            },
            Self {
                name: "everything dies",
                sessions: 2,
                cuts: 1,
                node_crashes: 1,
                holder_crashes: 1,
                leaves: 1,
                ..still()
            },
            Self {
                name: "two replicas, a pause",
                holders: 2,
                ..still()
            },
        ]
    }

    fn breaking(broken: Broken) -> Self {
        let scope = Self {
            name: "broken",
            broken: Some(broken),
            ..still()
        };
        match broken {
            Broken::FreezeBeyondMargin => Self { freeze: 2, ..scope },
            Broken::LeaseFromLatestSending | Broken::SlotBeforeLease | Broken::VouchBeforeApply => {
                Self {
                    rounds: 2,
                    freeze: 0,
                    ..scope
                }
            }
            Broken::GapIgnored => Self {
                changes: 2,
                ..scope
            },
            Broken::ExpelledForgotten => Self {
                changes: 2,
                rounds: 2,
                ticks: 3,
                freeze: 0,
                ..scope
            },
            Broken::ResetInPlace | Broken::LeaseSharedByReplicas => Self {
                sessions: 2,
                ..scope
            },
            Broken::CutForgets => Self { cuts: 1, ..scope },
            Broken::RestartWithoutQuiet => Self {
                node_crashes: 1,
                ..scope
            },
            Broken::ReleaseBeforeStop => Self { leaves: 1, ..scope },
            _ => scope,
        }
    }
}
