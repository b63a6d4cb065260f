//! The one home of letting time pass: short rests between two looks at a lock, back-off after a failure, and the
//! daemon's long sleep until the next renewal, which goes on counting while the machine is suspended.

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Rests for a short while.
pub(crate) async fn rest(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the client's one home of waiting"
    )]
    tokio::time::sleep(duration).await;
}

/// Sleeps on the clock that goes on through suspend: a laptop opened after its token's end renews at once.
///
/// # Errors
/// When the system has no timer left.
pub async fn sleep_through_suspend(duration: Duration) -> io::Result<()> {
    if duration.is_zero() {
        return Ok(());
    }
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer: OwnedFd = rustix::time::timerfd_create(TimerfdClockId::Boottime, flags)?;
    let once = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: Timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(duration.subsec_nanos()),
        },
    };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe for descriptors that may close early; this one is owned and does not"
    )]
    let timer = AsyncFd::new(timer)?;
    let _ = timer.readable().await?;
    Ok(())
}
