//! What can happen next, and what comes of it. One action is one step of one party; whatever may be
//! interrupted in the real programs is several actions here.

use super::promises::{PROMISES, REACHED, Seen};
use super::world::{Check, Envelope, Message, Read, Task, World};
use super::{Broken, Scope};
use crate::Reads;
use tokenward_core::sublease::{AttachmentId, GrantorEvent, HolderEffect, HolderEvent};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A tick of real time; the named holder's machine stands still meanwhile.
    Tick { frozen: Option<usize> },
    /// The node commits the next change, applies it and feeds it.
    Commit,
    /// The node looks at its clock.
    NodeTick,
    /// The node sees a stream cut.
    NodeCut(AttachmentId),
    /// The node dies and starts again, perhaps with a change committed of which it told nobody.
    NodeCrash { committed: bool },
    /// A replica's process attaches, for the first time or anew.
    Attach(usize),
    /// It carries out the next thing its sub-holder wants.
    Carry(usize),
    /// Its sub-holder looks at its clock.
    HolderTick(usize),
    /// It meets a change it can't read, or leaves.
    Leave(usize),
    /// It dies and starts again.
    HolderCrash(usize),
    /// A message arrives; it may arrive again later, and others may never.
    Deliver(Envelope),
    /// A check is sent to a replica's process, and does its first read.
    Check(usize),
    /// The check does its next read.
    CheckReads,
}

impl crate::World for World {
    type Scope = Scope;
    type Action = Action;
    const PROMISES: &'static [(&'static str, Seen)] = PROMISES;
    const REACHED: &'static [(&'static str, Seen)] = REACHED;

    fn start(scope: &Scope) -> Self {
        Self::new(scope)
    }

    fn possible(&self, scope: &Scope, actions: &mut Vec<Action>) {
        // The check's answer is all there is to learn from a behaviour.
        if matches!(self.check, Check::Done { .. }) {
            return;
        }
        if self.real < scope.ticks {
            actions.push(Action::Tick { frozen: None });
            let can_freeze = |at: &usize| self.holders[*at].behind < scope.freeze;
            let frozen = (0..self.holders.len()).filter(can_freeze);
            actions.extend(frozen.map(|at| Action::Tick { frozen: Some(at) }));
        }
        if self.node.committed < scope.changes {
            actions.push(Action::Commit);
        }
        if self
            .node
            .grantor
            .next_tick()
            .is_some_and(|at| at.0 <= self.real)
        {
            actions.push(Action::NodeTick);
        }
        if self.node.cuts < scope.cuts {
            actions.extend(self.node.fed.iter().copied().map(Action::NodeCut));
        }
        if self.node.incarnation < scope.node_crashes {
            actions.push(Action::NodeCrash { committed: false });
            if self.node.committed < scope.changes {
                actions.push(Action::NodeCrash { committed: true });
            }
        }
        for (at, holder) in self.holders.iter().enumerate() {
            if !holder.tasks.is_empty() {
                actions.push(Action::Carry(at));
            } else if let Some(session) = &holder.session {
                let now = holder.clock(self.real);
                if session.rounds < scope.rounds
                    && session.sub.next_tick().is_some_and(|at| at.0 <= now)
                {
                    actions.push(Action::HolderTick(at));
                }
                if holder.left < scope.leaves && session.sub.applied().is_some() {
                    actions.push(Action::Leave(at));
                }
            }
            // They are alike: it does not matter which one is first.
            let turn = at == 0 || self.holders[at - 1].attached > 0;
            if turn && holder.tasks.is_empty() && holder.attached < scope.sessions {
                actions.push(Action::Attach(at));
            }
            if holder.crashes < scope.holder_crashes && holder.attached > 0 {
                actions.push(Action::HolderCrash(at));
            }
            // Before the first answer there is no promise to break.
            if self.check == Check::Idle && holder.shown.is_some() && self.node.answered > 0 {
                actions.push(Action::Check(at));
            }
        }
        if matches!(self.check, Check::Reading(_)) {
            actions.push(Action::CheckReads);
        }
        actions.extend(
            self.net
                .iter()
                .filter(|one| self.is_deliverable(one))
                .cloned()
                .map(Action::Deliver),
        );
    }

    fn act(&mut self, scope: &Scope, action: Action) {
        match action {
            Action::Tick { frozen } => {
                self.real += 1;
                if let Some(at) = frozen {
                    self.holders[at].behind += 1;
                }
            }
            Action::Commit => self.commit(scope),
            Action::NodeTick => self.grantor(scope, GrantorEvent::Tick),
            Action::NodeCut(id) => {
                self.node.cuts += 1;
                self.node.fed.remove(&id);
                let event = match scope.broken {
                    Some(Broken::CutForgets) => GrantorEvent::Released { id },
                    _ => GrantorEvent::Cut { id },
                };
                self.grantor(scope, event);
            }
            Action::NodeCrash { committed } => self.restart_node(scope, committed),
            Action::Attach(at) => self.attach(scope, at),
            Action::Carry(at) => self.carry(scope, at),
            Action::HolderTick(at) => self.holder(scope, at, HolderEvent::Tick, None),
            Action::Leave(at) => {
                self.holders[at].left += 1;
                self.holder(scope, at, HolderEvent::Unreadable, None);
            }
            Action::HolderCrash(at) => self.crash_holder(at),
            Action::Deliver(envelope) => self.deliver(scope, envelope),
            Action::Check(at) => self.begin_check(scope, at),
            Action::CheckReads => self.check_reads(scope),
        }
        self.forget_letters();
    }
}

impl World {
    fn deliver(&mut self, scope: &Scope, envelope: Envelope) {
        let Envelope { key, message } = envelope;
        let (at, id) = (key.holder, key.id);
        match message {
            Message::Renew { round } => self.grantor(
                scope,
                GrantorEvent::Renew {
                    id,
                    round,
                    own_left: None,
                },
            ),
            Message::Acknowledge { number } => {
                self.grantor(scope, GrantorEvent::Acked { id, number });
            }
            Message::Release => self.grantor(scope, GrantorEvent::Released { id }),
            Message::Snapshot { content, number } => {
                let holder = &mut self.holders[at];
                if let Some(session) = &holder.session {
                    holder.stores[session.store].content = content;
                }
                self.holder(scope, at, HolderEvent::Loaded { number }, None);
            }
            Message::Change { number } => {
                let applied = self.holders[at]
                    .session
                    .as_ref()
                    .and_then(|one| one.sub.applied());
                let first = match scope.broken {
                    Some(Broken::GapIgnored) => number.min(applied.unwrap_or(0) + 1),
                    _ => number,
                };
                let event = HolderEvent::Changes {
                    first,
                    last: number,
                };
                self.holder(scope, at, event, Some(number));
            }
            Message::Grant {
                round,
                through,
                term,
            } => {
                let through = match scope.broken {
                    Some(Broken::ThroughIgnored) => 0,
                    _ => through,
                };
                let event = HolderEvent::Granted {
                    round,
                    through,
                    term,
                };
                self.holder(scope, at, event, None);
            }
            Message::Expelled => self.holder(scope, at, HolderEvent::Cut, None),
        }
    }

    /// One step of a sub-holder; what it wants is carried out one by one, with anything in between.
    fn holder(&mut self, scope: &Scope, at: usize, event: HolderEvent, change: Option<u64>) {
        let now = self.holders[at].clock(self.real);
        let holder = &mut self.holders[at];
        let Some(session) = &mut holder.session else {
            return;
        };
        let effects = session
            .sub
            .step(event, tokenward_core::time::BootInstant(now));
        let mut tasks = Vec::new();
        for effect in effects {
            match effect {
                HolderEffect::Renew { .. } => {
                    session.rounds += 1;
                    session.last_sent = now;
                    tasks.push(Task::Effect(effect));
                }
                HolderEffect::Apply { .. } => tasks.extend(change.map(Task::Apply)),
                HolderEffect::Vouch { until } => {
                    let until = match scope.broken {
                        Some(Broken::LeaseFromReceipt) => now + 2,
                        Some(Broken::LeaseFromLatestSending) => session.last_sent + 2,
                        _ => until.0,
                    };
                    tasks.push(Task::Vouch(until));
                    tasks.push(Task::Show);
                }
                _ => tasks.push(Task::Effect(effect)),
            }
        }
        let first = |wanted: fn(&Task) -> bool, tasks: &mut Vec<Task>| {
            tasks.sort_by_key(|task| !wanted(task));
        };
        match scope.broken {
            Some(Broken::VouchBeforeApply) => {
                first(|task| matches!(task, Task::Vouch(_)), &mut tasks);
            }
            Some(Broken::AcknowledgeBeforeApply) => first(
                |task| matches!(task, Task::Effect(HolderEffect::Acknowledge { .. })),
                &mut tasks,
            ),
            Some(Broken::ReleaseBeforeStop) => {
                first(
                    |task| *task == Task::Effect(HolderEffect::Release),
                    &mut tasks,
                );
            }
            _ => {}
        }
        holder.tasks.extend(tasks);
    }

    fn begin_check(&mut self, scope: &Scope, at: usize) {
        if let Some(store) = self.holders[at].shown {
            self.check = Check::Reading(Read {
                holder: at,
                store,
                answered: self.node.answered,
                reads: Reads::default(),
            });
            self.check_reads(scope);
        }
    }

    /// The next of the check's three reads, on the replica it is pinned to.
    fn check_reads(&mut self, scope: &Scope) {
        let Check::Reading(read) = &mut self.check else {
            return;
        };
        let holder = &self.holders[read.holder];
        let store = &holder.stores[read.store];
        let now = holder.clock(self.real);
        let now = match scope.broken {
            Some(Broken::CachedClock) => now.saturating_sub(1),
            _ => now,
        };
        let slot_first = scope.breaks(Broken::SlotBeforeLease);
        let there = (store.lease, store.content, now);
        if let Some((lease, content, clock)) = read.reads.next(there, slot_first) {
            self.check = Check::Done {
                accepted: clock < lease,
                content,
                answered: read.answered,
            };
        }
    }
}
