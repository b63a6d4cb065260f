//! What the node and the replicas' processes do: their drivers, in the model's terms.

use super::world::{Check, Envelope, Key, Message, Session, Store, Task, World};
use super::{Broken, Scope};
use tokenward_core::sublease::{
    AttachmentId, Grantor, GrantorEffect, GrantorEvent, HolderEffect, SubHolder,
};
use tokenward_core::time::BootInstant;

impl World {
    /// One step of the grantor, and what comes of it: under one lock in the server, so in one step.
    pub(super) fn grantor(&mut self, scope: &Scope, event: GrantorEvent) {
        let now = BootInstant(self.real);
        let effects = self.node.grantor.step(event, now);
        for effect in effects {
            match effect {
                // Seen by `attach`.
                GrantorEffect::Attached { .. } => {}
                GrantorEffect::Grant {
                    id,
                    round,
                    through,
                    term,
                } => {
                    self.node.granted = true;
                    let grant = Message::Grant {
                        round,
                        through,
                        term,
                    };
                    self.send(id, grant);
                }
                GrantorEffect::Answer { through } => {
                    self.node.answered = self.node.answered.max(through);
                }
                GrantorEffect::Expel { id } => {
                    self.node.fed.remove(&id);
                    self.send(id, Message::Expelled);
                    if scope.breaks(Broken::ExpelledForgotten) {
                        self.grantor(scope, GrantorEvent::Released { id });
                    }
                }
            }
        }
    }

    /// From the node to the replica attached under this name.
    fn send(&mut self, id: AttachmentId, message: Message) {
        let incarnation = self.node.incarnation;
        let key = self.holders.iter().find_map(|holder| {
            let key = holder.session.as_ref()?.key;
            (key.incarnation == incarnation && key.id == id).then_some(key)
        });
        self.net.extend(key.map(|key| Envelope { key, message }));
    }

    pub(super) fn commit(&mut self, scope: &Scope) {
        self.node.committed += 1;
        let number = self.node.committed;
        for id in self.node.fed.clone() {
            self.send(id, Message::Change { number });
        }
        self.grantor(scope, GrantorEvent::Applied { number });
    }

    pub(super) fn restart_node(&mut self, scope: &Scope, committed: bool) {
        self.node.committed += u64::from(committed);
        self.node.incarnation += 1;
        self.node.fed.clear();
        let predecessor = self.node.granted && !scope.breaks(Broken::RestartWithoutQuiet);
        let applied = self.node.committed;
        let now = BootInstant(self.real);
        self.node.grantor = Grantor::new(scope.terms(), applied, predecessor, now);
        // What it does not hold back, somebody may be told.
        self.node.answered = self.node.answered.max(self.node.grantor.answered());
    }

    pub(super) fn attach(&mut self, scope: &Scope, at: usize) {
        let now = BootInstant(self.real);
        let effects = self.node.grantor.step(GrantorEvent::Attach, now);
        let Some(GrantorEffect::Attached { id, base }) = effects.first().copied() else {
            return;
        };
        let key = Key {
            incarnation: self.node.incarnation,
            holder: at,
            id,
        };
        self.node.fed.insert(id);
        let holder = &mut self.holders[at];
        holder.attached += 1;
        let store = match scope.broken {
            Some(Broken::ResetInPlace) if !holder.stores.is_empty() => {
                holder.stores[0] = Store::default();
                0
            }
            _ => {
                holder.stores.push(Store::default());
                holder.stores.len() - 1
            }
        };
        holder.session = Some(Session {
            key,
            sub: SubHolder::new(scope.terms()),
            store,
            rounds: 0,
            last_sent: 0,
        });
        let held = match scope.broken {
            Some(Broken::SnapshotGap) => base.saturating_sub(1),
            _ => base,
        };
        let snapshot = Message::Snapshot {
            content: (1 << held) - 1,
            number: base,
        };
        self.send(id, snapshot);
    }

    /// The next thing a replica's process does.
    pub(super) fn carry(&mut self, scope: &Scope, at: usize) {
        let holder = &mut self.holders[at];
        let (Some(task), Some(session)) = (holder.tasks.pop_front(), &holder.session) else {
            return;
        };
        let (key, store) = (session.key, session.store);
        let mut letter = None;
        match task {
            Task::Apply(number) => {
                if !scope.breaks(Broken::UnreadableSkipped) {
                    holder.stores[store].content |= 1 << (number - 1);
                }
            }
            Task::Vouch(until) => match scope.broken {
                Some(Broken::LeaseSharedByReplicas) => {
                    holder
                        .stores
                        .iter_mut()
                        .for_each(|one| one.lease = one.lease.max(until));
                }
                _ => holder.stores[store].lease = holder.stores[store].lease.max(until),
            },
            Task::Show => holder.shown = Some(store),
            Task::Effect(HolderEffect::Renew { round }) => letter = Some(Message::Renew { round }),
            Task::Effect(HolderEffect::Acknowledge { number }) => {
                letter = Some(Message::Acknowledge { number });
            }
            Task::Effect(HolderEffect::StopVouching) => holder.stores[store].lease = 0,
            Task::Effect(HolderEffect::Release) => letter = Some(Message::Release),
            Task::Effect(HolderEffect::Abandon(_)) => holder.session = None,
            // Told as tasks of their own.
            Task::Effect(HolderEffect::Apply { .. } | HolderEffect::Vouch { .. }) => {}
        }
        self.net
            .extend(letter.map(|message| Envelope { key, message }));
    }

    pub(super) fn crash_holder(&mut self, at: usize) {
        let holder = &mut self.holders[at];
        holder.crashes += 1;
        holder.session = None;
        holder.shown = None;
        holder.tasks.clear();
        if matches!(&self.check, Check::Reading(read) if read.holder == at) {
            self.check = Check::Done {
                accepted: false,
                content: 0,
                answered: 0,
            };
        }
    }
}
