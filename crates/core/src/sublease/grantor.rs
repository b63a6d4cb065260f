//! The node's side of sub-leases: who is attached, until when each may vouch by what it was granted, and
//! which changes may be answered. It decides; sending, timing and feeding changes are its driver's.
//!
//! It must never answer a change while an attached replica that lacks it may vouch, and never wait for
//! one replica longer than one [`Terms::wait`].

use super::Terms;
use crate::time::{BootInstant, later};
use std::collections::{BTreeMap, VecDeque};

/// The name of one attachment in the life of one grantor; never used twice in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttachmentId(pub u64);

/// What a grantor is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GrantorEvent {
    /// A replica wants to be fed. Every change after the answered base must be fed to it.
    Attach,
    /// The changes up to this number are in the node's own replica. Told in the same breath as they
    /// are fed to the attached.
    Applied {
        /// The last of them.
        number: u64,
    },
    /// A replica asks for a lease.
    Renew {
        /// The attachment.
        id: AttachmentId,
        /// Its count of renewals, said back in the grant.
        round: u64,
        /// How long the node's own lease lasts, in nanoseconds; none when it has no end.
        own_left: Option<u64>,
    },
    /// A replica has applied every change up to this number.
    Acked {
        /// The attachment.
        id: AttachmentId,
        /// The last of them.
        number: u64,
    },
    /// Nothing more will come from this replica, which may go on vouching until its lease ends.
    Cut {
        /// The attachment.
        id: AttachmentId,
    },
    /// This replica has ended its lease and will not vouch again under this name.
    Released {
        /// The attachment.
        id: AttachmentId,
    },
    /// Time has passed.
    Tick,
}

/// What a grantor wants done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GrantorEffect {
    /// The replica is attached: its snapshot must hold every change up to `base`, and every later one
    /// must be fed to it.
    Attached {
        /// Its name.
        id: AttachmentId,
        /// The last change that is not fed.
        base: u64,
    },
    /// Tell the replica that it may vouch.
    Grant {
        /// Whom.
        id: AttachmentId,
        /// The renewal this answers.
        round: u64,
        /// The lease counts only once every change up to here is applied.
        through: u64,
        /// Nanoseconds from the sending of that renewal.
        term: u64,
    },
    /// Every change up to this number may be answered.
    Answer {
        /// The last of them.
        through: u64,
    },
    /// The replica is no longer attached: close its stream. It must attach anew.
    Expel {
        /// Whom.
        id: AttachmentId,
    },
}

/// What is known of one attached replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Attachment {
    /// It has applied every change up to here.
    acked: u64,
    /// From then on nothing it was granted so far lets it vouch.
    until: BootInstant,
    /// Its stream is gone, or it was expelled: it is granted nothing more, and forgotten when what it
    /// was granted is over.
    cut: bool,
}

/// Changes not yet answered, and for whom they wait.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Waiting {
    number: u64,
    /// With each the end of what it had been granted *before* these changes: later grants name them, so
    /// they count only once these are applied, and need not be waited for.
    laggards: Vec<(AttachmentId, BootInstant)>,
}

/// The node's side of all its sub-leases.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Grantor {
    terms: Terms,
    applied: u64,
    answered: u64,
    /// Nothing is answered before: a predecessor's grants may still be alive.
    hold_answers_until: BootInstant,
    next: u64,
    attachments: BTreeMap<AttachmentId, Attachment>,
    waiting: VecDeque<Waiting>,
}

impl Grantor {
    /// A grantor for a node whose replica holds every change up to `applied`. `predecessor` says that
    /// an earlier process may have granted sub-leases that nobody here knows of: then no change is
    /// answered before they have all ended.
    #[must_use]
    pub fn new(terms: Terms, applied: u64, predecessor: bool, now: BootInstant) -> Self {
        let hold_answers_until = if predecessor {
            later(now, terms.wait)
        } else {
            BootInstant(0)
        };
        Self {
            terms,
            applied,
            answered: if predecessor { 0 } else { applied },
            hold_answers_until,
            next: 1,
            attachments: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Whether changes are answered as soon as they are applied: nobody is attached, nobody was.
    #[must_use]
    pub fn is_idle(&self, now: BootInstant) -> bool {
        self.attachments.is_empty() && self.waiting.is_empty() && self.may_answer(now)
    }

    /// Every change up to here may be answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// How many replicas are attached, those whose stream is cut included.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.attachments.len()
    }

    /// When [`GrantorEvent::Tick`] could next have an effect; none while nothing waits for time.
    #[must_use]
    pub fn next_tick(&self) -> Option<BootInstant> {
        let waiting = match self.waiting.front() {
            Some(first) => {
                let laggards = first.laggards.iter().map(|(_, until)| *until);
                Some(laggards.fold(self.hold_answers_until, BootInstant::max))
            }
            None => (self.answered < self.applied).then_some(self.hold_answers_until),
        };
        let cut = self.attachments.values().filter(|one| one.cut);
        cut.map(|one| one.until).chain(waiting).min()
    }

    /// Takes one event; the effects are to be carried out in order.
    pub fn step(&mut self, event: GrantorEvent, now: BootInstant) -> Vec<GrantorEffect> {
        let mut effects = Vec::new();
        match event {
            GrantorEvent::Attach => effects.push(self.attach()),
            GrantorEvent::Applied { number } => self.applied(number, now),
            GrantorEvent::Renew {
                id,
                round,
                own_left,
            } => effects.extend(self.renew(id, round, own_left, now)),
            GrantorEvent::Acked { id, number } => effects.extend(self.acked(id, number)),
            GrantorEvent::Cut { id } => {
                if let Some(one) = self.attachments.get_mut(&id) {
                    one.cut = true;
                }
            }
            GrantorEvent::Released { id } => drop(self.attachments.remove(&id)),
            GrantorEvent::Tick => {}
        }
        self.settle(now, &mut effects);
        effects
    }

    fn attach(&mut self) -> GrantorEffect {
        let id = AttachmentId(self.next);
        self.next += 1;
        // Without a lease until it asks for one, so nobody waits for it while it loads.
        let attachment = Attachment {
            acked: self.applied,
            until: BootInstant(0),
            cut: false,
        };
        self.attachments.insert(id, attachment);
        GrantorEffect::Attached {
            id,
            base: self.applied,
        }
    }

    fn applied(&mut self, number: u64, now: BootInstant) {
        if number <= self.applied {
            return;
        }
        self.applied = number;
        let laggards = self.attachments.iter();
        let laggards = laggards.filter(|(_, one)| now < one.until);
        self.waiting.push_back(Waiting {
            number,
            laggards: laggards.map(|(id, one)| (*id, one.until)).collect(),
        });
    }

    fn renew(
        &mut self,
        id: AttachmentId,
        round: u64,
        own_left: Option<u64>,
        now: BootInstant,
    ) -> Option<GrantorEffect> {
        let Some(one) = self.attachments.get_mut(&id) else {
            return Some(GrantorEffect::Expel { id });
        };
        // Never past the node's own lease, and short of it by a pause of the replica's own: those who wait for
        // the node's lease to end have allowed for one pause, and that may have been the node's.
        let most = own_left.map_or(u64::MAX, |left| left.saturating_sub(self.terms.pause));
        let term = self.terms.term.min(most);
        if one.cut || term == 0 {
            return None;
        }
        one.until = one.until.max(later(now, self.terms.wait));
        Some(GrantorEffect::Grant {
            id,
            round,
            through: self.applied,
            term,
        })
    }

    fn acked(&mut self, id: AttachmentId, number: u64) -> Option<GrantorEffect> {
        let one = self.attachments.get_mut(&id)?;
        if number > self.applied {
            // It says it has what nobody has given it: what else it says cannot be believed. The node goes
            // on waiting for its lease to end.
            one.cut = true;
            return Some(GrantorEffect::Expel { id });
        }
        one.acked = one.acked.max(number);
        None
    }

    fn may_answer(&self, now: BootInstant) -> bool {
        now >= self.hold_answers_until
    }

    /// Answers what nobody can miss any more, and gives up those who were waited for in vain.
    fn settle(&mut self, now: BootInstant, effects: &mut Vec<GrantorEffect>) {
        let before = self.answered;
        if self.may_answer(now) && self.waiting.is_empty() {
            // What was there before the first attachment, or before this process.
            self.answered = self.answered.max(self.applied);
        }
        while let Some(first) = self.waiting.front() {
            let number = first.number;
            let lags = |(id, until): &(AttachmentId, BootInstant)| {
                let missing = self
                    .attachments
                    .get(id)
                    .filter(|one| one.acked < number)
                    .map(|one| one.cut);
                missing.map(|cut| (*id, now < *until, cut))
            };
            let lagging: Vec<_> = first.laggards.iter().filter_map(lags).collect();
            if !self.may_answer(now) || lagging.iter().any(|(_, may_vouch, _)| *may_vouch) {
                break;
            }
            for (id, _, cut) in lagging {
                // It has been waited for once, which is enough: it is granted nothing more. What it was
                // granted since must still run out, should only its acknowledgement have been late.
                if let Some(one) = self.attachments.get_mut(&id).filter(|_| !cut) {
                    one.cut = true;
                    effects.push(GrantorEffect::Expel { id });
                }
            }
            self.answered = number;
            self.waiting.pop_front();
        }
        if self.answered > before {
            effects.push(GrantorEffect::Answer {
                through: self.answered,
            });
        }
        self.attachments
            .retain(|_, one| !one.cut || now < one.until);
    }
}

#[cfg(test)]
mod tests;
