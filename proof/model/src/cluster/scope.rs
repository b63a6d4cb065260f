//! How large a world is explored. Time is in ticks: a node's term of two, a pause of one, hence a wait of three; with a
//! replica attached, a term of three and a wait of four, and the replica's own two, one and three.

use super::Broken;
use super::actions::Action;
use super::promises::REACHED;
use super::world::{Which, World};
use crate::{Explored, Limits, Protocol};
use tokenward_core::cluster::Terms;

/// The bounds of a world.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Its name in reports.
    pub(super) name: &'static str,
    /// Nodes that hold leases.
    pub(super) nodes: usize,
    /// Whether a replica is attached to the first of them.
    pub(super) replica: bool,
    /// Changes made.
    pub(super) changes: u8,
    /// Decisions that write nothing.
    pub(super) decisions: u8,
    /// Ticks of real time.
    pub(super) ticks: u64,
    /// Renewals and joins of one node.
    pub(super) renewals: u8,
    /// Database sessions of one node, one after the other.
    pub(super) sessions: u8,
    /// Memberships of one node.
    pub(super) joins: u8,
    /// Looks at the rows.
    pub(super) looks: u64,
    /// Whether the standby may be promoted.
    pub(super) failover: bool,
    /// Waits for the standby that are cancelled or terminated.
    pub(super) cancels: u8,
    /// Crashes of the first server, from which it recovers.
    pub(super) recoveries: u8,
    /// Whether rows are removed.
    pub(super) removals: bool,
    /// Whether nodes look at the log between renewals.
    pub(super) hot_reads: bool,
    /// Times a node's process dies and starts again.
    pub(super) crashes: u8,
    /// Whether a node may leave in good order.
    pub(super) leaves: bool,
    /// Whether a renewal that was given up may still arrive at the database, and its answer at the node.
    pub(super) late: bool,
    /// Looks at the rows while nothing waits.
    pub(super) unasked: u8,
    /// Whether what data directories remember is looked at.
    pub(super) remembers: bool,
    /// Ticks a machine may stand still without its clock noticing.
    pub(super) freeze: u64,
    /// What has happened before the exploration begins.
    pub(super) before: &'static [&'static [Action]],
    /// The rule that is broken, if one is.
    pub(super) broken: Option<Broken>,
}

/// The first node has joined and vouches.
const VOUCHES: &[Action] = &[
    Action::Connect(0, Which::First),
    Action::Carry(0),
    Action::Replicate,
    Action::Show(0),
    Action::ReadAfter(0, Which::First),
    Action::Carry(0),
];

/// Then one change is committed and not answered yet.
const COMMITTED: &[Action] = &[
    Action::Commit(Which::First),
    Action::Replicate,
    Action::Show(1),
];

/// Then a renewal of the node hangs, its wait for the standby is cancelled, the issuer sees it on the first server, and the
/// standby, which lacks it, is promoted.
const CANCELLED: &[Action] = &[
    Action::NodeTick(0),
    Action::Carry(0),
    Action::Cancel(2),
    Action::Look(Which::First),
    Action::Promote,
];

/// One node, one change, nothing goes wrong.
fn still() -> Scope {
    Scope {
        name: "still",
        nodes: 1,
        changes: 1,
        ticks: 4,
        renewals: 2,
        sessions: 1,
        joins: 1,
        looks: 3,
        ..Scope::default()
    }
}

/// The same with a standby that may be promoted, and a second session to find it.
fn failover() -> Scope {
    Scope {
        failover: true,
        sessions: 2,
        ..still()
    }
}

impl Scope {
    /// Whether this rule is broken.
    pub(super) fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// The node's durations here.
    pub(super) fn terms(&self) -> Terms {
        let term = if self.replica { 3 } else { 2 };
        let wait = match self.broken {
            Some(Broken::WaitWithoutPause) => term,
            _ => term + 1,
        };
        Terms {
            term,
            pause: 1,
            wait,
        }
    }

    /// The replica's.
    pub(super) fn replica_terms(&self) -> Terms {
        Terms {
            term: 2,
            pause: 1,
            wait: 3,
        }
    }

    /// Whether commits do not wait for the standby.
    pub(super) fn is_asynchronous(&self) -> bool {
        self.breaks(Broken::AsynchronousReplication)
    }

    /// The scope in which a rule of who answers callers is broken.
    fn breaking_an_answer(broken: Broken, scope: Self, failover: Self) -> Self {
        match broken {
            Broken::NoticeOnCommitIgnored => Self {
                cancels: 1,
                renewals: 1,
                ticks: 0,
                looks: 1,
                ..failover
            },
            Broken::ViewBeforeLock | Broken::NumberWithoutLock => Self {
                changes: 2,
                renewals: 1,
                ticks: 0,
                looks: 1,
                ..scope
            },
            Broken::ReadOnlyByRollback => Self {
                cancels: 1,
                decisions: 1,
                renewals: 1,
                ticks: 0,
                looks: 2,
                ..failover
            },
            Broken::DecisionNotWaitedFor => Self {
                decisions: 1,
                renewals: 1,
                ticks: 1,
                ..scope
            },
            Broken::LapsedWithoutALook | Broken::RemovedByAnOldRow => Self {
                unasked: 1,
                removals: true,
                joins: 2,
                ticks: 3,
                looks: 2,
                ..scope
            },
            Broken::RemovedBlindly => Self {
                removals: true,
                joins: 2,
                ticks: 1,
                ..scope
            },
            Broken::AsynchronousReplication
            | Broken::ReadOnAnotherServer
            | Broken::RowsFromAServerBehind => Self {
                ticks: 1,
                looks: 2,
                ..failover
            },
            _ => scope,
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
                name: "a pause",
                renewals: 1,
                freeze: 1,
                looks: 2,
                ..still()
            },
            Self {
                name: "two changes",
                changes: 2,
                renewals: 1,
                looks: 2,
                ..still()
            },
            Self {
                name: "hot reads",
                hot_reads: true,
                ..still()
            },
            Self {
                name: "failover",
                ticks: 2,
                looks: 2,
                ..failover()
            },
            Self {
                name: "failover and a cancelled wait",
                cancels: 1,
                ticks: 2,
                looks: 2,
                ..failover()
            },
            Self {
                name: "failover and a crash with recovery",
                recoveries: 1,
                hot_reads: true,
                ticks: 0,
                looks: 1,
                ..failover()
            },
            Self {
                name: "a renewal arrives late",
                late: true,
                unasked: 1,
                sessions: 2,
                ticks: 3,
                looks: 2,
                ..still()
            },
            Self {
                name: "looks and removals while nothing waits",
                unasked: 1,
                removals: true,
                joins: 2,
                looks: 2,
                ..still()
            },
            Self {
                name: "a ghost and what is remembered",
                cancels: 1,
                recoveries: 1,
                hot_reads: true,
                remembers: true,
                ticks: 0,
                looks: 1,
                ..failover()
            },
            Self {
                name: "a decision on a ghost",
                cancels: 1,
                decisions: 1,
                renewals: 1,
                ticks: 0,
                looks: 2,
                ..failover()
            },
            Self {
                name: "removed and back with the same replica",
                removals: true,
                joins: 2,
                renewals: 3,
                ..still()
            },
            Self {
                name: "a node dies and starts again",
                crashes: 1,
                joins: 2,
                sessions: 2,
                looks: 2,
                ticks: 3,
                ..still()
            },
            Self {
                name: "two nodes",
                nodes: 2,
                renewals: 1,
                ticks: 3,
                looks: 2,
                ..still()
            },
            Self {
                name: "a node with a replica",
                replica: true,
                renewals: 1,
                looks: 2,
                ..still()
            },
            Self {
                name: "a node with a replica leaves",
                replica: true,
                renewals: 1,
                leaves: true,
                ticks: 3,
                looks: 2,
                ..still()
            },
        ]
    }

    fn large() -> Vec<Self> {
        vec![
            Self {
                name: "two changes, two renewals, a pause",
                changes: 2,
                freeze: 1,
                ..still()
            },
            Self {
                name: "failover and time",
                cancels: 1,
                ..failover()
            },
            Self {
                name: "failover, a cancelled wait, removal",
                cancels: 1,
                removals: true,
                joins: 2,
                renewals: 3,
                ..failover()
            },
            Self {
                name: "two nodes, failover, two changes",
                nodes: 2,
                changes: 2,
                renewals: 1,
                ticks: 3,
                ..failover()
            },
            Self {
                name: "a node with a replica pauses or dies",
                replica: true,
                freeze: 1,
                crashes: 1,
                joins: 2,
                sessions: 2,
                renewals: 1,
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
        let failover = Self {
            name: "broken",
            broken: Some(broken),
            ..failover()
        };
        match broken {
            Broken::WaitWithoutPause | Broken::PauseBeyondMargin | Broken::CachedClock => Self {
                freeze: if broken == Broken::PauseBeyondMargin {
                    2
                } else {
                    1
                },
                renewals: 1,
                looks: 1,
                ..scope
            },
            Broken::TruncatedRead => Self {
                changes: 2,
                ticks: 1,
                ..scope
            },
            Broken::LeaseFromAcknowledgement | Broken::HotReadExtends | Broken::RenewalByRead => {
                Self {
                    changes: 2,
                    renewals: if broken == Broken::RenewalByRead {
                        2
                    } else {
                        1
                    },
                    hot_reads: broken == Broken::HotReadExtends,
                    ticks: 4,
                    looks: 2,
                    ..scope
                }
            }
            Broken::OwnCommitExtends => Self {
                changes: 3,
                renewals: 1,
                ticks: 3,
                looks: 2,
                ..scope
            },
            Broken::NoticeOnRenewalIgnored => Self {
                cancels: 1,
                ticks: 1,
                looks: 2,
                ..failover
            },
            Broken::AcknowledgedWithoutMatch => Self {
                cancels: 1,
                hot_reads: true,
                changes: 2,
                ticks: 0,
                looks: 1,
                ..failover
            },
            Broken::RenewalsCounted => Self {
                cancels: 1,
                changes: 2,
                renewals: 3,
                ticks: 3,
                looks: 2,
                before: &[VOUCHES, COMMITTED, CANCELLED],
                ..failover
            },
            Broken::SessionTrustedAtOnce => Self {
                recoveries: 1,
                hot_reads: true,
                ticks: 0,
                looks: 1,
                ..failover
            },
            Broken::LateAnswerCounts => Self {
                late: true,
                unasked: 1,
                sessions: 2,
                before: &[VOUCHES],
                ticks: 3,
                looks: 2,
                ..scope
            },
            Broken::GhostRemembered => Self {
                cancels: 1,
                hot_reads: true,
                remembers: true,
                renewals: 1,
                ticks: 0,
                looks: 1,
                ..failover
            },
            Broken::RestartedUnderTheOldName => Self {
                crashes: 1,
                joins: 2,
                sessions: 2,
                changes: 2,
                ticks: 3,
                looks: 2,
                before: &[VOUCHES, COMMITTED],
                ..scope
            },
            Broken::AcknowledgesApplied => Self {
                replica: true,
                hot_reads: true,
                renewals: 1,
                ticks: 0,
                looks: 2,
                ..scope
            },
            Broken::GrantNotBounded | Broken::GrantBoundedWithoutPause => Self {
                replica: true,
                renewals: 1,
                freeze: 1,
                looks: 1,
                ..scope
            },
            Broken::SignsOffWhileReplicasVouch => Self {
                replica: true,
                leaves: true,
                renewals: 1,
                ticks: 0,
                looks: 1,
                ..scope
            },
            Broken::RestartedRemovesItsRow => Self {
                replica: true,
                crashes: 1,
                joins: 2,
                sessions: 2,
                renewals: 1,
                ticks: 0,
                looks: 1,
                ..scope
            },
            _ => Self::breaking_an_answer(broken, scope, failover),
        }
    }
}
