//! Certificates while the server runs: taken again when their files change, and warned of before they end.

use crate::net::Tls;
use std::sync::Arc;

/// Looks at the files every so many seconds; a changed pair is read at the second look that finds it.
const LOOK_EVERY: i64 = 3;
/// A warning about the end of a certificate is repeated after so many seconds.
const WARN_EVERY: i64 = 86_400;

/// The certificates of the listeners.
pub(super) struct Certificates {
    all: Vec<One>,
    /// When the files are to be looked at again, in seconds since 1970.
    next_look: i64,
}

struct One {
    tls: Arc<Tls>,
    /// When its end was last warned of, and which end that was.
    warned: Option<(i64, i64)>,
}

impl Certificates {
    pub(super) fn new(tls: [Option<Arc<Tls>>; 2]) -> Self {
        let all = tls.into_iter().flatten();
        Self {
            all: all.map(|tls| One { tls, warned: None }).collect(),
            next_look: 0,
        }
    }

    /// Reads all of them again.
    pub(super) fn reload(&self) {
        for one in &self.all {
            if let Some(done) = one.tls.reload() {
                tell(&one.tls, done);
            }
        }
    }

    /// Does what is due; called every second with the seconds since 1970.
    pub(super) fn tick(&mut self, now: i64) {
        // A clock that was set back must not stop the looks.
        let looks = now >= self.next_look || self.next_look - now > LOOK_EVERY;
        if looks {
            self.next_look = now + LOOK_EVERY;
        }
        for one in &mut self.all {
            if looks && let Some(done) = one.tls.look(now) {
                tell(&one.tls, done);
            }
            one.warn(now);
        }
    }
}

impl One {
    /// Warns once a day, and of each certificate at once.
    fn warn(&mut self, now: i64) {
        let Some(till) = self.tls.valid_till() else {
            return;
        };
        let recently = |&(at, of): &(i64, i64)| of == till && (at..at + WARN_EVERY).contains(&now);
        if self.warned.as_ref().is_some_and(recently) {
            return;
        }
        if let Some(why) = self.tls.out_of_time(now) {
            tracing::error!("{why}");
        } else if let Some(why) = self.tls.ends_soon(now) {
            tracing::warn!("{why}");
        } else {
            return;
        }
        self.warned = Some((now, till));
    }
}

fn tell(tls: &Tls, done: Result<(), String>) {
    let file = tls.name();
    match done {
        Ok(()) => tracing::info!(file, till = tls.valid_till_iso(), "certificate reloaded"),
        Err(error) => tracing::error!("keeping the current certificate: {error}"),
    }
}
