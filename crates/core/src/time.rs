//! Points in time as plain numbers. This room never asks what time it is.

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Seconds in a UTC day; leap seconds do not exist in Unix time.
pub const SECONDS_PER_DAY: i64 = 86_400;

/// Microseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time `seconds` later; saturates at the end of time.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let micros = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(MICROS_PER_SECOND);
        Self(self.0.saturating_add(micros))
    }

    /// Whole seconds from `earlier` to this time, rounded down; 0 when it is not later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / MICROS_PER_SECOND).unwrap_or(0)
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The number of the UTC day, counted from 1970-01-01; 0 before it. The daily quota's window.
    #[must_use]
    pub fn utc_day(self) -> u32 {
        let day = self.unix_seconds().div_euclid(SECONDS_PER_DAY).max(0);
        u32::try_from(day).expect("64 bits of microseconds end before day 107 million")
    }

    /// Seconds until the next midnight UTC, at least 1.
    #[must_use]
    pub fn seconds_to_midnight(self) -> u64 {
        let into = self.unix_seconds().rem_euclid(SECONDS_PER_DAY);
        u64::try_from(SECONDS_PER_DAY - into).unwrap_or(1)
    }

    /// ISO 8601 in UTC, whole seconds, in exactly the form of Clear's reference:
    /// `2026-11-23T10:15:30+00:00`.
    #[must_use]
    pub fn iso(self) -> String {
        String::from_utf8(self.iso_bytes().to_vec()).expect("digits and signs are ASCII")
    }

    /// The same as [`Timestamp::iso`] as bytes, without an allocation. Years outside 0 to 9999 are
    /// shown as the nearest end of that range.
    #[must_use]
    pub fn iso_bytes(self) -> [u8; 25] {
        // Days to civil date: the algorithm of Howard Hinnant's "chrono-Compatible Low-Level Date
        // Algorithms" (days_from_civil and its inverse), on the proleptic Gregorian calendar.
        let seconds = self.unix_seconds().clamp(-62_167_219_200, 253_402_300_799);
        let days = seconds.div_euclid(SECONDS_PER_DAY) + 719_468;
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let mut out = *b"0000-00-00T00:00:00+00:00";
        put(&mut out[0..4], year);
        put(&mut out[5..7], month);
        put(&mut out[8..10], day);
        put(&mut out[11..13], of_day / 3600);
        put(&mut out[14..16], of_day / 60 % 60);
        put(&mut out[17..19], of_day % 60);
        out
    }
}

/// Writes a non-negative number right-aligned with leading zeros.
fn put(place: &mut [u8], mut value: i64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Nanoseconds on a clock that counts durations only and goes on through suspend
/// (`CLOCK_BOOTTIME`); never compared between machines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BootInstant(pub u64);

/// The instant `nanos` later; saturates at the end of time.
pub(crate) fn later(instant: BootInstant, nanos: u64) -> BootInstant {
    BootInstant(instant.0.saturating_add(nanos))
}

/// The clocks a check asks, last of all its reads, so that a stall makes it later, never earlier.
pub trait Clock {
    /// Absolute time, trusted for expiry only.
    fn wall(&self) -> Timestamp;
    /// Elapsed time, trusted for leases only.
    fn boot(&self) -> BootInstant;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_has_clears_exact_form() {
        let check = |seconds: i64, expect: &str| {
            assert_eq!(
                Timestamp(seconds * MICROS_PER_SECOND + 999_999).iso(),
                expect
            );
        };
        check(0, "1970-01-01T00:00:00+00:00");
        check(1_795_428_930, "2026-11-23T10:15:30+00:00");
        check(951_782_400, "2000-02-29T00:00:00+00:00");
        check(4_107_542_399, "2100-02-28T23:59:59+00:00");
        check(
            i64::MAX / MICROS_PER_SECOND - 1,
            "9999-12-31T23:59:59+00:00",
        );
    }

    #[test]
    fn iso_agrees_with_a_calendar_library() {
        for step in 0..4_000_i64 {
            let seconds = step * 86_399 * 3 + step;
            let theirs = jiff::Timestamp::from_second(seconds).unwrap();
            let text = theirs.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
            assert_eq!(Timestamp(seconds * MICROS_PER_SECOND).iso(), text);
        }
    }

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let late = Timestamp((10 * SECONDS_PER_DAY - 1) * MICROS_PER_SECOND);
        assert_eq!((late.utc_day(), late.seconds_to_midnight()), (9, 1));
        let next = late.plus_seconds(1);
        assert_eq!((next.utc_day(), next.seconds_to_midnight()), (10, 86_400));
    }
}
