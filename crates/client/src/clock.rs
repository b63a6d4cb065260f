//! The token server's clock as this process knows it.
//!
//! Validity is the server's statement, so it is judged by the server's clock: from the first answer on, this
//! process counts elapsed time from the server's `Date`, and neither a wrong nor a jumping clock of this machine
//! matters. Before that, this machine's clock must do, and nobody may renew on its word alone
//! (see [`crate::protocol`]).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokenward_core::time::{BootInstant, Clock, MICROS_PER_SECOND, Timestamp};
use tokenward_system::MachineClock;

pub use crate::timer::sleep_through_suspend;

/// A difference up to this is `Date`'s own coarseness (whole seconds) and travel time: this machine's clock,
/// which is finer, is believed.
const COARSENESS: i64 = 2 * MICROS_PER_SECOND;

/// A server's time as last heard, and when that was.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    heard: BootInstant,
    server: Timestamp,
    /// Server minus this machine, in microseconds; 0 when they agree as far as `Date` can tell.
    offset: i64,
}

/// A server's clock.
#[derive(Debug)]
pub struct ServerClock<C = MachineClock> {
    clock: C,
    anchor: Mutex<Option<Anchor>>,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self::new(MachineClock)
    }
}

impl<C: Clock> ServerClock<C> {
    /// A server not heard of yet.
    pub fn new(clock: C) -> Self {
        Self {
            clock,
            anchor: Mutex::new(None),
        }
    }

    /// Takes note of an answer's `Date` header; one that is absent or unreadable changes nothing.
    pub fn heard(&self, date: Option<&str>) {
        let Some(date) = date.and_then(|text| httpdate::parse_http_date(text).ok()) else {
            return;
        };
        let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
        let date = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let wall = self.clock.wall();
        // The second named lies on average half behind.
        let difference = date.saturating_add(MICROS_PER_SECOND / 2) - wall.0;
        let offset = if difference.abs() <= COARSENESS {
            0
        } else {
            difference
        };
        let anchor = Anchor {
            heard: self.clock.boot(),
            server: Timestamp(wall.0.saturating_add(offset)),
            offset,
        };
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(anchor);
    }

    /// Takes note of an answer's `Date` header.
    pub(crate) fn heard_in(&self, answer: &reqwest::Response) {
        let date = answer.headers().get(reqwest::header::DATE);
        self.heard(date.and_then(|date| date.to_str().ok()));
    }

    /// The server's time now, or this machine's as long as no server was heard.
    pub fn now(&self) -> Timestamp {
        match self.anchor() {
            Some(anchor) => {
                let nanos = self.clock.boot().0.saturating_sub(anchor.heard.0);
                let micros = i64::try_from(nanos / 1_000).unwrap_or(i64::MAX);
                Timestamp(anchor.server.0.saturating_add(micros))
            }
            None => self.clock.wall(),
        }
    }

    /// Whether [`ServerClock::now`] is the server's word.
    pub fn is_known(&self) -> bool {
        self.anchor().is_some()
    }

    /// How far this machine's clock was behind the server's when last heard, in seconds; 0 within `Date`'s
    /// coarseness, none while no server was heard.
    pub fn seconds_behind(&self) -> Option<i64> {
        self.anchor()
            .map(|anchor| anchor.offset / MICROS_PER_SECOND)
    }

    /// This machine's elapsed time, for durations.
    pub fn boot(&self) -> BootInstant {
        self.clock.boot()
    }

    fn anchor(&self) -> Option<Anchor> {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long until `later`; nothing when it has passed.
#[must_use]
pub fn until(now: Timestamp, later: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(later.0.saturating_sub(now.0)).unwrap_or(0))
}

/// `now` plus a duration.
#[must_use]
pub fn after(now: Timestamp, duration: Duration) -> Timestamp {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Seconds of wall and elapsed time, each set by hand.
    #[derive(Default)]
    struct Hands(AtomicI64, AtomicI64);

    impl Clock for &Hands {
        fn wall(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed) * MICROS_PER_SECOND)
        }
        fn boot(&self) -> BootInstant {
            BootInstant(self.1.load(Ordering::Relaxed) as u64 * 1_000_000_000)
        }
    }

    const NOON: i64 = 1_795_435_200;
    const NOON_DATE: &str = "Mon, 23 Nov 2026 12:00:00 GMT";

    #[test]
    fn believes_the_server_over_a_clock_that_is_wrong_or_jumps() {
        let check = |wall: i64, behind: i64| {
            let hands = Hands(AtomicI64::new(wall), AtomicI64::new(50));
            let clock = ServerClock::new(&hands);
            assert!(!clock.is_known());
            clock.heard(Some(NOON_DATE));
            assert_eq!(clock.seconds_behind(), Some(behind));
            // An hour passes while somebody sets the wall clock back by a day.
            hands.0.store(wall - 86_400, Ordering::Relaxed);
            hands.1.store(50 + 3_600, Ordering::Relaxed);
            let off = clock.now().0 - (NOON + 3_600) * MICROS_PER_SECOND;
            assert!(off.abs() <= COARSENESS, "{off} µs off");
        };
        check(NOON, 0);
        check(NOON + 1, 0);
        check(NOON + 7_200, -7_199);
        check(NOON - 7_200, 7_200);
    }

    #[test]
    fn an_answer_without_a_date_teaches_nothing() {
        let hands = Hands(AtomicI64::new(NOON), AtomicI64::new(0));
        let clock = ServerClock::new(&hands);
        clock.heard(None);
        clock.heard(Some("yesterday"));
        assert!(!clock.is_known());
        assert_eq!(clock.now(), Timestamp(NOON * MICROS_PER_SECOND));
    }
}
