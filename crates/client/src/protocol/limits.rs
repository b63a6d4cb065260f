//! What keeps a fault from spending the day's quota: a budget below it, pauses that double, and a stop when
//! somebody else holds the same client secret.

use std::time::Duration;
use tokenward_core::time::Timestamp;

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause the doubling leads to.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Tokens in a row that somebody else ended early before generating stops. One may be an administrator's doing;
/// two are a tug-of-war.
pub(crate) const MOST_EARLY_ENDS: u32 = 2;
/// First stop after that; it doubles with each further token that ends early.
const FIRST_HOLD: Duration = Duration::from_secs(15 * 60);
/// Longest stop: short enough that a mended installation recovers within a working day.
const LONGEST_HOLD: Duration = Duration::from_secs(6 * 60 * 60);

/// Tokens generated on one UTC day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// The day, counted from 1970-01-01.
    pub day: u32,
    /// How many.
    pub made: u32,
}

impl Tally {
    /// How many were made today.
    #[must_use]
    pub fn today(self, now: Timestamp) -> u32 {
        if self.day == now.utc_day() {
            self.made
        } else {
            0
        }
    }

    /// With `more` made now.
    #[must_use]
    pub fn plus(self, more: u32, now: Timestamp) -> Self {
        Self {
            day: now.utc_day(),
            made: self.today(now).saturating_add(more),
        }
    }
}

/// The pause before attempt `nth` (from 1), `chance` from 0 to 1 spreading it over its second half; the server's
/// own `Retry-After` when that is longer.
#[must_use]
pub fn backoff(nth: u32, chance: f64, retry_after: Option<Duration>) -> Duration {
    let doubled = FIRST_PAUSE
        .saturating_mul(1_u32.checked_shl(nth.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(LONGEST_PAUSE);
    doubled
        .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
        .max(retry_after.unwrap_or_default())
}

/// How long nobody may generate after `early_ends` tokens in a row were ended by somebody else.
pub(crate) fn hold(early_ends: u32) -> Option<Duration> {
    let over = early_ends.checked_sub(MOST_EARLY_ENDS)?;
    let factor = 1_u32.checked_shl(over).unwrap_or(u32::MAX);
    Some(FIRST_HOLD.saturating_mul(factor).min(LONGEST_HOLD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_honour_the_server() {
        let check = |nth, chance, retry_after, millis| {
            let retry_after = Option::map(retry_after, Duration::from_secs);
            assert_eq!(
                backoff(nth, chance, retry_after),
                Duration::from_millis(millis)
            );
        };
        check(1, 1.0, None, 500);
        check(1, 0.0, None, 250);
        check(2, 1.0, None, 1_000);
        check(5, 1.0, None, 8_000);
        check(50, 1.0, None, 300_000);
        check(1, 1.0, Some(9), 9_000);
        check(50, 0.0, Some(9), 150_000);
    }

    #[test]
    fn a_tug_of_war_stops_for_longer_each_time() {
        let minutes = |ends| hold(ends).map(|hold| hold.as_secs() / 60);
        assert_eq!([0, 1].map(minutes), [None; 2]);
        assert_eq!([2, 3, 4].map(minutes), [Some(15), Some(30), Some(60)]);
        assert_eq!([30, u32::MAX].map(minutes), [Some(360); 2]);
    }

    #[test]
    fn a_tally_begins_anew_each_day() {
        let day = |n: i64| Timestamp(n * 86_400_000_000);
        let tally = Tally::default().plus(3, day(5)).plus(2, day(5));
        assert_eq!((tally.today(day(5)), tally.today(day(6))), (5, 0));
    }
}
