//! The state of the world: two database servers, the node that commits, the nodes that hold leases, one check.

use super::Scope;
use crate::Reads;
use std::collections::VecDeque;
use tokenward_core::cluster::{AckBarrier, Holder, HolderEffect, Incarnation, Position, Row};
use tokenward_core::sublease::{AttachmentId, Grantor, SubHolder};
use tokenward_core::time::BootInstant;

/// A record of a server's log. Changes are named by identity, a bit each: after a failover another change may have the
/// number of a lost one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Record {
    /// A change; takes the head lock.
    Change(u8),
    /// The commit of a decision that writes nothing; takes the head lock.
    Nothing,
    /// A renewal or a join of a node.
    Renewal {
        incarnation: u8,
        attempt: u64,
        join: bool,
        /// Whether it takes the head lock, as a join must.
        join_locks: bool,
        /// Acknowledged up to here, said with it.
        acknowledged: u64,
    },
    /// An acknowledgement, whose commit is not awaited.
    Acknowledged { incarnation: u8, number: u64 },
    /// A row is deleted.
    Removed { incarnation: u8 },
}

/// What a record's transaction locks until it is visible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lock {
    /// The one row that every writer of changes locks.
    Head,
    /// A node's row.
    Row(u8),
}

impl Record {
    /// Whether its transaction holds this lock until it is visible.
    pub(super) fn holds(self, lock: Lock) -> bool {
        match self {
            Self::Change(_) | Self::Nothing => lock == Lock::Head,
            // Who holds the head lock knows the rows of all nodes: a join takes it, too.
            Self::Renewal {
                incarnation,
                join_locks,
                ..
            } => lock == Lock::Row(incarnation) || join_locks && lock == Lock::Head,
            Self::Acknowledged { incarnation, .. } | Self::Removed { incarnation } => {
                lock == Lock::Row(incarnation)
            }
        }
    }
}

/// A record and whether others see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    /// Whether its commit is visible.
    pub(super) visible: bool,
}

/// A node's row as a server shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RowState {
    pub(super) incarnation: u8,
    /// The last visible attempt.
    pub(super) attempt: u64,
    pub(super) acknowledged: u64,
}

/// A database server.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Server {
    /// What was written, in order.
    pub(super) log: Vec<Entry>,
}

impl Server {
    /// Lets everything be visible that was written.
    pub(super) fn show_all(&mut self) {
        self.log.iter_mut().for_each(|entry| entry.visible = true);
    }

    /// The visible changes, in order.
    pub(super) fn changes(&self) -> impl Iterator<Item = u8> {
        self.log.iter().filter_map(|entry| match entry.record {
            Record::Change(identity) if entry.visible => Some(identity),
            _ => None,
        })
    }

    /// All changes, visible or not, as bits.
    pub(super) fn written(&self) -> u8 {
        self.log.iter().fold(0, |all, entry| match entry.record {
            Record::Change(identity) => all | 1 << identity,
            _ => all,
        })
    }

    /// The visible changes as bits.
    pub(super) fn content(&self) -> u8 {
        self.changes().fold(0, |all, identity| all | 1 << identity)
    }

    /// The first `number` visible changes as bits.
    pub(super) fn content_upto(&self, number: u64) -> u8 {
        let number = usize::try_from(number).expect("a few changes");
        self.changes()
            .take(number)
            .fold(0, |all, identity| all | 1 << identity)
    }

    /// Whether a transaction could take this lock now.
    pub(super) fn is_free(&self, lock: Lock) -> bool {
        let held = |entry: &Entry| !entry.visible && entry.record.holds(lock);
        !self.log.iter().any(held)
    }

    /// The rows that are visible.
    pub(super) fn rows(&self) -> Vec<RowState> {
        let mut rows: Vec<RowState> = Vec::new();
        for entry in self.log.iter().filter(|entry| entry.visible) {
            match entry.record {
                Record::Renewal {
                    incarnation,
                    attempt,
                    join,
                    acknowledged,
                    ..
                } => match rows.iter_mut().find(|row| row.incarnation == incarnation) {
                    Some(row) => {
                        row.attempt = attempt;
                        row.acknowledged = row.acknowledged.max(acknowledged);
                    }
                    None if join => rows.push(RowState {
                        incarnation,
                        attempt,
                        acknowledged,
                    }),
                    None => {}
                },
                Record::Acknowledged {
                    incarnation,
                    number,
                } => {
                    let row = rows.iter_mut().find(|row| row.incarnation == incarnation);
                    if let Some(row) = row {
                        row.acknowledged = row.acknowledged.max(number);
                    }
                }
                Record::Removed { incarnation } => {
                    rows.retain(|row| row.incarnation != incarnation)
                }
                Record::Change(_) | Record::Nothing => {}
            }
        }
        rows
    }

    /// One node's row, if it is visible.
    pub(super) fn row(&self, incarnation: u8) -> Option<RowState> {
        self.rows()
            .into_iter()
            .find(|row| row.incarnation == incarnation)
    }
}

/// The position of a state that holds these changes.
pub(super) fn position(content: u8) -> Position {
    Position {
        number: content.count_ones().into(),
        tag: content.into(),
    }
}

/// Which server. The second one answers once it is promoted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Which {
    /// The primary at the start, which goes on answering after a promotion.
    First,
    /// The standby.
    Second,
}

/// A transaction whose client waits for the acknowledgement of its commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Pending {
    pub(super) server: Which,
    pub(super) index: usize,
    /// The changes it wrote or rests on: the content of the server's history up to it.
    pub(super) content: u8,
    /// Whether no other node had a row when it held the head lock.
    pub(super) alone: bool,
    /// When it was sent.
    pub(super) sent: u64,
}

/// The node that commits changes and answers for them. It holds no lease that anybody checks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Issuer {
    pub(super) barrier: AckBarrier,
    /// Its commit under way.
    pub(super) pending: Option<Pending>,
    /// Looks asked for and not made yet.
    pub(super) looks: Vec<u64>,
    /// The history as its own acknowledged commits had it.
    pub(super) known: u8,
    /// Decisions that wrote nothing.
    pub(super) decisions: u8,
    /// Rows it wants to delete: whose, and at which attempt.
    pub(super) removals: Vec<(u8, u64)>,
    /// Acknowledged commits not answered yet: their number, and the history up to them.
    pub(super) waiting: Vec<(u64, u8)>,
    /// Looks that nothing waited for.
    pub(super) unasked: u8,
    /// What a broken variant remembers: the rows as the look before showed them, and since when they do.
    pub(super) old_rows: Vec<(Row, u64)>,
    /// What a broken variant has read before it had the head lock.
    pub(super) early_view: Option<u8>,
}

/// Something a node is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Task {
    Effect(HolderEffect),
    /// Apply these changes.
    Apply(u8),
}

/// What becomes of a renewal that was given up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Late {
    /// It is still on its way to the database.
    Write {
        server: Which,
        incarnation: u8,
        attempt: u64,
        join: bool,
    },
    /// It was written; its answer is still on its way.
    Answer {
        server: Which,
        index: usize,
        attempt: u64,
    },
}

/// A node that holds a lease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Node {
    pub(super) holder: Holder,
    /// Grants to its attached replica.
    pub(super) grantor: Grantor,
    /// The changes applied.
    pub(super) content: u8,
    /// The end of its lease; 0 is none.
    pub(super) lease: u64,
    /// Ticks its clock has missed.
    pub(super) behind: u64,
    /// The server of its session; none while it has no session.
    pub(super) session: Option<Which>,
    /// Its renewal under way: where, which record, which attempt.
    pub(super) writing: Option<(Which, usize, u64)>,
    /// The renewal that was acknowledged and is to be read after.
    pub(super) to_read: Option<u64>,
    pub(super) tasks: VecDeque<Task>,
    pub(super) sessions: u8,
    pub(super) renewals: u8,
    /// Incarnations so far.
    pub(super) joins: u8,
    /// Deaths so far.
    pub(super) crashes: u8,
    /// Changes it committed itself.
    pub(super) own: u8,
    /// Whether it has ended for good.
    pub(super) over: bool,
    /// A renewal that was given up and may still arrive, or be answered.
    pub(super) late: Option<Late>,
    /// The changes up to the number that its data directory remembers; a database that ends before it is refused.
    pub(super) remembered: u8,
    /// What a broken variant remembers: the log as read before the renewal was written.
    pub(super) early_read: Option<u8>,
}

impl Node {
    /// What its clock says.
    pub(super) fn clock(&self, real: u64) -> BootInstant {
        BootInstant(real - self.behind)
    }
}

/// A replica attached to the first node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Replica {
    pub(super) sub: SubHolder,
    /// The changes applied.
    pub(super) content: u8,
    /// The end of its lease; 0 is none.
    pub(super) lease: u64,
    /// Ticks its clock has missed.
    pub(super) behind: u64,
    pub(super) renewals: u8,
    /// Letters to the node, in order.
    pub(super) up: VecDeque<Letter>,
    /// Letters from the node, in order.
    pub(super) down: VecDeque<Letter>,
}

/// What a node and its replica say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Letter {
    /// To the node: a renewal.
    Renew(u64),
    /// To the node: applied up to here.
    Acknowledge(u64),
    /// To the replica: the node's content.
    Content(u8),
    /// To the replica: a grant: the renewal, what it names, ticks.
    Grant(u64, u64, u64),
}

/// Where a check is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    Node(usize),
    Replica,
}

/// The one check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Check {
    Idle,
    Reading {
        place: Place,
        /// Answered before it was sent.
        answered: u8,
        reads: Reads,
    },
    Done {
        /// Whether the lease was alive.
        vouched: bool,
        /// What it had read.
        content: u8,
        answered: u8,
        place: Place,
    },
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct World {
    pub(super) real: u64,
    pub(super) first: Server,
    /// How many of the first server's records the second one has.
    pub(super) replicated: usize,
    /// The second server, once promoted.
    pub(super) second: Option<Server>,
    /// Waits for the standby cancelled by hand.
    pub(super) cancels: u8,
    /// Recoveries of the first server after a crash.
    pub(super) recoveries: u8,
    /// Changes made.
    pub(super) changes: u8,
    pub(super) issuer: Issuer,
    pub(super) nodes: Vec<Node>,
    /// The replica attached to the first of them.
    pub(super) replica: Option<Replica>,
    /// What was answered to callers.
    pub(super) answered: u8,
    /// Whether a change was decided on a view that lacked a change before it.
    pub(super) torn: bool,
    pub(super) check: Check,
}

impl World {
    /// Nothing has happened.
    pub(super) fn new(scope: &Scope) -> Self {
        let terms = scope.terms();
        let node = |at: usize| Node {
            holder: Holder::new(
                terms,
                scope.replica_terms().wait,
                name(at, 0),
                position(0),
                0,
            ),
            grantor: Grantor::new(scope.replica_terms(), 0, false, BootInstant(0)),
            content: 0,
            lease: 0,
            behind: 0,
            session: None,
            writing: None,
            to_read: None,
            tasks: VecDeque::new(),
            sessions: 0,
            renewals: 0,
            joins: 0,
            crashes: 0,
            own: 0,
            over: false,
            late: None,
            remembered: 0,
            early_read: None,
        };
        let mut nodes: Vec<Node> = (0..scope.nodes).map(node).collect();
        let replica = scope.replica.then(|| {
            // Attached before anything happened: both have everything.
            nodes[0].grantor.step(
                tokenward_core::sublease::GrantorEvent::Attach,
                BootInstant(0),
            );
            Replica {
                sub: SubHolder::new(scope.replica_terms()),
                content: 0,
                lease: 0,
                behind: 0,
                renewals: 0,
                up: VecDeque::new(),
                down: VecDeque::from([Letter::Content(0)]),
            }
        });
        Self {
            real: 0,
            first: Server::default(),
            replicated: 0,
            second: None,
            cancels: 0,
            recoveries: 0,
            changes: 0,
            issuer: Issuer::default(),
            nodes,
            replica,
            answered: 0,
            torn: false,
            check: Check::Idle,
        }
    }

    /// A server that answers.
    pub(super) fn server(&self, which: Which) -> Option<&Server> {
        match which {
            Which::First => Some(&self.first),
            Which::Second => self.second.as_ref(),
        }
    }

    pub(super) fn server_mut(&mut self, which: Which) -> &mut Server {
        match which {
            Which::First => &mut self.first,
            Which::Second => self.second.as_mut().expect("promoted before it is used"),
        }
    }

    /// The servers that answer.
    pub(super) fn servers(&self) -> impl Iterator<Item = Which> {
        let second = self.second.is_some().then_some(Which::Second);
        std::iter::once(Which::First).chain(second)
    }

    /// Whether the commit of a record would be acknowledged: the standby has it, or there is none any more.
    pub(super) fn is_durable(&self, which: Which, index: usize, scope: &Scope) -> bool {
        match which {
            Which::First => index < self.replicated || scope.is_asynchronous(),
            Which::Second => true,
        }
    }
}

/// The attachment of the one replica there is.
pub(super) const ATTACHMENT: AttachmentId = AttachmentId(1);

/// The incarnation of a node's n-th membership.
pub(super) fn name(node: usize, joins: u8) -> Incarnation {
    Incarnation(u128::from(joins) * 4 + u128::try_from(node).expect("few nodes"))
}

/// The same as the model's rows name it.
pub(super) fn short(incarnation: Incarnation) -> u8 {
    u8::try_from(incarnation.0).expect("few memberships")
}
