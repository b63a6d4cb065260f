//! The second half of a renewal, under the lease: what the token server answered, and storing it. A token that was
//! made is never dropped here: it is stored, or handed out unstored, or a newer one stands in the place.

use super::{MOST_ATTEMPTS, MOST_MISMATCHES, MOST_STORES, Renewal, Stage};
use crate::destination::DestinationError;
use crate::issuer::Refusal;
use crate::protocol::limits::backoff;
use crate::protocol::{Action, Entry, Moment, Outcome, Reason, Stored, Tally, TokenError};
use std::sync::Arc;

impl Renewal {
    pub(super) fn made(
        &mut self,
        made: Entry,
        reason: Reason,
        if_match: Option<u32>,
        at: Moment,
    ) -> Action {
        let same = |entry: &Arc<Entry>| entry.token.is(&made.token);
        if reason == Reason::Refused && self.refused.as_ref().is_some_and(same) {
            return Action::Done(Outcome::Failed(TokenError::StillRefused));
        }
        let tally = self
            .stored
            .entry
            .as_ref()
            .map_or(Tally::default(), |entry| entry.tally);
        // A server that returns the live token has made none.
        let returned = made.generation.is_some() && made.generation == if_match;
        let more = u32::from(!returned) + u32::from(self.abandoned);
        let entry = Arc::new(Entry {
            tally: tally.plus(more, at.now),
            early_ends: self.early_ends,
            ..made
        });
        self.stage = Stage::Storing(entry.clone());
        Action::Store(entry, self.stored.version.clone())
    }

    pub(super) fn refused(
        &mut self,
        refusal: Refusal,
        if_match: Option<u32>,
        at: Moment,
    ) -> Action {
        match refusal {
            Refusal::GenerationMismatch { generation } if self.mismatches < MOST_MISMATCHES => {
                self.mismatches += 1;
                // The answer that got lost was a token of ours.
                if std::mem::take(&mut self.outcome_unknown)
                    && if_match.is_some_and(|ours| generation == ours.wrapping_add(1))
                {
                    self.abandoned = true;
                }
                (self.is_asked, self.newest) = (true, Some(generation));
                self.stage = Stage::Leased;
                Action::Read
            }
            Refusal::HandoverTooLong { max } if self.handover > max => {
                self.handover = max;
                self.stage = Stage::Leased;
                Action::Read
            }
            Refusal::Later {
                retry_after,
                outcome_unknown,
                ..
            } => {
                self.outcome_unknown |= outcome_unknown;
                self.attempts += 1;
                let pause = backoff(self.attempts, at.chance, retry_after);
                let back = at.elapsed + pause + self.policy.answer_limit;
                let in_time = back <= self.policy.patience + self.policy.answer_limit
                    && self.lease_ends.is_none_or(|ends| back < ends);
                // Who has a living token need not dwell here; who has none may hope.
                if self.living(at).is_some() || self.attempts >= MOST_ATTEMPTS || !in_time {
                    return self.fall_back(refusal.into(), at);
                }
                self.stage = Stage::RestingLeased;
                Action::Rest(pause)
            }
            refusal => self.fall_back(refusal.into(), at),
        }
    }

    /// The place holds another version than the one read.
    pub(super) fn reconcile(&mut self, stored: Stored, entry: Arc<Entry>) -> Action {
        self.stored = stored;
        if let Some(other) = self
            .stored
            .entry
            .as_ref()
            .filter(|other| other.newer_than(&entry))
        {
            return Action::Done(Outcome::Fresh(other.clone()));
        }
        self.stores += 1;
        if self.stores > MOST_STORES {
            let trouble = DestinationError::unreachable("the place", "others keep writing to it");
            return Action::Done(Outcome::Unstored(entry, trouble));
        }
        self.stage = Stage::Storing(entry.clone());
        Action::Store(entry, self.stored.version.clone())
    }

    pub(super) fn store_again(
        &mut self,
        entry: Arc<Entry>,
        trouble: DestinationError,
        at: Moment,
    ) -> Action {
        self.stores += 1;
        let pause = backoff(self.stores, at.chance, None);
        let in_time = self
            .lease_ends
            .is_none_or(|ends| at.elapsed + pause + self.policy.answer_limit < ends);
        if self.stores >= MOST_STORES || !in_time || at.elapsed + pause > self.policy.patience {
            return Action::Done(Outcome::Unstored(entry, trouble));
        }
        self.stage = Stage::RestingToStore(entry);
        Action::Rest(pause)
    }
}
