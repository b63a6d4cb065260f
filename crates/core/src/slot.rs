//! The slot: a client's one place for a live token. One live token is not a rule that code must keep
//! but the shape of the data; the only second valid token is a hand-over's, in a place of its own.

use crate::digest::{Digest, KeyId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Former tokens remembered for a kinder refusal.
pub const FORMERS: usize = 3;

/// A token as kept: never the token itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// The keyed digest.
    pub digest: Digest,
    /// The key the digest was made with.
    pub key: KeyId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends by itself; none means never.
    pub valid_till: Option<Timestamp>,
}

/// Why a token ended before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A newer token was generated.
    Superseded,
    /// Somebody revoked it.
    Revoked,
    /// The store was restored from a backup and a new epoch began.
    Restored,
}

impl EndReason {
    /// Its number in tables and in memory; two bits hold it. It never changes.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Superseded => 0,
            Self::Revoked => 1,
            Self::Restored => 2,
        }
    }

    /// The reason with this [`EndReason::number`]; none for other numbers.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Superseded),
            1 => Some(Self::Revoked),
            2 => Some(Self::Restored),
            _ => None,
        }
    }
}

/// The end of the slot's token, with nothing in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Why the token ended.
    pub reason: EndReason,
    /// Since when.
    pub at: Timestamp,
}

/// What is remembered of an earlier token: enough to recognise it, not to permit it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Former {
    /// [`Digest::prefix`].
    pub prefix: u64,
    /// Why it ended.
    pub reason: EndReason,
}

/// The previous token while a hand-over lets it live on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The keyed digest.
    pub digest: Digest,
    /// The key the digest was made with.
    pub key: KeyId,
    /// When it ends.
    pub valid_till: Timestamp,
}

/// Tokens made with one secret on one UTC day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaCount {
    /// The UTC day, counted from 1970-01-01.
    pub day: u32,
    /// Tokens made that day.
    pub used: u32,
}

impl QuotaCount {
    /// Returns the tokens already made on the UTC day of `now`.
    #[must_use]
    pub fn used_at(self, now: Timestamp) -> u32 {
        if self.day == now.utc_day() {
            self.used
        } else {
            0
        }
    }
}

/// A client's place for its live token, and what is remembered of earlier ones.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// How many tokens the client has had; the newest token's number.
    pub generation: u32,
    /// The newest token, live or ended; none when there has never been one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// Set when the newest token was ended before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// The tokens before the newest, latest first.
    #[serde(default)]
    pub formers: [Option<Former>; FORMERS],
    /// The previous token of a hand-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Tokens made today, by the position of the secret.
    #[serde(default)]
    pub quota: [QuotaCount; crate::client::SECRETS],
    /// The live token sealed under its client secret (policy `return` only). Never in the change log,
    /// so that destroying it here destroys it.
    #[serde(skip)]
    pub seal: Option<Vec<u8>>,
}

impl Slot {
    /// The newest token if nobody ended it and its time is not over.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> Option<&TokenRecord> {
        let token = self.token.as_ref()?;
        let in_time = token.valid_till.is_none_or(|till| now < till);
        (self.ended.is_none() && in_time).then_some(token)
    }

    /// The slot after issuing `token`: the newest becomes a former one, and lives on only as
    /// `previous` says.
    #[must_use]
    pub fn issue(&self, token: TokenRecord, previous: Option<Previous>) -> Self {
        let mut formers = self.formers;
        if let Some(last) = &self.token {
            formers.rotate_right(1);
            formers[0] = Some(Former {
                prefix: last.digest.prefix(),
                reason: self
                    .ended
                    .map_or(EndReason::Superseded, |ended| ended.reason),
            });
        }
        Self {
            generation: self.generation.saturating_add(1),
            token: Some(token),
            ended: None,
            formers,
            previous,
            quota: self.quota,
            seal: None,
        }
    }

    /// The slot after its tokens were ended at `at`; the seal is gone with them.
    #[must_use]
    pub fn end(&self, reason: EndReason, at: Timestamp) -> Self {
        let mut slot = self.clone();
        if slot.token.is_some() && slot.ended.is_none() {
            slot.ended = Some(Ended { reason, at });
        }
        slot.previous = None;
        slot.seal = None;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u8) -> TokenRecord {
        TokenRecord {
            digest: Digest([n; 32]),
            key: KeyId(1),
            issued_at: Timestamp(0),
            valid_till: None,
        }
    }

    #[test]
    fn issuing_remembers_the_last_three() {
        let mut slot = Slot::default();
        for n in 1..=6 {
            slot = slot.issue(token(n), None);
        }
        assert_eq!(slot.generation, 6);
        let prefixes = slot.formers.map(|f| f.unwrap().prefix);
        assert_eq!(prefixes, [5, 4, 3].map(|n| Digest([n; 32]).prefix()));
    }

    #[test]
    fn a_revoked_token_stays_revoked_in_memory() {
        let slot = Slot::default()
            .issue(token(1), None)
            .end(EndReason::Revoked, Timestamp(5));
        assert!(slot.live(Timestamp(6)).is_none());
        let next = slot.issue(token(2), None);
        assert_eq!(next.formers[0].unwrap().reason, EndReason::Revoked);
        assert!(next.live(Timestamp(6)).is_some());
    }

    #[test]
    fn ending_twice_keeps_the_first_end() {
        let slot = Slot::default()
            .issue(token(1), None)
            .end(EndReason::Revoked, Timestamp(5));
        assert_eq!(slot.end(EndReason::Restored, Timestamp(9)), slot);
        assert_eq!(
            Slot::default().end(EndReason::Revoked, Timestamp(5)),
            Slot::default()
        );
    }
}
