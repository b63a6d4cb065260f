//! What the server, the tower layer and the client take from the machine: its clocks, random bytes, and a buffer for each
//! thread. `tokenward-core` gets all of these as arguments. Nothing here decides anything.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod clock;
mod per_thread;

pub use clock::{MachineClock, SystemClock};
pub use per_thread::PerThread;

/// Returns `N` random bytes from the operating system, or none when it has none to give.
#[must_use]
pub fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut out = [0; N];
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one home of randomness"
    )]
    getrandom::fill(&mut out).ok()?;
    Some(out)
}
