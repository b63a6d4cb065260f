//! The note by which places elsewhere lend a lease: who renews, until when by the place's own clock. A machine whose
//! process lock the caller holds knows its own dead: their lease is taken over at once.

use super::LeaseRequest;
use crate::clock;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokenward_core::time::Timestamp;

/// What stands where the lease is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Until when it is lent, in microseconds of Unix time.
    pub(crate) until_micros: i64,
    /// Whether it was given back.
    pub(crate) released: bool,
    /// The queue of processes its holder stood in.
    pub(crate) queue: Option<String>,
}

/// What a note means to who asks now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Nobody renews; true when the last holder never finished.
    Free { abandoned: bool },
    /// Somebody does.
    Lent,
}

impl Note {
    /// A lease from now on.
    pub(crate) fn lent(wish: &LeaseRequest, now: Timestamp) -> Self {
        Self {
            until_micros: clock::after(now, wish.ttl).0,
            released: false,
            queue: wish.queue.clone(),
        }
    }

    /// A lease given back.
    pub(crate) fn given_back() -> Self {
        Self {
            released: true,
            ..Self::default()
        }
    }

    pub(crate) fn standing(&self, wish: &LeaseRequest, now: Timestamp) -> Standing {
        if self.released {
            return Standing::Free { abandoned: false };
        }
        let own = self.queue.is_some() && self.queue == wish.queue;
        if own || self.until_micros <= now.0 {
            Standing::Free { abandoned: true }
        } else {
            Standing::Lent
        }
    }
}

/// How long a holder may rely on its lease: less than others respect it, by what clocks may differ.
pub(crate) fn reliable(ttl: Duration) -> Duration {
    ttl - (ttl / 5).min(Duration::from_secs(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_living_the_dead_and_its_own_dead() {
        let wish = |queue: Option<&str>| LeaseRequest {
            ttl: Duration::from_secs(30),
            queue: queue.map(str::to_owned),
        };
        let now = Timestamp(1_000_000_000);
        let free = |abandoned| Standing::Free { abandoned };
        let check = |holder: Option<&str>, asker: Option<&str>, seconds: i64, expect| {
            let note = Note::lent(&wish(holder), now);
            let later = Timestamp(now.0 + seconds * 1_000_000);
            assert_eq!(note.standing(&wish(asker), later), expect);
        };
        check(Some("a"), Some("b"), 29, Standing::Lent);
        check(Some("a"), Some("b"), 30, free(true));
        check(Some("a"), Some("a"), 1, free(true));
        check(None, None, 1, Standing::Lent);
        check(None, Some("a"), 1, Standing::Lent);
        let back = Note::given_back();
        assert_eq!(back.standing(&wish(None), now), free(false));
    }
}
