//! What can happen next, and what comes of it. One action is one step of one party; whatever may be interrupted in the
//! real programs is several actions here.

use super::promises::{PROMISES, REACHED, Seen};
use super::world::{
    ATTACHMENT, Check, Entry, Late, Letter, Lock, Node, Pending, Place, Record, Server, Task,
    Which, World, name, position, short,
};
use super::{Broken, Scope};
use crate::Reads;
use tokenward_core::cluster::{
    BarrierEffect, BarrierEvent, Holder, HolderEffect, HolderEvent, Row,
};
use tokenward_core::sublease::{
    Grantor, GrantorEffect, GrantorEvent, HolderEffect as ReplicaEffect,
    HolderEvent as ReplicaEvent,
};
use tokenward_core::time::BootInstant;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A tick of real time; one machine may stand still meanwhile.
    Tick(Option<Place>),
    /// The standby receives the next record.
    Replicate,
    /// A commit that the standby has becomes visible.
    Show(usize),
    /// A commit's wait for the standby is cancelled: it becomes visible at once, with a notice.
    Cancel(usize),
    /// The first server crashes and recovers: all that was written becomes visible, all sessions end.
    Recover,
    /// The standby is promoted; the first server goes on answering.
    Promote,
    /// The issuer commits a change.
    Commit(Which),
    /// It takes a decision that writes nothing.
    Decide(Which),
    /// It gives its commit up: the outcome is unknown.
    GiveUp,
    /// It reads what its next decision sees, before it has the head lock.
    View(Which),
    /// It wants to look at the rows although nothing waits.
    WantLook,
    /// It reads the rows.
    Look(Which),
    /// It looks at its clock.
    BarrierTick,
    /// It deletes a row.
    Remove(Which),
    /// A node opens a session.
    Connect(usize, Which),
    /// It loses its session.
    Disconnect(usize),
    /// A renewal that it gave up arrives at the database, or the answer to it arrives here.
    Late(usize),
    /// Its holder looks at the clock.
    NodeTick(usize),
    /// It carries out the next thing its holder wants.
    Carry(usize),
    /// It reads the log after that.
    ReadAfter(usize, Which),
    /// It reads the log at some other moment.
    HotRead(usize),
    /// It commits a change itself, which is acknowledged and applied at once.
    OwnCommit(usize),
    /// Its process dies and starts again, loading from this server.
    Crash(usize, Which),
    /// It leaves in good order.
    Leave(usize),
    /// Its grantor looks at the clock.
    GrantorTick,
    /// The replica looks at its clock.
    ReplicaTick,
    /// The replica gets the next letter.
    ToReplica,
    /// The node gets the next letter of its replica.
    ToNode,
    /// A check is sent, and does its first read.
    Check(Place),
    /// The check does its next read.
    CheckReads,
}

/// Whether a join takes the head lock.
fn joins_lock(scope: &Scope) -> bool {
    !scope.breaks(Broken::JoinWithoutHeadLock)
}

/// Whether a server has the history of a position with this tag.
fn has_history(scope: &Scope, server: &Server, tag: u64) -> bool {
    server.content_upto(u64::from(tag.count_ones())) == u8::try_from(tag).unwrap_or(0)
        || scope.breaks(Broken::AcknowledgedWithoutMatch)
}

impl crate::World for World {
    type Scope = Scope;
    type Action = Action;
    const PROMISES: &'static [(&'static str, Seen)] = PROMISES;
    const REACHED: &'static [(&'static str, Seen)] = REACHED;

    fn start(scope: &Scope) -> Self {
        let mut world = Self::new(scope);
        for action in scope.before.iter().copied().flatten() {
            world.act(scope, *action);
        }
        world
    }

    fn possible(&self, scope: &Scope, actions: &mut Vec<Action>) {
        // The check's answer is all there is to learn from a behaviour.
        if matches!(self.check, Check::Done { .. }) {
            return;
        }
        self.time_can(scope, actions);
        self.servers_can(scope, actions);
        self.issuer_can(scope, actions);
        for (at, node) in self.nodes.iter().enumerate() {
            self.node_can(scope, at, node, actions);
        }
        self.replica_can(scope, actions);
        match self.check {
            // Before the first answer there is no promise to break.
            Check::Idle if self.answered > 0 || scope.recoveries > 0 => {
                let nodes = (0..self.nodes.len()).filter(|at| self.nodes[*at].lease > 0);
                actions.extend(nodes.map(Place::Node).map(Action::Check));
                if self.replica.as_ref().is_some_and(|one| one.lease > 0) {
                    actions.push(Action::Check(Place::Replica));
                }
            }
            Check::Reading { .. } => actions.push(Action::CheckReads),
            Check::Idle | Check::Done { .. } => {}
        }
    }

    fn act(&mut self, scope: &Scope, action: Action) {
        match action {
            Action::Tick(frozen) => {
                self.real += 1;
                match frozen {
                    Some(Place::Node(at)) => self.nodes[at].behind += 1,
                    Some(Place::Replica) => {
                        if let Some(replica) = &mut self.replica {
                            replica.behind += 1;
                        }
                    }
                    None => {}
                }
            }
            Action::Replicate => self.replicated += 1,
            Action::Show(index) => self.first.log[index].visible = true,
            Action::Cancel(index) => self.cancel(scope, index),
            Action::Recover => self.recover(scope),
            Action::Promote => {
                let log = self.first.log[..self.replicated].to_vec();
                self.second.insert(Server { log }).show_all();
            }
            Action::Commit(which) => self.commit(scope, which),
            Action::Decide(which) => self.decide(scope, which),
            Action::GiveUp => self.issuer.pending = None,
            Action::View(which) => {
                self.issuer.early_view = self.server(which).map(Server::content);
            }
            Action::WantLook => {
                self.issuer.unasked += 1;
                self.barrier(scope, BarrierEvent::Look);
            }
            Action::Look(which) => self.look(scope, which),
            Action::BarrierTick => self.barrier(scope, BarrierEvent::Tick),
            Action::Remove(which) => self.remove(scope, which),
            Action::Connect(at, which) => {
                let node = &mut self.nodes[at];
                node.session = Some(which);
                node.sessions += 1;
                self.holder(scope, at, HolderEvent::Connected);
                self.nodes[at].renewals += 1;
            }
            Action::Disconnect(at) => self.disconnect(scope, at),
            Action::Late(at) => self.late(scope, at),
            Action::NodeTick(at) => {
                self.nodes[at].renewals += 1;
                self.holder(scope, at, HolderEvent::Tick);
            }
            Action::Carry(at) => self.carry(scope, at),
            Action::ReadAfter(at, which) => self.read_after(scope, at, which),
            Action::HotRead(at) => self.hot_read(scope, at),
            Action::OwnCommit(at) => self.own_commit(at),
            Action::Crash(at, which) => self.crash(scope, at, which),
            Action::Leave(at) => self.leave(scope, at),
            Action::GrantorTick => self.grantor(scope, 0, GrantorEvent::Tick),
            Action::ReplicaTick => self.replica_step(ReplicaEvent::Tick),
            Action::ToReplica => self.deliver_to_replica(),
            Action::ToNode => self.deliver_to_node(scope),
            Action::Check(place) => self.check(scope, place),
            Action::CheckReads => self.check_reads(scope),
        }
        self.acknowledge_commits(scope);
        // Nobody waits for acknowledgements to be replicated: they go along with what is before them.
        let acknowledges = |entry: &Entry| matches!(entry.record, Record::Acknowledged { .. });
        let next = |world: &Self| {
            world
                .first
                .log
                .get(world.replicated)
                .is_some_and(acknowledges)
        };
        while self.second.is_none() && next(self) {
            self.replicated += 1;
        }
    }
}

impl World {
    fn time_can(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if self.real >= scope.ticks {
            return;
        }
        actions.push(Action::Tick(None));
        for (at, node) in self.nodes.iter().enumerate() {
            if node.behind < scope.freeze {
                actions.push(Action::Tick(Some(Place::Node(at))));
            }
        }
        if self
            .replica
            .as_ref()
            .is_some_and(|one| one.behind < scope.freeze)
        {
            actions.push(Action::Tick(Some(Place::Replica)));
        }
    }

    fn servers_can(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if self.second.is_none() && self.replicated < self.first.log.len() {
            actions.push(Action::Replicate);
        }
        for (index, entry) in self.first.log.iter().enumerate() {
            if entry.visible {
                continue;
            }
            if self.is_durable(Which::First, index, scope) {
                actions.push(Action::Show(index));
            } else if self.cancels < scope.cancels {
                actions.push(Action::Cancel(index));
            }
        }
        if self.recoveries < scope.recoveries {
            actions.push(Action::Recover);
        }
        if scope.failover && self.second.is_none() {
            actions.push(Action::Promote);
        }
    }

    fn issuer_can(&self, scope: &Scope, actions: &mut Vec<Action>) {
        let issuer = &self.issuer;
        for which in self.servers() {
            let free = self
                .server(which)
                .is_some_and(|server| server.is_free(Lock::Head));
            let another = scope.breaks(Broken::NumberWithoutLock);
            let free = issuer.pending.is_none() && free;
            if (another || free) && self.changes < scope.changes {
                actions.push(Action::Commit(which));
            }
            if scope.breaks(Broken::ViewBeforeLock) && issuer.early_view.is_none() {
                actions.push(Action::View(which));
            }
            if free && issuer.decisions < scope.decisions {
                actions.push(Action::Decide(which));
            }
            if !issuer.looks.is_empty() {
                actions.push(Action::Look(which));
            }
            if scope.removals && !issuer.removals.is_empty() {
                actions.push(Action::Remove(which));
            }
        }
        // A commit that can still be acknowledged holds the head lock, so waiting for it loses nothing.
        let stuck = |one: Pending| one.server == Which::First && self.second.is_some();
        if issuer.pending.is_some_and(stuck) {
            actions.push(Action::GiveUp);
        }
        if issuer.unasked < scope.unasked && !issuer.barrier.is_waiting() {
            actions.push(Action::WantLook);
        }
        if issuer.barrier.is_waiting() {
            // A tick matters when it answers, or when no look is asked for.
            let effects = issuer
                .barrier
                .clone()
                .step(BarrierEvent::Tick, BootInstant(self.real));
            let matters = |effect: &BarrierEffect| match effect {
                BarrierEffect::Look { look } => issuer.looks.is_empty() && *look <= scope.looks,
                BarrierEffect::Answer { .. } | BarrierEffect::Remove { .. } => true,
            };
            if effects.iter().any(matters) {
                actions.push(Action::BarrierTick);
            }
        }
    }

    fn node_can(&self, scope: &Scope, at: usize, node: &Node, actions: &mut Vec<Action>) {
        if node.over {
            return;
        }
        let broken = scope.broken;
        if let Some(task) = node.tasks.front() {
            if self.can_carry(scope, node, task) {
                actions.push(Action::Carry(at));
            }
        } else {
            let now = node.clock(self.real);
            let due = node.holder.next_tick().is_some_and(|due| due <= now);
            if due && node.renewals < scope.renewals {
                actions.push(Action::NodeTick(at));
            }
            if let Some(session) = node.session {
                if node.to_read.is_some() {
                    let anywhere = broken == Some(Broken::ReadOnAnotherServer);
                    let readable = self.servers().filter(|which| anywhere || *which == session);
                    actions.extend(readable.map(|which| Action::ReadAfter(at, which)));
                }
                let early = broken == Some(Broken::SessionTrustedAtOnce);
                let renewing = node.writing.is_some() || node.to_read.is_some();
                if scope.hot_reads && (early || !renewing) {
                    actions.push(Action::HotRead(at));
                }
                if broken == Some(Broken::OwnCommitExtends)
                    && node.own == 0
                    && node.lease > 0
                    && self.changes < scope.changes
                    && self.first.is_free(Lock::Head)
                {
                    actions.push(Action::OwnCommit(at));
                }
            }
            if scope.leaves && node.lease > 0 {
                actions.push(Action::Leave(at));
            }
        }
        match node.session {
            None if node.sessions < scope.sessions => {
                actions.extend(self.servers().map(|which| Action::Connect(at, which)));
            }
            Some(_) if node.sessions < scope.sessions => actions.push(Action::Disconnect(at)),
            _ => {}
        }
        let late = match node.late {
            Some(Late::Write {
                server,
                incarnation,
                join,
                ..
            }) => self.server(server).is_some_and(|server| {
                server.is_free(Lock::Row(incarnation))
                    && (!join || !joins_lock(scope) || server.is_free(Lock::Head))
            }),
            Some(Late::Answer { server, index, .. }) => {
                let log = self.server(server).map(|server| &server.log[index]);
                log.is_some_and(|entry| entry.visible) && self.is_durable(server, index, scope)
            }
            None => false,
        };
        if late {
            actions.push(Action::Late(at));
        }
        if node.crashes < scope.crashes && node.sessions < scope.sessions && node.sessions > 0 {
            actions.extend(self.servers().map(|which| Action::Crash(at, which)));
        }
    }

    fn replica_can(&self, scope: &Scope, actions: &mut Vec<Action>) {
        let Some(replica) = &self.replica else {
            return;
        };
        let node = &self.nodes[0];
        if !node.over && node.crashes == 0 {
            let due = node.grantor.next_tick();
            if due.is_some_and(|due| due <= node.clock(self.real)) && node.tasks.is_empty() {
                actions.push(Action::GrantorTick);
            }
            if !replica.up.is_empty() && node.tasks.is_empty() {
                actions.push(Action::ToNode);
            }
        }
        let now = BootInstant(self.real - replica.behind);
        if replica.renewals < scope.renewals && replica.sub.next_tick().is_some_and(|at| at <= now)
        {
            actions.push(Action::ReplicaTick);
        }
        if !replica.down.is_empty() {
            actions.push(Action::ToReplica);
        }
    }

    /// Whether what stands between a node and its next task is gone.
    fn can_carry(&self, scope: &Scope, node: &Node, task: &Task) -> bool {
        let Task::Effect(effect) = task else {
            return true;
        };
        let server = node.session.and_then(|which| self.server(which));
        let lock = match effect {
            HolderEffect::Write { join: true, .. } if joins_lock(scope) => Lock::Head,
            HolderEffect::Write { incarnation, .. }
            | HolderEffect::Acknowledge { incarnation, .. }
            | HolderEffect::SignOff { incarnation } => Lock::Row(short(*incarnation)),
            _ => return true,
        };
        server.is_none_or(|server| server.is_free(lock))
    }

    /// Commits are acknowledged as soon as they are visible: a later word of it would only make callers and leases
    /// wait longer.
    fn acknowledge_commits(&mut self, scope: &Scope) {
        let shown = |world: &Self, which, index: usize| {
            let log = world.server(which).map(|server| &server.log);
            log.and_then(|log| log.get(index))
                .is_some_and(|entry| entry.visible)
        };
        if let Some(one) = self.issuer.pending
            && shown(self, one.server, one.index)
            && (self.is_durable(one.server, one.index, scope)
                || scope.breaks(Broken::NoticeOnCommitIgnored))
        {
            self.told(scope);
        }
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let Some((which, index, attempt)) = node.writing.filter(|_| node.tasks.is_empty())
            else {
                continue;
            };
            let counts = self.is_durable(which, index, scope)
                || scope.breaks(Broken::NoticeOnRenewalIgnored);
            if counts && shown(self, which, index) {
                self.nodes[at].writing = None;
                self.nodes[at].to_read = Some(attempt);
                self.remember(scope, at, which, index);
                self.holder(scope, at, HolderEvent::Written { attempt });
            }
        }
    }

    /// A durable write of a node was acknowledged: what it has applied of that history, the standby has too.
    fn remember(&mut self, scope: &Scope, at: usize, which: Which, index: usize) {
        if !scope.remembers {
            return;
        }
        let before = self.server(which).map_or(&[][..], |one| &one.log[..index]);
        let written = Server {
            log: before.to_vec(),
        };
        let node = &mut self.nodes[at];
        node.remembered |= node.content & written.written();
    }

    fn cancel(&mut self, scope: &Scope, index: usize) {
        self.cancels += 1;
        self.first.log[index].visible = true;
        let mine = |server, at| server == Which::First && at == index;
        let heard = !scope.breaks(Broken::NoticeOnCommitIgnored);
        if heard {
            self.issuer
                .pending
                .take_if(|one| mine(one.server, one.index));
        }
        if !scope.breaks(Broken::NoticeOnRenewalIgnored) {
            for at in 0..self.nodes.len() {
                let writing = self.nodes[at].writing;
                if writing.is_some_and(|(server, at, _)| mine(server, at)) {
                    self.disconnect(scope, at);
                }
            }
        }
    }

    fn recover(&mut self, scope: &Scope) {
        self.recoveries += 1;
        self.first.show_all();
        let there = |one: &mut Pending| one.server == Which::First;
        self.issuer.pending.take_if(there);
        for at in 0..self.nodes.len() {
            if self.nodes[at].session == Some(Which::First) {
                self.disconnect(scope, at);
            }
        }
    }

    /// Writes a record on a server; without a standby it is visible at once.
    fn write(&mut self, scope: &Scope, which: Which, record: Record) -> usize {
        let visible = which == Which::Second
            || matches!(record, Record::Acknowledged { .. })
            || scope.is_asynchronous();
        let log = &mut self.server_mut(which).log;
        log.push(Entry { record, visible });
        log.len() - 1
    }

    fn commit(&mut self, scope: &Scope, which: Which) {
        let identity = self.changes;
        self.changes += 1;
        let early = self.issuer.early_view.take();
        let server = self.server_mut(which);
        let (view, before) = (early.unwrap_or_else(|| server.content()), server.written());
        let content = server.content() | 1 << identity;
        let alone = server.rows().is_empty();
        self.torn |= view != before;
        let index = self.write(scope, which, Record::Change(identity));
        let pending = Pending {
            server: which,
            index,
            content,
            alone,
            sent: self.real,
        };
        self.issuer.pending = Some(pending);
    }

    fn decide(&mut self, scope: &Scope, which: Which) {
        self.issuer.decisions += 1;
        let server = self.server_mut(which);
        let (content, alone) = (server.content(), server.rows().is_empty());
        if scope.breaks(Broken::ReadOnlyByRollback) {
            self.committed(scope, content, alone);
            return;
        }
        let index = self.write(scope, which, Record::Nothing);
        self.issuer.pending = Some(Pending {
            server: which,
            index,
            content,
            alone,
            sent: self.real,
        });
    }

    fn told(&mut self, scope: &Scope) {
        let Some(pending) = self.issuer.pending.take() else {
            return;
        };
        let record = self
            .server(pending.server)
            .map(|server| server.log[pending.index].record);
        if scope.breaks(Broken::DecisionNotWaitedFor) && record == Some(Record::Nothing) {
            self.answered |= pending.content;
            return;
        }
        if scope.breaks(Broken::WaitFromSending) {
            let late = self.real;
            self.real = pending.sent;
            self.committed(scope, pending.content, pending.alone);
            self.real = late;
            return;
        }
        self.committed(scope, pending.content, pending.alone);
        if scope.breaks(Broken::RowsFromBeforeTheCommit) {
            let rows = self.issuer.old_rows.iter().map(|(row, _)| *row).collect();
            let look = self.issuer.looks.pop().unwrap_or(0);
            let rows = BarrierEvent::Rows {
                look,
                holds: u64::MAX,
                rows,
            };
            self.barrier(scope, rows);
        }
    }

    /// A commit is acknowledged: the barrier says when it may be answered.
    fn committed(&mut self, scope: &Scope, content: u8, alone: bool) {
        let number = u64::from(content.count_ones());
        if scope.breaks(Broken::NoWait) || number <= self.issuer.barrier.answered() {
            self.answered |= content;
            return;
        }
        let lapsed = |(row, since): &(Row, u64)| self.real >= since + row.wait;
        match scope.broken {
            Some(Broken::LapsedWithoutALook)
                if !self.issuer.old_rows.is_empty() && self.issuer.old_rows.iter().all(lapsed) =>
            {
                self.answered |= content;
                return;
            }
            Some(Broken::RemovedByAnOldRow) => {
                let old = self.issuer.old_rows.iter().filter(|old| lapsed(old));
                let old = old.map(|(row, _)| (short(row.incarnation), row.attempt));
                let old: Vec<_> = old.collect();
                self.issuer.removals.extend(old);
            }
            _ => {}
        }
        self.issuer.known = content;
        self.issuer.waiting.push((number, content));
        self.barrier(scope, BarrierEvent::Committed { number, alone });
    }

    /// One step of the issuer's barrier, and what comes of it.
    fn barrier(&mut self, scope: &Scope, event: BarrierEvent) {
        let now = BootInstant(self.real);
        for effect in self.issuer.barrier.step(event, now) {
            match effect {
                BarrierEffect::Look { look } => {
                    if look <= scope.looks {
                        // The newest look covers what the older ones were for.
                        self.issuer.looks = vec![look];
                    }
                }
                BarrierEffect::Answer { through } => {
                    let done = |(number, _): &mut (u64, u8)| *number <= through;
                    for (_, content) in self.issuer.waiting.extract_if(.., done) {
                        self.answered |= content;
                    }
                }
                BarrierEffect::Remove {
                    incarnation,
                    attempt,
                } => {
                    let removal = (short(incarnation), attempt);
                    if scope.removals && !self.issuer.removals.contains(&removal) {
                        self.issuer.removals.push(removal);
                    }
                }
            }
        }
    }

    fn rows(&self, scope: &Scope, which: Which) -> Vec<Row> {
        let rows = self.server(which).map(Server::rows).unwrap_or_default();
        let row = |row: super::world::RowState| Row {
            incarnation: tokenward_core::cluster::Incarnation(row.incarnation.into()),
            attempt: row.attempt,
            acknowledged: row.acknowledged,
            wait: scope.terms().wait,
        };
        rows.into_iter().map(row).collect()
    }

    fn look(&mut self, scope: &Scope, which: Which) {
        let Some(look) = self.issuer.looks.pop() else {
            return;
        };
        let rows = self.rows(scope, which);
        let known = self.issuer.known;
        let content = self.server(which).map_or(0, Server::content);
        let has = content & known == known || scope.breaks(Broken::RowsFromAServerBehind);
        if scope.breaks(Broken::RemovedBlindly) {
            let all = rows.iter().map(|row| (short(row.incarnation), row.attempt));
            self.issuer.removals.extend(all);
        }
        if matches!(
            scope.broken,
            Some(
                Broken::RowsFromBeforeTheCommit
                    | Broken::LapsedWithoutALook
                    | Broken::RemovedByAnOldRow
            )
        ) {
            let before = std::mem::take(&mut self.issuer.old_rows);
            let same = |row: &Row| {
                let same = |(old, _): &&(Row, u64)| {
                    (old.incarnation, old.attempt) == (row.incarnation, row.attempt)
                };
                before
                    .iter()
                    .find(same)
                    .map_or(self.real, |(_, since)| *since)
            };
            self.issuer.old_rows = rows.iter().map(|row| (*row, same(row))).collect();
        }
        let event = BarrierEvent::Rows {
            look,
            holds: if has { known.count_ones().into() } else { 0 },
            rows,
        };
        self.barrier(scope, event);
    }

    fn remove(&mut self, scope: &Scope, which: Which) {
        let Some((incarnation, attempt)) = self.issuer.removals.pop() else {
            return;
        };
        let Some(server) = self.server(which) else {
            return;
        };
        let blind = matches!(
            scope.broken,
            Some(Broken::RemovedBlindly | Broken::RemovedByAnOldRow)
        );
        let shown = server.row(incarnation);
        if server.is_free(Lock::Row(incarnation))
            && shown.is_some_and(|row| blind || row.attempt == attempt)
        {
            self.write(scope, which, Record::Removed { incarnation });
        }
    }

    /// One step of a node's holder; what it wants becomes tasks.
    fn holder(&mut self, scope: &Scope, at: usize, event: HolderEvent) {
        let node = &mut self.nodes[at];
        let now = node.clock(self.real);
        let mut tasks: Vec<Task> = Vec::new();
        for effect in node.holder.step(event, now) {
            match effect {
                HolderEffect::Apply { through } => {
                    let content = u8::try_from(through.tag).expect("tags are contents");
                    tasks.push(Task::Apply(content));
                }
                HolderEffect::Vouch { .. } if scope.breaks(Broken::LeaseFromAcknowledgement) => {
                    let until = BootInstant(now.0 + scope.terms().term);
                    tasks.push(Task::Effect(HolderEffect::Vouch { until }));
                }
                other => tasks.push(Task::Effect(other)),
            }
        }
        let is_apply = |task: &Task| matches!(task, Task::Apply(_));
        match scope.broken {
            Some(Broken::VouchBeforeApply) => tasks.sort_by_key(is_apply),
            Some(Broken::AcknowledgedBeforeApplied) => {
                // Said before the change is in the replica.
                if let Some(Task::Apply(content)) = tasks.iter().find(|task| is_apply(task)) {
                    let at = position(*content);
                    let incarnation = node.holder.incarnation();
                    let early = HolderEffect::Acknowledge {
                        incarnation,
                        number: at.number,
                        at,
                    };
                    tasks.insert(0, Task::Effect(early));
                }
            }
            _ => {}
        }
        let writes = |task: &Task| matches!(task, Task::Effect(HolderEffect::Write { .. }));
        if scope.breaks(Broken::ReadBeforeWrite) && tasks.iter().any(writes) {
            let session = self.session(at);
            self.nodes[at].early_read = session.map(|(_, server)| server.content());
        }
        self.nodes[at].tasks.extend(tasks);
    }

    /// The server of a node's session.
    fn session(&self, at: usize) -> Option<(Which, &Server)> {
        let which = self.nodes[at].session?;
        Some((which, self.server(which)?))
    }

    fn disconnect(&mut self, scope: &Scope, at: usize) {
        let node = &mut self.nodes[at];
        let now = node.clock(self.real);
        if scope.late {
            let sent = node
                .tasks
                .iter()
                .find_map(|task| match (task, node.session) {
                    (
                        Task::Effect(HolderEffect::Write {
                            incarnation,
                            join,
                            attempt,
                            ..
                        }),
                        Some(server),
                    ) => Some(Late::Write {
                        server,
                        incarnation: short(*incarnation),
                        attempt: *attempt,
                        join: *join,
                    }),
                    _ => None,
                });
            let written = node.writing.map(|(server, index, attempt)| Late::Answer {
                server,
                index,
                attempt,
            });
            node.late = sent.or(written).or(node.late);
        }
        node.session = None;
        node.writing = None;
        node.to_read = None;
        node.early_read = None;
        // What was to be sent on the session is lost with it.
        node.tasks.retain(|task| {
            !matches!(
                task,
                Task::Effect(HolderEffect::Write { .. } | HolderEffect::Acknowledge { .. })
            )
        });
        node.holder.step(HolderEvent::Disconnected, now);
    }

    /// A renewal that was given up goes on: it is written, where no later attempt was, or its answer arrives.
    fn late(&mut self, scope: &Scope, at: usize) {
        match self.nodes[at].late.take() {
            Some(Late::Write {
                server,
                incarnation,
                attempt,
                join,
            }) => {
                let row = self.server(server).and_then(|one| one.row(incarnation));
                let counts = row.map_or(join, |row| row.attempt < attempt);
                if counts {
                    let record = Record::Renewal {
                        incarnation,
                        attempt,
                        join,
                        join_locks: join && joins_lock(scope),
                        acknowledged: 0,
                    };
                    let index = self.write(scope, server, record);
                    self.nodes[at].late = Some(Late::Answer {
                        server,
                        index,
                        attempt,
                    });
                }
            }
            Some(Late::Answer { attempt, .. }) => {
                let mut attempt = attempt;
                if scope.breaks(Broken::LateAnswerCounts)
                    && let Some((_, _, current)) = self.nodes[at].writing.take()
                {
                    attempt = current;
                    self.nodes[at].to_read = Some(attempt);
                }
                self.holder(scope, at, HolderEvent::Written { attempt });
            }
            None => {}
        }
    }

    /// Carries out a node's next task, and those after it that touch nothing but the node: unless a check is being made,
    /// nothing can tell the difference.
    fn carry(&mut self, scope: &Scope, at: usize) {
        self.carry_one(scope, at);
        let inside = |task: &Task| {
            let vouch = |effect: &HolderEffect| {
                matches!(
                    effect,
                    HolderEffect::Vouch { .. } | HolderEffect::StopVouching
                )
            };
            matches!(task, Task::Apply(_)) || matches!(task, Task::Effect(effect) if vouch(effect))
        };
        let ordered = matches!(
            scope.broken,
            Some(Broken::VouchBeforeApply | Broken::AcknowledgedBeforeApplied)
        );
        while !ordered
            && self.check == Check::Idle
            && self.nodes[at].tasks.front().is_some_and(inside)
        {
            self.carry_one(scope, at);
        }
    }

    fn carry_one(&mut self, scope: &Scope, at: usize) {
        let Some(task) = self.nodes[at].tasks.pop_front() else {
            return;
        };
        match task {
            Task::Apply(content) => {
                if !scope.breaks(Broken::UnreadableSkipped) {
                    self.nodes[at].content |= content;
                }
                if scope.breaks(Broken::GhostRemembered) {
                    self.nodes[at].remembered |= content;
                }
                self.applied(scope, at, content);
            }
            Task::Effect(HolderEffect::Vouch { until }) => {
                let node = &mut self.nodes[at];
                node.lease = node.lease.max(until.0);
            }
            Task::Effect(HolderEffect::StopVouching) => self.nodes[at].lease = 0,
            Task::Effect(HolderEffect::Write {
                incarnation,
                join,
                attempt,
                acknowledged,
                at: applied,
            }) => self.write_row(
                scope,
                at,
                short(incarnation),
                join,
                attempt,
                acknowledged,
                applied.tag,
            ),
            Task::Effect(HolderEffect::Acknowledge {
                incarnation,
                number,
                at: applied,
            }) => self.acknowledge(scope, at, short(incarnation), number, applied.tag),
            Task::Effect(HolderEffect::SignOff { incarnation }) => {
                if let Some(which) = self.nodes[at].session {
                    let incarnation = short(incarnation);
                    self.write(scope, which, Record::Removed { incarnation });
                }
            }
            Task::Effect(HolderEffect::End(_)) => self.nodes[at].over = true,
            // Told as a task of its own.
            Task::Effect(HolderEffect::Apply { .. }) => {}
        }
    }

    /// Changes are in a node's replica: its grantor and its holder are told.
    fn applied(&mut self, scope: &Scope, at: usize, content: u8) {
        let number = position(content).number;
        if at == 0
            && self.nodes[0].crashes == 0
            && let Some(replica) = &mut self.replica
        {
            replica.down.push_back(Letter::Content(content));
        }
        self.grantor(scope, at, GrantorEvent::Applied { number });
        if scope.breaks(Broken::AcknowledgesApplied) {
            self.holder(scope, at, HolderEvent::Answered { through: number });
        }
    }

    fn grantor(&mut self, scope: &Scope, at: usize, event: GrantorEvent) {
        let node = &mut self.nodes[at];
        let now = node.clock(self.real);
        for effect in node.grantor.step(event, now) {
            match effect {
                GrantorEffect::Grant {
                    round,
                    through,
                    term,
                    ..
                } => {
                    if let Some(replica) = &mut self.replica {
                        replica.down.push_back(Letter::Grant(round, through, term));
                    }
                }
                GrantorEffect::Answer { through } => {
                    self.holder(scope, at, HolderEvent::Answered { through });
                }
                GrantorEffect::Attached { .. } | GrantorEffect::Expel { .. } => {}
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn write_row(
        &mut self,
        scope: &Scope,
        at: usize,
        incarnation: u8,
        join: bool,
        attempt: u64,
        acknowledged: u64,
        tag: u64,
    ) {
        let Some((which, server)) = self.session(at) else {
            return;
        };
        let row = server.row(incarnation);
        if row.is_none() && !join {
            self.missing(scope, at, attempt);
            return;
        }
        let matches = has_history(scope, server, tag);
        let shown = row.map_or(0, |row| row.attempt);
        if scope.breaks(Broken::RenewalByRead) && !join {
            let node = &mut self.nodes[at];
            node.to_read = Some(attempt);
            self.holder(scope, at, HolderEvent::Written { attempt });
            return;
        }
        let record = Record::Renewal {
            incarnation,
            attempt: match scope.broken {
                Some(Broken::RenewalsCounted) => shown + 1,
                _ => attempt,
            },
            join,
            join_locks: join && joins_lock(scope),
            acknowledged: if matches { acknowledged } else { 0 },
        };
        let index = self.write(scope, which, record);
        self.nodes[at].writing = Some((which, index, attempt));
    }

    fn missing(&mut self, scope: &Scope, at: usize, attempt: u64) {
        let node = &mut self.nodes[at];
        if node.joins + 1 >= scope.joins || node.renewals >= scope.renewals {
            node.lease = 0;
            node.over = true;
            return;
        }
        node.joins += 1;
        node.renewals += 1;
        let next = name(at, node.joins);
        self.holder(scope, at, HolderEvent::Missing { attempt, next });
    }

    fn acknowledge(&mut self, scope: &Scope, at: usize, incarnation: u8, number: u64, tag: u64) {
        let Some((which, server)) = self.session(at) else {
            return;
        };
        let matches = has_history(scope, server, tag);
        if matches
            && server
                .row(incarnation)
                .is_some_and(|row| row.acknowledged < number)
        {
            let record = Record::Acknowledged {
                incarnation,
                number,
            };
            self.write(scope, which, record);
        }
    }

    fn read_after(&mut self, scope: &Scope, at: usize, which: Which) {
        let Some(attempt) = self.nodes[at].to_read.take() else {
            return;
        };
        let early = self.nodes[at].early_read.take();
        let server = self.server(which).expect("a server that answers");
        let mut content = early.unwrap_or_else(|| server.content());
        let applied = self.nodes[at].holder.applied();
        let own = u8::try_from(applied.tag).expect("tags are contents");
        if scope.breaks(Broken::TruncatedRead) {
            content = server.content_upto(applied.number + 1);
        }
        let prefix = server.content_upto(applied.number);
        if content & own == own && prefix == own {
            let upto = position(content);
            self.holder(scope, at, HolderEvent::Read { attempt, upto });
        } else if position(content).number < applied.number && prefix & own == prefix {
            // This server lacks what is applied here: another one has it.
            self.disconnect(scope, at);
        } else {
            self.holder(scope, at, HolderEvent::Diverged);
        }
    }

    fn hot_read(&mut self, scope: &Scope, at: usize) {
        let node = &self.nodes[at];
        let content = self.session(at).map_or(0, |(_, server)| server.content());
        let own = node.content;
        if content == own || content & own != own {
            return;
        }
        let upto = position(content);
        if scope.breaks(Broken::SessionTrustedAtOnce) && !node.holder.is_trusted() {
            self.nodes[at].content = content;
            self.holder(scope, at, HolderEvent::Applied { position: upto });
            return;
        }
        self.holder(scope, at, HolderEvent::Looked { upto });
        if scope.breaks(Broken::HotReadExtends) {
            let until = BootInstant(self.nodes[at].clock(self.real).0 + scope.terms().term);
            let vouch = Task::Effect(HolderEffect::Vouch { until });
            self.nodes[at].tasks.push_back(vouch);
        }
    }

    fn own_commit(&mut self, at: usize) {
        let identity = self.changes;
        self.changes += 1;
        let record = Record::Change(identity);
        self.first.log.push(Entry {
            record,
            visible: true,
        });
        self.replicated = self.first.log.len();
        self.first.show_all();
        let content = self.first.content();
        let node = &mut self.nodes[at];
        node.own += 1;
        if content & !node.content == 1 << identity {
            node.content = content;
            node.lease = node.lease.max(self.real - node.behind + 2);
            let event = HolderEvent::Applied {
                position: position(content),
            };
            let now = node.clock(self.real);
            node.holder.step(event, now);
        }
    }

    fn crash(&mut self, scope: &Scope, at: usize, which: Which) {
        self.disconnect(scope, at);
        let content = self.server(which).map_or(0, Server::content);
        let number = position(content).number;
        let attached = at == 0 && self.replica.is_some();
        if attached && scope.breaks(Broken::RestartedRemovesItsRow) {
            let incarnation = short(self.nodes[at].holder.incarnation());
            if self
                .server(which)
                .is_some_and(|one| one.is_free(Lock::Row(incarnation)))
            {
                self.write(scope, which, Record::Removed { incarnation });
            }
        }
        let node = &mut self.nodes[at];
        node.crashes += 1;
        node.joins += 1;
        node.tasks.clear();
        node.lease = 0;
        node.content = content;
        let same = scope.breaks(Broken::RestartedUnderTheOldName);
        let incarnation = name(at, if same { 0 } else { node.joins });
        let now = node.clock(self.real);
        node.grantor = Grantor::new(scope.replica_terms(), number, attached, now);
        let answered = node.grantor.answered();
        let wait = scope.replica_terms().wait;
        node.holder = Holder::new(
            scope.terms(),
            wait,
            incarnation,
            position(content),
            answered,
        );
        if let Some(replica) = self.replica.as_mut().filter(|_| attached) {
            replica.down.clear();
            replica.up.clear();
        }
        if matches!(self.check, Check::Reading { place, .. } if place == Place::Node(at)) {
            self.check = Check::Idle;
        }
    }

    fn leave(&mut self, scope: &Scope, at: usize) {
        let now = self.nodes[at].clock(self.real);
        let attached = at == 0 && self.replica.is_some();
        let silent = || {
            let node = &self.nodes[at];
            // Its replicas are told to stop by the end of the stream; what they were granted runs out.
            let mut grantor = node.grantor.clone();
            grantor.step(GrantorEvent::Cut { id: ATTACHMENT }, now);
            grantor.step(GrantorEvent::Tick, now);
            grantor.attached() == 0 && grantor.is_idle(now)
        };
        let idle = !attached || silent() || scope.breaks(Broken::SignsOffWhileReplicasVouch);
        self.holder(scope, at, HolderEvent::Leave { idle });
    }

    fn replica_step(&mut self, event: ReplicaEvent) {
        let Some(replica) = &mut self.replica else {
            return;
        };
        let now = BootInstant(self.real - replica.behind);
        for effect in replica.sub.step(event, now) {
            match effect {
                ReplicaEffect::Renew { round } => {
                    replica.renewals += 1;
                    replica.up.push_back(Letter::Renew(round));
                }
                ReplicaEffect::Acknowledge { number } => {
                    replica.up.push_back(Letter::Acknowledge(number));
                }
                ReplicaEffect::Vouch { until } => replica.lease = replica.lease.max(until.0),
                ReplicaEffect::StopVouching => replica.lease = 0,
                ReplicaEffect::Apply { .. }
                | ReplicaEffect::Release
                | ReplicaEffect::Abandon(_) => {}
            }
        }
    }

    fn deliver_to_replica(&mut self) {
        let Some(replica) = &mut self.replica else {
            return;
        };
        let Some(letter) = replica.down.pop_front() else {
            return;
        };
        let event = match letter {
            Letter::Content(content) => {
                let before = position(replica.content).number;
                replica.content |= content;
                match replica.sub.applied() {
                    None => ReplicaEvent::Loaded {
                        number: position(content).number,
                    },
                    Some(_) => ReplicaEvent::Changes {
                        first: before + 1,
                        last: position(content).number,
                    },
                }
            }
            Letter::Grant(round, through, term) => ReplicaEvent::Granted {
                round,
                through,
                term,
            },
            Letter::Renew(_) | Letter::Acknowledge(_) => return,
        };
        self.replica_step(event);
    }

    fn deliver_to_node(&mut self, scope: &Scope) {
        let letter = self.replica.as_mut().and_then(|one| one.up.pop_front());
        let node = &self.nodes[0];
        let left = node.lease.saturating_sub(node.clock(self.real).0);
        let own_left = match scope.broken {
            Some(Broken::GrantNotBounded) => None,
            Some(Broken::GrantBoundedWithoutPause) => Some(left + scope.terms().pause),
            _ => Some(left),
        };
        match letter {
            Some(Letter::Renew(round)) => {
                let id = ATTACHMENT;
                let event = GrantorEvent::Renew {
                    id,
                    round,
                    own_left,
                };
                self.grantor(scope, 0, event);
            }
            Some(Letter::Acknowledge(number)) => {
                let id = ATTACHMENT;
                self.grantor(scope, 0, GrantorEvent::Acked { id, number });
            }
            _ => {}
        }
    }

    /// What a place holds: its lease, its state, its clock.
    fn at(&self, place: Place) -> (u64, u8, u64) {
        match (place, &self.replica) {
            (Place::Node(at), _) => {
                let node = &self.nodes[at];
                (node.lease, node.content, node.clock(self.real).0)
            }
            (Place::Replica, Some(one)) => (one.lease, one.content, self.real - one.behind),
            (Place::Replica, None) => (0, 0, 0),
        }
    }

    fn check(&mut self, scope: &Scope, place: Place) {
        let cached = scope.breaks(Broken::CachedClock);
        self.check = Check::Reading {
            place,
            answered: self.answered,
            reads: Reads {
                clock: cached.then(|| self.at(place).2.saturating_sub(1)),
                ..Reads::default()
            },
        };
        self.check_reads(scope);
        // States only grow: what holds everything answered now can't be found to lack it later, so its reads need no
        // steps of their own.
        if self.at(place).1 & self.answered == self.answered {
            self.check_reads(scope);
            self.check_reads(scope);
        }
    }

    fn check_reads(&mut self, scope: &Scope) {
        let Check::Reading {
            place,
            answered,
            mut reads,
        } = self.check
        else {
            return;
        };
        let slot_first = matches!(
            scope.broken,
            Some(Broken::SlotBeforeLease | Broken::MayKnowBeforeLease)
        );
        self.check = match reads.next(self.at(place), slot_first) {
            Some((lease, content, clock)) => Check::Done {
                vouched: clock < lease,
                content,
                answered,
                place,
            },
            None => Check::Reading {
                place,
                answered,
                reads,
            },
        };
    }
}
