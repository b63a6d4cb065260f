//! When a token will do. One function, asked again after every lock.

use super::Entry;
use crate::credential::AccessToken;
use std::time::Duration;
use tokenward_core::time::Timestamp;

/// How a holder behaves; the defaults are for tokens of an hour and Clear's 288 a day.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// A token with less left than this is renewed (the larger of this and a tenth of its life, but never more
    /// than half of its life).
    pub margin: Duration,
    /// Tokens this place may generate in a UTC day, as far as it can see; below the server's quota, so that
    /// something is left for the person who mends what went wrong.
    pub budget_per_day: u32,
    /// How long a caller without a usable token waits for somebody else's renewal.
    pub patience: Duration,
    /// How long one exchange with the token server may take, in which the lease must not lapse. Longer than a server holds an
    /// answer for a node that was lost (12 s): who gives up before would generate a second token.
    pub answer_limit: Duration,
    /// How long the previous token shall live on; 0 asks for no hand-over.
    pub handover: Duration,
    /// Whether the server counts generations and knows `If-Match` and the status call (Clear's own does not).
    pub counts_generations: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            margin: Duration::from_secs(300),
            budget_per_day: 200,
            patience: Duration::from_secs(45),
            answer_limit: Duration::from_secs(20),
            handover: Duration::ZERO,
            counts_generations: true,
        }
    }
}

/// Why a token will not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is none.
    Missing,
    /// A product refused this very token.
    Refused,
    /// It ends soon, and works until then.
    Ending,
    /// It has ended.
    Over,
}

impl Policy {
    /// Why what a place holds will not do; none when it will. `chance`, from 0 to 1, is the holder's own share of jitter for
    /// this token: it widens the margin by up to a tenth, so that many holders do not come at once.
    #[must_use]
    pub fn judge(
        &self,
        entry: Option<&Entry>,
        refused: Option<&AccessToken>,
        now: Timestamp,
        chance: f64,
    ) -> Option<Reason> {
        let Some(entry) = entry else {
            return Some(Reason::Missing);
        };
        if refused.is_some_and(|refused| refused.is(&entry.token)) {
            return Some(Reason::Refused);
        }
        if entry.is_over(now) {
            return Some(Reason::Over);
        }
        let renewed_at = self.renew_at(entry, chance);
        renewed_at
            .is_some_and(|time| time <= now)
            .then_some(Reason::Ending)
    }

    /// When a holder with this share of jitter renews; none for a token that never expires.
    #[must_use]
    pub fn renew_at(&self, entry: &Entry, chance: f64) -> Option<Timestamp> {
        let till = entry.valid_till?;
        let life = crate::clock::until(entry.obtained_at, till);
        let margin = self.margin.max(life / 10).min(life / 2);
        let widened = margin.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0);
        let micros = i64::try_from(widened.as_micros()).unwrap_or(i64::MAX);
        Some(Timestamp(till.0.saturating_sub(micros)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn entry(life: Option<i64>) -> Entry {
        Entry {
            generation: Some(1),
            valid_till: life.map(|life| Timestamp(life * SECOND)),
            ..Entry::bare(AccessToken::parse("live").unwrap())
        }
    }

    #[test]
    fn renews_ahead_by_five_minutes_a_tenth_or_half_a_short_life() {
        let check = |life, seconds: f64| {
            let at = Policy::default().renew_at(&entry(Some(life)), 0.0).unwrap();
            assert_eq!(at.0, (seconds * 1e6) as i64, "{life}");
        };
        check(3_600, 3_240.0);
        check(1_800, 1_500.0);
        check(86_400, 77_760.0);
        check(400, 200.0);
        check(1, 0.5);
        assert_eq!(Policy::default().renew_at(&entry(None), 1.0), None);
    }

    #[test]
    fn jitter_only_widens_the_margin() {
        let policy = Policy::default();
        let at = |chance| policy.renew_at(&entry(Some(3_600)), chance).unwrap().0 / SECOND;
        assert_eq!(
            [at(0.0), at(0.5), at(1.0), at(7.0)],
            [3_240, 3_222, 3_204, 3_204]
        );
    }

    #[test]
    fn judges_by_refusal_first_then_by_time() {
        let check = |life, refused: &str, now: i64, expect| {
            let refused = AccessToken::parse(refused).unwrap();
            let held = entry(life);
            let got =
                Policy::default().judge(Some(&held), Some(&refused), Timestamp(now * SECOND), 0.0);
            assert_eq!(got, expect, "{life:?} {now}");
        };
        check(Some(3_600), "other", 3_239, None);
        check(Some(3_600), "other", 3_240, Some(Reason::Ending));
        // A cached token is not trusted past its end.
        check(Some(3_600), "other", 3_600, Some(Reason::Over));
        check(Some(3_600), "live", 1, Some(Reason::Refused));
        check(None, "other", i64::MAX / SECOND, None);
        let nothing = Policy::default().judge(None, None, Timestamp(0), 0.0);
        assert_eq!(nothing, Some(Reason::Missing));
    }
}
