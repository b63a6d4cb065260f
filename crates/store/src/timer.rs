//! The store's one timer: pauses between attempts, and the time a predecessor's lease takes to end.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// From here on a millisecond more is nothing.
const COARSE: Duration = Duration::from_millis(5);

/// Lets `duration` pass.
#[expect(
    clippy::disallowed_methods,
    reason = "the store's one home of waiting for time itself"
)]
pub(crate) async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Lets `duration` pass, a short one to some tens of microseconds: tokio's own timer knows only whole milliseconds. Where the
/// system gives no such timer, it is that one.
pub(crate) async fn pass_exactly(duration: Duration) {
    let exact = (duration < COARSE).then(|| timer(duration).ok());
    match exact.flatten() {
        Some(timer) => drop(timer.readable().await),
        None => pass(duration).await,
    }
}

/// A timer that becomes readable once, after `duration`.
#[expect(
    deprecated,
    reason = "its successor is unsafe for what it asks of a descriptor's owner, and that is an OwnedFd here"
)]
fn timer(duration: Duration) -> std::io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    let once = Itimerspec {
        it_interval: Timespec::default(),
        // Zero would stop it.
        it_value: Timespec::try_from(duration.max(Duration::from_nanos(1)))
            .map_err(std::io::Error::other)?,
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    AsyncFd::with_interest(timer, Interest::READABLE)
}
