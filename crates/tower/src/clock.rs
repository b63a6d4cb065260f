//! The one home of the machine's clocks, the node's too, and the layer's of its randomness.

use std::time::{SystemTime, UNIX_EPOCH};
use tokenward_core::time::{BootInstant, Clock, Timestamp};

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one home of the wall clock"
        )]
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// `CLOCK_BOOTTIME`: it goes on while the machine sleeps, as a lease must.
    fn boot(&self) -> BootInstant {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        BootInstant(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

/// Random bytes; none when the machine has none to give.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut out = [0; N];
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the layer's home of randomness"
    )]
    getrandom::fill(&mut out).ok()?;
    Some(out)
}
