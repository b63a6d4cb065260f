//! The one home of the machine's clocks. The absolute time of [`SystemClock`] never goes back within a process: a token
//! that was seen expired stays expired when the machine's clock is set back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokenward_core::time::{BootInstant, Clock, Timestamp};

/// How often the machine's clock is looked at, in microseconds: a step forward is followed within this time.
const LOOK_EVERY: i64 = 100_000;
/// A look that takes longer than this, in microseconds, tells nothing: the thread was held up between two clocks.
const LOOK_MAX: i64 = 1_000;
/// How far ahead of the machine's clock the time must be to run slower, and how near to stop doing so, in microseconds.
const SLEW_FROM: i64 = 10_000;
const SLEW_UNTIL: i64 = 1_000;
/// The time runs slower by one part in 2 to the power of this: 1 ms a second, five minutes in three and a half days.
const SLEW: u32 = 10;
/// Not set yet.
const UNSET: i64 = i64::MIN;

/// Absolute time made of elapsed time and what lies between the two. It follows the machine's clock forward; after a step
/// back it goes on from where it was, a little slower, until the machine's clock has caught up.
struct Steady {
    /// Microseconds to add to elapsed time, doubled; the lowest bit is set while the time runs slower.
    word: AtomicI64,
    /// The elapsed time of the last look, in microseconds.
    looked: AtomicI64,
}

impl Steady {
    const fn new() -> Self {
        Self {
            word: AtomicI64::new(UNSET),
            looked: AtomicI64::new(UNSET),
        }
    }

    /// The time at the elapsed time `boot`.
    fn at(word: i64, boot: i64) -> i64 {
        (word >> 1) + boot - (boot >> SLEW) * (word & 1)
    }

    /// The word by which it is `wall` at `boot`.
    fn word(wall: i64, boot: i64, slower: bool) -> i64 {
        let slower = i64::from(slower);
        ((wall - boot + (boot >> SLEW) * slower) << 1) | slower
    }

    /// The time now; `boot` and `system` are the machine's clocks, in microseconds.
    fn wall(&self, boot: impl Fn() -> i64, system: impl Fn() -> i64) -> i64 {
        // Elapsed time is read first: if the word changes in between, the result is still no earlier than the last one.
        let now = boot();
        let looked = self.looked.load(Ordering::Acquire);
        if looked == UNSET || now - looked >= LOOK_EVERY {
            self.look(looked, &boot, &system);
        }
        Self::at(self.word.load(Ordering::Acquire), now)
    }

    fn look(&self, looked: i64, boot: impl Fn() -> i64, system: impl Fn() -> i64) {
        let before = boot();
        let theirs = system();
        let now = boot();
        let word = self.word.load(Ordering::Acquire);
        if word == UNSET {
            // The first reader sets the word; no time has been returned yet.
            let first = Self::word(theirs, now, false);
            let _ = self
                .word
                .compare_exchange(UNSET, first, Ordering::AcqRel, Ordering::Acquire);
            self.looked.fetch_max(now, Ordering::AcqRel);
            return;
        }
        let mine = self
            .looked
            .compare_exchange(looked, now, Ordering::AcqRel, Ordering::Acquire);
        if mine.is_err() || now - before > LOOK_MAX {
            return;
        }
        let ours = Self::at(word, now);
        let ahead = ours - theirs;
        let slower = word & 1 == 1;
        let next = if ahead < 0 {
            Self::word(theirs, now, false)
        } else if !slower && ahead > SLEW_FROM {
            Self::word(ours, now, true)
        } else if slower && ahead < SLEW_UNTIL {
            Self::word(ours, now, false)
        } else {
            return;
        };
        // If another thread raised the time in between, its value stays.
        let _ = self
            .word
            .compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire);
    }

    /// From now on it is `wall` or later.
    fn not_before(&self, wall: i64, boot: impl Fn() -> i64) {
        let raised = |word: i64| {
            let now = boot();
            (word == UNSET || Self::at(word, now) < wall).then(|| Self::word(wall, now, false))
        };
        let _ = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, raised);
    }
}

/// The time of this process.
static TIME: Steady = Steady::new();

/// The clocks of this machine as they are. Absolute time steps back when the machine's clock does.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn wall(&self) -> Timestamp {
        Timestamp(system_micros())
    }

    /// `CLOCK_BOOTTIME`: it goes on while the machine sleeps, as a lease and a token's lifetime must.
    fn boot(&self) -> BootInstant {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        BootInstant(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

/// The clocks of this process. Absolute time is the machine's as long as that never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's own clock, which may step back: for what others compare with their clocks, such as one-time codes and
    /// signatures. What expires here is judged by [`Clock::wall`].
    #[must_use]
    pub fn system(self) -> Timestamp {
        MachineClock.wall()
    }

    /// From now on this process's time is `at` or later.
    pub fn not_before(self, at: Timestamp) {
        // A first look, so that the machine's clock is not passed over.
        let _ = self.wall();
        TIME.not_before(at.0, boot_micros);
    }

    /// How far this process's time is ahead of the machine's clock.
    #[must_use]
    pub fn ahead(self) -> Duration {
        let ahead = self.wall().0.saturating_sub(self.system().0);
        Duration::from_micros(u64::try_from(ahead).unwrap_or(0))
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp(TIME.wall(boot_micros, system_micros))
    }

    fn boot(&self) -> BootInstant {
        MachineClock.boot()
    }
}

fn boot_micros() -> i64 {
    i64::try_from(MachineClock.boot().0 / 1_000).unwrap_or(i64::MAX)
}

fn system_micros() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one home of the wall clock"
    )]
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SECOND: i64 = 1_000_000;

    /// Both clocks of a machine under the test's hands.
    #[derive(Default)]
    struct Machine {
        boot: Cell<i64>,
        system: Cell<i64>,
    }

    impl Machine {
        fn wall(&self, time: &Steady) -> i64 {
            time.wall(|| self.boot.get(), || self.system.get())
        }

        fn pass(&self, micros: i64) {
            self.boot.set(self.boot.get() + micros);
            self.system.set(self.system.get() + micros);
        }

        fn step(&self, micros: i64) {
            self.system.set(self.system.get() + micros);
        }
    }

    #[test]
    fn time_is_the_machines_while_it_goes_forward() {
        let (time, machine) = (Steady::new(), Machine::default());
        machine.step(1_700_000_000 * SECOND);
        for _ in 0..50 {
            assert_eq!(machine.wall(&time), machine.system.get());
            machine.pass(SECOND / 3);
        }
        machine.step(3_600 * SECOND);
        machine.pass(LOOK_EVERY);
        assert_eq!(
            machine.wall(&time),
            machine.system.get(),
            "a step forward is followed"
        );
    }

    #[test]
    fn time_never_goes_back_and_comes_together_again() {
        let (time, machine) = (Steady::new(), Machine::default());
        machine.step(1_700_000_000 * SECOND);
        let mut last = machine.wall(&time);
        machine.step(-300 * SECOND);
        let mut went = 0;
        while machine.wall(&time) - machine.system.get() > SLEW_UNTIL {
            machine.pass(7 * SECOND / 10 + went % 13);
            let now = machine.wall(&time);
            assert!(now > last, "{now} after {last}");
            last = now;
            went += 1;
            assert!(went < 600_000, "it does not come together");
        }
        let after = Duration::from_micros(machine.boot.get().cast_unsigned()).as_secs() / 3_600;
        assert!((80..90).contains(&after), "{after} h");
        machine.pass(SECOND);
        let ahead = machine.wall(&time) - machine.system.get();
        machine.pass(100 * SECOND);
        assert_eq!(
            machine.wall(&time) - machine.system.get(),
            ahead,
            "as fast as the machine's again"
        );
    }

    #[test]
    fn time_begins_at_what_was_seen_before() {
        let (time, machine) = (Steady::new(), Machine::default());
        machine.step(1_480_000_000 * SECOND);
        let _ = machine.wall(&time);
        let seen = 1_700_000_000 * SECOND;
        time.not_before(seen, || machine.boot.get());
        assert_eq!(machine.wall(&time), seen);
        time.not_before(seen - SECOND, || machine.boot.get());
        assert_eq!(machine.wall(&time), seen, "a lower mark changes nothing");
        machine.step(300_000_000 * SECOND);
        machine.pass(LOOK_EVERY);
        assert_eq!(
            machine.wall(&time),
            machine.system.get(),
            "the machine's clock was put right"
        );
    }

    #[test]
    fn the_processs_own_time_is_the_machines() {
        let (before, now) = (SystemClock.system(), SystemClock.wall());
        assert!(now.0 >= before.0 - SECOND && now.0 <= SystemClock.system().0 + SECOND);
        assert!(SystemClock.ahead() < Duration::from_secs(1));
    }
}
