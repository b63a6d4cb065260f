//! The one room of the benchmarks that reads clocks.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokenward_core::time::{BootInstant, Clock, Timestamp};

fn read(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Time that passed, whoever used the processors.
pub(crate) fn wall() -> Duration {
    read(ClockId::Monotonic)
}

/// Processor time this thread used. On a machine shared with others it is the fairer measure: it
/// leaves out the time during which somebody else ran.
pub(crate) fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// The clock as a server reads it, at every call.
pub(crate) struct Real;

impl Clock for Real {
    fn wall(&self) -> Timestamp {
        Timestamp(i64::try_from(read(ClockId::Realtime).as_micros()).unwrap_or(i64::MAX))
    }
    fn boot(&self) -> BootInstant {
        BootInstant(u64::try_from(read(ClockId::Boottime).as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands: the check itself, without the cost of asking the time.
pub(crate) struct Still(pub(crate) Timestamp);

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        self.0
    }
    fn boot(&self) -> BootInstant {
        BootInstant(0)
    }
}
